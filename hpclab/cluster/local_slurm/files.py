"""Writes slurm.conf and the daemons' other files for every Slurm from 21.08 to 25: keys that all know, the
rest by version."""

import os
import socket
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path

from hpclab import checks

WRITTEN_BY = "# Written by hpclab"
# What makes real software look for real devices; a pretend GPU must never appear in them.
_DEVICE_VARIABLES = (
    "CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ZE_AFFINITY_MASK",
    "GPU_DEVICE_ORDINAL",
)  # fmt: skip
_DAY = "MaxTime=1-00:00:00 DefaultTime=01:00:00"
PARTITIONS = {
    "main": f"Default=YES {_DAY} PriorityTier=10 PriorityJobFactor=50 PreemptMode=OFF",
    "debug": "MaxTime=00:05:00 DefaultTime=00:05:00 PriorityTier=20 PriorityJobFactor=100 PreemptMode=OFF",
    "preempt": f"{_DAY} PriorityTier=1 PriorityJobFactor=1 PreemptMode=REQUEUE",
}


@dataclass(frozen=True)
class Shape:
    """A cluster's size: `nodes` nodes, each of `cores_per_node` cores and `gpus_per_node` pretend GPUs."""

    nodes: int = 4
    cores_per_node: int = 1
    gpus_per_node: int = 1

    def __post_init__(self) -> None:
        for name, low, high in (("nodes", 1, 64), ("cores_per_node", 1, 256), ("gpus_per_node", 0, 16)):
            object.__setattr__(self, name, checks.integer(name, getattr(self, name), low, high))

    @property
    def names(self) -> tuple[str, ...]:
        """The nodes' names: node1, node2, ..."""
        return tuple(f"node{number}" for number in range(1, self.nodes + 1))

    def __str__(self) -> str:
        gpus = f" and {self.gpus_per_node} pretend GPU(s)" if self.gpus_per_node else ""
        return f"{self.nodes} node(s) with {self.cores_per_node} core(s){gpus} each"


