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
from typing import TYPE_CHECKING, Any

import psutil

from hpclab.course import Lesson, lay_out
from hpclab.machine import probe
from hpclab.machine.footprint import Footprint, members

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

    @property
    def passed(self) -> bool:
        return not self.failure


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
        km=AsyncKernelManager(
            kernel_name="python3",
            kernel_spec_manager=Kernels(),
            transport="ipc",  # sockets in the private folder: no port that others could reach
            connection_file=str(folder / "kernel.json"),
        ),
        timeout=round(cell_timeout),
        startup_timeout=round(_START),
        resources={"metadata": {"path": str(notebook.parent)}},
    )
    try:
        # cleanup_kc: nbclient leaves the kernel of a manager it was given running unless told
        client.execute(cleanup_kc=True, env=_environment(folder, state))
    except CellTimeoutError:
        return f"{_where(content)} ran longer than {cell_timeout:g} s."
    except CellExecutionError:
        return f"{_where(content)}: {_error(content)}"
    except asyncio.CancelledError:  # how an interrupt arrives, because nbclient handles the signals meanwhile
        raise KeyboardInterrupt from None
    except (DeadKernelError, RuntimeError) as error:
        return f"{_where(content)}: the kernel died ({str(error).splitlines()[0]})."
    return ""


def _environment(folder: Path, state: Path) -> dict[str, str]:
    """This environment, with a state directory of its own and without traces of a Slurm already running."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "HPCLAB_"))}
    if probe().slurm.site and "SLURM_CONF" in os.environ:
        kept["SLURM_CONF"] = os.environ["SLURM_CONF"]
    return {**kept, "HPCLAB_STATE_DIR": str(state), "IPYTHONDIR": str(folder / "ipython")}


def _cells(content: NotebookNode) -> list[Any]:
    return [cell for cell in content.cells if cell.cell_type == "code"]


def _where(content: NotebookNode) -> str:
    """The last code cell that was begun, as a learner counts them, with its first line."""
    begun = [
        n for n, cell in enumerate(_cells(content), start=1) if cell.get("metadata", {}).get("execution")
    ]
    number = begun[-1] if begun else 1
    first = _cells(content)[number - 1].source.strip().split("\n")[0] if _cells(content) else ""
    return f"code cell {number} ({first[:60]})"


def _error(content: NotebookNode) -> str:
    for cell in _cells(content):
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                return (
                    f"{output.ename}: {str(output.evalue).strip().splitlines()[0] if output.evalue else ''}"
                )
    return "an error without a message"


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
