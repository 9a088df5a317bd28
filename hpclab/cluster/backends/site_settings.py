"""What the site's jobqueue.yaml says, checked before any batch script is made of it.

dask-jobqueue writes these settings into the script as they are: a line break in a queue's name would become
a directive, and `$(...)` in a path a command. The prologue is commands by its nature and is taken as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import yaml

from hpclab import checks
from hpclab.cluster.request import directive

OWN = "hpclab"  # the section of Dask's configuration for hpclab's own Slurm: dask-jobqueue's plain defaults
_FORMER = {"job-extra-directives": "job-extra", "job-script-prologue": "env-extra",
           "worker-extra-args": "extra", "account": "project"}  # fmt: skip
_WORDS = re.compile(r"(?:[A-Za-z0-9._/+=@:,~%#! -]|\$[A-Za-z_]\w*|\$\{[A-Za-z_]\w*\})+")


@dataclass(frozen=True)
class SiteSettings:
    """The settings of one `section` of ``jobqueue`` in Dask's configuration: ``settings.get("queue")``."""

    section: str

    @classmethod
    def checked(cls, own: bool) -> SiteSettings:
        """The site's settings, or with `own` none of them; ValueError names the one that cannot be used."""
        from hpclab.cluster.backends.jobqueue import DEFAULTS

        plain = yaml.safe_load(Path(DEFAULTS).read_text())
        if own:
            dask.config.update_defaults({"jobqueue": {OWN: plain["jobqueue"]["slurm"]}})
        settings = cls(OWN if own else "slurm")
        for key, check in _CHECKS.items():
            if (value := settings.get(key)) is not None:
                check(f"jobqueue.{settings.section}.{key} in jobqueue.yaml", value)
        return settings

    def get(self, key: str) -> Any:
        """The setting under its present name, with a dash or an underscore, or else under its former one."""
        value = dask.config.get(f"jobqueue.{self.section}.{key}", None)
        if value in (None, [], "") and key in _FORMER:
            return dask.config.get(f"jobqueue.{self.section}.{_FORMER[key]}", None)
        return value


def _name(setting: str, value: object) -> None:
    checks.identifier(setting, str(value) if isinstance(value, int) else value)


def _words(setting: str, value: object) -> None:
    """A path or a command: words on one line, with $NAME at most."""
    if not isinstance(value, str) or len(value) > 4096 or not _WORDS.fullmatch(value):
        raise ValueError(
            f"{setting} must be one line of plain words, without quotes, line breaks, ; or $(...), not "
            f"{str(value)[:40]!r}."
        )


def _bytes(setting: str, value: object) -> None:
    try:
        dask.utils.parse_bytes(value)  # type: ignore[arg-type]
    except (ValueError, TypeError, AttributeError):
        raise ValueError(f"{setting} must be a size such as 4GB, not {str(value)[:40]!r}.") from None


def _each(check: Callable[[str, object], object]) -> Callable[[str, object], None]:
    def check_all(setting: str, values: object) -> None:
        if not isinstance(values, list | tuple):
            raise ValueError(f"{setting} must be a list, a text an item, not {str(values)[:40]!r}.")
        for value in values:
            check(setting, value)

    return check_all


def _directive(setting: str, value: object) -> None:
    try:
        directive(value)
    except ValueError as error:
        raise ValueError(f"{setting}: {error}") from None


def _line(setting: str, value: object) -> None:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError(f"{setting} must be lines of shell, not {str(value)[:40]!r}.")


_CHECKS: dict[str, Callable[[str, object], None]] = {
    **dict.fromkeys(("queue", "account", "interface", "walltime", "job-mem", "death-timeout"), _name),
    **dict.fromkeys(("python", "local-directory", "worker-command", "shebang"), _words),
    "memory": _bytes,
    "job-extra-directives": _each(_directive),
    "job-directives-skip": _each(_words),
    "worker-extra-args": _each(_words),
    "job-script-prologue": _each(_line),
}
