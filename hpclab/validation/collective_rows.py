"""Tables `nccl_*.csv`: collectives between GPUs, their times or bandwidths, predicted by `models.nccl`.

A row is a time wherever it can be: in place if the table has that, else out of place, else worked out from
the bandwidth. Rows without a size (a peak, a spread over pairs of nodes) are bandwidths, at the size that the
row names or that nccl-tests' sweeps end with.
"""

import re
from dataclasses import dataclass

from hpclab.models import nccl
from hpclab.models.communication import predict as predicted
from hpclab.models.formulas import bus_factor
from hpclab.models.nccl_links import NETWORKS, NVLINKS, TORCH_CALL
from hpclab.validation import placing
from hpclab.validation.score import NotPlaced, Observation
from hpclab.validation.tables import Row, Table

_TIMES = {"time_us_in_place": 1e-6, "time_median_s": 1.0, "time_us": 1e-6, "time_us_out_of_place": 1e-6}
_BANDWIDTHS = ("busbw_in_place_gb_per_s", "busbw_gb_per_s", "algbw_gb_per_s")
_NAMES = {name.replace("_", ""): name for name in nccl.COLLECTIVES}
_SYSTEM, _NETWORK = ("system", "gpu", "topology"), ("network", "fabric", "interconnect")
_LARGEST = 16 * 2**30  # bytes where nccl-tests' sweeps end (-e 16G), for rows that give no size
# Not in the row and not a measurement: 45 pairs are all those of ten nodes, which are the ten of the source's
# table of collectives, whose fabric it takes to be 400 Gb/s per GPU. Of its other cluster nothing is said.
_TEN_NODES = "H100, 8/node, 400Gb/s per GPU"


@dataclass(frozen=True)
class Case:
    """What a row says: words of its `system` and `network`; GPUs, nodes and GPUs of a node (0: not said); the
    message's bytes. `nvls`: NVLink SHARP may be used; `copy`: it is a copy between two GPUs, no collective;
    `host`: seconds that the calling program adds to a call."""

    system: str
    network: str
    collective: str
    gpus: int
    nodes: int
    size: float
    per_node: int = 0
    nvls: bool = True
    copy: bool = False
    host: float = 0.0


def read(table: Table) -> list[Observation]:
    """An observation for each row; ValueError names the file, row and field that is wrong."""
    if "measurement" in table.columns:
        table.need("link", "measured_gb_per_s", "gpus")
        return [_peak(row) for row in table.rows]
    if "busbw_median" in table.columns:
        table.need("cluster", "test", "gpus_per_node", "nodes")
        return [_pair(row) for row in table.rows]
    table.need("gpus", "size_bytes")
    if not {*_TIMES, *_BANDWIDTHS}.intersection(table.columns):
        known = ", ".join((*_TIMES, *_BANDWIDTHS))
        raise ValueError(f"{table.name} has no column of times or bandwidths: one of {known}.")
    return [_timed(row) for row in table.rows]


def _timed(row: Row) -> Observation:
    """A row of a collective with a size: its time."""
    gpus = row.count("gpus", 1, 1_000_000, 0)
    nodes, per_node = row.count("nodes", 1, gpus or 1_000_000, 0), row.count("gpus_per_node", 1, 72, 0)
    name = collective(row.text("collective", "test") or "all_reduce")
    size = float(row.count("size_bytes", 0, 2**50))
    system, network = row.words(*_SYSTEM), row.words(*_NETWORK)
    # Bekman's all_reduce_bench.py, or where the row says so
    torch = "torch" in row.text("system").lower() or row.text("source").startswith("stas00")
    case = Case(system, network, name, gpus, nodes, size, per_node, host=TORCH_CALL if torch else 0.0)
    group = (f"{system} {network}", name, gpus, nodes)
    return Observation(row, "time", _time(row, case) if size else float("nan"), "s", size, group, case)


def _time(row: Row, case: Case) -> float:
    """Seconds of a call, from its time or its bandwidth; NaN where the bandwidth is rounded to 0."""
    for column, unit in _TIMES.items():
        if row.text(column):
            return row.value(column, 1e-9, 1e12) * unit
    column = next((c for c in _BANDWIDTHS if row.text(c)), _BANDWIDTHS[1])
    rate = row.value(column, 0, 1e6) * 1e9
    gpus = case.gpus or case.nodes * case.per_node
    known = gpus > 1 and case.collective in nccl.COLLECTIVES
    factor = bus_factor(case.collective, gpus) if "bus" in column and known else 1.0
    return case.size * factor / rate if rate > 1e3 else float("nan")


