"""Recursive doubling and halving: in step s partners are 2^s apart, so log2(p) steps join everybody.

Where p is no power of two, the first 2 (p - 2^k) ranks pair up: the odd one of a pair hands in what it has
before the first step and gets the result after the last. Thakur, Rabenseifner, Gropp, IJHPCA 19 (2005),
sections 3 and 4; Rabenseifner, "Optimization of Collective Reduction Operations", ICCS 2004.
"""

from __future__ import annotations

import numpy

from hpclab.schedules.messages import Counts, Messages, Shape, backwards, bounds, per_rank, rows, then


def _heads(shape: Shape) -> tuple[Counts, Counts]:
    """The 2^k ranks that take part, counted from the root, and the ranks that they stand for."""
    extra = shape.ranks - (1 << (shape.ranks.bit_length() - 1))
    place = numpy.arange(shape.ranks - extra)
    heads = numpy.where(place < extra, 2 * place, place + extra)
    return (heads + shape.root) % shape.ranks, (2 * place[:extra] + 1 + shape.root) % shape.ranks


def _double(heads: Counts, starts: Counts) -> Messages:
    """Head i begins with ``starts[i]`` to ``starts[i + 1]``, and all have all of it in the end."""
    place, parts = numpy.arange(len(heads)), []
    for step in range(len(heads).bit_length() - 1):
        begin = place >> step << step
        size = starts[begin + (1 << step)] - starts[begin]
        parts.append(rows(step, heads, heads[place ^ (1 << step)], starts[begin], size))
    return numpy.concatenate([then(), *parts])


def _sent_double(ranks: int, heads: Counts, starts: Counts) -> Counts:
    """Head i sends in step s the aligned range of 2^s parts that it is in."""
    place, step = numpy.arange(len(heads)), numpy.arange(len(heads).bit_length() - 1)[:, None]
    begin = place >> step << step
    return per_rank(ranks, heads, starts[begin + (1 << step)] - starts[begin])


def _out(shape: Shape) -> Messages:
    """The whole vector from the heads of pairs to those they stand for."""
    heads, extras = _heads(shape)
    return rows(0, heads[: len(extras)], extras, 0, shape.elements)


def recursive_doubling(shape: Shape) -> Messages:
    """All-reduce: partners exchange whole vectors and add; log2(p) steps, n elements in each."""
    heads, _ = _heads(shape)
    place = numpy.arange(len(heads))
    exchange = [
        rows(0, heads, heads[place ^ (1 << step)], 0, shape.elements, reduce=True)
        for step in range(len(heads).bit_length() - 1)
    ]
    return then(backwards(_out(shape)), *exchange, _out(shape))


def sent_recursive_doubling(shape: Shape) -> Counts:
    """n log2(p); with 2^k < p, k n for the heads, n more for those with an odd partner, n for that one."""
    heads, extras = _heads(shape)
    steps = len(heads).bit_length() - 1
    pairs = per_rank(shape.ranks, [*heads[: len(extras)], *extras], shape.elements)
    return pairs + per_rank(shape.ranks, heads, steps * shape.elements)


def _in_blocks(shape: Shape) -> Messages:
    """All-gather of 2^k blocks, one with each head, until every rank has the vector."""
    heads, _ = _heads(shape)
    return then(_double(heads, bounds(shape.elements, len(heads))), _out(shape))


def halving_doubling(shape: Shape) -> Messages:
    """Rabenseifner's all-reduce: reduce-scatter by recursive halving, all-gather by recursive doubling."""
    return then(backwards(_in_blocks(shape)), _in_blocks(shape))


def sent_halving_doubling(shape: Shape) -> Counts:
    """2 n (p - 1) / p in 2 log2(p) steps; a pair sends n more each way. Halving sends what doubling got:
    everything but the rank's own block."""
    heads, extras = _heads(shape)
    starts = bounds(shape.elements, len(heads))
    pairs = per_rank(shape.ranks, [*heads[: len(extras)], *extras], shape.elements)
    halving = per_rank(shape.ranks, heads, shape.elements - numpy.diff(starts))
    return pairs + halving + _sent_double(shape.ranks, heads, starts)


