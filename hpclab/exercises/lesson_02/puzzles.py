"""Exercises of lesson 02: a dozen kernels of a few lines. A puzzle is a formula, launches (the first so small
that it is drawn), and mistakes of its own; `kernel_trials` adds those of any kernel."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy
from numpy.typing import NDArray

from hpclab.exercises import Exercise, Verdict
from hpclab.exercises.judges import Mistake
from hpclab.exercises.kernel_trials import LearnerLaunch, by_kernel
from hpclab.figures import thread_map
from hpclab.kernels import tracer

BLOCK = 8  # threads in a block where a puzzle speaks of blocks


def _puzzle(
    name: str, formula: Callable[..., Any], launches: tuple, hint: str, *wrong: Mistake,
    yes: str, begins: float = numpy.nan, dtype: type = numpy.float32, **limits: Any,
) -> Exercise:  # fmt: skip
    """Make the exercise. `launches` are a grid, a block and the shapes of the arrays before the output, which
    is filled with `begins`; `formula(threads, *arrays)` is right. `limits` are those of `by_kernel`."""

    def launch(grid: Any, block: Any, *shapes: Any) -> LearnerLaunch:
        grid, block = (size if isinstance(size, tuple) else (size,) for size in (grid, block))
        threads = math.prod(grid) * math.prod(block)
        made = (numpy.random.default_rng(n).integers(1, 10, shape) for n, shape in enumerate(shapes))
        arrays = [array.astype(dtype) for array in made]
        right: NDArray = numpy.asarray(formula(threads, *arrays)).astype(dtype)
        said = f"With {right.size} item{'s' * (right.size > 1)} of out and {threads} threads"
        return LearnerLaunch(said, grid, block, (*arrays, numpy.full_like(right, begins)), right)

    judge = by_kernel(lambda: [launch(*one) for one in launches], *wrong, yes=yes, **limits)

    def judged_and_drawn(answer: object) -> Verdict:
        verdict, small = judge(answer), launch(*launches[0])
        trace = tracer.trace(answer, small.grid, small.block, *small.arrays)
        return replace(verdict, picture=thread_map.draw(trace, small.expected))

    return Exercise("02", name, judged_and_drawn, (hint,))


# fmt: off
THREAD_IDX = (lambda f: f.missing == list(range(f.launch.block[0], f.output.size)) != [], "only the first "
    "block's items are written. threadIdx.x begins at 0 in every block; cuda.grid(1) counts on.")
_OUTSIDE = (lambda f: f.kind == "out of bounds", "{f.fault} Ask first whether the item is there.")
_ALONG_X = (lambda f: f.missing and f.stored.all(axis=0).any(), "whole columns are never written. x goes "
    "along a row: in column, row = cuda.grid(2) the column comes first.")

NUMBER = _puzzle("its number", lambda threads: numpy.arange(threads), ((2, 8), (3, 64)),
    "cuda.grid(1) is the number.", THREAD_IDX, yes="Yes: each thread wrote one item, its own.")
ADD_TEN = _puzzle("add ten", lambda _, a: a + 10, ((1, 8, 8), (2, 64, 128)),
    "i = cuda.grid(1), then one line about a[i] and out[i].", THREAD_IDX,
    yes="Yes: eight threads, eight items, and no loop is needed.")
TWICE = _puzzle("twice, guarded", lambda _, a: 2 * a, ((2, 8, 10), (3, 64, 130), (1, 32, 5)),
    "if i < out.size: everything else below it.", THREAD_IDX, _OUTSIDE,
    yes="Yes: the threads behind the end have no line to any item.")
REVERSE = _puzzle("reverse", lambda _, a: a[::-1], ((2, 8, 10), (2, 64, 100)),
    "The partner of item i is the one as far from the end as i is from the beginning.",
    _OUTSIDE, (lambda f: f.gives(lambda a, _: a), "that is a copy: no item has moved."),
    yes="Yes. A warp that reads backwards still reads neighbours: the sectors are the same.")
SHIFT = _puzzle("shift", lambda _, a: numpy.append(0, a[:-1]), ((2, 8, 10), (2, 64, 100)),
    "Two cases: i == 0, and all others below out.size.",
    (lambda f: f.kind == "out of bounds", "{f.fault} Item 0 has none before it, and out[0] is 0."),
    (lambda f: f.missing == [0], "item 0 of the output is never written: write 0 there."),
    (lambda f: f.gives(lambda a, _: numpy.append(a[1:], 0)), "that shifts the other way."),
    yes="Yes: each item moved on by one, and nobody read in front of the first.")
GRID_STRIDE = _puzzle("more items than threads", lambda _, a: a, ((1, 8, 19), (2, 32, 200)),
    "for i in range(...): three numbers, where it begins, where it ends, and how far it steps.",
    (lambda f: f.missing and f.stored.sum() == f.threads, "each thread copied one item and stopped: it needs "
     "a loop."),
    wasteful=((lambda f: f.lane_distance > 1, "right, but it could move less. {f.why_sectors}"),),
    yes="Yes: each thread has a line to every eighth item, so neighbours stay neighbours in each round.")
EVERY_NTH = _puzzle("a sum for each thread",
    lambda threads, a: [a[k::threads].sum() for k in range(threads)], ((1, 4, 14), (1, 32, 300)),
    "A variable total, the loop of the last puzzle, and one write at the end.",
    wasteful=((lambda f: f.reread, "right, but it could move less. {f.why_sectors}"),),
    yes="Yes. The sums stay in a variable of the thread, a register, until the one write.")
PLUS_2D = _puzzle("rows and columns", lambda _, a: a + 10,
    ((1, (4, 4), (3, 4)), ((2, 3), (32, 8), (20, 64)), ((2, 2), (8, 8), (10, 13))),
    "column, row = cuda.grid(2), and a guard for each.", _OUTSIDE, _ALONG_X,
    most=lambda f: 2 * f.filled if f.output.shape[1] % 32 == 0 else numpy.inf,
    yes="Yes: along x a warp goes along a row, and a row's items are neighbours in memory.")
PRODUCTS = _puzzle("every pair", lambda _, a, b: numpy.outer(a, b),
    ((1, (4, 4), 3, 4), ((2, 2), (8, 8), 10, 13)), "out[row, column] needs one item of a and one of b.",
    _OUTSIDE, _ALONG_X,
    yes="Yes: many threads read one item, and no sector moves more often for it within a warp.")
COUNT = _puzzle("count in turn", lambda _, x: numpy.bincount(x, minlength=10), ((2, 8, 14), (3, 64, 150)),
    "cuda.atomic.add(bins, WHERE, 1), under a guard for x.", _OUTSIDE, begins=0, dtype=numpy.int32,
    steps=lambda f: f.launch.arrays[0].size / 3,
    yes="Yes: threads that meet at one item take turns, and nothing is lost.")
NEIGHBOUR = _puzzle("a neighbour's number",
    lambda _, a: a + numpy.roll(a.reshape(-1, BLOCK), -1, axis=1).ravel(), ((2, BLOCK, 16), (5, BLOCK, 40)),
    "With t = cuda.threadIdx.x: a[i] goes to tile[t], all wait, and the next one's is tile[(t + 1) % 8].",
    most=lambda f: 2 * f.filled,
    fewer="Read each item of a once: what a neighbour needs goes through a tile.",
    yes="Yes: one line from each item of a, though two threads need it. The tile handed it over.")
BLOCK_MAX = _puzzle("the largest of each block",
    lambda _, a: numpy.maximum.reduceat(a, range(0, a.size, BLOCK)), ((2, BLOCK, 16), (5, BLOCK, 37)),
    "cuda.atomic.max(out, WHERE, VALUE): all threads of a block go to one item.", _OUTSIDE, begins=0,
    steps=lambda f: 16 if f.workers >= f.launch.arrays[0].size else BLOCK,  # a tree may take some more
    yes="Yes. At an atomic a block takes eight turns; the tree of exercise 5 has three rounds for eight.")
