"""The one look of the course: colours by meaning, marks by origin, and a figure that can be read aloud.

White ground, few lines, direct labels instead of legends, Okabe–Ito colours that colour-blind readers can
tell apart, and the same colour for the same thing in every figure. Colour is never the only carrier: where a
number came from is told by the shape of its mark, and stacked parts carry a pattern and a label.

Charts are matplotlib's, in the style sheet ``hpclab.mplstyle``. Sizes are in CSS pixels: matplotlib's inch
has 96 of them, a point 4/3.
"""

import contextlib
import functools
import io
import re
import threading
import uuid
from collections.abc import Collection, Iterator, Sequence
from html import escape
from typing import Any

import matplotlib
import matplotlib.style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import blended_transform_factory

from hpclab.results import Origin

TEXT = 19.0  # 14.25 pt, the smallest text in any figure
TITLE = 21.0
PROSE = "var(--jp-content-font-size1, 14px)"  # of what stands around a figure: the notebook's own
WIDTH = 800  # fits a notebook cell at 1280 pixels with JupyterLab's side bar open

INK = "#1a1a1a"  # text and the axes' lines
MUTED = "#595959"  # secondary text; 7:1 on white
GRID = "#dddddd"
GROUND = "#ffffff"

COLOUR = {
    # parts of a run (trace.COMPONENTS) and the words other lessons use for them
    "compute": "#0072B2",
    "transfer": "#D55E00",
    "communication": "#D55E00",
    "storage": "#009E73",
    "queue wait": "#E69F00",
    "waiting": "#E69F00",
    "worker start": "#F0E442",
    "optimizer": "#56B4E9",
    "idle": "#BFBFBF",
    "unexplained": "#ffffff",
    # data and models
    "recorded": "#767676",
    "modelled": "#595959",
    "ideal": "#8c8c8c",
    "amdahl": "#CC79A7",
    "gustafson": "#E69F00",
    "usl": "#0072B2",
    "prediction": "#D55E00",
    "what if": "#009E73",
}
HATCH = {  # the second carrier of a stacked part, beside its colour
    "transfer": "//",
    "storage": "||",
    "queue wait": "\\\\",
    "worker start": "--",
    "unexplained": "xx",
}

# White behind letters, so that no line crosses them out: ``bbox=BEHIND``. (An outline would make them paths.)
BEHIND = {"facecolor": GROUND, "edgecolor": "none", "pad": 1}
_CSS = f"background:{GROUND};width:100%;height:auto;display:block;max-width:"
_LOCK = threading.RLock()  # matplotlib's settings are the process's: two threads take turns


def ink(colour: str) -> str:
    """`colour` darkened until text in it has a contrast of 4.5:1 on white, as WCAG AA asks."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    while _luminance(red, green, blue) > 0.183:  # (1 + 0.05) / (0.183 + 0.05) = 4.5
        red, green, blue = int(red * 0.94), int(green * 0.94), int(blue * 0.94)
    return f"#{red:02x}{green:02x}{blue:02x}"


def _luminance(*channels: int) -> float:
    linear = [c / 3294.6 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def mark(origin: Origin | str, colour: str = "", *, pale: bool = False) -> dict[str, Any]:
    """The look of a mark, for ``ax.plot(x, y, **mark(origin))``: its shape says where a number came from.

    Measured: filled circle; emulated: open circle; modelled: a short bar, as on a line; recorded: grey
    diamond; published: black cross. `pale` is for what was measured and is not worth a statement.
    """
    origin = Origin(origin)
    if not colour or origin in (Origin.RECORDED, Origin.PUBLISHED):
        colour = COLOUR.get(origin, "#000000")
    shape = {
        Origin.MEASURED: {"marker": "o", "markeredgewidth": 0},
        Origin.EMULATED: {"marker": "o", "markerfacecolor": GROUND, "markeredgewidth": 1.6},
        Origin.MODELLED: {"marker": "_", "markeredgewidth": 3},
        Origin.RECORDED: {"marker": "D", "markeredgewidth": 0},
        Origin.PUBLISHED: {"marker": "x", "markeredgewidth": 2},
    }[origin]
    alpha = 0.25 if pale else 0.75 if origin is Origin.MEASURED else 1.0
    return {"linestyle": "none", "color": colour, "alpha": alpha, "zorder": 4, **shape}


def part(name: str) -> dict[str, Any]:
    """The look of a stacked part, for ``ax.bar`` and ``ax.broken_barh``: its colour, its pattern, an edge."""
    return {"facecolor": COLOUR[name], "hatch": HATCH.get(name, ""), "edgecolor": "#00000099"}


def key(ax: Axes, origins: Collection[Origin]) -> None:
    """What the shapes of the marks mean, in the upper left corner: nothing else tells the origin."""
    named = {str(origin): Line2D([], [], **mark(origin)) for origin in Origin if origin in origins}
    look: Any = {"frameon": True, "framealpha": 1, "edgecolor": GROUND, "facecolor": GROUND}
    if named:
        ax.legend([*named.values()], [*named], loc="upper left", borderaxespad=0.2, **look)


def vertical(ax: Axes, x: float, label: str, colour: str = MUTED) -> None:
    """A dashed line across `ax` at `x`, its label above the axes: `describe` it with ``above=1``."""
    ax.axvline(x, color=colour, linestyle="--", linewidth=2)
    ax.annotate(
        label, (x, 1), (0, 5), xycoords=("data", "axes fraction"), textcoords="offset points", ha="center",
        color=ink(colour),
    )  # fmt: skip


def counted(count: int, noun: str) -> str:
    """1 node, 2 nodes, 1,024 nodes."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def doubted(sentence: str, *doubts: str) -> str:
    """`sentence`, or the first of the `doubts` (see `quality.doubt`) that is not empty instead."""
    why = next(filter(None, doubts), "")
    return why[:1].upper() + why[1:] if why else sentence


