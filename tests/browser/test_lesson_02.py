"""Lesson 02 as a learner meets it: untouched it runs; with the keyboard a kernel is stepped through."""

import re

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [pytest.mark.browser, pytest.mark.slow]

PATIENCE = 30_000  # milliseconds for a picture to follow a key on a loaded machine


def test_untouched_it_runs_and_the_keyboard_steps_through_a_kernel(lab):
    lesson = lab.open_notebook("02_write_a_gpu_kernel.ipynb")
    lesson.run_all(timeout=180)
    assert not lesson.errors()
    assert lesson.evaluate("prediction.text") == "no prediction"
    for name in ("DIFFERENCE", "SECTORS", "FEW_SECTORS", "TRANSPOSE", "BLOCK_SUMS"):
        assert "Not solved yet" in lesson.cell_with(f"{name}.check").inner_text()

    cell = lesson.cell_with("KernelTracer.of(add")
    figure = cell.locator("svg[role=img]")
    playwright.expect(figure).to_contain_text("reads a: 32 lanes, 4 sectors, as few as can be")
    before = figure.screenshot()
    height = figure.bounding_box()["height"]
    slider = cell.get_by_role("slider", name="Step")
    slider.focus()
    lesson.page.keyboard.press("ArrowRight")
    playwright.expect(figure).to_contain_text("reads b: 32 lanes", timeout=PATIENCE)
    playwright.expect(cell.get_by_role("status")).to_contain_text("reads b: 32 lanes")
    assert figure.screenshot() != before
    assert figure.bounding_box()["height"] == height
    lesson.page.keyboard.press("End")
    playwright.expect(figure).to_contain_text("writes total: 32 lanes", timeout=PATIENCE)
    cell.get_by_label("Block").select_option("7")
    cell.get_by_label("Warp").select_option("3")
    playwright.expect(figure).to_contain_text(re.compile("Line . .*8 lanes"), timeout=PATIENCE)
    assert figure.bounding_box()["width"] <= 800

    tile = lesson.cell_with("KernelTracer.of(turn_tile")
    assert "Cost, bank conflict" in tile.inner_text()
    tile.get_by_role("slider", name="Step").focus()
    for _ in range(3):
        lesson.page.keyboard.press("ArrowRight")
    conflict = "reads tile: 32 lanes, 32 passes, 31 of them for conflicts"
    playwright.expect(tile.locator("svg[role=img]")).to_contain_text(conflict, timeout=PATIENCE)
