"""A running Slurm of our own: what it is made of, how to use it, heal it and end it."""

import json
import os
import shutil
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpclab import checks
from hpclab.cluster import slurm_commands
from hpclab.cluster.host import processes
from hpclab.cluster.host.processes import Process
from hpclab.cluster.local_slurm.files import Shape

PATIENCE = 20.0  # seconds that the supervisor has to heal, or to end, what it watches


@dataclass(frozen=True)
class LocalSlurm:
    """A running cluster of ours; `directory` holds its files."""

    directory: Path

    @property
    def state(self) -> dict[str, Any]:
        """What the supervisor last wrote down; empty where there is none."""
        with suppress(OSError, ValueError):
            return json.loads((self.directory / "state.json").read_text())
        return {}

    @property
    def supervisor(self) -> Process | None:
        return _living(self.state.get("supervisor"))

    @property
    def shape(self) -> Shape:
        if sizes := self.state.get("shape"):
            return Shape(*sizes)
        raise slurm_commands.SlurmError("This Slurm is down; hpclab slurm up starts one.")

    @property
    def environment(self) -> dict[str, str]:
        """What a child process needs to use this cluster: the caller's own, but for Slurm's variables."""
        clean = slurm_commands.without_site(os.environ)
        return clean | {"SLURM_CONF": str(self.directory / "slurm.conf"), "PATH": slurm_commands.path()}

    @property
    def daemons(self) -> dict[str, str]:
        """Each daemon's name and state in words."""
        state, words = self.state, {}
        for name, recorded in state.get("daemons", {}).items():
            if process := _living(recorded):
                pid = process.pid
                suspended = (
                    f"is stopped (process {pid} is suspended, as by SIGSTOP); kill -CONT {pid} wakes it"
                )
                words[name] = suspended if process.stopped else "running"
            else:
                cause = state["ended_with"].get(name, "no word")
                words[name] = f"ended with {cause}; hpclab slurm up starts it again"
        return words

    def process(self, name: str) -> Process | None:
        """The running process of munged, slurmctld or a node's slurmd; tests suspend and end it."""
        return _living(self.state["daemons"][name])

    def heal(self) -> None:
        """Start again every daemon that has ended."""
        before, supervisor = self.state.get("healed", 0), self.supervisor
        deadline = time.monotonic() + PATIENCE
        if supervisor:
            supervisor.send(signal.SIGUSR1)
        while self.state.get("healed", 0) == before:
            if not supervisor or time.monotonic() > deadline:
                raise slurm_commands.SlurmError(
                    "The supervisor of this Slurm does not answer (it has ended, or is suspended); hpclab "
                    "slurm status says what runs."
                )
            time.sleep(0.01)

    def logs(self, lines: int = 20) -> dict[str, str]:
        """The last lines of every daemon's log."""
        lines = checks.integer("lines", lines, 1, 100_000)
        logs = sorted((self.directory / "log").glob("*"))
        ends = {log.name: log.read_text(errors="replace").splitlines()[-lines:] for log in logs}
        return {name: "\n".join(end) for name, end in ends.items() if end}

    def stop(self) -> bool:
        """End jobs and daemons and remove every file, for whoever holds the lock; True if there were any."""
        state, deadline = self.state, time.monotonic() + PATIENCE
        if supervisor := self.supervisor:
            supervisor.send(signal.SIGTERM)
            while supervisor.alive and time.monotonic() < deadline:
                time.sleep(0.01)
        if state:  # what a supervisor that was killed could not end; each process is known by mark or record
            recorded = [state["supervisor"], *state["daemons"].values()]
            processes.end(filter(None, map(_living, recorded)))
            while left := [*processes.steps(self.directory / "spool"), *processes.marked(state["mark"])]:
                processes.end(left)
        shutil.rmtree(self.directory, ignore_errors=True)
        return bool(state)


def _living(recorded: list[int] | None) -> Process | None:
    process = Process(*recorded) if recorded else None
    return process if process and process.alive else None