def write(
    directory: Path, shape: Shape, ports: tuple[int, ...], version: tuple[int, ...], memory: int, mark: str
) -> None:
    """Write every file and directory the daemons want below `directory`.

    `ports`: one for slurmctld, then one a node; `version`: Slurm's (major, minor); `memory` of the machine
    in MiB; `mark` is in every task's environment. Daemons have a slurm.conf of their own, which binds them
    to loopback: srun must not be bound, as tasks answer to the address it called from.
    """
    for name in ("state", "log", "run", "gpus", "daemons", *(f"spool/{node}" for node in shape.names)):
        (directory / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    for index in range(shape.gpus_per_node):
        # Slurm numbers the GPUs it hands out only where each is a character device; this one harms nobody.
        with suppress(FileExistsError):
            (directory / "gpus" / f"gpu{index}").symlink_to("/dev/null")
    bound = loopback_of(_host(), Path("/etc/hosts"))
    words = [*_communication_parameters(), *(["NoInAddrAny", "NoCtldInAddrAny"] if bound else [])]
    own = [f"{WRITTEN_BY}.", f"Include {directory}/slurm.conf"]
    gpus = f"NodeName=node[1-{shape.nodes}] Name=gpu Type=pretend File={directory}/gpus/gpu"
    gpus += f"[0-{shape.gpus_per_node - 1}]" if shape.gpus_per_node > 1 else "0"
    files = {
        "task_prolog": _task_prolog(directory, shape.gpus_per_node, mark),
        "slurm.conf": _slurm_conf(directory, shape, ports, memory, bound or "127.0.0.1"),
        # Without a right to make control groups slurmd must be told to do without, which it can be from 24.05
        # on; before, the older interface asks for nothing as long as nothing is constrained.
        "daemons/cgroup.conf": [f"CgroupPlugin={'disabled' if version >= (24, 5) else 'cgroup/v1'}"],
        "daemons/gres.conf": ["AutoDetect=off", gpus] if shape.gpus_per_node else [],
        "daemons/slurm.conf": own + ([f"CommunicationParameters={','.join(words)}"] if words else []),
    }
    for name, lines in files.items():
        (directory / name).write_text("".join(f"{line}\n" for line in lines))
    (directory / "task_prolog").chmod(0o700)


def _slurm_conf(here: Path, shape: Shape, ports: tuple[int, ...], memory: int, address: str) -> list[str]:
    host, user = _host(), os.getuid()  # a name may have characters of its own
    nodes, cores, gpus = astuple(shape)
    memory = max(1024, memory // nodes)  # a share, but never so little that a small job cannot ask
    gres = f" Gres=gpu:pretend:{gpus}" if gpus else ""
    return [
        f"{WRITTEN_BY} for {shape}.",
        "ClusterName=hpclab", f"SlurmctldHost={host}({address})", f"SlurmctldPort={ports[0]}",
        f"SlurmUser={user}", f"SlurmdUser={user}",
        "AuthType=auth/munge", f"AuthInfo=socket={here}/munge/socket",
        f"StateSaveLocation={here}/state", f"SlurmdSpoolDir={here}/spool/%n",
        f"SlurmctldPidFile={here}/run/slurmctld.pid", f"SlurmdPidFile={here}/run/%n.pid",
        f"SlurmctldLogFile={here}/log/slurmctld.log", f"SlurmdLogFile={here}/log/%n.log",
        f"TaskProlog={here}/task_prolog", "MailProg=/bin/true",
        "ProctrackType=proctrack/linuxproc", "TaskPlugin=task/none", "MpiDefault=none",
        "JobAcctGatherType=jobacct_gather/linux",
        "SelectType=select/cons_tres", "SelectTypeParameters=CR_Core_Memory",
        f"DefMemPerCPU={memory // cores}", "EnforcePartLimits=ALL",
        "SlurmdParameters=config_overrides",  # more cores than the machine has are the point of an exercise
        "ReturnToService=2", "SlurmdTimeout=10", "KillWait=5",
        "SchedulerType=sched/backfill",
        # The main scheduler looks every second and backfill every ten: a start by backfill alone is not
        # written down at once (22.05), and a slurmctld killed just then would start the job a second time.
        "SchedulerParameters=bf_interval=10,sched_interval=1,batch_sched_delay=0",
        "PriorityType=priority/multifactor", "PriorityWeightJobSize=100", "PriorityWeightPartition=1000",
        "PreemptType=preempt/partition_prio", "PreemptMode=REQUEUE",
        "JobCompType=jobcomp/filetxt", f"JobCompLoc={here}/finished_jobs",
        *(f"CommunicationParameters={word}" for word in _communication_parameters()),
        *(["GresTypes=gpu"] if gpus else []),
        *(
            f"NodeName={name} NodeHostname={host} NodeAddr={address} Port={port} CPUs={cores} Boards=1 "
            f"SocketsPerBoard=1 CoresPerSocket={cores} ThreadsPerCore=1 RealMemory={memory}{gres}"
            for name, port in zip(shape.names, ports[1:], strict=True)
        ),
        *(f"PartitionName={name} Nodes=ALL State=UP {rest}" for name, rest in PARTITIONS.items()),
    ]  # fmt: skip


def loopback_of(host: str, hosts: Path) -> str:
    """The loopback address that the file `hosts` gives the name `host`; empty where it gives none.

    Slurm's daemons can only be bound to the address of the machine's own name. Where that is no loopback
    address they listen on every interface, and munge's private key turns strangers away.
    """
    text = hosts.read_text(errors="replace") if hosts.exists() else ""
    lines = [line.partition("#")[0].split() for line in text.splitlines()]
    address = next((words[0] for words in lines if host in words[1:] and ":" not in words[0]), "")
    return address if address.startswith("127.") else ""


def lost_its_network(conf: Path) -> bool:
    """Whether this slurm.conf was written while there was a network, and there is none now."""
    needed = _communication_parameters()
    return bool(needed) and not any(word in conf.read_text() for word in needed)


def _communication_parameters() -> list[str]:
    """Return ["EnableIPv6"] on a machine without any network, else nothing. Slurm looks addresses up with
    AI_ADDRCONFIG, which finds no IPv4 address where only loopback has one; asked for both families the C
    library leaves that condition out."""
    try:
        socket.getaddrinfo("127.0.0.1", None, socket.AF_INET, flags=socket.AI_ADDRCONFIG)
    except socket.gaierror:
        return ["EnableIPv6"]
    return []


def _task_prolog(here: Path, gpus: int, mark: str) -> list[str]:
    """The TaskProlog script: slurmstepd applies the "export" and "unset" that it prints to the task."""
    lines = [
        "#!/bin/sh",
        f'echo "export HPCLAB_SLURM_MARK={mark}"',
        f'echo "export SLURM_CONF={here}/slurm.conf"',  # also under sbatch --export=NONE
    ]
    if gpus:
        lines += [
            "gpus=${SLURM_STEP_GPUS:-$SLURM_JOB_GPUS}",
            'test -z "$gpus" && echo "unset HPCLAB_PRETEND_GPUS" || echo "export HPCLAB_PRETEND_GPUS=$gpus"',
            *(f'echo "unset {name}"' for name in _DEVICE_VARIABLES),
        ]
    return lines


def _host() -> str:
    """This machine's host name, without its domain."""
    return socket.gethostname().split(".")[0]
