"""Convert text with units to SI numbers (bytes, seconds, FLOP) and back. 1 GiB is 2**30 bytes, 1 GB 10**9."""

import math
import re

from hpclab import checks

_BINARY = {"": 1, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50}
_DECIMAL = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
_SECONDS = {
    "ns": 1e-9, "µs": 1e-6, "us": 1e-6, "ms": 1e-3, "s": 1.0,
    "min": 60.0, "h": 3600.0, "d": 86400.0,
}  # fmt: skip


def parse_bytes(text: str | float) -> int:
    """Bytes from ``"16 GiB"``, ``"1.5MB"``, ``"4096"`` or a number of bytes; ValueError otherwise."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:([KMGTP]i)?B?|([kKMGTP])B|B)\s*", str(text))
    if not match:
        raise ValueError(
            f"{checks.shown(text)} is not a size: write a number and a unit, such as 16 GiB or 500 MB."
        )
    scale = _BINARY[match[2]] if match[2] else _DECIMAL[match[3] or ""]
    return round(float(match[1]) * scale)


def format_bytes(size: float, *, binary: bool = True) -> str:
    """``"1.5 GiB"`` (or, with ``binary=False``, ``"1.61 GB"``) from a number of bytes."""
    base, prefixes = (1024.0, list(_BINARY)) if binary else (1000.0, ["", "k", "M", "G", "T", "P"])
    return _scaled("The size", size, base, prefixes, "B")


def parse_seconds(text: str | float) -> float:
    """Seconds from ``"2 h"``, Slurm's ``mm:ss``, ``hh:mm:ss``, ``days-hh[:mm[:ss]]``, or a number."""
    source = str(text).strip()
    clock = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d{1,2}))?(?::(\d{1,2}))?", source)
    if clock and (clock[1] or clock[3]):
        days, first, second, third = (int(part or 0) for part in clock.groups())
        if clock[4] is None and clock[1] is None:  # Slurm reads mm:ss, not hh:mm
            return first * 60.0 + second
        return days * 86400.0 + first * 3600.0 + second * 60.0 + third
    match = re.fullmatch(r"(\d+(?:\.\d+)?(?:e-?\d+)?)\s*([a-zµ]*)", source)
    if not match or (match[2] or "s") not in _SECONDS:
        raise ValueError(
            f"{checks.shown(text)} is not a duration: write a number and a unit, such as 90 s, 2 h or "
            "00:10:00."
        )
    return float(match[1]) * _SECONDS[match[2] or "s"]


def format_seconds(seconds: float) -> str:
    """``"12.3 ms"``, ``"1.5 s"``, ``"3 min 20 s"`` or ``"2 h 5 min"``."""
    seconds = _number("The duration", seconds)
    if not math.isfinite(seconds):
        return str(seconds)
    if seconds < 0:
        return "-" + format_seconds(-seconds)
    if seconds == 0:
        return "0 s"
    for limit, scale, unit in ((1e-6, 1e-9, "ns"), (1e-3, 1e-6, "µs"), (1.0, 1e-3, "ms"), (60.0, 1.0, "s")):
        if seconds < limit * 0.9995:
            return f"{_three_digits(seconds / scale)} {unit}"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def format_flops(operations: float, *, per_second: bool = False) -> str:
    """``"312 TFLOP"`` or, as a rate, ``"312 TFLOP/s"`` from floating-point operations (per second)."""
    unit = "FLOP/s" if per_second else "FLOP"
    return _scaled("The operations", operations, 1000.0, ["", "k", "M", "G", "T", "P", "E"], unit)


def _number(name: str, value: object) -> float:
    """`value` as a float; infinity and NaN are not refused, so that they can be formatted."""
    return math.nan if value != value else checks.number(name, value, -math.inf, math.inf)


def _scaled(name: str, value: float, base: float, prefixes: list[str], unit: str) -> str:
    value = _number(name, value)
    if not math.isfinite(value):
        return f"{value} {unit}"
    index = 0
    while abs(value) >= base * 0.9995 and index < len(prefixes) - 1:
        value /= base
        index += 1
    return f"{_three_digits(value)} {prefixes[index]}{unit}"


def _three_digits(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 99.95 else f"{value:.3g}"