@contextlib.contextmanager
def look() -> Iterator[None]:
    """Whatever is drawn inside has the course's look, one thread at a time; nothing of it stays."""
    with _LOCK, matplotlib.style.context("hpclab.hpclab"):
        yield


def figure(height: float = 430) -> tuple[Figure, Axes]:
    """A figure of the course's look, `height` pixels high, of which pyplot knows nothing.

    For widgets, which keep one and draw on it within ``look()``.
    """
    with look():
        made = Figure(figsize=(WIDTH / 96, height / 96))
        # The layout moves the axes; a title that begins above a low figure would be broken at every word.
        return made, made.add_subplot(made.add_gridspec(top=0.7)[0])


def describe(ax: Axes, title: str, text: str, *, above: int = 0) -> Axes:
    """Give `ax` its `title`, the answer's form, and `text`, which a screen reader says after it.

    Under the title so many lines as `above` are left free. The figure then shows itself in a notebook as
    sharp, accessible SVG.
    """
    whole = ax.get_figure(root=True)
    assert whole is not None
    written = ax.set_title(title, loc="left", wrap=True, pad=10 + 20 * above)
    if whole.axes == [ax]:  # as far left as the figure goes, so that it seldom takes a second line
        across = blended_transform_factory(whole.transFigure, ax.transAxes)
        written.set(x=0.006, transform=across + vars(ax)["titleOffsetTrans"])
    vars(ax)["_hpclab_text"] = text
    vars(whole)["_ipython_display_"] = functools.partial(_display, whole)
    return ax


def _display(figure: Figure) -> None:
    from IPython.display import HTML, display

    display(HTML(svg(figure)))


def description(figure: Figure) -> str:
    """What a screen reader says of `figure`, after its titles."""
    return " ".join(vars(ax)["_hpclab_text"] for ax in figure.axes if "_hpclab_text" in vars(ax))


def tips(artist: Artist, *texts: str) -> None:
    """What the mouse shows over `artist`: over a patch, or over each mark of a line in turn."""
    artist.set_gid(f"tip{id(artist):x}")
    vars(artist)["_hpclab_tips"] = texts


def svg(figure: Figure) -> str:
    """`figure` as SVG text that stands alone: it scales down with its cell, is read aloud, shows tips.

    All ids are its own, so any number of figures can stand on one page.
    """
    learners = figure.canvas.manager is not None  # pyplot's, in a look of their own
    with _LOCK, matplotlib.rc_context({"svg.fonttype": "none"}) if learners else look():
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
        width, height = (float(side) for side in figure.get_size_inches())
    _, _, body = re.sub(r"<metadata>.*?</metadata>", "", file.getvalue(), flags=re.S).partition("<svg")
    body = body[body.index(">") + 1 :]
    for artist in figure.findobj(lambda one: "_hpclab_tips" in vars(one)):
        body = _with_tips(body, str(artist.get_gid()), vars(artist)["_hpclab_tips"])
    name = f"h{uuid.uuid4().hex[:8]}"
    body = re.sub(r'<g id="[^"]*"', "<g", body).replace("*{", f"#{name} *{{")
    body = re.sub(r"(\.\d\d)\d+", r"\1", body)  # of a point: finer than any screen
    title = " ".join(filter(None, (ax.get_title("left") for ax in figure.axes)))
    return (
        f'<svg id="{name}" xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
        f' viewBox="0 0 {width * 72:g} {height * 72:g}" role="img" aria-labelledby="{name}-t {name}-d"'
        f' style="{_CSS}{width * 96:.0f}px">'
        f'<title id="{name}-t">{escape(title)}</title>'
        f'<desc id="{name}-d">{escape(description(figure))}</desc>{body}'
    )


def _with_tips(body: str, gid: str, texts: Sequence[str]) -> str:
    before, found, after = body.partition(f'<g id="{gid}">')
    left = iter(texts)

    def with_title(match: re.Match[str]) -> str:
        return f"<{match[1]}{match[2]}><title>{escape(next(left))}</title></{match[1]}>"

    return before + found + re.sub(r"<(use|path(?= d=))([^>]*)/>", with_title, after, count=len(texts))
