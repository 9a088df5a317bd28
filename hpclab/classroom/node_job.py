"""The short Slurm jobs behind `hpclab doctor --site`: each runs node_probe.py on a node of its own."""

import json
import os
import secrets
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hpclab.classroom import exchange, node_probe
from hpclab.classroom.settings import SHELL, Site
from hpclab.cluster import slurm_commands
from hpclab.cluster.backends import command
from hpclab.cluster.slurm import Slurm, SlurmError
from hpclab.machine.gpu_preflight import version

WAIT, RUN = 60.0, 90.0  # seconds that a job may be pending, and run until it answers
_LATE = 40.0  # seconds until another host sees a file
_LARGEST = 2**16  # bytes of a node's answer
_SCRIPT = """#!/bin/bash
for place in {places}; do [ -w "$place" ] && exec 2>"$place/{name}.err" && break; done
{{ {modules}; }} >/dev/null 2>&1
export HPCLAB_ASKED={asked}
for python in {pythons}; do
    "$python" -c "" 2>/dev/null && exec "$python" -c {probe}
done
echo "no Python 3 runs here" >&2
"""
# Not every version of modules says by its exit status that one does not load.
_LOAD = """said=$(module load {0} 2>&1) && [[ ! $said =~ ERROR|Unable ]] || {{
    echo "{0}: ${{said%%$'\\n'*}}" >&2; exit 1; }}
"""
_ABOVE = 'until [ -d "$at/" ]; do at=${at%/*}; done\n'  # the nearest parent that exists
_WRITE = 'made=$(mktemp "$at/.hpclab-doctor-XXXXXX"); rm "$made"'
_MODE = """mode=$(stat -Lc %a "$at")
[[ $mode =~ ^[1357]..[2367]$ ]] || { echo "its mode is $mode, not 1777" >&2; exit 1; }
"""
# What a job inherits from its own is no option of those that it submits.
_OUTSIDE = """for name in ${!SLURM*} ${!SBATCH_*}; do
    [[ $name =~ ^SLURM_(CONF|CONF_SERVER|JWT)$ ]] || unset $name
done
"""
# Run by the learners' interpreter: its version, and those of hpclab and what pools and lessons need.
_SOFTWARE = """
import importlib.metadata, json, sys
wrong = []
for name, ours in json.loads(sys.argv[1]).items():
    try:
        found = importlib.metadata.version(name) if name != "Python" else "%d.%d" % sys.version_info[:2]
    except ImportError:
        found = "is missing"
    if found.split("+")[0] != ours.split("+")[0]:
        wrong.append("%s %s, but %s on this host" % (name, found, ours))
sys.exit("; ".join(wrong) or 0)
"""


