"""A folder for files that nobody wants afterwards. A killed process runs no exit handler: so its name says
whose it is, and whoever makes one of the same name removes those of processes of this machine that are gone.
"""

import atexit
import os
import platform
import shutil
from pathlib import Path

from hpclab.cluster.host import private, processes


def folder(name: str, within: Path | None = None) -> Path:
    """Make an empty private folder, whose name begins with `name`, `within` another (default: the one for
    hpclab's state), removed when this process ends. A second call empties it. OSError where that fails."""
    home = within or private.home().path
    family, me = f"{name}-{platform.node()}-", os.getpid()
    mine = home / f"{family}{me}-{processes.start_time(me)}"
    for old in home.glob(f"{family}*"):
        pid, _, since = old.name.removeprefix(family).partition("-")
        if old == mine or (pid.isdigit() and processes.start_time(int(pid)) != since):
            shutil.rmtree(old, ignore_errors=True)
    mine.mkdir(mode=0o700, parents=True)
    atexit.register(shutil.rmtree, mine, ignore_errors=True)
    return mine
