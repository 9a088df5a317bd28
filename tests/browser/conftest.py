"""A real JupyterLab on loopback, driven by a real headless Chromium as a learner would drive it. One serves
all tests, in a folder of its own with the notebooks, settings and the state of our own Slurm, so that a test
neither sees nor disturbs anything else on the machine; a notebook's kernel ends with its test."""

import ast
import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import pytest

from hpclab.cluster.host.ports import ReservedPorts
from tests.conftest import until
from tests.course.conftest import notebook

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},  # so that cells out of view can be read too
    "docmanager-extension/plugin": {"autosave": False},
}
CHROMIUM_OPTIONS = [
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PLACES = {
    "HPCLAB_STATE_DIR": "state", "IPYTHONDIR": "ipython", "JUPYTER_CONFIG_DIR": "config",
    "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime", "JUPYTERLAB_SETTINGS_DIR": "settings",
    "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
}  # fmt: skip


class Notebook:
    """An open notebook: `page` is Playwright's page, `cells` its code cells in order."""

    def __init__(self, lab, page, name):
        self.lab, self.page, self.name = lab, page, name

    @property
    def cells(self):
        return self.page.locator(".jp-Notebook .jp-CodeCell")

    def output(self, index):
        """What the code cell at `index` shows, without its prompt (text, pictures, widgets)."""
        return self.cells.nth(index).locator(".jp-OutputArea-output")

    def cell_with(self, text):
        """The first code cell whose source or output contains `text`."""
        return self.cells.filter(has_text=text).first

    def run_all(self, timeout=600):
        """Run > Run All Cells from the menu, and wait until none runs or waits and the kernel is idle."""
        self.begin_all()
        self.wait_for_all(timeout)

    def begin_all(self):
        self.page.locator(".lm-MenuBar-itemLabel", has_text="Run").first.click()
        self.page.locator(".lm-Menu-itemLabel").get_by_text("Run All Cells", exact=True).click()

    def wait_for_all(self, timeout=600):
        def idle():
            # "[ ]:" not run, "[*]:" running or waiting, "[3]:" done; cells with no code never get a number
            prompts = [text.strip() for text in self.cells.locator(".jp-InputPrompt").all_inner_texts()]
            done = any(p.strip("[]: ").isdigit() for p in prompts) and "[*]:" not in prompts
            return done and self.kernel()["execution_state"] == "idle"

        until(idle, f"{self.name} runs to its end", timeout)

    def errors(self):
        """Texts of the tracebacks shown anywhere in the notebook."""
        return (
            self.page.locator('.jp-OutputArea-output[data-mime-type*="stderr"], .jp-RenderedText')
            .filter(has_text="Traceback (most recent call last)")
            .all_inner_texts()
        )

    def kernel(self):
        """What the server says about this notebook's kernel."""
        kernels = (s["kernel"] for s in self.lab.get("api/sessions") if s["path"].endswith(self.name))
        return next(filter(None, kernels), {"execution_state": "none yet"})

    def evaluate(self, expression, timeout=60):
        """The value of a Python expression in this notebook's kernel; its repr must be a literal."""
        from jupyter_client.blocking import BlockingKernelClient

        file = self.lab.runtime / f"kernel-{self.kernel()['id']}.json"
        client = BlockingKernelClient(connection_file=str(file))
        client.load_connection_file()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=timeout)
            reply = client.execute_interactive(
                "", user_expressions={"value": expression}, store_history=False, timeout=timeout
            )
        finally:
            client.stop_channels()
        value = reply["content"]["user_expressions"]["value"]
        assert value["status"] == "ok", value
        return ast.literal_eval(value["data"]["text/plain"])