def _scatter(shape: Shape) -> Messages:
    """From the root, half of the blocks to the head half-way, and so on: log2(p) steps."""
    heads, _ = _heads(shape)
    starts, parts = bounds(shape.elements, len(heads)), []
    steps = len(heads).bit_length() - 1
    for step in range(steps):
        half = len(heads) >> (step + 1)
        holder = numpy.arange(0, len(heads), 2 * half)
        middle, end = starts[holder + half], starts[holder + 2 * half]
        parts.append(rows(step, heads[holder], heads[holder + half], middle, end - middle))
    return numpy.concatenate([then(), *parts])


def _subtree(shape: Shape) -> tuple[Counts, Counts]:
    """The heads, and how much of the vector passes through each in a scatter: its own block and all below."""
    heads, _ = _heads(shape)
    starts, place = bounds(shape.elements, len(heads)), numpy.arange(len(heads))
    width = numpy.where(place == 0, len(heads), place & -place)
    return heads, starts[place + width] - starts[place]


def broadcast(shape: Shape) -> Messages:
    """Scatter by halving, then all-gather by doubling: about 2 n sent by the root, whatever p is."""
    return then(_scatter(shape), _in_blocks(shape))


def sent_broadcast(shape: Shape) -> Counts:
    """In the scatter what a rank passes on, n (p - 1) / p for the root; then the all-gather's n (p - 1) / p;
    n more for a head with an odd partner."""
    heads, extras = _heads(shape)
    starts, through = bounds(shape.elements, len(heads)), _subtree(shape)[1]
    scattered = per_rank(shape.ranks, heads, through - numpy.diff(starts))
    out = per_rank(shape.ranks, heads[: len(extras)], shape.elements)
    return scattered + _sent_double(shape.ranks, heads, starts) + out


def reduce(shape: Shape) -> Messages:
    """Reduce-scatter by halving, then the blocks to the root. What is gathered overwrites: a rank on the way
    has given its own sum away already."""
    return then(backwards(_in_blocks(shape)), backwards(_scatter(shape), reduce=False))


def sent_reduce(shape: Shape) -> Counts:
    """n (p - 1) / p in the halving; then every head but the root its block and those gathered below it; n for
    the odd one of a pair."""
    heads, through = _subtree(shape)
    _, extras = _heads(shape)
    blocks = numpy.diff(bounds(shape.elements, len(heads)))
    gathered = numpy.where(numpy.arange(len(heads)) == 0, 0, through)
    handed_in = per_rank(shape.ranks, extras, shape.elements)
    return per_rank(shape.ranks, heads, shape.elements - blocks + gathered) + handed_in


def _group_starts(shape: Shape) -> Counts:
    """Where each head's part of the gathered vector begins: its block and that of its odd partner."""
    heads, _ = _heads(shape)
    return numpy.append(shape.bounds[heads], shape.elements)


def all_gather(shape: Shape) -> Messages:
    """What a rank has doubles in each step, so most of the vector moves in the last."""
    heads, extras = _heads(shape)
    gather = rows(0, extras, heads[: len(extras)], shape.bounds[extras], shape.blocks[extras])
    before = rows(0, heads[: len(extras)], extras, 0, shape.bounds[extras])
    after_block = shape.bounds[extras + 1]
    after = rows(0, heads[: len(extras)], extras, after_block, shape.elements - after_block)
    return then(gather, _double(heads, _group_starts(shape)), numpy.concatenate([before, after]))


def sent_all_gather(shape: Shape) -> Counts:
    """n (p - 1) / p; the odd one of a pair its block, and its head all the others to it."""
    heads, extras = _heads(shape)
    back = per_rank(shape.ranks, heads[: len(extras)], shape.elements - shape.blocks[extras])
    own = per_rank(shape.ranks, extras, shape.blocks[extras])
    return back + own + _sent_double(shape.ranks, heads, _group_starts(shape))


def reduce_scatter(shape: Shape) -> Messages:
    """Recursive halving: the all-gather backwards, so most of the vector moves in the first step."""
    return backwards(all_gather(shape))
