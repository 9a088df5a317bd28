"""A site's own settings: one TOML file for every learner's jobs, pools and server, checked as in Pool."""

import os
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from string import Template
from typing import Any

from hpclab import checks
from hpclab.classroom import exchange
from hpclab.cluster import request

DEFAULT = Path("/etc/hpclab/site.toml")
_LARGEST = 2**16  # bytes of a file
_POOL = 1800.0  # seconds that a pool's job asks for unless told, as dask-jobqueue ships it
_SPOKEN = ("partition", "account", "qos", "reservation")  # and so end SBATCH_..., SALLOC_..., SLURM_...
_OWN = re.compile(r"~|\$\{?(?:USER|LOGNAME|HOME|SCRATCH|WORK)\b")  # what differs from learner to learner
_VARIABLE = r"\$(?:[A-Za-z_]\w*|\{[A-Za-z_]\w*\})"
_PATH = rf"(?!(.*/)?\.\.(/|$))(?=.{{1,300}}$)(~?/|{_VARIABLE})([A-Za-z0-9._/+=@:,-]|{_VARIABLE})*"
_ANY_PATH = {
    "pattern": f"(?a){_PATH}",
    "allowed": "be a path of at most 300 plain characters that begins with /, ~/ or $NAME, without .., "
    "blanks, quotes, ; or $(...)",
}
_PYTHON = _ANY_PATH | {"pattern": f"(?a)python[0-9.]*|{_PATH}"}
_MODULE = "[A-Za-z0-9_][A-Za-z0-9._/+@=-]{0,127}"
_MODULES = 'a list of modules such as ["python/3.12"], each of letters, digits or any of . _ - + = @ /'
# A batch job's shell may not know `module` yet; what makes it known may set PATH anew.
SHELL = "command -v module >/dev/null || { before=$PATH; . /etc/profile; PATH=$PATH:$before; }"


def matching(name: str, value: object, pattern: str, allowed: str) -> str:
    """Return `value` if it is text that fits the regular expression `pattern`; ValueError holds `allowed`."""
    text: str = checks.instance(name, value, str, "text, in quotes")
    if not re.fullmatch(pattern, text):
        raise ValueError(f"{name} must {allowed}, not {checks.shown(value)}.")
    return text


def _time(name: str, value: object) -> float:
    return request.time_limit(name, checks.instance(name, value, str, 'text in quotes, such as "02:00:00"'))


def _scratch(name: str, value: object) -> str:
    if not _OWN.search(text := matching(name, value, **_ANY_PATH)):
        raise ValueError(
            f"{name} must be a folder of each learner's own, such as {text.rstrip('/')}/$USER, not {text!r}."
        )
    return text


def _modules(name: str, value: object) -> tuple[str, ...]:
    listed = checks.instance(name, value, list, _MODULES)
    named = checks.instances(name, listed, str, 'a name such as "python/3.12"')
    return tuple(matching(name, each, _MODULE, f"be {_MODULES}") for each in named)


