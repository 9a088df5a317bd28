"""Nodes that are jobs of the site's Slurm or of hpclab's own: one job a node, or one job for all of them."""

import shlex
from collections import Counter
from typing import Any

from dask.system import CPU_COUNT

from hpclab.cluster import slurm, slurm_commands
from hpclab.cluster.backends.batch import BatchJob, BatchNodes, dask_jobqueue
from hpclab.cluster.request import Request, replaced, sbatch_size, value_of
from hpclab.cluster.slurm import Slurm
from hpclab.cluster.watchdog import Guard

STARTS = 10  # how often a worker of a single allocation is started at most


class NodeJob(BatchJob, dask_jobqueue.slurm.SLURMJob):
    """The Slurm job of one node, or with `members` the single job of so many nodes, whose srun starts a
    worker on each."""

    directive = "#SBATCH"

    def __init__(self, scheduler: str = "", name: str = "", *, members: int = 0, **options: Any):
        if members:
            shape = [f"-N {members}", "--ntasks-per-node=1", "--no-kill"]
            options["job_extra_directives"] = [*shape, *options["job_extra_directives"]]
            options["job_directives_skip"] = ["#SBATCH -n 1", *options["job_directives_skip"]]
        super().__init__(scheduler, name, **options)
        if members:
            # Each task gets a name of its own; one worker's end must not end the others (--wait, --kill-...),
            # and as no other job can have its node, it is started again there.
            command = self._command_template.replace(f"--name {name} ", f"--name {name}-$SLURM_PROCID ")
            again = f"for start in {{1..{STARTS}}}; do {command} && break; done"
            self._command_template = (
                f"srun --nodes={members} --ntasks={members} --cpus-per-task={options['job_cpu']} "
                f"--wait=0 --kill-on-bad-exit=0 --no-kill bash -c {shlex.quote(again)}"
            )


class SlurmNodes(BatchNodes):
    """The nodes of one pool as Slurm's jobs."""

    kind, job_number = "slurm", "SLURM_JOB_ID"

    @staticmethod
    def connect() -> Slurm:
        return slurm.connect(export=False)

    def __init__(self, batch: Slurm, request: Request, name: str, guard: Guard):
        super().__init__(batch, request, name, guard)
        self.single = request.allocation == "single"
        self._asked = request.directives(self.settings.get("job-extra-directives", ()))
        memory, gpus = self._memory(), request.gpus_per_node
        logs = str(self.directory / name).replace("%", "%%")  # and quoted, so that no character matters
        own = ["--no-requeue", *([f"--gres=gpu:{gpus}"] if gpus else [])]
        own += [f'-{option} "{logs}-%J.{end}"' for option, end in (("e", "err"), ("o", "out"))]
        skip = [*replaced(self._asked), *self.settings.get("job-directives-skip", ())]
        self.start_jobs(
            NodeJob, members=int(self.single), job_cpu=request.cores_per_node, memory=f"{memory} B",
            # dask-jobqueue rounds up to whole gibibytes, which may be more than a node has.
            job_mem=(request.memory is None and self.settings.get("job-mem")) or f"{memory // 2**20}M",
            job_extra_directives=[*self._asked, *own], job_directives_skip=skip,
        )  # fmt: skip

    def cancel_commands(self) -> dict[str, object]:
        of, environment = ("--name", self.name), slurm_commands.hiding_nothing(self.batch.environment)
        return {
            "jobs": [["scancel", *of], ["scancel", *of, "--full", "--signal=KILL"]],
            "left": ["squeue", *of, "--noheader", "--format=%i"], "environment": environment,
            "exists": environment.get("SLURM_CONF", "/"),
        }  # fmt: skip

    def _memory(self) -> int:
        """Bytes of memory for a node: as Pool was told; else on our own Slurm the share that its cores have
        of a node's memory; else as the site's settings say, or 2 GiB for each core."""
        if self.request.memory is not None:
            return self.request.memory
        said = self.request.memory_in(self._asked)
        if self.on_local_slurm and not said:
            node = self.batch.nodes()[0]
            return node.memory * min(self.request.cores_per_node, node.cores) // node.cores
        job = sbatch_size(self.settings.get("job-mem") or "")
        return self.settings.get("memory") or said or job or 2 * 2**30 * self.request.cores_per_node

    def label(self, nodes: int) -> str:
        one = f"{nodes} node{'' if nodes == 1 else 's'} of "
        if self.on_local_slurm:
            return f"{one}hpclab's own Slurm, sharing this machine's {CPU_COUNT} cores"
        asked = value_of(self._asked, "partition")
        where = self.request.partition or asked or self.settings.get("queue")
        return f"{one}this site's Slurm" + (f", partition {where}" if where else "")

    def specification(self, names: list[str]) -> dict[str, Any]:
        """Return Dask's `worker_spec` with these nodes: a job each, or one job for a single allocation."""
        if not self.single:
            return super().specification(names)
        new, wanted = self.cluster.new_spec, {}
        for job, members in Counter(name.rpartition("-")[0] for name in names).items():
            made = {"options": new["options"] | {"members": members}}
            made["group"] = [f"-{index}" for index in range(members)]
            wanted[job] = self.cluster.worker_spec.get(job) or new | made
        return wanted
