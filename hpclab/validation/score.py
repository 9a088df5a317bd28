"""Score predictions against what was published, beside a baseline of two fitted numbers.

A row that cannot be placed counts as an error of 1 (100 %): a model that refuses the hard rows must not look
better for it. The baseline has seen the very rows that it is scored on.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy

from hpclab.models.scaling import nonnegative
from hpclab.validation.tables import Row


class NotPlaced(ValueError):
    """This row says too little, or something this course's catalogue does not know; the text says what."""


class NotEnoughSaid(NotPlaced):
    """Nobody could place this row: what it leaves out decides it. Such rows are scored apart."""


@dataclass(frozen=True)
class Observation:
    """One published number: `value` in `unit` (s, B/s, 1/s, or 1) of a `quantity`, in a `row`.

    `value` is NaN where it was rounded to nothing, or nothing was sent. `size` is the message's bytes; rows
    with the same `group` share a line of the baseline; `case` is what the kind's own `predict` needs to know,
    or the NotPlaced that says why the row cannot be predicted.
    """

    row: Row
    quantity: str
    value: float
    unit: str
    size: float
    group: Hashable
    case: Any

    @property
    def empty(self) -> bool:
        """Whether it is of 0 bytes and so of nothing: it is named, and not scored."""
        return not self.size and self.value != self.value


@dataclass(frozen=True)
class PredictedRow:
    """What the model and the in-sample `baseline` say of an observation; `value` is None where `note` says
    why, `unsaid` where the row does not say enough for anybody."""

    observation: Observation
    value: float | None
    baseline: float
    note: str = ""
    unsaid: bool = False

    @property
    def signed(self) -> float | None:
        """(predicted − published) / published, or None."""
        return None if self.value is None else self.value / self.observation.value - 1

    @property
    def error(self) -> float:
        """|predicted − published| / published; 1 for a row that is not placed."""
        return 1.0 if self.signed is None else abs(self.signed)


@dataclass(frozen=True)
class Score:
    """The errors of one quantity of one table, as fractions; the fields are the keys of `--json`."""

    table: str
    quantity: str
    rows: int
    placed: int
    mean_error: float
    median_error: float
    p90_error: float
    max_error: float
    bias: float
    baseline_mean_error: float
    within_2x: float = 0.0
    baseline_within_2x: float = 0.0


def only(quantity: str, table: Sequence[PredictedRow]) -> list[PredictedRow]:
    """Those rows of `table` that are of `quantity`."""
    return [one for one in table if one.observation.quantity == quantity]


def listed(tables: Iterable[Sequence[PredictedRow]]) -> str:
    """The scores of `tables` under headings, the largest median error first: the middle row's error and the
    worst row's, the bias, and the baseline's mean error (of messages, a straight line's)."""
    lines = [f"{'table':40}{'of':11}{'rows':>8}{'middle':>9}{'worst':>9}{'bias':>9}{'line':>9}"]
    found = (one for table in tables for one in scores(table))
    for one in sorted(found, key=lambda one: -one.median_error):
        quantity, _, unsaid = one.quantity.partition(", ")
        errors = f"{one.median_error:9.1%}{one.max_error:9.0%}{one.bias:+9.1%}{one.baseline_mean_error:9.1%}"
        errors = f"{'not placed':>12}: they do not say enough" if unsaid else errors
        lines.append(f"{one.table[:-4]:40}{quantity:11}{f'{one.placed}/{one.rows}':>8}{errors}")
    return "\n".join(lines)


def scores(predictions: Sequence[PredictedRow]) -> list[Score]:
    """A Score for each quantity of one table, in the order they come; `bias` is over the placed rows.

    Rows that do not say enough have a Score of their own: they are not dropped, nor hide the others' mean.
    """
    groups = defaultdict[tuple[str, str], list[PredictedRow]](list)
    for one in predictions:
        seen = one.observation
        if not seen.empty:
            groups[seen.row.table, seen.quantity + ", not enough said" * one.unsaid].append(one)
    return [_score(*names, group) for names, group in groups.items()]


def _score(table: str, quantity: str, group: Sequence[PredictedRow]) -> Score:
    published = numpy.array([one.observation.value for one in group])
    errors = numpy.array([one.error for one in group])
    signed = [one.signed for one in group if one.signed is not None]
    model, line = (
        numpy.array(said) / published
        for said in ([one.value or 0.0 for one in group], [one.baseline for one in group])
    )
    return Score(
        table, quantity, len(group), len(signed), float(errors.mean()), float(numpy.median(errors)),
        float(numpy.quantile(errors, 0.9)), float(errors.max()), float(numpy.mean(signed or [0.0])),
        float(numpy.mean(numpy.nan_to_num(abs(line - 1), nan=1.0))),
        *(float(numpy.mean((ratios >= 0.5) & (ratios <= 2))) for ratios in (model, line)),
    )  # fmt: skip


def straight_line(observations: Sequence[Observation]) -> list[float]:
    """The baseline of each observation: a latency and a bandwidth, fitted to its own group of these rows.

    time = latency + size / bandwidth, neither negative, by least squares on the relative error of the time.
    Where the observations are bandwidths, the time is size / bandwidth; without a size it is a constant.
    """
    groups = defaultdict[Hashable, list[int]](list)
    for place, one in enumerate(observations):
        if one.value == one.value:
            groups[one.quantity, one.group].append(place)
    said = [math.nan] * len(observations)
    for places in groups.values():
        rates = observations[places[0]].unit == "B/s"
        size = numpy.array([observations[place].size for place in places])
        value = numpy.array([observations[place].value for place in places])
        time = size / value if rates else value
        terms = numpy.stack([numpy.ones_like(size), size], axis=1)
        time = terms @ nonnegative(terms / time[:, None])
        for place, fitted in zip(places, size / time if rates else time, strict=True):
            said[place] = float(fitted)
    return said


def median_line(observations: Sequence[Observation], of: Callable[[Observation], float]) -> list[float]:
    """The baseline of each observation `one`: `of(one)` times its group's median of value / `of`, or NaN."""
    groups = defaultdict[Hashable, list[float]](list)
    for one in observations:
        groups[one.quantity, one.group] += [one.value / of(one)] * (one.value == one.value)
    return [median(groups[one.quantity, one.group] or [math.nan]) * of(one) for one in observations]
