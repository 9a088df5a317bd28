"""The number a learner commits to before a run, or nothing: a skipped prediction is "no prediction".

Committing first is what makes the run afterwards worth looking at; nothing waits for it, so that a notebook
runs from top to bottom untouched.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hpclab import checks


@dataclass
class Prediction:
    """A number between `low` and `high`, in `unit` as the learner reads it; `value` is None at first."""

    name: str
    unit: str
    low: float
    high: float
    value: float | None = field(default=None, init=False)
    skipped: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.low = checks.number("low", self.low, -1e300, 1e300)
        self.high = checks.number("high", self.high, self.low, 1e300)

    @property
    def decided(self) -> bool:
        return self.value is not None or self.skipped

    def commit(self, value: object) -> float:
        """Keep `value`; ValueError where it is no number in range, or where the decision is already made."""
        number = checks.number(self.name, value, self.low, self.high, self.unit)
        if self.decided:
            raise ValueError(
                f"The prediction is already made ({self.text}): run its cell again to start over."
            )
        self.value = number
        return number

    def skip(self) -> None:
        """Go on without a prediction; does nothing to one that is committed."""
        self.skipped = self.value is None

    @property
    def text(self) -> str:
        """``"you predicted 3.5 ×"`` or ``"no prediction"``."""
        return "no prediction" if self.value is None else f"you predicted {self.value:g} {self.unit}".rstrip()
