"""A running Slurm of our own: what it is made of, how to use it, harm it and end it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpclab import checks
from hpclab.cluster import slurm_commands
from hpclab.cluster.host import private, processes
from hpclab.cluster.host.processes import Process
from hpclab.cluster.local_slurm.files import Shape


@dataclass(frozen=True)
class LocalSlurm:
    """A running cluster of ours. `directory` holds its files, `passed_over` says why not a better place."""

    directory: Path
    passed_over: tuple[str, ...] = ()

    @property
    def state(self) -> dict[str, Any]:
        """What the supervisor last wrote down; empty where there is none."""
        try:
            return json.loads((self.directory / "state.json").read_text())
        except (OSError, ValueError):
            return {}

    @property
    def supervisor(self) -> Process | None:
        state = self.state
        process = Process(*state["supervisor"]) if state else None
        return process if process and process.alive else None

    @property
    def shape(self) -> Shape:
        return Shape(*self._recorded("shape"))

    @property
    def environment(self) -> dict[str, str]:
        """What a child process needs to use this cluster: the caller's own, but for Slurm's variables."""
        clean = slurm_commands.without_site(os.environ)
        return clean | {"SLURM_CONF": str(self.directory / "slurm.conf"), "PATH": slurm_commands.path()}

    @property
    def daemons(self) -> dict[str, str]:
        """Each daemon's name and state in words."""
        state = self.state
        words = {}
        for name, recorded in state.get("daemons", {}).items():
            process = Process(*recorded) if recorded else None
            if process and process.alive:
                pid = process.pid
                suspended = (
                    f"is stopped (process {pid} is suspended, as by SIGSTOP); kill -CONT {pid} wakes it"
                )
                words[name] = suspended if process.stopped else "running"
            elif name in state["failed"]:
                words[name] = "down on purpose; restore_node brings it back"
            else:
                cause = state["ended_with"].get(name, "no word")
                words[name] = f"ended with {cause}; hpclab slurm up starts it again"
        return words

    def process(self, name: str) -> Process | None:
        """The living process of munged, slurmctld or a node's slurmd, for whoever wants to harm it."""
        known = self._recorded("daemons")
        recorded = known[checks.choice("A daemon", name, known)]
        return Process(*recorded) if recorded and Process(*recorded).alive else None

    def fail_node(self, name: str) -> None:
        """A power cut: the node's slurmd, steps and tasks end together. Slurm notices after some 15 s."""
        self._request("fail", self._node(name))

    def restore_node(self, name: str) -> None:
        """The node's slurmd starts again and reports to the controller."""
        self._request("restore", self._node(name))

    def heal(self) -> None:
        """Start again every daemon that has ended, but for nodes that are down on purpose."""
        self._request("heal")

    def logs(self, lines: int = 20) -> dict[str, str]:
        """The last lines of every daemon's log."""
        found, lines = {}, checks.integer("lines", lines, 1, 100_000)
        for path in sorted((self.directory / "log").glob("*")):
            text = path.read_text(errors="replace").splitlines()[-lines:]
            if text:
                found[path.name] = "\n".join(text)
        return found

    def down(self, patience: float = 15.0) -> bool:
        """End jobs and daemons and remove every file; True if there was anything. Safe to call twice."""
        if not self.directory.exists():
            return False
        with private.lock(self.directory):
            return self.stop(patience)

    def stop(self, patience: float = 15.0) -> bool:
        """`down` for whoever holds the lock already."""
        state = self.state
        if supervisor := self.supervisor:
            supervisor.send(signal.SIGTERM)
            deadline = time.monotonic() + patience
            while supervisor.alive and time.monotonic() < deadline:
                time.sleep(0.01)
        self._sweep(state)
        return bool(state)

    def _sweep(self, state: dict[str, Any]) -> None:
        """Remove what a supervisor that was killed could not; every process is known by mark or record."""
        if state:
            recorded = [Process(*known) for known in state["daemons"].values() if known]
            processes.end(
                [process for process in (Process(*state["supervisor"]), *recorded) if process.alive]
            )
            while left := [*processes.steps(self.directory / "spool"), *processes.marked(state["mark"])]:
                processes.end(left)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _recorded(self, key: str) -> Any:
        try:
            return self.state[key]
        except KeyError:
            raise slurm_commands.SlurmError("This Slurm is down; hpclab slurm up starts one.") from None

    def _node(self, name: str) -> str:
        if name not in self.shape.names:
            raise ValueError(
                f"There is no node {checks.shown(name)} here, only {', '.join(self.shape.names)}."
            )
        return name

    def _request(self, *words: str) -> None:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(20.0)
                connection.connect(str(self.directory / "control"))
                connection.sendall(" ".join(words).encode())
                answer = connection.recv(1000).decode()
        except OSError as error:
            raise slurm_commands.SlurmError(
                f"The supervisor of this Slurm does not answer ({error.strerror or error}); hpclab slurm "
                "status says what runs."
            ) from None
        if answer != "done":
            raise slurm_commands.SlurmError(f"The supervisor could not {words[0]}: {answer or 'no answer'}.")
