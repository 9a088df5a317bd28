"""A site's own settings: one TOML file says what every learner's jobs, pools and server need.

Each value is checked by the check that it has in Pool(...) or jobqueue.yaml, because it ends up in batch
scripts. `slurm/hub/site.toml` explains the keys; every one is optional.
"""

from __future__ import annotations

import difflib
import os
import re
import stat
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from hpclab import checks
from hpclab.classroom import exchange
from hpclab.cluster import request

DEFAULT = Path("/etc/hpclab/site.toml")
TEMPLATE = "slurm/hub/site.toml in hpclab's repository explains every key"
_LARGEST = 2**16  # bytes of a file
_POOL = 1800.0  # seconds that a pool's job asks for unless told, as dask-jobqueue ships it
_SPOKEN = ("partition", "account", "qos", "reservation")  # as SBATCH_..., SALLOC_..., SLURM_... say them
_VARIABLE = r"\$(?:[A-Za-z_]\w*|\{[A-Za-z_]\w*\})"
_PATH = re.compile(rf"(?:~?/|{_VARIABLE})(?:[A-Za-z0-9._/+=@:,-]|{_VARIABLE})*", re.ASCII)
_MODULE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+@=-]{0,127}", re.ASCII)
_OWN = re.compile(r"~|\$\{?(?:USER|LOGNAME|HOME|SCRATCH|WORK)\b")  # what differs from learner to learner
# A batch job's shell may not know `module` yet; what makes it known may set PATH anew.
SHELL = "command -v module >/dev/null || { before=$PATH; . /etc/profile; PATH=$PATH:$before; }"


def _time(name: str, value: object) -> float:
    return request.time_limit(name, checks.instance(name, value, str, 'text in quotes, such as "02:00:00"'))


def _path(name: str, value: object) -> str:
    text: str = checks.instance(name, value, str, "text, in quotes")
    if not _PATH.fullmatch(text) or len(text) > 300 or ".." in text.split("/"):
        raise ValueError(
            f"{name} must be a path of at most 300 plain characters that begins with /, ~/ or $NAME, without "
            f".., blanks, quotes, ; or $(...), not {checks.shown(value)}."
        )
    return text


def _scratch(name: str, value: object) -> str:
    if not _OWN.search(text := _path(name, value)):
        raise ValueError(
            f"{name} must be a folder of each learner's own, such as {text.rstrip('/')}/$USER, not {text!r}."
        )
    return text


def _python(name: str, value: object) -> str:
    return value if isinstance(value, str) and re.fullmatch(r"python[0-9.]*", value) else _path(name, value)


def _modules(name: str, value: object) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else []
    wrong = [each for each in listed if not isinstance(each, str) or not _MODULE.fullmatch(each)]
    if listed is not value or wrong:
        raise ValueError(
            f'{name} must be a list of modules such as ["python/3.12"], each of letters, digits or any of '
            f". _ - + = @ /, not {checks.shown(wrong[0] if wrong else value)}."
        )
    return tuple(listed)


