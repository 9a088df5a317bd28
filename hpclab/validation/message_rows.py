"""Tables `osu_*.csv`: OSU micro-benchmarks of MPI between two processes, predicted by `models.mpi`.

Latency in seconds, bandwidth in bytes/s (OSU's MB are 10⁶ bytes). A collective is placed only where the row
says how many processes took part; osu_mbw_mr is taken to be one pair of them.
"""

from __future__ import annotations

import re

from hpclab.machine import catalogue
from hpclab.models.mpi import Fabric, framing
from hpclab.validation import placing
from hpclab.validation.score import NotPlaced, Observation
from hpclab.validation.tables import Row, Table

_UNITS = {"us": ("s", 1e-6), "ms": ("s", 1e-3), "s": ("s", 1.0), "mb/s": ("B/s", 1e6), "gb/s": ("B/s", 1e9)}
_TESTS = {  # words of the benchmark's name or title -> what is predicted, its quantity
    "bidirectional": "both", "bi-directional": "both", "bibw": "both", "all-to-all": "exchange",
    "alltoall": "exchange", "osu_latency": "one way", "mpi latency": "one way", "osu_bw": "stream",
    "mpi bandwidth": "stream", "mbw_mr": "stream",
}  # fmt: skip
_QUANTITY = {"one way": "latency", "stream": "bandwidth", "both": "bandwidth", "exchange": "time"}
_LATENCIES = {  # family -> the catalogue's link whose latency of the smallest message is taken
    "infiniband": "infiniband-hdr100", "efa": "roce-50g", "roce": "roce-50g", "ethernet": "roce-50g",
    "omni-path": "omni-path-100", "slingshot": "slingshot-11", "aries": "aries",
}  # fmt: skip
_ALONE = {"omni-path": 100.0, "slingshot": 200.0}  # Gb/s where the name alone says the rate
Case = tuple[str, str, int]  # what is predicted, the words that name the fabric, ranks (0: not said)


def read(table: Table) -> list[Observation]:
    """An observation for each row; ValueError names the file, row and field that is wrong."""
    table.need("system", "test", "size_bytes", "value", "unit")
    return [_observed(row) for row in table.rows]


def _observed(row: Row) -> Observation:
    test, unit = row.text("test").lower(), row.text("unit").lower()
    if unit not in _UNITS:
        raise ValueError(
            f"{row.table}, row {row.number}: unit must be one of {', '.join(_UNITS)}, not {unit!r:.60}."
        )
    what = next((kind for words, kind in _TESTS.items() if words in test), "collective")
    words = " ".join(row.text(column) for column in ("network", "system", "stack"))
    nodes = re.search(r"-N ?(\d+)", row.text("command"))
    kind, scale = _UNITS[unit]
    size = row.value("size_bytes", 1 if kind == "B/s" else 0, 2**50)
    value = row.value("value", 1e-12, 1e15) * scale
    case: Case = (what, words, int(nodes[1]) if nodes else 0)
    quantity = _QUANTITY.get(what, "time" if kind == "s" else "bandwidth")
    return Observation(row, quantity, value, kind, size, (words, test), case)


def fabric(words: str) -> Fabric:
    """The fabric that the words of a row name; NotPlaced where family or rate are not among them."""
    family = placing.family(words)
    if not family:
        raise NotPlaced("its network is not named, or not one that the course knows")
    if family == "tcp":
        raise NotPlaced("the kernel's TCP has no model of single messages here yet")
    link = catalogue.entry("link", _LATENCIES[family])
    if family == "aries":
        return Fabric(link.title, link.value("latency"), link.value("measured_bandwidth"))
    found = placing.rate(words)
    if found is None and family not in _ALONE:
        raise NotPlaced("the rate of its network is not stated")
    line = found.each if found else _ALONE[family] * 1e9 / 8
    share = framing({"ethernet": "roce"}.get(family, family))
    return Fabric(family, link.value("latency"), line * share)


def predict(observation: Observation) -> float:
    """Seconds or bytes/s, as the observation's unit."""
    what, words, ranks = observation.case
    place = fabric(words)
    if what == "one way":
        return place.one_way(observation.size)
    if what in ("stream", "both"):
        return place.stream(observation.size) if what == "stream" else place.both_ways(observation.size)
    if what == "exchange" and ranks:
        return place.exchange(observation.size, ranks)
    raise NotPlaced(f"how many processes took part in {observation.row.text('test')} is not stated")
