"""Lesson 01: what a speedup says about the program, and what it says about a machine nobody has tried yet."""

import math
from collections.abc import Iterable
from types import SimpleNamespace

import numpy

from hpclab.exercises import Exercise, judges
from hpclab.models.scaling import Amdahl, Fit, Gustafson, NoCurve, fit, serial_fraction
from hpclab.validation import scaling_rows

ONE, EIGHT = 240.0, 72.0  # seconds on 1 and on 8 cores
SOURCE = scaling_rows.CITATION


def shown(curve: str = "amp-128") -> tuple[list[int], list[float]]:
    """1, 4 and 8 GPUs and the throughput published for `curve`, in sequences/s; by default the notebook's."""
    rows = scaling_rows.published(curve)[:-1]
    return [row.parameters["gpus"] for row in rows], [row.value for row in rows]


_SPEEDUP = ONE / EIGHT

SERIAL_SHARE = Exercise("01", "the serial share", judges.by_number(
    "The serial share", 0.2,
    (20, "You gave per cent: as a share it is a number from 0 to 1."),
    (48, "That is the serial part in seconds; its share is that over the 240 s on one core."),
    (0.8, "That is the parallel share; the serial share is what is left of 1."),
    (1 / _SPEEDUP, "72/240 is the time on eight cores, with an eighth of the parallel part in it."),
    (_SPEEDUP, "240/72 is the speedup; the exercise asks which serial share explains it."),
    (_SPEEDUP / 8, "That is the efficiency, speedup over cores; a serial share is another number."),
    (1 - _SPEEDUP / 8, "That is the efficiency lost: a share of s loses s(n − 1) of ideal time."),
    ((EIGHT - 30) / ONE, "That is the time beyond the ideal 30 s. Only the parallel part shrinks to an "
     "eighth: s + (1 − s)/8 = 72/240."),
    ((8 - _SPEEDUP) / 7, "That is Gustafson's share. Here the work did not grow: use Amdahl's law."),
    (5, "That is the limit, 1/s; the exercise asks for s."),
    otherwise="With that serial share eight cores would take {again:.0f} s, not 72 s.",
    facts=lambda share: {"again": ONE * (share + (1 - share) / 8)},
    yes="Yes: a fifth of the work stays on one core, so no number of cores gives more than 5×. To be sure, "
    "put it back in: 240 s × (0.2 + 0.8/8) = 72 s.",
), (
    "Write down what the time on eight cores is made of: a part that did not shrink and one that did.",
    "72/240 = s + (1 − s)/8, to be solved for s.",
))  # fmt: skip


def _exact(serial: float, efficiency: float) -> float:
    """Cores, not rounded, at which Amdahl's law gives this efficiency."""
    return 1 + (1 / efficiency - 1) / serial


def _not_enough(cores: float, serial: float, efficiency: float) -> str:
    if cores < 1:
        return f"{cores:g} cores do no work: the answer is at least 1."
    reached = float(Amdahl(serial).speedup(min(cores, 1e6))) / min(cores, 1e6)
    return (
        f"With a serial share of {serial:g} you answer {cores:g} cores for an efficiency of {efficiency:g}; "
        f"the efficiency there is {reached:.3f}. Write S(n)/n and solve for n."
    )


_CORE_MISTAKES = (
    (_exact, "The arithmetic is right, but cores come whole: which of them still keeps the efficiency?"),
    (lambda s, e: math.ceil(_exact(s, e)) - 1, "Where the efficiency is met exactly, that core still counts: "
     "at least `efficiency`, not more than it."),
    (lambda s, e: math.ceil(_exact(s, e)), "You rounded up: that last core is the one that is too many."),
    (lambda s, e: math.floor(_exact(s, e) - 1), "You are one core short: s(n − 1) leaves out the first."),
    (lambda s, e: 1 / s, "1/s is the highest speedup of all, not the number of cores that are well used."),
    (lambda s, e: e / s, "You asked for a part of the highest speedup; efficiency is speedup over cores."),
    (lambda s, e: (1 - e) / s, "You took the efficiency as a straight line, 1 − s n; it is S(n)/n."),
    (lambda s, e: 1 + (1 - e) / s, "You took the efficiency as falling in a straight line; it is S(n)/n."),
    (lambda s, e: e * _exact(s, e), "That is the speedup at that point; the exercise asks for the cores."),
)  # fmt: skip

