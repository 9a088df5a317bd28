"""Counts, origins, doubts and names as figures and widgets say them."""

from hpclab.results import Origin
from hpclab.units import format_bytes


def counted(count: int, noun: str) -> str:
    """``"1 node"``, ``"2 nodes"``, ``"1,024 nodes"``."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def rate(bandwidth: float) -> str:
    """Bytes per second as text: ``"50 MB/s"``."""
    return f"{format_bytes(bandwidth, binary=False)}/s"


def unless_measured(origin: Origin) -> str:
    """Such as " (emulated)": what a title says of numbers that are not measured."""
    return f" ({origin})" * (origin is not Origin.MEASURED)


def numbered(count: int, unit: str) -> str:
    """``"1 process"``, ``"4 processes"``: `count` of the plural `unit`."""
    one = unit.removesuffix("es" if unit.endswith("sses") else "s")
    return f"{count:,} {one if count == 1 else unit}"


def spelled(name: str) -> str:
    """The field's spelling of a collective or an algorithm."""
    hyphens = {"all_reduce", "all_gather", "reduce_scatter", "all_to_all", "halving_doubling"}
    return name.replace("_", "-" if name in hyphens else " ")


def algorithm_of(collective: str, algorithm: str) -> str:
    """An algorithm and its collective in words: ``"Ring all-reduce"``."""
    return f"{spelled(algorithm)} {spelled(collective)}".capitalize()


def doubted(sentence: str, *doubts: str) -> str:
    """The first of the `doubts` (see `quality.doubt`) that is not empty, else `sentence`."""
    why = next(filter(None, doubts), "")
    return why[:1].upper() + why[1:] if why else sentence
