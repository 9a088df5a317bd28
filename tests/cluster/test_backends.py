"""Which kind of node a request gets, and what is said of those that do not join."""

from types import SimpleNamespace

import pytest

from hpclab.cluster import backends
from hpclab.cluster.backends import causes
from hpclab.cluster.backends.slurm import SlurmNodes
from hpclab.cluster.errors import BatchError, BatchMissing, JoinError


def choose(monkeypatch, backend, connecting=None, making=None):
    """The kind that is chosen where these errors come of connecting to the first kind and of making it."""

    class Nodes:
        def __init__(self, batch, request, name, guard):
            if making and batch:
                raise making
            self.batch = batch

    def connect():
        if connecting:
            raise connecting
        return "its queue"

    kinds = {"slurm": type("", (Nodes,), {"connect": connect}), "local": type("", (Nodes,), {"connect": int})}
    monkeypatch.setattr(backends, "BACKENDS", {kind: kind for kind in kinds})
    monkeypatch.setattr(backends.pkgutil, "resolve_name", kinds.get)
    chosen = backends.choose(SimpleNamespace(backend=backend), "a", None)
    return next(kind for kind, made in kinds.items() if type(chosen) is made)


AWAY, NONE = BatchError("It does not answer."), BatchMissing("There is none.")


def test_auto_takes_the_first_that_answers_and_says_where_one_does_not(monkeypatch):
    assert choose(monkeypatch, "auto") == "slurm"
    assert choose(monkeypatch, "auto", NONE) == "local"
    with pytest.warns(UserWarning, match=r"^It does not answer\. So the nodes are processes"):
        assert choose(monkeypatch, "auto", AWAY) == "local"
    with pytest.raises(BatchMissing):
        choose(monkeypatch, "slurm", NONE)


def test_one_that_answered_and_then_fails_is_an_error(monkeypatch):
    with pytest.raises(BatchError, match="does not answer"):
        choose(monkeypatch, "auto", making=AWAY)


def test_members_of_one_job_are_explained_by_asking_once(monkeypatch):
    asked, jobs = [], {"a": SimpleNamespace(job_id="7"), "b": SimpleNamespace(job_id=None, refused="no")}
    monkeypatch.setattr(
        causes, "explain_job", lambda nodes, number, logs: asked.append(number) or "Job 7 waits."
    )
    nodes = object.__new__(SlurmNodes)
    nodes.name, nodes.directory, nodes.cluster = "p", None, SimpleNamespace(workers=jobs)
    nodes.batch, nodes.logs = SimpleNamespace(trouble=lambda: ""), lambda name: []
    assert (
        nodes.explain([f"a-{at}" for at in range(9)] + ["b"]) == "Job 7 waits.\nIts job was not submitted: no"
    )
    assert asked == [7]


def test_where_the_scheduler_cannot_listen_the_systems_own_words_are_told(tmp_path):
    def start(*_):
        try:
            raise OSError(99, "Cannot assign requested address")
        except OSError as error:
            try:
                raise RuntimeError("OwnScheduler failed to start.") from error
            except RuntimeError as wrapped:
                raise RuntimeError("Cluster failed to start.") from wrapped

    nodes = object.__new__(SlurmNodes)
    nodes.request = SimpleNamespace(cores_per_node=1, partition=None, account=None, walltime=None)
    nodes.name, nodes.directory, nodes.settings, nodes.on_local_slurm = "p", tmp_path, {}, False
    nodes.start = start
    with pytest.raises(JoinError, match=r"start here: \[Errno 99\] Cannot assign requested address\. "):
        nodes.start_jobs(None)
