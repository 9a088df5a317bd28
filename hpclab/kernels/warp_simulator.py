"""The warp's own instructions for Numba's CUDA simulator, which has none: shuffles, votes, syncwarp.

A kernel that uses them then runs unchanged where there is no GPU. Each lane of the simulator is a Python
thread; all lanes named in the mask meet at a barrier, and each leaves with what it wanted of the others.

What to notice: on a GPU a shuffle whose lanes do not all arrive is undefined, and usually hangs. Here it ends
with a sentence after `PATIENCE` seconds.
"""

from __future__ import annotations

import threading
from typing import Any

from hpclab.models.gpu_memory import WARP

PATIENCE = 20.0  # seconds; a lane of the simulator takes milliseconds to its next meeting


class _Meeting:
    """Where the lanes of one mask meet, again and again: one barrier, and two boards in turn, so that a lane
    that is ahead cannot wipe what a lane behind has yet to read."""

    def __init__(self, lanes: frozenset[int]) -> None:
        self.lanes = lanes
        self.barrier = threading.Barrier(len(lanes))
        self.boards: tuple[dict[int, Any], dict[int, Any]] = ({}, {})
        self.turns = dict.fromkeys(lanes, 0)

    def exchange(self, lane: int, value: Any) -> dict[int, Any]:
        board = self.boards[self.turns[lane] % 2]
        self.turns[lane] += 1
        board[lane] = value
        try:
            self.barrier.wait(PATIENCE)
        except threading.BrokenBarrierError:
            raise RuntimeError(
                f"Lanes {sorted(self.lanes)} of a warp had to meet here and not all came: on a GPU this "
                "hangs. Take the instruction out of the branch, or name only the lanes that reach it."
            ) from None
        return board


_making = threading.Lock()


def _exchange(mask: int, value: Any) -> tuple[int, dict[int, Any]]:
    """This thread's lane, and what each lane of `mask` brought."""
    me: Any = threading.current_thread()
    warp, lane = divmod(me.thread_id, WARP)
    block = me._manager._block_dim
    there = min(WARP, block[0] * block[1] * block[2] - warp * WARP)
    lanes = frozenset(number for number in range(there) if int(mask) >> number & 1)
    if lane not in lanes:
        raise ValueError(f"Lane {lane} is not in the mask {int(mask):#010x} of the instruction that it runs.")
    with _making:
        meetings = me._manager.__dict__.setdefault("_meetings", {})
        meeting = meetings.setdefault((warp, lanes), _Meeting(lanes))
    return lane, meeting.exchange(lane, value)


def _of(board: dict[int, Any], lane: int, source: int) -> Any:
    if source not in board:
        raise ValueError(f"Lane {lane} asks lane {source}, which takes no part: undefined on a GPU.")
    return board[source]


def shfl_sync(module: object, mask: int, value: Any, source: int) -> Any:
    """What lane `source` brought."""
    lane, board = _exchange(mask, value)
    return _of(board, lane, int(source) % WARP)


def shfl_down_sync(module: object, mask: int, value: Any, delta: int) -> Any:
    """What the lane `delta` above brought; the last lanes keep their own."""
    lane, board = _exchange(mask, value)
    return value if lane + delta >= WARP else _of(board, lane, lane + int(delta))


def shfl_up_sync(module: object, mask: int, value: Any, delta: int) -> Any:
    """What the lane `delta` below brought; the first lanes keep their own."""
    lane, board = _exchange(mask, value)
    return value if lane < delta else _of(board, lane, lane - int(delta))


def shfl_xor_sync(module: object, mask: int, value: Any, lane_mask: int) -> Any:
    """What the lane whose number differs in the bits of `lane_mask` brought."""
    lane, board = _exchange(mask, value)
    return _of(board, lane, lane ^ int(lane_mask))


def ballot_sync(module: object, mask: int, predicate: Any) -> int:
    """A bit for each lane of `mask` that brought something true."""
    _, board = _exchange(mask, bool(predicate))
    return sum(1 << lane for lane, said in board.items() if said)


def all_sync(module: object, mask: int, predicate: Any) -> int:
    return int(all(_exchange(mask, bool(predicate))[1].values()))


def any_sync(module: object, mask: int, predicate: Any) -> int:
    return int(any(_exchange(mask, bool(predicate))[1].values()))


def syncwarp(module: object, mask: int = 0xFFFFFFFF) -> None:
    _exchange(mask, None)


INSTRUCTIONS = (
    shfl_sync, shfl_down_sync, shfl_up_sync, shfl_xor_sync, ballot_sync, all_sync, any_sync, syncwarp,
)  # fmt: skip


def lend(module: type) -> None:
    """Give the simulator's module class each instruction that it has not."""
    for instruction in INSTRUCTIONS:
        if not hasattr(module, instruction.__name__):
            setattr(module, instruction.__name__, instruction)
