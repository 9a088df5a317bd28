"""Cleans up after a notebook that was killed outright; a program of its own, of the standard library only.

A killed process runs no exit handler, so a pool keeps this beside it: in a session of its own, at the far
end of a pipe. What is to be ended and removed comes down the pipe as a JSON object per line; when the pipe
closes without `done`, the notebook has died and everything registered is ended and removed. What tasks
left running is ended in both cases.

    {"watch": pid, "since": start}    a process of this machine, known by its start time
    {"mark": name}    the pool's name, which processes of its tasks on this machine have in their environment
    {"jobs": [...], "left": [...], "environment": {...}, "exists": path}    commands that cancel the pool's
                      jobs, and the one that prints those that are left, while there is this file
    {"remove": path}
    {"done": true}                    the pool closed properly: leave
"""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import hpclab
from hpclab.cluster import slurm_commands
from hpclab.cluster.host import processes

MARK = "HPCLAB_POOL"  # in the environment of every worker and what it starts
DEADLINE = 120.0  # how long to go on trying to cancel jobs, in seconds
FULL = 5.0  # seconds to wait for room in the pipe of a watchdog that does not read


class Guard:
    """The notebook's end of the pipe: starts the watchdog of the pool `name`, and tells it what to clean up.

    A watchdog that is killed is replaced, and is sent everything again.
    """

    def __init__(self, name: str) -> None:
        self._lock, self._registered, self._over = threading.Lock(), list[bytes](), False
        self._process = self._start()
        self.register(mark=name)
        threading.Thread(target=self._keep, daemon=True, name="hpclab-guard").start()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-P", "-S", "-m", __name__, str(os.getpid())], cwd="/",
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": str(Path(hpclab.__file__).parents[1])}, start_new_session=True,
        )  # fmt: skip

    def _keep(self) -> None:
        """In a thread: start the watchdog again whenever it has been killed."""
        began = time.monotonic()
        while True:
            self._process.wait()
            with self._lock:
                if self._over or time.monotonic() < began + 1.0:  # one that cannot live is not tried for ever
                    return
                began = time.monotonic()
                with suppress(OSError):
                    self._process = self._start()
                    self._write(b"".join(self._registered))

    def register(self, **message: object) -> None:
        """Send the watchdog a message, one of those that this module's docstring lists."""
        line = json.dumps(message).encode() + b"\n"
        with self._lock:
            self._registered.append(line)
            self._write(line)

    def dismiss(self) -> None:
        """End the watchdog of a pool that has cleaned up itself; it still ends what tasks left running."""
        self.register(done=True)
        self.abandon()
        with suppress(OSError):
            self._process.send_signal(signal.SIGCONT)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def abandon(self) -> None:
        """Leave everything registered to the watchdog, as if this process had died."""
        with self._lock, suppress(OSError):
            self._over = True
            self._process.stdin.close()  # type: ignore[union-attr]

    def _write(self, text: bytes) -> None:
        with suppress(OSError, ValueError):
            pipe: Any = self._process.stdin
            if select.select([], [pipe], [], FULL)[1]:
                pipe.write(text)
                pipe.flush()


def end_process(pid: int, since: str) -> None:
    """Kill this process and its process group, if its start time (`processes.start_time`) is `since`."""
    if processes.start_time(pid) == since:  # the number may belong to somebody else by now
        for kill in (os.killpg, os.kill):
            with suppress(OSError):
                kill(pid, signal.SIGKILL)


def end_marked(name: str) -> None:
    """Kill processes with the pool's name in their environment: daemons that tasks left behind."""
    for _ in range(20):
        if not (left := processes.marked(name, MARK)):
            return
        for process in left:
            process.send(signal.SIGKILL)
        time.sleep(0.05)


def cancel_jobs(cancel: list[list[str]], left: list[str], environment: dict[str, str], exists: str) -> None:
    """Run the commands `cancel` until `left` has printed nothing three times in a row, as a submission may
    still have been under way; return where the file `exists` is gone."""
    deadline, clear = time.monotonic() + DEADLINE, 0
    while clear < 3 and time.monotonic() < deadline:
        if not os.path.exists(exists):  # that Slurm was ended, and its jobs with it
            return
        *_, remaining = [_call(command, environment) for command in (*cancel, left)]
        clear = clear + 1 if remaining == "" else 0
        time.sleep(0.5)


def _call(command: list[str], environment: dict[str, str]) -> str | None:
    """What the command prints, or None where it fails."""
    with suppress(OSError, slurm_commands.SlurmError):
        return slurm_commands.run(command, environment).strip()
    return None


def remove(path: str) -> None:
    for _ in range(20):  # a worker that is just ending may still write into it
        shutil.rmtree(path, ignore_errors=True)
        with suppress(OSError):
            os.unlink(path)
        if not os.path.lexists(path):
            break
        time.sleep(0.5)


def listen(parent: int) -> list[dict]:
    """Read the messages on standard input until `done`, or until the notebook, process `parent`, is gone."""
    heard: list[dict] = []
    buffer = b""
    while not heard or "done" not in heard[-1]:
        ready, _, _ = select.select([0], [], [], 1.0)
        if ready:
            if not (chunk := os.read(0, 65536)):
                break
            *lines, buffer = (buffer + chunk).split(b"\n")
            heard += map(json.loads, lines)
        elif os.getppid() != parent:  # a process forked from the notebook may hold the pipe open
            break
    return heard


def main() -> None:
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    heard = listen(int(sys.argv[1]))
    closed = any("done" in one for one in heard)
    deeds = {"watch": end_process, "jobs": cancel_jobs, "mark": end_marked, "remove": remove}
    for kind, deed in deeds.items():
        for one in heard:
            if kind in one and (kind == "mark" or not closed):
                deed(*one.values())  # type: ignore[operator]


if __name__ == "__main__":
    main()
