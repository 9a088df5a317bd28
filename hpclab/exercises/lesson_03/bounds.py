"""The judge of "time and bound": which count of bytes or operations a learner's time comes from."""

import math
from collections.abc import Mapping
from typing import Any

from hpclab import checks
from hpclab.exercises import Verdict, judges
from hpclab.models.device import Device, from_catalogue
from hpclab.models.roofline import Work, predict
from hpclab.units import format_seconds

KERNELS = {
    "scale and add": "y = 2.5 * x + y with 2**28 float32 numbers in each of x and y",
    "softmax": "of each row of 2**15 x 2**12 float32 numbers, read once, written once, 5 operations a number",
    "matrix product": "C = A @ B in BF16, 2**13 x 2**13 each, with every matrix once over the bus",
    "matrix times vector": "y = W @ x in BF16, W 2**14 x 2**14: a language model writes one token",
    "short add": "c = a + b with 10,000 float32 numbers in each",
}
"""What each kernel computes, in words: the bytes and operations are the reader's to count."""

_WORKS = {
    "scale and add": Work(3 * 4 * 2**28, 2 * 2**28),
    "softmax": Work(2 * 4 * 2**27, 5 * 2**27),
    "matrix product": Work(3 * 2 * 2**26, 2 * 2**39, "bf16"),
    "matrix times vector": Work(2 * 2**28 + 4 * 2**14, 2 * 2**28, "bf16"),
    "short add": Work(3 * 4 * 10_000, 10_000),
}


def by_bound_and_time(answer: object) -> Verdict:
    """Judge a dict with a pair for each of KERNELS: its bound and its seconds on an H100."""
    if not isinstance(answer, Mapping) or set(answer) != set(KERNELS):
        raise ValueError(f"The answer is a dict with an entry for each of: {', '.join(KERNELS)}.")
    device = from_catalogue("h100-80gb")
    for name, work in _WORKS.items():
        pair, right = answer[name], predict(work, device)
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise ValueError(f'{name}: write a pair, such as ("memory", 0.001): the bound and the seconds.')
        bound, seconds = pair if isinstance(pair[0], str) else pair[::-1]
        bound = checks.choice(f"{name}: the bound", str(bound).lower(), ("memory", "compute", "launch"))
        seconds = checks.number(f"{name}: the time", seconds, 1e-12, 1e12, "s")
        if abs(seconds / right.seconds - 1) > (0.1 if right.bound == "launch" else 0.03):
            return Verdict(False, f"{name}, {format_seconds(seconds)}: {_why(work, device, seconds)}")
        if bound != right.bound:
            return Verdict(False, f"{name}: the time is right, but the bound is not. {_other(work, device)}")
    return Verdict(True, (
        "Of these five only the matrix product waits for the units. The same weights times one vector wait "
        "for memory: that is why a chat with one person leaves a GPU idle, and why servers batch."
    ))  # fmt: skip


def _why(work: Work, device: Device, seconds: float) -> str:
    """A sentence: the mistake that gives `seconds` as the time of `work` on `device`."""
    right, roof = predict(work, device), device.roof(work.precision)
    best, moved, done = right.seconds, work.bytes / roof.bandwidth, work.flops / roof.rate
    size, sold = 2 if work.precision == "bf16" else 4, device.roof(work.precision, "peak")
    mistakes: tuple[tuple[str, Any, str], ...] = (
        ("", (best * 5e2, best * 2e3), "that is a thousand times too long. Is it in milliseconds? Give "
         "seconds."),
        ("", (best * 5e5, best * 2e6), "that is a million times too long. Is it in microseconds? Give "
         "seconds."),
        ("launch", (0, best), "memory would be as quick, but a kernel takes about 2.5 µs to start, however "
         "short."),
        ("launch", (0, math.inf), "120 kB take far less than a launch: about 2.5 µs, and hardly anything is "
         "added to it."),
        ("compute", moved, "that is the time for the bytes alone. Operations take longer."),
        ("compute", done / 2, "a multiply and an add are two operations: 2 n³ in all."),
        ("compute", work.flops / sold.rate, "that is at the rate that is sold, which nobody reaches: take "
         "the achievable one."),
        *(("compute", work.flops / device.roof("fp32", basis).rate, "that is at the float32 rate, but the "
           "input is BF16.") for basis in device.bases),
        ("compute, memory", moved + done, "that adds the two times. Bytes and operations overlap: the longer "
         "counts alone."),
        ("memory", work.bytes / sold.bandwidth, "that is at the bandwidth that is sold, which nobody "
         "reaches: take the achievable one."),
        ("memory", moved / size, f"that counts numbers; each is {size} bytes."),
        ("memory", moved * 2, "that is too many bytes a number."),
        ("memory", moved * 2 / 3, "you left out one of the three passes: x and y are read, and y is "
         "written."),
        ("memory", moved / 2, "you counted only reads, or only writes: both cross the bus."),
        ("memory", done, "that is the time for the operations alone. Memory takes longer, and the longer "
         "counts."),
    )  # fmt: skip
    known = [(target, said) for bounds, target, said in mistakes if not bounds or right.bound in bounds]
    for given in (seconds, seconds - device.launch_overhead):
        if said := next((said for wrong, said in known if judges.fits(given, wrong, 0.03)), ""):
            return said
    return (
        f"too {'long' if seconds > best else 'short'}. Count again: {work.bytes:.3g} bytes cross the bus, "
        f"{work.flops:.3g} operations are done, and the longer of the two times counts."
    )


def _other(work: Work, device: Device) -> str:
    """A sentence: why `work` has its bound and no other on `device`."""
    if predict(work, device).bound == "launch":
        start = format_seconds(device.launch_overhead)
        return f"Its bytes and its operations are done in far less than the {start} of a launch."
    ridge = device.roof(work.precision).ridge
    return (
        f"It does {work.intensity:.3g} operations for each byte, and the ridge of this roof lies at "
        f"{ridge:.3g}: {'left' if work.intensity < ridge else 'right'} of it."
    )
