"""Whether a site's settings hold: each tried on the real scheduler and on its nodes, with what to change."""

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import combinations

from hpclab.classroom import node_probe
from hpclab.classroom.admission import Admission, Finding
from hpclab.classroom.node_job import NodeJob, Told
from hpclab.classroom.settings import Site
from hpclab.cluster.slurm import Slurm

OLDEST = (21, 8)  # Slurm's versions
SKEW = 2.0  # seconds that clocks may differ
# What to change, by setting or by what was tried.
_MENDS = {
    "modules": "name modules that `module avail` lists on a node.",
    "image": "name an Apptainer image that all nodes see; apptainer must be on their PATH (by a module).",
    "python": "name a Python 3.11 to 3.13 that all nodes see, with the packages that this host has.",
    "interface": "name a network that this host and all nodes have: `ip -4 addr` lists them.",
    "scratch": "name a folder of each learner's own that this host and all nodes share and may write to.",
    "local": "name a folder of the node's own in which learners may make files, such as /tmp.",
    "wall": "name a folder that all nodes share, and let everybody make files in it (chmod 1777).",
    "home": "Have homes mounted on the nodes, to be written to.",
    "clocks": "Have chrony or ntpd set the clocks; until then leave the node out (sbatch --exclude).",
    "nodes to this host": "name another network, or have the firewall let TCP to ports above 1023 through.",
    "between nodes": "name another network, or have the firewall let TCP to ports above 1023 through.",
    "sbatch on nodes": "Have sbatch there, and let nodes submit (AllocNodes): a learner's notebook is a job.",
}  # fmt: skip
_JOB = "Try again when nodes are free, or with another slurm.partition or slurm.reservation."
_NETWORK = ("nodes to this host", "between nodes")


def findings(site: Site, slurm: Slurm, say: Callable[[str], object] = print) -> list[Finding]:
    """Every setting tried; it takes seconds, or about a minute where the job has to wait."""
    queue = Admission(site, slurm)
    found = [_version(slurm.version), *queue.findings]
    interface, here = site.interface, ""
    try:
        node_probe.address(interface)
    except OSError as error:
        interface, here = "", f"this host: {error}"
    if queue.options is None or not queue.nodes:
        told = Told()
    else:
        told = NodeJob(site, slurm, interface, say).run(queue.nodes, queue.options)
        if told.trouble:
            found.append(Finding("a job", "wrong", told.trouble, _JOB))
    return found + _Nodes(site, told, queue.nodes).findings(here)


def _version(version: str) -> Finding:
    number = re.search(r"(\d+)\.(\d+)", version)
    if number and (int(number[1]), int(number[2])) < OLDEST:
        return Finding("Slurm", "wrong", f"{version} is too old", "Have it upgraded to 21.08 or later.")
    return Finding("Slurm", "ok", version)


