"""What carries a message from rank to rank: torch.distributed or MPI, behind one method.

A transport knows its `rank`, how many ranks there are (`size`), and counts in `sent` the bytes that it was
given to send. `exchange(sends, receives)` posts all receives, then all sends, and returns when all are done:
at most one message each way between two ranks in one call; those between two ranks arrive in the order they
were sent. RuntimeError where a message does not come in time.
"""

import os
import time
from collections.abc import Sequence
from typing import Any

_LIMIT = 60.0  # seconds, as of a group of torch.distributed in a pool
Parcels = Sequence[tuple[int, Any]]
"""The other rank, and a contiguous 1-D part of a buffer."""


class TorchTransport:
    """Point-to-point messages of `group` (the default group where it is None).

    gloo for tensors in memory, NCCL for tensors on GPUs, as the group was made; its timeout holds.
    """

    def __init__(self, group: Any = None):
        import torch.distributed as dist

        if not dist.is_available() or not dist.is_initialized():
            raise RuntimeError("There is no process group here: run this on ranks, with pool.run(function).")
        self.group, self.sent = group, 0
        self.rank, self.size = dist.get_rank(group), dist.get_world_size(group)

    def exchange(self, sends: Parcels, receives: Parcels) -> None:
        """All at once; on GPUs NCCL makes one kernel of them, and a wait is a wait of the stream."""
        import torch.distributed as dist

        self.sent += sum(part.nbytes for _, part in sends)
        operations = [
            dist.P2POp(operation, part, group=self.group, group_peer=peer)
            for operation, parcels in ((dist.irecv, receives), (dist.isend, sends))
            for peer, part in parcels
        ]
        if operations:
            for work in dist.batch_isend_irecv(operations):
                work.wait()


class MpiTransport:
    """Messages of an mpi4py communicator; buffers are NumPy arrays.

    MPI itself waits for ever; here a message that takes longer than a minute is a RuntimeError. Start your
    program with ``mpiexec -n 4 python -m mpi4py program.py``: mpi4py then ends all ranks when one fails.
    """

    def __init__(self, communicator: Any = None):
        from mpi4py import MPI

        self.communicator, self.sent = communicator or MPI.COMM_WORLD, 0
        self.rank, self.size = self.communicator.Get_rank(), self.communicator.Get_size()
        self._all_done = MPI.Request.Testall

    def exchange(self, sends: Parcels, receives: Parcels) -> None:
        """Polls, and lets go of the core between two looks: there may be more ranks than cores."""
        self.sent += sum(part.nbytes for _, part in sends)
        pending = [self.communicator.Irecv(part, peer) for peer, part in receives]
        pending += [self.communicator.Isend(part, peer) for peer, part in sends]
        deadline = time.monotonic() + _LIMIT
        while not self._all_done(pending):
            if time.monotonic() > deadline:
                raise RuntimeError(f"Timed out after {_LIMIT:g} s.")
            os.sched_yield()
