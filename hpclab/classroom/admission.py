"""Whether a site's queue takes the class: what sinfo and sbatch --test-only say, without a job."""

import difflib
import getpass
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

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


class Partition(NamedTuple):
    """`state`: up, down, drain or inact; `limit` as sinfo writes it; `nodes` that run jobs, of which one job
    may have `most`."""

    state: str = "up"
    limit: str = "infinite"
    most: int = 2
    nodes: int = 0


class Admission:
    """`options`: with which sbatch takes a job, or None for none; `nodes`: how many it may have, 2 at most;
    `findings`: partition, account, qos, reservation and time."""

    def __init__(self, site: Site, slurm: Slurm):
        self.site, self.slurm = site, slurm
        self.partitions, self.default = self._partitions()
        self.wrong: dict[str, str] = {}
        self.account = ""  # one of this user's that would do
        self.options: list[str] | None = site.directives()
        place = self.partitions.get(site.partition or self.default, Partition())
        shape = [f"--nodes={max(1, min(2, place.nodes, place.most))}", "--time=1", "--mem=512M"]
        said = self.refusal([*self.options, *shape])
        if said and not self.refusal([*self.options, *shape[:-1]]):  # a site that takes no --mem
            shape, said = shape[:-1], ""
        if said:
            self._blame(shape, said)
        if "partition" in self.wrong:
            place = self.partitions.get(self.default, Partition())
        elif place.state != "up":
            self.wrong["partition"] = f"it is {place.state}"
        self.nodes = min(2, place.nodes, place.most) if place.state == "up" else 0
        if self.options is not None:
            self.options += shape[2:]
            if site.time and "partition" not in self.wrong:
                self._try_time(site.time, place.limit)
        self.findings = [*self._told(place)]

    def _partitions(self) -> tuple[dict[str, Partition], str]:
        words = ["sinfo", "--noheader", "--all", "--format=%P|%a|%l|%s|%D|%T"]
        found, default = dict[str, Partition](), ""
        for line in slurm_commands.run(words, self.slurm.environment).splitlines():
            if line.count("|") == 5:
                name, state, limit, size, nodes, of_nodes = line.split("|")
                most = re.search(r"(\d+)$", size)
                default = name.rstrip("*") if name.endswith("*") else default
                before = found.get(name := name.rstrip("*"), Partition()).nodes
                here = int(nodes) if _USABLE.match(of_nodes) else 0
                found[name] = Partition(state, limit, int(most[1]) if most else 2, before + here)
        return found, default

    def refusal(self, options: Sequence[str]) -> str:
        """What sbatch says against a job with these options, or ""; no job is made."""
        words = ["sbatch", "--test-only", "--output=/dev/null", "--wrap=true", *options]
        try:
            slurm_commands.run(words, self.slurm.environment, 30.0)
        except SlurmError as error:
            return str(error).removeprefix("sbatch: ")
        return ""

    def _blame(self, shape: list[str], said: str) -> None:
        """The setting without which sbatch would take the job, else the one that its words name; for want of
        an account the job goes on with another of this user's."""
        asked = self.site.directives()
        for option in asked:
            rest = [each for each in asked if each != option]
            if not self.refusal([*rest, *shape]):
                self.options, self.wrong = rest, {option[2:].partition("=")[0]: said}
                return
        names = ("account", "qos", "reservation", "time", "partition")
        self.options = None
        self.wrong = {next((name for name in names if name in said.lower()), "partition"): said}
        rest = [each for each in asked if not each.startswith("--account=")]
        for account in self._accounts() if "account" in self.wrong else ():
            if not self.refusal([*rest, f"--account={account}", *shape]):
                self.options, self.account = [*rest, f"--account={account}"], account
                return

    def _accounts(self) -> list[str]:
        """This user's in Slurm's accounting, at most ten."""
        words = ["sacctmgr", "--noheader", "--parsable2", "show", "associations", "format=account"]
        with suppress(SlurmError):
            told = slurm_commands.run([*words, f"user={getpass.getuser()}"], self.slurm.environment)
            return [name for name in dict.fromkeys(told.split()) if re.fullmatch(r"\w[\w.-]*", name)][:10]
        return []

    def _try_time(self, time: float, limit: str) -> None:
        longest = units.parse_seconds(limit) if re.fullmatch(r"[\d:-]+", limit) else time
        asked = units.format_seconds(time)
        if time > longest:
            self.wrong["time"] = (
                f"{asked} is more than the partition's limit of {units.format_seconds(longest)}"
            )
        elif said := self.refusal([*(self.options or []), f"--time={-(-round(time) // 60)}"]):
            self.wrong["time"] = f"{asked}: {said}"

    def _told(self, place: Partition) -> Iterator[Finding]:
        site, near = self.site, difflib.get_close_matches(self.site.partition, self.partitions, 1, 0.4)
        names = ", ".join(near or sorted(self.partitions)[:5])
        account = f", such as {self.account}" if self.account else f": {_LISTED}"
        mends = {"partition": f"name one that is up and takes you, such as {names}.",
                 "account": f"name one of yours{account}.", "qos": f"name another: {_LISTED}.",
                 "reservation": "name one that takes you: `scontrol show reservation` lists them.",
                 "time": "ask for no more, or name a partition that allows it."}  # fmt: skip
        for name, mend in mends.items():
            value = getattr(site, name)
            title = f"slurm.{name}"
            if name in self.wrong:
                shown = f"{value}: " if value and name != "time" else ""
                yield Finding(title, "wrong", shown + self.wrong[name], f"{site.where(name)}: {mend}")
            elif name == "partition":
                named = value or f"{self.default} (Slurm's default)"
                yield Finding(title, "ok", f"{named}: up, {place.nodes} node(s), a job at most {place.limit}")
            elif value and (self.options is None or (name == "time" and "partition" in self.wrong)):
                yield Finding(title, "unknown", "not tried, for what is said above")
            elif value or name == "account":
                yield Finding(title, "ok", self._accepted(name, value))

    def _accepted(self, name: str, value: object) -> str:
        if isinstance(value, float):
            return units.format_seconds(value)
        if not value:
            return "not set, and sbatch asks for none"
        with suppress(SlurmError):
            config = slurm_commands.run(["scontrol", "show", "config"], self.slurm.environment)
            if name != "reservation" and re.search(r"AccountingStorageEnforce *= *(none|\(null\))", config):
                return f"{value} is accepted, as any is: this Slurm enforces none"
        return f"{value} is accepted"
