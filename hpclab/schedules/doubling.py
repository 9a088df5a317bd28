"""Recursive doubling and halving: in step s partners are 2^s apart, so log2(p) steps join everybody.

Where p is no power of two, the first 2 (p - 2^k) ranks pair up: the odd one of a pair hands in what it has
before the first step and gets the result after the last. Thakur, Rabenseifner, Gropp, IJHPCA 19 (2005),
sections 3 and 4; Rabenseifner, "Optimization of Collective Reduction Operations", ICCS 2004.
"""

import numpy

from hpclab.schedules.messages import Messages, backwards, concatenate, rows, together
from hpclab.schedules.schedule import Counts, Shape, bounds


def _heads(shape: Shape) -> tuple[Counts, Counts, int]:
    """The 2^k ranks that take part (heads), the odd ranks for which the first of them stand in, and k."""
    k = shape.ranks.bit_length() - 1
    place, extra = numpy.arange(1 << k), shape.ranks - (1 << k)
    return numpy.where(place < extra, 2 * place, place + extra), 2 * place[:extra] + 1, k


def _double(heads: Counts, starts: Counts, steps: int) -> Messages:
    """All-gather: head i begins with ``starts[i]`` to ``starts[i + 1]``, in the end each head has all."""
    place, parts = numpy.arange(len(heads)), []
    for step in range(steps):
        begin = place >> step << step
        size = starts[begin + (1 << step)] - starts[begin]
        parts.append(rows(step, heads, heads[place ^ (1 << step)], starts[begin], size))
    return together(*parts)


def _to_odd_ranks(shape: Shape) -> Messages:
    """Each head of a pair sends the whole vector to the odd rank of its pair, one step."""
    heads, extras, _ = _heads(shape)
    return rows(0, heads[: len(extras)], extras, 0, shape.elements)


def recursive_doubling(shape: Shape) -> Messages:
    """All-reduce: partners exchange whole vectors and add; log2(p) steps, n elements in each."""
    heads, _, steps = _heads(shape)
    place = numpy.arange(len(heads))
    exchange = [
        rows(0, heads, heads[place ^ (1 << step)], 0, shape.elements, reduce=True) for step in range(steps)
    ]
    return concatenate(backwards(_to_odd_ranks(shape)), *exchange, _to_odd_ranks(shape))


def _in_blocks(shape: Shape) -> Messages:
    """All-gather of 2^k blocks by recursive doubling between the heads, then out to the others."""
    heads, _, steps = _heads(shape)
    return concatenate(_double(heads, bounds(shape.elements, len(heads)), steps), _to_odd_ranks(shape))


def halving_doubling(shape: Shape) -> Messages:
    """Rabenseifner's all-reduce: reduce-scatter by recursive halving, all-gather by recursive doubling."""
    return concatenate(backwards(_in_blocks(shape)), _in_blocks(shape))


def _scatter(shape: Shape) -> Messages:
    """Scatter: rank 0 sends half of the blocks to the head half-way, then each a half, ...: log2(p) steps."""
    heads, _, steps = _heads(shape)
    starts, parts = bounds(shape.elements, len(heads)), []
    for step in range(steps):
        half = len(heads) >> (step + 1)
        holder = numpy.arange(0, len(heads), 2 * half)
        middle, end = starts[holder + half], starts[holder + 2 * half]
        parts.append(rows(step, heads[holder], heads[holder + half], middle, end - middle))
    return together(*parts)


def broadcast(shape: Shape) -> Messages:
    """Scatter by halving, then all-gather by doubling: about 2 n sent by rank 0, whatever p is."""
    return concatenate(_scatter(shape), _in_blocks(shape))


def reduce(shape: Shape) -> Messages:
    """Reduce-scatter by halving, then the blocks to rank 0. What is gathered overwrites: a rank on the way
    has given its own sum away already."""
    return concatenate(backwards(_in_blocks(shape)), backwards(_scatter(shape), reduce=False))


def all_gather(shape: Shape) -> Messages:
    """What a rank has doubles in each step, so most of the vector moves in the last."""
    heads, extras, steps = _heads(shape)
    pairs, starts, ends = heads[: len(extras)], shape.bounds[extras], shape.bounds[extras + 1]
    gather = rows(0, extras, pairs, starts, shape.blocks[extras])
    before, after = rows(0, pairs, extras, 0, starts), rows(0, pairs, extras, ends, shape.elements - ends)
    whole = numpy.append(shape.bounds[heads], shape.elements)  # of a head's block and its odd partner's
    return concatenate(gather, _double(heads, whole, steps), together(before, after))
