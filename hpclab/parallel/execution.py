"""A Schedule executed by the ranks it speaks of, with nothing but sends and receives between two ranks.

def work():
    schedule = schedules.collective("all_reduce", "ring", dist.get_world_size(), 1000)
    buffer = torch.ones(1000)                     # schedules.place() makes it for other collectives
    collectives.execute(schedule, buffer)         # in place, on every rank
    return schedules.result(schedule, dist.get_rank(), buffer)

pool.run(work)
"""

from itertools import accumulate
from typing import Any

import numpy

from hpclab import trace
from hpclab.parallel.rank_plan import Piece, RankStep, plan
from hpclab.parallel.transports import MpiTransport, TorchTransport
from hpclab.schedules import Schedule


class Execution:
    """One rank's part in `schedule`, ready to be called again and again with a work buffer.

    Keeps its plan between calls. ValueError where the schedule is for another number of ranks than the
    transport has.
    """

    def __init__(self, schedule: Schedule, transport: TorchTransport | MpiTransport):
        if transport.size != schedule.ranks:
            raise ValueError(
                f"This schedule is for {schedule.ranks} ranks, and {transport.size} are here: make another."
            )
        self.schedule, self.transport = schedule, transport
        self.steps = plan(schedule, transport.rank)

    def __call__(self, buffer: Any) -> None:
        """Execute on `buffer`, 1-D of `schedule.buffer` elements, a tensor or an array, in place."""
        if len(buffer.shape) != 1 or buffer.shape[0] != self.schedule.buffer:
            raise ValueError(
                f"The work buffer must have {self.schedule.buffer} elements, not the shape "
                f"{tuple(buffer.shape)}; schedules.place() makes one."
            )
        for step in self.steps:
            self._do(step, buffer)

    def _do(self, step: RankStep, buffer: Any) -> None:
        """All that is sent or copied is read before anything that arrives is written."""
        sends, receives, writes = [], [], []
        for read, written in step.copies:
            parcel, _ = _room(buffer, [read])
            parcel[:] = buffer[read.where]
            writes.append((written, parcel))
        for peer, pieces in step.sends.items():
            parcel = buffer[pieces[0].where]
            if len(pieces) > 1:
                parcel, parts = _room(buffer, pieces)
                for piece, part in parts:
                    part[:] = buffer[piece.where]
            sends.append((peer, parcel))
        for peer, pieces in step.receives.items():
            parcel = buffer[pieces[0].where]
            if peer not in step.direct:
                parcel, parts = _room(buffer, pieces)
                writes += parts
            receives.append((peer, parcel))
        try:
            with trace.record("receive", sum(part.nbytes for _, part in receives), f"step {step.number}"):
                self.transport.exchange(sends, receives)
        except RuntimeError as error:
            schedule, peers = self.schedule, ", ".join(map(str, sorted({*step.sends, *step.receives})))
            raise RuntimeError(
                f"{schedule.algorithm} {schedule.collective}, rank {self.transport.rank} in step "
                f"{step.number} of {schedule.steps}, with rank {peers}: {error}"
            ) from error
        with trace.record("reduce", label=f"step {step.number}"):
            for piece, part in writes:
                if piece.reduce:
                    target = buffer[piece.where]
                    target += part
                else:
                    buffer[piece.where] = part


def execute(schedule: Schedule, buffer: Any, transport: TorchTransport | MpiTransport | None = None) -> None:
    """This rank's part of `schedule` on its work buffer, in place; every rank of the group calls it.

    `buffer` is 1-D with `schedule.buffer` elements: a tensor for torch.distributed, the default, or an array
    for an MpiTransport. Messages of one step are posted together, receives first. RuntimeError, which names
    step and partners, where a message does not come before the group's time limit.
    """
    Execution(schedule, TorchTransport() if transport is None else transport)(buffer)


def _room(buffer: Any, pieces: list[Piece]) -> tuple[Any, list[tuple[Piece, Any]]]:
    """Memory like `buffer`'s for a message, and the part of it for each of its pieces."""
    ends = [*accumulate(piece.size for piece in pieces)]
    tensor = hasattr(buffer, "new_empty")
    room = buffer.new_empty(ends[-1]) if tensor else numpy.empty(ends[-1], buffer.dtype)
    return room, [(piece, room[end - piece.size : end]) for piece, end in zip(pieces, ends, strict=True)]
