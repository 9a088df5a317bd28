"""The warp's own instructions for Numba's CUDA simulator, which has none: shuffles, votes, syncwarp.

Each lane of the simulator is a Python thread; all lanes named in the mask meet at a barrier. Where not all
arrive, which usually hangs on a GPU, it is a RuntimeError after `PATIENCE` seconds.
"""

import threading
from collections.abc import Callable
from typing import Any

from hpclab.models.gpu_memory import WARP

PATIENCE = 20.0  # seconds; a lane of the simulator takes milliseconds to its next meeting

# The lane that a lane reads from, by its number and the last argument; outside the warp it keeps its value.
SHUFFLES: dict[str, Callable[[Any, Any], Any]] = {
    "shfl_sync": lambda lane, source: source % WARP,
    "shfl_up_sync": lambda lane, delta: lane - delta,
    "shfl_down_sync": lambda lane, delta: lane + delta,
    "shfl_xor_sync": lambda lane, bits: lane ^ bits,
}


_making = threading.Lock()


def _exchange(mask: int, value: Any) -> tuple[int, dict[int, Any]]:
    """Wait for all lanes of `mask`, each with a `value`; return this thread's lane and the values by lane."""
    me: Any = threading.current_thread()
    warp, lane = divmod(me.thread_id, WARP)
    block = me._manager._block_dim
    there = min(WARP, block[0] * block[1] * block[2] - warp * WARP)
    lanes = frozenset(number for number in range(there) if int(mask) >> number & 1)
    if lane not in lanes:
        raise ValueError(f"Lane {lane} is not in the mask {int(mask):#010x} of the instruction that it runs.")
    with _making:
        meetings = me._manager.__dict__.setdefault("_meetings", {})
        barrier, brought = meetings.setdefault((warp, lanes), (threading.Barrier(len(lanes)), {}))
    brought[lane] = value
    try:
        barrier.wait(PATIENCE)  # all have brought theirs
        board = dict(brought)
        barrier.wait(PATIENCE)  # all have read it
    except threading.BrokenBarrierError:
        raise RuntimeError(
            f"Lanes {sorted(lanes)} of a warp had to meet here and not all came: on a GPU this hangs. Take "
            "the instruction out of the branch, or name only the lanes that reach it."
        ) from None
    return lane, board


def _shuffle(whom: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """Return a shuffle, in which a lane receives the value of lane ``whom(lane, by)``."""

    def shuffle(module: object, mask: int, value: Any, by: int) -> Any:
        lane, board = _exchange(mask, value)
        source = whom(lane, int(by))
        if not 0 <= source < WARP:
            return value
        if source not in board:
            raise ValueError(f"Lane {lane} asks lane {source}, which takes no part: undefined on a GPU.")
        return board[source]

    return shuffle


def _vote(count: Callable[[dict[int, Any]], int]) -> Callable[..., int]:
    """Return a vote, whose result is ``count`` of the lanes' predicates by lane."""
    return lambda module, mask, predicate: count(_exchange(mask, bool(predicate))[1])


def _syncwarp(module: object, mask: int = 0xFFFFFFFF) -> None:
    _exchange(mask, None)


def add_instructions(module: type) -> None:
    """Add those warp instructions to the simulator's class `module` that it lacks."""
    instructions = {name: _shuffle(whom) for name, whom in SHUFFLES.items()} | {
        "ballot_sync": _vote(lambda board: sum(1 << lane for lane, said in board.items() if said)),
        "all_sync": _vote(lambda board: int(all(board.values()))),
        "any_sync": _vote(lambda board: int(any(board.values()))),
        "syncwarp": _syncwarp,
    }
    for name, instruction in instructions.items():
        if not hasattr(module, name):
            setattr(module, name, instruction)
