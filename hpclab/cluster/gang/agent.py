"""The rank agent beside each worker: keeps one forked child ready, and starts a fresh one after each run.

``python -m hpclab.cluster.gang.agent ADDRESS``: messages come on standard input and go to standard output
(see frames.py); it ends with its worker. It loads torch once and never runs a learner's code itself.

    in:  ("wake",)  ("run", spec, payload)  ("end",)
    out: ("ready", pid, port)  ("state", pid, letter, cpu)  ("collectives", pid, n)  ("print", pid, text)
         ("value", pid, ...)  ("error", pid, ...)  ("exit", pid, status)

Every answer names the child it is about, so that the end of one run is never taken for trouble in the next.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from typing import Any

from hpclab import search_path
from hpclab.cluster.gang import frames, rank
from hpclab.cluster.host import linux

TICK = 0.1  # seconds between looks at the running rank
MOST_OUTPUT = 100_000  # characters of a rank's prints that are passed on


class Child:
    """A forked rank: `control` and `output` are our ends of its socket and prints; it listens on `port`."""

    def __init__(self, address: str):
        listener = socket.create_server((address, 0), backlog=512)
        self.port = listener.getsockname()[1]
        ours, theirs = socket.socketpair()
        self.output, printed = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _become_rank(theirs, printed, listener)
        for end in (theirs, listener):
            end.close()
        os.close(printed)
        self.control = ours
        self.frames, self.running, self.seen = frames.Frames(), False, ("", -1.0)
        self.prints, self.printed = True, 0

    def close(self) -> None:
        self.control.close()
        os.close(self.output)


def _become_rank(control: socket.socket, printed: int, listener: socket.socket) -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    linux.die_with_parent(_agent)
    os.setpgid(0, 0)
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    keep = {0, 1, 2, control.fileno(), listener.fileno()}
    for descriptor in map(int, os.listdir("/dev/fd")):  # the agent's own pipes are not the rank's
        if descriptor not in keep:
            with suppress(OSError):
                os.close(descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    rank.serve(control.fileno(), listener)


_agent = os.getpid()


class Agent:
    """One loop over the worker's messages, the child's messages and prints, and the child's end."""

    def __init__(self, address: str, answers: int):
        self.address, self.answers = address, answers
        self.orders = frames.Frames()
        self.wake, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.child = self._fork()

    def _fork(self) -> Child:
        child = Child(self.address)
        self.say("ready", child.pid, child.port)
        return child

    def say(self, *message: Any) -> None:
        frames.write(self.answers, message)

    def loop(self) -> None:
        """Until the worker closes the pipe."""
        while True:
            child = self.child
            watched = [0, self.wake, child.control.fileno()]
            if child.prints:
                watched.append(child.output)
            ready, _, _ = select.select(watched, [], [], TICK if child.running else None)
            if child.output in ready:
                self._pass_on_output(child)
            if child.control.fileno() in ready and not self._pass_on(child):
                self._reap(block=True)
            if self.wake in ready:
                os.read(self.wake, 4096)
                self._reap()
            if child.running and child is self.child:
                self._look(child)
            if 0 in ready:
                chunk = os.read(0, 2**20)
                if not chunk:
                    return
                for order in self.orders.feed(chunk):
                    self._obey(*order)

    def _obey(self, word: str, *rest: Any) -> None:
        if word == "run":
            self.child.running = True
            with suppress(OSError):
                self.child.control.settimeout(30)
                self.child.control.sendall(frames.frame(rest))
        elif word == "wake":
            self.say("ready", self.child.pid, self.child.port)
        elif word == "end" and self.child.running:
            self._kill()

    def _kill(self) -> None:
        for end in (os.killpg, os.kill):
            with suppress(OSError):
                end(self.child.pid, signal.SIGKILL)

    def _pass_on(self, child: Child) -> bool:
        try:
            chunk = child.control.recv(2**20)
        except OSError:
            return False
        for message in child.frames.feed(chunk):
            self.say(message[0], child.pid, *message[1:])
        return bool(chunk)

    def _pass_on_output(self, child: Child) -> bool:
        chunk = os.read(child.output, 65536)
        child.prints = bool(chunk)
        room = MOST_OUTPUT - child.printed
        child.printed += len(chunk)
        if chunk and room > 0:
            cut = "\n… (the rest of what this rank prints is left out)\n" if len(chunk) >= room else ""
            self.say("print", child.pid, chunk[:room].decode(errors="replace") + cut)
        return bool(chunk)

    def _look(self, child: Child) -> None:
        try:
            with open(f"/proc/{child.pid}/stat", encoding="ascii", errors="replace") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            return
        now = (fields[0], (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))
        if now[0] != child.seen[0] or now[1] > child.seen[1] + 0.2:
            child.seen = now
            self.say("state", child.pid, *now)

    def _reap(self, block: bool = False) -> None:
        """Notice that the child has ended, end whatever it left, and fork the next one."""
        deadline = time.monotonic() + (5 if block else 0)
        while True:
            with suppress(ChildProcessError):
                pid, status = os.waitpid(self.child.pid, os.WNOHANG)
                if pid:
                    break
            if time.monotonic() >= deadline:
                if block:
                    self._kill()
                return
            time.sleep(0.002)
        child = self.child
        with suppress(OSError):
            os.killpg(child.pid, signal.SIGKILL)
        while select.select([child.control], [], [], 0)[0] and self._pass_on(child):
            pass
        while select.select([child.output], [], [], 0)[0] and self._pass_on_output(child):
            pass
        child.close()
        self._end_orphans()
        self.say("exit", child.pid, os.waitstatus_to_exitcode(status))
        self.child = self._fork()

    def _end_orphans(self) -> None:
        """Processes that the rank started and left: they are ours now (see linux.adopt_orphans)."""
        for _ in range(50):
            try:
                with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
                    left = [int(pid) for pid in file.read().split()]
            except OSError:
                return
            if not left:
                return
            for pid in left:
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
                with suppress(OSError):
                    os.waitpid(pid, 0)


def main() -> None:
    linux.die_with_parent(os.getppid())
    linux.adopt_orphans()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.dup(1)
    os.dup2(2, 1)  # a stray print of a library must not end up among the messages
    # Where hosts have no reverse name torch warns of it at every connection; its errors are raised anyway.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    import torch.distributed  # noqa: F401 - loaded once here, so that every rank is forked with it

    search_path.last()
    agent = Agent(sys.argv[1], answers)
    try:
        agent.loop()
    finally:
        agent._kill()


if __name__ == "__main__":
    main()
