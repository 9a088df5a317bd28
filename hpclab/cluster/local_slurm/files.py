"""slurm.conf and its neighbours, for every Slurm from 21.08 to 25.

Four pretend nodes on one machine are four `slurmd`, each with its own name and port on the loopback address.
Everything else is what a small site would write; only keys that all those versions know, the rest by version.
"""

import contextlib
import os
import re
import socket
from dataclasses import dataclass
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
    """What is asked for: `nodes` with `cores_per_node` and `gpus_per_node` pretend GPUs each."""

    nodes: int = 4
    cores_per_node: int = 1
    gpus_per_node: int = 1

    def __post_init__(self) -> None:
        for name, low, high in (("nodes", 1, 64), ("cores_per_node", 1, 256), ("gpus_per_node", 0, 16)):
            object.__setattr__(self, name, checks.integer(name, getattr(self, name), low, high))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"node{number}" for number in range(1, self.nodes + 1))

    def __str__(self) -> str:
        gpus = f" and {self.gpus_per_node} pretend GPU(s)" if self.gpus_per_node else ""
        return f"{self.nodes} node(s) with {self.cores_per_node} core(s){gpus} each"


@dataclass(frozen=True)
class Site:
    """What the files need to know: `directory`, the daemons' `ports` (one for slurmctld, then one a node),
    the Slurm `version` (major, minor), the machine's `memory` in MiB, the `mark`."""

    directory: Path
    ports: tuple[int, ...]
    version: tuple[int, ...]
    memory: int
    mark: str


def numbers(what: str, pattern: str, text: str) -> tuple[int, ...]:
    """(22, 5) from ``"slurm-wlm 22.05.8"`` by two groups of the pattern; RuntimeError where there is none."""
    if match := re.search(pattern, text):
        return tuple(map(int, match.groups()))
    raise RuntimeError(f"{what} cannot be read from {text.strip()!r}.")


