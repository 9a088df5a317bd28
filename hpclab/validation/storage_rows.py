"""Tables `storage_*.csv`: results of IO500 and of MLPerf Storage, predicted by `models.storage.predict`.

A benchmark is a Reading, and what a row says of servers, drives, network and clients a Store. A row that says
nothing of its servers can be placed by nobody. docs/validation.md gives the constants' reasons.
"""

import math
import re
from collections.abc import Sequence

from hpclab.machine import catalogue
from hpclab.models.storage import Reading, Server, Store
from hpclab.models.storage import predict as predicted
from hpclab.models.storage_presets import server
from hpclab.validation import placing, tables
from hpclab.validation.score import NotEnoughSaid, Observation, median_line
from hpclab.validation.tables import Row, Table

LINK = 0.9  # of a port, after headers and copying
PORTS = 1.2  # ports of a server: many have two
PROCESS = 0.7e9  # B/s of one process that reads or writes a file of its own
GATEWAY = 0.3  # of the bandwidth of file systems that go through a gateway or keep three copies
HARD = 47008  # bytes; IOR-hard's transfers into and out of one shared file
LOCKS = (4.3e3, 60e3)  # such writes/s of ten clients where data lie on disks, on flash
SHARED = (2.8e3, 45e3)  # such reads/s of a server, on disks and on flash
CLIENT = 28e3  # such reads/s of a client
NO_LOCKS = {True: 0.8, False: 0.6}  # of the easy test, writing or not, where the file system locks nothing
EPOCHS, BATCH = 0.96, 1e-3  # of the time an epoch's batches take; seconds of a batch's own beside computing
STEADY = 0.97  # of demand times utilisation, which is without a run's first batch
_GATEWAYS = r"ceph|suse|\bnfs|\bnas\b|scale.?out|qumulo|vast|isilon|orangefs|pvfs|gluster|yrcloud"
_SPREAD, _NOT_LOCKED = r"daos|madfs|bpfs|gekko", r"daos|madfs|bpfs|\bime\b"
_MDTEST = {  # 1000/s of a metadata server with data on disks, on flash; ms of a process with one, with all
    "mdtest_easy_write": (17, 35, 0.35, 0.13), "mdtest_easy_stat": (110, 250, 0.12, 0.13),
    "mdtest_easy_delete": (13, 32, 0.35, 0.22), "mdtest_hard_write": (12, 12, 1.0, 0.3),
    "mdtest_hard_read": (22, 95, 0.4, 0.2), "mdtest_hard_stat": (85, 110, 0.25, 0.15),
    "mdtest_hard_delete": (11, 13, 1.0, 0.25),
}  # fmt: skip
_SPEEDS = {  # of a metadata server beside Lustre's: changes of one shared directory, all else
    "beegfs": (0.7, 0.8), "gpfs|spectrum|storage scale|gridscaler": (1.0, 1.9), "weka": (0.3, 2.0),
    r"\bime\b": (1.3, 2.1), _GATEWAYS: (0.5, 0.6), "": (1.0, 1.0),
}  # fmt: skip
_MLPERF = ("io_throughput_gib_per_s_mean", "accelerator_utilisation_pct_mean")
_UNITS = {"gib_per_s": ("B/s", 2.0**30), "kiops": ("1/s", 1e3), "pct": ("1", 0.01)}
_RESULTS = ("ior_easy_write", "ior_easy_read", "ior_hard_write", "ior_hard_read", *_MDTEST, "io_throughput",
            "accelerator_utilisation")  # fmt: skip
_FLASH, _FAST = r"ssd|nvme|flash|xp|optane|pmem|scm", r"nvme|pci|xp|optane|pmem|scm|m\.2"
_DISKS = r"hdd|\bhd\b|nl-?sas|disk|sata|sas|standard"
_NETWORKS = {"ethernet": 40, "tcp": 40, "slingshot": 200}  # Gb/s of a port that is only named; others 100
_MICRON = {"9400": "nvme-pcie4", "6500": "nvme-pcie4-capacity", "9550": "nvme-pcie5"}


