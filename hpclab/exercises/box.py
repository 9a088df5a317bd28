"""What an exercise or a prediction says: in a notebook a quiet box, elsewhere a line of text."""

import html
import sys

_COLOUR = {"good": "#009E73", "bad": "#D55E00", "": "#56B4E9"}


def show(title: str, text: str, kind: str = "", markup: str | None = None, below: str = "") -> None:
    """Show `text` (as `markup` where that is given) under its title, and a picture's markup `below` it; a
    screen reader reads it as it comes.

    `kind` is "good", "bad" or "": the colour of the bar beside it, which only repeats what the title says.
    """
    ipython = sys.modules.get("IPython")
    if ipython is None or ipython.get_ipython() is None:
        print(f"{title}. {text}")
        return
    body = f"<b>{html.escape(title)}.</b> {html.escape(text)}" if markup is None else markup
    box = (
        f'<div role="status" style="border-left:6px solid {_COLOUR[kind]};padding:6px 12px;margin:4px 0;'
        f'max-width:46em;line-height:1.45">{body}</div>{below}'
    )
    ipython.display.display({"text/plain": f"{title}. {text}", "text/html": box}, raw=True)
