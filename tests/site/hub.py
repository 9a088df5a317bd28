"""A JupyterHub on the login host of a site, as docs/hub.md says, and a browser that stands there, too."""

import contextlib
import json
import secrets
import sys
import tempfile
from pathlib import Path

import pytest

from tests.browser.conftest import Notebook, chromium_program, running_browser
from tests.conftest import until
from tests.course.conftest import notebook
from tests.site.conftest import ROOT, SHARED

ADDRESS = "http://127.0.0.1:8000"
SITE = """
slurm.partition = "main"
network.interface = "eth0"
hub.address = "10.77.0.1"
"""
PROFILES = """
hub.profile = [
    {name = "One core", cores = 1, memory = "1 GiB"}, {name = "Two cores", cores = 2, memory = "2 GiB"},
]
"""
POOL = """
from hpclab.cluster import Pool
pool = Pool(nodes=4)
print(pool.label, pool.map(abs, range(-3, 0)))
"""
TRACKER = "@jupyterlab/notebook-extension/tracker"
PREEMPTS = {
    "settings": {"SlurmdParameters": "config_overrides", "PreemptType": "preempt/partition_prio",
                 "PreemptMode": "REQUEUE", "SelectTypeParameters": "CR_Core"},
    "partitions": "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1\n"
    "PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=9",
}  # fmt: skip
KNOCK = """
import json, os, socket
told = {}
for port in json.loads(os.environ["PORTS"]):
    for line in ("GET /user/ada/api/contents HTTP/1.0", "GET /status HTTP/1.0"):
        try:
            with socket.create_connection(("127.0.0.1", port), 2) as one:
                one.settimeout(2)
                one.sendall(f"{line}\\r\\nAuthorization: token {os.environ['TOKEN']}\\r\\n\\r\\n".encode())
                answer = one.recv(2000).decode(errors="replace")
        except OSError as error:
            answer = type(error).__name__
        told[port] = told.get(port, "") + answer.partition("\\r\\n")[0] + "; "
print(json.dumps(told))
"""
FETCH = """async ([path, method, body]) => {
    const hubs = window.jhdata && window.jhdata.xsrf_token;  // on a page of the hub itself
    const token = hubs || (document.cookie.match(/_xsrf=([^;]+)/) || [])[1];
    const headers = {"X-XSRFToken": token, "Content-Type": "application/json"};
    const said = await fetch(hubs ? `${path}?_xsrf=${token}` : path, {method, body, headers});
    return [said.status, await said.text()];
}"""


def skip_without_proxy():
    """The tests of a hub need its proxy, which setup.sh brings where npm's registry answers."""
    if not (Path(sys.prefix) / "bin" / "configurable-http-proxy").exists():
        pytest.skip("needs configurable-http-proxy beside this Python: `make hub` brings it")


class Hub:
    """JupyterHub run by root on the login host of `site`, with `settings` as its site.toml."""

    def __init__(self, site, settings=SITE + PROFILES):
        self.site = site
        for user, uid in site.users.items():  # so that cells out of view can be read too
            file = site.path(f"{user}/.jupyter/lab/user-settings/{TRACKER}.jupyterlab-settings")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text('{"windowingMode": "none"}')
            site.root(f"chown -R {uid}:{uid} {SHARED}/{user}/.jupyter")
        self.start(settings)

    def start(self, settings=""):
        """With other settings, if any are given."""
        if settings:
            self.site.path("site.toml").write_text(settings)
        program = Path(sys.prefix) / "bin" / "jupyterhub"
        self.site._daemon(
            "login",
            f"cd {ROOT}; PYTHONPATH={ROOT} HPCLAB_SITE={SHARED}/site.toml HPCLAB_HUB_STATE={SHARED}/hub "
            f"exec {program} -f slurm/hub/jupyterhub_config.py >> {SHARED}/hub.log 2>&1",
        )
        self.process = self.site.started[-1]
        until(self.answers, "the hub answers", 60)

    def answers(self):
        assert self.process.poll() is None, self.log()[-3000:]
        ask = "import urllib.request as u; u.build_opener(u.ProxyHandler({})).open"
        with contextlib.suppress(AssertionError):
            return not self.site.python(f"{ask}('{ADDRESS}/hub/health', timeout=2)")

    def end(self, how="TERM"):
        """As `kill -HOW` of the hub; its proxy ends with it or is taken over."""
        self.site.root(f"pkill -{how} -f [j]upyterhub_config.py")
        self.process.wait(30)

    def log(self):
        return self.site.path("hub.log").read_text()

    def job(self, user):
        """Number and host of the job that is a user's server; two "" without one."""
        words = ("squeue", "-h", "-n", "hpclab-server", "-t", "R", "-o", "%i %N", "-u", user)
        return tuple(self.site.run(*words).split()) or ("", "")


