"""What each collective means, and odd ways to ask for it: shared by the replayed and the executed tests."""

from __future__ import annotations

import numpy

from hpclab import schedules

PAIRS = [(name, algorithm) for name, known in schedules.ALGORITHMS.items() for algorithm in known]


def options(name, ranks, seed):
    """Odd ones, the same for the same seed."""
    draw = numpy.random.default_rng(seed)
    chosen = {"ranks_per_node": int(draw.integers(1, 7))}
    if name in ("broadcast", "reduce"):
        chosen["root"] = int(draw.integers(ranks))
    return chosen


def inputs(schedule, seed=0):
    """Whole numbers for every rank, as many as its input holds."""
    draw = numpy.random.default_rng(seed)
    sizes = []
    for rank in range(schedule.ranks):
        where = schedules.layout(schedule, rank).input
        sizes.append(where.stop - where.start)
    return [draw.integers(1, 1000, size) for size in sizes]


def expected(schedule, values):
    """The result of each rank, straight from the meaning of the collective."""
    name, ranks, everyone = schedule.collective, schedule.ranks, range(schedule.ranks)
    if name == "broadcast":
        return [values[schedule.root]] * ranks
    if name == "reduce":
        return [sum(values) if rank == schedule.root else values[0][:0] for rank in everyone]
    if name == "all_reduce":
        return [sum(values)] * ranks
    if name == "all_gather":
        return [numpy.concatenate(values)] * ranks
    if name == "reduce_scatter":
        return numpy.array_split(sum(values), ranks)
    return [
        numpy.concatenate([numpy.array_split(values[source], ranks)[rank] for source in everyone])
        for rank in everyone
    ]


def elements_sent(schedule):
    """By each rank to others, shape (ranks,)."""
    away = schedule.messages[schedule.messages["source"] != schedule.messages["target"]]
    return numpy.bincount(away["source"], away["size"], schedule.ranks)


def check_on_rank(rank, ranks, execute, sent, tell):
    """Every algorithm of every collective on a real rank: the answer, and the bytes the transport counted.

    ``execute(schedule, buffer)`` runs this rank's part on an array; ``sent()`` are the bytes so far.
    """
    for name, algorithm in PAIRS:
        for elements in (5, 67) if ranks < 8 else (67,):
            chosen = options(name, ranks, elements)
            schedule = schedules.collective(name, algorithm, ranks, elements, **chosen)
            values = inputs(schedule)
            buffer, before = schedules.place(schedule, rank, values[rank]), sent()
            execute(schedule, buffer)
            case = f"{algorithm} {name}, rank {rank} of {ranks}, {elements} elements, {chosen}"
            if not numpy.array_equal(
                schedules.result(schedule, rank, buffer), expected(schedule, values)[rank]
            ):
                tell(f"wrong answer: {case}")
            scheduled = elements_sent(schedule)[rank] * buffer.itemsize
            if sent() - before != scheduled:
                tell(f"{sent() - before} bytes sent, the schedule has {scheduled}: {case}")
