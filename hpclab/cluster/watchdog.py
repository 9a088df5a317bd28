"""Cleans up after a notebook that was killed outright; a program of its own, of the standard library only.

A killed process runs no exit handler, so a pool keeps this beside it: in a session of its own, at the far
end of a pipe. What is to be ended and removed is told down the pipe as a JSON object per line; when the pipe
closes without a last word, the notebook has died and everything told is ended and removed. What tasks left
running is ended in both cases.

    {"watch": pid, "since": start}    a process of this machine, known by its start time
    {"mark": name}    the pool's name, which processes of its tasks on this machine have in their environment
    {"jobs": name, "environment": {...}}    Slurm jobs of this name
    {"remove": path}
    {"done": true}                    the pool closed properly: leave
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress

MARK = "HPCLAB_POOL"  # in the environment of every worker and what it starts
DEADLINE = 120.0  # how long to go on trying to cancel jobs, in seconds


def start_time(pid: int) -> str:
    """When the process started, as the kernel counts it; empty where there is none or no /proc."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def end_processes(watched: dict[int, str]) -> None:
    for pid, since in watched.items():
        if start_time(pid) == since:  # the number may belong to somebody else by now
            with suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def end_marked(name: str) -> None:
    """End what carries the pool's name: daemons that a task started and left, whoever their parent is now."""
    mark = f"{MARK}={name}".encode()
    for _ in range(20):
        left = [pid for pid in _pids() if mark in _environment(pid)]
        for pid in left:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if not left:
            return
        time.sleep(0.05)


def _pids() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def _environment(pid: int) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return []


def cancel_jobs(name: str, environment: dict[str, str]) -> None:
    """scancel by name until squeue shows none: a submission may still have been under way."""
    deadline, clear = time.monotonic() + DEADLINE, 0
    conf = environment.get("SLURM_CONF")
    while clear < 3 and time.monotonic() < deadline:
        if conf and not os.path.exists(conf):  # that Slurm was ended, and its jobs with it
            return
        _call(["scancel", "--name", name], environment)
        _call(["scancel", "--name", name, "--full", "--signal=KILL"], environment)
        left = _call(["squeue", "--name", name, "--noheader", "--format=%i"], environment)
        clear = clear + 1 if left == "" else 0
        time.sleep(0.5)


def _call(command: list[str], environment: dict[str, str]) -> str | None:
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def listen(parent: int) -> dict:
    """What was told, once the notebook is gone; `done` if it said goodbye."""
    state: dict = {"watched": {}, "jobs": {}, "remove": [], "mark": "", "done": False}
    buffer = b""
    while True:
        ready, _, _ = select.select([0], [], [], 1.0)
        if not ready:
            # A process forked from the notebook may hold the pipe open after its death.
            if os.getppid() != parent:
                return state
            continue
        chunk = os.read(0, 65536)
        if not chunk:
            return state
        *lines, buffer = (buffer + chunk).split(b"\n")
        for line in lines:
            told = json.loads(line)
            if "done" in told:
                return state | {"done": True}
            if "watch" in told:
                state["watched"][told["watch"]] = told["since"]
            elif "jobs" in told:
                state["jobs"][told["jobs"]] = told["environment"]
            elif "remove" in told:
                state["remove"].append(told["remove"])
            elif "mark" in told:
                state["mark"] = told["mark"]


def main() -> None:
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    state = listen(int(sys.argv[1]))
    if not state["done"]:
        end_processes(state["watched"])
        for name, environment in state["jobs"].items():
            cancel_jobs(name, environment)
    if state["mark"]:
        end_marked(state["mark"])
    if state["done"]:
        return
    for directory in state["remove"]:
        for _ in range(20):  # a worker that is just ending may still write into it
            shutil.rmtree(directory, ignore_errors=True)
            with suppress(OSError):
                os.unlink(directory)
            if not os.path.lexists(directory):
                break
            time.sleep(0.5)


if __name__ == "__main__":
    main()
