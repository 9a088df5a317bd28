"""Processes known by id and start time, as ids are reused, or by the secret mark in their environment."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

MARK = "HPCLAB_SLURM_MARK"  # set for the daemons and, by the task prolog, for every task they start


@dataclass(frozen=True)
class Process:
    """One process of this machine: `pid`, and `started`, clock ticks from boot to its start, as in /proc."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """The living process with this id; None where there is none, or a zombie."""
        fields = _stat(pid)
        return cls(pid, int(fields[19])) if fields and fields[0] not in "ZX" else None

    @property
    def alive(self) -> bool:
        return Process.of(self.pid) == self

    @property
    def stopped(self) -> bool:
        """Whether it is suspended, as by SIGSTOP."""
        return _stat(self.pid)[:1] == ["T"]

    def send(self, number: int) -> None:
        """Send a signal, if it is still the same process."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, number)


def start_time(pid: int) -> str:
    """Clock ticks from boot to the process's start, as text; empty where there is none or no /proc."""
    return "".join(_stat(pid)[19:20])


def boot_and_pid_namespace() -> tuple[str, str]:
    """The kernel's boot id, within which processes share one monotonic clock, and the PID namespace, of which
    each container has its own; "" for what this system does not report."""
    boot = space = ""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    with contextlib.suppress(OSError):
        space = os.readlink("/proc/self/ns/pid")
    return boot, space


def descendants(pid: int) -> list[Process]:
    """All descendants of `pid`, with the orphans that it has adopted."""
    children: dict[int, list[int]] = {}
    for other in _pids():
        if fields := _stat(other):
            children.setdefault(int(fields[1]), []).append(other)
    found = [pid]
    for above in found:
        found += children.get(above, [])
    return _living(found[1:])


def marked(mark: str, variable: str = MARK) -> list[Process]:
    """The other processes with `variable` set to `mark` in their environment, whoever their parent is now."""
    wanted = f"{variable}={mark}".encode()
    return _living(pid for pid in _pids() if pid != os.getpid() and wanted in _environment(pid))


def slurmstepd(spool: Path) -> list[Process]:
    """The slurmstepd of the nodes whose spool directories are below `spool`, or of the one node that has it.

    A step daemon blanks its environment to show a title instead, but keeps its node's directory as its own.
    """
    found = []
    for pid in _pids():
        with contextlib.suppress(OSError):
            program = os.path.basename(os.readlink(f"/proc/{pid}/exe"))
            here = Path(os.readlink(f"/proc/{pid}/cwd"))
            if program.startswith("slurmstepd") and here.is_relative_to(spool):  # Debian's is slurmstepd-wlm
                found.append(pid)
    return _living(found)


def end(processes: Iterable[Process], patience: float = 2.0) -> None:
    """Send SIGTERM, wait up to `patience` seconds, then send SIGKILL to what is left, and wait as long."""
    waiting = list(processes)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in waiting:
            process.send(number)
            process.send(signal.SIGCONT)
        deadline = time.monotonic() + patience
        while waiting and time.monotonic() < deadline:
            for process in waiting:
                with contextlib.suppress(ChildProcessError):  # not ours, or reaped before
                    os.waitpid(process.pid, os.WNOHANG)
            waiting = [process for process in waiting if process.alive]
            time.sleep(0.01)


def die_with_parent(parent: int) -> None:
    """Have Linux kill this process when `parent`, which started it, ends; exit at once if it has already."""
    _prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """On Linux become the parent of whatever descendants leave behind, so that they can be ended."""
    _prctl(36, 1)  # PR_SET_CHILD_SUBREAPER


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()] if os.path.isdir("/proc") else []


def _living(pids: Iterable[int]) -> list[Process]:
    return [process for pid in pids if (process := Process.of(pid))]


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat from the third, the state, on; empty where there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return []
    return text[text.rindex(")") + 2 :].split()  # the name before it may hold anything
