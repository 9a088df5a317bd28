"""What `hpclab lab` shows first: lesson 00, and beside it the dashboard of whichever pool runs."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import pytest

from hpclab import course
from hpclab.cluster import dashboard
from tests.conftest import until

pytestmark = [pytest.mark.browser, pytest.mark.slow]
POOL = "from hpclab.cluster import Pool\npool = Pool(nodes=1, backend='local')"


@pytest.fixture
def running():
    """A running `hpclab lab` on its own folder: what it printed as JSON."""
    base = Path(tempfile.mkdtemp(prefix="hlab-", dir="/tmp"))  # short, as our state must be
    own = {"HOME": base, "JUPYTER_RUNTIME_DIR": base / "runtime", "HPCLAB_STATE_DIR": base / "state"}
    command = [sys.executable, "-m", "hpclab.cli", "lab", "--json", "--no-browser", "--no-slurm"]
    process = subprocess.Popen(command, env=os.environ | own, stdout=subprocess.PIPE, text=True)
    try:
        yield json.loads(process.stdout.readline()) | {"runtime": base / "runtime", "state": base / "state"}
    finally:
        process.terminate()
        process.communicate(timeout=60)
        shutil.rmtree(base)


def test_lesson_00_opens_with_the_live_dashboard_beside_it(running, browser, monkeypatch):
    page = browser.new_context(viewport={"width": 1600, "height": 900}).new_page()
    page.goto(running["url"])
    page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=90_000)
    tabs = page.locator("#jp-main-dock-panel .lm-TabBar-tabLabel")
    tabs.get_by_text("Task Stream").wait_for(timeout=30_000)
    assert {course.lessons()[0].path.name, "Progress", "Task Stream"} <= set(tabs.all_inner_texts())
    assert not page.get_by_text("Jupyter news").count()
    assert not dashboards(page)

    start_a_pool(running)
    until(lambda: page.wait_for_timeout(200) or dashboards(page), "the dashboard is shown")
    dashboards(page)[0].locator("canvas").first.wait_for(state="attached", timeout=60_000)

    # Its own address, and its path through a jupyter-server-proxy that knows nothing of keys.
    monkeypatch.setenv("HPCLAB_STATE_DIR", str(running["state"]))
    addresses = dashboard.newest().addresses
    for address in (addresses["address"], f"http://127.0.0.1:{running['port']}/{addresses['proxy']}"):
        page.goto(address)
        page.locator("canvas").first.wait_for(state="attached", timeout=60_000)
        assert "key=" not in page.url
    page.close()


def dashboards(page):
    return [frame for frame in page.frames if "/hpclab/dashboard/individual-" in frame.url]


def start_a_pool(running):
    """In a kernel of this server, as a lesson would."""
    from jupyter_client.blocking import BlockingKernelClient

    token = running["url"].rpartition("token=")[2]
    request = urllib.request.Request(
        f"http://127.0.0.1:{running['port']}/api/kernels",
        headers={"Authorization": f"token {token}"},
        data=b'{"name": "python3"}',
    )
    with urllib.request.urlopen(request, timeout=30) as reply:
        kernel = json.load(reply)["id"]
    client = BlockingKernelClient(connection_file=str(running["runtime"] / f"kernel-{kernel}.json"))
    client.load_connection_file()
    client.start_channels(hb=False)  # the heartbeat of this blocking client knows no encryption
    try:
        client.wait_for_ready(timeout=60)
        assert client.execute_interactive(POOL, timeout=90)["content"]["status"] == "ok"
    finally:
        client.stop_channels()
