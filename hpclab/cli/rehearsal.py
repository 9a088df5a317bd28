"""One notebook run as a learner would, in its own folder, kernel and state: time, memory, what went wrong."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from hpclab.course import Lesson, lay_out
from hpclab.machine.footprint import Footprint, members
from hpclab.machine.probe import slurm

if TYPE_CHECKING:
    from nbformat import NotebookNode

_START = 60.0  # seconds for a kernel to answer
_LEAVE = 15.0  # seconds for what a kernel started to end after it


@dataclass(frozen=True)
class Report:
    """`seconds` of wall time, `peak_memory` in bytes (summed PSS of everything it started on this machine),
    and `failure`: "" or a sentence naming the cell and the first line of its error."""

    number: str
    name: str
    seconds: float
    peak_memory: int
    failure: str = ""


def rehearse(lesson: Lesson, folder: Path, cell_timeout: float = 180.0) -> Report:
    """Lay the course into `folder`, run `lesson` there, and end whatever it leaves behind.

    `folder` is empty and stays the caller's to remove. Processes on other nodes of a site's Slurm are not in
    the memory figure.
    """
    course, state = folder / "course", folder / "s"
    lay_out(course)
    state.mkdir(mode=0o700)
    begin = time.monotonic()
    try:
        with Footprint(str(state)) as footprint:
            failure = _execute(course / lesson.path.name, folder, state, cell_timeout)
            seconds = time.monotonic() - begin
    finally:
        left = _end_what_is_left(state)
    if left and not failure:
        failure = f"it left running: {', '.join(left)}."
    return Report(lesson.number, lesson.name, round(seconds, 2), footprint.peak, failure)


def _execute(notebook: Path, folder: Path, state: Path, cell_timeout: float) -> str:
    import nbformat
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    from hpclab.cli.kernel import Kernels

    content = nbformat.read(notebook, as_version=4)
    client = NotebookClient(
        content,
        km=AsyncKernelManager(  # by sockets in the private folder: no port that others could reach
            kernel_name="python3", kernel_spec_manager=Kernels(), transport="ipc",
            connection_file=str(folder / "kernel.json"),
        ),
        timeout=round(cell_timeout),
        startup_timeout=round(_START),
        resources={"metadata": {"path": str(notebook.parent)}},
    )  # fmt: skip
    try:
        # cleanup_kc: nbclient leaves the kernel of a manager it was given running unless told
        client.execute(cleanup_kc=True, env=_environment(folder, state))
    except CellTimeoutError:
        return f"{_where(content)} ran longer than {cell_timeout:g} s."
    except CellExecutionError as error:
        said, _, _ = error.evalue.strip().partition("\n")
        return f"{_where(content)}: {error.ename}: {said}"
    except asyncio.CancelledError:  # how an interrupt arrives, because nbclient handles the signals meanwhile
        raise KeyboardInterrupt from None
    except (DeadKernelError, RuntimeError) as error:
        return f"{_where(content)}: the kernel died ({str(error).splitlines()[0]})."
    return ""


def _environment(folder: Path, state: Path) -> dict[str, str]:
    """This environment, with a state directory of its own and without traces of a Slurm already running."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "HPCLAB_"))}
    if "SLURM_CONF" in os.environ and slurm().site:
        kept["SLURM_CONF"] = os.environ["SLURM_CONF"]
    return {**kept, "HPCLAB_STATE_DIR": str(state), "IPYTHONDIR": str(folder / "ipython")}


def _where(content: NotebookNode) -> str:
    """The last code cell that was begun, as a learner counts them, with its first line."""
    code = [cell for cell in content.cells if cell.cell_type == "code"]
    begun = [number for number, cell in enumerate(code) if cell.metadata.get("execution")] or [0]
    first, _, _ = code[begun[-1]].source.strip().partition("\n")
    return f"code cell {begun[-1] + 1} ({first[:60]})"


def _end_what_is_left(state: Path) -> list[str]:
    """Take a Slurm of the lesson's own down, wait for the rest, end what does not go; names of the latter."""
    if members(str(state)):
        down = [sys.executable, "-P", "-m", "hpclab.cli", "slurm", "down"]
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(
                down, env={**os.environ, "HPCLAB_STATE_DIR": str(state)}, timeout=60, check=False,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
    deadline = time.monotonic() + _LEAVE
    while members(str(state)) and time.monotonic() < deadline:
        time.sleep(0.2)
    left = []
    for pid in members(str(state)):
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            left.append(" ".join(process.cmdline())[:80] or process.name())
            process.kill()
    return left
