"""Which thread touched which item of an array, and when: items across, a warp's requests one below the other.

Colour is the lane, as in `warp_memory`; grey is what was moved along. What to notice: a row is one moment.
Where a warp reads neighbours, a row is one solid run, and the rows walk through the array. Where each thread
goes through a stretch of its own, every row combs the array, although each thread by itself reads neighbours.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import pairwise

from matplotlib.ticker import MaxNLocator

from hpclab import checks
from hpclab.figures import diagram, lanes, style
from hpclab.models.gpu_memory import SECTOR, WARP, KernelTrace, Request, sectors

_LEFT, _RIGHT = 95.0, style.WIDTH - 12.0
Span = tuple[int, int]  # the first item of the picture, and the one after the last
_MOST = 64  # rows: below five pixels each a row says nothing


def draw(trace: KernelTrace, array: str) -> str:
    """SVG of the first 64 traced requests to `array` in global memory; ValueError where there is none.

    Items are counted from the array's first, whatever its shape.
    """
    checks.instance("trace", trace, KernelTrace)
    requests = sorted(trace.select(array=array, space="global"), key=lambda request: request.step)
    bases = [found.base for found in trace.arrays if found.name == array]
    if not requests or not bases:
        seen = ", ".join(sorted({r.array for r in trace.requests if r.space == "global"})) or "none"
        raise ValueError(f"{trace.kernel} touches no array {array!r} in global memory; it touches: {seen}.")
    shown, base = requests[:_MOST], bases[0]
    item = shown[0].itemsize
    last = max((max(r.addresses) - base) // item for r in shown)
    first = min((min(r.addresses) - base) // item for r in shown)
    span = first, last + 1
    title = _title(array, shown)
    top = diagram.title_height(title) + 1.9 * style.TEXT
    tall = min(22.0, max(5.0, 260 / len(shown)))
    bottom = top + tall * len(shown)
    body = _frame(span, f"item of {array}", top, bottom, len(shown), tall)
    for number, request in enumerate(shown):
        body += _row(span, request, base, top + number * tall, tall - (2 if tall > 8 else 1))
    height = bottom + 3 * style.TEXT
    return diagram.document(title, _said(trace, requests, base), body, height=height)


def _x(span: Span, item: float) -> float:
    part = (item - span[0]) / (span[1] - span[0])
    return _LEFT + min(max(part, 0.0), 1.0) * (_RIGHT - _LEFT)


def _frame(span: Span, label: str, top: float, bottom: float, rows: int, tall: float) -> list[str]:
    markup = [diagram.text(0, top - 0.7 * style.TEXT, "request", colour=style.MUTED), _key(top)]
    every = next(step for step in (1, 2, 4, 8, 16) if step * tall >= 1.1 * style.TEXT)
    for row in range(0, rows, every):
        y = top + (row + 0.5) * tall + style.TEXT * 0.35
        markup.append(diagram.text(_LEFT - 12, y, str(row + 1), anchor="end", colour=style.MUTED))
    for value in MaxNLocator(6, integer=True).tick_values(*span):
        if not span[0] <= value <= span[1]:
            continue
        x = _x(span, value)
        markup.append(f'<path d="M{x:.1f},{top:.1f}V{bottom + 5:.1f}" stroke="{style.GRID}"/>')
        markup.append(diagram.text(x, bottom + style.TEXT * 1.3, f"{value:g}", anchor="middle"))
    markup.append(f'<path d="M{_LEFT},{bottom:.1f}H{_RIGHT}" stroke="{style.INK}"/>')
    centre, y = (_LEFT + _RIGHT) / 2, bottom + 2.6 * style.TEXT
    markup.append(diagram.text(centre, y, label, anchor="middle", colour=style.MUTED))
    return markup


def _key(top: float) -> str:
    """Above the rows at the right: the run of colour from lane 0 to 31, and grey."""
    y, box, grey = top - 0.7 * style.TEXT, 'height="15"', style.COLOUR["idle"]
    run = "".join(
        f'<rect x="{_RIGHT - 305 + 3 * lane:.0f}" y="{y - 14:.0f}" width="3" {box} '
        f'fill="{lanes.colour(lane / (WARP - 1))}"/>'
        for lane in range(WARP)
    )
    return (
        diagram.text(_RIGHT - 312, y, "lane 0", anchor="end", colour=style.MUTED)
        + run
        + diagram.text(_RIGHT - 202, y, "31", colour=style.MUTED)
        + f'<rect x="{_RIGHT - 150:.0f}" y="{y - 14:.0f}" width="20" {box} fill="{grey}"/>'
        + diagram.text(_RIGHT, y, "moved along", anchor="end", colour=style.MUTED)
    )


def _row(span: Span, request: Request, base: int, y: float, tall: float) -> list[str]:
    markup = []
    for sector in map(int, sectors(request.addresses, request.itemsize)):
        begin = (sector * SECTOR - base) / request.itemsize
        x, end = _x(span, begin), _x(span, begin + SECTOR / request.itemsize)
        if end > x:
            size = f'width="{end - x:.1f}" height="{tall:.1f}"'
            markup.append(f'<rect x="{x:.1f}" y="{y:.1f}" {size} fill="{style.COLOUR["idle"]}"/>')
    for lane, address in zip(request.lanes, request.addresses, strict=True):
        place = (address - base) // request.itemsize
        x, end = _x(span, place), _x(span, place + 1)
        size = f'width="{max(end - x, 1.5):.1f}" height="{tall:.1f}"'
        tint = lanes.colour(lane / (WARP - 1))
        tip = f"<title>block {request.block}, warp {request.warp}, lane {lane}: item {place}</title>"
        markup.append(f'<rect x="{x:.1f}" y="{y:.1f}" {size} fill="{tint}">{tip}</rect>')
    return markup


def _title(array: str, requests: Sequence[Request]) -> str:
    gaps = [abs(b - a) // r.itemsize for r in requests for a, b in pairwise(r.addresses)]
    apart = statistics.median_low(gaps) if gaps else 0
    mean = sum(request.sectors for request in requests) / len(requests)
    stand = "share an item" if apart == 0 else f"are {apart} item{'s' * (apart != 1)} apart"
    return f"{array}: neighbouring lanes {stand}, {mean:.3g} sector{'s' * (mean != 1)} a request"


def _said(trace: KernelTrace, requests: Sequence[Request], base: int) -> str:
    one = requests[0]
    touched = [(a - base) // one.itemsize for a in one.addresses]
    more = f" Drawn are the first {_MOST} of {len(requests)} requests." if len(requests) > _MOST else ""
    some = ", ".join(map(str, touched[:4]))
    return (
        f"{len(requests)} requests of {trace.kernel}. The first is of warp {one.warp} in block {one.block}: "
        f"items {some} and so on to {touched[-1]}. Grey was moved though no lane asked.{more}"
    )
