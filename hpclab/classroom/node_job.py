"""The job of seconds behind `hpclab doctor --site`: it runs node_probe.py once a node, and what each told."""

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
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from hpclab.classroom import node_probe
from hpclab.classroom.settings import SHELL, Site
from hpclab.cluster import slurm_commands
from hpclab.cluster.backends import command
from hpclab.cluster.host import private
from hpclab.cluster.slurm import Slurm, SlurmError

WAIT, RUN = 60.0, 120.0  # seconds that the job may wait, and run
_SILENT, _UNFIT, _WAITS = "no file of it came back", "its files cannot be in", "it still waits"
_LARGEST = 2**16  # bytes of what a node tells
_MODULE = """{shell}
load() {{ module load "$1" || echo "exit status $?"; }}
at=0; for name in {modules}; do
    load "$name" >"$SLURM_PROCID.module-$at" 2>&1; at=$((at + 1))
done
"""
_TASK = """#!/bin/bash
cd {place} || exit
{modules}for python in {pythons}; do
    "$python" -c "" </dev/null 2>/dev/null && exec "$python" {place}/node_probe.py {place}
done
echo "no Python 3 runs here" >&2
"""


@dataclass
class Told:
    """`nodes`: what each told, as node_probe.py has it; `trouble`: why some told nothing, else "".

    `tried`: how many should have; `scratch`: what this host could not do in the scratch folder; `home`: who
    does not see this host's home; `apart`: why nodes could only be tried one by one.
    """

    tried: int = 1
    nodes: list[dict[str, Any]] = field(default_factory=list)
    trouble: str = ""
    scratch: str = ""
    home: str = ""
    apart: str = ""


