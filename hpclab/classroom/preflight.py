"""Check a site's settings, each on the real scheduler and its nodes, and say what to change."""

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
# By setting or by check: what is reported where it holds, and what to change where it does not.
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
    """What one check found. `name`: of a setting or a check; `state`: ok, wrong or unknown; `said`: why;
    `mend`: what to change."""

    name: str
    state: str
    said: str
    mend: str = ""


def findings(site: Site, slurm: Slurm, say: Callable[[str], object] = print) -> list[Finding]:
    """Try every setting of `site`, with progress to `say`: in seconds, or a minute where a job is pending."""
    queue = Queue(site, slurm)
    jobs = NodeJobs(site, slurm, queue.options or [], say)
    jobs.run(queue.nodes)
    old = tuple(map(int, re.findall(r"\d+", slurm.version)[:2])) < OLDEST
    upgrade = ("wrong", f"{slurm.version} is too old", "Have it upgraded to 21.08 or later.")
    first = Finding("Slurm", *(upgrade if old else ("ok", slurm.version)))
    trouble = [Finding("a job", "wrong", jobs.trouble, _JOB)] if jobs.trouble else []
    return [first, *queue.findings(), *trouble, *_on_nodes(site, jobs, queue.nodes)]


class Queue:
    """Checks what settings can be without a job, by sinfo and sbatch --test-only. `options`: those with which
    sbatch accepts a job, or None; `nodes`: on how many to try one, 2 at most; `wrong`: the error of each
    setting that has one, of partition, account, qos, reservation and time."""

    def __init__(self, site: Site, slurm: Slurm):
        self.site, self.slurm = site, slurm
        self.wrong: dict[str, str] = {}
        self.account = ""  # one of this user's that would do
        self.options: list[str] | None = [*site.directives(), "--time=1", "--mem=512M"]
        if said := self._refusal(self.options):
            if self._refusal(self.options[:-1]):
                self._find_rejected(said)
            else:  # a site that takes no --mem
                self.options.pop()
        self.partitions = self._partitions()
        self.name = "" if "partition" in self.wrong else site.partition
        state, self.usable = self.partitions.get(self.name, ("up", 1))
        if state != "up" or not self.usable:
            none = "none of its nodes runs jobs"
            self.wrong.setdefault("partition", f"it is {state}" if self.usable else none)
        self.nodes = min(2, self.usable) if state == "up" and self.options else 0
        if site.time and self.options and "partition" not in self.wrong:
            asked, longest = units.format_seconds(site.time), slurm.longest(self.name or None) or site.time
            if site.time > longest:
                limit = units.format_seconds(longest)
                self.wrong["time"] = f"{asked} is more than the partition's limit of {limit}"
            elif said := self._refusal([*self.options, f"--time={-(-round(site.time) // 60)}"]):
                self.wrong["time"] = f"{asked}: {said}"

    def _refusal(self, options: list[str]) -> str:
        return self.slurm.refusal(*options).removeprefix("sbatch: ")

    def _partitions(self) -> dict[str, tuple[str, int]]:
        """By partition ("": the default), its state (up, down, drain or inact) and number of usable nodes."""
        words = ["sinfo", "--noheader", "--all", "--format=%P|%a|%D|%T"]
        found = dict[str, tuple[str, int]]()
        for line in slurm_commands.run(words, self.slurm.environment).splitlines():
            if line.count("|") == 3:
                marked, state, nodes, of_nodes = line.split("|")
                for name in (marked.rstrip("*"), *([""] if marked.endswith("*") else [])):
                    usable = int(nodes) if _USABLE.match(of_nodes) else 0
                    found[name] = state, found.get(name, ("", 0))[1] + usable
        return found

    def _find_rejected(self, said: str) -> None:
        """Enter sbatch's error message `said` in `wrong` under the setting that it rejects: the one without
        which it accepts the job; else the account, if it accepts another of this user's first ten; else the
        setting that `said` names."""
        asked = self.options or []
        for option in self.site.directives():
            if not self._refusal(rest := [each for each in asked if each != option]):
                self.options, self.wrong = rest, {option[2:].partition("=")[0]: said}
                return
        rest = [each for each in asked if not each.startswith("--account=")]
        words = ["sacctmgr", "--noheader", "--parsable2", "show", "associations", "format=account"]
        with suppress(SlurmError):
            told = slurm_commands.run([*words, f"user={getpass.getuser()}"], self.slurm.environment)
            for account in [*dict.fromkeys(re.findall(r"^\w[\w.-]*$", told, re.MULTILINE))][:10]:
                if not self._refusal(options := [f"--account={account}", *rest]):
                    self.options, self.wrong, self.account = options, {"account": said}, account
                    return
        names = ("account", "qos", "reservation", "time", "partition")
        self.options = None
        self.wrong = {next((name for name in names if name in said.lower()), "partition"): said}

    def findings(self) -> Iterator[Finding]:
        """Yield a Finding for each of those settings that is set, and for partition and account anyhow."""
        site, near = self.site, difflib.get_close_matches(self.site.partition, self.partitions, 1, 0.4)
        names = ", ".join(near or sorted(filter(None, self.partitions))[:5])
        account = f", such as {self.account}" if self.account else f": {_LISTED}"
        mends = {"partition": f"name one that is up and takes you, such as {names}.",
                 "account": f"name one of yours{account}.", "qos": f"name another: {_LISTED}.",
                 "reservation": "name one that takes you: `scontrol show reservation` lists them.",
                 "time": "ask for no more, or name a partition that allows it."}  # fmt: skip
        for name, mend in mends.items():
            value = units.format_seconds(site.time) if name == "time" and site.time else getattr(site, name)
            title, tried = f"slurm.{name}", self.options and (name != "time" or "partition" not in self.wrong)
            if name in self.wrong:
                shown = f"{value}: " if value and name != "time" else ""
                yield Finding(title, "wrong", shown + self.wrong[name], f"{site.where(name)}: {mend}")
            elif name == "partition":
                yield Finding(title, "ok", f"{self.name or 'the default'}: up, {self.usable} node(s)")
            elif value and not tried:
                yield Finding(title, "unknown", _NOT_TRIED)
            elif value or name == "account":
                said = f"{value} is accepted" if value else "not set, and sbatch asks for none"
                yield Finding(title, "ok", said)


