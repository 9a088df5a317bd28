"""What `hpclab lab` shows: lesson 00 alone, the glossary to read, and Dask's panel when it is asked for."""

import subprocess
import sys

import pytest

from hpclab import course
from hpclab.cluster.notes import newest_dashboard
from tests.conftest import until
from tests.course.conftest import notebook

pytestmark = [pytest.mark.browser, pytest.mark.slow]
POOL = "import sys\nfrom hpclab.cluster import Pool\nwith Pool(1, backend='local'): sys.stdin.read()"
LINKS = "[one](glossary.md#ZeRO-stage) and [another](glossary.md#Amdahl's-law)"


@pytest.fixture
def page(running, browser):
    with browser.new_context(viewport={"width": 1280, "height": 720}) as context:
        yield context.new_page()


def tabs(page):
    return page.locator("#jp-main-dock-panel .lm-TabBar-tabLabel")


def dashboards(page):
    return [frame for frame in page.frames if "/hpclab/dashboard/individual-" in frame.url]


def test_lesson_00_opens_alone(running, page):
    page.goto(running["url"])
    page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=90_000)
    assert tabs(page).all_inner_texts() == [course.lessons()[0].path.name]
    assert page.locator(".jp-Notebook").first.bounding_box()["width"] > 900
    assert not page.get_by_text("Jupyter news").count()


def test_a_word_leads_to_the_glossary_as_it_reads_and_the_button_to_the_live_task_stream(
    running, page, place
):
    tiny = notebook(LINKS, "from hpclab.widgets import task_stream\ntask_stream.button()")
    (place / "hpclab" / "tiny.ipynb").write_text(tiny)
    page.goto(running["url"].replace("/workspaces/hpclab", "/workspaces/tiny/tree/tiny.ipynb"))
    for word, heading in (("one", "ZeRO stage"), ("another", "Amdahl's law")):
        page.get_by_role("link", name=word, exact=True).click(timeout=90_000)
        seen = page.locator(".jp-MarkdownViewer").get_by_role("heading", name=heading)
        seen.wait_for(timeout=60_000)
        until(lambda: page.wait_for_timeout(200) or inside(seen.bounding_box()), "it is scrolled to")  # noqa: B023
        tabs(page).get_by_text("tiny.ipynb").click()
    page.locator(".jp-Notebook .jp-CodeCell").click()
    page.keyboard.press("Shift+Enter")
    page.get_by_role("button", name="Watch the nodes").click(timeout=90_000)
    tabs(page).get_by_text("Task Stream").wait_for(timeout=30_000)
    with subprocess.Popen([sys.executable, "-c", POOL], stdin=subprocess.PIPE):  # as a kernel would
        until(lambda: page.wait_for_timeout(200) or dashboards(page), "the dashboard is shown")
        dashboards(page)[0].locator("canvas").first.wait_for(state="attached", timeout=60_000)

        # Its own address, and its path through a jupyter-server-proxy that knows nothing of keys.
        addresses = newest_dashboard().addresses
        for address in (addresses["address"], f"http://127.0.0.1:{running['port']}/{addresses['proxy']}"):
            page.goto(address)
            page.locator("canvas").first.wait_for(state="attached", timeout=60_000)
            assert "key=" not in page.url


def inside(box):
    return box and 0 < box["y"] < 700
