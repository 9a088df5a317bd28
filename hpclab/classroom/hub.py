"""The table [hub] of site.toml (see slurm/hub/site.toml), and the batch script of a learner's server."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpclab import checks, units
from hpclab.classroom import settings
from hpclab.cluster import request
from hpclab.cluster.backends.site_settings import clock

JUPYTER_CONFIG = Path(__file__).parents[1] / "cli" / "jupyter_config"  # for a JupyterLab that is not ours
JOB = "hpclab-server"
LOG = ".hpclab-server.log"  # in the learner's home: what the last server wrote


def _file(name: str, value: object) -> str:
    text: str = checks.instance(name, value, str, "text, in quotes")
    if not Path(text).is_file():
        raise ValueError(f"{name} must be a file, not {checks.shown(value)}.")
    return text


@dataclass(frozen=True)
class Profile:
    """What a server's job requests: `memory` in bytes, `time` in seconds, `partition` "" for the site's."""

    name: str = checks.field(
        settings.matching, "CPU", pattern=r"[\w .,:()+/-]{1,60}",
        allowed="be 1 to 60 letters, digits, spaces or any of . , : ( ) + / -",
    )  # fmt: skip
    cores: int = checks.field(checks.integer, 2, low=1, high=1024)
    memory: int = checks.field(request.bytes_of, 4 * 2**30)
    time: float = checks.field(request.time_limit, 4 * 3600.0)
    gpus: int = checks.field(checks.integer, 0, low=0, high=64)
    partition: str = checks.field(checks.identifier, "")

    def summary(self) -> str:
        """One line of a menu: ``"CPU: 2 cores, 4 GiB, for 4 h"``."""
        gpus = f", {self.gpus} GPU{'s' * (self.gpus > 1)}" if self.gpus else ""
        cores = f"{self.cores} core{'s' * (self.cores > 1)}"
        return f"{self.name}: {cores}, {units.format_bytes(self.memory)}{gpus}, for {self.time / 3600:.3g} h"

    def directives(self) -> list[str]:
        """Options of sbatch that request it; no --partition where the site's is to be used."""
        asked = [f"--cpus-per-task={self.cores}", f"--mem={self.memory // 2**20}M",
                 f"--time={clock(round(self.time))}"]  # fmt: skip
        asked += [f"--gres=gpu:{self.gpus}"] if self.gpus else []
        return asked + ([f"--partition={self.partition}"] if self.partition else [])


@dataclass(frozen=True)
class Hub:
    """Settings of a JupyterHub; a server unused for `idle` seconds is ended, `profiles` are in menu order."""

    address: str = checks.field(checks.identifier, "")
    port: int = checks.field(checks.integer, 8000, low=1, high=65535)
    certificate: str = checks.field(_file, "")
    key: str = checks.field(_file, "")
    idle: float = checks.field(request.time_limit, 3600.0)
    servers: int = checks.field(checks.integer, 60, low=1, high=10_000)
    course: str = checks.field(
        settings.matching, "", pattern=r"(https://|ssh://|file:///)[\w./:@~+-]{1,400}",
        allowed="begin with https://, ssh:// or file:///, and be an address",
    )  # fmt: skip
    branch: str = checks.field(checks.identifier, "main")
    profiles: tuple[Profile, ...] = (Profile(),)


def read(table: Mapping[str, Any]) -> Hub:
    """Return the Hub that a `table` [hub] describes. ValueError names a wrong key and what is allowed."""
    rest = dict(table)
    listed = checks.instances("hub.profile", rest.pop("profile", [{}]), dict, "a table [[hub.profile]]")
    profiles = tuple(Profile(**settings.checked(Profile, "hub.profile", one)) for one in listed)
    if len({profile.name for profile in profiles}) < max(1, len(profiles)):
        raise ValueError("Each [[hub.profile]] must have a name of its own, and there must be one.")
    return Hub(**settings.checked(Hub, "hub", rest), profiles=profiles)


def script(
    profile: Profile, command: Sequence[str], *, home: str, exported: Sequence[str],
    directives: Sequence[str], prologue: Sequence[str],
) -> str:  # fmt: skip
    """Return the batch script of a learner's server: it runs `command` in `home` with those variables of its
    submitter that `exported` names; `directives` (options of sbatch, unless `profile` sets the same) and
    `prologue` (lines of shell) are the site's. Nothing that a learner typed is in it."""
    log = f"{home.replace('%', '%%')}/{LOG}"
    own = [f"--job-name={JOB}", f'--output="{log}"', "--open-mode=truncate", f'--chdir="{home}"',
           f"--export={','.join(exported)}", "--no-requeue", "--nodes=1", "--ntasks=1"]  # fmt: skip
    asked = profile.directives()
    said = {option.partition("=")[0] for option in asked}
    site = [option for option in directives if option.partition("=")[0] not in said]
    lines = [f"#SBATCH {option}" for option in (*own, *site, *asked)]
    return "\n".join(["#!/bin/bash", *lines, *prologue, f"exec {shlex.join(command)}", ""])
