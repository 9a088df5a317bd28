"""Cleans up after a notebook that was killed outright; a program of its own, of the standard library only.

A killed process runs no exit handler, so a pool keeps this beside it: in a session of its own, at the far
end of a pipe. What is to be ended and removed is told down the pipe as a JSON object per line; when the pipe
closes without a last word, the notebook has died and everything told is ended and removed. What tasks left
running is ended in both cases.

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
import sys
import time
from contextlib import suppress

from hpclab.cluster import slurm_commands
from hpclab.cluster.host import processes

MARK = "HPCLAB_POOL"  # in the environment of every worker and what it starts
DEADLINE = 120.0  # how long to go on trying to cancel jobs, in seconds


def end_process(pid: int, since: str) -> None:
    if processes.start_time(pid) == since:  # the number may belong to somebody else by now
        for kill in (os.killpg, os.kill):
            with suppress(OSError):
                kill(pid, signal.SIGKILL)


def end_marked(name: str) -> None:
    """End what carries the pool's name: daemons that a task started and left, whoever their parent is now."""
    for _ in range(20):
        if not (left := processes.marked(name, MARK)):
            return
        for process in left:
            process.send(signal.SIGKILL)
        time.sleep(0.05)


def cancel_jobs(cancel: list[list[str]], left: list[str], environment: dict[str, str], exists: str) -> None:
    """Until none is left three times in a row: a submission may still have been under way."""
    deadline, clear = time.monotonic() + DEADLINE, 0
    while clear < 3 and time.monotonic() < deadline:
        if not os.path.exists(exists):  # that Slurm was ended, and its jobs with it
            return
        *_, remaining = [_call(command, environment) for command in (*cancel, left)]
        clear = clear + 1 if remaining == "" else 0
        time.sleep(0.5)


def _call(command: list[str], environment: dict[str, str]) -> str | None:
    with suppress(OSError, slurm_commands.SlurmError):
        return slurm_commands.run(command, environment).strip()
    return None


def listen(parent: int) -> list[dict]:
    """What was told, once the notebook is gone; the last is `done` if it said goodbye."""
    told: list[dict] = []
    buffer = b""
    while not told or "done" not in told[-1]:
        ready, _, _ = select.select([0], [], [], 1.0)
        if ready:
            if not (chunk := os.read(0, 65536)):
                break
            *lines, buffer = (buffer + chunk).split(b"\n")
            told += map(json.loads, lines)
        elif os.getppid() != parent:  # a process forked from the notebook may hold the pipe open
            break
    return told


def remove(path: str) -> None:
    for _ in range(20):  # a worker that is just ending may still write into it
        shutil.rmtree(path, ignore_errors=True)
        with suppress(OSError):
            os.unlink(path)
        if not os.path.lexists(path):
            break
        time.sleep(0.5)


def main() -> None:
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    told = listen(int(sys.argv[1]))
    closed = any("done" in one for one in told)
    deeds = {"watch": end_process, "jobs": cancel_jobs, "mark": end_marked, "remove": remove}
    for kind, deed in deeds.items():
        for one in told:
            if kind in one and (kind == "mark" or not closed):
                deed(*one.values())  # type: ignore[operator]


if __name__ == "__main__":
    main()
