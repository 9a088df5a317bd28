"""Every algorithm of every collective gives the right answer, and sends what the books say."""

import itertools

import numpy
import pytest

from hpclab import schedules
from tests.schedules.meaning import PAIRS, elements_sent, expected, inputs, made


@pytest.mark.parametrize(("name", "algorithm"), PAIRS)
def test_right_answer(name, algorithm):
    for ranks, elements in itertools.product(range(1, 18), (0, 5, 48, 67)):
        schedule = made(name, algorithm, ranks, elements)
        values = inputs(schedule)
        buffers = [schedules.place(schedule, rank, values[rank]) for rank in range(ranks)]
        schedules.replay(schedule, buffers)
        for rank, wanted in enumerate(expected(schedule, values)):
            found = schedules.result(schedule, rank, buffers[rank])
            assert numpy.array_equal(found, wanted), (ranks, elements, rank)


@pytest.mark.parametrize(("name", "algorithm"), PAIRS)
def test_rows_are_sound(name, algorithm):
    """Sorted by step, inside the buffers, and no rank is written twice in a step but by sums."""
    for ranks in (1, 2, 6, 8, 13):
        schedule = made(name, algorithm, ranks, 67)
        messages = schedule.messages
        assert (numpy.diff(messages["step"]) >= 0).all()
        assert ((messages["size"] > 0) & (messages["source"] >= 0) & (messages["source"] < ranks)).all()
        assert ((messages["target"] >= 0) & (messages["target"] < ranks)).all()
        for end in ("source_offset", "target_offset"):
            assert ((messages[end] >= 0) & (messages[end] + messages["size"] <= schedule.buffer)).all()
        for step in schedule:
            written, added = numpy.zeros((2, ranks, schedule.buffer), int)
            for row in step:
                into = added if row["reduce"] else written
                into[row["target"], row["target_offset"] :][: row["size"]] += 1
            assert (written <= 1).all()
            assert not (written * added).any(), "overwritten and added to in one step"


def test_what_the_books_say_about_bytes_and_steps():
    n, p = 1600, 16

    def sent(name, algorithm):
        return elements_sent(schedules.collective(name, algorithm, p, n))

    for algorithm in ("ring", "halving_doubling"):
        assert (sent("all_reduce", algorithm) == 2 * n * (p - 1) // p).all()
    assert (sent("all_gather", "ring") == n * (p - 1) // p).all()
    assert (sent("all_to_all", "pairwise") == n * (p - 1) // p).all()
    assert (sent("all_to_all", "bruck") == n * 4 // 2).all()
    assert sent("all_reduce", "double_binary_tree").max() == 2 * n
    assert sent("broadcast", "double_binary_tree").max() == n
    assert sent("all_reduce", "star").tolist() == [(p - 1) * n] + [n] * (p - 1)
    assert sent("reduce", "binomial_tree").sum() == (p - 1) * n
    exchange = schedules.collective("all_to_all", "hierarchical", p, n, ranks_per_node=4)
    reduction = schedules.collective("all_reduce", "hierarchical", p, n, ranks_per_node=4)
    assert (exchange.steps, reduction.steps) == (1 + 3, 2 * 3 + 2)  # the others' are the formulas'
    crossing = reduction.messages
    crossing = crossing[crossing["source"] // 4 != crossing["target"] // 4]
    assert crossing["size"].sum() == 4 * 2 * n * 3 // 4  # a ring of four nodes, whatever they hold inside


REFUSED = [
    ("must be one of broadcast", {"name": "gossip"}),
    ("The algorithm of all_reduce must be one of star", {"name": "all_reduce", "algorithm": "bruck"}),
    ("needs ranks_per_node", {"algorithm": "hierarchical"}),
    *((f"{name} must be", {name: bad}) for name in ("ranks", "ranks_per_node", "elements")
      for bad in (-1, 1.5, float("nan"), "4")),
]  # fmt: skip


def test_what_makes_no_collective_and_input_of_the_wrong_size_are_refused():
    usual = {"name": "broadcast", "algorithm": "ring", "ranks": 4, "elements": 10}
    for words, given in REFUSED:
        with pytest.raises(ValueError, match=words):
            schedules.collective(**usual | given)
    schedule = schedules.collective("all_gather", "ring", 4, 10)
    with pytest.raises(ValueError, match="Rank 3 of this all_gather has 2 elements"):
        schedules.place(schedule, 3, numpy.zeros(3))


def test_what_crosses_the_nodes_waits_at_its_hop_in_no_more_room_than_it_takes():
    schedule = schedules.collective("all_to_all", "hierarchical", 8, 64, ranks_per_node=4)
    assert schedule.buffer == 64 + 64 + 4 * 8  # what is given, what arrives, four ranks' blocks to one other
