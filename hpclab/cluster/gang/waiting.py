"""Who waits for whose message, where a gang got stuck between sends and receives and not in a collective.

Each rank reports how many messages it has begun to send to and to receive from each other one. A rank that
has begun to receive more than its partner has begun to send waits for that partner, and the other way round.
Most of those that are waited for wait themselves; the one that does not is the one to look at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hpclab.cluster.gang.verdict import RankState


def waits(gang: Sequence[RankState]) -> dict[int, dict[int, str]]:
    """For each rank the ranks that it waits for, each with what has not been done: "sent message 4 to".

    A rank that has returned waits for nobody; one whose last act was a collective for no message.
    """
    found: dict[int, dict[int, str]] = {state.rank: {} for state in gang}
    for state in gang:
        if state.value is not None or not state.in_messages:
            continue
        for peer, (sent, received) in state.messages.items():
            their_sent, their_received = gang[peer].messages.get(state.rank, (0, 0))
            if received > their_sent:
                found[state.rank][peer] = f"sent message {received} to"
            elif sent > their_received:
                found[state.rank][peer] = f"received message {sent} from"
    return found


def culprit(gang: Sequence[RankState]) -> tuple[int, int, str] | None:
    """The rank that others wait for and that waits for no message itself, one that waits for it, for what.

    None where no message is waited for, where all wait for each other, and where that rank is in turn kept
    in a collective by a rank that has not begun it.
    """
    on = waits(gang)
    for waiting, awaited in on.items():
        for rank, what in awaited.items():
            free = [state for state in gang if not on[state.rank] and state.rank != rank]
            held_up = any(state.collectives < gang[rank].collectives for state in free)
            if not on[rank] and not held_up:
                return rank, waiting, what
    return None


def circle(gang: Sequence[RankState]) -> list[int]:
    """Ranks of which each waits for a message of the next, and the last for the first; else none."""
    on = waits(gang)
    path = [next((rank for rank in on if on[rank]), -1)]
    while path[-1] >= 0:
        after = next(iter(on[path[-1]]), -1)
        if after in path:
            return path[path.index(after) :]
        path.append(after)
    return []
