"""A class of forty at a hub, and one on a single machine with the Slurm of slurm/hub/one-machine.sh."""

import json
import subprocess
import sys

import pytest

from tests.site.conftest import ROOT, SHARED
from tests.site.hub import POOL, Hub, Page, browser_on, skip_without_proxy

pytestmark = [pytest.mark.soak, pytest.mark.slurm, pytest.mark.timeout(7200)]
OWN = "/run /var/lib/slurm /var/log/slurm /var/lib/munge /var/log/munge"
PREPARE = f"""
for place in {OWN}; do mkdir -p $place; mount -t tmpfs -o mode=755 own $place; done
chown munge: /var/lib/munge /var/log/munge; chmod 700 /var/lib/munge /var/log/munge
mkdir -p /run/lock; rm -f /etc/slurm/slurm.conf
sh {ROOT}/slurm/hub/one-machine.sh 8
"""


def test_forty_learners_for_half_an_hour(new_site):
    """As `benchmarks/classroom.py` drives them; the quick form is in test_hub.py."""
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


@pytest.mark.browser
def test_a_learner_at_a_hub_on_one_machine_has_nodes_of_its_slurm(new_site, driver):
    skip_without_proxy()
    with new_site(0, prepare=PREPARE, conf="/etc/slurm/slurm.conf", jobqueue="") as site:
        with pytest.raises(AssertionError, match=r"there already; this machine has a Slurm"):
            site.root(f"sh {ROOT}/slurm/hub/one-machine.sh")
        hub = Hub(site, '[slurm]\npartition = "class"\n[network]\ninterface = "lo"\n')
        with browser_on(site, driver) as browser:
            ada = Page(browser, "ada")
            ada.log_in()
            ada.lab()
            ada.write("pool.ipynb", POOL)
            notebook = ada.open("pool.ipynb")
            notebook.run_all(120)
            said = notebook.output(0).inner_text()
            assert "4 nodes of this site's Slurm, partition class [3, 2, 1]" in said
        assert hub.job("ada")[1] == "login"
        assert site.path(f"{SHARED}/ada/hpclab", "login").is_dir()
