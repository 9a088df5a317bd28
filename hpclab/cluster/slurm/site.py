"""Whether this machine leads to a site's Slurm: its commands, its configuration, its answer."""

import os
from collections.abc import Mapping
from pathlib import Path

from hpclab import checks
from hpclab.cluster import local_slurm
from hpclab.cluster import slurm_commands as commands
from hpclab.cluster.slurm_commands import SlurmError, SlurmMissing, SlurmTimeout


def site_version() -> str | None:
    """The version of the site's Slurm, if this environment leads to one (and HPCLAB_SLURM=local is not set).

    Raises SlurmError where one is set up but does not answer: a second beside it would only confuse.
    """
    if named := os.environ.get("HPCLAB_SLURM"):
        if named != "local":
            raise ValueError(f'HPCLAB_SLURM must be "local" or not be set, not {checks.shown(named)}.')
        return None
    environment = found_environment()
    configured = _configured(environment)
    try:  # without any configuration the command asks the name service, which may take long to say no
        timeout, attempts = (10.0, 2) if configured else (3.0, 1)
        try:
            commands.run(["scontrol", "ping"], environment, timeout, attempts)
        except SlurmError as error:
            if not configured or isinstance(error, SlurmTimeout):
                raise
            try:  # a site may keep scontrol from its users
                commands.run(["sinfo", "--noheader", "--format=%a"], environment, timeout)
            except SlurmError:
                raise error from None
        return commands.run(["sinfo", "--version"], environment).strip()
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


def found_environment() -> dict[str, str]:
    """The environment without an enclosing job's variables, and without a SLURM_CONF that is ours or gone."""
    environment = commands.without_job(os.environ)
    conf = environment.get("SLURM_CONF")
    if conf is not None and (not os.path.exists(conf) or local_slurm.written_by_us(Path(conf))):
        del environment["SLURM_CONF"]
    return environment


def _configured(environment: Mapping[str, str]) -> bool:
    """Whether somebody set up a Slurm here; the packages alone bring no slurm.conf."""
    places = ("/etc/slurm", "/etc/slurm-llnl", "/usr/local/etc", "/usr/local/etc/slurm", "/run/slurm/conf")
    named = environment.keys() & {"SLURM_CONF", "SLURM_CONF_SERVER"}
    return bool(named) or any(os.path.exists(f"{place}/slurm.conf") for place in places)
