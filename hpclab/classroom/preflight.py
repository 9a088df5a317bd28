"""Whether a site's settings hold: each tried on the real scheduler and on its nodes, with what to change."""

import difflib
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import hpclab
from hpclab import units
from hpclab.classroom import node_job, node_probe
from hpclab.classroom.node_job import Told
from hpclab.classroom.settings import Site
from hpclab.cluster import slurm_commands
from hpclab.cluster.slurm import Slurm, SlurmError

OLDEST = (21, 8)  # Slurm's versions
SKEW = 2.0  # seconds that clocks may differ
_USABLE = re.compile(r"idle|mix|alloc|compl|plan")  # how the state of a node that runs jobs begins
_MENDS = {
    "modules": "name modules that `module avail` lists on a node.",
    "image": "name an Apptainer image that all nodes see; apptainer must be on their PATH (a module may bring it).",
    "python": f"name a Python 3.11 to 3.13 on a file system that all nodes see, with hpclab {hpclab.__version__} and "
              "the versions of its constraints.txt.",
    "interface": "name a network that this host and all nodes have: `ip -4 addr` lists them.",
    "scratch": "name a folder of each learner's own, to be written to, that this host and all nodes share.",
    "local": "name a folder of the node's own in which learners may make files, such as /tmp.",
    "wall": "name a folder that all nodes share, and let everybody make files there: chmod 1777.",
    "home": "have homes mounted for writing on the nodes.",
    "clocks": "have chrony or ntpd set the clocks; until then leave that node out (sbatch --exclude).",
    "login": "have the firewall let TCP to ports above 1023 of this host through, or name another network.",
    "peers": "have the firewall let TCP to ports above 1023 through between nodes, or name another network.",
    "sbatch": "have jobs allowed to submit jobs (AllocNodes and SubmitHosts of the partition; sbatch on the nodes): "
              "a learner's notebook is one.",
}  # fmt: skip
_NAMES = {"login": "nodes to this host", "peers": "between nodes", "sbatch": "sbatch on nodes"}
_KEYS = {"login": "interface", "peers": "interface", "home": ""}


@dataclass(frozen=True)
class Finding:
    """`name`: a setting, or what was tried; `state`: ok, wrong or unknown; `mend`: what to change."""

    name: str
    state: str
    said: str
    mend: str = ""


def findings(site: Site, slurm: Slurm, say: Callable[[str], object] = print) -> list[Finding]:
    """Every setting tried; it takes seconds, or about a minute where the job has to wait."""
    queue, options, nodes = _Queue(site, slurm).findings()
    found = [_version(slurm), *queue]
    interface, here = site.interface, ""
    try:
        node_probe.address(interface)
    except OSError as error:
        interface, here = "", f"this host: {error}"
    if options is None or not nodes:
        why = "sbatch takes no job" if options is None else "no node of the partition is up"
        told = Told(trouble=f"not tried, as {why}")
    else:
        told = node_job.run(site, slurm, options, nodes, interface, say)
        if told.trouble:
            found.append(Finding("job", "wrong", f"a job of {nodes} node(s): {told.trouble}",
                                 "See that a job of seconds starts there (a reservation, another partition)."))  # fmt: skip
    return found + _Nodes(site, told, here, nodes).findings()


def _version(slurm: Slurm) -> Finding:
    number = re.search(r"(\d+)\.(\d+)", slurm.version)
    if number and (int(number[1]), int(number[2])) < OLDEST:
        return Finding("Slurm", "wrong", f"{slurm.version} is too old",
                       "hpclab needs Slurm 21.08 or later: have it upgraded.")  # fmt: skip
    return Finding("Slurm", "ok", slurm.version)