def write(site: Site, shape: Shape) -> None:
    """Write every file and directory the daemons want.

    The commands use the slurm.conf in `site.directory`; the daemons one of their own that includes it and
    binds them to the loopback address. srun must not be bound: tasks answer to the address it called from.
    """
    for name in ("state", "log", "run", "gpus", "daemons", *(f"spool/{node}" for node in shape.names)):
        (site.directory / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    for index in range(shape.gpus_per_node):
        # Slurm numbers the GPUs it hands out only where each is a character device; this one harms nobody.
        with contextlib.suppress(FileExistsError):
            (site.directory / "gpus" / f"gpu{index}").symlink_to("/dev/null")
    prolog = site.directory / "task_prolog"
    prolog.write_text(_task_prolog(site, shape))
    prolog.chmod(0o700)
    bound = loopback_of(_host(), Path("/etc/hosts"))
    (site.directory / "slurm.conf").write_text(_slurm_conf(site, shape, bound or "127.0.0.1"))
    own = site.directory / "daemons"
    # Without a right to make control groups slurmd must be told to do without, and from 24.05 on it can be;
    # before, the older interface is the one that asks for nothing as long as nothing is constrained.
    plugin = "disabled" if site.version >= (24, 5) else "cgroup/v1"
    (own / "cgroup.conf").write_text(f"CgroupPlugin={plugin}\n")
    (own / "gres.conf").write_text(_gres_conf(site, shape))
    lines = [f"{WRITTEN_BY}.", f"Include {site.directory}/slurm.conf"]
    words = [*_families(), *(["NoInAddrAny", "NoCtldInAddrAny"] if bound else [])]
    lines += [f"CommunicationParameters={','.join(words)}"] if words else []
    (own / "slurm.conf").write_text("\n".join(lines) + "\n")


def _slurm_conf(site: Site, shape: Shape, address: str) -> str:
    here, host, user = site.directory, _host(), os.getuid()  # a name may have characters of its own
    # A node gets its share of the machine's memory, never so little that a small job cannot ask.
    memory = max(1024, site.memory // shape.nodes)
    gpus = f" Gres=gpu:pretend:{shape.gpus_per_node}" if shape.gpus_per_node else ""
    lines = [
        f"{WRITTEN_BY} for {shape}.",
        "ClusterName=hpclab", f"SlurmctldHost={host}({address})", f"SlurmctldPort={site.ports[0]}",
        f"SlurmUser={user}", f"SlurmdUser={user}",
        "AuthType=auth/munge", f"AuthInfo=socket={here}/munge/socket",
        f"StateSaveLocation={here}/state", f"SlurmdSpoolDir={here}/spool/%n",
        f"SlurmctldPidFile={here}/run/slurmctld.pid", f"SlurmdPidFile={here}/run/%n.pid",
        f"SlurmctldLogFile={here}/log/slurmctld.log", f"SlurmdLogFile={here}/log/%n.log",
        f"TaskProlog={here}/task_prolog", "MailProg=/bin/true",
        "ProctrackType=proctrack/linuxproc", "TaskPlugin=task/none", "MpiDefault=none",
        "JobAcctGatherType=jobacct_gather/linux",
        "SelectType=select/cons_tres", "SelectTypeParameters=CR_Core_Memory",
        f"DefMemPerCPU={memory // shape.cores_per_node}", "EnforcePartLimits=ALL",
        "SlurmdParameters=config_overrides",  # more cores than the machine has are the point of an exercise
        "ReturnToService=2", "SlurmdTimeout=10", "KillWait=5",
        "SchedulerType=sched/backfill",
        # The main scheduler looks every second and backfill every ten: a start by backfill alone is not
        # written down at once (22.05), and a slurmctld killed just then would start the job a second time.
        "SchedulerParameters=bf_interval=10,sched_interval=1,batch_sched_delay=0",
        "PriorityType=priority/multifactor", "PriorityWeightJobSize=100", "PriorityWeightPartition=1000",
        "PreemptType=preempt/partition_prio", "PreemptMode=REQUEUE",
        "JobCompType=jobcomp/filetxt", f"JobCompLoc={here}/finished_jobs",
        *(f"CommunicationParameters={word}" for word in _families()),
        *(["GresTypes=gpu"] if shape.gpus_per_node else []),
        *(
            f"NodeName={name} NodeHostname={host} NodeAddr={address} Port={port} CPUs={shape.cores_per_node} "
            f"Boards=1 SocketsPerBoard=1 CoresPerSocket={shape.cores_per_node} ThreadsPerCore=1 "
            f"RealMemory={memory}{gpus}"
            for name, port in zip(shape.names, site.ports[1:], strict=True)
        ),
        *(f"PartitionName={name} Nodes=ALL State=UP {rest}" for name, rest in PARTITIONS.items()),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def loopback_of(host: str, hosts: Path) -> str:
    """The loopback address that `hosts` gives this machine's name; empty where it gives none.

    The only address Slurm's daemons can be bound to is the one the machine's own name stands for. Where that
    is a loopback address (127.0.1.1 on most Debian and Ubuntu machines) nobody outside can connect. Elsewhere
    they listen on every interface, as on any cluster, and munge's private key turns strangers away.
    """
    text = hosts.read_text(errors="replace") if hosts.exists() else ""
    lines = [line.partition("#")[0].split() for line in text.splitlines()]
    address = next((words[0] for words in lines if host in words[1:] and ":" not in words[0]), "")
    return address if address.startswith("127.") else ""


def lost_its_network(conf: Path) -> bool:
    """Whether this slurm.conf was written while there was a network, and there is none now."""
    return bool(_families()) and not any(word in conf.read_text() for word in _families())


def _families() -> list[str]:
    """What Slurm needs to know its own 127.0.0.1 on a machine without any network.

    It asks for addresses of the families that the machine has one of, loopback's not counted, and for IPv4
    alone: offline there are none. Asked for both families the C library leaves that condition out.
    """
    try:
        socket.getaddrinfo("127.0.0.1", None, socket.AF_INET, flags=socket.AI_ADDRCONFIG)
    except socket.gaierror:
        return ["EnableIPv6"]
    return []


def _gres_conf(site: Site, shape: Shape) -> str:
    if not shape.gpus_per_node:
        return ""
    which = f"[0-{shape.gpus_per_node - 1}]" if shape.gpus_per_node > 1 else "0"
    files = f"{site.directory}/gpus/gpu{which}"
    return f"AutoDetect=off\nNodeName=node[1-{shape.nodes}] Name=gpu Type=pretend File={files}\n"


def _task_prolog(site: Site, shape: Shape) -> str:
    # Its output is read by slurmstepd: "export" and "unset" change the environment of the task to come.
    lines = [
        "#!/bin/sh",
        f'echo "export HPCLAB_SLURM_MARK={site.mark}"',
        f'echo "export SLURM_CONF={site.directory}/slurm.conf"',  # also under sbatch --export=NONE
    ]
    if shape.gpus_per_node:
        lines += [
            "gpus=${SLURM_STEP_GPUS:-$SLURM_JOB_GPUS}",
            'test -z "$gpus" && echo "unset HPCLAB_PRETEND_GPUS" || echo "export HPCLAB_PRETEND_GPUS=$gpus"',
            *(f'echo "unset {name}"' for name in _DEVICE_VARIABLES),
        ]
    return "\n".join(lines) + "\n"


def _host() -> str:
    return socket.gethostname().split(".")[0]
