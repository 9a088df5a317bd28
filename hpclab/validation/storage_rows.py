"""Tables `storage_*.csv`: results of IO500 and of MLPerf Storage, predicted by `models.storage.predict`.

Each benchmark is a Reading, and what a row says of its servers, drives, network and clients a Store. A row
that says nothing of its servers can be placed by nobody.
"""

import csv
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hpclab.machine import catalogue
from hpclab.models.storage import Reading, Server, Store, accelerator_utilisation, predict as predicted
from hpclab.models.storage_presets import server
from hpclab.validation import placing
from hpclab.validation.score import NotEnoughSaid, Observation
from hpclab.validation.tables import Row, Table

GB, HARD = 1e9, 47008  # bytes; IOR-hard's transfers
_GATEWAYS = r"ceph|suse|\bnfs|\bnas\b|scale.?out|qumulo|vast|isilon|orangefs|pvfs|gluster|yrcloud"
_MDTEST = {  # 1000/s of one metadata server where data lie on disks, on flash; ms of a process: one server, all
    "mdtest_easy_write": (17, 35, 0.35, 0.13), "mdtest_easy_stat": (110, 250, 0.12, 0.13),
    "mdtest_easy_delete": (13, 32, 0.35, 0.22), "mdtest_hard_write": (12, 12, 1.0, 0.3),
    "mdtest_hard_read": (22, 95, 0.4, 0.2), "mdtest_hard_stat": (85, 110, 0.25, 0.15),
    "mdtest_hard_delete": (11, 13, 1.0, 0.25),
}  # fmt: skip
_SPEEDS = {  # of a metadata server beside Lustre's: changes of one shared directory, all else
    "beegfs": (0.7, 0.8), "gpfs|spectrum|storage scale|gridscaler": (1.0, 1.9), "weka": (0.3, 2.0),
    r"\bime\b": (1.3, 2.1), _GATEWAYS: (0.5, 0.6),
}  # fmt: skip
_IOR = ("ior_easy_write", "ior_easy_read", "ior_hard_write", "ior_hard_read")
C = {
    "link": 0.9,  # of a client's port, after headers and the client's own copying
    "process": 0.7 * GB,  # B/s of one process that writes or reads its own file
    "ports": 1.2,  # of a server: many have two
    "gateway": 0.3,  # file systems that write through a gateway or keep three copies
    "locks": (4.3e3, 60e3),  # transfers/s of ten clients into one shared file, on disks and on flash
    "server": (2.8e3, 45e3),  # transfers/s of a server that reads the shared file, on disks and on flash
    "client": 28e3,  # transfers/s of a client
    "epochs": 0.96,  # utilisation that MLPerf Storage finds where storage is far from its limits
    "batches": 0.97,  # of the demand at that utilisation: the first batch of a run is not counted
    "nolocks": (0.8, 0.6),  # of the easy test, writing and reading, where no lock is taken
}
_NO_LOCKS, _SPREAD = r"daos|madfs|bpfs|\bime\b", r"daos|madfs|bpfs|gekko"
_FLASH, _FAST = r"ssd|nvme|flash|xp|optane|pmem|scm|dcpmm", r"nvme|pci|xp|optane|pmem|scm|dcpmm|m\.2"
_DISKS = r"hdd|\bhd\b|nl-?sas|disk|7\.2k|sata|sas|standard"
_NETWORKS = {"ethernet": 40, "tcp": 40, "slingshot": 200}  # Gb/s of a port that is only named; others 100
_MOST = {True: 36, False: 250}  # drives in a server, flash or not; more are those of all servers


def read(table: Table) -> list[Observation]:
    """An observation for each result of each row; ValueError names the file, row and field that is wrong."""
    if "accelerator_emulated" in table.columns:
        table.need("system", "workload", "num_accelerators", "num_hosts", *_MLPERF)
        return [_one(row, column, unit) for row in table.rows for column, unit in _MLPERF.items()]
    figures = [column for column in table.columns if re.sub(r"_(gib_per_s|kiops)$", "", column) in _RESULTS]
    if not figures:
        raise ValueError(
            f"{table.name} is neither IO500's results (client_nodes, client_procs, ds_nodes, "
            "ior_easy_write_gib_per_s ...) nor MLPerf Storage's (system, workload, accelerator_emulated ...)."
        )
    return [_one(row, column, 2.0**30 if "gib" in column else 1e3)
            for row in table.rows for column in figures if row.text(column)]  # fmt: skip


