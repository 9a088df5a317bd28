"""The bubble editor without a browser: controls change picture and sentences, and fit each other."""

import pytest

from hpclab.widgets.pipeline_editor import PipelineEditor

pytestmark = pytest.mark.slow


def test_schedule_and_counts_make_the_bubble_smaller_and_obstacles_larger():
    editor = PipelineEditor()
    controls = editor.controls
    assert controls["chunks"].disabled  # and there, so that nothing jumps
    assert "idle 27.3%; 48 messages. Rank 0 holds up to 8 micro-batches." in editor.note.value
    controls["schedule"].value = "1F1B"
    assert "Rank 0 holds up to 4 micro-batches." in editor.note.value
    assert "1F1B on 4 stages, 8 micro-batches: 27% idle (modelled)" in editor.announcer.value
    controls["micro_batches"].value = 64
    assert "(p − 1) / m = 0.0469" in editor.note.value
    controls["slow"].value = 2
    assert "idle 38.9%" in editor.note.value  # three of four ranks wait for half of the time
    controls["micro_batches"].value = 2
    controls["schedule"].value = "interleaved 1F1B"
    assert list(controls["micro_batches"].options) == [4, 8, 16, 32, 64]  # multiples of the ranks
    with editor.at_once():
        for name, value in {"message": 0.1, "chunks": 4}.items():
            controls[name].value = value
    assert "on 4 stages × 4 chunks, 4 micro-batches" in editor.shown.get_title("left")
