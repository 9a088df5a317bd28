"""One rank's part of a Schedule: in each step what it sends to whom, what it receives, what it copies."""

from dataclasses import dataclass, field

from hpclab.schedules import Schedule


@dataclass(frozen=True)
class Piece:
    """A stretch of the work buffer: `reduce` adds to what is there, else it is overwritten."""

    where: slice
    reduce: bool = False

    @property
    def size(self) -> int:
        """Elements."""
        return self.where.stop - self.where.start


@dataclass
class RankStep:
    """`sends` and `receives` by the other rank, each one message of one piece or several; `copies` inside.

    `direct` are the senders whose message may be received straight into the buffer: it is one piece, it
    overwrites, and nothing in its place is read in this step.
    """

    number: int
    sends: dict[int, list[Piece]] = field(default_factory=dict)
    receives: dict[int, list[Piece]] = field(default_factory=dict)
    copies: list[tuple[Piece, Piece]] = field(default_factory=list)
    direct: set[int] = field(default_factory=set)


def plan(schedule: Schedule, rank: int) -> list[RankStep]:
    """The steps in which `rank` has something to do; the other ranks' messages are passed over."""
    messages = schedule.messages
    mine = messages[(messages["source"] == rank) | (messages["target"] == rank)]
    steps: dict[int, RankStep] = {}
    for number, source, target, source_offset, target_offset, size, reduce in mine.tolist():
        step = steps.setdefault(number, RankStep(number))
        read = Piece(slice(source_offset, source_offset + size))
        written = Piece(slice(target_offset, target_offset + size), reduce)
        if source == target:
            step.copies.append((read, written))
        elif source == rank:
            step.sends.setdefault(target, []).append(read)
        else:
            step.receives.setdefault(source, []).append(written)
    for step in steps.values():
        sent = [piece.where for pieces in step.sends.values() for piece in pieces]
        for peer, pieces in step.receives.items():
            here = pieces[0].where
            apart = all(where.stop <= here.start or here.stop <= where.start for where in sent)
            if apart and len(pieces) == 1 and not pieces[0].reduce:
                step.direct.add(peer)
    return list(steps.values())
