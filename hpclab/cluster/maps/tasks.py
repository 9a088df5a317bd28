"""A task of `Pool.map` as its worker runs it, and the Trace of tasks and nodes: where every rank-second went.

Function, item and value are packed and unpacked inside the task, so that shipping shows up on the rank that
pays for it; by value (cloudpickle), so the worker needs no copy of the notebook.
"""

from __future__ import annotations

import ctypes
import functools
import os
import signal
import struct
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloudpickle

from hpclab import timing, trace
from hpclab.cluster.errors import TaskExit
from hpclab.trace import Event, Trace

if TYPE_CHECKING:
    from hpclab.cluster.roster import Worker


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """One task of the last map.

    `item` is the index of its item; `rank` the node it ran on; `start` seconds on the pool's clock; `wall`
    and `cpu` seconds. CPU time counts every thread of the worker except Dask's own: where it is below wall
    time the task waited for a core or for storage, above it the task used more than one core. `waited` are
    the seconds in which it was ready and had no core.
    """

    item: int
    rank: int
    start: float
    wall: float
    cpu: float
    result_bytes: int
    waited: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What comes back from `worker`: the packed value, and times on that worker's own clock."""

    value: bytes
    worker: str
    record: TaskRecord
    marks: list[trace.Mark]


pack, unpack = cloudpickle.dumps, cloudpickle.loads  # functions and classes of a notebook cell included
_function = functools.lru_cache(maxsize=4)(unpack)


def run(item: bytes, place: int, function: bytes, number: int, directory: str) -> Outcome:
    """Run ``function(item)``, both packed, in a thread of this worker, and return its timed Outcome;
    `place` is the item's index, `number` the map's, `directory` the pool's."""
    from distributed import get_worker

    loop = (threading.main_thread().native_id or 0,)  # Dask's event loop
    queued = timing.run_queue_seconds(loop)
    name, begin, cpu = str(get_worker().name), time.monotonic(), cpu_seconds()
    note_started_item(directory, name, number, place)
    try:
        with trace.listen() as marks:
            with trace.record("receive", len(item)):
                call, argument = _function(function), unpack(item)
            value = _stoppably(call, argument)
            with trace.record("send"):
                packed = pack(value)
    except (SystemExit, KeyboardInterrupt) as error:  # over which Dask's worker would end itself
        said = f" ({error})" if str(error) else ""
        raise TaskExit(f"The task ended in {type(error).__name__}{said} and returned no value.") from None
    wall, cpu = time.monotonic() - begin, cpu_seconds() - cpu
    waited = timing.waited_seconds(queued, wall, cpu, loop)
    return Outcome(packed, name, TaskRecord(place, 0, begin, wall, cpu, len(packed), waited), marks)


def cpu_seconds() -> float:
    """CPU seconds of this process without its main thread, which is Dask's event loop in a worker."""
    try:
        loop = time.pthread_getcpuclockid(threading.main_thread().ident)  # type: ignore[arg-type]
    except (AttributeError, OSError):  # not on macOS: the event loop's share is counted as well
        return time.process_time()
    return time.process_time() - time.clock_gettime(loop)


class TaskStopped(BaseException):
    """Raised inside a task that `pool.cancel()` ends; not an Exception, so that few tasks swallow it."""


_running: set[int] = set()  # threads of this worker that are inside a learner's function
_lock = threading.Lock()


def _stoppably(call: Callable[[Any], Any], argument: Any) -> Any:
    """Return ``call(argument)``, which `stop` can end."""
    thread = threading.get_ident()
    with _lock:
        _running.add(thread)
    try:
        return call(argument)
    finally:
        with _lock:
            _running.discard(thread)


def stop() -> None:
    """Raise TaskStopped in the tasks that run on this worker; Python notices at its next instruction."""
    with _lock:
        for thread in _running:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(TaskStopped))


def leave() -> None:
    """End this worker at once."""
    os._exit(1)


def busy() -> bool:
    """Whether a task is running on this worker."""
    return bool(_running)


