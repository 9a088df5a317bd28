"""A small launch: inputs above, threads, output below with what is wrong in it, a line for each access."""

from collections.abc import Sequence
from itertools import pairwise

import numpy
from numpy.typing import NDArray

from hpclab.figures import diagram, lanes, style, wording
from hpclab.models.gpu_memory import WARP, KernelTrace

_CELL, _TALL, _GAP, _LINKS, _NAME = 42.0, 28.0, 12.0, 44.0, 1.25 * style.TEXT
_WRONG = "#fbe3d6"


def draw(trace: KernelTrace, expected: NDArray) -> str:
    """SVG of `trace`, a launch of some twenty threads; its last array, the output, should be `expected`."""
    *given, (last, output) = trace.after.items()
    bases = {array.name: array.base for array in trace.arrays}
    size, blocks = int(numpy.prod(trace.block)), list(trace.blocks)
    top = diagram.title_height("") + _NAME
    middle = top + (_TALL + _LINKS if given else 0)
    below = middle + _TALL + _LINKS
    threads = _places([size] * len(blocks))
    inputs = iter(_places([length for _, array in given for length in _rows(array)]))
    places = {name: [next(inputs) for _ in range(array.size)] for name, array in given}
    places[last] = _places(_rows(output))
    body = dict[str, None]()  # each line once
    for request in trace.select(space="global"):
        begin = blocks.index(request.block) * size + request.warp * WARP
        ends = (middle, top + _TALL) if request.array != last else (middle + _TALL, below)
        for lane, at in zip(request.lanes, request.addresses, strict=True):
            item = places[request.array][(at - bases[request.array]) // request.itemsize]
            line = f"M{threads[begin + lane]:.1f},{ends[0]:.1f}L{item:.1f},{ends[1]:.1f}"
            tint = style.ink(lanes.colour((begin + lane) * WARP // len(threads)))
            body[f'<path d="{line}" stroke="{tint}" stroke-width="1.6"/>'] = None
    fits = numpy.isclose(output, expected).ravel()
    texts = [f"{value:g}" if value == value else "?" for value in output.ravel().tolist()]
    drawn = [_boxes(below, places[last], texts, [style.GROUND if fit else _WRONG for fit in fits])]
    for x, fit, value in zip(places[last], fits, expected.ravel().tolist(), strict=True):
        if not fit:
            drawn.append(diagram.text(x, below + _TALL + _NAME, f"≠{value:g}", anchor="middle"))
    for name, array in given:
        values = [f"{value:g}" for value in array.ravel().tolist()]
        drawn.append(_boxes(top, places[name], values, [style.GROUND] * array.size))
        drawn.append(diagram.text(places[name][0] - 16, top - 6, name, colour=style.MUTED))
    numbers = range(len(threads))
    tints = [lanes.colour(thread * WARP // len(threads)) for thread in numbers]
    drawn.append(_boxes(middle, threads, [*map(str, numbers)], tints))
    beside = max(threads[-1], places[last][-1]) + 30
    for y, name in ((middle, "threads"), (below, last)):
        drawn.append(diagram.text(beside, y + 20, name, colour=style.MUTED))
    title = f"{trace.kernel}: {fits.sum()} of {wording.counted(len(fits), 'item')} of {last} right"
    title += f", but an error: {trace.errors[0].kind}" if trace.errors else ""
    said = f"{wording.counted(len(threads), 'thread')}. {last} is {', '.join(texts)}."
    height = below + _TALL + (6 if fits.all() else 1.5 * _NAME)
    return diagram.document(title, said, [*body, *drawn], height=height)


def _rows(array: NDArray) -> Sequence[int]:
    """The length of each of the array's rows."""
    return [array.shape[-1]] * (array.size // array.shape[-1])


def _places(groups: Sequence[int]) -> list[float]:
    """The x of the middles of boxes in a row, a gap between groups (rows of an array, blocks of threads)."""
    step = min(_CELL, (style.WIDTH - 110 - _GAP * len(groups)) / max(1, sum(groups)))
    gaps = [group for group, length in enumerate(groups) for _ in range(length)]
    return [step * (n + 0.5) + _GAP * gap + 2 for n, gap in enumerate(gaps)]


def _boxes(top: float, places: Sequence[float], texts: Sequence[str], fills: Sequence[str]) -> str:
    """SVG of a row of boxes with `texts` in them, their middles at `places`."""
    side = min((after - one for one, after in pairwise(places)), default=_CELL) - 3
    markup = []
    for x, text, fill in zip(places, texts, fills, strict=True):
        colour = style.INK if int(fill[3:5], 16) > 130 else style.GROUND  # by its green
        markup.append(diagram.box(x - side / 2, top, side, _TALL, fill, stroke=style.INK))
        markup.append(diagram.text(x, top + 20.5, text, anchor="middle", colour=colour))
    return "".join(markup)
