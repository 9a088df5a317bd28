"""Lesson 01: what a speedup says about the program, and what it says about a machine nobody has tried yet."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy

from hpclab import checks
from hpclab.exercises import Exercise, Verdict, limits
from hpclab.models.scaling import Amdahl, Fit, Gustafson, fit, serial_fraction
from hpclab.validation import scaling_rows

ONE, EIGHT = 240.0, 72.0  # seconds on 1 and on 8 cores
SOURCE = scaling_rows.CITATION
_WITHIN = 0.15


def shown() -> tuple[list[int], list[float]]:
    """What the third exercise shows: 1, 4 and 8 GPUs and their published throughput, in sequences/s."""
    return _points("amp-128")


def _points(curve: str) -> tuple[list[int], list[float]]:
    rows = scaling_rows.published(curve)[:-1]
    return [row.parameters["gpus"] for row in rows], [row.value for row in rows]


# 1. The serial share


def _judge_share(answer: object) -> Verdict:
    if isinstance(answer, str):
        checks.number("The serial share", answer, 0, 1)
    share, right = checks.number("The serial share", answer, -1e9, 1e9), serial_fraction(8, ONE / EIGHT)
    if math.isclose(share, right, rel_tol=0.02):
        return Verdict(
            True,
            "Yes: a fifth of the work stays on one core, and with it no number of cores gives more than 5×. "
            "Put it back in to be sure: 240 s × (0.2 + 0.8/8) = 72 s.",
        )
    mistakes = {
        100 * right: "You gave per cent: as a share it is a number from 0 to 1.",
        ONE * right: "That is the serial part in seconds; its share is that over the 240 s on one core.",
        1 - right: "That is the parallel share; the serial share is what is left of 1.",
        EIGHT
        / ONE: "72/240 is the whole time on eight cores, which still holds an eighth of the parallel part.",
        ONE / EIGHT: "240/72 is the speedup; the exercise asks which serial share explains it.",
        ONE / EIGHT / 8: "That is the efficiency, speedup over cores; a serial share is another number.",
        1 - ONE / EIGHT / 8: "That is the efficiency lost. A serial share of s loses s(n − 1) of ideal time.",
        (EIGHT - ONE / 8) / ONE: "You took the time beyond the ideal 30 s for the serial part. But only the "
        "parallel part shrinks to an eighth: s + (1 − s)/8 = 72/240.",
        (8 - ONE / EIGHT) / 7: "That is Gustafson's share, of the time on eight cores. Here the work did not "
        "grow: use Amdahl's law.",
        1 / right: "That is the limit, 1/s; the exercise asks for s.",
    }
    for value, hint in mistakes.items():
        if math.isclose(share, value, rel_tol=0.02):
            return Verdict(False, hint)
    if not 0 <= share <= 1:
        return Verdict(False, "A share is a number from 0 to 1.")
    again = ONE * (share + (1 - share) / 8)
    return Verdict(False, f"With that serial share eight cores would take {again:.0f} s, not 72 s.")


SERIAL_SHARE = Exercise(
    "the serial share",
    "A program takes 240 s on one core and 72 s on eight. Which serial share does Amdahl's law see in it?",
    _judge_share,
    (
        "Write down what the time on eight cores is made of: a part that did not shrink and one that did.",
        "72/240 = s + (1 − s)/8, to be solved for s.",
    ),
)


# 2. How many cores pay

_CASES = ((0.03, 0.5), (0.07, 0.6), (0.24, 0.5), (0.013, 0.8), (0.2, 0.9))


def _exact(serial: float, efficiency: float) -> float:
    return 1 + (1 / efficiency - 1) / serial


_CORE_MISTAKES: tuple[tuple[Callable[[float, float], float], str], ...] = (
    (_exact, "The arithmetic is right, but cores come whole: which of them still keeps the efficiency?"),
    (lambda s, e: math.ceil(_exact(s, e)), "You rounded up: that last core is the one that is too many."),
    (
        lambda s, e: math.floor(_exact(s, e) - 1),
        "You are one core short: s(n − 1) counts the cores after the first one.",
    ),
    (lambda s, e: 1 / s, "1/s is the highest speedup of all, not the number of cores that are well used."),
    (lambda s, e: e / s, "You asked for a part of the highest speedup; efficiency is speedup over cores."),
    (
        lambda s, e: (1 - e) / s,
        "You took the efficiency as falling in a straight line, 1 − s n; it is S(n)/n.",
    ),
    (lambda s, e: 1 + (1 - e) / s, "You took the efficiency as falling in a straight line; it is S(n)/n."),
    (lambda s, e: e * _exact(s, e), "That is the speedup at that point; the exercise asks for the cores."),
)


def _judge_cores(answer: object) -> Verdict:
    values = limits.call_each(answer, _CASES)  # type: ignore[arg-type]
    given = [checks.number("The number of cores", value, -1e12, 1e12) for value in values]
    if given == [math.floor(_exact(*case)) for case in _CASES]:
        return Verdict(
            True,
            "Yes: efficiency is 1/(1 + s(n − 1)). With a serial share of 3 %, 35 cores are over half idle.",
        )
    for formula, hint in _CORE_MISTAKES:
        for shape in (float, math.floor, round):
            if numpy.allclose(given, [shape(formula(*case)) for case in _CASES], rtol=1e-9, atol=1e-9):
                return Verdict(False, hint)
    serial, efficiency = _CASES[0]
    value = given[0]
    if value < 1:
        return Verdict(False, f"{value:g} cores do no work: the answer is at least 1.")
    reached = float(Amdahl(serial).speedup(min(value, 1e6))) / min(value, 1e6)
    return Verdict(
        False,
        f"With a serial share of {serial:g} you answer {value:g} cores for an efficiency of {efficiency:g}; "
        f"the efficiency there is {reached:.3f}. Write S(n)/n and solve for n.",
    )


MOST_CORES = Exercise(
    "how many cores pay",
    "Write most_cores(serial, efficiency): by Amdahl's law, the largest whole number of cores on which "
    "speedup / cores is still at least `efficiency`.",
    _judge_cores,
    (
        "Speedup over cores is 1/(s n + 1 − s). What happens to it when n grows by one?",
        "Set it equal to the efficiency, solve for n, and think about which way to round.",
    ),
)


# 3. Sixteen from eight

_MADE = {0.05: 80.0, 0.15: 2400.0}  # serial share: speed of one; programs that only the check knows


def _made(serial: float, target: int) -> tuple[list[int], list[float], int]:
    counts = [1, 2, 4, 8]
    return counts, [float(value) for value in _MADE[serial] * Amdahl(serial).speedup(counts)], target


def _judge_sixteen(answer: object) -> Verdict:
    made = [(serial, target) for serial in _MADE for target in (16, 32)]
    cases = [(*_points(curve), 16) for curve in scaling_rows.CURVES]
    try:
        values = limits.call_each(answer, cases + [_made(*case) for case in made])  # type: ignore[arg-type]
    except limits.Stopped as stop:
        if "NoCurve" not in str(stop):
            raise
        return Verdict(
            False,
            "The fit gave no curve: a law needs two points more than it has unknowns, and only three are "
            "shown. The USL has two unknowns; Amdahl's law has one.",
        )
    given = [checks.number("The predicted throughput", value, -1e30, 1e30) for value in values]
    for (serial, target), value in zip(made, given[len(cases) :], strict=True):
        right = _MADE[serial] * float(Amdahl(serial).speedup(target))
        if abs(value / right - 1) > _WITHIN:
            return Verdict(False, _why(value, serial, target))
    for curve, value in zip(scaling_rows.CURVES, given, strict=False):
        right = scaling_rows.published(curve)[-1].value
        if abs(value / right - 1) > _WITHIN:
            return Verdict(
                False, f"On the published curve {curve} your prediction is {abs(value / right - 1):.0%} off."
            )
    published = scaling_rows.published("amp-128")[-1].value
    return Verdict(
        True,
        f"You predict {given[0]:.0f} sequences/s on 16 GPUs; {published:.0f} were published, "
        f"{abs(given[0] / published - 1):.0%} off. The ideal line would pass here too, for this machine "
        "scales well; on a program with a serial share of 15 % it would be more than three times too high.",
    )


def _why(value: float, serial: float, target: int) -> str:
    counts, speeds, _ = _made(serial, target)
    right = _MADE[serial] * float(Amdahl(serial).speedup(target))
    gustafson = fit(Gustafson, counts, speeds)
    assert isinstance(gustafson, Fit)
    mistakes = (
        (speeds[0] * target, "That is the ideal line: it forgets that efficiency falls with each device."),
        (
            speeds[-1] * target / counts[-1],
            "You kept the efficiency of eight devices; it falls further with every device you add.",
        ),
        (_fitted(1, counts[-2:], speeds[-2:], target), "You continued the last stretch as a straight line; "
         "the curve bends: each further device adds less than the one before."),
        (_fitted(2, counts, speeds, target), "A parabola bends down beyond the points and ends below zero; "
         "throughput does not. Use Amdahl."),
        (_fitted(1, counts, speeds, target), "You fitted a straight line, which has no ceiling; use Amdahl."),
        (right / speeds[0], "That is a speedup; the throughput is that times the speed of one."),
        (speeds[-1], "You gave back the last measured value, as if further devices added nothing."),
        (speeds[0] / serial, "That is the limit for endlessly many devices, not the value at `target`."),
        (
            gustafson.speed_of_one * float(gustafson.law.speedup(target)),
            "You used Gustafson's law, but here the work does not grow with the devices: use Amdahl's.",
        ),
        (_MADE[serial] * float(Amdahl(serial).speedup(16)), "You always predict for 16: use `target`."),
    )  # fmt: skip
    for wrong, hint in mistakes:
        if math.isclose(value, wrong, rel_tol=0.01):
            return hint
    high = "high" if value > right else "low"
    return (
        f"On a program with a serial share of {serial:.0%} your prediction for {target} is "
        f"{abs(value / right - 1):.0%} too {high}. Which law did you continue?"
    )


def _fitted(degree: int, counts: Sequence[int], speeds: Sequence[float], target: int) -> float:
    return float(numpy.polyval(numpy.polyfit(counts, speeds, degree), target))


SIXTEEN = Exercise(
    "sixteen from eight",
    "Write predict_throughput(gpus, throughput, target): from a few points, the throughput on `target` GPUs. "
    "It is checked on published curves up to 16 GPUs and on programs you have not seen, within 15 %.",
    _judge_sixteen,
    (
        "Turn throughput into speedup, find the law's parameter from the points, then go to the target.",
        "serial_fraction(n, speedup) gives s from one point; scaling.fit(Amdahl, n, speed) from all of them.",
        "The answer is a throughput again: speed of one GPU × Amdahl(s).speedup(target).",
    ),
)
