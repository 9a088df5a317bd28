"""What became of this user's jobs on a site: its accounting says, or what the controller still remembers.

Many sites keep no accounting database. The controller forgets a job some minutes after its end (MinJobAge),
so what it said once is kept here.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from hpclab.cluster.slurm import records
from hpclab.cluster.slurm.records import FinishedJob
from hpclab.cluster.slurm_commands import SlurmError


@dataclass
class SiteHistory:
    """`ask` runs one of Slurm's programs; `source` says where the last answer came from, in a sentence."""

    ask: Callable[..., str]
    source: str = "From slurmctld's log of ended jobs."  # where it is our own Slurm's that is read
    _seen: dict[tuple[int, int | None], FinishedJob] = field(default_factory=dict)
    _no_accounting: bool = False

    def jobs(self, wanted: set[int] | None) -> list[FinishedJob]:
        """The jobs that have ended, oldest first: those `wanted`, or the last day's; and all seen before."""
        told = [] if self._no_accounting else self._accounted(wanted)
        if self._no_accounting or not (wanted or set()) <= {job.id for job in told}:
            ask = [*records.SQUEUE, f"--user={os.getuid()}"]
            jobs, codes = (self.ask(*ask, columns) for columns in (
                f"--format={records.SQUEUE_FORMAT}", f"--Format={records.EXIT_CODE_FORMAT}"
            ))  # fmt: skip
            told = [*records.read_remembered(jobs, codes), *told]  # a database may learn of an end later
        self._seen.update({(job.array_job or job.id, job.array_task): job for job in told})
        return sorted(self._seen.values(), key=lambda job: (job.ended or 0.0, job.id))

    def _accounted(self, wanted: set[int] | None) -> list[FinishedJob]:
        which = f"--jobs={','.join(map(str, sorted(wanted)))}" if wanted else "--starttime=now-1day"
        words = ["sacct", "--allocations", "--noheader", "--parsable2", f"--user={os.getuid()}", which]
        try:
            text = self.ask(*words, f"--delimiter={records.SEPARATOR}", f"--format={records.SACCT_FORMAT}")
        except SlurmError as error:
            self._no_accounting = True
            self.source = (
                f"This site has no accounting that answers ({error}), so these are the jobs that its "
                "controller still remembers, for some minutes after their end, and those seen here before."
            )
            return []
        self.source = "From this site's accounting (sacct)."
        return records.read_accounting(text)