def _peak(row: Row) -> Observation:
    """Read a row of peak bandwidths on one node, whose field `link` is such as "H100 NVLink4"."""
    words, link = row.text("measurement"), row.text("link")
    copy = "p2p" in words.lower()
    gpus = 2 if copy else row.count("gpus", 1, 1_000_000, 0)
    found = re.search(r"(\d+) ?([KMG])iB", words)
    size = int(found[1]) * 2.0 ** {"K": 10, "M": 20, "G": 30}[found[2]] if found else _LARGEST
    name = "send_recv" if copy else collective(words.partition(" ")[0])
    case = Case(link, "", name, gpus, 1, size, 0, "nvls off" not in words.lower(), copy)
    value = row.value("measured_gb_per_s", 1e-9, 1e6) * 1e9
    return Observation(row, "bandwidth", value, "B/s", size, (words, link), case)


def _pair(row: Row) -> Observation:
    """A row of the median bus bandwidth over groups of nodes of a `cluster`."""
    nodes, per_node = row.count("nodes", 1, 100_000), row.count("gpus_per_node", 1, 72)
    name, cluster = collective(row.text("test")), row.text("cluster")
    known = cluster == "cluster01" and row.text("source") == "nccl_tests_cluster"
    words = row.text("system") or (_TEN_NODES if known else "H100")
    case = Case(words, row.words(*_NETWORK), name, nodes * per_node, nodes, _LARGEST, per_node)
    value = row.value("busbw_median", 1e-9, 1e6) * 1e9
    return Observation(row, "bandwidth", value, "B/s", _LARGEST, (cluster, name, per_node, nodes), case)


def collective(text: str) -> str:
    """The model's name of a collective: ``"all_gather"`` for "AllGather"; `text` itself if it has none."""
    return _NAMES.get(re.sub(r"[^a-z]", "", text.lower()).removesuffix("perf"), text)


def job(case: Case) -> nccl.Job:
    """The hardware of a row as the model takes it; NotPlaced where the row does not say enough."""
    if case.collective not in nccl.COLLECTIVES:
        known = ", ".join(nccl.COLLECTIVES)
        raise NotPlaced(f"{case.collective!r:.40} is no collective of the model: {known}")
    words = placing.read(case.system, case.network)
    nvlink = NVLINKS[words.nvlink]
    words.refuse_unknown("system", "network")
    if "gb200" in words.names["GPU"] and not case.copy:
        raise NotPlaced("the GPUs of gb200 are joined beyond their node, for which there is no model here")
    gpus, nodes, size = words.layout(case.gpus, case.nodes, case.per_node)
    in_use = gpus // nodes
    if "gh200" in words.names["GPU"] and max(in_use, size) > 4:
        raise NotPlaced("how more than four GH200 are joined in a node is not known here")
    node = max(size or placing.node_size(words), in_use)
    nvls = case.nvls and "nvls off" not in words.names["remark"]
    if nodes == 1:
        return nccl.Job(nvlink, gpus, node_gpus=node, host=case.host, nvls=nvls)
    rate = words.node_bandwidth(in_use, size)
    if rate is None:
        raise NotPlaced("the network between its nodes, or that network's rate, is not stated")
    if words.family in ("ethernet", "aries"):
        raise NotPlaced(f"whether NCCL went over {words.family} by RoCE, EFA or TCP is not stated")
    network = NETWORKS.get(words.family, NETWORKS["rdma"])
    return nccl.Job(nvlink, gpus, nodes, network, rate, node, case.host, nvls)


def predict(observation: Observation) -> float:
    """Seconds, or where the row is a bandwidth, bus bandwidth in bytes/s."""
    case: Case = observation.case
    place = job(case)
    time = predicted(nccl.COPY if case.copy else case.collective, case.size, place).seconds
    rate = bus_factor(case.collective, place.gpus) * case.size / time
    return time if observation.unit == "s" else rate
