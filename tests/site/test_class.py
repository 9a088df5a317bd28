"""A class of forty at a hub, as `benchmarks/classroom.py` drives it; its quick form is in test_hub.py."""

import json
import subprocess
import sys

import pytest

from tests.site.conftest import ROOT
from tests.site.hub import skip_without_proxy


@pytest.mark.slurm
@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_forty_learners_for_half_an_hour(new_site):
    skip_without_proxy()
    words = ["--learners=40", "--servers=20", "--minutes=30", "--within=60", "--json"]
    command = [sys.executable, str(ROOT / "benchmarks" / "classroom.py"), *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert [one["wrong"] for one in told["learners"]] == [[]] * 40
    assert all(set(one["runs"]) == {"01", "05"} for one in told["learners"])
    assert (told["left"], told["clashes"]) == ([], 0)
    rounds = [len(one["runs"]["05"]) for one in told["learners"]]
    assert max(rounds) <= 2 * min(rounds)  # nobody is left behind in the queue
