"""What an exercise or a prediction says: in a notebook a quiet box, elsewhere a line of text."""

import html
import re
import sys

_COLOUR = {"good": "#009E73", "bad": "#D55E00", "": "#56B4E9"}


def show(title: str, text: str, kind: str = "", markup: str | None = None, below: str = "") -> None:
    """Show `text` (as `markup` where that is given) under its title, and a picture's markup `below` it; a
    screen reader reads it as it comes.

    `kind` is "good", "bad" or "": the colour of the bar beside it, which only repeats what the title says.
    What stands between backticks is code, and a $ is no mathematics, which JupyterLab would make of two.
    """
    ipython = sys.modules.get("IPython")
    if ipython is None or ipython.get_ipython() is None:
        print(f"{title}. {text}")
        return
    code = re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(text))
    body = f"<b>{html.escape(title)}.</b> {code}" if markup is None else markup
    box = (
        f'<div role="status" class="mathjax_ignore" style="border-left:6px solid {_COLOUR[kind]};'
        f'padding:6px 12px;margin:4px 0;max-width:46em;line-height:1.45">{body}</div>{below}'
    )
    ipython.display.display({"text/plain": f"{title}. {text}", "text/html": box}, raw=True)
