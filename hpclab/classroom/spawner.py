"""JupyterHub's side of a learner's server: batchspawner's spawner, made safe for a class of strangers.

- Only the name of a profile is taken from a learner, and looked up. batchspawner puts everything of a
  request's `user_options` into the batch script.
- A server tells its hub the port on which it listens, and nothing else. batchspawner's own handler sets any
  attribute of the spawner, `exec_prefix` too, so that a learner's token would run commands as the hub.
- Slurm's programs are called as the learner, by argument lists, with umask 077; the queue is asked once
  for all servers.
- A server whose job ends before it answers is given up at once, with the last lines of its log.
"""

import asyncio
import hmac
import json
import math
import os
import pwd
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from html import escape
from typing import Any

from batchspawner import SlurmSpawner
from batchspawner.api import BatchSpawnerAPIHandler
from batchspawner.batchspawner import JobStatus
from jupyterhub.apihandlers import APIHandler, default_handlers
from jupyterhub.spawner import SpawnException
from tornado import web
from traitlets import Instance

from hpclab import checks
from hpclab.classroom import hub
from hpclab.classroom.settings import Site
from hpclab.cluster.slurm import submission

_ended: dict[str, str] = {}  # how the last server ended, by user
_HOW = {
    "TIMEOUT": "it reached its time limit",
    "PREEMPTED": "a job of higher priority took its node",
    "NODE_FAIL": "its node failed",
    "OUT_OF_MEMORY": "it used more memory than its profile has",
    "CANCELLED": "it was ended by you, by an operator, or because nobody used it",
    "COMPLETED": "it was shut down, or nobody used it",
    "FAILED": f"it failed; its last words are in ~/{hub.LOG}",
}


def why_ended(user: Any) -> str:
    """How the last server of a user of JupyterHub ended, in a sentence; "" where that is not known."""
    return _ended.get(user.name, "") if user else ""


class PortHandler(APIHandler):
    """Takes the port of a server that starts: `POST /hub/api/batchspawner` with {"port": 12345}."""

    @web.authenticated
    def post(self) -> None:
        said, token = self.get_json_body(), self.get_auth_token() or ""
        starting = [spawner for spawner in self.current_user.spawners.values() if spawner.pending == "spawn"]
        mine = [one for one in starting if token and hmac.compare_digest(one.api_token or "", token)]
        if not mine or not isinstance(said, dict) or set(said) != {"port"}:
            raise web.HTTPError(403, "A server that starts may say its port here, and nobody else anything.")
        try:
            mine[0].port = checks.integer("port", said["port"], 1024, 65535)
        except ValueError as error:
            raise web.HTTPError(400, str(error)) from None
        self.set_status(201)
        self.finish(json.dumps({"message": "The port is known."}))


default_handlers[:] = [one for one in default_handlers if one[1] is not BatchSpawnerAPIHandler]
default_handlers.append((r"/api/batchspawner", PortHandler))


class Queue:
    """The states of all servers' jobs, ended ones too, by one squeue for all, at most every two seconds:
    batchspawner asks twice a second for each that starts, and with forty the hub does little else."""

    EVERY, FIRST = 2.0, 0.2  # seconds between two squeue, and if it looks for a job that is new
    WORDS = ("squeue", "--noheader", "--states=all", f"--name={hub.JOB}", "--format=%i %T %r %B")

    def __init__(self) -> None:
        self.jobs: dict[str, str] = {}
        self.asked, self.asking = -math.inf, asyncio.Lock()

    async def job(self, number: str) -> str:
        """``"RUNNING None n1"``: a job's state, reason and host; "" if not known. RuntimeError as `run`."""
        async with self.asking:
            if number not in self.jobs:  # submitted since, or long over: what is known says nothing
                await asyncio.sleep(max(0.0, self.asked + self.FIRST - time.monotonic()))
            if number not in self.jobs or time.monotonic() >= self.asked + self.EVERY:
                lines = [line.partition(" ") for line in (await run(self.WORDS)).splitlines()]
                self.asked, self.jobs = time.monotonic(), {first: rest for first, _, rest in lines}
        return self.jobs.get(number, "")


async def run(argv: Sequence[str], text: str = "", **options: Any) -> str:
    """Run a program with `text` as standard input and these options of asyncio's `create_subprocess_exec`;
    return its standard output. RuntimeError holds its standard error where it fails, or says that it took
    more than a minute."""
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/", **options
    )
    try:
        out, said = await asyncio.wait_for(process.communicate(text.encode()), 60)
    except TimeoutError:
        raise RuntimeError(f"{argv[0]} did not answer within a minute") from None
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        raise RuntimeError(said.decode(errors="replace").strip())
    return out.decode(errors="replace").strip()


