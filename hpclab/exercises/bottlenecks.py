"""Lesson 03, with pencil and paper: time and bound from bytes and operations, and what to change first.

hpclab.exercises.lesson_03.PREDICT, .CHANGE_FIRST
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from hpclab import checks
from hpclab.exercises import Exercise, Verdict
from hpclab.models.device import Device, from_catalogue
from hpclab.models.roofline import Work, predict
from hpclab.units import format_seconds

_BOUNDS = ("memory", "compute", "launch")
_WITHIN = {"memory": 0.15, "compute": 0.15, "launch": 0.5}
_ITEMS, _ROWS, _WIDE, _SIDE, _WEIGHTS, _FEW = 2**28, 2**15, 2**12, 2**13, 2**14, 10_000

KERNELS: Mapping[str, str] = {
    "scale and add": "y = 2.5 * x + y with 2**28 float32 numbers in each of x and y",
    "softmax": "of each row of 2**15 x 2**12 float32 numbers, read once, written once, 5 operations a number",
    "matrix product": "C = A @ B in BF16, 2**13 x 2**13 each, with every matrix once over the bus",
    "matrix times vector": "y = W @ x in BF16, W 2**14 x 2**14: a language model writes one token",
    "short add": "c = a + b with 10,000 float32 numbers in each",
}
"""What each kernel computes, in words: the bytes and operations are the reader's to count."""

_WORKS: Mapping[str, Work] = {
    "scale and add": Work(3 * 4 * _ITEMS, 2 * _ITEMS),
    "softmax": Work(2 * 4 * _ROWS * _WIDE, 5 * _ROWS * _WIDE),
    "matrix product": Work(3 * 2 * _SIDE**2, 2 * _SIDE**3, "bf16"),
    "matrix times vector": Work(2 * _WEIGHTS**2 + 4 * _WEIGHTS, 2 * _WEIGHTS**2, "bf16"),
    "short add": Work(3 * 4 * _FEW, _FEW),
}


def _predict(answer: object) -> Verdict:
    if not isinstance(answer, Mapping) or set(answer) != set(KERNELS):
        return Verdict(False, f"The answer is a dict with an entry for each of: {', '.join(KERNELS)}.")
    device = from_catalogue("h100-80gb")
    for name, work in _WORKS.items():
        bound, seconds = _pair(name, answer[name])
        right = predict(work, device)
        if abs(seconds / right.seconds - 1) > _WITHIN[right.bound]:
            return Verdict(False, f"{name}, {format_seconds(seconds)}: {_why(work, device, seconds)}")
        if bound != right.bound:
            return Verdict(False, f"{name}: the time is right, but the bound is not. {_other(work, device)}")
    return Verdict(
        True,
        "Of these five only the matrix product waits for the units. The same weights times one vector wait "
        "for memory: that is why a chat with one person leaves a GPU idle, and why servers batch.",
    )


def _pair(name: str, given: object) -> tuple[str, float]:
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise ValueError(f'{name}: write a pair, such as ("memory", 0.001): the bound and the seconds.')
    bound, seconds = given if isinstance(given[0], str) else given[::-1]
    bound = checks.choice(f"{name}: the bound", str(bound).lower(), _BOUNDS)
    return bound, checks.number(f"{name}: the time", seconds, 1e-12, 1e12, "s")


def _why(work: Work, device: Device, seconds: float) -> str:
    """The mistake that gives this time."""
    right = predict(work, device)
    roof, sold = device.roof(work.precision), device.roof(work.precision, "peak")
    start, size = device.launch_overhead, 4 if work.precision == "fp32" else 2
    if math.isclose(seconds, right.seconds * 1e3, rel_tol=0.5):
        return "that is a thousand times too long. Is it in milliseconds? Give seconds."
    if math.isclose(seconds, right.seconds * 1e6, rel_tol=0.5):
        return "that is a million times too long. Is it in microseconds? Give seconds."
    if right.bound == "launch":
        if seconds < right.seconds:
            return "memory alone would be as quick, but a kernel takes about 2.5 µs to start, however short."
        return "120 kB take far less than a launch, and a launch takes about 2.5 µs. Nothing is added to it."
    mistakes = [
        (work.bytes / size / roof.bandwidth, f"that counts numbers; each is {size} bytes."),
        (work.bytes * 2 / roof.bandwidth, "that is too many bytes a number."),
        (work.bytes * 2 / 3 / roof.bandwidth, "you left one of the three passes over memory out: x and y "
         "are read, and y is written."),
        (work.bytes / 2 / roof.bandwidth, "you counted only reads, or only writes: both cross the bus."),
        (work.flops / roof.rate, "that is the time for the operations alone. Memory takes longer, and a "
         "kernel takes the longer of the two."),
    ]  # fmt: skip
    if right.bound == "compute":
        mistakes = [
            (work.bytes / roof.bandwidth, "that is the time for the bytes alone. Operations take longer."),
            (work.flops / 2 / roof.rate, "a multiply and an add are two operations: 2 n³ in all."),
            (work.flops / sold.rate, "that is at the rate that is sold, which nobody reaches: take the "
             "achievable one."),
            *((work.flops / device.roof("fp32", basis).rate, "that is at the float32 rate, but the input is "
               "BF16.") for basis in device.bases),
        ]  # fmt: skip
    for wrong, hint in mistakes:
        if any(math.isclose(seconds, wrong + extra, rel_tol=0.03) for extra in (0.0, start)):
            return hint
    long = "long" if seconds > right.seconds else "short"
    return (
        f"too {long}. Count again: {work.bytes:.3g} bytes cross the bus, {work.flops:.3g} operations are "
        "done, and the longer of the two times counts."
    )