_RESULTS = (*_IOR, *_MDTEST)
_MLPERF = {"io_throughput_gib_per_s_mean": 2.0**30, "accelerator_utilisation_pct_mean": 0.01}


def _one(row: Row, column: str, unit: float) -> Observation:
    value = row.value(column, 0, 1e9) * unit
    name = re.sub(r"_(gib_per_s_mean|gib_per_s|kiops|pct_mean)$", "", column)
    group = row.text("ds_storage_type") or row.words("workload", "accelerator_emulated")
    kind = "B/s" if "gib" in column else "1/s" if "kiops" in column else "1"
    return Observation(row, name, value or float("nan"), kind, 1, group, None)


def baseline(observations: Sequence[Observation]) -> list[float]:
    """The median of the same result in all rows with the same type of drives; NaN where there is none."""
    groups: dict[tuple[str, object], list[float]] = {}
    for one in observations:
        groups.setdefault((one.quantity, one.group), []).extend([one.value] * (one.value == one.value))
    medians = {group: statistics.median(values or [float("nan")]) for group, values in groups.items()}
    return [medians[one.quantity, one.group] for one in observations]


def predict(observation: Observation) -> float:
    """B/s, operations/s, or the accelerators' utilisation as a fraction."""
    row, what = observation.row, observation.quantity
    if what in _RESULTS:
        return _io500(system(row), what)
    demand, utilisation = _mlperf(row)
    return demand * utilisation * C["batches"] if observation.unit == "B/s" else utilisation


@dataclass(frozen=True)
class System:
    """What an IO500 row says: counts, `drives` of a server, B/s of a `port`, and what the words mean."""

    clients: int
    streams: int
    servers: int
    drive: str
    drives: float
    port: float
    metadata: int
    words: str

    def called(self, pattern: str) -> bool:
        return bool(re.search(pattern, self.words))

    @property
    def flash(self) -> bool:
        return not self.drive.startswith("hdd")


def system(row: Row) -> System:
    """The counts are read from what they begin with ("12 All Flash"); NotEnoughSaid names what is missing."""
    counts = {}
    for column in ("client_nodes", "client_procs", "ds_nodes", "ds_storage_devices", "md_nodes"):
        found = re.match(r"\d{1,7}(?![\d.])", row.text(column).replace(",", ""))
        counts[column] = int(found[0]) if found else 0
    missing = [column for column, count in counts.items() if not count and column != "md_nodes"]
    kind, interface = row.text("ds_storage_type").lower(), row.text("ds_interface").lower()
    if not row.text("ds_nodes", "ds_storage_devices", "ds_storage_type"):
        raise NotEnoughSaid("nothing is said of its servers: how many, with how many drives of which type")
    if missing:
        raise NotEnoughSaid(f"its {', '.join(missing)} is not stated")
    if re.search(_FLASH, kind) or (not kind and re.search(_FAST, interface)):
        drive = "nvme-pcie3" if re.search(_FAST, kind + interface) else "ssd-sata"
    elif re.search(_DISKS, kind + interface):
        drive = "hdd-nl-sas"
    else:
        raise NotEnoughSaid(f"which type of drives {row.text('ds_storage_type')!r:.40} are is not known here")
    servers, drives = min(counts["ds_nodes"], 4096), float(counts["ds_storage_devices"])
    if drives > _MOST[drive != "hdd-nl-sas"]:
        drives /= servers
    clients = counts["client_nodes"]
    words = placing.read("", row.text("ds_network"))
    default = next((_NETWORKS[name] for name in words.names["family"] if name in _NETWORKS), 100)
    port = max(words.numbers["each"], default=default) * max(words.numbers["ports"], default=1) / 8 * GB
    said = " ".join(row.text(name) for name in ("filesystem", "fs_version", "system")).lower()
    streams = max(1, round(counts["client_procs"] / clients))
    return System(clients, streams, servers, drive, drives, port, counts["md_nodes"] or 1, said)


