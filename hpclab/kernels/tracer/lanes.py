"""The threads of one block as lanes, filled up to whole warps, and masks that say which of them take part:
no thread skips an `if`, its lane is switched off while the warp walks through."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy
from numpy.typing import NDArray

from hpclab.models.gpu_memory import WARP

Dim3 = tuple[int, int, int]


def spread(value: Any, width: int) -> NDArray[Any]:
    """`value` as an array of an entry per lane: a scalar is repeated `width` times."""
    return value if isinstance(value, numpy.ndarray) else numpy.full(width, value)


class Mask:
    """The active lanes of a block: `on` is bool, one entry per lane; `count` how many are on."""

    def __init__(self, on: NDArray[numpy.bool_]) -> None:
        self.on = on
        self.count = int(numpy.count_nonzero(on))

    @cached_property
    def lanes(self) -> NDArray[numpy.int64]:
        """The active lanes' numbers in the block, in order."""
        return numpy.flatnonzero(self.on)

    @cached_property
    def by_warp(self) -> NDArray[numpy.bool_]:
        """`on`, a row per warp."""
        return self.on.reshape(-1, WARP)

    @cached_property
    def warps(self) -> tuple[tuple[int, tuple[int, ...], slice], ...]:
        """Of each warp with an active lane: its number, those lanes (0 to 31), their places in `lanes`."""
        found, begin, of_warp = [], 0, (self.lanes % WARP).tolist()
        for warp, count in enumerate(self.by_warp.sum(axis=1).tolist()):
            if count:
                found.append((warp, tuple(of_warp[begin : begin + count]), slice(begin, begin + count)))
                begin += count
        return tuple(found)

    def where(self, condition: NDArray[numpy.bool_] | numpy.bool_) -> Mask:
        """The active lanes for which `condition` holds; this very mask where it holds for all."""
        part = Mask(self.on & condition)
        return self if part.count == self.count else part

    def without(self, other: Mask) -> Mask:
        """The active lanes that are not in `other`."""
        return self.where(~other.on)

    def joined(self, *parts: Mask) -> Mask:
        """The union of disjoint `parts` of this mask: this very mask where nothing is missing."""
        if sum(part.count for part in parts) == self.count:
            return self
        return Mask(numpy.logical_or.reduce([part.on for part in parts]))


class Threads:
    """The threads of a block of `shape` (x, y, z): x runs fastest through the lanes, as on the hardware."""

    def __init__(self, shape: Dim3) -> None:
        self.shape = shape
        count = shape[0] * shape[1] * shape[2]
        self.width = -(-count // WARP) * WARP
        number = numpy.arange(self.width)
        self.lane = (number % WARP).astype(numpy.int32)
        self.x = (number % shape[0]).astype(numpy.int32)
        self.y = (number // shape[0] % shape[1]).astype(numpy.int32)
        self.z = (number // (shape[0] * shape[1])).astype(numpy.int32)
        self.all = Mask(number < count)

    def index(self, number: int) -> Dim3:
        """threadIdx of the thread with this number in its block."""
        return int(self.x[number]), int(self.y[number]), int(self.z[number])

    def is_box(self, part: Mask, whole: Mask) -> bool:
        """Whether `part` is what a boundary check leaves of `whole`: one stretch of x, of y and of z."""
        inside = whole.on
        for along in (self.x, self.y, self.z):
            chosen = along[part.lanes]
            inside = inside & (along >= chosen.min()) & (along <= chosen.max())
        return int(numpy.count_nonzero(inside)) == part.count
