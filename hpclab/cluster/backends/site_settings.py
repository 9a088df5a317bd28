"""What the site's jobqueue.yaml says, checked before any batch script is made of it.

dask-jobqueue writes settings into the script as they are: a line break in a queue's name would become a
directive. YAML reads them first: 10:00 is 600 to it, 0123456 is 42798, on is true. So each value has the
check that it has in Pool(...). The prologue is commands by its nature and is taken as it is.
"""

import importlib.resources
import os
import re
from collections.abc import Callable, Mapping
from datetime import date
from functools import partial
from typing import Any

import dask
import yaml

from hpclab import checks
from hpclab.cluster import request

OWN = "hpclab-"  # OWN + kind is the section of Dask's configuration that holds defaults for pools' jobs
_FORMER = {"job-extra-directives": "job-extra", "job-script-prologue": "env-extra",
           "worker-extra-args": "extra", "account": "project",
           "job-directives-skip": "header-skip"}  # fmt: skip
_WORDS = r"(?=.*\S)(?:[\w./+=@:,~%#! -]|\$[A-Za-z_]\w*|\$\{[A-Za-z_]\w*\}){1,4096}"
_OWN_ARGUMENTS = ("--nworkers", "--nprocs", "--nthreads", "--nanny", "--name", "--memory-limit")


def checked(kind: str, own: bool) -> dict[str, Any]:
    """Return the settings of ``jobqueue.KIND`` in Dask's configuration, or with `own` as dask-jobqueue ships
    them: under their present names, without those that have no value; text ready for a script, sizes in
    bytes, times in seconds. ValueError names a setting that must not be used."""
    shipped = importlib.resources.files("dask_jobqueue") / "jobqueue.yaml"
    plain = yaml.safe_load(shipped.read_text())["jobqueue"][kind]
    if dask.config.get(f"jobqueue.{OWN}{kind}", None) is None:
        dask.config.update_defaults({"jobqueue": {f"{OWN}{kind}": plain | {"walltime": None}}})
    section = plain if own else dask.config.get(f"jobqueue.{kind}", None)
    if not isinstance(section, dict):
        raise ValueError(
            f'jobqueue.{kind} in jobqueue.yaml must be settings such as queue: "main", a line each below '
            f"it, not {checks.shown(section)}."
        )
    values = {}
    for key, check in _CHECKS.items():
        former = _FORMER.get(key, key)  # counts where only it says something
        present = dask.config.get(key, None, config=section) not in (None, [], "")
        name = key if present or dask.config.get(former, None, config=section) is None else former
        if (value := dask.config.get(name, None, config=section)) is not None:
            variable = f"DASK_JOBQUEUE__{kind}__{name}".upper().replace("-", "_")
            source = variable if variable in os.environ else "jobqueue.yaml"
            values[key] = check(f"jobqueue.{kind}.{name} in {source}", value)
    return values


def clock(seconds: int) -> str:
    """Return `seconds` as HH:MM:SS, as sbatch and YAML 1.1 read them: 45000 is 12:30:00."""
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _wrong(setting: str, allowed: str, value: object) -> ValueError:
    return ValueError(f"{setting} must be {allowed}, not {checks.shown(value)}.")


def _text(setting: str, value: object, example: str = "") -> str:
    """Return `value` if it is text; else raise ValueError with what YAML made of it without quotes, and with
    `example`, which follows "put it in quotes": ``', such as "00:30:00"'``."""
    if isinstance(value, str):
        return value
    kind, why, of_file = checks.shown(value), "", "jobqueue.yaml" in setting
    if isinstance(value, bool):
        kind, why = str(value).lower(), ", as are yes, no, on and off"
    elif isinstance(value, int | float):
        kind = f"the number {value}"
        if isinstance(value, int) and value >= 60 and of_file:
            why = f", as are {clock(value).lstrip('0:')} and 0{value:o}"
    elif isinstance(value, date):
        kind = f"the date {value}"
    elif isinstance(value, Mapping):
        why = ", because of the colon in it"
    if not of_file:  # the shell takes a first pair of quotes away
        example = f", for Dask and not the shell: '\"{value}\"'"
    raise ValueError(
        f"{setting} must be text: put it in quotes{example}. Without them it is read as {kind}{why}."
    )


