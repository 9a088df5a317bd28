"""Which rank is to blame, from what each is known to have done.

In this order: a process that is gone; one that is stopped; one that raised an exception of its own; one whose
message others wait for; one that has not begun a collective the others wait in. An exception that only says
that the network failed echoes another rank's end. A rank that has begun to receive more from a partner than
that has begun to send waits for it, and the other way round.
"""

import math
import signal
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from hpclab.cluster.errors import RankError, SlowRank
from hpclab.cluster.maps import tasks


@dataclass
class RankState:
    """What is known of one rank; `collectives` begun on the default group, `messages` begun to and from each
    other rank, whether its last act was one of these (`in_messages`), whose message it `awaits` right now, -1
    for nobody's; `changed` when that last moved."""

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
        """Take in one message of the rank or its agent."""
        if word == "begun":
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
        """Its process, agent or worker is stopped, or goes on; `stopped` is since when any of them is."""
        (self.suspended.add if is_stopped else self.suspended.discard)(what)
        self.stopped = (self.stopped or time.monotonic()) if self.suspended else None


def has_failed(state: RankState, timeout: float) -> bool:
    """Whether the gang cannot go on because of this rank."""
    stopped = state.stopped is not None and time.monotonic() > state.stopped + timeout
    return stopped or state.error is not None or state.ended is not None


def diagnose(gang: Sequence[RankState], timeout: float) -> RankError:
    """The error to raise once the gang has failed."""
    counts = ", ".join(f"rank {state.rank}: {max(0, state.collectives)}" for state in gang)
    progress, limit = f" Collectives begun by then: {counts}.", f"until the time limit of {timeout:g} s"
    for state in gang:
        if state.ended is not None:
            return RankError(
                f"Rank {state.rank} is gone: {state.ended}. The other ranks were ended.{progress}", state.rank
            )
    for state in gang:
        if state.stopped is not None:
            what = " and ".join(sorted(state.suspended))
            return RankError(
                f"Rank {state.rank} was stopped (its {what} is suspended, as by SIGSTOP) and did not go on "
                f"within {timeout:g} s. All ranks were ended.{progress}",
                state.rank,
            )
    for state in gang:
        if state.error is not None and not state.error["network"]:
            return _raised(state.rank, state.error, "")
    if found := awaited_rank(gang):
        rank, waiting, what = found
        did = f"returned without having {what}" if gang[rank].value is not None else f"has not {what}"
        return RankError(
            f"Rank {rank} {did} rank {waiting}, which waited for it {limit}. All ranks were ended.", rank
        )
    if ranks := wait_cycle(awaited_messages(gang)):
        shown = " for ".join(f"rank {rank}" for rank in [*ranks, ranks[0]])
        return RankError(
            f"The ranks wait for each other's messages in a circle ({shown}) and did so {limit}: let "
            "receives begin before sends are waited for. All ranks were ended.",
            ranks[0],
        )
    if behind := _behind(gang):
        did = "returned without joining" if behind.value is not None else "has not begun"
        most = max(state.collectives for state in gang)
        return RankError(
            f"Rank {behind.rank} {did} collective {most}, which the others waited for {limit}. All ranks "
            f"were ended.{progress}",
            behind.rank,
        )
    rank, echo = next((state.rank, state.error) for state in gang if state.error is not None)
    return _raised(rank, echo, progress)


def report_slow_and_deadlocked(gang: Sequence[RankState], timeout: float, told: set[int]) -> None:
    """Warn of each slow rank, and say who waits for whom where nobody will move any more: each once."""
    for rank, sentence in slow_ranks(gang, timeout):
        if rank not in told:
            told.add(rank)
            warnings.warn(SlowRank(sentence), stacklevel=7)
    if -1 not in told and (sentence := deadlock(gang, timeout)):
        told.add(-1)
        print(f"{sentence} All ranks are ended at the limit of {timeout:g} s; or interrupt the cell.")