class Lab:
    """A running JupyterLab: `folder` holds the notebooks, `environment` is what its kernels see."""

    def __init__(self, folder, environment, url, token, browser):
        self.folder, self.environment, self.url, self.token = folder, environment, url, token
        self.runtime = Path(environment["JUPYTER_RUNTIME_DIR"])
        self.context = browser.new_context(viewport={"width": 1280, "height": 900})

    def request(self, path, method="GET"):
        request = urllib.request.Request(
            f"{self.url}/{path}", headers={"Authorization": f"token {self.token}"}, method=method
        )
        with urllib.request.urlopen(request, timeout=20) as reply:
            return reply.read()

    def get(self, path):
        return json.loads(self.request(path))

    def write_notebook(self, name, *sources):
        """Put a notebook with these code cells into the folder."""
        (self.folder / name).write_text(notebook("# A notebook of the tests", *sources))

    def open_notebook(self, name):
        """`name` in a fresh page at 1280 × 900, its kernel ready."""
        page = self.context.new_page()
        page.goto(f"{self.url}/lab/workspaces/w{secrets.token_hex(4)}/tree/{name}?token={self.token}")
        page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=120_000)
        notebook = Notebook(self, page, name)
        until(lambda: notebook.kernel()["execution_state"] == "idle", f"{name} has a kernel")
        return notebook

    @contextlib.contextmanager
    def opened(self, name):
        """`open_notebook`, whose page and kernel end with the block."""
        try:
            yield self.open_notebook(name)
        finally:
            for page in self.context.pages:
                page.close()
            for session in self.get("api/sessions"):
                self.request(f"api/sessions/{session['id']}", "DELETE")


def chromium_program():
    """Chromium's path, or None where only Playwright may know one."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return os.environ.get("HPCLAB_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


@contextlib.contextmanager
def running_driver():
    """Playwright, of which a process can have one; the test is skipped where it is not installed."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        yield driver


@contextlib.contextmanager
def running_browser(driver=None, program=None):
    """Headless Chromium; the test is skipped, saying why, where there is none."""
    options = [*CHROMIUM_OPTIONS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with contextlib.nullcontext(driver) if driver else running_driver() as driver:
        program = program or chromium_program() or driver.chromium.executable_path
        if not os.path.exists(program):
            pytest.skip("no Chromium on PATH: install the package chromium, or name one in HPCLAB_CHROMIUM")
        chromium = driver.chromium.launch(executable_path=program, args=options)
        yield chromium
        chromium.close()


@contextlib.contextmanager
def running_lab(browser):
    """A JupyterLab with its own folder, settings and Slurm state; nothing of it is left afterwards."""
    base = Path(tempfile.mkdtemp(prefix="hl-", dir="/tmp"))  # short: socket paths end at 107 characters
    folder = base / "work"
    shutil.copytree(ROOT / "notebooks", folder)
    shutil.copytree(ROOT / "slurm", folder / "slurm")
    for name, values in SETTINGS.items():
        file = base / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    ports = ReservedPorts.reserve(1)  # ours until released, and none that the kernel hands to others
    (port,) = ports.numbers
    token = secrets.token_hex(24)
    environment = {**os.environ, "JUPYTER_TOKEN": token}
    environment |= {name: str(base / place) for name, place in PLACES.items()}
    arguments = ["--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}", "--port-retries=0"]
    command = [sys.executable, "-m", "jupyterlab", *arguments, f"--notebook-dir={folder}"]
    log = (base / "lab.log").open("wb")
    server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
    session = Lab(folder, environment, f"http://127.0.0.1:{port}", token, browser)

    def ready():
        assert server.poll() is None, (base / "lab.log").read_text()
        try:
            return session.get("api/status")
        except OSError:
            return None

    try:
        until(ready, "JupyterLab answers")
        yield session
    finally:
        session.context.close()
        server.terminate()
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait(10)
        log.close()
        ports.release()
        subprocess.run(
            [sys.executable, "-m", "hpclab.cli", "slurm", "down"],
            env=environment, stdout=subprocess.DEVNULL, timeout=60,
        )  # fmt: skip
        shutil.rmtree(base, ignore_errors=True)


@pytest.fixture(scope="session")
def browser(driver):
    with running_browser(driver) as chromium:
        yield chromium


@pytest.fixture(scope="session")
def lab(browser):
    """A JupyterLab on a copy of the notebooks, for all tests."""
    with running_lab(browser) as session:
        yield session
