"""The widgets of lessons 09 and 10 without a browser: what the controls say is what is modelled."""

import pytest

from hpclab.models import gpu_cluster, memory, planner
from hpclab.models.transformer import MODELS
from hpclab.widgets.memory_calculator import MemoryCalculator
from hpclab.widgets.pipeline_editor import PipelineEditor
from hpclab.widgets.plan_chooser import PlanChooser
from tests.widgets.conftest import put

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("error:constrained_layout")]  # no room


def test_the_memory_of_every_stage_is_that_of_the_model():
    widget = MemoryCalculator()
    assert "It cannot run" in widget.note.value
    put(widget, zero=3, recompute="full")
    assert "It fits." in widget.note.value
    put(widget, pipeline=8)
    plan = widget.plan()
    assert (plan.pipeline, plan.zero, plan.recompute) == (8, 3, "full")
    labels = [label.get_text() for label in widget.shown.get_xticklabels()]
    assert labels == ["stage 0", "stage 4", "stage 7"]
    top = max(bar.get_y() + bar.get_height() for bar in widget.shown.patches)
    said = [memory.predict(MODELS["Llama 3, 8 B"], plan, stage).total for stage in (0, 4, 7)]
    assert top == pytest.approx(max(said))


def test_a_plan_stands_beside_the_fastest_and_shows_its_links():
    widget = PlanChooser()
    assert "Your plan cannot run" in widget.shown.get_title("left")
    assert widget._links.value == ""
    put(widget, pipeline=8)
    model = MODELS["GPT-3, 175 B"]
    assert planner.refusal(model, widget.plan(), gpu_cluster.named("dgx-a100")) == ""
    assert "more than the fastest" in widget.shown.get_title("left")
    assert "tensor inside the node" in widget._links.value
    best = planner.plans(model, gpu_cluster.named("dgx-a100"), 512, 1024)[0].plan
    put(widget, **{name: getattr(best, name) for name in ("tensor", "pipeline", "chunks", "micro_batch")})
    assert "none is faster" in widget.shown.get_title("left")


def test_what_is_no_plan_is_said():
    widget = PlanChooser()
    put(widget, pipeline=96)
    assert "must divide the GPUs" in widget.shown.get_title("left")
    put(widget, gpus=8, pipeline=1)
    assert widget._links.value == ""
    assert "No plan fits this model on these GPUs" in widget.note.value


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
