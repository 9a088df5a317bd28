"""The table [hub] of site.toml (explained in slurm/hub/site.toml), and the job that a learner's server is."""

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
    """A server's job: `memory` in bytes, `time` in seconds; a `partition` of its own or ""."""

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
        """Its name and what it gives, for a learner to choose by."""
        gpus = f", {self.gpus} GPU{'s' * (self.gpus > 1)}" if self.gpus else ""
        cores = f"{self.cores} core{'s' * (self.cores > 1)}"
        return f"{self.name}: {cores}, {units.format_bytes(self.memory)}{gpus}, for {self.time / 3600:.3g} h"

    def directives(self) -> list[str]:
        """Its options for sbatch; what it leaves to the site is not among them."""
        asked = [f"--cpus-per-task={self.cores}", f"--mem={self.memory // 2**20}M",
                 f"--time={clock(round(self.time))}"]  # fmt: skip
        asked += [f"--gres=gpu:{self.gpus}"] if self.gpus else []
        return asked + ([f"--partition={self.partition}"] if self.partition else [])


@dataclass(frozen=True)
class Hub:
    """What a hub is started with; `idle` in seconds, `profiles` in the order in which learners see them."""

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
    """The hub that a table [hub] describes. ValueError names the key that cannot be, and what could."""
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
    """The batch script of a learner's server: `command` runs in `home` with the variables named in `exported`
    of whoever submits it; `directives` and `prologue` are the site's. What a learner says is in none of
    them."""
    log = f"{home.replace('%', '%%')}/{LOG}"
    own = [f"--job-name={JOB}", f'--output="{log}"', "--open-mode=truncate", f'--chdir="{home}"',
           f"--export={','.join(exported)}", "--no-requeue", "--nodes=1", "--ntasks=1"]  # fmt: skip
    asked = profile.directives()
    said = {option.partition("=")[0] for option in asked}
    site = [option for option in directives if option.partition("=")[0] not in said]
    lines = [f"#SBATCH {option}" for option in (*own, *site, *asked)]
    return "\n".join(["#!/bin/bash", *lines, *prologue, f"exec {shlex.join(command)}", ""])
