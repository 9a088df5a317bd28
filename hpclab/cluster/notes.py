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
    """A pool's note: `slurm` is the kind of Slurm it is on, or empty; `nodes`, how many it has or asked for;
    `wants`, how many more it has waited for since `waits_since`; `idle_since`, None while it works; `where`,
    its notebook's name, or empty. Times on this machine's monotonic clock."""

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
    """This pool's note, `own`, in its file at `path`; and the notes of this user's other pools."""

    def __init__(self, pool: str, slurm: str, dashboard: Dashboard):
        started = int(start_time(os.getpid()) or 0)
        where = os.path.basename(os.environ.get("JPY_SESSION_NAME", ""))  # the notebook, as Jupyter sets it
        self.own = Note(pool, os.getpid(), started, slurm, dashboard.port, dashboard.key, where=where)
        self.folder = private.make(private.home(plain=False).path / _FOLDER, plain=False)
        self.path = self.folder / f"{pool}.json"
        self.update()

    def update(self, **changes: float | None) -> None:
        """Change fields of this pool's note, and write its file."""
        changed = replace(self.own, **changes)  # type: ignore[arg-type]
        if changed == self.own and self.path.exists():
            return
        self.own, fresh = changed, self.path.with_suffix(".new")
        with suppress(OSError):  # without the note others do not see this pool
            fresh.touch(mode=0o600)
            fresh.write_text(json.dumps(asdict(self.own)))
            fresh.replace(self.path)

    def others(self) -> list[Note]:
        """The notes of this user's other living pools on the same Slurm."""
        notes = _living(self.folder)
        return [note for note in notes if note.slurm == self.own.slurm and note.pool != self.own.pool]

    def withdraw(self) -> None:
        """Remove this pool's note, and the folder if that was the last in it."""
        self.path.unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()
            self.folder.parent.rmdir()


def newest_dashboard() -> Dashboard | None:
    """The dashboard of the newest pool whose process lives; None if there is none."""
    notes: list[Note] = []
    for place in private.candidates():
        with suppress(OSError):
            if not private.why_not_private(place / _FOLDER):
                notes += _living(place / _FOLDER)
    last = max(notes, key=lambda note: note.made, default=None)
    return Dashboard(last.port, last.key) if last else None


def nodes_in(state: Path) -> int:
    """How many Slurm nodes the living pools with `state` as HPCLAB_STATE_DIR have or have asked for."""
    return sum(note.nodes for note in _living(state / _FOLDER) if note.slurm)


def _living(folder: Path) -> list[Note]:
    """The notes of pools whose process lives; removes the files of others."""
    found = []
    for path in folder.glob("*.json"):
        with suppress(OSError, ValueError, TypeError):
            note = Note(**json.loads(path.read_text()))
            if Process(note.pid, note.started).alive:
                found.append(note)
            else:
                path.unlink()
    return found