def _on_nodes(site: Site, jobs: NodeJobs, nodes: int) -> Iterator[Finding]:
    """Yield a Finding for each setting that was tried on hosts; one error of several hosts is said once."""
    values = {what: value for what in _TRIED if (value := getattr(site, what, ""))}
    values["python"] = site.interpreter() or sys.executable
    values.setdefault("interface", "not set: the network that leads out")
    for what, (good, mend) in _TRIED.items():
        is_setting = hasattr(site, what)
        if (is_setting and what not in values) or (what == "between nodes" and nodes < 2):
            continue
        name = site.where(what).split(" in ")[0] if is_setting else what
        hosts: dict[str, list[str]] = {}
        for node in ({"host": "this host", "wrong": jobs.here.wrong}, *jobs.told):
            hosts.setdefault(node["wrong"].get(what, ""), []).append(node["host"])
        wrong = [f"{', '.join(which)}: {said}" for said, which in hosts.items() if said]
        if wrong:
            key = "interface" if mend is _FIREWALL else what
            place = f"{site.where(key)}: " if hasattr(site, key) else ""
            yield Finding(name, "wrong", "; ".join(wrong), place + mend)
        elif jobs.told and all(what in node["wrong"] for node in jobs.told):
            shown = values.get(what, "")
            yield Finding(name, "ok", good.format(", ".join(shown) if isinstance(shown, tuple) else shown))
        else:
            yield Finding(name, "unknown", _NOT_TRIED)
