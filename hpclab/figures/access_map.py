"""Which lane touched which item of an array: items across, a row for each of a warp's requests in time. A
warp that reads neighbours gives solid rows; threads with a stretch each give rows like combs."""

import statistics
from collections.abc import Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.legend_handler import HandlerTuple
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from hpclab import checks
from hpclab.figures import lanes, style
from hpclab.models.gpu_memory import SECTOR, WARP, KernelTrace, Request, sectors

_MOST = 64  # rows: below five pixels each a row says nothing


def draw(trace: KernelTrace, array: str) -> str:
    """SVG of the first 64 requests of `trace` to `array` (flattened) in global memory; ValueError if none."""
    checks.instance("trace", trace, KernelTrace)
    requests = sorted(trace.select(array=array, space="global"), key=lambda request: request.step)
    bases = [found.base for found in trace.arrays if found.name == array]
    if not requests or not bases:
        seen = ", ".join(sorted({r.array for r in trace.requests if r.space == "global"})) or "none"
        raise ValueError(f"{trace.kernel} touches no array {array!r} in global memory; it touches: {seen}.")
    shown, base = requests[:_MOST], bases[0]
    with style.drawing_context():
        row_height = min(22.0, max(5.0, 120 / len(shown)))  # two figures are compared on one screen
        figure, ax = style.figure(height=row_height * len(shown) + 145)
        _rows(ax, shown, base)
        ax.set(xlabel=f"item of {array}", ylabel="request", ylim=(len(shown) + 0.5, 0.5))
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        ax.xaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
        ax.tick_params(axis="y", length=0)
        ax.grid(visible=False)
        keys = [tuple(Patch(color=lanes.colour(lane)) for lane in range(WARP))]
        style.key_above(
            ax, [*keys, Patch(color=style.COLOUR["idle"])], ["lane 0 to 31", "moved along"], ncols=2,
            handler_map={tuple: HandlerTuple(ndivide=None, pad=0)}, handlelength=4,
            loc="lower right", bbox_to_anchor=(1, 1),
        )  # fmt: skip
        style.describe(ax, _title(array, shown), _said(trace, requests, base), above=1)
    return style.svg(figure)


def _rows(ax: Axes, requests: Sequence[Request], base: int) -> None:
    """Draw each request as a row: the sectors moved in grey, each lane's item in the lane's colour."""
    items = [[(at - base) // r.itemsize for at in r.addresses] for r in requests]
    first, last = min(map(min, items)), max(map(max, items)) + 1
    ax.set_xlim(first, last)
    least = (last - first) / 450  # what can still be seen
    for row, (request, places) in enumerate(zip(requests, items, strict=True), 1):
        size, stripe = request.itemsize, (row - 0.44, 0.88)
        moved = sectors(request.addresses, size)
        spans = [((sector * SECTOR - base) / size, SECTOR / size) for sector in moved]
        ax.broken_barh(spans, stripe, color=style.COLOUR["idle"], linewidth=0)
        colours = [lanes.colour(lane) for lane in request.lanes]
        asked = ax.broken_barh([(at, max(1, least)) for at in places], stripe, color=colours, linewidth=0)
        who, each = f"block {request.block}, warp {request.warp}", zip(request.lanes, places, strict=True)
        style.tips(asked, *(f"{who}, lane {lane}: item {at}" for lane, at in each))


def _title(array: str, requests: Sequence[Request]) -> str:
    """The answer: how many items neighbouring lanes are apart, and the mean sectors of a request."""
    gaps = [abs(b - a) // r.itemsize for r in requests for a, b in pairwise(r.addresses)]
    apart = statistics.median_low(gaps) if gaps else 0
    mean = sum(request.sectors for request in requests) / len(requests)
    stand = f"are {apart} item{'s' * (apart != 1)} apart" if apart else "share an item"
    return f"{array}: neighbouring lanes {stand}, {mean:.3g} sector{'s' * (mean != 1)} a request"


def _said(trace: KernelTrace, requests: Sequence[Request], base: int) -> str:
    """The text for screen readers."""
    one = requests[0]
    touched = [str((a - base) // one.itemsize) for a in one.addresses]
    more = f" Drawn are the first {_MOST} of {len(requests)} requests." if len(requests) > _MOST else ""
    return (
        f"{len(requests)} requests of {trace.kernel}. The first is of warp {one.warp} in block {one.block}: "
        f"items {', '.join(touched[:4])} and so on to {touched[-1]}. "
        f"Grey was moved though no lane asked.{more}"
    )
