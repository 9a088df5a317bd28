"""The notebook's end of the watchdog's pipe."""

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import hpclab
from hpclab.cluster import watchdog

FULL = 5.0  # seconds to wait for room in the pipe of a watchdog that does not read


class Guard:
    """Tells the watchdog what to end and remove should this process die without closing the pool `name`.

    A watchdog that is killed is replaced, and told everything again.
    """

    def __init__(self, name: str) -> None:
        self._lock = threading.Lock()
        self._told: list[bytes] = []
        self._over = False
        self._process = self._start()
        self.tell(mark=name)
        threading.Thread(target=self._keep, daemon=True, name="hpclab-guard").start()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-P", "-S", "-m", watchdog.__name__, str(os.getpid())], cwd="/",
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": str(Path(hpclab.__file__).parents[1])}, start_new_session=True,
        )  # fmt: skip

    def _keep(self) -> None:
        began = time.monotonic()
        while True:
            self._process.wait()
            with self._lock:
                if self._over or time.monotonic() < began + 1.0:  # one that cannot live is not tried for ever
                    return
                began = time.monotonic()
                with suppress(OSError):
                    self._process = self._start()
                    self._write(b"".join(self._told))

    def tell(self, **message: object) -> None:
        """What to end or remove, in the words of watchdog.py."""
        line = json.dumps(message).encode() + b"\n"
        with self._lock:
            self._told.append(line)
            self._write(line)

    def dismiss(self) -> None:
        """The pool has cleaned up itself; what its tasks left running is still ended."""
        self.tell(done=True)
        self.abandon()
        with suppress(OSError):
            self._process.send_signal(signal.SIGCONT)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def abandon(self) -> None:
        """Leave everything that was told to the watchdog, as if this process had died."""
        with self._lock, suppress(OSError):
            self._over = True
            self._process.stdin.close()  # type: ignore[union-attr]

    def _write(self, text: bytes) -> None:
        with suppress(OSError, ValueError):
            pipe: Any = self._process.stdin
            if select.select([], [pipe], [], FULL)[1]:
                pipe.write(text)
                pipe.flush()