class Page:
    """A learner's browser: logs in at the hub, and asks their server as its page would."""

    def __init__(self, browser, user):
        self.user = user
        self.context = browser.new_context(viewport={"width": 1280, "height": 800})
        self.page = self.context.new_page()

    def log_in(self):
        self.page.goto(f"{ADDRESS}/hub/login")
        self.page.fill("input[name=username]", self.user)
        self.page.fill("input[name=password]", self.user)
        self.page.click("#login_submit")

    def start(self, profile="One core"):
        self.page.select_option("#profile", profile)
        self.page.get_by_role("button", name="Start").click()

    def lab(self):
        """Wait until JupyterLab is there."""
        self.page.wait_for_url(f"**/user/{self.user}/lab**", timeout=120_000)
        self.page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=120_000)

    def get(self, path):
        return json.loads(self.fetch(f"/user/{self.user}/{path}")[1])

    def fetch(self, path, method="GET", body=None):
        """Status and text of what the hub or a server answers this page's script."""
        return self.page.evaluate(FETCH, [path, method, body])

    def write(self, name, source):
        """A notebook of one cell, into the course."""
        content = json.loads(notebook("# A notebook of the tests", source))
        body = json.dumps({"type": "notebook", "format": "json", "content": content})
        assert self.fetch(f"/user/{self.user}/api/contents/hpclab/{name}", "PUT", body)[0] in (200, 201)

    def reloaded(self):
        """Whether the page came: what stands before a server that is gone may answer with nothing."""
        from playwright.sync_api import Error

        with contextlib.suppress(Error):
            return self.page.reload() is not None

    def type_into_the_first_code_cell(self, text):
        """Put `text` before it, and wait until JupyterLab has saved that by itself."""
        cell = self.page.locator(".jp-Notebook .jp-CodeCell").first
        cell.locator(".cm-content").click()
        self.page.keyboard.press("Control+Home")
        self.page.keyboard.type(f"{text}\n")
        path = f"/user/{self.user}/api/contents/hpclab/{self.page.url.rpartition('/')[2]}"
        until(lambda: text in self.fetch(path)[1], "it is saved", 60)

    def open(self, name):
        self.page.goto(f"{ADDRESS}/user/{self.user}/lab/workspaces/{secrets.token_hex(4)}/tree/hpclab/{name}")
        self.page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=120_000)
        opened = Notebook(self, self.page, name)
        until(lambda: opened.kernel()["execution_state"] == "idle", f"{name} has a kernel")
        return opened


@contextlib.contextmanager
def browser_on(site, driver):
    """Chromium, in the network of the login host."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "chromium"
        inside = f"nsenter --target={site.first['login']} -n --"
        program.write_text(f'#!/bin/sh\nexec {inside} {chromium_program()} "$@"\n')
        program.chmod(0o755)
        with running_browser(driver, str(program)) as chromium:
            yield chromium


def ports(site, host, user):
    """The TCP ports on which a user's processes listen on a host."""
    pids = site.root(f"pgrep -u {user} || true", host).split()
    lines = site.root("ss -Hltnp", host).splitlines()
    mine = [line for line in lines if any(f"pid={pid}," in line for pid in pids)]
    return sorted({int(line.split()[3].rpartition(":")[2]) for line in mine})


def knock(site, user, host, numbers):
    """The first line that each port on `host` answers a user there who asks for Ada's files or its state."""
    told = site.python(KNOCK, user=user, host=host, PORTS=json.dumps(numbers), TOKEN=token(site, user))
    return json.loads(told)


def token(site, user):
    """The token of a user's server, which only root and they can read."""
    for host in site.hosts:
        if pid := site.root(f"pgrep -u {user} -f jupyterhub.singleuser | head -1", host).strip():
            said = site.path(f"/proc/{pid}/environ", host).read_text().split("\0")
            return next(pair.partition("=")[2] for pair in said if pair.startswith("JUPYTERHUB_API_TOKEN="))


def processes(site, user):
    """What runs of a user on the hosts: host and command."""
    said = {host: site.root(f"ps -o args= -u {user} || true", host) for host in ("login", *site.hosts)}
    return [f"{host}: {line[:100]}" for host in said for line in said[host].splitlines() if line.strip()]
