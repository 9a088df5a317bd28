"""Lesson 01 as a learner meets it: untouched it runs to the end; with the keyboard it predicts and fits."""

import re

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [pytest.mark.browser, pytest.mark.slow]

PATIENCE = 30_000  # milliseconds for a picture to follow a key on a loaded machine


def test_untouched_it_runs_and_then_the_keyboard_does_everything(lab):
    lesson = lab.open_notebook("01_measure_a_speedup.ipynb")
    lesson.run_all(timeout=240)
    assert not lesson.errors()
    assert lesson.evaluate("triad_speedup.text") == "no prediction"
    assert lesson.evaluate("len(primes)") == 4 * 3 * 3  # processes, repeats, kinds of number
    assert "Not solved yet" in lesson.cell_with("SERIAL_SHARE.check").inner_text()
    picture = lesson.cell_with("scaling_laws.compare(runs").locator("svg[role=img]").first
    assert "as fast as on one (measured)" in picture.inner_html()

    cell = lesson.cell_with("predict.ask(triad_speedup)")
    field = cell.get_by_label("Speedup of triad")
    field.fill("many")
    field.press("Tab")
    lesson.page.keyboard.press("Enter")
    refusal = "Speedup of triad on . threads must be a number from 0.01 to 1000 ×, not 'many'."
    playwright.expect(cell.get_by_role("alert")).to_have_text(re.compile(refusal))
    field.fill("1.5")
    field.press("Tab")
    lesson.page.keyboard.press("Enter")
    playwright.expect(cell.get_by_role("status")).to_have_text("You predicted 1.5 ×.", timeout=PATIENCE)
    assert lesson.evaluate("triad_speedup.value") == 1.5

    cell = lesson.cell_with("ScalingLaws(runs)")
    figure = cell.locator("svg[role=img]")
    playwright.expect(figure).to_contain_text("Amdahl with s = 0.05:")
    cell.get_by_role("slider", name="Serial share s").focus()
    lesson.page.keyboard.press("ArrowRight")
    playwright.expect(figure).to_contain_text("Amdahl with s = 0.055:", timeout=PATIENCE)
    cell.get_by_role("button", name="Fit to the points").press("Enter")
    playwright.expect(figure).not_to_contain_text("s = 0.055:", timeout=PATIENCE)
    cell.locator("select").nth(1).select_option(label="USL")
    playwright.expect(cell.get_by_role("slider", name="Contention σ")).to_be_visible(timeout=PATIENCE)
    playwright.expect(cell.get_by_role("slider", name="Coherency κ")).to_be_visible(timeout=PATIENCE)
