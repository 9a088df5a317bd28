"""`hpclab doctor --site [FILE]`: a site's settings tried on its scheduler and nodes, a line each."""

import json
import os
import shutil
import sys
from dataclasses import asdict
from functools import partial

from hpclab.classroom import preflight, settings
from hpclab.classroom.preflight import Finding
from hpclab.cli.doctor import wrapped
from hpclab.cluster.slurm import Slurm, site_environment, site_version

_BEFORE = ("SBATCH_", "SALLOC_", "SRUN_")  # by these an environment speaks before the file that is tried


def run(file: str, as_json: bool) -> int:
    """Print what holds and what does not; 1 where anything is wrong. `file` "" is the site's own."""
    site = _settings(file)
    if not (version := site_version()):
        raise RuntimeError(
            "This machine leads to no site's Slurm (its commands and a slurm.conf) on which settings could "
            "be tried; `hpclab doctor` says what this machine can do alone."
        )
    outside = {name: value for name, value in site_environment().items() if not name.startswith(_BEFORE)}
    found = preflight.findings(site, Slurm("site", version, outside), partial(print, file=sys.stderr))
    wrong = [one for one in found if one.state == "wrong"]
    if as_json:
        print(json.dumps({"file": site.file, "findings": [asdict(one) for one in found]}, indent=1))
    else:
        width = max(60, min(shutil.get_terminal_size((100, 40)).columns, 110))
        print(*(line for one in found for line in lines(one, width)), "", sep="\n")
        untried = sum(one.state == "unknown" for one in found)
        print(f"{len(wrong)} wrong, {untried} not tried." if wrong or untried else "All of it holds.")
    return 1 if wrong else 0


def _settings(file: str) -> settings.Site:
    try:
        site = settings.read(file or None)
    except FileNotFoundError as error:
        if file or os.environ.get("HPCLAB_SITE"):
            raise
        print(f"{error} What follows is without one.", file=sys.stderr)
        return settings.Site()
    print(f"Settings of {site.file}.", file=sys.stderr)
    return site


def lines(one: Finding, width: int) -> list[str]:
    """One setting, in lines of at most `width` characters; its mend below it."""
    start = f"  {one.state:<8}{one.name:<19} "
    arrow, later = f"{'':{len(start) - 3}}-> ", " " * len(start)
    mend = wrapped(one.mend, width, arrow, later) if one.mend else []
    return [*wrapped(one.said, width, start, later), *mend]
