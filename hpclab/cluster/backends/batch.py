"""The batch jobs of a pool, made by dask-jobqueue: one job a node, or one job for all of them.

dask-jobqueue puts its arguments into the script as they are. So everything that reaches it here has been
checked (see request.py and site_settings.py), paths are quoted, and the script goes to sbatch's standard
input, never through a file that others could read or replace.
"""

from __future__ import annotations

import asyncio
import shlex
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from distributed.deploy.spec import ProcessInterface

from hpclab.cluster.backends.jobqueue import SLURMCluster, SLURMJob
from hpclab.cluster.slurm import Slurm, SlurmError

if TYPE_CHECKING:
    from distributed.security import Security


STARTS = 10  # how often a worker of a single allocation is started at most


@dataclass(frozen=True, eq=False)
class Order:
    """What dask-jobqueue has no word for: who submits, threads a node, whether all nodes are one job."""

    slurm: Slurm
    cores: int
    single: bool
    cancelled: threading.Event = field(default_factory=threading.Event)  # all jobs are, in one command

    def __deepcopy__(self, memo: dict[int, Any]) -> Order:
        return self


class NodeJob(SLURMJob):
    """The job of one node; with `members` the one job whose srun starts that many workers."""

    def __init__(
        self, scheduler: str = "", name: str = "", *, order: Order, members: int = 1, **options: Any
    ):
        if order.single:
            shape = [f"-N {members}", "--ntasks-per-node=1", "--no-kill"]
            options["job_extra_directives"] = [*shape, *options["job_extra_directives"]]
            options["job_directives_skip"] = ["#SBATCH -n 1", *options["job_directives_skip"]]
        super().__init__(scheduler=scheduler, name=name, **options)
        self.order, self.members = order, members
        self.refused: SlurmError | None = None
        if order.single:
            # Each task gets a name of its own; one worker's end must not end the others (--wait, --kill-...),
            # and as no other job can have its node, it is started again there.
            command = self._command_template.replace(f"--name {name} ", f"--name {name}-$SLURM_PROCID ")
            again = f"for start in {{1..{STARTS}}}; do {command} && break; done"
            self._command_template = (
                f"srun --nodes={members} --ntasks={members} --cpus-per-task={order.cores} --wait=0 "
                f"--kill-on-bad-exit=0 --no-kill bash -c {shlex.quote(again)}"
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
            return str(await asyncio.to_thread(self.order.slurm.submit, self.job_script(), *said))
        except SlurmError as error:
            self.refused = error
            raise

    async def close(self) -> None:
        if self.job_id and not self.order.cancelled.is_set():
            with suppress(SlurmError):  # its worker has been told to leave; the pool's end cancels by name
                await asyncio.to_thread(self.order.slurm.cancel, int(self.job_id))
        await ProcessInterface.close(self)


class NodeCluster(SLURMCluster):
    """dask-jobqueue's cluster; its workers find their keys in files of ours instead of files of its own."""

    job_cls = NodeJob  # type: ignore[assignment]

    def _get_worker_security(self, security: Security | None) -> None:
        return None