def read(table: Table) -> list[Observation]:
    """An observation for each result of each row; ValueError names the file, row and field that is wrong."""
    if "accelerator_emulated" in table.columns:
        table.need("system", "workload", "num_accelerators", "num_hosts", *_MLPERF)
    columns = (re.fullmatch(r"(\w+?)_(gib_per_s|kiops|pct)(_mean)?", column) for column in table.columns)
    results = [column for column in columns if column and column[1] in _RESULTS]
    if not results:
        raise ValueError(
            f"{table.name} has results neither of IO500 (columns ior_easy_write_gib_per_s ...) nor of MLPerf "
            "Storage (accelerator_emulated, io_throughput_gib_per_s_mean ...): no others are predicted."
        )
    found = []
    for row in table.rows:
        group = row.text("ds_storage_type") or row.words("workload", "accelerator_emulated")
        for column in results:
            if row.text(column[0]):
                unit, scale = _UNITS[column[2]]
                value = row.value(column[0], 0, 1e9) * scale or math.nan  # rounded to nothing
                found.append(Observation(row, column[1], value, unit, 1, group, None))
    return found


def baseline(observations: Sequence[Observation]) -> list[float]:
    """For each observation the median value of the same result in all rows with the same type of drives
    (MLPerf: the same workload and accelerator)."""
    return median_line(observations, lambda _: 1.0)


def predict(observation: Observation) -> float:
    """B/s, operations/s, or the accelerators' utilisation as a fraction; ValueError where not known."""
    if observation.quantity.startswith(("ior", "mdtest")):
        return _io500(observation.row, observation.quantity)
    demand, utilisation = _mlperf(observation.row)
    return demand * utilisation * STEADY if observation.unit == "B/s" else utilisation


def _servers(row: Row) -> tuple[int, str, float, float]:
    """How many servers, their drives' name in the catalogue, drives in each, and B/s of a port.

    More than 36 flash drives or 250 disks to a server are those of all servers.
    """
    if not row.text("ds_nodes", "ds_storage_devices", "ds_storage_type"):
        raise NotEnoughSaid("nothing is said of its servers: how many, with how many drives of which type")
    count, drives = min(4096, _count(row, "ds_nodes")), _count(row, "ds_storage_devices")
    kind, interface = row.text("ds_storage_type").lower(), row.text("ds_interface").lower()
    flash = re.search(_FLASH, kind) or (not kind and re.search(_FAST, interface))
    if not flash and not re.search(_DISKS, kind + interface):
        raise NotEnoughSaid(f"which type of drives {row.text('ds_storage_type')!r:.40} are is not known here")
    fast = "nvme-pcie3" if re.search(_FAST, kind + interface) else "ssd-sata"
    words = placing.read("", row.text("ds_network"))
    default = next((_NETWORKS[name] for name in words.names["family"] if name in _NETWORKS), 100)
    port = max(words.numbers["each"], default=default) * max(words.numbers["ports"], default=1) * 1e9 / 8
    each = drives / count if drives > (36 if flash else 250) else float(drives)
    return count, fast if flash else "hdd-nl-sas", each, port


def _count(row: Row, column: str) -> int:
    """The count that a field begins with: 12 for "12 All Flash"; NotEnoughSaid if none."""
    found = re.match(r"[1-9]\d{0,5}(?!\d)", row.text(column).replace(",", ""))
    if not found:
        raise NotEnoughSaid(f"its {column} is not stated")
    return int(found[0])