def slow_ranks(gang: Sequence[RankState], timeout: float) -> Iterator[tuple[int, str]]:
    """Ranks that are alive and keep the others waiting for more than a quarter of the time limit."""
    if found := _late(gang, timeout):
        behind, waited, where, _ = found
        if behind.value is None and behind.stopped is None:
            yield (
                behind.rank,
                f"Rank {behind.rank} is slow: {where.format(f'{waited:.1f} s')}. It is alive, so nothing is "
                f"ended before the limit of {timeout:g} s.",
            )


def deadlock(gang: Sequence[RankState], timeout: float) -> str:
    """Who waits in vain: each in a circle for the next to send or receive, or for one that has returned."""
    if (found := _late(gang, timeout)) and found[0].value is not None:
        state, waited, _, what = found
        return f"Rank {state.rank} has returned without {what}, for which others have waited {waited:.1f} s."
    on = awaited_messages(gang)
    now = {state.rank: {p: what for p, what in on[state.rank].items() if p == state.awaits} for state in gang}
    ranks = wait_cycle(now)
    waited = time.monotonic() - max((gang[rank].changed for rank in ranks), default=math.inf)
    if waited < min(5.0, timeout / 4):
        return ""
    said = [
        f"rank {rank} waits for rank {peer} to {'send' if what.startswith('sent') else 'receive'}"
        for rank in sorted(ranks)
        for peer, what in now[rank].items()
    ]
    more = f"; and so on, {len(said)} ranks in a circle" * (len(said) > 4)
    return f"A deadlock: nothing has moved for {waited:.1f} s. {'; '.join(said[:4]).capitalize()}{more}."


def _late(gang: Sequence[RankState], timeout: float) -> tuple[RankState, float, str, str] | None:
    """The rank that keeps others waiting, how long it has, who waits, and for what: once that is long."""
    message, behind = awaited_rank(gang), _behind(gang)
    if message is not None:
        behind, since = gang[message[0]], gang[message[1]].changed
        where = f"rank {message[1]} has waited {{}} for a message of it"
        what = f"having {message[2]} rank {message[1]}"
    elif behind is not None:
        since = max(state.changed for state in gang if state.collectives > behind.collectives)
        where = f"the others have waited {{}} for it in collective {behind.collectives + 1}"
        what = f"joining collective {behind.collectives + 1}"
    if behind is None:
        return None
    waited = time.monotonic() - since
    return (behind, waited, where, what) if waited > min(5.0, timeout / 4) else None


def awaited_messages(gang: Sequence[RankState]) -> dict[int, dict[int, str]]:
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


def awaited_rank(gang: Sequence[RankState]) -> tuple[int, int, str] | None:
    """The rank that others wait for and that waits for no message itself, one that waits for it, for what.

    None where no message is waited for, where all wait for each other, and where that rank is in turn kept
    in a collective by a rank that has not begun it.
    """
    on = awaited_messages(gang)
    for waiting, awaited in on.items():
        for rank, what in awaited.items():
            free = [state for state in gang if not on[state.rank] and state.rank != rank]
            held_up = any(state.collectives < gang[rank].collectives for state in free)
            if not on[rank] and not held_up:
                return rank, waiting, what
    return None


def wait_cycle(on: Mapping[int, Mapping[int, str]]) -> list[int]:
    """Ranks of which each waits for a message of the next, and the last for the first; else none."""
    path = [next((rank for rank in on if on[rank]), -1)]
    while path[-1] >= 0:
        after = next(iter(on[path[-1]]), -1)
        if after in path:
            return path[path.index(after) :]
        path.append(after)
    return []


def _behind(gang: Sequence[RankState]) -> RankState | None:
    """The rank with the fewest collectives, where some have begun more."""
    fewest = min(gang, key=lambda state: state.collectives)
    return fewest if any(state.collectives > fewest.collectives for state in gang) else None


def _raised(rank: int, error: dict[str, Any], progress: str) -> RankError:
    raised = RankError(
        f"Rank {rank} raised {error['type']}: {error['message']}{progress}\n\n{error['traceback']}", rank
    )
    with suppress(Exception):  # an exception of a class that cannot be rebuilt here is told by its text
        raised.__cause__ = tasks.unpack(error["exception"])
    return raised


def _status(status: int) -> str:
    if status >= 0:
        return f"it left with exit status {status} before its function returned"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"it was killed by {name}"
