"""Traces and jobs on a time line: every stretch where it was, hundreds of ranks, names of any length."""

import re
from types import SimpleNamespace

import pytest

from hpclab.figures import job_timeline, style, timeline
from hpclab.results import Origin
from hpclab.trace import Event, Trace


def made(ranks, tasks=3, origin=Origin.MEASURED):
    events = [Event(rank, "start", 0.0, 0.5) for rank in range(ranks)]
    for rank in range(ranks):
        for task in range(tasks):
            events.append(Event(rank, "compute", 1.0 + task, 0.8, label=f"task {task}", origin=origin))
            events.append(Event(rank, "send", 1.6 + task, 0.2, 4096))
    return Trace(tuple(events), ranks, 0.0, tasks + 1.0)


def stretches(ax):
    """(row, start, end) of every stretch, in the order in which they cover each other."""
    boxes = [path.get_extents() for drawn in ax.collections for path in drawn.get_paths()]
    return [(round(box.y0 + 0.4), round(box.x0, 6), round(box.x1, 6)) for box in boxes]


def test_every_event_is_where_it_was_and_what_comes_first_in_the_kinds_covers(ax, words):
    timeline.draw(ax, made(2))
    assert not any(line.get_visible() for line in ax.get_xgridlines())
    drawn = stretches(ax)
    assert len(drawn) == 2 + 2 * 3 * 2
    assert (1, 1.0, 1.8) in drawn
    assert drawn.index((0, 1.6, 1.8)) > drawn.index((0, 1.0, 1.8))
    assert ax.get_title("left").startswith("2 ranks, 4 s: 45% compute, 2")
    said = words(ax)
    assert all(word in said for word in ("worker start", "compute", "transfer", "1 s", "Rank"))
    assert "task 2: 800 ms" in style.svg(ax.figure)
    assert "worker start 1 s, transfer 1.2 s, compute 3.6 s" in style.description(ax.figure)


@pytest.mark.slow
def test_of_hundreds_of_ranks_some_are_drawn_and_the_title_says_so(ax):
    timeline.draw(ax, made(400, 12, Origin.EMULATED))
    rows = {row for row, _, _ in stretches(ax)}
    assert len(rows) == timeline.MOST
    assert re.fullmatch("400 ranks, 13 s: 55% compute.* .emulated.; 32 ranks are drawn", ax.get_title("left"))
    assert len(style.svg(ax.figure)) < 1_000_000


def test_what_is_too_near_to_tell_apart_is_one_stretch_and_nothing_is_refused(ax):
    assert timeline._merged([(0, 1), (1.05, 1), (0.5, 0.2), (5, 1)], 0.1) == [(0, 2.05), (5, 1)]

    with pytest.raises(ValueError, match="holds no event yet"):
        timeline.draw(ax, Trace((), 2, 0.0, 1.0))


def job(number, name="array", node="node1", ended=3.0, task=None):
    return SimpleNamespace(
        id=number, name=name, state="COMPLETED", node_list=node,
        submitted=0.0, started=1.0, ended=ended, array_task=task,
    )  # fmt: skip


def test_a_bar_for_each_stretch_of_a_job_and_words_for_a_screen_reader(ax, words):
    job_timeline.draw(ax, [job(1, task=0), job(2, task=1, ended=5.0)], predicted=4.0)
    assert sorted(stretches(ax)) == [(0, 0, 1), (0, 1, 3), (1, 0, 1), (1, 1, 5)]
    assert ax.get_title("left") == "2 jobs, the last done after 5 s; predicted 4 s"
    assert "array 1 waited 1 s and ran 4 s on node1." in style.description(ax.figure)
    assert {"waiting", "running", "predicted end", "node1", "array 0"} <= set(words(ax).splitlines())


def test_long_names_keep_what_tells_them_apart_and_stay_inside(ax, apart):
    jobs = [job(1, name="a-very-long-job-name-0001", node="gpu-a100-partition-node-0012", ended=900.0)]
    job_timeline.draw(ax, jobs, predicted=4000.0)
    assert ax.texts[0].get_text()[0] == "…"
    assert ax.texts[0].get_text().endswith("0012")
    apart(ax, [*ax.texts, *ax.get_yticklabels()])
    assert "on gpu-a100-partition-node-0012." in style.svg(ax.figure), "whole under the mouse"


def test_the_title_counts_the_jobs_that_are_not_drawn_too_and_says_that_there_are_none(ax):
    job_timeline.draw(ax, [job(n, task=n, ended=3.0 + n) for n in range(30)])
    assert ax.get_title("left") == "30 jobs, the last done after 32 s (the first 24 are drawn)"
    assert len(stretches(ax)) == 2 * 24
    assert job_timeline.draw(style.figure()[1], []).get_title("left") == "No job has ended yet"