def _io500(row: Row, what: str) -> float:
    """Predict the result `what`, in B/s or operations/s: a Reading like IO500's on a Store like the row's."""
    servers, drive, drives, port = _servers(row)
    clients, flash = _count(row, "client_nodes"), drive != "hdd-nl-sas"
    called = row.words("filesystem", "fs_version", "system").lower()
    streams = min(4096, max(1, round(_count(row, "client_procs") / clients)))
    if what in _MDTEST:
        *rates, turn, spread = _MDTEST[what]
        speeds = next(both for name, both in _SPEEDS.items() if re.search(name, called))
        rate = 1e3 * rates[flash] * speeds[what not in ("mdtest_hard_write", "mdtest_hard_delete")]
        if "easy" in what:  # in directories of each process's own, which several metadata servers share
            rate *= (_count(row, "md_nodes") if re.match("[1-9]", row.text("md_nodes")) else 1) ** (1 / 3)
        turn, rate = (spread, math.inf) if re.search(_SPREAD, called) else (turn, rate)
        store = Store((Server(1),), rate, latency=turn / 1e3)
        return predicted(store, Reading(clients, streams, streams=streams)).files_per_second
    writing, gateway = "write" in what, GATEWAY if re.search(_GATEWAYS, called) else 1.0
    link = min(port * LINK, streams * PROCESS)
    bandwidth = server(drive, drives, port * PORTS, writing).bandwidth
    easy = Reading(clients, streams, 2.0**36, servers, streams=streams)
    most = gateway * predicted(Store((Server(bandwidth),) * servers, link=link), easy).bandwidth
    if "easy" in what:
        return most
    if flash and re.search(_NOT_LOCKED, called):
        return most * NO_LOCKS[writing]
    if writing:  # a lock goes from client to client: as one server of metadata would serve them
        store = Store((Server(bandwidth),), LOCKS[flash] * (clients / 10) ** (1 / 3))
    else:
        store = Store((Server(bandwidth, SHARED[flash]),) * servers, link=min(link, CLIENT * HARD))
    hard = predicted(store, Reading(clients, 1000 * streams, HARD, streams=streams)).bandwidth
    return min(most, hard * gateway**0.5)


def _mlperf(row: Row) -> tuple[float, float]:
    """B/s that the accelerators would take without ever waiting, and their utilisation."""
    which = (row.text("workload"), row.text("accelerator_emulated"))
    lines = tables.shipped("mlperf_storage_workloads.csv")
    work = next((line for line in lines if (line["workload"], line["accelerator"]) == which), None)
    if work is None:
        raise NotEnoughSaid(f"MLPerf Storage v1.0 has no workload {which[0]!r:.40} on {which[1]!r:.40}")
    accelerators, hosts = row.count("num_accelerators", 1, 10**6), row.count("num_hosts", 1, 10**6)
    size, seconds = float(work["record_length_bytes"]), float(work["computation_time_s_per_batch"])
    demand = accelerators * float(work["batch_size_samples"]) * size / seconds
    store = _described(row.text("system").lower())
    streams = min(4096, int(work["read_threads"]) * max(1, accelerators // hosts))
    size *= int(work["samples_per_file"])
    reading = Reading(hosts, 100 * streams, size, len(store.servers), streams=streams)
    supply = predicted(store, reading).bandwidth
    busy = (1 + (demand / supply) ** 8) ** (-1 / 8)  # min(1, supply / demand), had batches come evenly
    return demand, EPOCHS * busy * seconds / (seconds + BATCH)


def _described(name: str) -> Store:
    """The Store that a system's `name` (lower case) says: a Micron drive, or its nodes' drives and ports."""
    micron = re.search(r"micron_(\d{4})", name)
    nodes = re.search(r"([1-9]\d{0,2})xstoragenode", name)
    drives = re.search(r"([1-9]\d{0,2})x[\d.]+[tg]ib_nvme", name)
    ports = re.search(r"([1-9]\d{0,2})x(?:hdr|ndr|xdr|slingshot)([1-9]00)", name)
    if micron and micron[1] in _MICRON:
        return Store((Server(catalogue.entry("drive", _MICRON[micron[1]]).value("read")),))
    if not ports:
        raise NotEnoughSaid("its name says neither drives nor ports of its storage")
    if drives and not nodes and "ai400" not in name:  # which is one appliance
        raise NotEnoughSaid("its name does not say how many storage nodes have those drives")
    port = int(ports[1]) * int(ports[2]) * LINK * 1e9 / 8
    drive = "nvme-pcie5" if ports[2] == "400" else "nvme-pcie4"  # a card of 400 Gb/s needs PCIe 5
    one = server(drive, int(drives[1]), port) if drives else Server(port)
    return Store((one,) * int(nodes[1] if nodes else 1))