def _like(pattern: str, allowed: str, setting: str, value: object) -> str:
    """Return text that matches the regular expression `pattern`; else ValueError says what is `allowed`."""
    if not re.fullmatch(pattern, text := _text(setting, value)):
        raise _wrong(setting, allowed, value)
    return text


def _name(setting: str, value: object) -> str:
    return checks.identifier(setting, _text(setting, value))


def _time_limit(setting: str, value: object) -> float:
    text = _text(setting, value, ', such as "00:30:00"').strip()
    return request.time_limit(setting, f"{text} min" if text.isdecimal() else text)  # as sbatch reads it


def _memory(setting: str, value: object) -> int:
    """Return bytes, from a number or text in Dask's units, where 4G is 4 GB."""
    if isinstance(value, str):
        try:
            value = dask.utils.parse_bytes(value)
        except (ValueError, OverflowError):
            raise _wrong(setting, "a size such as 4 GiB", value) from None
    return request.bytes_of(setting, value)


def _job_memory(setting: str, value: object) -> str:
    """Return sbatch's value of --mem: a size in MiB, such as ``4096M``, or 0 for all of a node."""
    if (text := _text(setting, value)) == "0":
        return text
    if not (size := request.sbatch_size(text)):
        raise _wrong(setting, 'a size as sbatch reads it, such as "4G"', value)
    return f"{request.bytes_of(setting, size) // 2**20}M"


def _word(setting: str, value: object) -> str:
    """Return one word for the job's shell, which ends the job where a ``$NAME`` in the word is not set."""
    text = re.sub(r"(^|=)~(?=/|$)", r"\1$HOME", _plain(setting, value))  # quotes would keep the shell from it
    if text.startswith("~"):
        raise _wrong(setting, "a path without ~NAME", value)
    if re.fullmatch(r"[\w./+=@:,%-]+", text, re.ASCII):
        return text
    missing = f":?not set, but needed by {setting}"  # which the job's log then says: see causes.py
    return '"' + re.sub(r"\$\{?(\w+)\}?", lambda name: f"${{{name[1]}{missing}}}", text) + '"'


def _words(setting: str, value: object) -> str:
    return " ".join(_word(setting, word) for word in _plain(setting, value).split())


def _argument(setting: str, value: object) -> str:
    """Return an argument of the worker for the shell; ValueError for an option that the pool itself sets."""
    if any(word.split("=")[0] in _OWN_ARGUMENTS for word in _text(setting, value).split()):
        raise ValueError(
            f"{setting}: {checks.shown(value)} is said by the pool itself, whose nodes are one worker "
            "process each; leave it out."
        )
    return _words(setting, value)


def _each(check: Callable[[str, object], str], setting: str, values: object) -> list[str]:
    if not isinstance(values, list | tuple):
        raise _wrong(setting, "a list, a text an item", values)
    return [check(setting, value) for value in values]


def _options(setting: str, value: object) -> dict[str, Any]:
    """Return the scheduler's options by Python names (``_`` for ``-``), without those that are None."""
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise _wrong(setting, "names and values", value)
    options = {name.replace("-", "_"): each for name, each in value.items() if each is not None}
    for name, each in options.items():
        if name == "port":
            checks.integer(f"{setting}: port", each, 0, 65535)
        elif name in ("host", "interface"):
            _name(f"{setting}: {name}", each)
    return options


_plain = partial(_like, _WORDS, "one line of plain words, without quotes, line breaks, ; or $(...)")
_CHECKS: dict[str, Callable[[str, object], Any]] = {
    **dict.fromkeys(("queue", "account", "interface"), _name),
    "walltime": _time_limit,
    "memory": _memory,
    "job-mem": _job_memory,
    "death-timeout": request.seconds,
    **dict.fromkeys(("python", "worker-command"), _words),
    "local-directory": _word,
    "shebang": partial(_like, r"#!/[\w./+=@:,~%#! -]{1,4096}", 'such as "#!/bin/bash -l", in quotes'),
    "job-extra-directives": request.directives,
    "job-directives-skip": partial(_each, _plain),
    "worker-extra-args": partial(_each, _argument),
    "job-script-prologue": partial(
        _each, partial(_like, r"[^\0\r]*", "lines of shell with the line ends of Unix")
    ),
    "scheduler-options": _options,
}
