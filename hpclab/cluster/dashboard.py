"""Where the Dask dashboards of this user's pools are, so that JupyterLab finds the one that is alive.

A pool's dashboard listens on a random loopback port in the notebook's kernel, and opens to whoever has its
key (see door.py). The pool leaves a note with both in the private home; a note whose process is gone is
removed by whoever sees it next.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from hpclab.cluster.host import private
from hpclab.cluster.host.processes import Process

_FOLDER = "dashboards"


@dataclass(frozen=True)
class Dashboard:
    """It listens on the loopback `port` and shows itself to a request whose cookie `cookie` is `key`."""

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


def announce(dashboard: Dashboard) -> Path:
    """Leave a note that this process serves `dashboard`; `withdraw` takes it away."""
    folder = private.make(private.home(plain=False).path / _FOLDER, plain=False)
    me = Process.of(os.getpid())
    note = folder / f"{os.getpid()}-{me.started if me else 0}-{dashboard.port}"
    note.touch(mode=0o600)
    note.write_text(dashboard.key)
    return note


def withdraw(note: Path) -> None:
    """Remove the note, and its folders if nothing else is in them."""
    note.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        note.parent.rmdir()
        note.parent.parent.rmdir()


def newest() -> Dashboard | None:
    """The dashboard that was announced last and whose process lives; None if there is none."""
    notes = []
    for place in private.candidates():
        with contextlib.suppress(OSError):
            if not private.why_not_private(place / _FOLDER):
                notes += [(note.stat().st_mtime_ns, note) for note in (place / _FOLDER).iterdir()]
    for _, note in sorted(notes, reverse=True):
        with contextlib.suppress(ValueError, OSError):
            pid, started, port = map(int, note.name.split("-"))
            if Process(pid, started).alive:
                return Dashboard(port, note.read_text())
        withdraw(note)
    return None
