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

    `scratch`: what this host could not do in the scratch folder; `home`: whether the job's files came back
    through the home; `apart`: why only one node could be tried.
    """

    nodes: list[dict[str, Any]] = field(default_factory=list)
    trouble: str = ""
    scratch: str = ""
    home: bool = True
    apart: str = ""


def run(
    site: Site, slurm: Slurm, options: Sequence[str], nodes: int, interface: str, say: Callable[[str], object]
) -> Told:
    """`run_on` so many nodes, or on one where a job of them starts but not its step on all of them."""
    told = run_on(nodes, site, slurm, options, interface, say)
    if nodes > 1 and told.trouble and not told.trouble.startswith(_WAITS):
        say(f"On {nodes} nodes: {told.trouble}")
        one = run_on(1, site, slurm, options, interface, say)
        if one.nodes:
            one.apart = f"srun on one node does not start a program on the other: {told.trouble}"
            return one
    return told


def run_on(
    nodes: int, site: Site, slurm: Slurm, options: Sequence[str], interface: str, say: Callable[[str], object]
) -> Told:
    """Run it on `nodes` nodes with these options of sbatch; no job, file or port is left, however it ends.

    This host listens on `interface` meanwhile. `say` gets a line whenever there is news.
    """
    token, told = secrets.token_hex(16), Told()
    left: list[str] = []
    door = node_probe.Listener(node_probe.address(interface), token)
    try:
        scratch = _scratch(site, token, left, told)
        places = [Path.home() / ".hpclab", *([Path(scratch) / "hpclab"] if scratch else [])]
        for place in places:
            told.home = place is places[0]
            told.nodes, told.trouble = _run_in(place, site, slurm, options, nodes, door, scratch, say, told)
            if not told.trouble.startswith((_SILENT, _UNFIT)):
                break
    finally:
        door.close()
        node_probe.remove(left)
    return told


def _scratch(site: Site, token: str, left: list[str], told: Told) -> str:
    """The scratch folder with a file of ours in it for the nodes to find; "" where there is none."""
    if not site.scratch:
        return ""
    scratch = site.expanded("scratch")
    file = os.path.join(scratch, f"hpclab-doctor-{token[:8]}")
    left.append(file)
    try:
        left += node_probe.folder(scratch)
        node_probe.write(file, token)
    except OSError as error:
        told.scratch = error.strerror or str(error)
    return scratch


def _run_in(
    place: Path, site: Site, slurm: Slurm, options: Sequence[str], nodes: int, door: node_probe.Listener,
    scratch: str, say: Callable[[str], object], told: Told,
) -> tuple[list[dict[str, Any]], str]:  # fmt: skip
    made, folder = [], None
    try:
        made = node_probe.folder(str(place))
        private.make(place, plain=False)
        folder = Path(tempfile.mkdtemp(prefix="hpclab-doctor-", dir=place))
        ask = {
            "token": door.token, "login": door.socket.getsockname(), "nodes": nodes, "options": [*options],
            "interface": site.interface, "modules": site.modules, "image": site.image,
            "python": site.interpreter().split() or [sys.executable], "scratch": scratch, "local": site.local,
            "home": str(Path.home()), "wall": site.expanded("wall") if site.wall else "",
        }  # fmt: skip
        (folder / "ask.json").write_text(json.dumps(ask))
        (folder / "node_probe.py").write_bytes(Path(node_probe.__file__).read_bytes())
        own = [] if site.image or not site.python else [os.path.expanduser(site.python)]
        pythons = " ".join(map(shlex.quote, [sys.executable, *own, "python3", "/usr/bin/python3"]))
        modules = _MODULE.format(shell=SHELL, modules=" ".join(site.modules)) if site.modules else ""
        (folder / "task.sh").write_text(
            _TASK.format(place=shlex.quote(str(folder)), modules=modules, pythons=pythons)
        )
        mark = scratch and f"{scratch}/hpclab-doctor-{door.token[:8]}"
        return _submitted(folder, slurm, options, nodes, say, mark)
    except OSError as error:
        return [], f"{_UNFIT} {place}: {error.strerror or error}"
    finally:
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
        node_probe.remove(made)


def _submitted(
    folder: Path, slurm: Slurm, options: Sequence[str], nodes: int, say: Callable[[str], object], mark: str
) -> tuple[list[dict[str, Any]], str]:
    logs = str(folder).replace("%", "%%")
    step = f"srun --mpi=none --nodes={nodes} --ntasks={nodes} --output={shlex.quote(logs)}/%t.json"
    script = (
        f"#!/bin/bash\n{step} --error={shlex.quote(logs)}/%t.err bash {shlex.quote(str(folder))}/task.sh\n"
    )
    shape = [f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1", "--time=4", "--no-requeue"]
    name = folder.name
    try:
        job = slurm.submit(script, *options, *shape, f"--job-name={name}", f"--output={logs}/job.out")
        say(f"Job {job} on {nodes} node{'s' * (nodes > 1)} is in the queue.")
        told, trouble = _watch(folder, slurm, job, nodes)
        for node in told:  # both sides of scratch: what a node left there, this host must find
            with suppress(OSError):
                node["seen"] = bool(mark) and Path(f"{mark}-scratch-{node['rank']}").stat().st_size > 0
        (folder / "seen").touch()
        node_probe.until(lambda: not _there(slurm, name), 20)
        return told, trouble
    finally:
        _cancel(slurm, name)


def _cancel(slurm: Slurm, name: str) -> None:
    """By name: sbatch may have been interrupted before it said the job's number."""
    environment = slurm_commands.hiding_nothing(slurm.environment)
    with suppress(SlurmError):
        slurm_commands.run(["scancel", "--quiet", f"--name={name}", f"--user={os.getuid()}"], environment)
        node_probe.until(lambda: not _there(slurm, name), 40)


def _there(slurm: Slurm, name: str) -> bool:
    return any(job.name == name and job.state != "COMPLETING" for job in slurm.queue())


def _watch(folder: Path, slurm: Slurm, job: int, nodes: int) -> tuple[list[dict[str, Any]], str]:
    begin, started = time.monotonic(), 0.0
    while len(told := _read(folder, nodes)) < nodes:
        found, now = slurm.queue([job]), time.monotonic()
        if not found or found[-1].ended:
            node_probe.until(lambda: len(_read(folder, nodes)) == nodes, 3)
            if len(told := _read(folder, nodes)) < nodes:
                return told, _last_words(folder) or _SILENT
        elif found[-1].state == "PENDING":
            if now - begin > WAIT:
                return [], f"{_WAITS} after {WAIT:g} s: {slurm.explain(found[-1].reason)}"
        elif now - (started := started or now) > RUN:
            return told, f"it did not end within {RUN:g} s; {_last_words(folder)}"
        time.sleep(0.2)
    return told, ""


def _last_words(folder: Path) -> str:
    logs = [folder / "job.out", *sorted(folder.glob("*.err"))]
    said = "; ".join(" ".join(command.last_lines(log, 2, 300).split()) for log in logs if log.exists())
    return said.strip("; ")


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
