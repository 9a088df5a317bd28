"""Colours by meaning (Okabe-Ito), marks by origin, and figures as SVG that a screen reader can read. Colour
is never the only carrier: the shape of a mark tells its origin, stacked parts have a pattern and a label.
Charts are matplotlib's, in ``hpclab.mplstyle``. Sizes are CSS pixels: 96 an inch, 4/3 a point."""

import contextlib
import functools
import io
import re
import threading
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

import matplotlib
import matplotlib.style
import numpy
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
    """WCAG's relative luminance, from 0 to 1, of red, green and blue from 0 to 255."""
    linear = [c / 3294.6 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def mark(origin: Origin | str, colour: str = "", *, pale: bool = False) -> dict[str, Any]:
    """Arguments of ``ax.plot`` for a mark whose shape says where a number came from. `pale` is for what was
    measured and is in doubt."""
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
    """Arguments of ``ax.bar`` and ``ax.broken_barh`` for a part: its colour, its pattern, an edge."""
    return {"facecolor": COLOUR[name], "hatch": HATCH.get(name, ""), "edgecolor": "#00000099"}


def key(ax: Axes, origins: Collection[Origin]) -> None:
    """Draw a legend of the origins' marks in the upper left corner."""
    named = {str(origin): Line2D([], [], **mark(origin)) for origin in Origin if origin in origins}
    frame: Any = {"frameon": True, "framealpha": 1, "edgecolor": GROUND, "facecolor": GROUND}
    if named:
        ax.legend([*named.values()], [*named], loc="upper left", borderaxespad=0.2, **frame)


def key_above(ax: Axes, *handles_and_labels: Any, **more: Any) -> Any:
    """Draw a legend above the axes, for which `describe` leaves lines free."""
    place: Any = {"loc": "lower left", "bbox_to_anchor": (-0.01, 1), "borderaxespad": 0.1}
    legend = ax.legend(*handles_and_labels, **place | more)
    legend.set_in_layout(False)
    return legend


def plot(ax: Axes, xs: Any, ys: Any, attributes: Mapping[str, Any], texts: Iterable[str]) -> None:
    """Draw marks at `xs` and `ys`, each with one of `texts` as what the mouse shows."""
    (line,) = ax.plot(xs, ys, **attributes)
    tips(line, *texts)


def note(ax: Axes, text: str, place: tuple[float, float], shift: tuple[float, float], **more: Any) -> None:
    """Write `text` beside a `place` in the data's units, moved by `shift` points."""
    ax.annotate(text, place, shift, textcoords="offset points", **more)


def vertical(ax: Axes, x: float, label: str, colour: str = MUTED) -> None:
    """Draw a dashed line across `ax` at `x`, its label above the axes: `describe` it with ``above=1``."""
    ax.axvline(x, color=colour, linestyle="--", linewidth=2)
    note(ax, label, (x, 1), (0, 5), xycoords=("data", "axes fraction"), ha="center", color=ink(colour))


def rows(ax: Axes, names: Sequence[str], **more: Any) -> None:
    """Write the `names` of the rows 0, 1, 2, ... at the left."""
    ax.set_yticks(range(len(names)), names, **more)
    ax.tick_params(axis="y", length=0)


def evenly_spaced(count: int, most: int) -> list[int]:
    """At most `most` of the numbers below `count`, evenly spaced."""
    return sorted({round(number) for number in numpy.linspace(0, count - 1, min(count, most))})


@contextlib.contextmanager
def drawing_context() -> Iterator[None]:
    """Draw in the course's style sheet; one thread at a time, as matplotlib's settings are global."""
    with _LOCK, matplotlib.style.context("hpclab.hpclab"):
        yield


def figure(height: float = 430) -> tuple[Figure, Axes]:
    """A figure `height` pixels high that pyplot does not know, to be drawn on in `drawing_context`."""
    with drawing_context():
        made = Figure(figsize=(WIDTH / 96, height / 96))
        # The layout moves the axes; a title that begins above a low figure would be broken at every word.
        return made, made.add_subplot(made.add_gridspec(top=0.7)[0])


def describe(ax: Axes, title: str, text: str, *, above: int = 0) -> Axes:
    """Give `ax` its `title`, with `above` lines free below it, and `text` for screen readers. A notebook then
    shows the figure as `svg`."""
    whole = root(ax)
    written = ax.set_title(title, loc="left", wrap=True, pad=10 + 20 * above)
    if whole.axes == [ax]:  # as far left as the figure goes, so that it seldom takes a second line
        across = blended_transform_factory(whole.transFigure, ax.transAxes)
        written.set(x=0.006, transform=across + vars(ax)["titleOffsetTrans"])
    vars(ax)["_hpclab_text"] = text
    vars(whole)["_ipython_display_"] = functools.partial(_display, whole)
    return ax


def root(ax: Axes) -> Figure:
    """The figure of `ax`."""
    whole = ax.get_figure(root=True)
    assert whole is not None
    return whole


def _display(figure: Figure) -> None:
    from IPython.display import HTML, display

    display(HTML(svg(figure)))


def description(figure: Figure) -> str:
    """What a screen reader says of `figure`, after its titles."""
    return " ".join(vars(ax)["_hpclab_text"] for ax in figure.axes if "_hpclab_text" in vars(ax))


def tips(artist: Artist, *texts: str) -> None:
    """Set what the mouse shows over `artist`: over a patch, or over each mark of a line in turn."""
    artist.set_gid(f"tip{id(artist):x}")
    vars(artist)["_hpclab_tips"] = texts


def svg(figure: Figure) -> str:
    """`figure` as SVG that scales with its cell and shows tips, with ids that no other figure has."""
    learners = figure.canvas.manager is not None  # pyplot's, with the learner's own settings
    with _LOCK, matplotlib.rc_context({"svg.fonttype": "none"}) if learners else drawing_context():
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
    """Put `texts` as tooltips into the marks or the patch of the group `gid` in the SVG `body`."""
    before, found, after = body.partition(f'<g id="{gid}">')
    left = iter(texts)

    def with_title(match: re.Match[str]) -> str:
        return f"<{match[1]}{match[2]}><title>{escape(next(left))}</title></{match[1]}>"

    return before + found + re.sub(r"<(use|path(?= d=))([^>]*)/>", with_title, after, count=len(texts))
