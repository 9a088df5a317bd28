"""Tables `osu_*.csv`: OSU micro-benchmarks of MPI between two processes, predicted by `models.mpi`.

Latency in seconds, bandwidth in bytes/s (OSU's MB are 10⁶ bytes). A collective is placed only where the row
says how many processes took part; osu_mbw_mr is taken to be one pair of them.
"""

from __future__ import annotations

import re

from hpclab.machine import catalogue
from hpclab.models.mpi import Fabric, framing
from hpclab.validation import placing
from hpclab.validation.placing import Hardware
from hpclab.validation.score import NotPlaced, Observation
from hpclab.validation.tables import Row, Table

_UNITS = {"us": ("s", 1e-6), "ms": ("s", 1e-3), "s": ("s", 1.0), "mb/s": ("B/s", 1e6), "gb/s": ("B/s", 1e9)}
_TESTS = {  # a benchmark's name or title, without OSU, MPI, test and version -> what is predicted
    "latency": "one way", "bw": "stream", "bandwidth": "stream", "mbw mr": "stream", "bibw": "both",
    "bidirectional bandwidth": "both", "bi directional bandwidth": "both", "alltoall": "exchange",
    "all to all": "exchange", "all to all personalized exchange latency": "exchange",
}  # fmt: skip
_QUANTITY = {"one way": "latency", "stream": "bandwidth", "both": "bandwidth", "exchange": "time"}
_LATENCIES = {  # family -> the catalogue's link whose latency of the smallest message is taken
    "infiniband": "infiniband-hdr100", "efa": "roce-50g", "roce": "roce-50g", "ethernet": "roce-50g",
    "omni-path": "omni-path-100", "slingshot": "slingshot-11", "aries": "aries",
}  # fmt: skip
_ALONE = {"omni-path": 100.0}  # Gb/s where the name alone says the rate
Case = tuple[str, tuple[str, str, str], int]  # what is predicted; system, network, stack; ranks or 0


def read(table: Table) -> list[Observation]:
    """An observation for each row; ValueError names the file, row and field that is wrong."""
    table.need("system", "test", "size_bytes", "value", "unit")
    return [_observed(row) for row in table.rows]


def _observed(row: Row) -> Observation:
    test, unit = row.text("test").lower(), row.text("unit").lower()
    name = " ".join(re.sub(r"\b(?:osu|mpi|test)\b|\bv\d[\d.]*|[^a-z]", " ", test.replace("_", " ")).split())
    if unit not in _UNITS:
        raise ValueError(
            f"{row.table}, row {row.number}: unit must be one of {', '.join(_UNITS)}, not {unit!r:.60}."
        )
    what = _TESTS.get(name, "collective")
    words = row.words("system", "case"), row.text("network"), row.text("stack")
    kind, scale = _UNITS[unit]
    size = float(row.count("size_bytes", 0, 2**50))
    value = row.value("value", 1e-12, 1e15) * scale if size or kind == "s" else float("nan")
    case: Case = (what, words, _ranks(row.text("command")))
    quantity = _QUANTITY.get(what, "time" if kind == "s" else "bandwidth")
    return Observation(row, quantity, value, kind, size, (words, test), case)


def _ranks(command: str) -> int:
    """Processes that a command starts: those it names, or one to each of its nodes; 0 where unsaid."""
    if re.search(r"per-node|npernode|ppn|ppr|map-by", command):
        return 0
    named = [re.search(rf"(?<!\S)(?:{o})[ =]?(\d+)\b", command) for o in ("-np?|--ntasks", "-N|--nodes")]
    return next((int(found[1]) for found in named if found), 0)


def fabric(words: Hardware) -> Fabric:
    """The fabric that the words of a row name; NotPlaced where family or rate are not among them."""
    words.understood("network")
    if "inside" in words.names["remark"]:
        raise NotPlaced("messages inside a node have no model here")
    family = words.family
    if not family:
        raise NotPlaced("its network is not named, or not one that the course knows")
    if family == "tcp":
        raise NotPlaced("the kernel's TCP has no model of single messages here yet")
    link = catalogue.entry("link", _LATENCIES[family])
    if family == "aries":
        return Fabric(link.title, link.value("latency"), link.value("measured_bandwidth"))
    rate = next((rate for rate in words.rates() if rate), _ALONE.get(family, 0))
    if not rate:
        raise NotPlaced("the rate of its network is not stated")
    share = framing({"ethernet": "roce"}.get(family, family))
    return Fabric(family, link.value("latency"), rate * 1e9 / 8 * share)


def predict(observation: Observation) -> float:
    """Seconds or bytes/s, as the observation's unit."""
    what, fields, ranks = observation.case
    words = placing.read(*fields)
    place = fabric(words)
    if what == "one way":
        return place.one_way(observation.size)
    if what in ("stream", "both"):
        if max(words.numbers["ports"], default=1) > 1:
            raise NotPlaced("over how many of its ports the messages went is not stated")
        return place.stream(observation.size) if what == "stream" else place.both_ways(observation.size)
    if what == "exchange" and ranks:
        return place.exchange(observation.size, ranks)
    if re.search("cuda|rocm| d d$", observation.row.text("test").lower()):
        raise NotPlaced("messages between the memories of GPUs have no model here")
    raise NotPlaced(f"how many processes took part in {observation.row.text('test')} is not stated")
