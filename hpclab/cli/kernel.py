"""The kernel of `hpclab lab` and `hpclab rehearse`: IPython's own, in this Python, with the notebook's folder
last among the places for modules (see `search_path`). Where the course refuses something, or a learner
interrupts it, it shows the line in the learner's cell and one sentence instead of the way through our code;
what goes wrong in the learner's own code is shown whole."""

import os
import re
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from ipykernel.zmqshell import ZMQInteractiveShell
from jupyter_client.kernelspec import NATIVE_KERNEL_NAME, KernelSpec, KernelSpecManager
from traitlets import Type

OURS = str(Path(__file__).resolve().parents[1])
OUR_STEPS = re.compile(rf'^  File "{re.escape(OURS)}.*\n(?:    .*\n)*', re.MULTILINE)
ABOVE = "If it comes from a cell above, run that first: Run > Run All Above Selected Cell."
NUMBA = ("/numba/core/dispatcher.py", "/numba/core/compiler_lock.py")
UNINTERRUPTED = {"<frozen importlib._bootstrap>": 20.0} | dict.fromkeys(NUMBA, 60.0)
"""Files (ends of their names) whose code is not to be interrupted, and for how many seconds at most."""
INTERRUPTED = "interrupted: run the cell again when you like."
HALF_IMPORTED = "interrupted in an import, which Python cannot take up again: restart the kernel."


class Kernels(KernelSpecManager):
    """Jupyter's kernel specs, except that `python3` is this kernel, whatever a user installed so named."""

    def find_kernel_specs(self) -> dict[str, str]:
        return super().find_kernel_specs() | {NATIVE_KERNEL_NAME: RESOURCES}

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        if kernel_name != NATIVE_KERNEL_NAME:
            return super().get_kernel_spec(kernel_name)
        # SIGINT is ignored until it runs a cell: a restart sends one, which would print a traceback.
        ignoring = ["/bin/sh", "-c", 'trap "" INT; exec "$@"', "sh"]
        words = [*ignoring, sys.executable, "-P", "-m", "hpclab.cli.kernel", "-f", "{connection_file}"]
        return KernelSpec(resource_dir=RESOURCES, **(get_kernel_dict() | {"argv": words}))


class Shell(ZMQInteractiveShell):
    """IPython's shell, whose tracebacks have none of the course's own code where that adds nothing."""

    def showtraceback(self, exc_tuple: Any = None, *arguments: Any, **options: Any) -> None:
        found = exc_tuple or sys.exc_info()
        if (shown := self._shorter(*found)) is None:
            super().showtraceback(exc_tuple, *arguments, **options)
        else:
            self._get_exc_info(found)  # for %debug
            self._showtraceback(found[0], found[1], shown)

    def _shorter(self, kind: type, value: Any, trace: TracebackType | None) -> list[str] | None:
        """Return the lines of a traceback without our code; None where IPython's own is to be shown."""
        frames, interrupt = [*_steps(trace)], value
        # Libraries turn one into their own exceptions, some of which are false.
        while interrupt is not None and not isinstance(interrupt, KeyboardInterrupt):
            interrupt = interrupt.__cause__ or interrupt.__context__
        theirs = [self._is_theirs(one) for one in frames]
        if True not in theirs:
            return [f"KeyboardInterrupt: {INTERRUPTED}"] if interrupt is not None else None
        last, said, added = len(theirs) - theirs[::-1].index(True), str(value).rstrip(), ""
        if interrupt is not None:
            others = (one for one in _steps(interrupt.__traceback__) if not self._is_theirs(one))
            halves = any(one.tb_frame.f_code.co_name == "<module>" for one in others)
            kind, added = KeyboardInterrupt, HALF_IMPORTED if halves else INTERRUPTED
        elif isinstance(value, NameError) and last == len(frames):
            added = f"{said}. {ABOVE}"
        elif last < len(frames):  # it was not raised in their code
            ours = frames[-1].tb_frame.f_code.co_filename.startswith(OURS)
            if not (ours and said.endswith((".", "?"))) and not kind.__module__.startswith("hpclab."):
                return None
        elif all(theirs[theirs.index(True) :]):
            return None
        value.__cause__, value.__suppress_context__ = None, True
        kept = None
        for one, is_theirs in reversed([*zip(frames, theirs, strict=True)][:last]):
            if is_theirs:
                kept = TracebackType(kept, one.tb_frame, one.tb_lasti, one.tb_lineno)
        lines = self.InteractiveTB.structured_traceback(kind, value, kept, tb_offset=0)
        lines = [OUR_STEPS.sub("", line) for line in lines]  # a rank's own traceback
        return [*lines[:-1], f"{kind.__name__}: {added}"] if added else lines

    def _is_theirs(self, step: TracebackType) -> bool:
        """Whether a traceback's `step` is in a cell's code, here or on a node (with other globals)."""
        frame = step.tb_frame
        return frame.f_globals is self.user_ns or "ipykernel_" in frame.f_code.co_filename


def _steps(trace: TracebackType | None) -> Iterator[TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next


class Kernel(IPythonKernel):
    """IPython's kernel; it delays an interrupt in an import or while Numba compiles, which cannot be resumed,
    or outside of a cell's or widget's code, where the reply would be lost and the cell would seem to
    run for ever."""

    shell_class = Type(Shell)
    _asked = 0.0  # when an interrupt came that is delayed (time.monotonic), else 0

    def pre_handler_hook(self) -> None:
        super().pre_handler_hook()
        signal.signal(signal.SIGINT, self._interrupted)

    def post_handler_hook(self) -> None:
        if self._asked:  # an interrupt still delayed at the end of a cell is dropped
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._asked = 0.0
        super().post_handler_hook()

    def do_shutdown(self, restart: bool) -> Any:
        self.log.setLevel("CRITICAL")  # an answer that finds its socket closed by now is no error
        return super().do_shutdown(restart)

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        """Handle SIGINT, and SIGALRM while it is delayed: raise KeyboardInterrupt, or look again in 50 ms."""
        self._asked = self._asked or time.monotonic()
        stack = [one for one, _ in traceback.walk_stack(frame)]
        codes, names = [one.f_code for one in stack], getattr(self.shell, "user_ns", None)
        limits = [UNINTERRUPTED[at] for at in UNINTERRUPTED if any(c.co_filename.endswith(at) for c in codes)]
        if not any(one.f_globals is names or one.f_code.co_name == "comm_msg" for one in stack):
            limits.append(60.0)
        if time.monotonic() < self._asked + max(limits, default=0.0):
            signal.signal(signal.SIGALRM, self._interrupted)
            signal.setitimer(signal.ITIMER_REAL, 0.05)
        else:
            self._asked = 0.0
            raise KeyboardInterrupt


class KernelApp(IPKernelApp):
    """The program that starts a Kernel, which looks for modules in the working directory last, not first."""

    kernel_class = Type(Kernel)

    def init_path(self) -> None:
        if not self.ignore_cwd:
            sys.path.append("")


if __name__ == "__main__":
    KernelApp.launch_instance()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what Python says of coroutines that it drops at its end
