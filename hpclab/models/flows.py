"""Compiled: what each message costs alone, whether any two can meet on a link, and the times if none can.

Where no link is ever shared, a message ends when both its ends were ready plus what it costs alone: one pass
over the messages. `contention.py` simulates the rest.
"""

from __future__ import annotations

import numpy

from hpclab.compiled import njit

NO_WAY = -1


@njit()
def joined(step, source, target, size):
    """Rows of one step from one rank to one other become one message, in place: how many there are left, and
    which of them each row is in."""
    ranks = 1 + max(source.max(), target.max()) if len(step) else 0
    last = numpy.full(ranks, -1, numpy.int64)
    member = numpy.empty(len(step), numpy.int64)
    count = 0
    for row in range(len(step)):
        before = last[source[row]]
        if before >= 0 and step[before] == step[row] and target[before] == target[row]:
            size[before] += size[row]
            member[row] = before
            continue
        step[count], source[count], target[count] = step[row], source[row], target[row]
        size[count] = size[row]
        last[source[count]] = member[row] = count
        count += 1
    return count, member


@njit()
def _route(a, b, levels, way):
    """Fill `way` with the links from rank a to rank b: how many, and the level where the two meet."""
    group, part, out, into, across, shape = levels
    for level in range(group.shape[0]):
        if group[level, a] != group[level, b]:
            continue
        between = -1
        if shape[level, 1]:
            parts = shape[level, 1]
            place = (group[level, a] * parts + part[level, a]) * parts + part[level, b]
            between = across[shape[level, 0] + place]
            if between < 0:
                continue
        count = 0
        for h in range(out.shape[2]):
            if out[level, a, h] >= 0:
                way[count] = out[level, a, h]
                count += 1
        if between >= 0:
            way[count] = between
            count += 1
        for h in range(into.shape[2]):
            if into[level, b, h] >= 0:
                way[count] = into[level, b, h]
                count += 1
        return count, level
    return NO_WAY, 0


@njit()
def ways(source, target, levels):
    """Each message's links in order, shape (messages, hops), -1 where there are fewer."""
    way = numpy.full((len(source), 2 * levels[2].shape[2] + 1), -1, numpy.int32)
    for m in range(len(source)):
        if source[m] != target[m]:
            _route(source[m], target[m], levels, way[m])
    return way


@njit()
def costs(step, source, target, size, levels, bandwidth, latency, level_latency, delay, passing):
    """Fill in each message's delay and seconds to pass alone; whether links are ever shared, or NO_WAY.

    A link is not shared where one rank is an end of all messages over it, at most one of them in each step: a
    rank ends a step before it begins the next.
    """
    first = numpy.full(len(bandwidth), -1, numpy.int32)
    second = numpy.full(len(bandwidth), -1, numpy.int32)
    last = numpy.full(len(bandwidth), -1, numpy.int32)
    way = numpy.empty(2 * levels[2].shape[2] + 1, numpy.int32)
    shared = 0
    for m in range(len(step)):
        a, b = source[m], target[m]
        delay[m] = passing[m] = 0.0
        if a == b:
            continue
        count, level = _route(a, b, levels, way)
        if count == NO_WAY:
            return NO_WAY
        narrow, alpha = numpy.inf, level_latency[level]
        for h in range(count):
            link = way[h]
            alpha += latency[link]
            narrow = min(narrow, bandwidth[link])
            if last[link] < 0:
                first[link], second[link] = a, b
            else:
                if first[link] != a and first[link] != b:
                    first[link] = -1
                if second[link] != a and second[link] != b:
                    second[link] = -1
                if last[link] == step[m] or (first[link] < 0 and second[link] < 0):
                    shared = 1
            last[link] = step[m]
        delay[m], passing[m] = alpha, size[m] / narrow
    return shared


@njit()
def alone(step, source, target, delay, passing, begin, end, finish):
    """Times where no link is shared."""
    ranks = len(finish)
    clock = numpy.zeros(ranks)
    at = numpy.full(ranks, -1, numpy.int32)
    for m in range(len(step)):
        a, b = source[m], target[m]
        if at[a] < step[m]:
            clock[a], at[a] = finish[a], step[m]
        if at[b] < step[m]:
            clock[b], at[b] = finish[b], step[m]
        begin[m] = max(clock[a], clock[b])
        end[m] = time = begin[m] + delay[m] + passing[m]
        finish[a] = max(finish[a], time)
        finish[b] = max(finish[b], time)
