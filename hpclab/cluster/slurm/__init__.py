"""One object for the site's Slurm or our own: submit, queue, nodes, history, cancel.

`connect()` decides which: where the site has a Slurm that one is used, never a second beside it.
"""

import os

from hpclab.cluster import local_slurm, slurm_commands
from hpclab.cluster.slurm.client import Slurm
from hpclab.cluster.slurm.records import FinishedJob, Job, Node
from hpclab.cluster.slurm.site import found_environment, site_version
from hpclab.cluster.slurm.submission import SubmitError
from hpclab.cluster.slurm_commands import SlurmError, SlurmMissing, SlurmTimeout

__all__ = [
    "FinishedJob", "Job", "Node", "Slurm", "SlurmError", "SlurmMissing", "SlurmTimeout", "SubmitError",
    "connect", "site_version",
]  # fmt: skip


def connect(start: bool = True, export: bool = True) -> Slurm:
    """The site's Slurm if there is one; else our own, found or (with `start`) started.

    `export` makes this process, and so a notebook's ``!sbatch``, use it: SLURM_CONF and PATH are set, and
    what an enclosing Slurm job handed down is removed; for our own Slurm every variable of Slurm's commands
    (SBATCH_PARTITION ...), which a site's module sets for the site's. What is set after this counts. Raises
    SlurmMissing where there is none to be had. HPCLAB_SLURM=local passes a site's Slurm by.
    """
    if version := site_version():
        slurm = Slurm("site", version, found_environment())
    else:
        cluster = local_slurm.up() if start else local_slurm.find()
        if cluster is None:
            raise SlurmMissing("No Slurm runs here; hpclab slurm up starts one.")
        version = slurm_commands.run(["sinfo", "--version"], cluster.environment).strip()
        slurm = Slurm("local", version, cluster.environment)
    if export:
        for name in os.environ.keys() - slurm.environment.keys():
            del os.environ[name]
        for name in slurm.environment.keys() & {"SLURM_CONF", "PATH"}:
            os.environ[name] = slurm.environment[name]
    return slurm
