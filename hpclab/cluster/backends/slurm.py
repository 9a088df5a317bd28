"""The Slurm backend: nodes are jobs of the site's Slurm or of hpclab's own, through dask-jobqueue."""

import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from dask.system import CPU_COUNT

from hpclab.cluster import slurm_commands, threads, watchdog
from hpclab.cluster.backends import Backend, causes, command, site_settings
from hpclab.cluster.backends.batch import NodeCluster, NodeJob
from hpclab.cluster.door import OwnScheduler
from hpclab.cluster.errors import JoinError
from hpclab.cluster.request import Request, replaced, sbatch_size, value_of
from hpclab.cluster.slurm import Job, Slurm


class SlurmNodes(Backend):
    """The nodes of one pool as jobs named `name`. `cluster` is dask-jobqueue's."""

    kind = "slurm"
    slurm: Slurm

    def __init__(self, slurm: Slurm, request: Request, name: str, guard: watchdog.Guard):
        self.slurm, self.request, self.name = slurm, request, name
        self.on_local_slurm, self.single = slurm.kind == "local", request.allocation == "single"
        self.cancelled = False  # whether all jobs are, in one command
        self._site = site_settings.checked(own=self.on_local_slurm)
        self._asked = request.directives(self._site.get("job-extra-directives", ()))
        self.directory = command.private_directory(name, shared=not self.on_local_slurm)
        guard.register(remove=str(self.directory))
        guard.register(jobs=name, environment=slurm_commands.hiding_nothing(slurm.environment))
        listens = {"port": 0} | self._site.get("scheduler-options", {}) | command.SCHEDULER
        if self.on_local_slurm:
            listens["host"] = command.LOOPBACK
        else:
            self.network = self._site.get("interface")
        security, options = command.secure(self.directory), self._job_options()
        try:
            with command.scheduler_settings(self.directory, site=not self.on_local_slurm):
                self.cluster = NodeCluster(
                    name=name, config_name=site_settings.OWN, security=security, protocol="tls://",
                    silence_logs="critical", interface=self._site.get("interface"),
                    scheduler_cls=OwnScheduler, scheduler_options=listens, **options,
                )  # fmt: skip
        except (RuntimeError, ValueError) as error:  # of dask-jobqueue's close, which hides the first
            first: BaseException = error
            while first.__context__ is not None:
                first = first.__context__
            raise JoinError(
                f"The pool's scheduler did not start here: {first}. interface and scheduler-options of "
                "jobqueue.slurm in jobqueue.yaml say where it listens."
            ) from None

    def _job_options(self) -> dict[str, Any]:
        request, site, asked = self.request, self._site, self._asked
        memory = self._memory()
        own = ["--no-requeue", *([f"--gres=gpu:{request.gpus_per_node}"] if request.gpus_per_node else [])]
        logs = str(self.directory / self.name).replace("%", "%%")  # and quoted, so that no character matters
        own += [f'-{option} "{logs}-%J.{end}"' for option, end in (("e", "err"), ("o", "out"))]
        skip = ["#SBATCH -e ", "#SBATCH -o ", *replaced(asked)]
        variables = threads.environment(request.cores_per_node) | {watchdog.MARK: self.name}
        arguments = [*site.get("worker-extra-args", ())]
        arguments += map(shlex.quote, command.worker_arguments(self.directory))
        if self.on_local_slurm:
            variables |= command.worker_settings(self.directory)
            arguments += ["--host", command.LOOPBACK]
        prologue = ["read -r HPCLAB_JOB_STARTED _ < /proc/uptime && export HPCLAB_JOB_STARTED"]
        prologue += [f"export {variable}={value}" for variable, value in variables.items()]
        return {
            "nodes": self,
            "cores": 1, "processes": 1, "job_cpu": request.cores_per_node, "memory": f"{memory} B",
            # dask-jobqueue rounds up to whole gibibytes, which may be more than a node has.
            "job_mem": (request.memory is None and site.get("job-mem")) or f"{memory // 2**20}M",
            "nanny": False, "job_name": self.name, "shebang": site.get("shebang"),
            "queue": request.partition or site.get("queue"),
            "account": request.account or site.get("account"),
            "walltime": self._walltime(), "log_directory": str(self.directory),
            "python": f"{site.get('python') or shlex.quote(sys.executable)} -P",
            "worker_command": site.get("worker-command"), "death_timeout": site.get("death-timeout"),
            "local_directory": site.get("local-directory") or shlex.quote(str(self.directory)),
            "job_directives_skip": [*skip, *site.get("job-directives-skip", ())],
            "job_extra_directives": [*asked, *own],
            "job_script_prologue": [*prologue, *site.get("job-script-prologue", ())],
            "worker_extra_args": arguments,
        }  # fmt: skip

    def _memory(self) -> int:
        """Bytes a node: as asked; on our own Slurm a node's share for these cores; else as the site says."""
        if self.request.memory is not None:
            return self.request.memory
        said = self.request.memory_in(self._asked)
        if self.on_local_slurm and not said:
            node = self.slurm.nodes()[0]
            return node.memory * min(self.request.cores_per_node, node.cores) // node.cores
        job = sbatch_size(self._site.get("job-mem") or "")
        return self._site.get("memory") or said or job or 2 * 2**30 * self.request.cores_per_node

    def _walltime(self) -> str | None:
        """As asked, else as the site or Dask says, and no longer than the partition allows."""
        seconds = self.request.walltime or self._site.get("walltime")
        if seconds is None:
            return None
        if self.request.walltime is None and not self.on_local_slurm:
            longest = self.slurm.longest(self.request.partition or self._site.get("queue"))
            seconds = min(seconds, longest or seconds)
        return site_settings.clock(round(seconds))

    def label(self, nodes: int) -> str:
        one = f"{nodes} node{'' if nodes == 1 else 's'} of "
        if self.on_local_slurm:
            return f"{one}hpclab's own Slurm, sharing this machine's {CPU_COUNT} cores"
        asked = value_of(self._asked, "partition")
        where = self.request.partition or asked or self._site.get("queue")
        return f"{one}this site's Slurm" + (f", partition {where}" if where else "")

    def specification(self, names: list[str]) -> dict[str, Any]:
        """Dask's worker specification for these nodes: a job each, or a job for those of one allocation."""
        new = self.cluster.new_spec
        if not self.single:
            return dict.fromkeys(names, new)
        wanted = {}
        for job, members in Counter(name.rpartition("-")[0] for name in names).items():
            made = {"options": new["options"] | {"members": members}}
            made["group"] = [f"-{index}" for index in range(members)]
            wanted[job] = self.cluster.worker_spec.get(job) or new | made
        return wanted

    def job_script(self) -> str:
        options = dict(self.cluster.new_spec["options"])
        known = [spec["options"].get("members", 1) for spec in self.cluster.worker_spec.values()]
        options["members"] = max(known, default=1)
        return NodeJob(str(self.cluster.scheduler_address), "$NAME", **options).job_script()

    def jobs(self) -> list[Job]:
        return [job for job in self.slurm.queue() if job.name == self.name]

    def _of(self, name: str) -> NodeJob | None:
        job = self.cluster.workers.get(name) or self.cluster.workers.get(name.rpartition("-")[0])
        return job if isinstance(job, NodeJob) else None

    def ended(self, names: Iterable[str]) -> dict[str, str]:
        jobs = {name: job for name in names if (job := self._of(name)) is not None}
        found = {
            name: f"its job was not submitted ({job.refused})" for name, job in jobs.items() if job.refused
        }
        numbers = {name: int(job.job_id) for name, job in jobs.items() if job.job_id}
        with suppress(slurm_commands.SlurmError):  # nobody knows; a Slurm that is away ends no node
            queue = {each.id: each for each in self.slurm.queue(list(numbers.values()))} if numbers else {}
            for name, number in numbers.items():
                known = queue.get(number)
                if (
                    known is None
                    or known.ended
                    or (  # Slurm may still be ending it
                        known.started and known.limit and time.time() > known.started + known.limit - 2
                    )
                ):
                    found[name] = f"its job {number} {self._how(number, known)}"
        return found

    def _how(self, number: int, known: Job | None) -> str:
        """How job `number` ended; Slurm's queue forgets it, and its history does not."""
        state = known.state if known else "gone from the queue"
        if known is None:
            with suppress(slurm_commands.SlurmError):
                state = next((job.state for job in self.slurm.history([number]) if job.id == number), state)
        if state == "TIMEOUT" or (known is not None and not known.ended):
            limit = self._walltime() or "the partition's"
            return f"reached its time limit ({limit}; Pool(walltime=...) asks for another)"
        return f"ended ({state})"

    def log(self, name: str) -> str:
        job = self._of(name)
        logs = self._logs(int(job.job_id)) if job is not None and job.job_id else []
        return "".join(map(command.last_lines, logs))

    def _logs(self, number: int) -> list[Path]:
        return [self.directory / f"{self.name}-{number}.{end}" for end in ("err", "out")]

    def explain(self, names: list[str]) -> str:
        """State, reason, log and likely cause of the jobs of nodes that have not joined; at most three."""
        jobs = {job.job_id: job for name in names if (job := self._of(name)) is not None}
        prologue = bool(self._site.get("job-script-prologue"))
        told = [
            causes.of_job(self.slurm, self.name, int(number), self._logs(int(number)), prologue)
            if number else f"Its job was not submitted{f': {job.refused}' if job.refused else '.'}"
            for number, job in jobs.items()
        ] or ["Its job was not submitted."]  # fmt: skip
        more = f"\n… and {len(told) - 3} more." if len(told) > 3 else ""
        return "\n".join(told[:3]) + more + self.slurm.trouble()

    def end_all(self) -> bool:
        """Cancel every job of this name, also one that is just being submitted, until none is left."""
        self.cancelled = True
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                if not (left := self.jobs()):
                    return True
                self.slurm.cancel(*(job.id for job in left))
            except slurm_commands.SlurmError:
                deadline = min(deadline, time.monotonic() + 2)
            time.sleep(0.1)
        return False
