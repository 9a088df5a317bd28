"""What sites print in their own ways: the history of jobs without accounting, refusals, reasons, limits."""

import pytest

from hpclab.cluster.slurm import Slurm, records
from hpclab.cluster.slurm.submission import explain
from hpclab.cluster.slurm_commands import SlurmTimeout


class Site:
    """Answers as Slurm's programs would, with rows, or raises the error that `accounted` is."""

    def __init__(self, accounted, remembered=(), codes=()):
        self.accounted, self.remembered, self.codes, self.asked = accounted, remembered, codes, []

    def __call__(self, *words, since=0.0):
        self.asked.append(words[0])
        if words[0] == "sacct":
            if isinstance(self.accounted, Exception):
                raise self.accounted
            return _text(self.accounted)
        asked_for_codes = any(word.startswith("--Format=") for word in words)
        return "\n".join(self.codes) if asked_for_codes else _text(self.remembered)


def site_of(answers):
    slurm = Slurm("site", "", {})
    slurm._poll = answers
    return slurm


def _text(rows):
    return "".join(records.SEPARATOR.join(row) + "\n" for row in rows)


TIMES = "2026-11-21T08:00:00", "2026-11-21T08:00:01", "2026-11-21T08:00:03"


def _remembered(number, state, array=None, task="N/A"):
    what = ["a name", state, "None", "main", "1", "c1", *TIMES, "1:00"]
    return [str(number), str(array or number), task, *what]


def test_without_accounting_the_controller_is_asked_and_what_it_forgets_is_still_known():
    error = SlurmTimeout(words := "sacct: Slurm accounting storage is disabled")
    rows = [_remembered(7, "FAILED"), _remembered(8, "RUNNING"), _remembered(9, "COMPLETED", 8, "3")]
    history = site_of(site := Site(error, rows, ["7                   768", "9      0", "nonsense"]))
    failed, task = history.history()
    assert (failed.id, failed.state, failed.exit_code, failed.name) == (7, "FAILED", 3, "a name")
    assert (failed.started - failed.submitted, failed.ended - failed.started, failed.limit) == (1, 2, 60)
    assert (task.array_job, task.array_task, task.exit_code) == (8, 3, 0)
    assert words in history.history_source
    assert "controller still remembers" in history.history_source
    site.remembered = [_remembered(10, "COMPLETED")]
    assert [job.id for job in history.history()] == [7, 9, 10]
    assert site.asked.count("sacct") == 1  # it said no; every further question would wait as long


def test_jobs_are_asked_for_before_their_exit_codes():
    """Or of one that ends in between, the code that it has would be missed, and 0 be said."""
    history, asked = site_of(None), []
    history._poll = lambda *words, **_: (
        asked.append(any(word.startswith("--Format=") for word in words)) or ""
    )
    history._no_accounting = True
    history.history()
    assert asked == [False, True]


def test_exit_codes_as_squeue_writes_them():
    for code, exit_code in {"0": 0, "768": 3, "9": 137, "139": 139, "1:0": 1, "0:15": 143}.items():
        (job,) = records.read_remembered(_text([_remembered(7, "FAILED")]), f"7 {code}\n")
        assert job.exit_code == exit_code


def test_accounting_is_believed_and_what_it_does_not_know_yet_is_added():
    row = ["5", "a name", "FAILED", "main", "1", "c1", *TIMES, "3:0", "Partition_Limit"]
    site = Site([row], [_remembered(6, "COMPLETED")])
    history = site_of(site)
    assert [job.id for job in history.history([5])] == [5]
    assert "squeue" not in site.asked
    assert [(job.id, job.state) for job in history.history([5, 6])] == [(5, "FAILED"), (6, "COMPLETED")]
    assert "sacct" in history.history_source


QUEUED = ("PENDING", "CONFIGURING", "RUNNING", "SUSPENDED", "STOPPED", "COMPLETING", "REQUEUED", "RESIZING",
          "REQUEUE_HOLD", "SPECIAL_EXIT", "STAGE_OUT", "SIGNALING")  # fmt: skip
OVER = ("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY",
        "PREEMPTED", "REVOKED", "TIMEOUT")  # fmt: skip


def test_each_state_of_a_job_is_queued_or_over_and_only_a_pending_one_has_not_started():
    """As `man squeue` has them under JOB STATE CODES."""
    jobs = records.read_queue(_text([_remembered(7, state) for state in (*QUEUED, *OVER)]))
    assert [job.state for job in jobs if not job.ended] == list(QUEUED)
    assert [job.state for job in jobs if job.started is None] == ["PENDING"]
    rows = [["RUNNING", "n[1-2]"], ["RUNNING", "n2"], ["PENDING", ""], ["SUSPENDED", "n9"], ["PENDING", ""],
            ["PENDING", ""], ["COMPLETING", "n8"]]  # fmt: skip
    assert records.read_load(_text(rows)) == (2, 3)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("(Resources)", "Resources: it is the next to start"),
        ("Job's account not known, so it can't use this partition (x allows y)", "y): its account"),
        ("QOSMaxJobsPerUserLimit", "limit"),
        ("SomethingNew", "squeue manual"),
    ],
)
def test_reasons_of_sites_in_plain_words(reason, words):
    assert words in explain(reason)


def test_time_limits_of_partitions():
    rows = [["main*", "10:00"], ["long", "2-00:00:00"], ["free", "infinite"], ["x", "n/a"]]
    assert records.read_time_limits(_text(rows)) == {"main": 600, "*": 600, "long": 172800}
    assert records.read_time_limits("nonsense\n") == {}
