"""Lesson 03 as a learner meets it: untouched it runs; with the keyboard the roof is moved, and a kernel."""

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [pytest.mark.browser, pytest.mark.slow]

PATIENCE = 30_000  # milliseconds for a picture to follow a key on a loaded machine


def test_untouched_it_runs_and_the_keyboard_moves_the_roof(lab):
    lesson = lab.open_notebook("03_find_the_bottleneck.ipynb")
    lesson.run_all(timeout=240)
    assert not lesson.errors()
    assert lesson.evaluate("(share.text, climb.text)") == ("no prediction", "no prediction")
    assert lesson.evaluate("{r.origin.value for r in results}") == {"measured"}
    for name in ("PREDICT", "TILE", "CHANGE_FIRST", "FUSE"):
        assert "Not solved yet" in lesson.cell_with(f"{name}.check").inner_text()
    here = lesson.cell_with("ladder.measure").locator("svg[role=img]")
    assert "This machine" in here.inner_html()
    assert "\nmore work in each launch\n" in lesson.cell_with("CHANGE_FIRST.check").inner_text()

    cell = lesson.cell_with("Roofline([replace")
    figure = cell.locator("svg[role=img]")
    playwright.expect(figure).to_contain_text("This machine")
    moved = " ".join(cell.get_by_label("Move", exact=True).inner_text().split())
    assert moved.endswith("softmax matrix multiply")  # not that of float16: the slider begins at 4 bytes
    cell.get_by_label("Device").select_option(label="NVIDIA H100 SXM5 80 GB")
    playwright.expect(figure).to_contain_text("float32: ridge at 20", timeout=PATIENCE)
    before = figure.screenshot()
    cell.get_by_role("slider", name="Precision").focus()
    for precision in ("TF32", "float16", "BF16", "FP8"):
        lesson.page.keyboard.press("ArrowRight")
        playwright.expect(figure).to_contain_text(f"{precision}: ridge at", timeout=PATIENCE)
    assert figure.screenshot() != before
    playwright.expect(figure).to_contain_text("1979 TFLOP/s")
    playwright.expect(figure).to_contain_text("3.35 TB/s")  # the slope stays
    cell.get_by_role("slider", name="Times each byte is used").focus()
    lesson.page.keyboard.press("ArrowRight")
    playwright.expect(figure).to_contain_text("moved", timeout=PATIENCE)
