"""What every node starts: one Dask worker process with one thread, over TLS, and the files that it needs."""

from __future__ import annotations

import copy
import ctypes
import json
import os
import shutil
import tempfile
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpclab.cluster.errors import PoolError
from hpclab.cluster.host import private, processes

if TYPE_CHECKING:
    from distributed.security import Security

LOOPBACK = "127.0.0.1"
MOST_LOG, KEPT_LOG = 2**20, 2**15  # bytes of a log on disk, and of its end once it has more
# Dask fails a task with the twelfth node that it loses; the pool gives the item up before that (maps/).
SCHEDULER = {"dashboard": True, "dashboard_address": f"{LOOPBACK}:0", "allowed_failures": 12}
_OWNER = "owner"
_KEEP_SIZE, _PUNCH_HOLE = 1, 2  # of fallocate(2)


def worker_arguments(directory: Path) -> list[str]:
    """Return the options of every Dask worker: no dashboard, our preload module, and from `directory` its TLS
    key, its certificate and the authority that it trusts."""
    files = {"ca-file": "ca.pem", "cert": "cert.pem", "key": "key.pem"}
    tls = [word for option, file in files.items() for word in (f"--tls-{option}", str(directory / file))]
    own = ["--no-dashboard", "--dashboard-address", f"{LOOPBACK}:0", "--preload", "hpclab.cluster.preload"]
    return [*own, *tls]


def scheduler_settings(directory: Path, site: bool = False) -> AbstractContextManager[object]:
    """Return a context in which Dask makes a scheduler with our settings: scratch in `directory`, not in one
    of everybody's in /tmp, and the event loop's delay measured only twice a second, as the notebook's cores
    are the nodes' too. The user's own settings of Dask hold on a `site` only."""
    import dask

    own = {"temporary-directory": str(directory), "distributed.admin.tick.interval": "500ms"}
    return dask.config.set(({} if site else _shipped()) | own)


def worker_settings(directory: Path) -> dict[str, str]:
    """Write Dask's settings as shipped into `directory`; return the variable by which a worker reads them."""
    path = directory / "dask.yaml"
    path.write_text(json.dumps(_shipped()), encoding="utf-8")
    return {"DASK_CONFIG": str(path)}


def _shipped() -> dict[str, Any]:
    """Dask's own settings of scheduler and workers, whatever ~/.config/dask says."""
    import dask
    import distributed  # noqa: F401 - its import brings them

    shipped = next(own["distributed"] for own in dask.config.defaults if "distributed" in own)
    return {"distributed": copy.deepcopy(shipped)}


def private_directory(name: str, shared: bool = False) -> Path:
    """Make a directory that only its owner may enter, for keys, logs and scratch of the pool named `name`,
    and return it; `shared` with other nodes it is below HPCLAB_STATE_DIR, or else ~/.hpclab. Removes those of
    pools that were killed together with their watchdog."""
    if shared:
        above = Path(os.environ.get("HPCLAB_STATE_DIR") or Path.home() / ".hpclab")
        try:
            private.make(above, plain=False)
        except OSError as error:
            raise OSError(
                f"A pool's files must be where all nodes see them, and {above} cannot be used: "
                f"{error.strerror or error}. Set HPCLAB_STATE_DIR to a directory of your own with a short, "
                "plain name, on a file system that the nodes share."
            ) from None
    else:
        above = private.home(plain=False).path
    here = " ".join(processes.boot_and_pid_namespace())  # a process number counts only with these
    for note in above.glob(f"hpclab-*/{_OWNER}"):
        with suppress(OSError, ValueError):
            where, pid, since = note.read_text().rsplit(" ", 2)
            if here.strip() and where == here and processes.start_time(int(pid)) != since:
                shutil.rmtree(note.parent, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=above))
    (made / _OWNER).write_text(f"{here} {os.getpid()} {processes.start_time(os.getpid())}")
    return made


def refuse_lost_places(directory: Path) -> None:
    """Raise PoolError where the keys in a pool's `directory`, or the working directory, are gone."""
    if not (directory / "key.pem").exists():
        raise PoolError(
            f"The pool's directory {directory} was removed, and with it the keys its nodes need: close() "
            "this pool and make a new one."
        )
    try:
        os.getcwd()
    except FileNotFoundError:
        raise PoolError(
            "The working directory of this notebook was deleted, and nodes start in it: os.chdir(...) to one "
            "that exists, then try again."
        ) from None


def last_lines(log: Path, lines: int = 8, size: int = 4000) -> str:
    """The last `lines` lines, at most `size` bytes, of the file `log`, indented; "" where there is none."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - size))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "".join(f"\n    {line}" for line in text.splitlines()[-lines:])


def cut_logs(directory: Path) -> None:
    """Free the disk blocks of all but the last KEPT_LOG bytes of every log in `directory` that has more than
    MOST_LOG, as a task may print without end. The file keeps its length; its beginning becomes a hole."""
    for log in directory.iterdir() if directory.exists() else ():
        with suppress(OSError):
            status = log.stat()
            if log.suffix in (".log", ".out", ".err") and status.st_blocks * 512 > MOST_LOG:
                with open(log, "r+b") as file:
                    end = max(0, status.st_size - KEPT_LOG)
                    if not _punched(file.fileno(), end):  # a copy loses what is printed meanwhile
                        file.seek(end)
                        kept = file.read()
                        file.truncate(0)
                        file.seek(end)
                        file.write(kept)


def _punched(file: int, end: int) -> bool:
    """Make a hole of the first `end` bytes of the open `file`; return whether the file system can."""
    try:
        fallocate = ctypes.CDLL(None).fallocate
    except AttributeError:
        return False
    return fallocate(file, _KEEP_SIZE | _PUNCH_HOLE, ctypes.c_long(0), ctypes.c_long(end)) == 0


def make_security(directory: Path) -> Security:
    """Make a key and certificate for one pool, write them into `directory` for its workers, readable by their
    owner only, and return them as Dask's Security. Without TLS anyone who reaches the scheduler's port, on a
    login node everyone, runs code as its owner."""
    from distributed.security import Security

    fresh = Security.temporary()
    names = {"ca.pem": fresh.tls_ca_file, "cert.pem": fresh.tls_worker_cert, "key.pem": fresh.tls_worker_key}
    for name, text in names.items():
        handle = os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(text)
    return fresh