def _other(work: Work, device: Device) -> str:
    ridge, start = device.roof(work.precision).ridge, format_seconds(device.launch_overhead)
    if predict(work, device).bound == "launch":
        return f"Its bytes and its operations are done in far less than the {start} of a launch."
    side = "left" if work.intensity < ridge else "right"
    return (
        f"It does {work.intensity:.3g} operations for each byte, and the ridge of this roof lies at "
        f"{ridge:.3g}: {side} of it."
    )


PREDICT = Exercise(
    "time and bound",
    "lesson_03.KERNELS describes five kernels in words. For each: what bounds it on an H100 SXM, memory, "
    "compute or the launch, and how many seconds does it take, within 15 %? Use the achievable roofs.",
    _predict,
    (
        "Count the bytes that cross the bus and the operations, then divide by bandwidth and rate.",
        "The longer of the two times counts; and no kernel is quicker than its launch, about 2.5 µs.",
        "from_catalogue('h100-80gb').roof('bf16') has .bandwidth and .rate; a product does 2 n³ operations.",
    ),
)


PROFILES: Mapping[str, Mapping[str, float]] = {
    "A": {"needed": 3.22e9, "moved": 3.22e9, "operations": 2.7e8, "warps": 48, "seconds": 1.11e-3},
    "B": {"needed": 2.15e9, "moved": 9.66e9, "operations": 0, "warps": 64, "seconds": 1.08e-3},
    "C": {"needed": 2.0e8, "moved": 4.3e9, "operations": 1.37e11, "warps": 16, "seconds": 2.77e-3},
    "D": {"needed": 1.07e9, "moved": 1.07e9, "operations": 0, "warps": 8, "seconds": 2.8e-3},
    "E": {"needed": 4.9e4, "moved": 4.9e4, "operations": 4.1e3, "warps": 8, "seconds": 3.2e-6},
}
"""Five float32 kernels on an H100 SXM, modelled and rounded: bytes needed, bytes moved in sectors through the
last cache, operations, warps resident on a multiprocessor (of 64), seconds."""

_CHANGES = {
    "A": "join it with its neighbour",
    "B": "let neighbours touch neighbours",
    "C": "a lower precision",
    "D": "more loads under way",
    "E": "more work in each launch",
}
CHANGES = (*_CHANGES.values(), "fewer registers a thread")
"""What can be changed; one of these for each kernel, and one of them helps none."""

_EVIDENCE = {
    "A": "it moves 2.9 TB/s, all that memory gives, and only what it needs. Only fewer bytes make it quicker",
    "B": "its sectors hold 4.5 times the bytes that it needs, and go at 8.9 TB/s, all that the cache gives",
    "C": "it does 49.5 TFLOP/s, the whole float32 roof, while memory is at 3 % of its own",
    "D": "it moves 0.38 TB/s, an eighth of the roof, and wastes none: too few bytes are asked for at a time",
    "E": "its 49 kB would be moved in 17 ns. The rest of the 3.2 µs is the launch and one trip to memory",
}


def _change_first(answer: object) -> Verdict:
    if not isinstance(answer, Mapping) or {str(key).upper() for key in answer} != set(PROFILES):
        return Verdict(False, "The answer is a dict with one change for each of A, B, C, D and E.")
    given = {str(key).upper(): " ".join(str(value).lower().split()) for key, value in answer.items()}
    for kernel, change in sorted(given.items()):
        if change not in CHANGES:
            return Verdict(False, f"Kernel {kernel}: a change must be one of {'; '.join(CHANGES)}.")
        if change == _CHANGES[kernel]:
            continue
        why = f"Kernel {kernel}: {_EVIDENCE[kernel]}."
        if change == "fewer registers a thread":
            why += " Fewer registers make room for more warps, which helps only where warps are missing for "
            why += "want of room. "
            why += (
                "A kernel with no operation needs few registers." if kernel == "D" else "Here they are not."
            )
        return Verdict(False, why)
    return Verdict(
        True,
        "A stands at the memory roof, C at the compute roof; B is at the roof with bytes that nobody asked "
        "for; D and E reach no roof at all. Notice that C has a quarter of the warps there could be, and "
        "loses nothing by it.",
    )


CHANGE_FIRST = Exercise(
    "what to change first",
    "lesson_03.PROFILES holds the numbers of five kernels. Choose for each the change from lesson_03.CHANGES "
    "that goes for what it waits for.",
    _change_first,
    (
        "Divide first: moved / seconds against the bandwidth, operations / seconds against the rate.",
        "At a roof, ask whether the bytes are needed. At no roof, ask what else takes the time.",
    ),
)
