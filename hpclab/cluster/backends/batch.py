"""Nodes that are jobs of a batch system, made by dask-jobqueue: what is the same for each system.

dask-jobqueue puts its arguments into the script as they are: request.py and site_settings.py have checked
them, and paths are quoted. No file holds the script, which others could read or replace.
"""

from __future__ import annotations

import asyncio
import shlex
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distributed.deploy.spec import ProcessInterface

from hpclab.cluster import threads, watchdog
from hpclab.cluster.backends import Backend, causes, command, site_settings
from hpclab.cluster.errors import BatchError, JoinError

if TYPE_CHECKING:
    from hpclab.cluster.request import Request

# dask-jobqueue's runner module takes SIGINT for itself when it is imported (0.9.0): from then on an interrupt
# would end the whole program instead of what runs, and in a thread, where Python lets nobody touch signals,
# the import fails. So it happens here, and signals stay as they were.
_set, signal.signal = signal.signal, lambda *_: None
try:
    import dask_jobqueue
finally:
    signal.signal = _set


class BatchJob(dask_jobqueue.core.Job):
    """A mixin before dask-jobqueue's class of a system's jobs, whose directives begin with `directive`."""

    directive: str

    def __init__(self, scheduler: str = "", name: str = "", *, nodes: BatchNodes, **options: Any):
        super().__init__(scheduler=scheduler, name=name, **options)
        self.nodes = nodes
        self.refused: BatchError | None = None

    @contextmanager
    def job_file(self) -> Iterator[None]:
        """Write no file, in place of dask-jobqueue's own: the script goes to the command's standard input."""
        yield None

    async def _submit_job(self, script_filename: None) -> str:
        # On the command line too, where no SBATCH_PARTITION and the like of the environment speaks before it.
        lines = str(self.job_header).splitlines()
        said = [word for line in lines for word in shlex.split(line.removeprefix(self.directive))]
        try:
            return str(await asyncio.to_thread(self.nodes.batch.submit, self.job_script(), *said))
        except BatchError as error:
            self.refused = error
            raise

    async def close(self) -> None:
        if self.job_id and not self.nodes.cancelled:
            with suppress(BatchError):  # its worker has been told to leave; the pool's end cancels by name
                await asyncio.to_thread(self.nodes.batch.cancel, int(self.job_id))
        await ProcessInterface.close(self)