class NodeJobs:
    """Probe nodes by jobs. `here`: this host's own Probe; `told`: the answer of each node (`write_answer` of
    node_probe.py); `trouble`: why a node gave none, else "". No node needs to see another's files: a script
    carries the probe, and the answer comes back through any folder that the node shares with this host, in
    the home or scratch."""

    def __init__(self, site: Site, slurm: Slurm, options: Sequence[str], say: Callable[[str], object]):
        self.site, self.slurm, self.options, self.say = site, slurm, options, say
        asked = {"token": secrets.token_hex(16), "interface": site.interface, "shell": self._tried()}
        self.here = node_probe.Probe("this host", asked)
        self.name = f"hpclab-doctor-{secrets.token_hex(4)}"
        self.shared: dict[str, str] = {}
        self.told: list[dict[str, Any]] = []
        self.trouble = ""

    def run(self, nodes: int) -> None:
        """Probe so many `nodes`, one after another, which then connect to one another; this host listens
        meanwhile. No job, file or port is left, however it ends."""
        try:
            with self.here.listen() as door:
                for key in ("home", "scratch")[: 1 + bool(self.site.scratch)]:
                    self.here.attempt(key, self._share, key)
                if self.site.wall:
                    self.here.attempt("wall", node_probe.run_shell, self.here.asked["shell"]["wall"])
                while self.shared and len(self.told) < nodes and self._probe_next_node(door):
                    pass
                if len(self.told) == nodes > 1:
                    self._meet()
        finally:
            # By name: sbatch may have been interrupted before it said the job's number.
            words = ["scancel", "--quiet", f"--name={self.name}", f"--user={os.getuid()}"]
            with suppress(SlurmError):
                slurm_commands.run(words, slurm_commands.hiding_nothing(self.slurm.environment))
            for folder in [*self.shared.values()] * 3:  # a program that is being killed may still write there
                shutil.rmtree(folder, ignore_errors=True)

    def _share(self, key: str) -> None:
        """Make a private folder in the home or scratch (`key`) for the nodes' answers."""
        path = Path.home() if key == "home" else Path(self.site.expanded("scratch"))
        above = next(one for one in (path, *path.parents) if one.is_dir())  # where it would have to be made
        self.shared[key] = tempfile.mkdtemp(prefix=f".{self.name}-", dir=above)

    def _probe_next_node(self, door: node_probe.Listener) -> bool:
        """Return whether one node more answered; else `trouble`, or `here.wrong["home"]`, says why not."""
        name, others = str(len(self.told)), ",".join(node["host"] for node in self.told)
        try:
            job = self.slurm.submit(
                self._script(name, door), *self.options, "--nodes=1", "--ntasks=1", "--time=5",
                "--no-requeue", "--output=/dev/null", "--chdir=/", f"--job-name={self.name}",
                *([f"--exclude={others}"] if others else []),
            )  # fmt: skip
            self.say(f"Job {job} is in the queue.")
            trouble = self._wait(job, name)
        except SlurmError as error:
            trouble = str(error)
        if answer := self._answer(name):
            self.told.append(answer)
            return True
        where = f"on another node than {others}: " if others else ""
        if trouble:
            self.trouble = where + trouble
        else:
            self.here.wrong["home"] = f"{where}nothing that a job wrote there came back"
        return False

    def _script(self, name: str, door: node_probe.Listener) -> str:
        asked = self.here.asked | {"name": name, "login": door.server_address, "shared": self.shared}
        return _SCRIPT.format(
            places=shlex.join(self.shared.values()), name=name,
            modules="; ".join(self.site.prologue()) or ":",
            probe=shlex.quote(Path(node_probe.__file__).read_text()), asked=shlex.quote(json.dumps(asked)),
            pythons=shlex.join([sys.executable, self.site.python, "python3", "/usr/bin/python3"]),
        )  # fmt: skip

    def _tried(self) -> dict[str, str]:
        """Shell text that a node runs, by finding; paths need no quotes, plain but for ~ and $NAME."""
        site, packages = self.site, ("hpclab", "numba", "torch", "distributed")
        ours = {"Python": f"{sys.version_info[0]}.{sys.version_info[1]}"}
        ours |= {name: found for name in packages if (found := version(name))}
        python = site.interpreter() or shlex.quote(sys.executable)
        sbatch = ["sbatch", "--test-only", "--output=/dev/null", "--wrap=true", *self.options]
        texts = {
            "local": f"at={site.local}; {_ABOVE}{_WRITE}",
            "wall": f"at={site.wall}; {_MODE}{_WRITE}",
            "modules": f"set +eu; {{ {SHELL}; }} >/dev/null 2>&1\n{''.join(map(_LOAD.format, site.modules))}",
            "image": f"apptainer exec {site.image} true",
        }
        return {key: text for key, text in texts.items() if getattr(site, key)} | {
            "python": f"{python} -c {shlex.quote(_SOFTWARE)} {shlex.quote(json.dumps(ours))}",
            "sbatch on nodes": _OUTSIDE + shlex.join(sbatch),
        }

    def _wait(self, job: int, name: str) -> str:
        """Wait for an answer; return "", or why none came; also "" if its job ended and reported no error."""
        begin = time.monotonic()
        while not self._answer(name):
            found, passed = self.slurm.queue([job]), time.monotonic() - begin
            if not found or found[-1].ended:
                return "" if _until(lambda: self._answer(name), 3) else self._last_words(name)
            if found[-1].state == "PENDING" and passed > WAIT:
                return f"it still waits after {WAIT:g} s: {self.slurm.explain(found[-1].reason)}"
            if passed > WAIT + RUN:
                return f"{found[-1].node_list} told nothing in time; {self._last_words(name)}"
            time.sleep(0.2)
        return ""

    def _answer(self, name: str) -> dict[str, Any]:
        """The answer with this `name` in whichever shared folder it came; {} where none has."""
        for folder in self.shared.values():
            with suppress(OSError, ValueError, RecursionError):
                return dict(json.loads(exchange.read(Path(folder, name), _LARGEST)[0]))
        return {}

    def _last_words(self, name: str) -> str:
        logs = (command.last_lines(Path(folder, f"{name}.err"), 2, 300) for folder in self.shared.values())
        return node_probe.printable_line(" ".join(logs))

    def _meet(self) -> None:
        """Tell each node where the others listen, and wait until they have tried to reach one another."""
        for folder in self.shared.values():
            node_probe.write_json(f"{folder}/peers", {node["host"]: node["at"] for node in self.told})
        names = [str(at) for at in range(len(self.told))]
        _until(lambda: all("between nodes" in self._answer(name).get("wrong", ()) for name in names), _LATE)
        self.told = [self._answer(name) or told for name, told in zip(names, self.told, strict=True)]


def _until(condition: Callable[[], object], seconds: float) -> bool:
    """Wait until `condition()` is true, at most so many `seconds`; return whether it is."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    return bool(condition())
