"""A class at once, driven through the hub's own protocol: every run right, no port twice, nothing left."""

import json
import subprocess
import sys

import pytest

from tests.site.conftest import ROOT
from tests.site.hub import skip_without_proxy

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


def attend(*words):
    """What `benchmarks/classroom.py` tells of a class."""
    skip_without_proxy()
    command = [sys.executable, str(ROOT / "benchmarks" / "classroom.py"), "--json", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout, done.stderr[-3000:]
    return json.loads(done.stdout)


def held(told, learners, lessons):
    assert [one["wrong"] for one in told["learners"]] == [[]] * learners
    assert all(set(one["runs"]) == lessons for one in told["learners"])
    assert (told["left"], told["clashes"]) == ([], 0)


@pytest.mark.timeout(400)
def test_three_learners(new_site):
    held(attend("--learners=3", "--minutes=0", "--within=2", "--lessons", "00"), 3, {"00"})


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_forty_learners_for_half_an_hour(new_site):
    told = attend("--learners=40", "--minutes=30", "--within=60")
    held(told, 40, {"01", "05"})
    rounds = [len(one["runs"]["05"]) for one in told["learners"]]
    assert max(rounds) <= 2 * min(rounds)  # nobody is left behind in the queue
