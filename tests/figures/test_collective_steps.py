"""The stepper's pictures: what ranks hold, what is said of messages, and that it stays quick and readable."""

import xml.etree.ElementTree as ElementTree

import pytest

from hpclab import schedules
from hpclab.figures.collective_steps import StepPicture
from hpclab.models.network import Link, with_slow_link
from hpclab.models.schedule_time import simulate
from hpclab.models.topologies import cluster, single_node

LINK = Link("link", 1e-6, 1e9)
SVG = "{http://www.w3.org/2000/svg}"


def pictured(collective, algorithm, ranks, topology=None, **options):
    schedule = schedules.collective(collective, algorithm, ranks, 16 * ranks, **options)
    return StepPicture(simulate(schedule, topology or single_node(LINK, ranks), 1000), 2)


@pytest.mark.parametrize("collective", schedules.ALGORITHMS)
def test_every_algorithm_is_drawn_at_every_step(collective):
    for algorithm in schedules.ALGORITHMS[collective]:
        for ranks in (1, 2, 5, 16):
            picture = pictured(collective, algorithm, ranks, ranks_per_node=2)
            steps = picture.schedule.steps
            for step in {0, 1, steps} & set(range(steps + 1)):
                svg = picture.draw(step)
                root = ElementTree.fromstring(svg)
                assert all(float(text.get("font-size", 19)) >= 18.6 for text in root.iter(f"{SVG}text"))
            assert "Ranks hold 100% of their results." in svg
            assert picture.elapsed(max(0, steps - 1)) <= picture.elapsed(steps) == picture.timing.time
            assert ranks == 1 or "hold 100%" not in picture.draw(0)


def test_the_messages_of_a_step_are_those_of_the_schedule():
    picture = pictured("broadcast", "binomial_tree", 8)
    assert picture.sent(0) == []
    assert {(one.source, one.target) for one in picture.sent(2)} == {(0, 2), (4, 6)}
    assert picture.sent(1)[0].size == 16 * 8 * 1000
    svg = picture.draw(2)
    assert svg.count("hpclab-moving") == 2 + 2  # two tokens, and the style's two rules
    assert "Messages in this step: 0 to 2, 4 to 6." in svg
    assert "step 2 of 3" in svg


def test_pieces_of_one_message_are_one_arrow_and_do_not_crowd_each_other():
    for one in pictured("all_to_all", "bruck", 6).sent(2):
        assert one.size == 3 * 16 * 1000
        assert one.times == pytest.approx(1)


def test_a_steps_sizes_are_said_as_one_or_as_the_most():
    uneven, same = (
        pictured("all_reduce", "hierarchical", 5, ranks_per_node=2),
        pictured("all_reduce", "ring", 4),
    )
    assert "4 messages, up to" in uneven.draw(1)
    assert "4 messages, 15.6 KiB" in same.draw(1)


def test_shared_and_slow_links_show_in_shape_and_in_words():
    shared = pictured("all_reduce", "recursive_doubling", 8, cluster(2, 4, LINK, LINK, 1))
    assert max(one.times for one in shared.sent(3)) == pytest.approx(4)
    assert "shared: up to 4×" in shared.draw(3)
    assert "shared: up to" not in shared.draw(1)
    assert "up to 4 times as long" in shared.draw(3)
    slow = pictured("all_reduce", "ring", 4, with_slow_link(single_node(LINK, 4), 1, 2))
    assert [(one.source, one.target) for one in slow.sent(1) if one.slow] == [(1, 2)]
    assert "1 to 2 crosses the slowed link" in slow.draw(1)
    assert slow.draw(1).count('stroke-dasharray="3 4"') == 3  # the rank, the arrow and their key
    assert slow.draw(0).count('stroke-dasharray="3 4"') == 2  # before anything is sent
    assert slow.slowed == ((1, 0), (1, 2), (1, 3))
    assert "slow link out of 1" in slow.draw(0)


def test_very_many_messages_are_faint_lines_without_heads():
    crowd = pictured("all_to_all", "direct", 16).draw(1)
    assert 'hpclab-moving"' not in crowd
    assert crowd.count('stroke-opacity=".4"') == 16 * 15
