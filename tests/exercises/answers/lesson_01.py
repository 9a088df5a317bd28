"""Lesson 01: right answers, each written in its own way, and the wrong ones a learner is likely to give."""

from fractions import Fraction

import numpy

from hpclab.models import scaling


def cores_by_counting(serial, efficiency):
    cores = 1
    while 1 / (serial + (1 - serial) / (cores + 1)) / (cores + 1) >= efficiency:
        cores += 1
    return cores


def cores_endless(serial, efficiency):
    cores = 1
    while scaling.Amdahl(serial).speedup(cores) >= efficiency:
        cores += 1
    return cores


def sixteen_fitted(law):
    def predict(gpus, throughput, target):
        found = scaling.fit(law, gpus, throughput)
        return found.speed_of_one * float(found.law.speedup(target))

    return predict


def sixteen_from_the_last_point(gpus, throughput, target):
    speedup = throughput[-1] / throughput[0]
    serial = (gpus[-1] / speedup - 1) / (gpus[-1] - 1)
    return throughput[0] / (serial + (1 - serial) / target)


def sixteen_last_stretch(gpus, throughput, target):
    slope = (throughput[-1] - throughput[-2]) / (gpus[-1] - gpus[-2])
    return throughput[-1] + slope * (target - gpus[-1])


def sixteen_power_law(gpus, throughput, target):
    slope, start = numpy.polyfit(numpy.log(gpus), numpy.log(throughput), 1)
    return float(numpy.exp(start + slope * numpy.log(target)))


def sixteen_looked_up(gpus, throughput, target):
    from hpclab.validation.scaling_rows import published

    return published()[-1].value


RIGHT = {
    "SERIAL_SHARE": [0.2, Fraction(1, 5), (8 / (240 / 72) - 1) / 7],
    "MOST_CORES": [lambda serial, efficiency: int(1 + (1 / efficiency - 1) / serial), cores_by_counting],
    "SIXTEEN": [sixteen_fitted(scaling.Amdahl), sixteen_from_the_last_point],
}

WRONG = {
    "SERIAL_SHARE": [
        (20, "per cent"),
        (0.8, "parallel share"),
        (72 / 240, "an eighth of the parallel part"),
        (240 / 72, "speedup"),
        (240 / 72 / 8, "efficiency"),
        (1 - 240 / 72 / 8, "efficiency lost"),
        (42 / 240, "beyond the ideal"),
        (5, "the limit"),
        (2 / 3, "Gustafson"),
        (0.25, "would take 82 s"),
        (48, "in seconds"),
        (-0.1, "from 0 to 1"),
        ("20 %", "from 0 to 1"),
        ("0.1", "must be a number"),
        (float("nan"), "must be a number"),
    ],
    "MOST_CORES": [
        (lambda serial, efficiency: 1 + (1 / efficiency - 1) / serial, "whole"),
        (lambda serial, efficiency: numpy.ceil(1 + (1 / efficiency - 1) / serial), "rounded up"),
        (lambda serial, efficiency: int((1 / efficiency - 1) / serial), "one core short"),
        (lambda serial, efficiency: 1 / serial, "highest speedup"),
        (lambda serial, efficiency: (1 - efficiency) / serial, "straight line"),
        (lambda serial, efficiency: int(efficiency / serial), "speedup over cores"),
        (cores_endless, "did not finish"),
        (lambda serial, efficiency: 12, "efficiency there is"),
        (lambda serial: 12, "TypeError"),
        (34, "The answer is a function"),
    ],
    "SIXTEEN": [
        (lambda gpus, throughput, target: throughput[0] * target, "ideal line"),
        (lambda gpus, throughput, target: throughput[-1] * target / gpus[-1], "efficiency of eight"),
        (sixteen_last_stretch, "last stretch"),
        (
            lambda gpus, throughput, target: float(numpy.polyval(numpy.polyfit(gpus, throughput, 1), target)),
            "straight line",
        ),
        (
            lambda gpus, throughput, target: (
                sixteen_from_the_last_point(gpus, throughput, target) / throughput[0]
            ),
            "That is a speedup",
        ),
        (sixteen_fitted(scaling.Gustafson), "Gustafson"),
        (
            lambda gpus, throughput, target: sixteen_from_the_last_point(gpus, throughput, 16),
            "always predict for 16",
        ),
        (lambda gpus, throughput, target: throughput[-1], "last measured value"),
        (sixteen_power_law, "too high"),
        (sixteen_fitted(scaling.USL), "USL has two unknowns"),
        (
            lambda gpus, throughput, target: float(numpy.polyval(numpy.polyfit(gpus, throughput, 2), target)),
            "ends below zero",
        ),
        (sixteen_looked_up, "cannot use hpclab.validation"),
        (lambda gpus, throughput, target: "about 3000", "must be a number"),
        (3078, "The answer is a function"),
    ],
}

OWN = {
    "SERIAL_SHARE": [scaling.serial_fraction],
    "MOST_CORES": [scaling.serial_fraction],
    "SIXTEEN": [scaling.fit],
}

SOLUTION = {"SERIAL_SHARE": "answer", "MOST_CORES": "most_cores", "SIXTEEN": "predict_throughput"}
