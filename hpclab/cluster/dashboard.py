"""Where the Dask dashboards of this user's pools are, so that JupyterLab finds the one that is alive.

A pool's dashboard listens on a random loopback port in the notebook's kernel. The pool leaves a note with
that port in the private home; a note whose process is gone is removed by whoever sees it next.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from hpclab.cluster.host import private
from hpclab.cluster.host.processes import Process

_FOLDER = "dashboards"


def announce(port: int) -> Path:
    """Leave a note that this process serves a dashboard on `port`; `withdraw` takes it away."""
    folder = private.make(private.home(plain=False).path / _FOLDER, mode=0o700, plain=False)
    me = Process.of(os.getpid())
    note = folder / f"{os.getpid()}-{me.started if me else 0}-{port}"
    note.touch(mode=0o600)
    return note


def withdraw(note: Path) -> None:
    """Remove the note, and its folders if nothing else is in them."""
    note.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        note.parent.rmdir()
        note.parent.parent.rmdir()


def newest() -> int | None:
    """The port of the dashboard that was announced last and whose process lives; None if there is none."""
    notes = []
    for place in private.candidates():
        with contextlib.suppress(OSError):
            if not private.why_not_private(place / _FOLDER):
                notes += [(note.stat().st_mtime_ns, note) for note in (place / _FOLDER).iterdir()]
    for _, note in sorted(notes, reverse=True):
        with contextlib.suppress(ValueError):
            pid, started, port = map(int, note.name.split("-"))
            if Process(pid, started).alive:
                return port
        withdraw(note)
    return None
