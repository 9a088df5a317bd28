"""Lesson 01: right answers, each written in its own way, and the wrong ones a learner is likely to give."""

from fractions import Fraction

import numpy

from hpclab.models import scaling


def exactly(s, e):
    return 1 + (1 / e - 1) / s


def sixteen_fitted(law):
    def predict(gpus, throughput, target):
        found = scaling.fit(law, gpus, throughput)
        return found.speed_of_one * float(found.law.speedup(target))

    return predict


def from_the_last_point(n, v, t):
    serial = (n[-1] / (v[-1] / v[0]) - 1) / (n[-1] - 1)
    return v[0] / (serial + (1 - serial) / t)


def looked_up(n, v, t):
    from hpclab.validation.scaling_rows import published

    return published()[-1].value


RIGHT = {
    "SERIAL_SHARE": [0.2, Fraction(1, 5), (8 / (240 / 72) - 1) / 7],
    "MOST_CORES": [
        lambda s, e: int(exactly(s, e)),
        lambda s, e: max(n for n in range(1, 99) if 1 / (s + (1 - s) / n) / n >= e),
    ],
    "SIXTEEN": [sixteen_fitted(scaling.Amdahl), from_the_last_point],
    "CHEAPEST": [[1, 4, 16], (48, 1, 24)],
}  # fmt: skip

WRONG = {
    "SERIAL_SHARE": [
        (20, "per cent"), (0.8, "parallel share"), (72 / 240, "an eighth of the parallel part"),
        (240 / 72, "speedup"), (240 / 72 / 8, "efficiency"), (1 - 240 / 72 / 8, "efficiency lost"),
        (42 / 240, "beyond the ideal"), (5, "the limit"), (2 / 3, "Gustafson"), (0.25, "would take 82 s"),
        (numpy.array(20.0), "per cent"), (10**400, "must be a number from 0 to 1"),
        (48, "in seconds"), (-0.1, "from 0 to 1"), ("20 %", "from 0 to 1"),
        (float("nan"), "must be a number"),
    ],
    "MOST_CORES": [
        (exactly, "whole"), (lambda s, e: numpy.ceil(exactly(s, e)), "rounded up"),
        (lambda s, e: int(exactly(s, e) - 1), "one core short"), (lambda s, e: 1 / s, "highest speedup"),
        (lambda s, e: (1 - e) / s, "straight line"), (lambda s, e: int(e / s), "speedup over cores"),
        (lambda s, e: e * exactly(s, e), "That is the speedup at that point"), (lambda s, e: 0, "do no work"),
        (lambda s, e: 1 + (1 - e) / s, "falling in a straight line"),
        (lambda s, e: numpy.ceil(exactly(s, e)) - 1, "met exactly"), (lambda s, e: 12, "efficiency there is"),
    ],
    "SIXTEEN": [
        (lambda n, v, t: v[0] * t, "ideal line"), (lambda n, v, t: v[-1] * t / n[-1], "efficiency of eight"),
        (lambda n, v, t: v[-1] + (v[-1] - v[-2]) / (n[-1] - n[-2]) * (t - n[-1]), "last stretch"),
        (lambda n, v, t: float(numpy.polyval(numpy.polyfit(n, v, 2), t)), "ends below zero"),
        (lambda n, v, t: float(numpy.polyval(numpy.polyfit(n, v, 1), t)), "no ceiling"),
        (lambda n, v, t: from_the_last_point(n, v, t) / v[0], "That is a speedup"),
        (sixteen_fitted(scaling.Gustafson), "Gustafson"),
        (lambda n, v, t: from_the_last_point(n, v, 16), "always predict for 16"),
        (lambda n, v, t: from_the_last_point(n, v, 1e12), "endlessly many"),
        (lambda n, v, t: v[-1], "last measured value"), (lambda n, v, t: 2 * v[-1], "too high"),
        (sixteen_fitted(scaling.USL), "USL has two unknowns"), (looked_up, "cannot use hpclab.validation"),
        (lambda n, v, t: "about 3000", "must be a number"),
    ],
    "CHEAPEST": [
        ([1, 4, 4], "takes 3 different numbers"), ([4, 16, 32], "without a point at 1"),
        ([1, 32, 64], "64 is what you forecast"), ([1, 2, 16], "a list of some of"),
        ([1, 4, 12], "within 10 %"), (16, "a list of some of"),
    ],
}  # fmt: skip
