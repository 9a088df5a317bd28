"""What `hpclab lab` shows first: lesson 00, and beside it the dashboard of whichever pool runs."""

import subprocess
import sys

import pytest

from hpclab import course
from hpclab.cluster.notes import newest_dashboard
from tests.conftest import until

pytestmark = [pytest.mark.browser, pytest.mark.slow]
POOL = "import sys\nfrom hpclab.cluster import Pool\nwith Pool(1, backend='local'): sys.stdin.read()"


def test_lesson_00_opens_with_the_live_dashboard_beside_it(running, browser):
    page = browser.new_context(viewport={"width": 1600, "height": 900}).new_page()
    page.goto(running["url"])
    page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=90_000)
    tabs = page.locator("#jp-main-dock-panel .lm-TabBar-tabLabel")
    tabs.get_by_text("Task Stream").wait_for(timeout=30_000)
    assert {course.lessons()[0].path.name, "Progress", "Task Stream"} <= set(tabs.all_inner_texts())
    assert not page.get_by_text("Jupyter news").count()
    assert not dashboards(page)

    with subprocess.Popen([sys.executable, "-c", POOL], stdin=subprocess.PIPE):  # as a kernel would
        until(lambda: page.wait_for_timeout(200) or dashboards(page), "the dashboard is shown")
        dashboards(page)[0].locator("canvas").first.wait_for(state="attached", timeout=60_000)

        # Its own address, and its path through a jupyter-server-proxy that knows nothing of keys.
        addresses = newest_dashboard().addresses
        for address in (addresses["address"], f"http://127.0.0.1:{running['port']}/{addresses['proxy']}"):
            page.goto(address)
            page.locator("canvas").first.wait_for(state="attached", timeout=60_000)
            assert "key=" not in page.url
    page.close()


def dashboards(page):
    return [frame for frame in page.frames if "/hpclab/dashboard/individual-" in frame.url]
