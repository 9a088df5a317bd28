"""Whether a site's queue takes the class: what sinfo and sbatch --test-only say, without a job."""

import difflib
import getpass
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from hpclab import units
from hpclab.classroom.settings import Site
from hpclab.cluster import slurm_commands
from hpclab.cluster.slurm import Slurm, SlurmError

_USABLE = re.compile(r"idle|mix|alloc|compl|plan")  # how the state of a node that runs jobs begins
_LISTED = "`sacctmgr show associations user=$USER format=account,qos` lists what you may use"


@dataclass(frozen=True)
class Finding:
    """`name`: a setting, or what was tried; `state`: ok, wrong or unknown; `mend`: what to change."""

    name: str
    state: str
    said: str
    mend: str = ""


class Admission:
    """`options`: with which sbatch takes a job, or None for none; `nodes`: on how many to try one, 2 at most;
    `findings`: partition, account, qos, reservation and time."""

    def __init__(self, site: Site, slurm: Slurm):
        self.site, self.slurm = site, slurm
        self.wrong: dict[str, str] = {}
        self.account = ""  # one of this user's that would do
        self.options: list[str] | None = site.directives()
        shape = ["--time=1", "--mem=512M"]
        said = self.refusal([*self.options, *shape])
        if said and not self.refusal([*self.options, *shape[:1]]):  # a site that takes no --mem
            shape, said = shape[:1], ""
        if said:
            self._find_rejected(shape, said)
        self.partitions = self._partitions()
        name = "" if "partition" in self.wrong else site.partition
        state, nodes = self.partitions.get(name, ("up", 1))
        if state != "up" or not nodes:
            self.wrong.setdefault("partition", f"it is {state}" if nodes else "none of its nodes runs jobs")
        self.nodes = min(2, nodes) if state == "up" and self.options is not None else 0
        if self.options is not None:
            self.options += shape
            if site.time and "partition" not in self.wrong:
                self._try_time(site.time, slurm.longest(name or None) or site.time)
        self.findings = [*self._told(f"{name or 'the default'}: up, {nodes} node(s)")]

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

    def refusal(self, options: Sequence[str]) -> str:
        """What sbatch says against a job with these options, or ""; no job is made."""
        words = ["sbatch", "--test-only", "--output=/dev/null", "--wrap=true", *options]
        try:
            slurm_commands.run(words, self.slurm.environment, 30.0)
        except SlurmError as error:
            return str(error).removeprefix("sbatch: ")
        return ""

    def _find_rejected(self, shape: list[str], said: str) -> None:
        """Note which setting sbatch rejects: it takes the job without it, or with another value. Else the
        setting that its error message names."""
        for name, account, options in self._others():
            if not self.refusal([*options, *shape]):
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
        elif said := self.refusal([*(self.options or []), f"--time={-(-round(time) // 60)}"]):
            self.wrong["time"] = f"{asked}: {said}"

    def _told(self, place: str) -> Iterator[Finding]:
        """`place` is what there is to say of a partition that holds."""
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
                yield Finding(title, "ok", place)
            elif value and (self.options is None or (name == "time" and "partition" in self.wrong)):
                yield Finding(title, "unknown", "not tried, for what is said above")
            elif value or name == "account":
                said = f"{value} is accepted" if value else "not set, and sbatch asks for none"
                yield Finding(title, "ok", said)
