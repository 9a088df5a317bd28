"""Lesson 04 in a real JupyterLab: run as a learner would, watch the queue, repair a script."""

import importlib.util
import re
import shutil
from pathlib import Path

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(600)]

_SPEC = importlib.util.spec_from_file_location(
    "answers_04", Path(__file__).resolve().parents[1] / "exercises" / "answers" / "lesson_04.py"
)


@pytest.fixture(scope="module")
def lesson(lab):
    if not (shutil.which("sbatch") and shutil.which("munged", path="/usr/sbin:/usr/bin:/bin")):
        pytest.skip("no Slurm packages")
    notebook = lab.open_notebook("04_submit_to_slurm.ipynb")
    notebook.run_all(timeout=240)
    return notebook


def _said(lesson):
    return lesson.cell_with("queue_view.watch").locator('[role="status"]').inner_text()


def _until(lesson, condition, timeout=60):
    """Wait in the page, a moment at a time, until `condition()` holds."""
    for _ in range(timeout * 5):
        if condition():
            return True
        lesson.page.wait_for_timeout(200)
    return False


def test_every_cell_runs_and_the_measurement_is_kept(lesson):
    assert lesson.errors() == []
    assert lesson.evaluate("slurm.kind") == "local"
    assert lesson.evaluate("finished[0].id > 0 and seconds > 1")
    assert "of which 1 s was work" in lesson.cell_with("time.monotonic").inner_text()
    assert "Resources: it is the next to start" in lesson.cell_with("slurm.explain").inner_text()
    assert lesson.cell_with("job_timeline.draw").locator("svg[role=img]").count() == 1
    for name in ("1_four_tasks", "3_two_gpus", "5_lost_log"):
        assert "Not solved yet" in lesson.cell_with(f"broken/{name}.sh").inner_text()


def test_the_queue_follows_and_stops_by_keyboard(lesson):
    view = lesson.cell_with("queue_view.watch")
    job = lesson.evaluate("slurm.submit('step.sh')")
    assert _until(lesson, lambda: f"{job} step" in view.inner_text()), view.inner_text()
    button = view.get_by_role("button", name="Stop refreshing")
    button.focus()
    lesson.page.keyboard.press("Enter")
    assert _until(lesson, lambda: view.get_by_role("button", name="Refresh again").count() == 1)
    assert not lesson.evaluate("view.running")
    assert re.search(r"\d+ jobs? running, \d+ waiting; 4 nodes", _said(lesson))
    lesson.page.keyboard.press("Enter")
    assert _until(lesson, lambda: lesson.evaluate("view.running"))


def test_a_repair_in_the_file_passes_its_check(lesson, lab):
    answers = importlib.util.module_from_spec(_SPEC)
    _SPEC.loader.exec_module(answers)
    folder = Path(lesson.evaluate("str(Path.cwd())"))
    assert folder == lab.folder / "slurm" / "jobs"
    (folder / "broken" / "5_lost_log.sh").write_text(answers.RIGHT["LOST_LOG"][0])
    cell = lesson.cell_with("lesson_04.LOST_LOG.check")
    cell.locator(".jp-InputArea-editor").click()
    lesson.page.keyboard.press("Control+Enter")
    assert _until(lesson, lambda: "Proved by job" in cell.inner_text()), cell.inner_text()
