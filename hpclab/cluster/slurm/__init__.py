"""The site's Slurm or our own as one object: submit, queue, nodes, history, cancel."""

import os
from pathlib import Path

from hpclab import checks
from hpclab.cluster import local_slurm, slurm_commands
from hpclab.cluster.slurm.client import Slurm
from hpclab.cluster.slurm.records import FinishedJob, Job, Node
from hpclab.cluster.slurm.submission import SubmitError
from hpclab.cluster.slurm_commands import SlurmError, SlurmMissing, SlurmTimeout

__all__ = [
    "FinishedJob", "Job", "Node", "Slurm", "SlurmError", "SlurmMissing", "SlurmTimeout", "SubmitError",
    "connect", "site_environment", "site_version",
]  # fmt: skip
_CONF_IN = ("/etc/slurm", "/etc/slurm-llnl", "/usr/local/etc", "/usr/local/etc/slurm", "/run/slurm/conf")


def connect(start: bool = True, export: bool = True) -> Slurm:
    """Return a client of the site's Slurm if there is one, never a second beside it; else of our own, which
    is found or (with `start`) started.

    `export` makes this process, and so a notebook's ``!sbatch``, use it: SLURM_CONF and PATH are set, and
    what an enclosing job handed down is removed; for our own Slurm all that a site's module sets
    (SBATCH_PARTITION ...). Raises SlurmMissing where there is none to be had. HPCLAB_SLURM=local passes a
    site's Slurm by.
    """
    if version := site_version():
        slurm = Slurm("site", version, site_environment())
    else:
        cluster = local_slurm.up() if start else local_slurm.find()
        if cluster is None:
            raise SlurmMissing("No Slurm runs here; hpclab slurm up starts one.")
        environment = cluster.environment
        slurm = Slurm("local", slurm_commands.version(environment), environment)
    if export:
        for name in os.environ.keys() - slurm.environment.keys():
            del os.environ[name]
        for name in slurm.environment.keys() & {"SLURM_CONF", "PATH"}:
            os.environ[name] = slurm.environment[name]
    return slurm


def site_version() -> str | None:
    """The version of the site's Slurm, if this environment leads to one (and HPCLAB_SLURM=local is not
    set); SlurmError where one is set up but does not answer."""
    if named := os.environ.get("HPCLAB_SLURM"):
        if named != "local":
            raise ValueError(f'HPCLAB_SLURM must be "local" or not be set, not {checks.shown(named)}.')
        return None
    environment = site_environment()
    # The packages alone bring no slurm.conf; without one a command asks the name service, which may be slow.
    configured = bool(environment.keys() & {"SLURM_CONF", "SLURM_CONF_SERVER"})
    configured |= any(os.path.exists(f"{place}/slurm.conf") for place in _CONF_IN)
    ask = ["sinfo", "--noheader", "--format=%a"]  # a site may keep scontrol ping from its users
    try:
        slurm_commands.run(ask, environment, *((20.0, 1) if configured else (3.0, 1)))
        return slurm_commands.version(environment)
    except SlurmError as error:
        if not configured:
            return None
        what = (
            f"its commands are not here ({error}) Load its module, or go to a host that has them"
            if isinstance(error, SlurmMissing) else f"it does not answer ({error}). Try again later"
        )  # fmt: skip
        raise SlurmError(
            f"This site has a Slurm, but {what}, or set HPCLAB_SLURM=local to use one of your own on this "
            "machine."
        ) from None


def site_environment() -> dict[str, str]:
    """This process's environment variables, without those of an enclosing job and without a SLURM_CONF that
    names our own Slurm's file or none that exists."""
    environment = slurm_commands.without_job(os.environ)
    conf = environment.get("SLURM_CONF")
    if conf is not None and (not os.path.exists(conf) or local_slurm.written_by_us(Path(conf))):
        del environment["SLURM_CONF"]
    return environment
