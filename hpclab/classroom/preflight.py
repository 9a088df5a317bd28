"""Whether a site's settings hold: each tried on the real scheduler and on its nodes, with what to change."""

import difflib
import getpass
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from hpclab import units
from hpclab.classroom import node_probe
from hpclab.classroom.node_job import NodeJobs
from hpclab.classroom.settings import Site
from hpclab.cluster import slurm_commands
from hpclab.cluster.slurm import Slurm, SlurmError

OLDEST = (21, 8)  # Slurm's versions
_USABLE = re.compile(r"idle|mix|alloc|compl|plan")  # how the state of a node that runs jobs begins
_LISTED = "`sacctmgr show associations user=$USER format=account,qos` lists what you may use"
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
_NOT_TRIED = "not tried, for what is said above"


@dataclass(frozen=True)
class Finding:
    """`name`: a setting, or what was tried; `state`: ok, wrong or unknown; `mend`: what to change."""

    name: str
    state: str
    said: str
    mend: str = ""


def findings(site: Site, slurm: Slurm, say: Callable[[str], object] = print) -> list[Finding]:
    """Every setting tried; it takes seconds, or about a minute where a job has to wait."""
    queue = Queue(site, slurm)
    jobs = NodeJobs(site, slurm, queue.options or [], say)
    jobs.run(queue.nodes)
    found = [Finding("Slurm", "ok", slurm.version), *queue.findings()]
    if tuple(map(int, re.findall(r"\d+", slurm.version)[:2])) < OLDEST:
        found[0] = Finding(
            "Slurm", "wrong", f"{slurm.version} is too old", "Have it upgraded to 21.08 or later."
        )
    if jobs.trouble:
        found.append(Finding("a job", "wrong", jobs.trouble, _JOB))
    return [*found, *_on_nodes(site, jobs, queue.nodes)]


class Queue:
    """Whether the queue takes the class: what sinfo and sbatch --test-only say, without a job.

    `options`: with which sbatch takes a job, or None for none; `nodes`: on how many to try one, 2 at most;
    `wrong`: what is said against partition, account, qos, reservation or time.
    """

    def __init__(self, site: Site, slurm: Slurm):
        self.site, self.slurm = site, slurm
        self.wrong: dict[str, str] = {}
        self.account = ""  # one of this user's that would do
        self.options: list[str] | None = site.directives()
        shape = ["--time=1", "--mem=512M"]
        said = self._refusal([*self.options, *shape])
        if said and not self._refusal([*self.options, shape[0]]):  # a site that takes no --mem
            shape, said = shape[:1], ""
        if said:
            self._find_rejected(shape, said)
        self.partitions = self._partitions()
        self.name = "" if "partition" in self.wrong else site.partition
        state, self.usable = self.partitions.get(self.name, ("up", 1))
        if state != "up" or not self.usable:
            none = "none of its nodes runs jobs"
            self.wrong.setdefault("partition", f"it is {state}" if self.usable else none)
        self.nodes = min(2, self.usable) if state == "up" and self.options is not None else 0
        if self.options is not None:
            self.options += shape
            if site.time and "partition" not in self.wrong:
                self._try_time(site.time, slurm.longest(self.name or None) or site.time)

    def _refusal(self, options: list[str]) -> str:
        return self.slurm.refusal(*options).removeprefix("sbatch: ")

    def _partitions(self) -> dict[str, tuple[str, int]]:
        """By name, and "" for Slurm's default: up, down, drain or inact, and how many nodes run jobs."""
        words = ["sinfo", "--noheader", "--all", "--format=%P|%a|%D|%T"]
        found = dict[str, tuple[str, int]]()
        for line in slurm_commands.run(words, self.slurm.environment).splitlines():
            if line.count("|") == 3:
                marked, state, nodes, of_nodes = line.split("|")
                for name in (marked.rstrip("*"), *([""] if marked.endswith("*") else [])):
                    usable = int(nodes) if _USABLE.match(of_nodes) else 0
                    found[name] = state, found.get(name, ("", 0))[1] + usable
        return found

    def _find_rejected(self, shape: list[str], said: str) -> None:
        """Note which setting sbatch rejects: it takes the job without it, or with another value. Else the
        setting that its error message names."""
        for name, account, options in self._others():
            if not self._refusal([*options, *shape]):
                self.options, self.wrong, self.account = options, {name: said}, account
                return
        names = ("account", "qos", "reservation", "time", "partition")
        self.options = None
        self.wrong = {next((name for name in names if name in said.lower()), "partition"): said}

    def _others(self) -> Iterator[tuple[str, str, list[str]]]:
        """A setting, an account instead of it, and the options then: without each, or with one of this
        user's accounts, at most ten."""
        asked = self.site.directives()
        for option in asked:
            yield option[2:].partition("=")[0], "", [each for each in asked if each != option]
        rest = [each for each in asked if not each.startswith("--account=")]
        words = ["sacctmgr", "--noheader", "--parsable2", "show", "associations", "format=account"]
        with suppress(SlurmError):
            told = slurm_commands.run([*words, f"user={getpass.getuser()}"], self.slurm.environment)
            for account in [*dict.fromkeys(re.findall(r"^\w[\w.-]*$", told, re.MULTILINE))][:10]:
                yield "account", account, [*rest, f"--account={account}"]

    def _try_time(self, time: float, longest: float) -> None:
        asked, limit = units.format_seconds(time), units.format_seconds(longest)
        if time > longest:
            self.wrong["time"] = f"{asked} is more than the partition's limit of {limit}"
        elif said := self._refusal([*(self.options or []), f"--time={-(-round(time) // 60)}"]):
            self.wrong["time"] = f"{asked}: {said}"

    def findings(self) -> Iterator[Finding]:
        site, near = self.site, difflib.get_close_matches(self.site.partition, self.partitions, 1, 0.4)
        names = ", ".join(near or sorted(filter(None, self.partitions))[:5])
        account = f", such as {self.account}" if self.account else f": {_LISTED}"
        mends = {"partition": f"name one that is up and takes you, such as {names}.",
                 "account": f"name one of yours{account}.", "qos": f"name another: {_LISTED}.",
                 "reservation": "name one that takes you: `scontrol show reservation` lists them.",
                 "time": "ask for no more, or name a partition that allows it."}  # fmt: skip
        for name, mend in mends.items():
            value = units.format_seconds(site.time) if name == "time" and site.time else getattr(site, name)
            title = f"slurm.{name}"
            if name in self.wrong:
                shown = f"{value}: " if value and name != "time" else ""
                yield Finding(title, "wrong", shown + self.wrong[name], f"{site.where(name)}: {mend}")
            elif name == "partition":
                yield Finding(title, "ok", f"{self.name or 'the default'}: up, {self.usable} node(s)")
            elif value and (self.options is None or (name == "time" and "partition" in self.wrong)):
                yield Finding(title, "unknown", _NOT_TRIED)
            elif value or name == "account":
                said = f"{value} is accepted" if value else "not set, and sbatch asks for none"
                yield Finding(title, "ok", said)


def _on_nodes(site: Site, jobs: NodeJobs, nodes: int) -> Iterator[Finding]:
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
            yield Finding(name, "unknown", _NOT_TRIED)