@dataclass
class NodeJob:
    """This host listens on `interface` meanwhile; `say` gets a line whenever there is news."""

    site: Site
    slurm: Slurm
    interface: str
    say: Callable[[str], object]

    def run(self, nodes: int, options: Sequence[str]) -> Told:
        """On so many nodes with these options of sbatch, or on two one by one where a job of both does not
        start its step. No job, file or port is left, however it ends."""
        told = self._on(nodes, options)
        if nodes == 1 or not told.trouble or told.trouble.startswith(_WAITS):
            return told
        self.say(f"On {nodes} nodes: {told.trouble}")
        one = self._on(1, options)
        if not one.nodes:
            return told
        first = one.nodes[0]["host"]
        other = self._on(1, [*options, f"--exclude={first}"])
        one.nodes, one.tried = one.nodes + other.nodes, 1 + len(other.nodes)
        if other.trouble or other.home:
            one.home = one.home or f"other nodes than {first}: {other.home or other.trouble}"
        else:
            second = other.nodes[0]["host"]
            one.apart = f"srun on {first} does not start a program on {second}: {told.trouble}"
        return one

    def _on(self, nodes: int, options: Sequence[str]) -> Told:
        token, told, left = secrets.token_hex(16), Told(nodes), list[str]()
        scratch = self.site.expanded("scratch") if self.site.scratch else ""
        mark = os.path.join(scratch, f"hpclab-doctor-{token[:8]}")
        door = node_probe.Listener(node_probe.address(self.interface), token)
        try:
            if scratch:
                left.append(mark)
                try:
                    left += node_probe.folder(scratch)
                    node_probe.write(mark, token)
                except OSError as error:
                    told.scratch = error.strerror or str(error)
            places = [Path.home() / ".hpclab", *([Path(scratch) / "hpclab"] if scratch else [])]
            for place in places:
                told.home = "" if place is places[0] else "what this host writes there is not seen"
                told.nodes, told.trouble = self._in(place, door, nodes, options, scratch)
                if not told.trouble.startswith((_SILENT, _UNFIT)):
                    break
        finally:
            door.close()
            node_probe.remove(left)
        return told

    def _in(
        self, place: Path, door: node_probe.Listener, nodes: int, options: Sequence[str], scratch: str
    ) -> tuple[list[dict[str, Any]], str]:
        """With the job's files in a new folder in `place`: what the nodes told, and why one did not."""
        made, folder = list[str](), None
        try:
            made = node_probe.folder(str(place))
            private.make(place, plain=False)
            folder = Path(tempfile.mkdtemp(prefix="hpclab-doctor-", dir=place))
            self._write(folder, door, nodes, options, scratch)
            return self._submitted(folder, nodes, options, scratch, door.token[:8])
        except OSError as error:
            return [], f"{_UNFIT} {place}: {error.strerror or error}"
        except SlurmError as error:
            return [], str(error)
        finally:
            if folder:  # a program that is being killed may still write there
                gone = partial(shutil.rmtree, folder, ignore_errors=True)
                node_probe.until(lambda: gone() or not folder.exists(), 10)
            node_probe.remove(made)

    def _write(
        self, folder: Path, door: node_probe.Listener, nodes: int, options: Sequence[str], scratch: str
    ) -> None:
        site = self.site
        ask = {
            "token": door.token, "login": door.socket.getsockname(), "nodes": nodes, "options": [*options],
            "interface": site.interface, "modules": site.modules, "image": site.image,
            "python": site.interpreter().split() or [sys.executable], "scratch": scratch, "local": site.local,
            "home": str(Path.home()), "wall": site.expanded("wall") if site.wall else "",
        }  # fmt: skip
        own = [] if site.image or not site.python else [os.path.expanduser(site.python)]
        pythons = " ".join(map(shlex.quote, [sys.executable, *own, "python3", "/usr/bin/python3"]))
        modules = _MODULE.format(shell=SHELL, modules=" ".join(site.modules)) if site.modules else ""
        task = _TASK.format(place=shlex.quote(str(folder)), modules=modules, pythons=pythons)
        texts = {"ask.json": json.dumps(ask), "task.sh": task}
        texts["node_probe.py"] = Path(node_probe.__file__).read_text(encoding="utf-8")
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")

    def _submitted(
        self, folder: Path, nodes: int, options: Sequence[str], scratch: str, token: str
    ) -> tuple[list[dict[str, Any]], str]:
        place, logs = shlex.quote(str(folder)), str(folder).replace("%", "%%")
        step = f"srun --mpi=none --nodes={nodes} --ntasks={nodes} --output={shlex.quote(logs)}/%t.json"
        script = f"#!/bin/bash\n{step} --error={shlex.quote(logs)}/%t.err bash {place}/task.sh\n"
        shape = [f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1", "--time=4", "--no-requeue"]
        try:
            job = self.slurm.submit(
                script, *options, *shape, f"--job-name={folder.name}", f"--output={logs}/job.out"
            )
            self.say(f"Job {job} on {nodes} node{'s' * (nodes > 1)} is in the queue.")
            told, trouble = self._watch(folder, job, nodes)
            for node in told if scratch else ():  # both sides: this host must find what a node left there
                left = f"{scratch}/hpclab-doctor-{token}-scratch-{node['rank']}"
                node["seen"] = os.path.isfile(left)
            (folder / "seen").touch()
            node_probe.until(lambda: not self._there(folder.name), 20)
            return told, trouble
        finally:
            self._cancel(folder.name)

    def _cancel(self, name: str) -> None:
        """By name: sbatch may have been interrupted before it said the job's number."""
        environment = slurm_commands.hiding_nothing(self.slurm.environment)
        with suppress(SlurmError):
            slurm_commands.run(["scancel", "--quiet", f"--name={name}", f"--user={os.getuid()}"], environment)
            node_probe.until(lambda: not self._there(name), 40)

    def _there(self, name: str) -> bool:
        return any(job.name == name and job.state != "COMPLETING" for job in self.slurm.queue())

    def _watch(self, folder: Path, job: int, nodes: int) -> tuple[list[dict[str, Any]], str]:
        begin, started = time.monotonic(), 0.0
        while len(told := _read(folder, nodes)) < nodes:
            found, now = self.slurm.queue([job]), time.monotonic()
            if not found or found[-1].ended:
                node_probe.until(lambda: len(_read(folder, nodes)) == nodes, 3)
                if len(told := _read(folder, nodes)) < nodes:
                    return told, _last_words(folder) or _SILENT
            elif found[-1].state == "PENDING":
                if now - begin > WAIT:
                    return [], f"{_WAITS} after {WAIT:g} s: {self.slurm.explain(found[-1].reason)}"
            elif "launch failed" in (said := _last_words(folder)):  # the rest would wait for it in vain
                return told, said
            elif now - (started := started or now) > RUN:
                return told, f"it did not end within {RUN:g} s; {_last_words(folder)}"
            time.sleep(0.2)
        return told, ""


def _last_words(folder: Path) -> str:
    logs = [folder / "job.out", *sorted(folder.glob("*.err"))]
    said = "; ".join(" ".join(command.last_lines(log, 2, 300).split()) for log in logs if log.exists())
    return str(_printable(said.strip("; ")))


def _read(folder: Path, nodes: int) -> list[dict[str, Any]]:
    """What nodes told so far: each a line of JSON of bounded length, without signs that a terminal obeys."""
    told = []
    for rank in range(nodes):
        with suppress(OSError, ValueError, TypeError), open(folder / f"{rank}.json", "rb") as file:
            text = file.read(_LARGEST).decode(errors="replace")
            answer = _printable(json.loads(text, parse_constant=str)) if text.endswith("\n") else None
            if isinstance(answer, dict) and isinstance(wrong := answer.get("wrong"), dict):
                if [type(each) for each in answer.get("ahead", [])] != [float, float]:
                    answer.pop("ahead", None)
                texts = {key: str(said)[:400] for key, said in wrong.items()}
                told.append(answer | {"rank": rank, "host": str(answer.get("host"))[:64], "wrong": texts})
    return told


def _printable(value: Any) -> Any:
    if isinstance(value, dict):
        return {_printable(key): _printable(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_printable(each) for each in value]
    return "".join(sign if sign.isprintable() else "?" for sign in value) if isinstance(value, str) else value
