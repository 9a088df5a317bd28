"""A JupyterHub on the login host of a site, as docs/hub.md says, and a browser that stands there, too."""

import contextlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.browser.conftest import Notebook, chromium_program, running_browser
from tests.conftest import until
from tests.site.conftest import ROOT, SHARED

ADDRESS = "http://127.0.0.1:8000"
SITE = """
[slurm]
partition = "main"
[network]
interface = "eth0"
[hub]
address = "10.77.0.1"
"""
PROFILES = """
[[hub.profile]]
name = "One core"
cores = 1
memory = "1 GiB"
[[hub.profile]]
name = "Two cores"
cores = 2
memory = "2 GiB"
"""
PREEMPTS = {
    "settings": {"SlurmdParameters": "config_overrides", "PreemptType": "preempt/partition_prio",
                 "PreemptMode": "REQUEUE", "SelectTypeParameters": "CR_Core"},
    "partitions": "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1\n"
    "PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=9",
}  # fmt: skip


class Hub:
    """JupyterHub run by root on the login host of `site`, with `settings` as its site.toml."""

    def __init__(self, site, settings=SITE + PROFILES):
        self.site = site
        site.path("site.toml").write_text(settings)
        self.start()

    def start(self):
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
        get = f"import urllib.request as u; u.build_opener(u.ProxyHandler({{}})).open('{ADDRESS}/hub/health', timeout=2)"
        with contextlib.suppress(AssertionError):
            self.site.python(get)
            return True

    def end(self, how="TERM"):
        """As `kill -HOW` of the hub; its proxy ends with it or is taken over."""
        self.site.root(f"pkill -{how} -f slurm/hub/jupyterhub_config.py")
        self.process.wait(30)

    def log(self):
        return self.site.path("hub.log").read_text()

    def job(self, user, *states):
        """The number of the job that is a learner's server, "" without one."""
        said = self.site.run("squeue", "-h", "-n", "hpclab-server", "-o", "%i %T %N", user=user).split()
        return said[0] if said else ""


class Page:
    """A learner's browser: logs in at the hub, has one page, and asks the learner's server as that page would."""

    def __init__(self, browser, user):
        self.user = user
        self.context = browser.new_context(viewport={"width": 1280, "height": 800})
        self.page = self.context.new_page()

    def log_in(self):
        self.page.goto(f"{ADDRESS}/hub/login")
        self.page.fill("input[name=username]", self.user)
        self.page.fill("input[name=password]", self.user)
        self.page.click("#login_submit")

    def spawn(self, profile="One core"):
        self.page.select_option("#profile", profile)
        self.page.click("input[type=submit]")
        self.lab()

    def lab(self):
        """Wait until JupyterLab is there."""
        self.page.wait_for_url(f"**/user/{self.user}/lab**", timeout=120_000)
        self.page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=120_000)

    def get(self, path):
        return self.page.evaluate("path => fetch(path).then(said => said.json())", f"/user/{self.user}/{path}")

    def status(self, path):
        """What status the hub or a server answers this browser with."""
        return self.page.evaluate("path => fetch(path).then(said => said.status)", path)

    def open(self, name):
        self.page.goto(f"{ADDRESS}/user/{self.user}/lab/workspaces/w/tree/hpclab/{name}")
        self.page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=120_000)
        notebook = Notebook(self, self.page, name)
        until(lambda: notebook.kernel()["execution_state"] == "idle", f"{name} has a kernel")
        return notebook


@contextlib.contextmanager
def browser_on(site):
    """Chromium, in the network of the login host."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "chromium"
        inside = f"nsenter --target={site.first['login']} -n --"
        program.write_text(f'#!/bin/sh\nexec {inside} {chromium_program()} "$@"\n')
        program.chmod(0o755)
        with running_browser(str(program)) as chromium:
            yield chromium


def processes(site, user):
    """What runs of a learner on any host: host and command."""
    found = []
    for host in ("login", *site.hosts):
        said = site.root(f"ps -o args= -u {user} || true", host)
        found += [f"{host}: {line[:100]}" for line in said.splitlines() if line.strip()]
    return found
