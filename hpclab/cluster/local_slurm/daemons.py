"""munged, slurmctld and the slurmd as child processes: started, reaped, and their last words read."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hpclab.cluster import slurm_commands
from hpclab.cluster.host import linux, processes
from hpclab.cluster.host.processes import Process


@dataclass
class Daemons:
    """`running`: name -> Process, or None once it has ended, and then `ended_with` says how."""

    directory: Path
    environment: Mapping[str, str]
    running: dict[str, Process | None] = field(default_factory=dict)
    ended_with: dict[str, str] = field(default_factory=dict)

    def launch(self, name: str) -> None:
        """Start munged, slurmctld or the slurmd of a node, in the foreground, to die with this process."""
        here = self.directory
        spool = here / "spool" / name  # a node's own directory tells its steps from those of others
        with (here / "log" / f"{name}.out").open("ab") as output:
            child = subprocess.Popen(
                self._command(name), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                cwd=spool if spool.exists() else here, env=dict(self.environment),
                start_new_session=True,  # a key press in the terminal that started us is not for them
                preexec_fn=functools.partial(linux.die_with_parent, os.getpid()),
            )  # fmt: skip
        self.running[name] = Process.child(child.pid)
        self.ended_with.pop(name, None)
        child.returncode = 0  # `reap` collects it, not this object

    def reap(self) -> bool:
        """Collect ended children, our daemons and adopted job processes alike; True if a daemon ended."""
        lost = False
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                for name, process in self.running.items():
                    if process and process.pid == ended[0]:
                        code = os.waitstatus_to_exitcode(ended[1])
                        self.ended_with[name] = f"signal {-code}" if code < 0 else f"exit status {code}"
                        self.running[name], lost = None, True
        return lost

    def job_processes(self) -> set[Process]:
        """Everything below this process that is no daemon of ours: step daemons, tasks and what they left."""
        running = [process for process in self.running.values() if process]
        controller = self.running.get("slurmctld")
        helpers = processes.descendants(controller.pid) if controller else []
        return set(processes.descendants(os.getpid())) - {*running, *helpers}

    def last_words(self, name: str) -> str:
        """The last lines that tell of an error (a missing PMIx is none), or else the last lines."""
        logs = [self.directory / "log" / f"{name}.{suffix}" for suffix in ("log", "out")]
        texts = [log.read_text(errors="replace") for log in logs if log.exists()]
        lines = "\n".join(texts).splitlines()
        wrong = [line for line in lines if ("error" in line or "fatal" in line) and "pmix" not in line]
        return " / ".join((wrong or lines)[-3:]) or "it said nothing"

    def _command(self, name: str) -> list[str]:
        munge = self.directory / "munge"
        words = {
            "munged": [
                # munged wants a socket that every user may enter; --force makes a warning of that. A slurmd
                # without root runs each job as itself, whoever sent it: who enters, runs commands as us.
                "munged", "--force", "--foreground", "--num-threads=2", f"--key-file={munge}/key",
                f"--socket={munge}/socket", f"--pid-file={munge}/pid", f"--log-file={munge}/log",
                f"--seed-file={munge}/seed",
            ],
            "slurmctld": ["slurmctld", "-D"],
        }.get(name, ["slurmd", "-D", "-N", name])  # fmt: skip
        return [slurm_commands.find(words[0]), *words[1:]]
