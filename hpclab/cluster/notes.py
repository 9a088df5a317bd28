"""A note (a JSON file in the private home) for each pool of this user: its nodes, its dashboard and its key.

JupyterLab takes the dashboard from the newest; pools of one Slurm take turns by them (turns.py). A note whose
process is gone is removed by whoever sees it next.
"""

import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from hpclab.cluster.host import private
from hpclab.cluster.host.processes import Process, start_time

_FOLDER = "pools"


@dataclass(frozen=True)
class Dashboard:
    """A pool's dashboard: its loopback `port`, and the cookie (name and value) that a request must carry."""

    port: int
    key: str = field(repr=False)

    @property
    def cookie(self) -> str:
        """The cookie's name; a browser sends one cookie to every port of a machine, so the port is in it."""
        return f"hpclab-dashboard-{self.port}"

    @property
    def addresses(self) -> dict[str, str]:
        """For a browser: `address` on loopback, `proxy` the path behind JupyterHub. Both hold the key."""
        page = f"status?key={self.key}"
        return {"address": f"http://127.0.0.1:{self.port}/{page}", "proxy": f"proxy/{self.port}/{page}"}


@dataclass(frozen=True)
class Note:
    """`slurm` is the kind of Slurm it is on, or empty; `nodes` that the pool has, or that it has asked for;
    `wants` more since `waits_since`; idle since `idle_since`, or None; `where` is its notebook's name, or
    empty. Times on this machine's monotonic clock."""

    pool: str
    pid: int
    started: int
    slurm: str
    port: int
    key: str = field(repr=False)
    made: float = field(default_factory=time.monotonic)
    nodes: int = 0
    wants: int = 0
    waits_since: float = 0.0
    idle_since: float | None = None
    where: str = ""

    def __str__(self) -> str:
        now = time.monotonic()
        busy = "at work" if self.idle_since is None else f"idle for {now - self.idle_since:.0f} s"
        return f"{self.nodes} by {self.where or f'pool {self.pool}'} (process {self.pid}, {busy})"


class Notes:
    """Files by which this user's pools on one Slurm say what nodes they hold and want, and where they are."""

    def __init__(self, pool: str, slurm: str, dashboard: Dashboard):
        started = int(start_time(os.getpid()) or 0)
        where = os.path.basename(os.environ.get("JPY_SESSION_NAME", ""))  # Jupyter's word for the notebook
        self.own = Note(pool, os.getpid(), started, slurm, dashboard.port, dashboard.key, where=where)
        self.folder = private.make(private.home(plain=False).path / _FOLDER, plain=False)
        self.path = self.folder / f"{pool}.json"
        self.say()

    def say(self, **changes: float | None) -> None:
        """Change the own note."""
        changed = replace(self.own, **changes)  # type: ignore[arg-type]
        if changed == self.own and self.path.exists():
            return
        self.own, fresh = changed, self.path.with_suffix(".new")
        with suppress(OSError):  # without the note others do not see this pool
            fresh.touch(mode=0o600)
            fresh.write_text(json.dumps(asdict(self.own)))
            fresh.replace(self.path)

    def others(self) -> list[Note]:
        """The notes of living pools on this Slurm but this one."""
        notes = _living(self.folder)
        return [note for note in notes if note.slurm == self.own.slurm and note.pool != self.own.pool]

    def withdraw(self) -> None:
        """Take the own note away, and the folder with the last."""
        self.path.unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()
            self.folder.parent.rmdir()


def newest_dashboard() -> Dashboard | None:
    """That of the pool made last of those whose process lives; None if there is none."""
    notes: list[Note] = []
    for place in private.candidates():
        with suppress(OSError):
            if not private.why_not_private(place / _FOLDER):
                notes += _living(place / _FOLDER)
    last = max(notes, key=lambda note: note.made, default=None)
    return Dashboard(last.port, last.key) if last else None


def nodes_in(state: Path) -> int:
    """How many nodes of a Slurm the living pools have, or have asked for, whose HPCLAB_STATE_DIR this is."""
    return sum(note.nodes for note in _living(state / _FOLDER) if note.slurm)


def _living(folder: Path) -> list[Note]:
    found = []
    for path in folder.glob("*.json"):
        with suppress(OSError, ValueError, TypeError):
            note = Note(**json.loads(path.read_text()))
            if Process(note.pid, note.started).alive:
                found.append(note)
            else:
                path.unlink()
    return found
