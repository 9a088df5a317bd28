"""One object for the site's Slurm or our own: submit, queue, nodes, history, cancel."""

import os
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from hpclab import checks
from hpclab.cluster import slurm_commands as commands
from hpclab.cluster.local_slurm import LocalSlurm
from hpclab.cluster.local_slurm.files import lost_its_network
from hpclab.cluster.slurm import records, submission
from hpclab.cluster.slurm.records import FinishedJob, Job, Node
from hpclab.cluster.slurm.submission import SubmitError
from hpclab.cluster.slurm_commands import SlurmError, SlurmMissing, SlurmTimeout

_FRESH = 0.5  # seconds that one answer serves everybody who asks
_UNKNOWN = "may or may not be in the queue: look before sending it again."
_NOT_ONE_JOB = {"SBATCH_WAIT", "SBATCH_ARRAY_INX"}  # these make sbatch wait, or queue several jobs


@dataclass
class Slurm:
    """A client of Slurm's commands: of the site's or our own ("site" or "local", `kind`), with the variables
    that they need (`environment`). Every answer is reused for half a second, to spare the controller."""

    kind: str
    version: str
    environment: Mapping[str, str] = field(repr=False)
    timeout: float = field(default=10.0, repr=False)
    _polls: dict[str, tuple[float, float, str]] = field(default_factory=dict, repr=False)
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _seen: dict[tuple[int, int | None], FinishedJob] = field(default_factory=dict, repr=False)
    _no_accounting = False
    _source = "From slurmctld's log of ended jobs."

    explain = staticmethod(submission.explain)
    history_source = property(
        lambda self: self._source,
        doc="Where `history()` has its jobs from, and what may be missing, in a sentence.",
    )

    def __repr__(self) -> str:
        return f"<{'This site' if self.kind == 'site' else 'hpclab'}'s Slurm {self.version}>"

    def queue(self, job_ids: list[int] | None = None) -> list[Job]:
        """The jobs of this user that wait or run; with `job_ids` those jobs, also if they have just ended."""
        wanted, begin = None if job_ids is None else _checked_ids(job_ids), time.monotonic()
        jobs = records.read_queue(self._squeue(records.SQUEUE_FORMAT))
        if wanted is None:
            return [job for job in jobs if not job.ended]
        if wanted - {job.id for job in jobs} - {job.array_job for job in jobs}:
            # A job that `!sbatch` queued just now is not in an answer of a moment ago.
            jobs = records.read_queue(self._squeue(records.SQUEUE_FORMAT, since=begin))
        return [job for job in jobs if job.id in wanted or job.array_job in wanted]

    def _squeue(self, columns: str, since: float = 0.0) -> str:
        return self._poll(*records.SQUEUE, f"--user={os.getuid()}", f"--format={columns}", since=since)

    def load(self, *which: str) -> tuple[int, int]:
        """Return the number of nodes on which jobs run and the number of jobs that wait, of all users whom
        Slurm shows; `which` are squeue's own options that narrow it, such as --partition=class."""
        words = ["squeue", "--noheader", "--array", "--states=RUNNING,PENDING", *which]
        return records.read_load(self._poll(*words, f"--format={records.LOAD_FORMAT}"))

    def nodes(self) -> list[Node]:
        """Every node of the cluster, in Slurm's order."""
        words = ["sinfo", "--noheader", "--Node", "--all", f"--format={records.SINFO_FORMAT}"]
        return records.read_nodes(self._poll(*words))

    def history(self, job_ids: list[int] | None = None) -> list[FinishedJob]:
        """The jobs of this user that have ended, oldest first; `history_source` names the source: a site's
        accounting (sacct, the last day unless `job_ids` are given), or what its controller remembers; our
        slurmctld's completion log."""
        wanted = None if job_ids is None else _checked_ids(job_ids)
        if self.kind == "local":
            log = self._local.directory / "finished_jobs"
            jobs = records.read_completion_log(log.read_text(errors="replace") if log.exists() else "")
        else:
            jobs = self._of_a_site(wanted)
        return [job for job in jobs if wanted is None or job.id in wanted or job.array_job in wanted]

    def _of_a_site(self, wanted: set[int] | None) -> list[FinishedJob]:
        """Return the ended jobs that accounting, or still the controller, knows; it forgets a job some
        minutes after its end (MinJobAge), so every job seen once is kept in `_seen`."""
        told = [] if self._no_accounting else self._accounted(wanted)
        if self._no_accounting or not (wanted or set()) <= {job.id for job in told}:
            jobs = self._squeue(records.SQUEUE_FORMAT)  # before the codes: a job may end in between
            codes = self._poll(
                *records.SQUEUE, f"--user={os.getuid()}", f"--Format={records.EXIT_CODE_FORMAT}"
            )
            remembered = records.read_remembered(jobs, codes)
            told = [*remembered, *told]  # a database may learn of an end later
        self._seen.update({(job.array_job or job.id, job.array_task): job for job in told})
        return sorted(self._seen.values(), key=lambda job: (job.ended or 0.0, job.id))

    def _accounted(self, wanted: set[int] | None) -> list[FinishedJob]:
        """The jobs of these ids, or of the last day, that sacct knows; none where it does not work."""
        which = f"--jobs={','.join(map(str, sorted(wanted)))}" if wanted else "--starttime=now-1day"
        words = ["sacct", "--allocations", "--noheader", "--parsable2", f"--user={os.getuid()}", which]
        try:
            text = self._poll(*words, f"--delimiter={records.SEPARATOR}", f"--format={records.SACCT_FORMAT}")
        except SlurmError as error:
            self._no_accounting = True
            self._source = (
                f"This site has no accounting that answers ({error}), so these are the jobs that its "
                "controller still remembers, for some minutes after their end, and those seen here before."
            )
            return []
        self._source = "From this site's accounting (sacct)."
        return records.read_accounting(text)

    def submit(self, script: str | Path, *options: str) -> int:
        """Queue a batch script (a path, or text that begins with ``#!``) and return the job's id; `options`
        are sbatch's. Sent once: where sbatch does not answer, the error says that the job may be queued."""
        submission.check_options(options)
        text = submission.script_text(script)
        words = ["sbatch", "--parsable", *options, *([] if text else [os.path.join(os.curdir, script)])]
        try:
            said = self._run(words, text=text, timeout=3 * self.timeout)
        except SlurmMissing:
            raise
        except SlurmTimeout as error:
            raise SubmitError(f"{error} The job {_UNKNOWN}") from None
        except SlurmError as error:
            raise SubmitError(self.explain_refusal(str(error))) from None
        self._polls.clear()
        if (number := submission.job_id(said)) is None:
            raise SubmitError(f"sbatch printed no job's number but {checks.shown(said)}; the job {_UNKNOWN}")
        return number

    def refusal(self, *options: str) -> str:
        """Return sbatch's error message for a job with these options, without queueing it; "" for none."""
        words = ["sbatch", "--test-only", "--output=/dev/null", "--wrap=true", *options]
        try:
            self._run(words, timeout=3 * self.timeout)
        except SlurmError as error:
            return str(error)
        return ""

    def explain_refusal(self, said: str) -> str:
        """Return sbatch's message `said` with the limits that the job may have broken, and what to do."""
        return submission.explain_refusal(said, self._partitions(submission.LIMITS_FORMAT), self.environment)

    def cancel(self, *job_ids: int) -> None:
        """End jobs; those that have ended already are no error."""
        if job_ids:
            self._run(["scancel", "--quiet", *map(str, sorted(_checked_ids(job_ids)))], attempts=3)
            self._polls.clear()

    def wait(self, job_id: int, timeout: float = 60.0) -> Job:
        """Return the job once it has ended; TimeoutError says what it was still doing, and why."""
        timeout = checks.number("timeout", timeout, 0, 1e7, "seconds")
        deadline, seen = time.monotonic() + timeout, ""
        while found := self.queue([job_id]):
            going = next((job for job in found if not job.ended), None)
            if going is None:
                return found[-1]
            seen = " any more"
            if time.monotonic() > deadline:
                why = f": {self.explain(going.reason)}" if going.state == "PENDING" else "."
                raise TimeoutError(f"Job {job_id} is still {going.state} after {timeout:g} s{why}")
            time.sleep(_FRESH)
        raise SlurmError(f"Slurm knows no job {job_id} of yours{seen}.")

    def longest(self, partition: str | None = None) -> float | None:
        """The time limit of jobs in `partition`, or in the default one, in seconds; None for no limit."""
        return records.read_time_limits(self._partitions(records.TIME_LIMITS_FORMAT)).get(partition or "*")

    def _partitions(self, columns: str) -> str:
        """What sinfo prints of every partition in the format `columns`; "" where it fails."""
        with suppress(SlurmError):
            return self._poll("sinfo", "--noheader", f"--format={columns}")
        return ""

    def trouble(self) -> str:
        """Return a sentence for each daemon of our own Slurm that does not run; "" for a site's Slurm."""
        daemons = self._local.daemons if self.kind == "local" else {}
        return "".join(f" Slurm's {name} {state}." for name, state in daemons.items() if state != "running")

    _local = property(lambda self: LocalSlurm(Path(self.environment["SLURM_CONF"]).parent))

    def _refuse_if_down(self) -> None:
        """Raise SlurmError where our own Slurm cannot answer; a command would wait for half a minute."""
        conf, daemons = Path(self.environment["SLURM_CONF"]), self._local.daemons
        if not conf.exists():
            raise SlurmError(
                f"This Slurm is gone: {conf.parent} was removed; hpclab slurm up starts another."
            )
        for name in ("munged", "slurmctld"):
            if (state := daemons.get(name, "has ended; hpclab slurm up starts it again")) != "running":
                raise SlurmError(f"Slurm's {name} {state}.")
        if lost_its_network(conf):
            raise SlurmError(
                "This Slurm was started with a network, and without one its commands do not find it: "
                "hpclab slurm down, then hpclab slurm up."
            )

    def _poll(self, *words: str, since: float = 0.0) -> str:
        """Return the output of the command with the argv `words`. One command runs at a time; an output is
        used again for half a second, unless its command began before `since` (on the monotonic clock)."""
        key = " ".join(words)
        with self._one_at_a_time:
            asked, answered, text = self._polls.get(key, (-1.0, -_FRESH, ""))
            if time.monotonic() - answered >= _FRESH or asked < since:
                asked = time.monotonic()
                text = self._run(list(words), attempts=3)
                self._polls[key] = (asked, time.monotonic(), text)
        return text

    def _run(
        self, words: list[str], attempts: int = 1, timeout: float | None = None, text: str | None = None
    ) -> str:
        """Return the output of the command with the argv `words` and `text` as its standard input."""
        if self.kind == "local":
            self._refuse_if_down()
        if words[0] == "sbatch":  # which hands all of it to the job
            environment = {name: self.environment[name] for name in self.environment.keys() - _NOT_ONE_JOB}
        else:  # epoch seconds know no summer time
            environment = commands.hiding_nothing(self.environment) | {"SLURM_TIME_FORMAT": "%s"}
        return commands.run(words, environment, timeout or self.timeout, attempts, text)


def _checked_ids(job_ids: Iterable[int]) -> set[int]:
    """Return job ids as a set; ValueError for what is none: cut down to a number it may be another's job."""
    several = isinstance(job_ids, Iterable) and not isinstance(job_ids, str | bytes)
    ids = job_ids if several else [job_ids]
    return {checks.integer("A job id", job_id, 1, 2**32 - 1) for job_id in ids}
