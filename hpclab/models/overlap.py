"""What of a step's gradient messages hides behind the backward pass: one wire, used as soon as it can be.

The backward pass makes gradients from the last layer to the first. They are put into buckets, and a bucket
can be sent once its last gradient is there: the last one never hides, however fast the links are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy


def group(sizes: Sequence[int], limit: float) -> list[list[int]]:
    """The indices into `sizes` (bytes, in the order in which gradients become ready), a list for each bucket,
    which is full as soon as it holds `limit` bytes or more; infinity makes one bucket of all."""
    buckets, held = list[list[int]]([[]]), 0
    for place, size in enumerate(sizes):
        if held >= limit:
            buckets.append([])
            held = 0
        buckets[-1].append(place)
        held += size
    return buckets


@dataclass(frozen=True)
class Messages:
    """When each message was on the wire, in seconds since the backward pass began, which took `backward`."""

    begins: tuple[float, ...]
    ends: tuple[float, ...]
    backward: float

    @property
    def exposed(self) -> float:
        """Seconds after the backward pass that the last message takes."""
        return max(0.0, max(self.ends, default=0.0) - self.backward)

    @property
    def hidden(self) -> float:
        """Seconds in which the wire is busy while the backward pass computes."""
        spans = zip(self.begins, self.ends, strict=True)
        return sum(max(0.0, min(end, self.backward) - begin) for begin, end in spans)


def send(backward: float, ready: Sequence[float], seconds: Sequence[float], overlap: bool = True) -> Messages:
    """The Messages of a backward pass of `backward` seconds, which take `seconds` one after the other on one
    wire; each can begin at its `ready` share of the pass, or without `overlap` once the pass has ended."""
    begins, ends = list[float](), [0.0]
    for share, length in zip(ready, seconds, strict=True):
        begins.append(max(ends[-1], backward * (share if overlap else 1.0)))
        ends.append(begins[-1] + length)
    return Messages(tuple(begins), tuple(ends[1:]), backward)


def buckets(sizes: Sequence[int], work: Sequence[float], limit: float) -> tuple[list[int], list[float]]:
    """(bytes of each bucket, share of the backward pass after which it is ready); `sizes` are the gradients'
    bytes and `work` the computing before each, in any unit, both in the order they become ready."""
    done = numpy.array([*accumulate(work)])
    done = done / done[-1] if len(done) and done[-1] else numpy.ones(len(done))
    places = group(sizes, limit)
    return [sum(sizes[at] for at in part) for part in places], [float(done[part[-1]]) for part in places]
