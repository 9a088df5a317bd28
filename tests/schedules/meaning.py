"""What each collective means, and nodes of any size to ask it on: for the replayed and the executed tests."""

import numpy

from hpclab import schedules
from hpclab.parallel.execution import Execution

PAIRS = [(name, algorithm) for name, known in schedules.ALGORITHMS.items() for algorithm in known]


def made(name, algorithm, ranks, elements):
    """A schedule on nodes of one to six ranks, of whom the last node may have fewer."""
    per_node = 1 + (ranks + elements) % 6
    return schedules.collective(name, algorithm, ranks, elements, ranks_per_node=per_node)


def inputs(schedule, seed=0):
    """Whole numbers for every rank, as many as its input holds."""
    draw = numpy.random.default_rng(seed)
    places = (schedules.layout(schedule, rank).input for rank in range(schedule.ranks))
    return [draw.integers(1, 1000, place.stop - place.start) for place in places]


def expected(schedule, values):
    """The result of each rank, straight from the meaning of the collective."""
    name, ranks, everyone = schedule.collective, schedule.ranks, range(schedule.ranks)
    if name == "broadcast":
        return [values[0]] * ranks
    if name == "reduce":
        return [sum(values) if rank == 0 else values[0][:0] for rank in everyone]
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


def check_on_rank(transport, as_buffer, tell):
    """Every algorithm of every collective on a real rank: the answer, and the bytes the transport counted.

    ``as_buffer(array)`` is what the transport takes, in the array's memory.
    """
    rank, ranks = transport.rank, transport.size
    for name, algorithm in PAIRS:
        for elements in (5, 67) if ranks < 8 else (67,):
            schedule = made(name, algorithm, ranks, elements)
            values = inputs(schedule)
            buffer, before = schedules.place(schedule, rank, values[rank]), transport.sent
            Execution(schedule, transport)(as_buffer(buffer))
            case = f"{algorithm} {name}, rank {rank} of {ranks}, {elements} elements"
            found = schedules.result(schedule, rank, buffer)
            if not numpy.array_equal(found, expected(schedule, values)[rank]):
                tell(f"wrong answer: {case}")
            scheduled = elements_sent(schedule)[rank] * buffer.itemsize
            if transport.sent - before != scheduled:
                tell(f"{transport.sent - before} bytes sent, the schedule has {scheduled}: {case}")
