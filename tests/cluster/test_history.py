"""What sites print in their own ways: the history of jobs without accounting, refusals, reasons, limits."""

import pytest

from hpclab.cluster.slurm import records
from hpclab.cluster.slurm.history import SiteHistory
from hpclab.cluster.slurm.reasons import explain
from hpclab.cluster.slurm_commands import SlurmError, SlurmMissing, SlurmTimeout


class Site:
    """Answers as Slurm's programs would; `accounted` and `remembered` are rows, or an error to raise."""

    def __init__(self, accounted, remembered=(), codes=()):
        self.accounted, self.remembered, self.codes, self.asked = accounted, remembered, codes, []

    def __call__(self, *words):
        self.asked.append(words[0])
        if words[0] == "sacct":
            if isinstance(self.accounted, Exception):
                raise self.accounted
            return _text(self.accounted)
        asked_for_codes = any(word.startswith("--Format=") for word in words)
        return "\n".join(self.codes) if asked_for_codes else _text(self.remembered)


def _text(rows):
    return "".join(records.SEPARATOR.join(row) + "\n" for row in rows)


TIMES = "2026-11-21T08:00:00", "2026-11-21T08:00:01", "2026-11-21T08:00:03"


def _remembered(number, state, array=None, task="N/A"):
    what = ["a name", state, "None", "main", "1", "c1", *TIMES, "1:00"]
    return [str(number), str(array or number), task, *what]


@pytest.mark.parametrize("kind", [SlurmError, SlurmMissing, SlurmTimeout])
def test_without_accounting_the_controller_is_asked_and_it_is_said(kind):
    error = kind(words := "sacct: Slurm accounting storage is disabled")
    rows = [_remembered(7, "FAILED"), _remembered(8, "RUNNING"), _remembered(9, "COMPLETED", 8, "3")]
    history = SiteHistory(site := Site(error, rows, ["7                   768", "9      0", "nonsense"]))
    failed, task = history.jobs(None)
    assert (failed.id, failed.state, failed.exit_code, failed.name) == (7, "FAILED", 3, "a name")
    assert (failed.started - failed.submitted, failed.ended - failed.started) == (1, 2)
    assert (task.array_job, task.array_task, task.exit_code) == (8, 3, 0)
    assert words in history.source
    assert "controller still remembers" in history.source
    history.jobs(None)
    assert site.asked.count("sacct") == 1  # it said no; every further question would wait as long


def test_exit_codes_as_squeue_writes_them():
    for code, exit_code in {"0": 0, "768": 3, "9": 137, "139": 139, "1:0": 1, "0:15": 143}.items():
        (job,) = records.read_remembered(_text([_remembered(7, "FAILED")]), f"7 {code}\n")
        assert job.exit_code == exit_code


def test_accounting_is_believed_and_what_it_does_not_know_yet_is_added():
    row = ["5", "a name", "FAILED", "main", "1", "c1", *TIMES, "3:0"]
    site = Site([row], [_remembered(6, "COMPLETED")])
    history = SiteHistory(site)
    assert [job.id for job in history.jobs({5})] == [5]
    assert "squeue" not in site.asked
    assert [(job.id, job.state) for job in history.jobs({5, 6})] == [(5, "FAILED"), (6, "COMPLETED")]
    assert "sacct" in history.source


def test_what_the_controller_has_forgotten_is_still_known_here():
    site = Site(SlurmError("sacct: disabled"), [_remembered(7, "COMPLETED")])
    history = SiteHistory(site)
    assert len(history.jobs({7})) == 1
    site.remembered = [_remembered(8, "COMPLETED")]
    assert [job.id for job in history.jobs(None)] == [7, 8]


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