@dataclass(frozen=True)
class Site:
    """A site's settings, checked; text is "" and a tuple empty where its file sets none. `time` in seconds
    or None: the longest walltime that a job of the class may request. Paths as written, with their $NAME.
    `hub` is the table [hub], not checked yet. `file` is the path of the settings."""

    partition: str = checks.field(checks.identifier, "", "slurm")
    account: str = checks.field(checks.identifier, "", "slurm")
    qos: str = checks.field(checks.identifier, "", "slurm")
    reservation: str = checks.field(checks.identifier, "", "slurm")
    time: float | None = checks.field(_time, None, "slurm")
    modules: tuple[str, ...] = checks.field(_modules, (), "software")
    image: str = checks.field(matching, "", "software", **_ANY_PATH)
    python: str = checks.field(matching, "", "software", **_PYTHON)
    interface: str = checks.field(checks.identifier, "", "network")
    scratch: str = checks.field(_scratch, "", "paths")
    local: str = checks.field(matching, "", "paths", **_ANY_PATH)
    wall: str = checks.field(matching, "", "paths", **_ANY_PATH)
    hub: Mapping[str, Any] = field(default_factory=dict)
    file: str = ""

    def directives(self) -> list[str]:
        """``["--partition=main", ...]``: the options of sbatch that name the class's place in the queue."""
        return [f"--{name}={value}" for name in _SPOKEN if (value := getattr(self, name))]

    def prologue(self) -> list[str]:
        """Lines of shell that load the site's modules at the start of a job."""
        return [SHELL, *(f"module load {each}" for each in self.modules)] if self.modules else []

    def interpreter(self) -> str:
        """The shell command that runs Python in a job, in the image if there is one; "" where the file names
        neither, and jobs take the Python that submits them."""
        if self.image:
            return f"apptainer exec {self.image} {self.python or 'python3'}"
        return self.python

    def environment(self, variables: Mapping[str, str] = os.environ) -> dict[str, str]:
        """The environment variables by which a learner's sbatch, srun, salloc and pools use these settings.
        `variables` are the learner's own (USER, HOME ...), which scratch and wall may name; ValueError for
        one that is not set. `local` keeps its $NAMEs: a node expands them."""
        told = {f"{tool}_{name.upper()}": value for tool in ("SBATCH", "SALLOC", "SLURM")
                for name in _SPOKEN if (value := getattr(self, name))}  # fmt: skip
        extra = [each for each in self.directives() if not each.startswith(("--partition", "--account"))]
        pools: dict[str, object] = {
            "QUEUE": self.partition, "ACCOUNT": self.account, "INTERFACE": self.interface,
            "LOCAL_DIRECTORY": self.local, "PYTHON": self.interpreter(), "JOB_EXTRA_DIRECTIVES": extra,
            "JOB_SCRIPT_PROLOGUE": self.prologue(),
            "WALLTIME": f"{min(self.time, _POOL):g} s" if self.time else "",
        }  # fmt: skip
        told |= {f"DASK_JOBQUEUE__SLURM__{name}": repr(value) for name, value in pools.items() if value}
        if self.scratch:
            told["HPCLAB_STATE_DIR"] = f"{self.expanded('scratch', variables)}/hpclab"
        if self.wall:
            told["HPCLAB_WALL"] = self.expanded("wall", variables)
        return told

    def expanded(self, name: str, variables: Mapping[str, str] = os.environ) -> str:
        """The path `name` (scratch, wall ...) with its ~ and $NAME replaced; ValueError for one not set."""
        path = Template(re.sub("^~", "$HOME", getattr(self, name)))
        try:
            return path.substitute({key: value for key, value in variables.items() if value}).rstrip("/")
        except KeyError as missing:
            raise ValueError(
                f"{self.where(name)} names ${missing.args[0]}, which is not set here: write its value, or "
                "use $USER or $HOME."
            ) from None

    def where(self, name: str) -> str:
        """What errors call the setting `name`: ``"slurm.partition in /etc/hpclab/site.toml"``."""
        table = next(part.metadata["table"] for part in fields(self) if part.name == name)
        return f"{table}.{name} in {self.file or DEFAULT}"


def read(path: str | Path | None = None) -> Site:
    """The settings in `path`, else in the file that HPCLAB_SITE names, else in /etc/hpclab/site.toml.
    FileNotFoundError where there is none; ValueError names file and key of what cannot be used."""
    file = Path(path or os.environ.get("HPCLAB_SITE") or DEFAULT).expanduser()
    try:
        text, status = exchange.read(file.resolve(), _LARGEST)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"There is no file {file} with a site's settings; slurm/hub/site.toml in hpclab's repository "
            "explains every key."
        ) from None
    except ValueError as error:
        raise ValueError(f"{file} is no site's settings: {error}.") from None
    if status.st_mode & stat.S_IWOTH:
        raise ValueError(f"{file} must be a file that not everybody may write to (chmod o-w).")
    try:
        tables = tomllib.loads(text.decode())
    except ValueError as error:
        raise ValueError(f"{file} is not TOML: {error}.") from None
    known = {part.metadata["table"] for part in fields(Site) if part.metadata} | {"hub"}
    values: dict[str, Any] = {"file": str(file)}
    for table, keys in tables.items():
        checks.choice(f"A table of {file}", table, sorted(known))
        checks.instance(f"[{table}] in {file}", keys, dict, "a table")
        values |= {"hub": keys} if table == "hub" else checked(Site, table, keys, f" in {file}")
    site = Site(**values)
    request.directives(f"[slurm] in {file}", site.directives())
    return site


def found() -> Site:
    """The settings of this site, or empty ones where there is no file."""
    try:
        return read()
    except FileNotFoundError:
        return Site()


def checked(kind: Any, table: str, values: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """Return the `values` of a TOML `table` checked as fields of `kind`, without those that are ""."""
    known = {part.name: part.metadata["check"] for part in fields(kind)
             if part.metadata.get("table") in ("", table)}  # fmt: skip
    for key in values:
        checks.choice(f"A key of {table}{where}", key, known)
    return {key: known[key](f"{table}.{key}{where}", value) for key, value in values.items() if value != ""}
