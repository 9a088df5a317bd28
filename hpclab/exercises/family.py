"""A child process and everything that it started: watched, and ended for certain.

The child leads a group of its own, and is not reaped before `end`: until then its number is nobody else's.
"""

import contextlib
import os
import signal
import subprocess
import time

import psutil


def runs(child: subprocess.Popen) -> bool:
    """Whether the child has not ended."""
    return psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE


def members(child: subprocess.Popen) -> list[int]:
    """The processes of its group that still run; the dead that nobody has waited for do not count."""
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(ProcessLookupError, PermissionError, psutil.Error):
            if os.getpgid(pid) == child.pid and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.append(pid)
    return found


def end(child: subprocess.Popen) -> None:
    """End the child's group, and what has left it, and reap the child."""
    for process in psutil.Process(child.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            process.kill()
    while members(child):  # again and again, because a group that forks can outrun one signal
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        time.sleep(0.01)
    child.wait()
