"""Call a learner's function in a process of its own, with limits on time, memory, processes and output, of
which only plain data comes back. This keeps honest mistakes harmless; it is not a sandbox against an
attacker, who has the notebook anyway."""

import contextlib
import io
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

import cloudpickle
import psutil

from hpclab import search_path

_CHILD = Path(__file__).with_name("child.py")
_START_SECONDS = 30.0  # a fresh interpreter on a loaded machine; the learner's seconds begin after it
_PATIENCE = 10  # times the limit on the clock, where a system does not tell who waits from who is held up
_MEMORY = 2**30  # bytes, for the whole child
_LARGEST_OUTPUT = 2**20
_LARGEST_VALUE = 2**24  # the child can write no larger file
_PLAIN = (("builtins", "complex"), ("builtins", "set"), ("_codecs", "encode"))


class Stopped(Exception):
    """A learner's function did not return data; the message says why in one sentence."""


def call_each(function: Callable, argument_lists: Iterable[tuple], seconds: float = 5.0) -> list:
    """Return `[function(*args) for args in argument_lists]`, plain data from one child process; raise Stopped
    where that fails. All calls together have `seconds` to compute or wait; what other programs take of a busy
    core does not count. Functions and classes of a notebook cell work, with the globals they use."""
    try:
        task = cloudpickle.dumps((function, list(argument_lists)))
    except Exception as error:
        raise Stopped(f"Your function uses something that cannot leave the notebook ({error}).") from None
    limits = pickle.dumps((search_path.with_folder_last(), _PATIENCE * seconds, _MEMORY, len(task)))
    # One thread each, or the thread pools of BLAS and OpenMP alone reserve more memory than the limit.
    one_thread = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "NUMBA")}
    with (
        tempfile.TemporaryDirectory(prefix="hpclab-answer-") as folder,
        tempfile.TemporaryFile() as message,  # files: who never reads or writes cannot block us
        tempfile.TemporaryFile() as values,
        tempfile.TemporaryFile() as printed,
    ):
        message.write(limits + task)
        message.seek(0)
        child = subprocess.Popen(
            [sys.executable, "-P", "-s", str(_CHILD), str(values.fileno())],
            stdin=message, stdout=printed, stderr=subprocess.STDOUT, pass_fds=[values.fileno()],
            cwd=folder, env={**os.environ, **one_thread, "HOME": folder}, start_new_session=True,
        )  # fmt: skip
        try:
            _watch(child, values, printed, seconds)
        finally:
            end_group(child)
        values.seek(0)
        return _read(values.read()[1:])


def _watch(child: subprocess.Popen, values: IO[bytes], printed: IO[bytes], seconds: float) -> None:
    """Wait until `child` has ended; Stopped where it exceeds its time, memory, output or size of `values`."""
    process, started, spent, cpu, clock = psutil.Process(child.pid), False, 0.0, 0.0, time.monotonic()
    deadline, status = clock + _START_SECONDS, psutil.STATUS_RUNNING
    while status != psutil.STATUS_ZOMBIE:
        time.sleep(0.02)
        before, clock, status = clock, time.monotonic(), process.status()
        with contextlib.suppress(psutil.Error):
            used, cpu = cpu, sum(process.cpu_times()[:2])
            # One that could run, while others hold the core, spends nothing.
            spent += max(cpu - used, clock - before if status != psutil.STATUS_RUNNING else 0.0)
            if process.memory_info().rss > _MEMORY:
                raise Stopped(f"Your function needed more than {_MEMORY >> 20} MiB of memory.")
        if os.fstat(printed.fileno()).st_size > _LARGEST_OUTPUT:
            raise Stopped(f"Your function printed over {_LARGEST_OUTPUT} bytes: does it print in a loop?")
        if (size := os.fstat(values.fileno()).st_size) >= _LARGEST_VALUE:
            raise Stopped(f"Your function returned more than {_LARGEST_VALUE} bytes.")
        if size and not started:  # the first byte only says that the call begins
            started, spent, deadline = True, 0.0, clock + _PATIENCE * seconds
        if status != psutil.STATUS_ZOMBIE and (clock > deadline or (started and spent > seconds)):
            what = "Your function did not finish" if started else "The child process did not start"
            raise Stopped(f"{what} within {seconds if started else _START_SECONDS:g} s: is there a loop?")


def _read(received: bytes) -> list:
    """Unpickle the values that the child sent; Stopped where it sent none, a sentence or other objects."""
    if not received:
        raise Stopped("Your function ended its process instead of returning (exit, or a crash).")
    try:
        value = _DataOnly(io.BytesIO(received)).load()
    except Stopped:
        raise
    except Exception:
        raise Stopped("What your function returned could not be read: did it end its process?") from None
    if not isinstance(value, list):
        raise Stopped(str(value))
    return value


class _DataOnly(pickle.Unpickler):
    """Reads numbers, text, containers and NumPy arrays; refuses anything that would build another object."""

    def find_class(self, module: str, name: str) -> object:
        arrays = ("ndarray", "dtype", "scalar", "_reconstruct", "_frombuffer")
        if (module.split(".")[0] == "numpy" and name in arrays) or (module, name) in _PLAIN:
            return super().find_class(module, name)
        raise Stopped(
            f"Your function returned a {name}; return plain data: numbers, text, lists, dicts or arrays."
        )


def group_members(child: subprocess.Popen) -> list[int]:
    """Ids of the running processes of the group that `child` leads; zombies do not count."""
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(ProcessLookupError, PermissionError, psutil.Error):
            if os.getpgid(pid) == child.pid and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.append(pid)
    return found


def end_group(child: subprocess.Popen) -> None:
    """Kill the process group that `child` leads, and descendants that have left it, and reap the child: until
    then its process id is not given to another."""
    for process in psutil.Process(child.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            process.kill()
    while group_members(child):  # again and again, because a group that forks can outrun one signal
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        time.sleep(0.01)
    child.wait()
