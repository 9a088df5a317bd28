"""Lesson 06 as a learner meets it: untouched it runs; with the keyboard a collective is stepped through."""

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.slurm]

PATIENCE = 30_000  # milliseconds for a picture to follow a key on a loaded machine


def test_untouched_it_runs_and_the_keyboard_steps_through_a_collective(lab):
    lesson = lab.open_notebook("06_pass_messages.ipynb")
    lesson.run_all(timeout=240)
    assert not lesson.errors()
    assert lesson.evaluate("eight_bytes.text") == "no prediction"
    assert lesson.evaluate("line.latency > 0 and line.bandwidth > 0")
    for name in ("FIT", "RING", "CROSSOVER", "BOTTLENECK"):
        assert "Not solved yet" in lesson.cell_with(f"{name}.check").inner_text()
    for picture in ("A message costs", "Which one on your", "best of three algorithms", "one slow link"):
        assert lesson.cell_with(picture).locator("svg[role=img]").count() == 1
    overlap = lesson.cell_with("overlap.training_step").locator(".jp-OutputArea").inner_text()
    assert overlap.count("(emulated: 1 Gb/s)") == 2
    assert "def training_step" in overlap  # shown before it runs
    guilty = lesson.cell_with("def forgetful").inner_text()
    assert "Guilty: rank 1. Rank 1 returned without joining collective 1" in guilty

    cell = lesson.cell_with("message_stepper.MessageStepper()")
    figure = cell.locator("svg[role=img]")
    playwright.expect(figure).to_contain_text("before the first of 14 steps")
    before, height = figure.screenshot(), figure.bounding_box()["height"]
    cell.get_by_role("slider", name="Step").focus()
    lesson.page.keyboard.press("ArrowRight")
    playwright.expect(figure).to_contain_text("step 1 of 14", timeout=PATIENCE)
    assert figure.screenshot() != before
    assert figure.bounding_box()["height"] == height
    cell.get_by_label("Algorithm").select_option("binomial tree")
    playwright.expect(figure).to_contain_text("before the first of 6 steps", timeout=PATIENCE)
    cell.get_by_role("slider", name="Step").focus()
    lesson.page.keyboard.press("End")
    playwright.expect(figure).to_contain_text("step 6 of 6", timeout=PATIENCE)
