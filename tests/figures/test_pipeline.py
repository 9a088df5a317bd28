"""A pipeline over time: every box where it was computed, the bubble and what a rank holds in words."""

from hpclab import schedules
from hpclab.figures import pipeline, style
from hpclab.models.pipeline import simulate


def test_every_step_is_a_box_and_the_title_says_the_bubble(ax, apart):
    times = simulate(schedules.pipeline("1F1B", 4, 8), 0.01, 0.02)
    pipeline.draw(ax, times, until=0.4)
    assert ax.get_title("left") == "1F1B on 4 stages, 8 micro-batches: 27% idle (modelled)"
    assert sorted(text.get_text() for text in ax.texts) == sorted("01234567" * 4 * 2)
    assert "Rank 0 holds the activations of up to 4 micro-batches" in style.description(ax.figure)
    forward = ax.patches[4].get_path().vertices[::5]  # after the ranks' frames: the first corners
    assert sorted(forward[:, 0]) == sorted(times.start[times.pipeline.steps["kind"] == 0])
    assert ax.get_xlim() == (0, 0.4)
    apart(ax, [*ax.texts, ax.get_legend().texts[0]])


def test_chunks_are_told_apart_and_of_many_ranks_some_are_drawn(ax, words):
    pipeline.draw(ax, simulate(schedules.pipeline("interleaved 1F1B", 64, 64, 2), 1.0, 2.0, 0.1))
    assert {len(patch.get_path().vertices) for patch in ax.patches[-4:]} == {pipeline.MOST * 64 * 5}
    assert len({patch.get_facecolor() for patch in ax.patches[-4:]}) == 4
    assert "paler: a rank's later chunks" in words(ax)
