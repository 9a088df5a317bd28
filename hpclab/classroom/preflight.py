"""Whether a site's settings hold: each tried on the real scheduler and on its nodes, with what to change."""

import re
import sys
from collections.abc import Callable, Iterator

from hpclab.classroom import node_probe
from hpclab.classroom.admission import Admission, Finding
from hpclab.classroom.node_job import NodeJobs
from hpclab.classroom.settings import Site
from hpclab.cluster.slurm import Slurm

OLDEST = (21, 8)  # Slurm's versions
_FIREWALL = "name another network, or have the firewall let TCP to ports above 1023 through."
# By setting or by what was tried: what is said where it holds, and else what to change.
_TRIED = {
    "modules": ("{} load", "name modules that `module avail` lists on a node."),
    "image": ("{} runs",
              "name an Apptainer image that all nodes see; apptainer must be on their PATH (by a module)."),
    "python": ("{}: as on this host",
               "name a Python 3.11 to 3.13 that all nodes see, with the packages that this host has."),
    "interface": ("{}", "name a network that this host and all nodes have: `ip -4 addr` lists them."),
    "scratch": ("{} is shared and written to",
                "name a folder of each learner's own that this host and all nodes share and may write to."),
    "local": ("{} is written to",
              "name a folder of the node's own in which learners may make files, such as /tmp."),
    "wall": ("a file is made in {}",
             "name a folder that all nodes share, and let everybody make files in it (chmod 1777)."),
    "home": ("written to from the nodes", "Have homes mounted on the nodes, to be written to."),
    "clocks": (f"the nodes' are within {node_probe.SKEW:g} s of this host's",
               "Have chrony or ntpd set the clocks; until then leave the node out (sbatch --exclude)."),
    "nodes to this host": ("a connection comes back", _FIREWALL),
    "between nodes": ("each connects to the other", _FIREWALL),
    "sbatch on nodes": ("a job may submit jobs",
                        "Have sbatch there, and let nodes submit (AllocNodes): a notebook may be a job."),
}  # fmt: skip
_JOB = "Try again when nodes are free, or with another slurm.partition or slurm.reservation."


def findings(site: Site, slurm: Slurm, say: Callable[[str], object] = print) -> list[Finding]:
    """Every setting tried; it takes seconds, or about a minute where a job has to wait."""
    queue = Admission(site, slurm)
    jobs = NodeJobs(site, slurm, queue.options or [], say)
    jobs.run(queue.nodes)
    found = [_version(slurm.version), *queue.findings]
    if jobs.trouble:
        found.append(Finding("a job", "wrong", jobs.trouble, _JOB))
    return [*found, *_told(site, jobs, queue.nodes)]


def _version(version: str) -> Finding:
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < OLDEST:
        return Finding("Slurm", "wrong", f"{version} is too old", "Have it upgraded to 21.08 or later.")
    return Finding("Slurm", "ok", version)


def _told(site: Site, jobs: NodeJobs, nodes: int) -> Iterator[Finding]:
    """What this host and the nodes found, a finding a setting; a complaint of several nodes is said once."""
    values = {what: value for what in _TRIED if (value := getattr(site, what, ""))}
    values["python"] = site.interpreter() or sys.executable
    values.setdefault("interface", "not set: the network that leads out")
    for what, (good, mend) in _TRIED.items():
        is_setting = hasattr(site, what)
        if (is_setting and what not in values) or (what == "between nodes" and nodes < 2):
            continue
        name = site.where(what).split(" in ")[0] if is_setting else what
        hosts: dict[str, list[str]] = {}
        for node in ({"host": "this host", "wrong": jobs.here.wrong}, *jobs.told.values()):
            hosts.setdefault(node["wrong"].get(what, ""), []).append(node["host"])
        wrong = [f"{', '.join(which)}: {said}" for said, which in hosts.items() if said]
        if wrong:
            key = "interface" if mend is _FIREWALL else what
            place = f"{site.where(key)}: " if hasattr(site, key) else ""
            yield Finding(name, "wrong", "; ".join(wrong), place + mend)
        elif jobs.told and all(what in node["wrong"] for node in jobs.told.values()):
            shown = values.get(what, "")
            yield Finding(name, "ok", good.format(", ".join(shown) if isinstance(shown, tuple) else shown))
        else:
            yield Finding(name, "unknown", "not tried, for what is said above")
