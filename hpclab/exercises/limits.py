"""Call a learner's function in a process of its own, with limits on time, memory, processes and output.

What may go wrong in a learner's function must not cost the notebook: an endless loop, a fork bomb, printing
without end, a huge allocation, `os._exit`. And what it patches, it patches in its own process: only plain
data comes back (numbers, text, lists, dicts, NumPy arrays), never an object with code of its own. This keeps
honest mistakes harmless; it is not a sandbox against an attacker, who has the notebook anyway.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import cloudpickle
import psutil

from hpclab import checks, search_path

_CHILD = Path(__file__).with_name("child.py")
_START_SECONDS = 30.0  # a fresh interpreter on a loaded machine; the learner's seconds begin after it
_PATIENCE = (
    10  # times the limit on the clock, for systems that do not tell who waits from who is kept waiting
)
_LARGEST_OUTPUT = 2**20
_LARGEST_VALUE = 2**24


class Stopped(Exception):
    """A learner's function did not return data; the message says why in one sentence."""


def call_each(
    function: Callable, argument_lists: Iterable[tuple], *, seconds: float = 5.0, memory: int = 2**30
) -> list:
    """`[function(*args) for args in argument_lists]` in one child process: plain data, or Stopped.

    `seconds` for all the calls together, in which it computes or waits; what other programs take of a busy
    core in the meantime does not count. `memory` in bytes for the whole child. Functions and classes defined
    in a notebook cell work, with the globals they use.
    """
    seconds = checks.number("seconds", seconds, 0.1, 600, "s")
    if not callable(function):
        raise Stopped(f"The answer must be a function, not {type(function).__name__}.")
    try:
        task = cloudpickle.dumps((function, list(argument_lists)))
    except Exception as error:
        raise Stopped(f"Your function uses something that cannot leave the notebook ({error}).") from None
    with tempfile.TemporaryDirectory(prefix="hpclab-answer-") as folder:
        limits = pickle.dumps((search_path.with_folder_last(), _PATIENCE * seconds, memory, len(task)))
        return _run(limits + task, Path(folder), seconds, memory)


def _run(message: bytes, folder: Path, seconds: float, memory: int) -> list:
    reading, writing = os.pipe()
    # One thread each, or the thread pools of BLAS and OpenMP alone reserve more memory than the limit.
    one_thread = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "NUMBA")}
    with (folder / "task").open("w+b") as task:  # a file, so that a child that never reads cannot block us
        task.write(message)
        task.seek(0)
        child = subprocess.Popen(
            [sys.executable, "-P", "-s", str(_CHILD), str(writing)],
            stdin=task, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, pass_fds=[writing],
            cwd=folder, env={**os.environ, **one_thread, "HOME": str(folder)}, start_new_session=True,
        )  # fmt: skip
    os.close(writing)
    try:
        return _read(_listen(child, reading, seconds, memory))
    finally:
        _end(child)
        os.close(reading)


def _listen(child: subprocess.Popen, values: int, seconds: float, memory: int) -> bytes:
    """What the child sent over the pipe `values`, while its time, memory and printed bytes are watched."""
    assert child.stdout is not None
    received, printed = bytearray(), 0
    deadline, started = time.monotonic() + _START_SECONDS, False
    process = psutil.Process(child.pid)
    watch = _Watch(process)
    with selectors.DefaultSelector() as selector:
        selector.register(values, selectors.EVENT_READ)
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or (started and watch.spent() > seconds):
                what = "Your function did not finish" if started else "The child process did not start"
                raise Stopped(f"{what} within {seconds if started else _START_SECONDS:g} s: is there a loop?")
            for key, _ in selector.select(min(left, 0.05)):
                piece = os.read(key.fd, 2**16)
                if key.fd != values:
                    printed += len(piece)
                    if not piece:
                        selector.unregister(key.fd)
                    continue
                if not piece:
                    return bytes(received)
                if not started:  # the first byte only says that the call begins
                    piece, started, deadline = piece[1:], True, time.monotonic() + _PATIENCE * seconds
                    watch = _Watch(process)
                received += piece
            if printed > _LARGEST_OUTPUT:
                raise Stopped(
                    f"Your function printed more than {_LARGEST_OUTPUT} bytes: does it print in a loop?"
                )
            if len(received) > _LARGEST_VALUE:
                raise Stopped(f"Your function returned more than {_LARGEST_VALUE} bytes.")
            with contextlib.suppress(psutil.Error):
                if process.memory_info().rss > memory:
                    raise Stopped(f"Your function needed more than {memory >> 20} MiB of memory.")


class _Watch:
    """What a process spends from now on: seconds in which it computes, or is seen to wait."""

    def __init__(self, process: psutil.Process):
        self.process, self.sum = process, 0.0
        self.cpu, self.clock = self._cpu(), time.monotonic()

    def spent(self) -> float:
        """Seconds so far; a process that could run, while others hold the core, spends nothing."""
        cpu, clock, waits = self._cpu(), time.monotonic(), False
        with contextlib.suppress(psutil.Error):
            waits = self.process.status() != psutil.STATUS_RUNNING
        self.sum += max(cpu - self.cpu, clock - self.clock if waits else 0.0)
        self.cpu, self.clock = cpu, clock
        return self.sum

    def _cpu(self) -> float:
        with contextlib.suppress(psutil.Error):
            times = self.process.cpu_times()
            return float(times.user + times.system)
        return 0.0  # it has ended, and the pipe will say how


def _read(received: bytes) -> list:
    if not received:
        raise Stopped("Your function ended its process instead of returning (exit, or a crash).")
    try:
        outcome, value = _DataOnly(io.BytesIO(received)).load()
    except Stopped:
        raise
    except Exception:
        raise Stopped("What your function returned could not be read: did it end its process?") from None
    if outcome == "values" and isinstance(value, list):
        return value
    raise Stopped(str(value))


class _DataOnly(pickle.Unpickler):
    """Reads numbers, text, containers and NumPy arrays; refuses anything that would build another object."""

    def find_class(self, module: str, name: str) -> object:
        if module.split(".")[0] == "numpy" and name in (
            "ndarray", "dtype", "scalar", "_reconstruct", "_frombuffer",
        ):  # fmt: skip
            return super().find_class(module, name)
        if (module, name) in (("builtins", "complex"), ("builtins", "set"), ("_codecs", "encode")):
            return super().find_class(module, name)
        raise Stopped(
            f"Your function returned a {name}; return plain data: numbers, text, lists, dicts or arrays."
        )


def _end(child: subprocess.Popen) -> None:
    """End the child and everything it started, and reap it."""
    family = []
    with contextlib.suppress(psutil.Error):
        family = psutil.Process(child.pid).children(recursive=True)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, 9)
    for process in family:
        with contextlib.suppress(psutil.Error):
            process.kill()
    child.wait()
    if child.stdout is not None:
        child.stdout.close()
