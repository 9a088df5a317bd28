"""The rank agent beside each worker, a program that loads torch once and never runs a learner's code
itself: keeps one forked child ready, and starts a fresh one after each run.

Messages (frames.py) come on standard input and go to standard output; each answer names the child it is
about.

    in:  ("wake",)  ("run", environment, timeout, payload)  ("end",)
    out: ("ready", pid, port)  ("begun", pid, ...)  ("print", pid, text)
         ("value", pid, ...)  ("error", pid, ...)  ("exit", pid, status)
"""

import importlib
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from hpclab import search_path
from hpclab.cluster.gang import frames, rank
from hpclab.cluster.host import processes

MOST_OUTPUT = 100_000  # characters of a rank's prints that are passed on


class Child:
    """A forked rank: `control` and `output` are our ends of its socket and output; it listens on `port`."""

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
        self.frames, self.running, self.printed = frames.Frames(), False, 0
        self.watched = [self.output, ours.fileno()]  # until they end; what it prints comes before its value


def _become_rank(control: socket.socket, printed: int, listener: socket.socket) -> None:
    """In the forked child: set process group, descriptors and output up, and serve; never returns."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    processes.die_with_parent(_agent)
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
    """Passes messages between worker and child, and forks a new child when one has ended; children listen on
    `address`, and `answers` is the descriptor of messages to the worker."""

    def __init__(self, address: str, answers: int):
        self.address, self.answers, self.trains = address, answers, False
        self.orders = frames.Frames()
        self.wake, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.child = self._fork()

    def _fork(self) -> Child:
        if self.trains:  # what the last rank had to load need not be loaded by the next
            importlib.import_module(rank.COMPILER)
        child = Child(self.address)
        self.say("ready", child.pid, child.port)
        return child

    def say(self, *message: Any) -> None:
        """Send the worker a message."""
        frames.write(self.answers, message)

    def loop(self) -> None:
        """Serve worker and child until the worker closes the pipe."""
        while True:
            child = self.child
            ready, _, _ = select.select([0, self.wake, *child.watched], [], [])
            for descriptor in [each for each in child.watched if each in ready]:
                if not self._pass_on(child, descriptor) and descriptor != child.output:
                    self._kill()  # it has ended, or closed what it answers with and is of no more use
            if self.wake in ready:
                os.read(self.wake, 4096)
                self._reap()
            if 0 in ready:
                if not (chunk := os.read(0, 2**20)):
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

    def _pass_on(self, child: Child, descriptor: int) -> bool:
        """Pass on what the rank has sent or printed on `descriptor`; return whether more may come."""
        chunk = b""
        with suppress(OSError):
            chunk = os.read(descriptor, 2**20)
        if not chunk:
            child.watched.remove(descriptor)
        elif descriptor == child.output:
            room = MOST_OUTPUT - child.printed
            child.printed += len(chunk)
            cut = "\n… (the rest of what this rank prints is left out)\n" if len(chunk) >= room else ""
            if room > 0:
                self.say("print", child.pid, chunk[:room].decode(errors="replace") + cut)
        else:
            for message in child.frames.feed(chunk):
                self.trains |= message[0] == "value" and message[1]["compiler"]
                self.say(message[0], child.pid, *message[1:])
        return bool(chunk)

    def _reap(self) -> None:
        """Where the child has ended, end whatever it left, and fork the next one."""
        child = self.child
        ended, status = os.waitpid(child.pid, os.WNOHANG)
        if not ended:
            return
        with suppress(OSError):
            os.killpg(child.pid, signal.SIGKILL)
        for descriptor in [*child.watched]:
            while select.select([descriptor], [], [], 0)[0] and self._pass_on(child, descriptor):
                pass
        child.control.close()
        os.close(child.output)
        children = Path(f"/proc/self/task/{os.getpid()}/children")
        with suppress(OSError):  # where this is no Linux
            for _ in range(50):  # what the rank started and left is ours now (see processes.adopt_orphans)
                for pid in map(int, children.read_text().split()):
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
        self.say("exit", child.pid, os.waitstatus_to_exitcode(status))
        self.child = self._fork()


def main() -> None:
    processes.die_with_parent(os.getppid())
    processes.adopt_orphans()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.dup(1)
    os.dup2(2, 1)  # a stray print of a library must not end up among the messages
    # Where hosts have no reverse name torch warns of it at every connection; its errors are raised anyway.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    import torch.distributed  # noqa: F401 - loaded once here, so that every rank is forked with it

    search_path.look_here_last()
    agent = Agent(sys.argv[1], answers)
    try:
        agent.loop()
    finally:
        agent._kill()


if __name__ == "__main__":
    main()
