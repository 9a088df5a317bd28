"""One rank of a gang: a process that waits, runs one function on its main thread, and is thrown away.

It was forked from the agent, which has torch loaded, so it starts in milliseconds; and because every run has
a new one, no process group, random seed, monkeypatch or device memory of an earlier run is left in it.
"""

from __future__ import annotations

import datetime
import os
import random
import re
import socket
import sys
import threading
import time
import traceback
from typing import Any

from hpclab import trace
from hpclab.cluster.gang import frames
from hpclab.cluster.maps import tasks

HEARTBEAT = 0.1  # seconds
_NETWORK = re.compile(r"[Tt]im(ed|e) ?out|[Cc]onnection|peer|[Ss]ocket|gloo|NCCL", re.ASCII)


class Heart(threading.Thread):
    """Tells the agent how many collectives of the default group this rank has begun, when that changes.

    Collectives are what every rank of a group must take part in, in the same order; so a rank whose number
    is behind is the one the others wait for. Sends and receives count into the same sequence in torch but
    concern two ranks only, so they are taken out again and told by partner: `messages` holds how many were
    begun to and from each, `last_message` the number of collectives when the last of them was.
    """

    def __init__(self, control: int, lock: threading.Lock):
        super().__init__(daemon=True, name="hpclab-heart")
        self.control, self.lock, self.pairwise = control, lock, 0
        self.said = -1
        self.told: object = ([], False)
        self.messages: dict[int, tuple[int, int]] = {}
        self.last_message = -1

    def count_pairwise(self) -> None:
        """Count the sends and receives on the default group from now on."""
        import torch.distributed as dist

        default = dist.group.WORLD
        for name in ("send", "recv", "recv_anysource"):
            original = getattr(dist.ProcessGroup, name)

            def counted(
                group: Any,
                tensors: Any,
                *args: Any,
                _name: str = name,
                _original: Any = original,
                **more: Any,
            ) -> Any:
                if group is default:
                    self.last_message = self.collectives()
                    self.pairwise += 1
                    if args and _name != "recv_anysource":
                        sent, received = self.messages.get(args[0], (0, 0))
                        add = (1, 0) if _name == "send" else (0, 1)
                        self.messages[args[0]] = (sent + add[0], received + add[1])
                return _original(group, tensors, *args, **more)

            setattr(dist.ProcessGroup, name, counted)

    def collectives(self) -> int:
        """How many collectives of the default group this rank has begun."""
        import torch.distributed as dist

        try:
            sequence = dist.group.WORLD._get_sequence_number_for_group()  # type: ignore[union-attr]
        except (AttributeError, RuntimeError):
            return self.said
        return int(sequence) - self.pairwise

    def beat(self) -> None:
        """Say the numbers if they are new."""
        number = self.collectives()
        messages = (
            [(peer, *counts) for peer, counts in list(self.messages.items())],
            number == self.last_message,
        )
        if number != self.said:
            self.said = number
            with self.lock:
                frames.write(self.control, ("collectives", number))
        if messages != self.told:
            self.told = messages
            with self.lock:
                frames.write(self.control, ("messages", *messages))

    def run(self) -> None:
        while True:
            time.sleep(HEARTBEAT)
            try:
                self.beat()
            except OSError:
                return


def serve(control: int, listener: socket.socket) -> None:
    """Wait for one function, run it, report, wait to be ended; the process never returns from here."""
    try:
        spec, payload = frames.read(control)
    except EOFError:
        os._exit(0)
    lock = threading.Lock()
    heart = Heart(control, lock)
    try:
        message = ("value", _run(spec, payload, listener, heart))
    except BaseException as error:
        message = ("error", _report(error))
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    try:
        heart.beat()
        with lock:
            frames.write(control, message)
        # The others may still need this one (rank 0 holds the store); the agent ends it when all are done.
        frames.read(control)
    except (EOFError, OSError):
        pass
    os._exit(0)


def _run(spec: dict[str, Any], payload: bytes, listener: socket.socket, heart: Heart) -> dict[str, Any]:
    import torch

    os.environ.update(spec["environment"])
    torch.set_num_threads(spec["threads"])
    seed = int.from_bytes(os.urandom(8), "big") >> 1  # forked twins would otherwise draw the same numbers
    random.seed(seed)
    torch.manual_seed(seed)
    _join(spec, listener)
    heart.count_pairwise()
    heart.start()
    function, args = tasks.unpack(payload)
    begin, cpu = time.monotonic(), time.process_time()
    with trace.listen() as marks:
        value = function(*args)
    wall, cpu = time.monotonic() - begin, time.process_time() - cpu
    try:
        packed = tasks.pack(value)
    except Exception as error:
        raise TypeError(
            f"the function returned a {type(value).__name__}, which cannot be sent back: {error}"
        ) from error
    return {"value": packed, "start": begin, "wall": wall, "cpu": cpu, "marks": marks}


def _join(spec: dict[str, Any], listener: socket.socket) -> None:
    """torch.distributed's default group over a store that rank 0 holds on the socket opened beforehand."""
    import torch.distributed as dist

    rank, size = spec["rank"], spec["size"]
    timeout = datetime.timedelta(seconds=spec["timeout"])
    own: dict[str, Any] = {"master_listen_fd": listener.detach()} if rank == 0 else {}
    if rank != 0:
        listener.close()
    store = dist.TCPStore(
        spec["host"], spec["port"], size, rank == 0, timeout=timeout, wait_for_workers=False, **own
    )
    backend, device = _backend(spec, store)
    dist.init_process_group(
        backend, store=store, rank=rank, world_size=size, timeout=timeout, device_id=device
    )


def _backend(spec: dict[str, Any], store: Any) -> tuple[str, Any]:
    """gloo; NCCL as well where every rank has a GPU to itself, which all ranks must agree on."""
    import torch

    if not torch.backends.cuda.is_built():
        return "gloo", None
    own = torch.cuda.device_count() >= spec["local_size"]
    store.set(f"gpu/{spec['rank']}", str(int(own)))
    if all(store.get(f"gpu/{rank}") == b"1" for rank in range(spec["size"])):
        device = torch.device("cuda", spec["local_rank"])
        torch.cuda.set_device(device)
        return "cpu:gloo,cuda:nccl", device
    return "gloo", None


def _report(error: BaseException) -> dict[str, Any]:
    """What the notebook needs to know of an exception; the exception itself if it can be packed."""
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