class _Queue:
    """What sbatch and sinfo say of partition, account, qos, reservation and time, without a job."""

    def __init__(self, site: Site, slurm: Slurm):
        self.site, self.slurm = site, slurm
        self.states: dict[str, list[tuple[str, str, int, str]]] = {}
        told = slurm_commands.run(["sinfo", "-h", "--all", "--format=%P|%a|%l|%D|%T"], slurm.environment)
        self.default = ""
        for row in (line.split("|") for line in told.splitlines() if line.count("|") == 4):
            name = row[0].rstrip("*")
            self.default = name if row[0].endswith("*") else self.default
            self.states.setdefault(name, []).append((row[1], row[2], int(row[3]), row[4]))

    def refusal(self, options: Sequence[str]) -> str:
        """What sbatch says against a job with these options, or ""; no job is made."""
        words = ["sbatch", "--test-only", "--output=/dev/null", "--wrap=true", *options]
        try:
            slurm_commands.run(words, self.slurm.environment, 30.0)
        except SlurmError as error:
            return str(error).removeprefix("sbatch: ")
        return ""

    def findings(self) -> tuple[list[Finding], list[str] | None, int]:
        """These settings, the options with which sbatch takes a job (None: with none), and on how many nodes."""
        site, wrong = self.site, dict[str, str]()
        small, options = ["--mem=512M", "--time=1"], site.directives()
        if said := self.refusal([*options, *small]):
            small = ["--time=1"] if not self.refusal([*options, "--time=1"]) else small
        kept: list[str] | None = options
        if said and small[0] != "--time=1":
            kept, wrong = self._culprit(options, small, said)
        partition = site.partition if "partition" not in wrong else ""
        rows = self.states.get(partition or self.default, [])
        nodes = min(2, sum(row[2] for row in rows if _USABLE.match(row[3])))
        if rows and "partition" not in wrong and rows[0][0] != "up":
            wrong["partition"], nodes = f"{partition or self.default} is {rows[0][0]}", 0
        limit = rows[0][1] if rows else "infinite"
        longest = units.parse_seconds(limit) if re.fullmatch(r"[\d:-]+", limit) else None
        if site.time and not wrong:
            if longest and site.time > longest:
                wrong["time"] = f"{units.format_seconds(site.time)} is more than the partition's {limit}"
            elif said := self.refusal([*options, *small[:-1], f"--time={-(-round(site.time) // 60)}"]):
                wrong["time"] = said
        return [*self._told(wrong, limit, nodes)], None if kept is None else [*kept, *small[:-1]], nodes

    def _culprit(
        self, options: list[str], small: list[str], said: str
    ) -> tuple[list[str] | None, dict[str, str]]:
        """The setting without which sbatch would take the job, else the one that its words name."""
        for each in options:
            rest = [one for one in options if one != each]
            if not self.refusal([*rest, *small]):
                return rest, {each[2:].partition("=")[0]: said}
        names = ("account", "qos", "reservation", "time", "partition")
        return None, {next((name for name in names if name in said.lower()), "partition"): said}

    def _told(self, wrong: dict[str, str], limit: str, nodes: int) -> Iterator[Finding]:
        site, partition = self.site, self.site.partition or self.default
        up = f"up, {sum(row[2] for row in self.states.get(partition, []))} node(s), a job at most {limit}"
        near = difflib.get_close_matches(site.partition, self.states, 1, 0.4) or sorted(self.states)[:5]
        account = "`sacctmgr show associations user=$USER format=account,qos` lists yours."
        mends = {"partition": f"name one that is up and takes you, such as {', '.join(near)}.",
                 "account": f"name an account of the class. {account}", "qos": f"name another. {account}",
                 "reservation": "`scontrol show reservation` lists those that take you.",
                 "time": f"ask for no more than {limit}, or name a partition that allows more."}  # fmt: skip
        for name, mend in mends.items():
            value = getattr(site, name)
            if name in wrong:
                shown = f"{value}: " if value and name != "time" else ""
                yield Finding(f"slurm.{name}", "wrong", shown + wrong[name], _change(site, name, mend))
            elif name == "partition":
                asked = "" if site.partition else " (Slurm's default)"
                yield Finding(f"slurm.{name}", "ok", f"{partition}{asked}: {up}")
            elif name == "account" and not value:
                yield Finding("slurm.account", "ok", "not set, and sbatch asks for none")
            elif value:
                state = "unknown" if name == "time" and wrong else "ok"
                text = units.format_seconds(value) if name == "time" else f"{value} is accepted"
                yield Finding(f"slurm.{name}", state, text)


def _change(site: Site, name: str, mend: str) -> str:
    return f"{site.where(name)}: {mend}"