class _Nodes:
    """What the nodes told, a finding a setting."""

    def __init__(self, site: Site, told: Told, nodes: int):
        self.site, self.told, self.nodes = site, told, nodes

    def findings(self, here: str) -> list[Finding]:
        """`here`: what is wrong with the interface on this host."""
        site, told, named = self.site, self.told, self.site.interface or "not set: the network that leads out"
        modules = [f"modules {one}" for one in site.modules]
        peers = [f"peer {rank}" for rank in range(self.nodes)]
        return [
            *([self._judged("modules", ", ".join(site.modules), keys=modules)] if modules else []),
            *([self._judged("image", f"{site.image} runs")] if site.image else []),
            self._python(),
            self._judged("interface", named, here),
            *([self._scratch()] if site.scratch else []),
            *([self._judged("local", f"{site.local} is written to")] if site.local else []),
            *([self._judged("wall", f"a file is made in {site.wall}", self._wall())] if site.wall else []),
            self._judged("home", "written to from the nodes", told.home if told.nodes else ""),
            self._clocks(),
            self._judged("nodes to this host", "a connection comes back", keys=["login"]),
            *([self._judged("between nodes", "each connects to the other", told.apart, peers)]
              if self.nodes > 1 else []),
            self._judged("sbatch on nodes", "a job may submit jobs", keys=["sbatch"]),
        ]  # fmt: skip

    def _judged(self, what: str, good: str, here: str = "", keys: Sequence[str] = ()) -> Finding:
        """What nodes told under these keys (else under `what`); a complaint of several is said once."""
        keys, nodes = keys or [what], self.told.nodes
        complaints: dict[str, list[str]] = {}
        for node in nodes:
            for key in keys:
                if said := node["wrong"].get(key):
                    text = f"{key.removeprefix('modules ')}: {said}" if what == "modules" else said
                    complaints.setdefault(text, []).append(node["host"])
        said = [f"{', '.join(hosts)}: {text}" for text, hosts in complaints.items()]
        if here or said:
            return self._wrong(what, "; ".join([here] * bool(here) + said))
        if len(nodes) < self.told.tried or not all(set(keys) & node["wrong"].keys() for node in nodes):
            return Finding(self._name(what), "unknown", "not tried, for what is said above")
        return Finding(self._name(what), "ok", good)

    def _name(self, what: str) -> str:
        return self.site.where(what).split(" in ")[0] if hasattr(self.site, what) else what

    def _wrong(self, what: str, said: str) -> Finding:
        key = "interface" if what in _NETWORK else what
        place = f"{self.site.where(key)}: " if hasattr(self.site, key) else ""
        return Finding(self._name(what), "wrong", said, place + _MENDS[what])

    def _python(self) -> Finding:
        words = [sys.executable, "-P", "-c", node_probe.SOFTWARE]
        ours = json.loads(subprocess.run(words, capture_output=True, check=True, timeout=60).stdout)
        for node in self.told.nodes:
            if isinstance(theirs := node.get("software"), dict):
                node["wrong"]["python"] = "; ".join(
                    f"{name} {theirs.get(name) or 'is missing'}, here {version}"
                    for name, version in ours.items()
                    if str(theirs.get(name)).split("+")[0] != str(version).split("+")[0]
                )  # fmt: skip
        told = ", ".join(f"{name} {version}" for name, version in ours.items())
        return self._judged("python", f"{self.site.interpreter() or sys.executable}: {told}")

    def _scratch(self) -> Finding:
        for node in self.told.nodes:
            wrong, both = node["wrong"], not node["wrong"].get("shared") and node.get("seen")
            if not (both or self.told.scratch or wrong.get("scratch")):
                wrong["scratch"] = "it is not the folder that this host sees there"
        here = f"this host: {self.told.scratch}" if self.told.scratch else ""
        return self._judged("scratch", f"{self.site.scratch} is shared and written to", here)

    def _wall(self) -> str:
        try:
            mode = os.stat(self.site.expanded("wall")).st_mode
        except OSError as error:
            return f"this host: {error.strerror}"
        sticky = mode & 0o002 and mode & stat.S_ISVTX and stat.S_ISDIR(mode)
        return "" if sticky else f"its mode is {stat.S_IMODE(mode):o}, not 1777"

    def _clocks(self) -> Finding:
        told = [(node["host"], *node["ahead"]) for node in self.told.nodes if "ahead" in node]
        said = [f"{host} is {abs(by):.1f} s {'behind' if by > 0 else 'ahead of'} this host"
                for host, by, unsure in told if abs(by) - unsure > SKEW]  # fmt: skip
        said = said or [
            f"{one} and {two} are {abs(a - b):.1f} s apart"
            for (one, a, e), (two, b, f) in combinations(told, 2)
            if abs(a - b) - e - f > SKEW
        ]
        if said:
            return self._wrong("clocks", "; ".join(said))
        if len(told) < self.told.tried:
            return Finding("clocks", "unknown", "not tried: they are compared over a connection to this host")
        most = max(0.1, *(abs(by) for _, by, _ in told))
        return Finding("clocks", "ok", f"the nodes' are within {most:.1f} s of this host's")
