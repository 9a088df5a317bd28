"""The first minutes of the course at 1280 × 720: three keys, a slider, a button, and a verdict."""

import re

import psutil
import pytest

from tests.conftest import until

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]


def in_view(page, part):
    """Whether all of it can be seen without scrolling."""
    box, frame = part.bounding_box(), page.locator(".jp-Notebook").bounding_box()
    return frame["y"] <= box["y"] and box["y"] + box["height"] <= frame["y"] + frame["height"]


def test_a_slider_is_dragged_processes_start_and_a_point_lands(lab):
    with lab.opened("00_start_here.ipynb") as notebook:
        page = notebook.page
        page.set_viewport_size({"width": 1280, "height": 720})
        page.locator(".jp-RenderedMarkdown", has_text="How many times as fast").first.click()
        for _ in range(3):
            page.keyboard.press("Shift+Enter")
        widget = notebook.cells.nth(1).locator(".hpclab-widget")
        handle = widget.get_by_role("slider")
        handle.wait_for(timeout=120_000)
        until(lambda: in_view(page, widget), "slider, picture and what it says are in view")
        handle.hover()
        spot = handle.bounding_box()
        page.mouse.down()
        page.mouse.move(spot["x"] + 150, spot["y"] + 8, steps=8)
        page.mouse.up()
        label = widget.locator("svg text", has_text="you: ")
        said = handle.get_attribute("aria-valuetext")
        assert said != "1.0"
        until(lambda: f"you: {said}×" in label.text_content(), "the mark follows the slider")
        widget.get_by_role("button", name=f"I say {said}×: run it").click()

        boxes = widget.get_by_role("list", name="Processes")
        running = until(lambda: re.findall(r"process (\d+)", boxes.inner_text()), "a process starts")
        assert all(map(psutil.pid_exists, map(int, running)))
        tips = widget.locator("svg title")
        until(lambda: "1 process, repeat 1" in " ".join(tips.all_text_contents()), "a point lands")
        widget.get_by_text("have ended").wait_for(timeout=300_000)
        assert re.search(rf"Speedup with 4 processes: you said {float(said):g}, it is ", widget.inner_text())
        assert sum("4 processes, repeat" in tip for tip in tips.all_text_contents()) == 3
        assert in_view(page, widget)
        until(lambda: not any(map(psutil.pid_exists, map(int, running))), "the processes have ended")
        assert notebook.errors() == []
