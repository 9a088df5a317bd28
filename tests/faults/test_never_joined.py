"""Nodes that never join, from real causes: the message names state, log and cause, and no job is left."""

from __future__ import annotations

import os
import sys
from dataclasses import replace

import pytest

from hpclab.cluster import Pool
from hpclab.cluster.backends.local import LocalNodes
from hpclab.cluster.errors import JoinError
from hpclab.cluster.slurm import SubmitError
from tests.conftest import jobs_left


def test_a_local_node_that_cannot_start(monkeypatch):
    program = [sys.executable, "-c", "raise SystemExit('no such library')"]
    monkeypatch.setattr(LocalNodes, "worker_command", lambda self, *_: program)
    with pytest.raises(JoinError, match=r"(?s)ended before they joined.*status 1.*no such library"):
        Pool(2, backend="local", join_timeout=120)


@pytest.mark.slurm
class TestOnSlurm:
    @pytest.fixture(autouse=True)
    def _after(self, local_slurm):
        yield
        assert jobs_left(local_slurm.environment) == []

    @pytest.mark.parametrize(
        ("python", "words"),
        [
            ("/no/such/place/bin/python", r"(?s)FAILED.*No such file.*does not exist on the node"),
            ("/usr/bin/python3", "lacks a package"),
        ],
    )
    def test_another_python_than_the_notebooks(self, monkeypatch, python, words):
        class System:  # for the watchdog, which is to start
            executable = sys.executable

        monkeypatch.setattr("hpclab.cluster.guard.sys", System())
        monkeypatch.setattr(sys, "executable", python)
        with pytest.raises(JoinError, match=words):
            Pool(1, backend="slurm", join_timeout=120)

    def test_more_nodes_than_there_are_wait_with_their_reason_and_the_others_stay(self):
        with Pool(4, backend="slurm") as pool:
            pool._nodes.request = replace(pool._nodes.request, join_timeout=2)
            words = r"(?s)2 of 6 nodes had not joined after 2 s.*PENDING\. (Resources|Priority|None): "
            with pytest.raises(JoinError, match=words):
                pool.scale(6)
            assert pool.nodes == len(pool.jobs()) == 4
            assert pool.map(abs, [-1]) == [1]

    @pytest.mark.parametrize(
        ("asked", "word"),
        [
            ({"partition": "nowhere"}, "partition"),
            ({"partition": "debug", "walltime": "10:00:00"}, "limit"),
            ({"gpus_per_node": 7}, "not available"),
        ],
    )
    def test_what_slurm_refuses(self, asked, word):
        with pytest.raises(SubmitError, match=word):
            Pool(1, backend="slurm", **asked)

    def test_pretend_gpus_are_given_as_such(self):
        with Pool(1, backend="slurm", gpus_per_node=1) as pool:
            pretend, real = pool.map(
                lambda name: os.environ.get(name), ["HPCLAB_PRETEND_GPUS", "CUDA_VISIBLE_DEVICES"]
            )
        assert (pretend, real or "") == ("0", "")
