"""Finds the rank that is to blame for a gang's failure, from what each is known to have done.

In this order: a process that is gone; one that is stopped; one that raised an exception of its own (one that
only says that the network failed echoes another rank's end); one whose message others wait for; one that has
not begun a collective the others wait in.
"""

import math
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from hpclab.cluster.errors import RankError
from hpclab.cluster.maps import tasks


@dataclass
class RankState:
    """What is known of one rank: how many `collectives` it has begun on the default group, and `messages` to
    and from each other rank; whether a message came last (`in_messages`); whose message it `awaits` (-1:
    nobody's); when any of that `changed`; since when it is `stopped`."""

    rank: int
    collectives: int = -1
    messages: dict[int, tuple[int, int]] = field(default_factory=dict)
    in_messages: bool = False
    awaits: int = -1
    changed: float = field(default_factory=time.monotonic)
    stopped: float | None = None
    suspended: set[str] = field(default_factory=set)  # of its process, its agent, its worker
    value: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    ended: str | None = None

    def note(self, word: str, rest: Sequence[Any]) -> None:
        """Update this state by a message of kind `word` from rank or agent; print what the rank printed."""
        if word == "print":
            print(*(f"[rank {self.rank}] {line}" for line in rest[0].splitlines()), sep="\n")
        elif word == "begun":
            self.collectives, messages, self.in_messages, self.awaits = rest
            self.messages = {peer: (sent, received) for peer, sent, received in messages}
            self.changed = time.monotonic()
        elif word == "stopped":
            for what in ("agent", "process"):
                self.suspend(what, what in rest[0])
        elif word in ("value", "error"):
            setattr(self, word, rest[0])
        elif word == "exit" and self.value is None and self.error is None:
            self.ended = _status(rest[0])
        elif word == "agent ended" and self.value is None:
            self.ended = "its agent ended, and the rank with it"

    def suspend(self, what: str, is_stopped: bool) -> None:
        """Record whether this rank's "process", "agent" or "worker" (`what`) is suspended, and since when."""
        (self.suspended.add if is_stopped else self.suspended.discard)(what)
        self.stopped = (self.stopped or time.monotonic()) if self.suspended else None


def has_failed(state: RankState, timeout: float) -> bool:
    """Whether this rank keeps the gang from going on: it ended, raised, or was suspended for `timeout` s."""
    stopped = state.stopped is not None and time.monotonic() > state.stopped + timeout
    return stopped or state.error is not None or state.ended is not None


def diagnose(gang: Sequence[RankState], timeout: float) -> RankError:
    """The error to raise once the gang has failed, with the guilty rank; `timeout` s is a collective's."""
    counts = ", ".join(f"rank {state.rank}: {max(0, state.collectives)}" for state in gang)
    progress, limit = f" Collectives begun by then: {counts}.", f"until the time limit of {timeout:g} s"
    for state in gang:
        if state.ended is not None:
            said = f"Rank {state.rank} is gone: {state.ended}. The other ranks were ended.{progress}"
            return RankError(said, state.rank)
    for state in gang:
        if state.stopped is not None:
            what = " and ".join(sorted(state.suspended))
            return RankError(
                f"Rank {state.rank} was stopped (its {what} is suspended, as by SIGSTOP) and did not go on "
                f"within {timeout:g} s. All ranks were ended.{progress}",
                state.rank,
            )
    errors = [(state.rank, state.error) for state in gang if state.error is not None]
    for rank, error in errors:
        if not error["network"]:
            return _raised(rank, error, "")
    found = _late(gang)
    if (not found or found[2] is None) and (ranks := wait_cycle(awaited_messages(gang))):
        shown = " for ".join(f"rank {rank}" for rank in [*ranks, ranks[0]])
        return RankError(
            f"The ranks wait for each other's messages in a circle ({shown}) and did so {limit}: let "
            "receives begin before sends are waited for. All ranks were ended.",
            ranks[0],
        )
    if not found:
        return _raised(*errors[0], progress)
    state, _, waiting, what = found
    did = f"has not {'begun ' * (waiting is None)}{what}"
    if state.value is not None:
        did = f"returned without {'joining' if waiting is None else 'having'} {what}"
    others = "the others waited for" if waiting is None else "waited for it"
    more = progress if waiting is None else ""
    return RankError(
        f"Rank {state.rank} {did}, which {others} {limit}. All ranks were ended.{more}", state.rank
    )


