"""The notebook's end of the watchdog's pipe."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from hpclab.cluster import watchdog


class Guard:
    """Tells the watchdog what to end and remove should this process die without closing its pool."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-E", str(Path(watchdog.__file__)), str(os.getpid())],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
            start_new_session=True,
        )  # fmt: skip
        self.pid = self._process.pid

    def watch(self, pid: int) -> None:
        """End this process of this machine, and its process group."""
        self._tell({"watch": pid, "since": watchdog.start_time(pid)})

    def cancel(self, job_name: str, environment: dict[str, str]) -> None:
        """Cancel the Slurm jobs of this name; `environment` is what reaches the right Slurm."""
        self._tell({"jobs": job_name, "environment": environment})

    def remove(self, path: Path) -> None:
        """Remove this directory, or this file."""
        self._tell({"remove": str(path)})

    def dismiss(self) -> None:
        """The pool has cleaned up itself."""
        self._tell({"done": True})
        with suppress(OSError):
            self._process.stdin.close()  # type: ignore[union-attr]
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def abandon(self) -> None:
        """Leave everything that was told to the watchdog, as if this process had died."""
        with suppress(OSError):
            self._process.stdin.close()  # type: ignore[union-attr]

    def _tell(self, message: dict[str, object]) -> None:
        line = json.dumps(message).encode() + b"\n"
        with self._lock, suppress(OSError, ValueError):
            self._process.stdin.write(line)  # type: ignore[union-attr]
            self._process.stdin.flush()  # type: ignore[union-attr]
