"""The batch jobs of a pool, made by dask-jobqueue: one job a node, or one job for all of them.

dask-jobqueue puts its arguments into the script as they are: request.py and site_settings.py have checked
them, and paths are quoted. The script goes to sbatch's standard input, never through a file that others could
read or replace.
"""

from __future__ import annotations

import asyncio
import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from distributed.deploy.spec import ProcessInterface

from hpclab.cluster.slurm import SlurmError

if TYPE_CHECKING:
    from distributed.security import Security

    from hpclab.cluster.backends.slurm import SlurmNodes

# dask-jobqueue's runner module takes SIGINT for itself when it is imported (0.9.0): from then on an interrupt
# would end the whole program instead of what runs, and in a thread, where Python lets nobody touch signals,
# the import fails. So it happens here, and signals stay as they were.
_set, signal.signal = signal.signal, lambda *_: None
try:
    import dask_jobqueue
    from dask_jobqueue import SLURMCluster
    from dask_jobqueue.slurm import SLURMJob
finally:
    signal.signal = _set

DEFAULTS = dask_jobqueue.__path__[0] + "/jobqueue.yaml"
STARTS = 10  # how often a worker of a single allocation is started at most


class NodeJob(SLURMJob):
    """The job of one of these nodes; in an allocation that of all `members`, whose srun starts each."""

    def __init__(
        self, scheduler: str = "", name: str = "", *, nodes: SlurmNodes, members: int = 1, **options: Any
    ):
        if nodes.single:
            shape = [f"-N {members}", "--ntasks-per-node=1", "--no-kill"]
            options["job_extra_directives"] = [*shape, *options["job_extra_directives"]]
            options["job_directives_skip"] = ["#SBATCH -n 1", *options["job_directives_skip"]]
        super().__init__(scheduler=scheduler, name=name, **options)
        self.nodes = nodes
        self.refused: SlurmError | None = None
        if nodes.single:
            # Each task gets a name of its own; one worker's end must not end the others (--wait, --kill-...),
            # and as no other job can have its node, it is started again there.
            command = self._command_template.replace(f"--name {name} ", f"--name {name}-$SLURM_PROCID ")
            again = f"for start in {{1..{STARTS}}}; do {command} && break; done"
            self._command_template = (
                f"srun --nodes={members} --ntasks={members} --cpus-per-task={nodes.request.cores_per_node} "
                f"--wait=0 --kill-on-bad-exit=0 --no-kill bash -c {shlex.quote(again)}"
            )

    @contextmanager
    def job_file(self) -> Iterator[None]:
        """No file: the script goes to sbatch's standard input."""
        yield None

    async def _submit_job(self, script_filename: None) -> str:
        # On the command line too, where no SBATCH_PARTITION and the like of the environment speaks before it.
        lines = str(self.job_header).splitlines()
        said = [word for line in lines for word in shlex.split(line.removeprefix("#SBATCH"))]
        try:
            return str(await asyncio.to_thread(self.nodes.slurm.submit, self.job_script(), *said))
        except SlurmError as error:
            self.refused = error
            raise

    async def close(self) -> None:
        if self.job_id and not self.nodes.cancelled:
            with suppress(SlurmError):  # its worker has been told to leave; the pool's end cancels by name
                await asyncio.to_thread(self.nodes.slurm.cancel, int(self.job_id))
        await ProcessInterface.close(self)


class NodeCluster(SLURMCluster):
    """dask-jobqueue's cluster; its workers find their keys in files of ours instead of files of its own."""

    job_cls = NodeJob  # type: ignore[assignment]

    def _get_worker_security(self, security: Security | None) -> None:
        return None