# Which item a worker began last: a note of a few bytes, written in place, that outlives a killed process.
# Dask suspects every task that a lost worker held, and none where the worker closed in order (SIGTERM).
_NOTE = struct.Struct("<qq")  # the map's number, the item's index
_frozen = threading.Event()


@functools.lru_cache(maxsize=4)
def _open(directory: str, worker: str) -> int:
    """Descriptor of this worker's note, opened once for writing; -1 where it cannot be."""
    try:
        path = f"{directory}/{worker}-{os.getpid()}.at"
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:  # a full disk: then a death is blamed on Dask's suspect
        return -1


def freeze_started_item(signal_number: int, handler: Callable[[int, Any], object]) -> None:
    """Have this signal freeze the note, then call `handler`: a worker may begin one more item as it closes.

    To be called on the main thread, where the event loop then hears of the signal before it hands out more.
    """

    def frozen(signum: int, frame: object) -> None:
        _frozen.set()
        handler(signum, frame)

    signal.signal(signal_number, frozen)


def note_started_item(directory: str, worker: str, number: int, place: int) -> None:
    """Write down that this worker begins the item with index `place` of map `number`."""
    with suppress(OSError):
        if not _frozen.is_set():
            os.pwrite(_open(directory, worker), _NOTE.pack(number, place), 0)


def started_item(directory: Path, worker: str, pid: int, number: int) -> int | None:
    """Index of the item of map `number` that this worker's process began last; None if it began none."""
    try:
        of, place = _NOTE.unpack((directory / f"{worker}-{pid}.at").read_bytes())
    except (OSError, struct.error):
        return None
    return place if of == number else None


def scale_trace(workers: Sequence[Worker], begin: float, end: float) -> Trace:
    """The Trace of a scale: each worker's queue wait, its start, and idle time until the last has joined."""
    events = []
    for worker in workers:
        events += _arrival(worker, begin)
        joined = min(max(worker.joined, begin), end)
        events.append(Event(worker.rank, "idle", joined, end - joined))
    return Trace(tuple(events), len(workers), begin, end)


def _arrival(worker: Worker, begin: float) -> list[Event]:
    """Events of a worker's queue wait and start; none if it had joined before `begin`."""
    if worker.joined <= begin:
        return []
    started = min(max(worker.started, worker.submitted), worker.joined)
    return [
        Event(worker.rank, "queue", worker.submitted, started - worker.submitted, label=worker.job_id),
        Event(worker.rank, "start", started, worker.joined - started, label=worker.name),
    ]


def map_trace(
    records: Sequence[TaskRecord], marks: Sequence[Event], workers: Sequence[Worker], ranks: int,
    begin: float, end: float,
) -> Trace:  # fmt: skip
    """The Trace of a map on `ranks` ranks: its tasks, what they marked, and workers that joined meanwhile.

    Between tasks Dask chooses and sends the next one, which shows as unexplained.
    """
    events = [Event(task.rank, "compute", task.start, task.wall, label=str(task.item)) for task in records]
    events += [*marks, *(event for worker in workers for event in _arrival(worker, begin))]
    last = dict.fromkeys(range(ranks), begin)
    for task in records:
        last[task.rank] = max(last.get(task.rank, begin), task.start + task.wall)
    finish = max(last.values(), default=begin)
    for rank, ended in last.items():
        events.append(Event(rank, "idle", ended, max(0.0, finish - ended)))
        # The last values are on their way to the notebook; every rank waits for that.
        events.append(Event(rank, "send" if ended == finish else "idle", finish, max(0.0, end - finish)))
    return Trace(tuple(events), ranks, begin, end)


def concatenate_traces(first: Trace, second: Trace) -> Trace:
    """One Trace: `first` and right after it `second`, on the second's clock; the time between is cut out."""
    shift = second.start - first.end
    moved = [replace(event, start=event.start + shift) for event in first.events]
    ranks = max(first.ranks, second.ranks)
    return Trace((*moved, *second.events), ranks, first.start + shift, second.end)
