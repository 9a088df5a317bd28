"""Compiled: when the messages of a schedule begin and end, on links that some of them may share.

Messages are sorted by step; `way` holds each one's links, -1 where there are fewer.
"""

import numpy

from hpclab.compiled import njit


@njit()
def links_are_shared(step, source, target, way, links):
    """Whether any two messages can meet on one of `links` links.

    They cannot where one rank is an end of all messages over it, at most one of them in each step: a rank
    ends a step before it begins the next.
    """
    one, other = numpy.full(links, -1, numpy.int64), numpy.full(links, -1, numpy.int64)
    last = numpy.full(links, -1, numpy.int64)
    for m in range(len(step)):
        a, b = source[m], target[m]
        for link in way[m]:
            if link < 0:
                break
            if last[link] < 0:
                one[link], other[link] = a, b
            if one[link] != a and one[link] != b:
                one[link] = -1
            if other[link] != a and other[link] != b:
                other[link] = -1
            if last[link] == step[m] or (one[link] < 0 and other[link] < 0):
                return True
            last[link] = step[m]
    return False


@njit()
def exclusive_times(step, source, target, cost, ranks):
    """Begin and end of each message, and when each rank is done, where no link is shared: a message ends when
    both its ends were ready plus what it costs alone, `cost` seconds."""
    begin, end = numpy.empty(len(step)), numpy.empty(len(step))
    finish, clock = numpy.zeros(ranks), numpy.zeros(ranks)
    at = numpy.full(ranks, -1, numpy.int64)
    for m in range(len(step)):
        for rank in (source[m], target[m]):
            if at[rank] < step[m]:
                clock[rank], at[rank] = finish[rank], step[m]
        begin[m] = max(clock[source[m]], clock[target[m]])
        end[m] = begin[m] + cost[m]
        for rank in (source[m], target[m]):
            finish[rank] = max(finish[rank], end[m])
    return begin, end, finish


@njit()
def shared_times(step, source, target, size, delay, way, bandwidth, mine, first):
    """Begin, end and finish where links are shared, from event to event: one begins, flows or ends.

    A message waits out its `delay`, then is a flow of `size` bytes on all links of its way at once.
    `mine[first[r]:first[r + 1]]` are rank r's messages in order of step, one to itself twice.
    """
    count, ranks = len(step), len(first) - 1
    begin, end, finish = numpy.zeros(count), numpy.zeros(count), numpy.zeros(ranks)
    at, pending, ready = first[:-1].copy(), numpy.zeros(ranks, numpy.int64), numpy.zeros(count, numpy.int8)
    rest, rate, until = size.copy(), numpy.zeros(count), numpy.empty(count)
    stale = numpy.zeros(len(bandwidth), numpy.int8)  # on these links something has begun to flow, or ended
    left, users = numpy.empty(len(bandwidth)), numpy.empty(len(bandwidth), numpy.int64)
    under_way, flowing = numpy.empty(count, numpy.int64), numpy.empty(count, numpy.int64)
    now, busy = 0.0, 0
    while True:
        for rank in range(ranks):  # who has ended a step begins the next
            if pending[rank] or at[rank] == first[rank + 1]:
                continue
            current = step[mine[at[rank]]]
            while at[rank] < first[rank + 1] and step[mine[at[rank]]] == current:
                m = mine[at[rank]]
                at[rank] += 1
                pending[rank] += 1
                ready[m] += 1
                if ready[m] == 2:
                    begin[m] = now
                    under_way[busy] = m
                    busy += 1
        if busy == 0:
            return begin, end, finish
        flows = 0
        for m in under_way[:busy]:
            if rest[m] > 0 and begin[m] + delay[m] <= now * (1 + 1e-12):
                flowing[flows] = m
                flows += 1
        _max_min_rates(flowing[:flows], way, bandwidth, stale, left, users, rate)
        soon = numpy.inf
        for m in under_way[:busy]:
            until[m] = now + rest[m] / rate[m] if rate[m] > 0 else begin[m] + delay[m]
            soon = min(soon, until[m])
        kept = 0
        for m in under_way[:busy]:
            over = until[m] <= soon * (1 + 1e-12)  # its latency, or all of it
            if over:
                stale[way[m]] = 1
            if not over or (rate[m] == 0 and rest[m] > 0):
                rest[m] -= rate[m] * (soon - now)
                under_way[kept] = m
                kept += 1
                continue
            end[m] = soon
            for rank in (source[m], target[m]):
                pending[rank] -= 1
                finish[rank] = soon
        busy, now = kept, soon


@njit()
def _max_min_rates(flowing, way, bandwidth, stale, left, users, rate):
    """Update `rate` of the `flowing` messages that `stale` links join, also through others; clear `stale`.

    Max-min fair (Bertsekas & Gallager, Data Networks, 1992, 6.5.2): the most crowded link gives each of its
    flows an equal part, and what those leave elsewhere goes to the others. -1 in `way` is a last link without
    a limit.
    """
    hops = way.shape[1]
    anew, before, count = numpy.empty_like(flowing), -1, 0
    while before < count:
        before = count
        for m in flowing:
            if rate[m] < 0:
                continue
            for h in range(hops):
                link = way[m, h]
                if link >= 0 and stale[link]:
                    rate[m] = -1.0
                    anew[count] = m
                    count += 1
                    for i in range(hops):
                        its = way[m, i]
                        stale[its] = 1
                        left[its], users[its] = bandwidth[its], 0
                    break
    for m in anew[:count]:
        for link in way[m]:
            users[link] += 1
    settled, part = 0, numpy.empty(count)
    while settled < count:
        least = numpy.inf
        for i in range(count):
            if rate[anew[i]] < 0:
                part[i] = numpy.inf
                for link in way[anew[i]]:
                    part[i] = min(part[i], left[link] / users[link])
                least = min(least, part[i])
        for i in range(count):
            m = anew[i]
            if rate[m] < 0 and part[i] <= least * (1 + 1e-9):
                rate[m] = least
                settled += 1
                for link in way[m]:
                    left[link] = max(0.0, left[link] - least)
                    users[link] -= 1
    stale[:] = 0
