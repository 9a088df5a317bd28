"""Lesson 05 whole, as a person would: run all, skip the prediction, slide to 4 nodes, look, cancel."""

import re
import subprocess

import pytest

from tests.conftest import HAS_SLURM, until

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def lesson(lab):
    with lab.opened("05_scale_out_with_dask.ipynb") as notebook:
        notebook.run_all()
        assert notebook.errors() == []
        yield notebook


@pytest.fixture(scope="module")
def scaler(lesson):
    widget = lesson.page.locator(".hpclab-scaler")
    widget.scroll_into_view_if_needed()
    return widget


def wait_for_status(scaler, pattern, timeout=180):
    scaler.locator(".hpclab-status").get_by_text(re.compile(pattern)).wait_for(timeout=1000 * timeout)


def measured_marks(scaler):
    """The measured points of the speedup figure, every repeat, by their tip."""
    tips = scaler.locator("svg title").all_text_contents()
    return [tip for tip in tips if "repeat" in tip and "measured" in tip]


def queued(lesson):
    """Ids of the jobs that `squeue` of this lesson's own Slurm lists as running, asked from outside."""
    slurm = "__import__('hpclab.cluster.slurm', fromlist=['connect']).connect(start=False, export=False)"
    conf = lesson.evaluate(f"{slurm}.environment['SLURM_CONF']")
    command = ["squeue", "--noheader", "--format=%i", "--states=RUNNING"]
    environment = {"SLURM_CONF": conf, "PATH": "/usr/bin:/bin"}
    return set(subprocess.check_output(command, env=environment, text=True, timeout=30).split())


def test_slider_to_four_measures_a_point_and_draws_the_bars(lesson, scaler):
    page = lesson.page
    assert measured_marks(scaler) == [], "nothing measured is seen before the prediction"
    scaler.get_by_role("button", name="Skip").click()
    before = measured_marks(scaler)
    handle = scaler.get_by_role("slider", name="Nodes")
    handle.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert handle.get_attribute("aria-valuetext") == "4"
    wait_for_status(scaler, "4 nodes: ")
    wait_for_status(scaler, r"Done: \d point")
    new = [tip for tip in measured_marks(scaler) if tip not in before]
    assert any(tip.startswith("4 nodes") for tip in new), (before, new)
    assert "Done" in scaler.locator(".hpclab-spoken").inner_text()
    scaler.get_by_label("Show", exact=True).select_option("rank-seconds")
    scaler.get_by_text("Rank-seconds", exact=True).wait_for()
    parts = scaler.locator("svg title").all_text_contents()
    shown = {part.split(", ")[1].split(":")[0] for part in parts if part.startswith("4 nodes, ")}
    assert {"compute", "storage", "worker start", "idle"} <= shown
    scaler.get_by_label("Show", exact=True).select_option("speedup")
    assert lesson.errors() == []


def test_control_picture_and_outcome_fit_a_small_screen(lesson, scaler):
    """1280 × 720: what stands between JupyterLab's bars is some 595 pixels high."""
    top = scaler.bounding_box()["y"]
    picture = until(scaler.locator("svg[role=img]").first.bounding_box, "a picture that is not just redrawn")
    assert picture["y"] + picture["height"] - top < 595


@pytest.mark.skipif(not HAS_SLURM, reason="without the Slurm packages there are no jobs to compare")
def test_the_results_jobs_are_those_in_squeue(lesson, scaler):
    assert lesson.evaluate("pool.backend") == "slurm"
    last = lesson.evaluate(
        "[list(r.environment['jobs']) for r in scaler.results if r.parameters['nodes'] == 4][-1]"
    )
    assert len(set(last)) == 4
    assert set(last) == queued(lesson)
    drawn = scaler.get_by_role("list", name="Nodes").inner_text()
    assert all(f"job {number}" in drawn for number in last)


def test_a_slider_is_long_enough_to_be_dragged(scaler):
    tracks = scaler.locator(".noUi-target").all()
    assert len(tracks) == 3
    assert all(track.bounding_box()["width"] > 120 for track in tracks)


def test_a_screen_reader_hears_names_and_states(scaler):
    said = scaler.aria_snapshot()
    for name in ('slider "Nodes"', 'slider "contention"', 'button "Sweep all"', "status:", 'combobox "Axis"'):
        assert name in said
    assert "Median measured speedup by nodes: 1: " in said
    spoken = scaler.locator(".hpclab-spoken")
    assert spoken.get_attribute("aria-live") == "polite"
    assert "Modelled at 4 nodes" in spoken.inner_text()


def test_cancel_and_twice_pressed(lesson, scaler):
    sweep = scaler.get_by_role("button", name="Sweep all")
    sweep.click()
    sweep.click()
    wait_for_status(scaler, "; then 2, 4")
    scaler.get_by_role("button", name="Cancel").click()
    wait_for_status(scaler, "Cancelled; what was measured is kept.")
    until(lambda: lesson.evaluate("pool.nodes") >= 1, "the pool has nodes")
    assert lesson.errors() == []
