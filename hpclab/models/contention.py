"""Compiled: messages as flows that share links, event by event.

A message waits out its latency, then is a flow on all links of its way at once. Flows on a link share it,
max-min fair (Bertsekas & Gallager, Data Networks, 1992, 6.5.2): the most crowded link gives each of its flows
an equal part, and what those leave elsewhere goes to the others. Rates are found anew for those flows only
that share links with what has just begun or ended.
"""

from __future__ import annotations

import numpy

from hpclab.compiled import njit


@njit()
def _up(heap, place, key, at):
    slot = heap[at]
    while at and key[heap[(at - 1) // 2]] > key[slot]:
        heap[at] = heap[(at - 1) // 2]
        place[heap[at]] = at
        at = (at - 1) // 2
    heap[at] = slot
    place[slot] = at


@njit()
def _down(heap, place, key, at, count):
    slot = heap[at]
    while 2 * at + 1 < count:
        child = 2 * at + 1
        if child + 1 < count and key[heap[child + 1]] < key[heap[child]]:
            child += 1
        if key[heap[child]] >= key[slot]:
            break
        heap[at] = heap[child]
        place[heap[at]] = at
        at = child
    heap[at] = slot
    place[slot] = at


@njit()
def _share(links, links_count, head, after, way, owner, hops, bandwidth, left, users, rate, fixed, mark):
    """Max-min fair rates of all flows on `links`; what is crowded most is settled first."""
    for i in range(links_count):
        link = links[i]
        left[link] = bandwidth[link]
        users[link] = 0
        node = head[link]
        while node >= 0:
            users[link] += 1
            fixed[node // hops] = 0
            node = after[node]
    while True:
        least = numpy.inf
        for i in range(links_count):
            if users[links[i]]:
                least = min(least, left[links[i]] / users[links[i]])
        if least == numpy.inf:
            return
        for i in range(links_count):
            link = links[i]
            if users[link] == 0 or left[link] / users[link] > least * (1 + 1e-9):
                continue
            node = head[link]
            while node >= 0:
                slot = node // hops
                if not fixed[slot]:
                    fixed[slot] = 1
                    rate[slot] = least
                    for h in range(hops):
                        other = way[owner[slot], h]
                        if other < 0:
                            break
                        left[other] = max(0.0, left[other] - least)
                        users[other] -= 1
                node = after[node]


@njit()
def crowded(step, source, target, way, bandwidth, delay, size, begin, end, finish):
    """Times where links are shared: an event when a message has waited its latency out, one at its end.

    Arguments as in `flows`, and each message's links `way`; `begin`, `end` and `finish` are filled in.
    """
    count, ranks, hops, links = len(step), len(finish), way.shape[1], len(bandwidth)
    # Each rank's messages in order of step: `mine[first[r]:first[r + 1]]`.
    first = numpy.zeros(ranks + 1, numpy.int64)
    for m in range(count):
        first[source[m] + 1] += 1
        if target[m] != source[m]:
            first[target[m] + 1] += 1
    for r in range(ranks):
        first[r + 1] += first[r]
    fill, mine = first[:-1].copy(), numpy.empty(first[ranks], numpy.int32)
    for m in range(count):
        mine[fill[source[m]]] = m
        fill[source[m]] += 1
        if target[m] != source[m]:
            mine[fill[target[m]]] = m
            fill[target[m]] += 1
    most = 1  # messages that can be under way at once
    for r in range(ranks):
        run, widest = 0, 0
        for i in range(first[r], first[r + 1]):
            run = run + 1 if i > first[r] and step[mine[i]] == step[mine[i - 1]] else 1
            widest = max(widest, run)
        most += widest

    owner = numpy.empty(most, numpy.int32)  # a slot's message
    key, since = numpy.empty(most), numpy.empty(most)
    rest, rate = numpy.zeros(most), numpy.zeros(most)
    flowing = numpy.zeros(most, numpy.int8)  # after its latency
    heap, place = numpy.empty(most, numpy.int32), numpy.empty(most, numpy.int32)
    free = numpy.arange(most - 1, -1, -1).astype(numpy.int32)
    free_count, heap_count = most, 0
    after, before = numpy.full(most * hops, -1, numpy.int32), numpy.full(most * hops, -1, numpy.int32)
    head = numpy.full(links, -1, numpy.int32)
    left, users = numpy.zeros(links), numpy.zeros(links, numpy.int32)
    fixed = numpy.zeros(most, numpy.int8)
    seen, slot_seen = numpy.zeros(links, numpy.int64), numpy.zeros(most, numpy.int64)
    dirty, queue = numpy.empty(links, numpy.int32), numpy.empty(links, numpy.int32)
    touched = numpy.zeros(links, numpy.int64)
    flows = numpy.empty(most, numpy.int32)
    ready = numpy.zeros(count, numpy.int8)
    at, pending = first[:-1].copy(), numpy.zeros(ranks, numpy.int32)
    waiting, waiting_count = numpy.arange(ranks).astype(numpy.int32), ranks
    now, stamp, batch = 0.0, 0, 0

    while True:
        while waiting_count:  # ranks that have ended a step begin the next
            waiting_count -= 1
            r = waiting[waiting_count]
            finish[r] = now
            if at[r] == first[r + 1]:
                continue
            current = step[mine[at[r]]]
            while at[r] < first[r + 1] and step[mine[at[r]]] == current:
                m = mine[at[r]]
                at[r] += 1
                pending[r] += 1
                ready[m] += 1 if source[m] != target[m] else 2
                if ready[m] == 2:
                    begin[m] = now
                    free_count -= 1
                    slot = free[free_count]
                    owner[slot], flowing[slot], key[slot] = m, 0, now + delay[m]
                    heap[heap_count] = slot
                    heap_count += 1
                    _up(heap, place, key, heap_count - 1)
        if heap_count == 0:
            return
        now = key[heap[0]]
        batch += 1
        dirty_count = 0
        while heap_count and key[heap[0]] <= now * (1 + 1e-12):
            slot = heap[0]
            m = owner[slot]
            if not flowing[slot] and size[m] > 0:  # it begins to flow
                flowing[slot], rest[slot], since[slot], rate[slot] = 1, size[m], now, 0.0
                key[slot] = numpy.inf
                _down(heap, place, key, 0, heap_count)
                for h in range(hops):
                    link = way[m, h]
                    if link < 0:
                        break
                    node = slot * hops + h
                    before[node], after[node] = -1, head[link]
                    if head[link] >= 0:
                        before[head[link]] = node
                    head[link] = node
                    if touched[link] != batch:
                        touched[link] = batch
                        dirty[dirty_count] = link
                        dirty_count += 1
                continue
            if flowing[slot]:
                for h in range(hops):
                    link = way[m, h]
                    if link < 0:
                        break
                    node = slot * hops + h
                    if before[node] >= 0:
                        after[before[node]] = after[node]
                    else:
                        head[link] = after[node]
                    if after[node] >= 0:
                        before[after[node]] = before[node]
                    if touched[link] != batch:
                        touched[link] = batch
                        dirty[dirty_count] = link
                        dirty_count += 1
            end[m] = now
            for last in range(1 + (source[m] != target[m])):
                r = target[m] if last else source[m]
                pending[r] -= 1
                if pending[r] == 0:
                    waiting[waiting_count] = r
                    waiting_count += 1
            heap_count -= 1
            if heap_count:
                heap[0] = heap[heap_count]
                _down(heap, place, key, 0, heap_count)
            free[free_count] = slot
            free_count += 1

        for d in range(dirty_count):  # new rates for all that share links with what has changed
            if seen[dirty[d]] > stamp or head[dirty[d]] < 0:
                continue
            links_count, flow_count, i = 1, 0, 0
            queue[0] = dirty[d]
            seen[dirty[d]] = stamp + 1
            while i < links_count:
                node = head[queue[i]]
                i += 1
                while node >= 0:
                    slot = node // hops
                    if slot_seen[slot] <= stamp:
                        slot_seen[slot] = stamp + 1
                        flows[flow_count] = slot
                        flow_count += 1
                        for h in range(hops):
                            link = way[owner[slot], h]
                            if link < 0:
                                break
                            if seen[link] <= stamp:
                                seen[link] = stamp + 1
                                queue[links_count] = link
                                links_count += 1
                    node = after[node]
            for f in range(flow_count):
                slot = flows[f]
                rest[slot] = max(0.0, rest[slot] - rate[slot] * (now - since[slot]))
                since[slot] = now
            _share(
                queue, links_count, head, after, way, owner, hops, bandwidth, left, users, rate, fixed, dirty
            )
            for f in range(flow_count):
                slot = flows[f]
                old, key[slot] = key[slot], now + rest[slot] / rate[slot]
                if key[slot] < old:
                    _up(heap, place, key, place[slot])
                else:
                    _down(heap, place, key, place[slot], heap_count)
        stamp += 1
