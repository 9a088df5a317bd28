"""The wall's figures: everybody's points, the median of those that are sound, counts of the queue."""

import pytest

from hpclab.figures import style, wall
from hpclab.results import Origin, Result


def learner(speedups, origin=Origin.MEASURED, doubt=False):
    condition = "one core each" * (origin is Origin.EMULATED)
    return [
        Result("lesson 05", "speedup", value, origin, parameters={"nodes": nodes}, condition=condition,
               environment={"doubt": doubt})
        for nodes, value in speedups.items()
    ]  # fmt: skip


def test_everybody_is_a_mark_and_the_median_answers(ax, marks, words, apart):
    people = [learner({1: 1, 2: 1.5 + k / 100, 4: 2 + k / 100}) for k in range(39)]
    people += [[*learner({1: 1, 2: 1.0, 4: 0.5}, doubt=True), *learner({1: 1, 4: 3.5}, Origin.EMULATED)]]
    assert wall.draw(ax, people) is ax
    assert marks(ax) == 39 * 2 + 2 + 1  # at one node nobody differs; the medians' are on their lines
    assert ax.get_title("left") == "40 learners: 4 nodes are 2.2× as fast as one (median, measured)"
    assert {"median", "measured: 2.2×", "emulated: 3.5×", "ideal"} <= set(words(ax).splitlines())
    assert "1 learner in doubt" in words(ax)
    assert "4 nodes: 0.50× measured, in doubt" in style.svg(ax.figure)
    assert "Median measured speedup of 40 learners by nodes: 1: 1.0×, 2: 1.7×" in style.description(ax.figure)
    apart(ax, ax.texts)


def test_one_learner_is_no_median_and_nobody_is_said(ax, words):
    wall.draw(ax, [learner({1: 1, 2: 1.8, 4: 3.0})])
    assert ax.get_title("left") == "1 learner: 4 nodes are 3.0× as fast as one (measured)"
    assert "median" not in words(ax)
    ax.clear()
    assert wall.draw(ax, []).get_title("left") == "Nobody shows points yet"
    ax.clear()
    spoilt = wall.draw(ax, [learner({1: 1, 4: 3.0}, doubt=True)])
    assert spoilt.get_title("left") == "1 learner: no speedup to rely on yet"


def test_one_learner_alone_does_not_move_the_axes(ax):
    people = [learner({1: 1, 2: 1.9, 8: 6}), learner({1: 1, 8: 5}), learner({1: 1, 1024: 4000})]
    wall.draw(ax, people)
    assert ax.get_xlim()[1] < 9
    assert all(max(line.get_xdata()) < 9 for line in ax.lines)


@pytest.mark.parametrize("samples", [[(5.0, 0, 0)], [(5.0, 3, 0), (65.0, 7, 40)]])
def test_the_queue_is_counts(ax, words, apart, samples):
    wall.queue(ax, samples)
    _, nodes, waiting = samples[-1]
    assert {f"nodes with jobs: {nodes}", f"jobs waiting: {waiting}"} <= set(words(ax).splitlines())
    assert ax.get_title("left") == f"Jobs run on {nodes} nodes, {waiting} jobs wait"
    apart(ax, ax.texts)
