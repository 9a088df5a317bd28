"""One rank of a gang: a process forked from the agent, which has torch loaded; it runs one function and ends.

So no process group, random seed, monkeypatch or device memory of an earlier run is left in it.
"""

import datetime
import os
import random
import re
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

from hpclab import trace
from hpclab.cluster.gang import frames
from hpclab.cluster.maps import tasks

REPORT_EVERY = 0.1  # seconds
COMPILER = "torch._dynamo"  # which torch's optimizers load the first time that one is made: over a second
_NETWORK = re.compile(r"[Tt]im(ed|e) ?out|[Cc]onnection|peer|[Ss]ocket|gloo|NCCL", re.ASCII)


class ProgressReporter(threading.Thread):
    """Reports to the agent what this rank has begun on the default group, when that changes. Torch counts
    sends and receives into the same sequence as collectives; they are taken out again.

    `messages`: how many were begun to and from each partner; `last_message`: the number of collectives at
    the last of them; `awaits`: the partner of the one waited for right now, or -1.
    """

    def __init__(self, control: int):
        super().__init__(daemon=True, name="hpclab-reporter")
        self.control, self.lock = control, threading.Lock()
        self.told: tuple[int, list[tuple[int, int, int]], bool, int] = (-1, [], False, -1)
        self.messages: dict[int, tuple[int, int]] = {}
        self.under_way: WeakKeyDictionary[Any, int] = WeakKeyDictionary()  # the partner of each message
        self.pairwise, self.last_message, self.awaits = 0, -1, -1

    def count_pairwise(self) -> None:
        """Count the sends and receives on the default group from now on, by replacing methods of torch's."""
        import torch.distributed as dist

        for name in ("send", "recv", "recv_anysource"):
            setattr(dist.ProcessGroup, name, self._counted(name, getattr(dist.ProcessGroup, name)))
        wait = dist.Work.wait

        def waited(work: Any, *args: Any, **more: Any) -> Any:
            self.awaits = self.under_way.pop(work, -1)
            try:
                return wait(work, *args, **more)
            finally:
                self.awaits = -1

        setattr(dist.Work, "wait", waited)  # noqa: B010 - as above

    def _counted(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap the method `name` of ProcessGroup, `original`, so that its messages are counted."""
        import torch.distributed as dist

        default = dist.group.WORLD

        def counted(group: Any, tensors: Any, *args: Any, **more: Any) -> Any:
            if group is default:
                self.last_message = self.collectives()
                self.pairwise += 1
                if args and name != "recv_anysource":
                    sent, received = self.messages.get(args[0], (0, 0))
                    self.messages[args[0]] = (sent + (name == "send"), received + (name == "recv"))
                    work = original(group, tensors, *args, **more)
                    if work is not None:  # a backend may have none for a message of a batch
                        self.under_way[work] = args[0]
                    return work
            return original(group, tensors, *args, **more)

        return counted

    def collectives(self) -> int:
        """How many collectives of the default group this rank has begun."""
        import torch.distributed as dist

        try:
            sequence = dist.group.WORLD._get_sequence_number_for_group()  # type: ignore[union-attr]
        except (AttributeError, RuntimeError):
            return self.told[0]
        return int(sequence) - self.pairwise

    def say(self, *message: Any) -> None:
        """Send the agent a message."""
        with self.lock:
            frames.write(self.control, message)

    def report(self) -> None:
        """Send the agent what this rank has begun, if that has changed."""
        number = self.collectives()
        messages = [(peer, *counts) for peer, counts in list(self.messages.items())]
        now = number, messages, number == self.last_message, self.awaits
        if now != self.told:
            self.told = now
            self.say("begun", *now)

    def run(self) -> None:
        with suppress(OSError):
            while True:
                time.sleep(REPORT_EVERY)
                self.report()


def serve(control: int, listener: socket.socket) -> None:
    """Wait for one function, run it, send its value or error, wait to be ended; never returns."""
    orders = frames.read(control)
    if (order := next(orders, None)) is not None:
        reporter = ProgressReporter(control)
        try:
            message = ("value", _run(listener, reporter, *order))
        except BaseException as error:
            message = ("error", _describe_error(error))
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        with suppress(OSError):
            reporter.report()
            reporter.say(*message)
            # The others may still need this one (rank 0 holds the store); the agent ends it in the end.
            next(orders, None)
    os._exit(0)


def _run(
    listener: socket.socket,
    reporter: ProgressReporter,
    environment: dict[str, str],
    timeout: float,
    payload: bytes,
) -> dict[str, Any]:
    """Run the packed function and arguments with the default group initialised; return value and times."""
    import torch

    os.environ.update(environment)
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    seed = int.from_bytes(os.urandom(8), "big") >> 1  # forked twins would otherwise draw the same numbers
    random.seed(seed)
    torch.manual_seed(seed)
    _init_process_group(datetime.timedelta(seconds=timeout), listener)
    reporter.count_pairwise()
    reporter.start()
    function, args = tasks.unpack(payload)
    begin = time.monotonic()
    with trace.listen() as marks:
        value = function(*args)
    wall = time.monotonic() - begin
    try:
        packed = tasks.pack(value)
    except Exception as error:
        raise TypeError(
            f"the function returned a {type(value).__name__}, which cannot be sent back: {error}"
        ) from error
    compiler = COMPILER in sys.modules
    return {"value": packed, "start": begin, "wall": wall, "marks": marks, "compiler": compiler}


def _init_process_group(timeout: datetime.timedelta, listener: socket.socket) -> None:
    """Initialise torch.distributed's default group; rank 0 serves its store on `listener`, open already."""
    import torch.distributed as dist

    rank, size, host = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), os.environ["MASTER_ADDR"]
    own: dict[str, Any] = {"master_listen_fd": listener.detach()} if rank == 0 else {}
    if rank != 0:
        listener.close()
    port = int(os.environ["MASTER_PORT"])
    store = dist.TCPStore(host, port, size, rank == 0, timeout=timeout, wait_for_workers=False, **own)
    backend, device = _backend(rank, size, store)
    dist.init_process_group(
        backend, store=store, rank=rank, world_size=size, timeout=timeout, device_id=device
    )


def _backend(rank: int, size: int, store: Any) -> tuple[str, Any]:
    """The group's backend and device: gloo, and NCCL too if every rank tells `store` that it has a GPU."""
    import torch

    if not torch.backends.cuda.is_built():
        return "gloo", None
    own = torch.cuda.device_count() >= int(os.environ["LOCAL_WORLD_SIZE"])
    store.set(f"gpu/{rank}", str(int(own)))
    if all(store.get(f"gpu/{other}") == b"1" for other in range(size)):
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
        return "cpu:gloo,cuda:nccl", device
    return "gloo", None


def _describe_error(error: BaseException) -> dict[str, Any]:
    """An exception as a dictionary for the notebook, with the exception itself packed if it can be."""
    network = isinstance(error, RuntimeError) and bool(_NETWORK.search(str(error)))
    lines = traceback.format_exception(error)
    try:
        packed = tasks.pack(error.with_traceback(None))
    except Exception:
        packed = b""
    return {
        "type": type(error).__name__, "message": str(error)[:2000], "network": network,
        "traceback": "".join(lines)[-8000:], "exception": packed,
    }  # fmt: skip
