"""A class on one machine: the Slurm that slurm/hub/one-machine.sh starts for everybody, and a hub on it."""

import pytest

from tests.site.conftest import ROOT, SHARED
from tests.site.hub import Hub, Page, browser_on, skip_without_proxy

OWN = "/run /var/lib/slurm /var/log/slurm /var/lib/munge /var/log/munge"
PREPARE = f"""
for place in {OWN}; do mkdir -p $place; mount -t tmpfs -o mode=755 own $place; done
chown munge: /var/lib/munge /var/log/munge; chmod 700 /var/lib/munge /var/log/munge
mkdir -p /run/lock; rm -f /etc/slurm/slurm.conf
sh {ROOT}/slurm/hub/one-machine.sh 8
"""
POOL = """
from hpclab.cluster import Pool
pool = Pool(nodes=3)
print(pool.label, pool.map(abs, range(-3, 0)))
"""


@pytest.mark.soak
@pytest.mark.slurm
@pytest.mark.browser
@pytest.mark.timeout(600)
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
            assert (
                "3 nodes of this site's Slurm, partition class [3, 2, 1]" in notebook.output(0).inner_text()
            )
        assert hub.job("ada")[1] == "login"
        assert site.path(f"{SHARED}/ada/hpclab", "login").is_dir()