def stall_reports(gang: Sequence[RankState], timeout: float) -> Iterator[tuple[int, str]]:
    """Yield what has held the gang up for a quarter of `timeout`, at most 5 s: a slow rank with a sentence,
    or -1 with a sentence on ranks that wait in vain, for one that has returned or in a circle."""
    patience = min(5.0, timeout / 4)
    if (found := _late(gang)) and (waited := time.monotonic() - found[1]) > patience:
        state, _, waiting, what = found
        if state.value is not None:
            did = "joining" if waiting is None else "having"
            told = f"Rank {state.rank} has returned without {did} {what}"
            yield -1, f"{told}, for which others have waited {waited:.1f} s."
        elif state.stopped is None:
            who = "the others have" if waiting is None else f"rank {waiting} has"
            where = f"it in {what}" if waiting is None else "a message of it"
            told = f"Rank {state.rank} is slow: {who} waited {waited:.1f} s for {where}."
            yield state.rank, f"{told} It is alive, so nothing is ended before the limit of {timeout:g} s."
    on = awaited_messages(gang)
    now = {state.rank: {p: what for p, what in on[state.rank].items() if p == state.awaits} for state in gang}
    ranks = wait_cycle(now)
    waited = time.monotonic() - max((gang[rank].changed for rank in ranks), default=math.inf)
    if waited > patience:
        said = [
            f"rank {rank} waits for rank {peer} to {'send' if what.startswith('sent') else 'receive'}"
            for rank in sorted(ranks)
            for peer, what in now[rank].items()
        ]
        more = f"; and so on, {len(said)} ranks in a circle" * (len(said) > 4)
        circle = "; ".join(said[:4]).capitalize()
        yield -1, f"A deadlock: nothing has moved for {waited:.1f} s. {circle}{more}."


def _late(gang: Sequence[RankState]) -> tuple[RankState, float, int | None, str] | None:
    """The rank that keeps others waiting, since when, the one that waits for a message of it (None: all wait
    in a collective), and what it has not done; None where nobody waits."""
    if message := awaited_rank(gang):
        rank, waiting, what = message
        return gang[rank], gang[waiting].changed, waiting, f"{what} rank {waiting}"
    behind = min(gang, key=lambda state: state.collectives)
    ahead = [state.changed for state in gang if state.collectives > behind.collectives]
    return (behind, max(ahead), None, f"collective {max(0, behind.collectives) + 1}") if ahead else None


def awaited_messages(gang: Sequence[RankState]) -> dict[int, dict[int, str]]:
    """For each rank the ranks that it waits for, each with what has not been done: "sent message 4 to".

    A rank waits for a partner that has begun to send less than it has begun to receive, and the other way
    round; none does that has returned, or whose last act was a collective.
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


def awaited_rank(gang: Sequence[RankState]) -> tuple[int, int, str] | None:
    """A rank that waits for no message itself, a rank that waits for it, and for which message; None
    where there is none, or where a rank that has not begun a collective keeps the first one in it."""
    on = awaited_messages(gang)
    for waiting, awaited in on.items():
        for rank, what in awaited.items():
            free = [state for state in gang if not on[state.rank] and state.rank != rank]
            held_up = any(state.collectives < gang[rank].collectives for state in free)
            if not on[rank] and not held_up:
                return rank, waiting, what
    return None


def wait_cycle(on: Mapping[int, Mapping[int, str]]) -> list[int]:
    """A cycle in `on` (of `awaited_messages`): ranks that each wait for the next, the last for the first."""
    path = [next((rank for rank in on if on[rank]), -1)]
    while path[-1] >= 0:
        after = next(iter(on[path[-1]]), -1)
        if after in path:
            return path[path.index(after) :]
        path.append(after)
    return []


def _raised(rank: int, error: dict[str, Any], progress: str) -> RankError:
    """RankError for the exception that this rank reported, which becomes its cause."""
    raised = RankError(
        f"Rank {rank} raised {error['type']}: {error['message']}{progress}\n\n{error['traceback']}", rank
    )
    with suppress(Exception):  # an exception of a class that cannot be rebuilt here is told by its text
        raised.__cause__ = tasks.unpack(error["exception"])
    return raised


def _status(status: int) -> str:
    """A clause on how a process with this exit status ended; negative is the number of a signal."""
    if status >= 0:
        return f"it left with exit status {status} before its function returned"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"it was killed by {name}"