MOST_CORES = Exercise("01", "how many cores pay", judges.by_function(
    "most_cores(serial, efficiency)", "a number of cores",
    # of one core each keeps the whole; the last but one is met exactly, by 9 cores
    lambda: ((0.03, 0.5), (0.07, 0.6), (0.24, 0.5), (0.013, 0.8), (0.2, 0.9), (0.125, 0.5), (0.5, 1.0)),
    lambda s, e: math.floor(_exact(s, e)),
    *((lambda s, e, f=formula, whole=whole: whole(f(s, e)), said)
      for formula, said in _CORE_MISTAKES for whole in (float, math.floor, round)),
    otherwise=_not_enough, within=1e-9,
    yes="Yes: efficiency is 1/(1 + s(n − 1)). With a serial share of 3 %, 35 cores are over half idle.",
), (
    "Speedup over cores is 1/(s n + 1 − s). What happens to it when n grows by one?",
    "Set it equal to the efficiency, solve for n, and think about which way to round.",
))  # fmt: skip

_SIGNATURE = ("predict_throughput(gpus, throughput, target)", "a number of sequences a second")


def _programs() -> list[tuple[list[int], list[float], int]]:
    """Cases of two modelled programs: numbers of GPUs, their throughput, and the target."""
    counts = [1, 2, 4, 8]
    curves = [[one * float(Amdahl(serial).speedup(n)) for n in counts]
              for serial, one in ((0.05, 80.0), (0.15, 2400.0))]  # fmt: skip
    return [(counts, speeds, target) for speeds in curves for target in (16, 32)]


def _serial(counts: list[int], speeds: list[float]) -> float:
    """The serial share that the last of these points gives."""
    return serial_fraction(counts[-1], speeds[-1] / speeds[0])


def _amdahl(counts: list[int], speeds: list[float], target: int) -> float:
    return speeds[0] * float(Amdahl(_serial(counts, speeds)).speedup(target))


def _gustafson(counts: list[int], speeds: list[float], target: int) -> float:
    found = fit(Gustafson, counts, speeds)
    assert isinstance(found, Fit)
    return found.speed_of_one * float(found.law.speedup(target))


def _line(counts: list[int], speeds: list[float], target: int, degree: int = 1) -> float:
    return float(numpy.polyval(numpy.polyfit(counts, speeds, degree), target))


def _off(value: float, counts: list[int], speeds: list[float], target: int) -> str:
    off = value / _amdahl(counts, speeds, target) - 1
    return (
        f"On a program with a serial share of {_serial(counts, speeds):.0%} your prediction for {target} is "
        f"{abs(off):.0%} too {'high' if off > 0 else 'low'}. Which law did you continue?"
    )


def _published(counts: list[int], speeds: list[float], _: int) -> float:
    """The throughput published for 16 GPUs on the curve that these points begin."""
    curves = (curve for curve in scaling_rows.CURVES if shown(curve) == (counts, speeds))
    return scaling_rows.published(next(curves))[-1].value


_NO_CURVE = ("The fit gave no curve: a law needs two points more than it has unknowns, and only three are "
             "shown. The USL has two unknowns; Amdahl's law has one.")  # fmt: skip

