"""A Schedule executed by the ranks it speaks of, with nothing but sends and receives between two ranks.

    run = Execution(schedule, TorchTransport())       # on every rank, in pool.run; else MpiTransport()
    buffer = schedules.place(schedule, rank, values)
    run(torch.from_numpy(buffer))                     # in place, as often as one likes
    schedules.result(schedule, rank, buffer)

Messages of one step are posted together, receives first.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy

from hpclab import trace
from hpclab.schedules import Schedule

_LIMIT = 60.0  # seconds, as of a group of torch.distributed in a pool
Parcels = dict[int, Any]
"""Contiguous 1-D tensors or arrays, by the other rank."""
Pieces = list[tuple[slice, bool]]
"""Stretches of the work buffer, each with whether what arrives is added there (else it overwrites)."""


class TorchTransport:
    """Messages of `group` (None: the default group); `sent` counts the bytes that it was given to send.

    gloo for tensors in memory, NCCL for tensors on GPUs, as the group was made; its timeout holds.
    """

    def __init__(self, group: Any = None):
        import torch.distributed as dist

        if not dist.is_initialized():
            raise RuntimeError("There is no process group here: run this on ranks, with pool.run(function).")
        self.group, self.sent = group, 0
        self.rank, self.size = dist.get_rank(group), dist.get_world_size(group)

    def exchange(self, sends: Parcels, receives: Parcels) -> None:
        """Post all receives, then all sends, and return when all are done; RuntimeError if not in time."""
        import torch.distributed as dist

        self.sent += sum(part.nbytes for part in sends.values())
        operations = [
            dist.P2POp(operation, part, group=self.group, group_peer=peer)
            for operation, parcels in ((dist.irecv, receives), (dist.isend, sends))
            for peer, part in parcels.items()
        ]
        if operations:
            for work in dist.batch_isend_irecv(operations):  # on GPUs NCCL makes one kernel of them
                work.wait()


class MpiTransport:
    """Messages over an mpi4py communicator, of NumPy arrays.

    MPI itself waits for ever; here a message that takes longer than a minute is a RuntimeError. Start your
    program with ``mpiexec -n 4 python -m mpi4py program.py``: mpi4py then ends all ranks when one fails.
    """

    def __init__(self, communicator: Any = None):
        from mpi4py import MPI

        self.communicator, self.sent = communicator or MPI.COMM_WORLD, 0
        self.rank, self.size = self.communicator.rank, self.communicator.size
        self._all_done = MPI.Request.Testall

    def exchange(self, sends: Parcels, receives: Parcels) -> None:
        """As TorchTransport's; it polls, and yields the core between: there may be more ranks than cores."""
        self.sent += sum(part.nbytes for part in sends.values())
        pending = [self.communicator.Irecv(part, peer) for peer, part in receives.items()]
        pending += [self.communicator.Isend(part, peer) for peer, part in sends.items()]
        deadline = time.monotonic() + _LIMIT
        while not self._all_done(pending):
            if time.monotonic() > deadline:
                raise RuntimeError(f"Timed out after {_LIMIT:g} s.")
            os.sched_yield()


@dataclass
class Step:
    """What one rank does in a step: a message for each other rank in `sends` and `receives`; under its own
    number what it copies inside its buffer.

    `direct` are the senders whose message may be received straight into the buffer: it is one piece, it
    overwrites, and nothing in its place is read in this step.
    """

    number: int
    sends: dict[int, Pieces] = field(default_factory=dict)
    receives: dict[int, Pieces] = field(default_factory=dict)
    direct: set[int] = field(default_factory=set)


def plan(schedule: Schedule, rank: int) -> list[Step]:
    """The steps in which `rank` has something to do."""
    messages = schedule.messages
    mine = messages[(messages["source"] == rank) | (messages["target"] == rank)]
    steps: dict[int, Step] = {}
    for number, source, target, read, write, size, reduce in mine.tolist():
        step = steps.setdefault(number, Step(number))
        if source == rank:
            step.sends.setdefault(target, []).append((slice(read, read + size), False))
        if target == rank:
            step.receives.setdefault(source, []).append((slice(write, write + size), reduce))
    for step in steps.values():
        sent = [where for pieces in step.sends.values() for where, _ in pieces]
        for peer, [(here, reduce), *more] in step.receives.items():
            apart = all(where.stop <= here.start or here.stop <= where.start for where in sent)
            if apart and not reduce and not more and peer != rank:
                step.direct.add(peer)
    return list(steps.values())


class Execution:
    """This rank's part in `schedule`, for as many ranks as the transport has, to be called with a work
    buffer, 1-D of `schedule.buffer` elements: a tensor for a TorchTransport, an array for an MpiTransport.
    RuntimeError, which names step and partners, where a message does not come in time."""

    def __init__(self, schedule: Schedule, transport: TorchTransport | MpiTransport):
        if transport.size != schedule.ranks:
            here = f"{transport.size} are here: make another"
            raise ValueError(f"This schedule is for {schedule.ranks} ranks, and {here}.")
        self.schedule, self.transport = schedule, transport
        self.steps = plan(schedule, transport.rank)

    def __call__(self, buffer: Any) -> None:
        if tuple(buffer.shape) != (self.schedule.buffer,):
            raise ValueError(
                f"The work buffer must have {self.schedule.buffer} elements, not the shape "
                f"{tuple(buffer.shape)}; schedules.place() makes one."
            )
        for step in self.steps:
            self._do(step, buffer)

    def _do(self, step: Step, buffer: Any) -> None:
        """Execute `step`: all that is sent or copied is read before anything that arrives is written."""
        schedule, rank, sends, receives = self.schedule, self.transport.rank, Parcels(), Parcels()
        for peer, pieces in step.sends.items():
            sends[peer] = buffer[pieces[0][0]]
            if len(pieces) > 1 or peer == rank:
                sends[peer] = _room(buffer, pieces)
                for where, _, part in _parts(sends[peer], pieces):
                    part[:] = buffer[where]
        own = sends.pop(rank, None)
        for peer, pieces in step.receives.items():
            if peer != rank:
                receives[peer] = buffer[pieces[0][0]] if peer in step.direct else _room(buffer, pieces)
        try:
            arriving = sum(part.nbytes for part in receives.values())
            with trace.record("receive", arriving, f"step {step.number}"):
                self.transport.exchange(sends, receives)
        except RuntimeError as error:
            raise RuntimeError(
                f"{schedule.algorithm} {schedule.collective}, rank {rank} in step {step.number} of "
                f"{schedule.steps}, with rank {', '.join(map(str, sorted({*sends, *receives})))}: {error}"
            ) from error
        with trace.record("reduce", label=f"step {step.number}"):
            for peer, pieces in step.receives.items():
                if peer not in step.direct:
                    for where, reduce, part in _parts(own if peer == rank else receives[peer], pieces):
                        target = buffer[where]
                        if reduce:
                            target += part
                        else:
                            target[:] = part


def _room(buffer: Any, pieces: Pieces) -> Any:
    """An uninitialised tensor or array, as `buffer` is one, that holds all `pieces`."""
    size = sum(where.stop - where.start for where, _ in pieces)
    return buffer.new_empty(size) if hasattr(buffer, "new_empty") else numpy.empty(size, buffer.dtype)


def _parts(parcel: Any, pieces: Pieces) -> Iterator[tuple[slice, bool, Any]]:
    """Yield each piece (its slice, whether it is added) with its part of the message `parcel`."""
    end = 0
    for where, reduce in pieces:
        begin, end = end, end + where.stop - where.start
        yield where, reduce, parcel[begin:end]