def _io500(of: System, what: str) -> float:
    """What a Reading like the benchmark's gets from a Store like the row's."""
    writing, gateway = "write" in what, C["gateway"] if of.called(_GATEWAYS) else 1.0
    if what in _MDTEST:
        disks, flash, turn, spread = _MDTEST[what]
        speed = next((both for name, both in _SPEEDS.items() if of.called(name)), (1.0, 1.0))
        rate = 1e3 * (flash if of.flash else disks) * speed[what[-4:] in ("stat", "read") or "easy" in what]
        if "easy" in what:  # in directories of each process's own, which metadata servers share
            rate *= of.metadata ** (1 / 3)
        store = Store((Server(1),), rate, latency=turn / 1e3)
        if of.called(_SPREAD):
            store = Store((Server(1),), latency=spread / 1e3)
        return predicted(store, Reading(of.clients, of.streams, 0, streams=of.streams)).files_per_second
    link = min(of.port * C["link"], of.streams * C["process"])
    one = server(of.drive, of.drives, of.port * C["ports"], writing)
    easy = Reading(of.clients, of.streams, 2.0**36, of.servers, streams=of.streams)
    most = gateway * predicted(Store((Server(one.bandwidth),) * of.servers, link=link), easy).bandwidth
    if "easy" in what:
        return most
    if of.flash and of.called(_NO_LOCKS):
        return most * C["nolocks"][not writing]
    rate = C["locks" if writing else "server"][of.flash] * (gateway**0.5)
    if writing:
        store = Store((one,) * of.servers, metadata=rate * (of.clients / 10) ** (1 / 3))
    else:
        store = Store((Server(one.bandwidth, rate),) * of.servers, link=min(link, C["client"] * HARD))
    hard = Reading(of.clients, 1000 * of.streams, HARD, streams=of.streams)
    return min(most, predicted(store, hard).bandwidth)


def _mlperf(row: Row) -> tuple[float, float]:
    """B/s that the accelerators would take without a wait, and their utilisation."""
    which = (row.text("workload"), row.text("accelerator_emulated"))
    with Path(__file__).with_name("reference").joinpath("mlperf_storage_workloads.csv").open() as file:
        known = {(line["workload"], line["accelerator"]): line for line in csv.DictReader(file)}
    if which not in known:
        raise NotEnoughSaid(
            f"{' on '.join(which)!r:.60} is no workload and accelerator of MLPerf Storage v1.0"
        )
    work = {name: float(known[which][name]) for name in _WORK}
    accelerators, hosts = row.count("num_accelerators", 1, 10**6), row.count("num_hosts", 1, 10**6)
    sample = work["batch_size_samples"] * work["record_length_bytes"]
    demand = accelerators * sample / work["computation_time_s_per_batch"]
    store = _described(row.text("system"))
    streams = min(4096, int(work["read_threads"]) * max(1, accelerators // hosts))
    size = work["record_length_bytes"] * work["samples_per_file"]
    reading = Reading(hosts, 100 * streams, size, len(store.servers), streams=streams)
    supply = predicted(store, reading).bandwidth
    return demand, C["epochs"] * accelerator_utilisation(demand, supply)


_WORK = ("batch_size_samples", "record_length_bytes", "computation_time_s_per_batch", "read_threads",
         "samples_per_file")  # fmt: skip
_DRIVES = {"9400": "nvme-pcie4", "6500": "nvme-pcie4-capacity", "9550": "nvme-pcie5"}  # Micron's, one, local


def _described(name: str) -> Store:
    """What a system's name says: a drive of Micron's, or drives and ports of so many storage nodes."""
    if micron := re.search(r"micron_(\d{4})", name.lower()):
        if micron[1] not in _DRIVES:
            raise NotEnoughSaid(f"the drive {micron[0]!r} is not in the catalogue")
        return Store((Server(catalogue.entry("drive", _DRIVES[micron[1]]).value("read")),))
    drives = re.search(r"(\d+)x[\d.]+[TG]iB_nvme", name, re.IGNORECASE)
    ports = re.search(r"(\d+)x(?:HDR|NDR|XDR|SlingShot)(\d+)", name, re.IGNORECASE)
    nodes = re.search(r"(\d+)xStorageNode", name, re.IGNORECASE)
    if not ports:
        raise NotEnoughSaid("its name says neither drives nor ports of its storage")
    if drives and not nodes and "AI400" not in name:  # which is one appliance
        raise NotEnoughSaid("its name does not say how many storage nodes have those drives")
    port = int(ports[1]) * int(ports[2]) / 8 * GB * C["link"]
    drive = "nvme-pcie5" if ports[2] == "400" else "nvme-pcie4"  # 400 Gb/s needs PCIe 5
    one = server(drive, int(drives[1]), port) if drives else Server(port)
    return Store((one,) * (int(nodes[1]) if nodes else 1))