class BatchNodes(Backend):
    """The nodes of one pool as jobs named `name` of `batch`, whose `kind` is "site" or "local";
    `job_number` is the environment variable in which a job finds its number."""

    job_number: str

    def __init__(self, batch: Any, request: Request, name: str, guard: watchdog.Guard):
        self.on_local_slurm = batch.kind == "local"
        self.settings = site_settings.checked(self.kind, own=self.on_local_slurm)
        self.cancelled = False  # whether all jobs are, in one command
        super().__init__(batch, request, name, guard, site=not self.on_local_slurm)
        guard.register(**self.cancel_commands())

    def cancel_commands(self) -> dict[str, object]:
        """Return the message by which the watchdog can cancel the jobs (watchdog.py has its fields)."""
        return {}

    def start_jobs(self, job: type[BatchJob], **own: Any) -> None:
        """Start Dask's scheduler, whose nodes are of the class `job`, made with the site's settings, Pool's
        arguments, and the batch system's `own` options."""
        request, site, interface = self.request, self.settings, self.settings.get("interface")
        listens = site.get("scheduler-options", {})
        variables = threads.environment(request.cores_per_node)
        variables |= {watchdog.MARK: self.name, "HPCLAB_JOB_ID": f"${self.job_number}"}
        arguments = [*site.get("worker-extra-args", ())]
        arguments += map(shlex.quote, command.worker_arguments(self.directory))
        if self.on_local_slurm:
            variables |= command.worker_settings(self.directory)
            arguments += ["--host", command.LOOPBACK]
            listens = listens | {"host": command.LOOPBACK}
        else:
            self.network = interface
        if not listens.keys() & {"host", "interface"}:
            listens = listens | {"interface": interface}
        prologue = ["read -r HPCLAB_JOB_STARTED _ < /proc/uptime && export HPCLAB_JOB_STARTED"]
        prologue += [f"export {variable}={value}" for variable, value in variables.items()]
        options = {
            "config_name": f"{site_settings.OWN}{self.kind}", "protocol": "tls://", "interface": interface,
            "cores": 1, "processes": 1, "nanny": False, "job_name": self.name, "shebang": site.get("shebang"),
            "queue": request.partition or site.get("queue"),
            "account": request.account or site.get("account"), "walltime": self.walltime(),
            "python": f"{site.get('python') or shlex.quote(sys.executable)} -P",
            "worker_command": site.get("worker-command"), "death_timeout": site.get("death-timeout"),
            "local_directory": site.get("local-directory") or shlex.quote(str(self.directory)),
            "job_script_prologue": [*prologue, *site.get("job-script-prologue", ())],
            "worker_extra_args": arguments,
        }  # fmt: skip
        try:
            self.start(job, options | own, listens)
        except RuntimeError as error:
            first: BaseException = error
            while cause := first.__cause__ or first.__context__:
                first = cause
            raise JoinError(
                f"The pool's scheduler did not start here: {first}. interface and "
                f"scheduler-options of jobqueue.{self.kind} in jobqueue.yaml say where it listens."
            ) from None

    def walltime(self) -> str | None:
        """The jobs' time limit as HH:MM:SS: Pool's, or else that of the settings, which on a site is cut to
        what the partition allows; None where neither has one."""
        seconds = self.request.walltime or self.settings.get("walltime")
        if seconds and not self.request.walltime and not self.on_local_slurm:
            longest = self.batch.longest(self.request.partition or self.settings.get("queue"))
            seconds = min(seconds, longest or seconds)
        return site_settings.clock(round(seconds)) if seconds else None

    def job_script(self) -> str:
        spec = next(iter(self.cluster.worker_spec.values()), self.cluster.new_spec)
        return spec["cls"](str(self.cluster.scheduler_address), "$NAME", **spec["options"]).job_script()

    def jobs(self) -> list[Any]:
        return [job for job in self.batch.queue() if job.name == self.name]

    def job(self, name: str) -> BatchJob | None:
        """The job that runs the node `name`, or None. A job of one node has the node's name; the job of
        several, ``pool-0-0``, ``pool-0-1``, is named ``pool-0``."""
        return self.cluster.workers.get(name) or self.cluster.workers.get(name.rpartition("-")[0])

    def ended(self, names: Iterable[str]) -> dict[str, str]:
        jobs = {name: job for name in names if (job := self.job(name))}
        found = {
            name: f"its job was not submitted ({job.refused})" for name, job in jobs.items() if job.refused
        }
        numbers = {name: int(job.job_id) for name, job in jobs.items() if job.job_id}
        with suppress(BatchError):  # nobody knows; a batch system that is away ends no node
            queue = {each.id: each for each in self.batch.queue(list(numbers.values()))} if numbers else {}
            for name, number in numbers.items():
                known = queue.get(number)
                over = known and known.started and known.limit  # it may still be ending it
                if known is None or known.ended or (over and time.time() > known.started + known.limit - 2):
                    found[name] = f"its job {number} {self._how(number, known)}"
        return found

    def _how(self, number: int, known: Any) -> str:
        """Return how job `number` ended; `known` is its Job, or None once the queue has forgotten it."""
        state = known.state if known else "gone from the queue"
        if known is None:
            with suppress(BatchError):
                state = next((job.state for job in self.batch.history([number]) if job.id == number), state)
        if state == "TIMEOUT" or (known is not None and not known.ended):
            limit = self.walltime() or "the partition's"
            return f"reached its time limit ({limit}; Pool(walltime=...) asks for another)"
        return f"ended ({state})"

    def logs(self, name: str) -> list[Path]:
        number = getattr(self.job(name), "job_id", None)
        return [self.directory / f"{self.name}-{number}.{end}" for end in ("err", "out")] if number else []

    def why(self, name: str) -> str:
        """Return the state, the reason why it waits, the end of the log and the likely cause of its job."""
        job = self.job(name)
        if job is not None and job.job_id:
            return causes.explain_job(self, int(job.job_id), self.logs(name))
        return f"Its job was not submitted{f': {job.refused}' if job and job.refused else '.'}"

    def explain(self, names: list[str]) -> str:
        one_of_each = {getattr(self.job(name), "job_id", None) or name: name for name in names}
        return super().explain([*one_of_each.values()]) + self.batch.trouble()

    def end_all(self) -> bool:
        """Cancel every job of this pool, also one that is just being submitted, until none is left; False
        where some are left after ten seconds, or two seconds after the batch system fails."""
        self.cancelled = True
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                if not (left := self.jobs()):
                    return True
                self.batch.cancel(*(job.id for job in left))
            except BatchError:
                deadline = min(deadline, time.monotonic() + 2)
            time.sleep(0.1)
        return False