SIXTEEN = Exercise("01", "sixteen from eight", judges.in_turn(
    judges.by_function(
        *_SIGNATURE, _programs, _amdahl,
        (lambda n, v, t: v[0] * t, "That is the ideal line: efficiency falls with each device."),
        (lambda n, v, t: v[-1] * t / n[-1], "You kept the efficiency of eight devices; it falls on."),
        (lambda n, v, t: _line(n[-2:], v[-2:], t), "You continued the last stretch as a straight line; "
         "each further device adds less than the one before."),
        (lambda n, v, t: _line(n, v, t, 2), "A parabola bends down beyond the points and ends below "
         "zero; throughput does not. Use Amdahl."),
        (_line, "You fitted a straight line, which has no ceiling; use Amdahl."),
        (lambda n, v, t: _amdahl(n, v, t) / v[0], "That is a speedup: multiply by the speed of one."),
        (lambda n, v, t: v[-1], "You gave back the last measured value, as if more added nothing."),
        (lambda n, v, t: v[0] / _serial(n, v), "That is the limit for endlessly many devices."),
        (_gustafson, "You used Gustafson's law, but the work does not grow here: use Amdahl's."),
        (lambda n, v, t: _amdahl(n, v, 16), "You always predict for 16: use `target`."),
        otherwise=_off, within=0.15,
    ),
    judges.by_function(
        *_SIGNATURE, lambda: [(*shown(curve), 16) for curve in scaling_rows.CURVES], _published,
        within=0.15, stopped=lambda stop: _NO_CURVE if "NoCurve" in stop else stop,
        otherwise=lambda value, *case: "On the published curve that begins at "
        f"{case[1][0]:g} sequences/s your prediction is {abs(value / _published(*case) - 1):.0%} off.",
        yes="You predict {0:.0f} sequences/s on 16 GPUs; {right[0]:.0f} were published. The ideal line would "
        "pass here too, for this machine scales well; on a program with a serial share of 15 % it would be "
        "more than three times too high.",
    ),
), (
    "Turn throughput into speedup, find the law's parameter from the points, then go to the target.",
    "scaling.serial_fraction(n, speedup) gives s from one point, and a fit takes all of them: "
    "scaling.fit(scaling.Amdahl, gpus, throughput).",
    "The answer is a throughput again. With found = scaling.fit(scaling.Amdahl, gpus, throughput) it is "
    "found.speed_of_one * found.law.speedup(target).",
))  # fmt: skip

_RAYS = {row.parameters["processors"]: 1 / row.value
         for row in next(iter(scaling_rows.larger_machines().values()))}  # fmt: skip
_ALLOWED = [count for count in _RAYS if count < 64]


def _cost(counts: Iterable[int]) -> float:
    """Processor-seconds of a run on each of these `counts` of processors; one processor takes a second."""
    return sum(count * _RAYS[1] / _RAYS[count] for count in counts)


def _forecast(answer: object) -> SimpleNamespace:
    """The cost of runs on the counts in `answer`, and the error of Amdahl's law, fitted to them, at 64."""
    counts = sorted(set(answer)) if isinstance(answer, list | tuple | set) else []
    if not counts or not set(counts) <= set(_ALLOWED):
        may = f"The answer is a list of some of {', '.join(map(str, _ALLOWED))}."
        raise ValueError(f"64 is what you forecast. {may}" if 64 in counts else may)
    found = fit(Amdahl, counts, [_RAYS[count] for count in counts])
    if isinstance(found, NoCurve):
        raise ValueError(found.reason)
    off = found.speed_of_one * float(found.law.speedup(64)) / _RAYS[64] - 1
    return SimpleNamespace(off=abs(off), way="high" if off > 0 else "low", cost=round(_cost(counts), 2))


_FORECAST = (
    "Your runs cost {f.cost:.2f} processor-seconds, and the forecast for 64 is {f.off:.0%} too {f.way}. "
)

CHEAPEST = Exercise("01", "the cheapest forecast", judges.by_facts(
    _forecast, (lambda f: f.off > 0.1, _FORECAST + "It has to come within 10 %."),
    yes=_FORECAST + f"All ten cost {_cost(_ALLOWED):.1f}; our par is {_cost((1, 12, 20)):.2f}.",
    score=("cost", "processor-seconds"),
), (
    "How many different numbers of processors does Amdahl's law need at least, and which is always one?",
    "Points near 1 cost little and say little of 64; one must lie far enough out. Try a few.",
))  # fmt: skip
