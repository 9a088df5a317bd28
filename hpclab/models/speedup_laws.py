"""Amdahl, Gustafson, USL: laws of speedup on n processors, which differ in what they think stops you."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy
from numpy.typing import ArrayLike, NDArray

from hpclab import checks

Array = NDArray[numpy.float64]


class Law:
    """A law of speedup; `parameters` are named with the largest value of each.

    `terms` writes it for the fit in `scaling.py` as a sum of terms, shape (points, terms), times coefficients
    that cannot be negative: of times for Amdahl and USL, of rates for Gustafson. It returns the terms and
    what they sum to; `from_coefficients` returns the law and its speed at n = 1.
    """

    name: ClassVar[str]
    parameters: ClassVar[Mapping[str, float]] = {"serial": 1}

    def __post_init__(self) -> None:
        for parameter, most in self.parameters.items():
            checks.number(parameter, getattr(self, parameter), 0, most)

    def speedup(self, n: ArrayLike) -> Array:
        """Speedup on `n` processors (any shape, n ≥ 1), same shape; of Gustafson's law the scaled one."""
        return self._of(processors(n))

    def _of(self, count: Array) -> Array:
        raise NotImplementedError

    @staticmethod
    def terms(n: Array, speed: Array) -> tuple[Array, Array]:
        return numpy.stack([1 / n, numpy.ones_like(n)], axis=1), 1 / speed

    @classmethod
    def from_coefficients(cls, parallel: float, serial: float, *pairs: float) -> tuple[Law, float]:
        one = parallel + serial
        return cls(serial / one, *(min(each / one, 1e6) for each in pairs)), 1 / one  # type: ignore[call-arg]


@dataclass(frozen=True)
class Amdahl(Law):
    """S(n) = 1 / (s + (1 − s)/n), with `serial` = s from 0 to 1 (Amdahl 1967, AFIPS 30, 483–485).

    Notice the ceiling: never more than 1/s, however many processors; half of it is reached at n ≈ 1/s.
    """

    serial: float
    name = "Amdahl"

    def _of(self, count: Array) -> Array:
        return count / (1 + self.serial * (count - 1))


@dataclass(frozen=True)
class Gustafson(Law):
    """Scaled speedup S(n) = n − s (n − 1): the work grows with n (Gustafson 1988, CACM 31(5), 532–533).

    `serial` = s is the serial share of the time *on n processors*, from 0 to 1; Amdahl's s is one of the time
    on one. Notice that there is no ceiling.
    """

    serial: float
    name = "Gustafson"

    def _of(self, count: Array) -> Array:
        return count - self.serial * (count - 1)

    @staticmethod
    def terms(n: Array, speed: Array) -> tuple[Array, Array]:
        return numpy.stack([n, numpy.ones_like(n)], axis=1), speed

    @classmethod
    def from_coefficients(cls, parallel: float, serial: float, *pairs: float) -> tuple[Law, float]:
        return cls(serial / (parallel + serial)), parallel + serial


@dataclass(frozen=True)
class USL(Law):
    """S(n) = n / (1 + σ (n − 1) + κ n (n − 1)): the universal scalability law.

    `contention` = σ from 0 to 1: waiting for what only one can have at a time. `coherency` = κ ≥ 0: every
    pair that must agree. With κ = 0 it is Amdahl's law. Notice the peak at √((1 − σ)/κ): beyond it, adding
    processors makes the run slower. Gunther, CMG 1993; "Guerrilla Capacity Planning", Springer 2007, ch. 4.
    """

    contention: float
    coherency: float
    name = "USL"
    parameters: ClassVar = {"contention": 1, "coherency": 1e6}

    def _of(self, count: Array) -> Array:
        return count / (1 + (self.contention + self.coherency * count) * (count - 1))

    @staticmethod
    def terms(n: Array, speed: Array) -> tuple[Array, Array]:
        return numpy.stack([1 / n, numpy.ones_like(n), n - 1], axis=1), 1 / speed


def serial_fraction(n: float, speedup: float) -> float:
    """The serial share that Amdahl's law needs for one measured `speedup` on `n` processors, n > 1.

    Karp and Flatt 1990, CACM 33(5), 539–543. As n grows it stays (a serial part) or grows (overhead).
    """
    return (n / speedup - 1) / (n - 1)


def processors(n: ArrayLike) -> Array:
    """`n` as an array; ValueError where something in it is no number of processors."""
    return array("n must be numbers of processors", n, 1, 1e7)  # the largest machines have about that many


def array(must: str, values: ArrayLike, low: float, high: float) -> Array:
    """`values` as an array of numbers from `low` to `high`, both included. For anything else, NaN too,
    ValueError, whose sentence begins with `must` ("n must be numbers of processors")."""
    try:
        found = numpy.asarray(values, dtype=float)
    except (TypeError, ValueError):
        found = numpy.array(numpy.nan)
    if not ((found >= low) & (found <= high)).all():
        raise ValueError(f"{must} from {low:g} to {high:g}, not {checks.shown(values)}.")
    return found
