"""The bubble editor without a browser: controls change picture and sentences, and fit each other."""

import pytest

from hpclab.widgets.pipeline_editor import PipelineEditor
from tests.widgets.conftest import put

pytestmark = pytest.mark.slow


def test_schedule_and_counts_make_the_bubble_smaller_and_obstacles_larger():
    editor = PipelineEditor()
    controls = editor.controls
    assert controls["chunks"].disabled  # and there, so that nothing jumps
    assert "idle 27.3%; 48 messages. Rank 0 holds up to 8 micro-batches." in editor.note.value
    put(editor, schedule="1F1B")
    assert "Rank 0 holds up to 4 micro-batches." in editor.note.value
    assert "1F1B on 4 stages, 8 micro-batches: 27% idle (modelled)" in editor.announcer.value
    put(editor, micro_batches=64)
    assert "(p − 1) / m = 0.0469" in editor.note.value
    put(editor, slow=2)
    assert "idle 38.9%" in editor.note.value  # three of four ranks wait for half of the time
    put(editor, micro_batches=2, schedule="interleaved 1F1B")
    assert list(controls["micro_batches"].options) == [4, 8, 16, 32, 64]  # multiples of the ranks
    put(editor, message=0.1, chunks=4)
    assert "on 4 stages × 4 chunks, 4 micro-batches" in editor.shown.get_title("left")
