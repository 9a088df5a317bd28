"""The Slurm backend: nodes are jobs of the site's Slurm or of hpclab's own, through dask-jobqueue."""

from __future__ import annotations

import shlex
import sys
import time
from contextlib import suppress
from typing import Any

import dask

from hpclab import units
from hpclab.cluster import slurm_commands, threads
from hpclab.cluster.backends import causes
from hpclab.cluster.backends.batch import NodeCluster, NodeJob, Order
from hpclab.cluster.backends.command import (
    LOOPBACK,
    PRELOAD,
    core_count,
    last_lines,
    loopback_environment,
    private_directory,
    scheduler_settings,
    secure,
    tls_arguments,
)
from hpclab.cluster.backends.site_settings import SiteSettings
from hpclab.cluster.guard import Guard
from hpclab.cluster.request import Request
from hpclab.cluster.slurm import Job, Slurm


class SlurmNodes:
    """The nodes of one pool as jobs named `name`. `cluster` is dask-jobqueue's."""

    kind = "slurm"

    def __init__(self, slurm: Slurm, request: Request, name: str, guard: Guard):
        self.slurm, self.request, self.name = slurm, request, name
        self.pretend = slurm.kind == "local"
        self._site = SiteSettings.checked(own=self.pretend)
        self.directory = private_directory(name, shared=not self.pretend)
        guard.remove(self.directory)
        guard.cancel(name, dict(slurm.environment))
        self.single = request.allocation == "single"
        self.order = Order(slurm, request.cores_per_node, self.single)
        self.interface = None if self.pretend else self._site.get("interface")
        security = secure(self.directory)
        with scheduler_settings(self.directory):
            self.cluster = NodeCluster(
                name=name, config_name=self._site.section, security=security, protocol="tls://",
                silence_logs="critical", interface=self.interface,
                scheduler_options=self._scheduler_options(), **self._job_options(),
            )  # fmt: skip

    def _scheduler_options(self) -> dict[str, Any]:
        own = {
            "port": 0, "dashboard": True, "dashboard_address": f"{LOOPBACK}:0", "allowed_failures": 3,
        }  # fmt: skip
        if self.pretend:
            own["host"] = LOOPBACK
        return (self._site.get("scheduler-options") or {}) | own

    def _job_options(self) -> dict[str, Any]:
        request, site, memory = self.request, self._site, self._memory()
        directives = ["--no-requeue", *request.extra_directives]
        if request.gpus_per_node:
            directives.append(f"--gres=gpu:{request.gpus_per_node}")
        variables = threads.environment(request.cores_per_node)
        prologue = ["read -r HPCLAB_JOB_STARTED _ < /proc/uptime && export HPCLAB_JOB_STARTED"]
        prologue += [f"export {variable}={value}" for variable, value in variables.items()]
        arguments = [
            *(site.get("worker-extra-args") or []), "--no-dashboard", "--dashboard-address", f"{LOOPBACK}:0",
            "--preload", PRELOAD, *map(shlex.quote, tls_arguments(self.directory)),
            *(["--host", LOOPBACK] if self.pretend else []),
        ]  # fmt: skip
        return {
            "order": self.order,
            "cores": 1, "processes": 1, "job_cpu": request.cores_per_node, "memory": f"{memory} B",
            # dask-jobqueue rounds up to whole gibibytes, which may be more than a node has.
            "job_mem": (request.memory is None and site.get("job-mem")) or f"{memory // 2**20}M",
            "nanny": False, "job_name": self.name,
            "queue": request.partition, "account": request.account or site.get("account"),
            "walltime": _walltime(request.walltime or self._shorter_walltime()),
            "log_directory": str(self.directory),
            "python": site.get("python") or shlex.quote(sys.executable),
            "local_directory": site.get("local-directory") or str(self.directory),
            "job_extra_directives": [*(site.get("job-extra-directives") or []), *directives],
            "job_script_prologue": [*prologue, *(site.get("job-script-prologue") or [])],
            "worker_extra_args": arguments,
        }  # fmt: skip

    def _memory(self) -> int:
        """Bytes a node: as asked; as the site says; on our own Slurm a node's share for these cores."""
        if self.request.memory is not None:
            return self.request.memory
        if self.pretend:
            node = self.slurm.nodes()[0]
            return node.memory * min(self.request.cores_per_node, node.cores) // node.cores
        return dask.utils.parse_bytes(self._site.get("memory") or 2 * 2**30 * self.request.cores_per_node)

    def _shorter_walltime(self) -> float | None:
        """The partition's time limit where that is shorter than what the site or dask-jobqueue would ask."""
        limit = (
            None if self.pretend else self.slurm.longest(self.request.partition or self._site.get("queue"))
        )
        with suppress(ValueError):
            if limit and limit < units.parse_seconds(str(self._site.get("walltime"))):
                return limit
        return None

    def label(self, nodes: int) -> str:
        """What the nodes really are."""
        one = f"{nodes} node{'' if nodes == 1 else 's'} of "
        if self.pretend:
            return f"{one}hpclab's own Slurm, sharing this machine's {core_count()} cores"
        where = self.request.partition or self._site.get("queue")
        return f"{one}this site's Slurm" + (f", partition {where}" if where else "")

    def specification(self, names: list[str]) -> dict[str, Any]:
        """Dask's worker specification for these nodes: a job each, or a job for those of one allocation."""
        new = self.cluster.new_spec
        if not self.single:
            return dict.fromkeys(names, new)
        known = self.cluster.worker_spec
        wanted: dict[str, Any] = dict.fromkeys(name.rpartition("-")[0] for name in names)
        for job in wanted:
            members = sum(name.rpartition("-")[0] == job for name in names)
            options = new["options"] | {"members": members}
            group = [f"-{index}" for index in range(members)]
            wanted[job] = known.get(job) or new | {"options": options, "group": group}
        return wanted

    def job_script(self) -> str:
        """What is submitted for a node, or for all of them where they are one allocation."""
        options = dict(self.cluster.new_spec["options"])
        members = max(
            [spec["options"].get("members", 1) for spec in self.cluster.worker_spec.values()] or [1]
        )
        return NodeJob(
            str(self.cluster.scheduler_address), "$NAME", **options | {"members": members}
        ).job_script()

    def rank_environment(self) -> dict[str, str]:
        """Environment of a gang's ranks: loopback on our own Slurm, else the site's network."""
        if self.pretend:
            return loopback_environment()
        if self.interface:
            return {"GLOO_SOCKET_IFNAME": self.interface, "NCCL_SOCKET_IFNAME": self.interface}
        return {}

    def jobs(self) -> list[Job]:
        """This pool's jobs in the queue."""
        return [job for job in self.slurm.queue() if job.name == self.name]

    def _of(self, name: str) -> NodeJob | None:
        job = self.cluster.workers.get(name) or self.cluster.workers.get(name.rpartition("-")[0])
        return job if isinstance(job, NodeJob) else None

    def ended(self, name: str) -> str | None:
        """How the job of a node ended, or None while it waits or runs."""
        job = self._of(name)
        if job is None:
            return None
        if job.refused:
            return f"its job was not submitted ({job.refused})"
        if not job.job_id:
            return None
        try:
            found = self.slurm.queue([int(job.job_id)])
        except slurm_commands.SlurmError:  # nobody knows; a Slurm that is away ends no node
            return None
        if found and not found[-1].ended:
            return None
        return f"its job {job.job_id} ended ({found[-1].state if found else 'gone from the queue'})"

    def explain(self, names: list[str]) -> str:
        """State, reason, log and likely cause of the jobs of nodes that have not joined; at most three."""
        jobs = {job.job_id: job for name in names if (job := self._of(name)) is not None}
        told = [self._explain_job(job) for job in jobs.values()] or ["Its job was not submitted."]
        more = f"\n… and {len(told) - 3} more." if len(told) > 3 else ""
        return "\n".join(told[:3]) + more

    def _explain_job(self, node: NodeJob) -> str:
        if not node.job_id:
            return f"Its job was not submitted{f': {node.refused}' if node.refused else '.'}"
        number = int(node.job_id)
        try:
            found = self.slurm.queue([number])
        except slurm_commands.SlurmError as error:
            return f"Nothing is known of job {number}: {error}"
        if not found:
            return f"Job {number}: gone from the queue."
        job = found[-1]
        if job.state == "PENDING":
            return f"Job {number} is PENDING. {self.slurm.explain(job.reason)}{self._rivals()}"
        logs = [self.directory / f"{self.name}-{number}.{end}" for end in ("err", "out")]
        log = "".join(map(last_lines, logs))
        prologue = bool(self._site.get("job-script-prologue"))
        return (
            f"Job {number} is {job.state} on {job.node_list or 'no node'}. "
            f"Its log ends:{log or ' (empty)'}\n{causes.likely(job.state, log, prologue)}"
        )

    def _rivals(self) -> str:
        """The nodes that the learner's other pools hold: a cell run twice waits for its own first run."""
        held = [job for job in self.slurm.queue() if job.name.startswith("hpclab-") and job.name != self.name]
        nodes = sum(job.nodes for job in held if job.state == "RUNNING")
        return (
            f" {nodes} node{'' if nodes == 1 else 's'} are held by other pools of yours: close() what you no "
            "longer need, or restart the kernels that hold them." if nodes else ""
        )  # fmt: skip

    def end_all(self, patience: float = 10.0) -> bool:
        """Cancel every job of this name, also one that is just being submitted, until none is left.

        False where Slurm did not say so in time: it is then the watchdog's to go on trying.
        """
        self.order.cancelled.set()
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            try:
                if not (left := self.jobs()):
                    return True
                self.slurm.cancel(*(job.id for job in left))
            except slurm_commands.SlurmError:
                deadline = min(deadline, time.monotonic() + 2)
            time.sleep(0.1)
        return False


def _walltime(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest:02d}"