class LearnerSpawner(SlurmSpawner):
    """Runs a learner's server as a job. `site`: the site's settings; `hub_settings`: its table [hub]."""

    queue = Queue()
    site = Instance(Site).tag(config=True)
    hub_settings = Instance(hub.Hub).tag(config=True)

    @property
    def profile(self) -> hub.Profile:
        """The profile that the learner chose, now or the last time, else the first of the settings."""
        said = (self.user_options or self.orm_spawner.user_options or {}).get("profile")
        profiles = self.hub_settings.profiles
        return next((one for one in profiles if one.name == said), profiles[0])

    async def get_options_form(self) -> str:
        """The HTML form with the list of profiles; "" where there is no choice, or for a learner whose server
        ended and who comes back to a page of it, so that one click is enough."""
        profiles, handler = self.hub_settings.profiles, getattr(self, "handler", None)
        comes_back = handler and handler.get_argument("next", "") and self.orm_spawner.user_options
        if len(profiles) == 1 or comes_back:
            return ""
        options = "".join(
            f'<option value="{escape(one.name)}"{" selected" * (one == self.profile)}>{escape(one.summary())}'
            for one in profiles
        )
        return (
            f'<p role="status">{escape(why_ended(self.user))}</p>'
            '<label for="profile">What your server gets</label>'
            f'<select class="form-select" id="profile" name="profile" autofocus>{options}</select>'
        )

    def options_from_form(self, form: dict[str, list[str]]) -> dict[str, Any]:
        return {"profile": form["profile"][0]} if form.get("profile") else {}

    @staticmethod
    def apply_user_options(spawner: "LearnerSpawner", options: dict[str, Any]) -> None:
        """Only check: HTTPError 400 unless `options` are {} or ``{"profile": name}`` of a profile."""
        names = [one.name for one in spawner.hub_settings.profiles]
        if set(options) - {"profile"} or options.get("profile", names[0]) not in names:
            raise web.HTTPError(400, f"The one thing to choose is profile, one of {', '.join(names)}.")

    def get_env(self) -> dict[str, str]:
        learner = {"USER": self.user.name, "LOGNAME": self.user.name, "HOME": self.req_homedir}
        return {**super().get_env(), "HPCLAB_SITE_ENVIRONMENT": json.dumps(self.site.environment(learner))}

    async def _get_batch_script(self, **subvars: Any) -> str:
        """The text of `hub.script`; batchspawner's `subvars` are not used: a learner may have set them."""
        python = self.site.interpreter().split() or [sys.executable]
        return hub.script(
            self.profile, [*python, "-P", "-m", "hpclab.classroom.server_start", *self.get_args()],
            home=self.req_homedir, exported=sorted(self.get_env()), directives=self.site.directives(),
            prologue=self.site.prologue(),
        )  # fmt: skip

    async def run_command(self, cmd: str, input: str | None = None, env: dict[str, str] | None = None) -> str:
        """Run `cmd` without a shell, with umask 077, and as the learner where the hub is root."""
        as_them: dict[str, Any] = {"umask": 0o077}
        if os.geteuid() == 0:
            _, _, uid, gid, *_ = pwd.getpwnam(name := self.user.name)
            as_them |= {"user": uid, "group": gid, "extra_groups": os.getgrouplist(name, gid)}
        return await run(shlex.split(cmd), input or "", env=env, **as_them)

    async def query_job_status(self) -> JobStatus:
        """As batchspawner's, from the one `queue`; UNKNOWN, which ends no server, if Slurm is silent."""
        try:
            self.job_status = await self.queue.job(self.job_id) if self.job_id else ""
        except (RuntimeError, OSError) as error:
            self.log.warning("The queue cannot be asked: %s", error)
            return JobStatus.UNKNOWN
        if self.state_isrunning():
            return JobStatus.RUNNING
        return JobStatus.PENDING if self.state_ispending() else JobStatus.NOTFOUND

    async def submit_batch_script(self) -> str:
        try:
            return str(await super().submit_batch_script())
        except RuntimeError as error:
            raise SpawnException(500, submission.explain_refusal(str(error), "", {})) from None

    async def start(self) -> Any:
        """Return the server's address and port once it listens; SpawnException if its job ends before."""
        starting = asyncio.ensure_future(super().start())
        try:
            while True:
                await asyncio.wait({starting}, timeout=2)
                if starting.done() and await self._listens(*starting.result()):
                    return starting.result()
                if self.job_id and await self.query_job_status() == JobStatus.NOTFOUND:
                    ended = f"Your server's job ended before it answered. {await self._last_words()}"
                    raise SpawnException(500, ended)
        finally:
            starting.cancel()

    async def _listens(self, address: str, port: int) -> bool:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), 2)
        except OSError:
            await asyncio.sleep(self.startup_poll_interval)
            return False
        writer.close()
        return True

    async def progress(self) -> Any:
        """Yield what the start page says: why the job is pending, in plain words, and that it runs."""
        last = ""
        while not self.state_isrunning():
            if self.state_ispending() and (reason := self.job_status.split()[1]) != last:
                last = reason
                yield {"message": f"Your job waits. {submission.explain(reason)}"}
            await asyncio.sleep(1)
        yield {"message": "Your job runs, and its server starts."}

    def clear_state(self) -> None:
        """Clear as JupyterHub does; keep why the server ended for the page from which it is started again."""
        state = self.job_status.split()[0] if self.job_status else ""
        if state and not self.state_isrunning() and not self.state_ispending():
            how = _HOW.get(state, f"Slurm says {state}")
            _ended[self.user.name] = f"Your last server ended: {how}. What you saved is there."
        super().clear_state()

    async def _last_words(self) -> str:
        """The end of the server's log, read as the learner."""
        try:
            said = await self.run_command(shlex.join(["tail", "-n", "3", f"{self.req_homedir}/{hub.LOG}"]))
        except RuntimeError:
            return f"See ~/{hub.LOG}."
        return f"Its last words: {' / '.join(said.splitlines())[:600]}"
