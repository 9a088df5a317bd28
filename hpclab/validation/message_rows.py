"""Tables `osu_*.csv`: OSU micro-benchmarks of MPI, between two processes and of collectives.

OSU's MB are 10⁶ bytes. A bandwidth or latency test always has two processes; a collective is placed only
where the row says how many took part. osu_mbw_mr is taken to be one pair.
"""

import re

from hpclab.machine import catalogue
from hpclab.models import mpi
from hpclab.models.communication import predict as predicted
from hpclab.models.nccl_links import NVLINKS
from hpclab.schedules.schedule import COLLECTIVES
from hpclab.validation import placing
from hpclab.validation.score import NotEnoughSaid, NotPlaced, Observation
from hpclab.validation.tables import Row, Table

_UNITS = {"us": ("s", 1e-6), "ms": ("s", 1e-3), "s": ("s", 1.0), "mb/s": ("B/s", 1e6), "gb/s": ("B/s", 1e9)}
_TESTS = {  # a benchmark's name or title, its letters alone -> what is predicted; the first that fits
    r"latency$": "ping_pong", r"bw$|bandwidth|mbwmr$": "stream", r"bibw$|bidirectional": "both_ways",
    r"alltoall": "all_to_all", r"allreduce": "all_reduce", r"allgather": "all_gather",
    r"reducescatter": "reduce_scatter", r"b(?:road)?cast": "broadcast", r"reduce": "reduce",
    r"i?(?:gather|scatter|barrier)": "another collective",
}  # fmt: skip
_QUANTITY = {"ping_pong": "latency", "stream": "bandwidth", "both_ways": "bandwidth"}
_EACH = ("all_to_all", "all_gather")  # of which OSU gives the bytes to or from each process
_LINKS = {  # family -> the catalogue's link whose latency of the smallest message is taken
    "infiniband": "infiniband-hdr100", "efa": "roce-50g", "roce": "roce-50g", "ethernet": "roce-50g",
    "omni-path": "omni-path-100", "slingshot": "slingshot-11", "aries": "aries", "tcp": "ethernet-100g",
}  # fmt: skip
_ALONE = ("omni-path", "slingshot", "aries")  # the name alone says the rate: the catalogue's
_GPU = r"\b(?:cuda|rocm|gpu|device)\b|\bd d\b"  # in a test's name or case
_GPU_ASKED = r"-d (?:cuda|rocm)\b|\bD D\b"  # in a command, which may also ask for nodes with GPUs
Case = tuple[str, tuple[str, str, str], int, bool]
"""What is predicted; words of system, network and stack; ranks (0: not said); whether in GPU memory."""


def read(table: Table) -> list[Observation]:
    """An observation for each row; ValueError names the file, row and field that is wrong."""
    table.need("system", "test", "size_bytes", "value", "unit")
    return [_observed(row) for row in table.rows]


def _observed(row: Row) -> Observation:
    test, unit = row.text("test").lower(), row.text("unit").lower()
    letters = re.sub(r"\b(?:osu|mpi|cuda|rocm|test|[dhm])\b|\bv\d[\d.]*|[^a-z]", "", test.replace("_", " "))
    if unit not in _UNITS:
        raise row.wrong("unit", f"one of {', '.join(_UNITS)}", f"{unit!r:.60}")
    what = next((known for name, known in _TESTS.items() if re.match(name, letters)), "")
    words = row.words("system", "case"), row.text("network"), row.text("stack")
    kind, scale = _UNITS[unit]
    size = float(row.count("size_bytes", 0, 2**50))
    value = row.value("value", 1e-12, 1e15) * scale if size or kind == "s" else float("nan")
    told, command = f"{test} {row.text('case').lower()}".replace("_", " "), row.text("command")
    gpus = bool(re.search(_GPU, told) or re.search(_GPU_ASKED, command))
    case: Case = (what, words, row.count("ranks", 1, 1_000_000, _ranks(command)), gpus)
    quantity = _QUANTITY.get(what, "time" if kind == "s" else "bandwidth")
    return Observation(row, quantity, value, kind, size, (words, test), case)


def _ranks(command: str) -> int:
    """Processes that a row's command starts: those it names, or one a node; 0 where it does not say."""
    if re.search(r"per-node|npernode|ppn|ppr|map-by", command):
        return 0
    named = [re.search(rf"(?<!\S)(?:{o})[ =]?(\d+)\b", command) for o in ("-np?|--ntasks", "-N|--nodes")]
    return next((int(found[1]) for found in named if found), 0)


def fabric(words: placing.Hardware, ranks: int = 2, gpus: bool = False) -> mpi.Fabric:
    """What joins `ranks` processes (`gpus`: in GPU memory); NotPlaced if network, rate or node is unknown."""
    words.refuse_unknown("network")
    if "inside" in words.names["remark"]:
        if gpus:
            return mpi.node_fabric(NVLINKS[words.nvlink].ring(2, placing.node_size(words)))
        if not {"gh200", "gb200"} & set(words.names["GPU"]):
            raise NotPlaced("how fast a core copies inside its node is only known of Grace here")
        return mpi.node_fabric(gpu_aware=True)
    family = words.family
    if not family:
        raise NotPlaced("its network is not named, or not one that the course knows")
    rate = next((rate for rate in words.rates() if rate), 0.0) * 1e9 / 8
    if not rate and family not in _ALONE:
        raise NotPlaced("the rate of its network is not stated")
    link = _LINKS[family]
    if rate == catalogue.entry("link", link).value("bandwidth"):
        rate = 0.0  # its bandwidth may have been measured
    return mpi.network_fabric(link, ranks, rate=rate, gpu_aware=bool(words.names["GPU"]), gpus=gpus)


def predict(observation: Observation) -> float:
    """Seconds or bytes/s, as the observation's unit."""
    what, fields, ranks, gpus = observation.case
    words, size = placing.read(*fields), observation.size
    test = f"{observation.row.text('test'):.40}"
    if what and what not in _QUANTITY and not ranks:
        raise NotEnoughSaid(f"how many processes took part in {test} is not stated")
    if what not in (*_QUANTITY, *COLLECTIVES):
        raise NotPlaced(f"{test!r} has no model here")
    place = fabric(words, ranks or 2, gpus)
    outside = "inside" not in words.names["remark"]
    if outside and what in ("stream", "both_ways") and max(words.numbers["ports"], default=1) > 1:
        raise NotPlaced("over how many of its ports the messages went is not stated")
    seconds = predicted(what, size * ranks if what in _EACH else size, place).seconds
    return seconds if observation.unit == "s" else (2 if what == "both_ways" else 1) * size / seconds