@dataclass(frozen=True)
class Site:
    """What a site's file says, checked; text is "" and a tuple empty where it says nothing.

    `time` in seconds, or None: the longest that a job of the class may ask for. Paths as written, with their
    $NAME. `hub` is the table of that name, unread. `file` is where all this stands.
    """

    partition: str = checks.field(checks.identifier, "", "slurm")
    account: str = checks.field(checks.identifier, "", "slurm")
    qos: str = checks.field(checks.identifier, "", "slurm")
    reservation: str = checks.field(checks.identifier, "", "slurm")
    time: float | None = checks.field(_time, None, "slurm")
    modules: tuple[str, ...] = checks.field(_modules, (), "software")
    image: str = checks.field(_path, "", "software")
    python: str = checks.field(_python, "", "software")
    interface: str = checks.field(checks.identifier, "", "network")
    scratch: str = checks.field(_scratch, "", "paths")
    local: str = checks.field(_path, "", "paths")
    wall: str = checks.field(_path, "", "paths")
    hub: Mapping[str, Any] = field(default_factory=dict)
    file: str = ""

    def directives(self) -> list[str]:
        """``["--partition=main", ...]``: the options of sbatch that name the class's place in the queue."""
        return [f"--{name}={getattr(self, name)}" for name in _SPOKEN if getattr(self, name)]

    def prologue(self) -> list[str]:
        """Lines of shell that a job begins with: its modules."""
        return [SHELL, *(f"module load {each}" for each in self.modules)] if self.modules else []

    def interpreter(self) -> str:
        """Words that run Python in a job, in the image where there is one; "" for the learner's own."""
        if self.image:
            return f"apptainer exec {self.image} {self.python or 'python3'}"
        return self.python

    def environment(self, variables: Mapping[str, str] = os.environ) -> dict[str, str]:
        """What a learner's server and shell need so that sbatch, srun, salloc and pools use these settings.

        `variables` are the learner's own (USER, HOME ...), which scratch and wall may name; ValueError for
        one that is not set. `local` keeps its variables: they are the node's.
        """
        named = {name: value for name in _SPOKEN if (value := getattr(self, name))}
        tools = ("SBATCH", "SALLOC", "SLURM")
        told = {f"{tool}_{name.upper()}": value for name, value in named.items() for tool in tools}
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

        def value(found: re.Match) -> str:
            variable = found[0].strip("${}")
            if not (text := variables.get(variable)):
                raise ValueError(
                    f"{self.where(name)} names ${variable}, which is not set here: write its value, or use "
                    "$USER or $HOME."
                )
            return text

        return re.sub(_VARIABLE, value, re.sub("^~", "$HOME", getattr(self, name))).rstrip("/")

    def where(self, name: str) -> str:
        """``"slurm.partition in /etc/hpclab/site.toml"``, to be named in a sentence."""
        table = next(part.metadata["table"] for part in fields(self) if part.name == name)
        return f"{table}.{name} in {self.file or DEFAULT}"


def read(path: str | Path | None = None) -> Site:
    """The settings in `path`, else in the file that HPCLAB_SITE names, else in /etc/hpclab/site.toml.

    FileNotFoundError where there is none; ValueError names file and key of what cannot be used.
    """
    file = Path(path or os.environ.get("HPCLAB_SITE") or DEFAULT).expanduser()
    try:
        text, status = exchange.read(file.resolve(), _LARGEST)
    except FileNotFoundError:
        raise FileNotFoundError(f"There is no file {file} with a site's settings; {TEMPLATE}.") from None
    except ValueError as error:
        raise ValueError(f"{file} is no site's settings: {error}.") from None
    if status.st_mode & stat.S_IWOTH:
        raise ValueError(f"{file} must be a file that not everybody may write to (chmod o-w).")
    try:
        tables = tomllib.loads(text.decode())
    except ValueError as error:
        raise ValueError(f"{file} is not TOML: {error}.") from None
    return _checked(tables, str(file))


def found() -> Site:
    """The same, or settings that say nothing where there are none."""
    try:
        return read()
    except FileNotFoundError:
        return Site()


def _checked(tables: Mapping[str, Any], file: str) -> Site:
    parts = {f"{part.metadata['table']}.{part.name}": part for part in fields(Site) if part.metadata}
    values: dict[str, Any] = {"file": file}
    for table, keys in tables.items():
        if table == "hub":
            values["hub"] = dict(checks.instance(f"[hub] in {file}", keys, Mapping, "a table"))
        elif not isinstance(keys, Mapping) or table not in {name.partition(".")[0] for name in parts}:
            raise _unknown(".".join([table, *keys][:2]) if isinstance(keys, Mapping) else table, parts, file)
        else:
            for key, value in keys.items():
                if not (part := parts.get(name := f"{table}.{key}")):
                    raise _unknown(name, parts, file)
                if value != "":  # as in a template that nobody has filled in
                    values[key] = part.metadata["check"](f"{name} in {file}", value)
    site = Site(**values)
    request.directives(f"[slurm] in {file}", site.directives())
    return site


def _unknown(name: str, known: Iterable[str], file: str) -> ValueError:
    last = [each for each in known if each.partition(".")[2] == name.rpartition(".")[2]]
    near = last or difflib.get_close_matches(name, known, 1, 0.7)
    tables = ", ".join(dict.fromkeys(f"[{each.partition('.')[0]}]" for each in known))
    meant = f"did you mean {near[0]}?" if near else f"its tables are {tables} and [hub]."
    return ValueError(f"{file} has a setting that nobody reads, {checks.shown(name)}: {meant}")