class _Nodes:
    """What the nodes told, setting by setting. `here`: what is wrong with the interface on this host."""

    def __init__(self, site: Site, told: Told, here: str, nodes: int):
        self.site, self.told, self.here, self.nodes = site, told, here, nodes

    def findings(self) -> list[Finding]:
        site = self.site
        found = [
            self._judged("modules", [f"modules {name}" for name in site.modules], ", ".join(site.modules))
        ]
        found.append(self._judged("image", ["image"], f"{site.image} runs"))
        found.append(self._python())
        named = site.interface or "not set: the one that leads out"
        found.append(self._judged("interface", ["interface"], named, self.here))
        found.append(self._scratch())
        found.append(self._judged("local", ["local"], f"{site.local} is written to"))
        found.append(self._judged("wall", ["wall"], f"{site.wall}: a file is made there", self._wall()))
        home = "" if self.told.home or not self.told.nodes else "the nodes do not see this host's home"
        found.append(self._judged("home", ["home"], "written to from the nodes", home))
        found += [self._clocks(), self._judged("login", ["login"], "a connection comes back")]
        peers = [f"peer {rank}" for rank in range(self.nodes)]
        if self.nodes > 1:
            found.append(self._judged("peers", peers, "each connects to the other"))
        found.append(self._judged("sbatch", ["sbatch"], "a job may submit jobs"))
        return [one for one in found if getattr(site, one.name.rpartition(".")[2], True) or one.name in (
            "network.interface", "software.python")]  # fmt: skip

    def _judged(self, what: str, keys: list[str], good: str, here: str = "") -> Finding:
        """One finding of what nodes told under these keys; the same complaint of several is said once."""
        name = _NAMES.get(what) or (
            self.site.where(what).split(" in ")[0] if hasattr(self.site, what) else what
        )
        complaints: dict[str, list[str]] = {}
        for node in self.told.nodes:
            for key in keys:
                if said := node["wrong"].get(key):
                    complaints.setdefault(
                        f"{key.partition(' ')[2] if what == 'modules' else ''} {said}".strip(), []
                    ).append(str(node["host"]))
        said = "; ".join(
            [
                *([here] if here else []),
                *(f"{', '.join(hosts)}: {text}" for text, hosts in complaints.items()),
            ]
        )
        if said:
            key = _KEYS.get(what, what if hasattr(self.site, what) else "")
            mend = (
                _MENDS[what][0].upper() + _MENDS[what][1:]
                if not key
                else _change(self.site, key, _MENDS[what])
            )
            return Finding(name, "wrong", said, mend)
        if len(self.told.nodes) < self.nodes or not self.told.nodes:
            return Finding(name, "unknown", self.told.trouble.partition(":")[0] or "not tried")
        if any(not any(key in node["wrong"] for key in keys) for node in self.told.nodes):
            return Finding(name, "unknown", "not tried, for what is said above")
        return Finding(name, "ok", good)

    def _python(self) -> Finding:
        words = [sys.executable, "-P", "-c", node_probe.SOFTWARE]
        ours = json.loads(subprocess.run(words, capture_output=True, check=True, timeout=60).stdout)
        for node in self.told.nodes:
            if isinstance(theirs := node.get("software"), dict) and theirs != ours:
                unlike = [f"{name} {theirs.get(name) or 'is missing'} (here {version})" for name, version in ours.items()
                          if theirs.get(name) != version]  # fmt: skip
                node["wrong"]["python"] = ", ".join(unlike)[:300]
        where = self.site.interpreter() or sys.executable
        return self._judged(
            "python",
            ["python"],
            f"{where}: " + ", ".join(f"{name} {version}" for name, version in ours.items()),
        )

    def _scratch(self) -> Finding:
        for node in self.told.nodes:
            wrong = node["wrong"]
            if (
                not wrong.get("scratch")
                and not self.told.scratch
                and (wrong.get("shared") or not node.get("seen"))
            ):
                wrong["scratch"] = "it is not the folder that this host has there"
        here = f"this host: {self.told.scratch}" if self.told.scratch else ""
        return self._judged("scratch", ["scratch"], f"{self.site.scratch} is shared and written to", here)

    def _wall(self) -> str:
        if not self.site.wall:
            return ""
        try:
            mode = os.stat(self.site.expanded("wall")).st_mode
        except (OSError, ValueError) as error:
            return f"this host: {getattr(error, 'strerror', None) or error}"
        open_to_all = mode & 0o002 and stat.S_ISDIR(mode)
        return "" if open_to_all and mode & stat.S_ISVTX else f"its mode is {stat.S_IMODE(mode):o}, not 1777"

    def _clocks(self) -> Finding:
        behind: dict[str, tuple[float, float]] = {}  # seconds that a node's clock is behind this host's
        for node in self.told.nodes:
            with_error = node.get("ahead")
            if (
                isinstance(with_error, list)
                and len(with_error) == 2
                and all(isinstance(one, float) for one in with_error)
            ):
                behind[str(node["host"])] = (with_error[0], with_error[1])
        said = [f"{host} is {abs(by):.1f} s {'behind' if by > 0 else 'ahead of'} this host"
                for host, (by, unsure) in behind.items() if abs(by) - unsure > SKEW]  # fmt: skip
        said += [f"{one} and {two} are {abs(a - b):.1f} s apart" for (one, (a, e)), (two, (b, f)) in combinations(behind.items(), 2)
                 if not said and abs(a - b) - e - f > SKEW]  # fmt: skip
        if said:
            return Finding(
                "clocks", "wrong", "; ".join(said), _MENDS["clocks"][0].upper() + _MENDS["clocks"][1:]
            )
        if len(behind) < max(1, self.nodes):
            return Finding("clocks", "unknown", "a clock is compared over a connection to this host")
        most = max(abs(by) for by, _ in behind.values())
        return Finding("clocks", "ok", f"the nodes' are within {max(0.1, most):.1f} s of this host's")
