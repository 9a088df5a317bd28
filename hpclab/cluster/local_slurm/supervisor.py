"""The one parent of munged, slurmctld and the slurmd: a program of its own that outlives who started it.

It adopts and reaps job processes that lose their parent, which process 1 of many containers never does, and
ends everything on SIGTERM. A daemon that dies is shown as ended until SIGUSR1 (`hpclab slurm up`).
"""

import functools
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path

from hpclab.cluster import slurm_commands
from hpclab.cluster.host import processes
from hpclab.cluster.host.ports import ReservedPorts
from hpclab.cluster.host.processes import Process
from hpclab.cluster.local_slurm import files
from hpclab.cluster.slurm_commands import SlurmError

START_LIMIT = 60.0  # seconds until idle nodes; 1 is usual, forty starts at once on a small machine need more


class Supervisor:
    """The daemons of one cluster. `running` has the Process of each by name, or None once it has ended, and
    then `ended_with` says how."""

    def __init__(self, directory: Path, shape: files.Shape) -> None:
        self.directory, self.shape = directory, shape
        self.mark = os.urandom(16).hex()
        kept = {name: os.environ[name] for name in ("HOME", "USER", "LOGNAME", "TZ") if name in os.environ}
        self.environment = {
            **kept, "PATH": slurm_commands.path(), "LC_ALL": "C", processes.MARK: self.mark,
            "SLURM_CONF": str(directory / "daemons" / "slurm.conf"),
        }  # fmt: skip
        self.running, self.ended_with = dict[str, Process | None](), dict[str, str]()
        self.phase, self.healed = "starting", 0  # then "up"
        self.ports: ReservedPorts | None = None
        self.save()

    def start(self) -> None:
        """Start all daemons and return when the nodes are idle; RuntimeError quotes the error of one."""
        for name in ("munge", "log"):
            (self.directory / name).mkdir(mode=0o700)
        key = self.directory / "munge" / "key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        version = _parse_numbers("Slurm's version", r"(\d+)\.(\d+)", self._ask("slurmctld", "-V"))
        (memory,) = _parse_numbers("Memory", r"RealMemory=(\d+)", self._ask("slurmd", "-C"))
        self.launch("munged")
        self._wait_for((self.directory / "munge" / "socket").exists)
        for _ in range(5):
            self.ports = ReservedPorts.reserve(1 + self.shape.nodes)
            files.write(self.directory, self.shape, self.ports.numbers, version, memory, self.mark)
            for name in ("slurmctld", *self.shape.names):
                self.launch(name)
            self.save()
            try:
                return self._wait_for(self._all_idle)
            except OSError:  # somebody else took a port between our look and the daemon's bind
                self._end_daemons()
                self.ports.release()
        raise RuntimeError("Five times in a row somebody else took the daemons' ports.")

    def serve(self, ready: Callable[[], object]) -> None:
        """Call `ready`, then reap children and heal at SIGUSR1 until a signal (SystemExit) or the removal of
        our files ends it."""
        wake, wakened = socket.socketpair()
        for end in (wake, wakened):
            end.setblocking(False)
        signal.set_wakeup_fd(wakened.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGUSR1):
            signal.signal(number, lambda *_: None)
        self.phase = "up"
        self.save()
        ready()
        while (self.directory / "state.json").exists():  # whoever removes our files wants us gone
            heard = wake.recv(4096) if select.select([wake], [], [], 5.0)[0] else b""
            if self.reap() | (signal.SIGUSR1 in heard):
                if signal.SIGUSR1 in heard:
                    self.heal()
                self.save()

    def heal(self) -> None:
        """Start again every daemon that has ended."""
        for name in [name for name, process in self.running.items() if process is None]:
            with suppress(OSError, SlurmError):
                self.launch(name)
        self.healed += 1

    def launch(self, name: str) -> None:
        """Start munged, slurmctld or the slurmd of node `name` in the foreground; it dies with this one."""
        here, munge = self.directory, self.directory / "munge"
        words = {
            "munged": [
                # munged wants a socket that every user may enter; --force makes a warning of that. A slurmd
                # without root runs each job as itself, whoever sent it: who enters, runs commands as us.
                "munged", "--force", "--foreground", "--num-threads=2", f"--socket={munge}/socket",
                *(f"--{one}-file={munge}/{one}" for one in ("key", "pid", "log", "seed")),
            ],
            "slurmctld": ["slurmctld", "-D"],
        }.get(name, ["slurmd", "-D", "-N", name])  # fmt: skip
        spool = here / "spool" / name  # a node's own directory tells its steps from those of others
        with (here / "log" / f"{name}.out").open("ab") as output:
            child = subprocess.Popen(
                [slurm_commands.find(words[0]), *words[1:]],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                cwd=spool if spool.exists() else here, env=self.environment,
                start_new_session=True,  # a key press in the terminal that started us is not for them
                preexec_fn=functools.partial(processes.die_with_parent, os.getpid()),
            )  # fmt: skip
        self.running[name] = Process(child.pid, int(processes.start_time(child.pid)))
        self.ended_with.pop(name, None)
        child.returncode = 0  # `reap` collects it, not this object

    def reap(self) -> bool:
        """Collect ended children, our daemons and adopted job processes alike; True if a daemon ended."""
        lost = False
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                for name, process in self.running.items():
                    if process and process.pid == ended[0]:
                        code = os.waitstatus_to_exitcode(ended[1])
                        self.ended_with[name] = f"signal {-code}" if code < 0 else f"exit status {code}"
                        self.running[name], lost = None, True
        return lost

    def job_processes(self) -> set[Process]:
        """Everything below this process that is no daemon of ours: step daemons, tasks and what they left."""
        controller = self.running.get("slurmctld")
        helpers = processes.descendants(controller.pid) if controller else []
        return set(processes.descendants(os.getpid())) - {*self.running.values(), *helpers}

    def last_words(self, name: str) -> str:
        """The last three lines with an error in the logs of the daemon `name`, but for errors about PMIx,
        which Slurm does without; where there are none, the last three lines."""
        logs = [self.directory / "log" / f"{name}.{suffix}" for suffix in ("log", "out")]
        texts = [log.read_text(errors="replace") for log in logs if log.exists()]
        lines = "\n".join(texts).splitlines()
        wrong = [line for line in lines if ("error" in line or "fatal" in line) and "pmix" not in line]
        return " / ".join((wrong or lines)[-3:]) or "it said nothing"

    def save(self) -> None:
        """Write state.json, by which other processes find us; atomic, so that no reader sees half of it."""
        state = {
            "supervisor": [os.getpid(), int(processes.start_time(os.getpid()))], "phase": self.phase,
            "mark": self.mark, "healed": self.healed, "shape": astuple(self.shape),
            "ports": self.ports.numbers if self.ports else [], "ended_with": self.ended_with,
            "daemons": {name: astuple(p) if p else None for name, p in self.running.items()},
        }  # fmt: skip
        fresh = self.directory / "state.new"
        with suppress(OSError):  # a full disk must not end what runs
            fresh.write_text(json.dumps(state))
            fresh.replace(self.directory / "state.json")

    def end(self) -> None:
        """End jobs, daemons and whatever they left."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        if self.running.get("slurmctld") and self.job_processes():
            with suppress(SlurmError):
                self._ask("scancel", "--user", str(os.getuid()), timeout=2.0)
            deadline = time.monotonic() + 2.0
            while self.job_processes() and time.monotonic() < deadline:
                self.reap()
                time.sleep(0.02)
        self._end_daemons()
        while left := {*processes.descendants(os.getpid()), *processes.marked(self.mark)}:
            processes.end(left, patience=0.5)

    def _end_daemons(self) -> None:
        processes.end([p for name, p in self.running.items() if p and name != "munged"], patience=1.0)

    def _all_idle(self) -> bool:
        words = ("sinfo", "--noheader", "--Node", "--partition=main", "--format=%T")
        with suppress(SlurmError):
            return self._ask(*words, timeout=3.0).split() == ["idle"] * self.shape.nodes
        return False

    def _wait_for(self, ready: Callable[[], bool]) -> None:
        """Return once `ready()` is true; OSError for a port that is taken, RuntimeError for another fault."""
        deadline = time.monotonic() + START_LIMIT
        while not ready():
            if self.reap():
                name = next(name for name, process in self.running.items() if process is None)
                words = self.last_words(name)
                if "Address already in use" in words:
                    raise OSError(words)
                raise RuntimeError(f"{name} ended with {self.ended_with[name]}: {words}")
            if time.monotonic() > deadline:
                words = self.last_words("slurmctld")
                raise RuntimeError(f"The nodes are not idle after {START_LIMIT:g} s. slurmctld: {words}")
            time.sleep(0.02)

    def _ask(self, *words: str, timeout: float = 10.0) -> str:
        """Return the output of a program with the argv `words`, in the daemons' environment."""
        return slurm_commands.run([slurm_commands.find(words[0]), *words[1:]], self.environment, timeout)


def _parse_numbers(what: str, pattern: str, text: str) -> tuple[int, ...]:
    """Return the groups of the regular expression `pattern` in `text` as numbers: (22, 5) from
    ``"slurm-wlm 22.05.8"``. RuntimeError where it is not found says so of `what`."""
    if match := re.search(pattern, text):
        return tuple(map(int, match.groups()))
    raise RuntimeError(f"{what} cannot be read from {text.strip()!r}.")


def main(directory: str, *shape: str) -> int:
    """Fork a cluster's supervisor, and return in the parent once nodes are idle (0) or cannot be (1)."""
    os.umask(0o077)
    waiting, starting = os.pipe()
    if os.fork():  # the cluster belongs to nobody's shell or kernel
        os.close(starting)
        return 0 if os.read(waiting, 1) else 1
    os.setsid()
    processes.adopt_orphans()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit())
    supervisor, failed = Supervisor(Path(directory), files.Shape(*map(int, shape))), False
    try:
        supervisor.start()
        supervisor.serve(ready=lambda: os.write(starting, b"."))
    except Exception as error:
        failed = True
        print(str(error) or type(error).__name__, file=sys.stderr, flush=True)
    finally:
        supervisor.end()
        if not failed:  # else whoever started us reads what we said first
            shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
