"""`hpclab rehearse`: run every notebook as a learner would on this machine, the day before the workshop. Each
lesson gets a fresh working folder, a kernel and a state directory of its own; what it leaves running is a
failure, and is ended. On a site its folders are where the nodes see them; with --site each lesson is a
job."""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from hpclab import checks, units
from hpclab.cli import number
from hpclab.cluster import notes
from hpclab.cluster.host import private
from hpclab.course import Lesson, lay_out, lessons
from hpclab.machine import footprint
from hpclab.machine.probe import slurm

_MINUTE = 60.0  # seconds and bytes that a lesson promises to stay within on two cores
_MEMORY = 2 * 2**30
_START = 60.0  # seconds for a kernel to answer
_LEAVE = 15.0  # seconds for what a kernel started to end after it


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", action="append", metavar="NN", help="one lesson's number; may be repeated")
    parser.add_argument(
        "--cell-timeout", default=180, type=number, help="seconds for one cell (default: 180)"
    )
    parser.add_argument("--site", action="store_true", help="run each as a Slurm job, one after another")
    parser.add_argument("--learners", type=number, metavar="N", help="with --site: what a class of N needs")
    parser.add_argument("--cores", type=number, help="with --site: cores of a job (default: 1)")
    parser.add_argument("--memory", metavar="SIZE", help="with --site: memory of a job, such as '4 GiB'")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")


def run(options: argparse.Namespace) -> int:
    seconds = checks.number("--cell-timeout", options.cell_timeout, 1, 36_000, "seconds")
    chosen, reports = choose(lessons(), options.only), []
    if not options.site and (options.learners or options.cores or options.memory):
        raise ValueError("--learners, --cores and --memory are for --site: add it.")
    learners = options.learners and checks.integer("--learners", options.learners, 1, 100_000)
    each: Callable[[Lesson, Path, float], Report] = rehearse
    if options.site:
        from hpclab.cli import rehearse_site

        each = rehearse_site.as_job(options)
    place = None
    if options.site or slurm().site:  # a private folder that the nodes see
        named = os.environ.get("HPCLAB_STATE_DIR")
        place = private.make(Path(named or Path.home() / ".hpclab"), plain=False)
    shown = sys.stderr if options.json else sys.stdout
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for lesson in chosen:
            print(f"{lesson.number}  {lesson.title[:46]:<46}  ", end="", file=shown, flush=True)
            with _folder("hpclab-r-", place) as folder:
                reports.append(each(lesson, Path(folder), seconds))
            print(line(reports[-1]), file=shown, flush=True)
    except KeyboardInterrupt:
        print("interrupted; what was started is ended.", file=shown)
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)
        with contextlib.suppress(OSError):  # others may use it
            if place:
                place.rmdir()
    failed = sum(bool(one.failure) for one in reports)
    passed = [(lesson, one) for lesson, one in zip(chosen, reports, strict=True) if not one.failure]
    needs = {one.number: rehearse_site.needs(lesson, one, learners) for lesson, one in passed if learners}
    if options.json:
        told = {"passed": not failed, "lessons": [asdict(one) for one in reports], "class": needs}
        print(json.dumps(told, indent=1))
    else:
        said = f"{failed} failed" if failed else f"{len(reports)} of {len(reports)} lessons passed"
        print(f"{said} in {units.format_seconds(sum(one.seconds for one in reports))}.")
        if needs:
            print(*rehearse_site.class_needs(needs, learners), sep="\n")
    return int(failed > 0)


def choose(found: Sequence[Lesson], only: Sequence[str] | None) -> list[Lesson]:
    """The lessons of `found` with the numbers in `only` (None: all); ValueError names those there are."""
    numbers = [lesson.number for lesson in found]
    wanted = [checks.choice("--only", word and word.zfill(2), numbers) for word in only or numbers]
    return [lesson for lesson in found if lesson.number in wanted]


@dataclass(frozen=True)
class Report:
    """How a lesson ran: `seconds` of wall time, `peak_memory` in bytes (summed PSS of all it started on this
    machine), `nodes` that its pools had of a Slurm at most, and `failure`: "" or a sentence naming the cell
    and the first line of its error. As a site's job it `waited` so many seconds (None: not known)."""

    number: str
    name: str
    seconds: float
    peak_memory: int
    failure: str = ""
    nodes: int = 0
    waited: float | None = None


def line(report: Report) -> str:
    """One lesson in one line, and where it failed in a second."""
    figures = f"{units.format_seconds(report.seconds):>10}  {units.format_bytes(report.peak_memory):>8}"
    if report.waited is not None:
        figures += f"  waited {units.format_seconds(report.waited)}, nodes of its pools: {report.nodes}"
    if report.failure:
        return f"{figures}  FAILED\n    {report.failure}"
    over = ["over a minute"] * (report.seconds > _MINUTE) + ["over 2 GiB"] * (report.peak_memory > _MEMORY)
    return f"{figures}  passed" + (f" ({', '.join(over)})" if over else "")


def rehearse(lesson: Lesson, folder: Path, cell_timeout: float = 180.0) -> Report:
    """Lay the course into `folder`, empty and the caller's to remove, run `lesson` there, and end whatever it
    leaves behind. The notebook in its `course` has its outputs and its widgets' state then, up to where it
    failed. Processes on other nodes of a site's Slurm are not in the memory figure."""
    course, state, peak, nodes = folder / "course", folder / "s", 0, 0
    lay_out(course)
    state.mkdir(mode=0o700)
    begin = time.monotonic()

    def sample() -> None:
        nonlocal peak, nodes
        peak = max(peak, footprint.summed_pss(footprint.processes_of_run(str(state))))
        nodes = max(nodes, notes.nodes_in(state))

    try:
        # Not every shared file system has sockets.
        with footprint.sampling(sample), _folder("hpclab-k-") as sockets:
            failure = _execute(course / lesson.path.name, Path(sockets), state, cell_timeout)
            seconds = time.monotonic() - begin
    finally:
        left = _end_what_is_left(state)
    if left and not failure:
        failure = f"it left running: {', '.join(left)}."
    return Report(lesson.number, lesson.name, round(seconds, 2), peak, failure, nodes)


def _folder(prefix: str, place: Path | None = None) -> tempfile.TemporaryDirectory[str]:
    """A temporary folder in `place`, by default in /tmp, whose short path leaves room for sockets' names."""
    near = "/tmp" if Path("/tmp").is_dir() else None  # noqa: S108
    return tempfile.TemporaryDirectory(prefix=prefix, dir=place or near, ignore_cleanup_errors=True)


def _execute(notebook: Path, folder: Path, state: Path, cell_timeout: float) -> str:
    """Run `notebook` in a kernel of its own and write its outputs into it; return its failure or ""."""
    import nbformat
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    from hpclab.cli.kernel import Kernels

    # A state directory of its own, and no traces of a Slurm already running.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "HPCLAB_"))}
    if "SLURM_CONF" in os.environ and slurm().site:
        kept["SLURM_CONF"] = os.environ["SLURM_CONF"]
    environment = {**kept, "HPCLAB_STATE_DIR": str(state), "IPYTHONDIR": str(folder / "ipython")}
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
        client.execute(cleanup_kc=True, env=environment)
    except CellTimeoutError:
        return f"{_where(content)} ran longer than {cell_timeout:g} s."
    except CellExecutionError as error:
        said, _, _ = error.evalue.strip().partition("\n")
        return f"{_where(content)}: {error.ename}: {said}"
    except (DeadKernelError, RuntimeError) as error:
        return f"{_where(content)}: the kernel died ({str(error).splitlines()[0]})."
    finally:
        if hasattr(client, "_async_cleanup_kernel_future"):  # nbclient hears interrupts meanwhile: one came
            raise KeyboardInterrupt
        nbformat.write(content, notebook)
    return ""


def _where(content: Any) -> str:
    """The last code cell that was begun, as a learner counts them, with its first line."""
    code = [cell for cell in content.cells if cell.cell_type == "code"]
    begun = [number for number, cell in enumerate(code) if cell.metadata.get("execution")] or [0]
    first, _, _ = code[begun[-1]].source.strip().partition("\n")
    return f"code cell {begun[-1] + 1} ({first[:60]})"


def _end_what_is_left(state: Path) -> list[str]:
    """Take the lesson's own Slurm down, wait, kill processes that remain, and return their command lines."""

    def there() -> set[int]:
        return footprint.processes_of_run(str(state))

    if there():
        down = [sys.executable, "-P", "-m", "hpclab.cli", "slurm", "down"]
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            own = os.environ | {"HPCLAB_STATE_DIR": str(state)}
            subprocess.run(down, env=own, timeout=60, check=False, capture_output=True)
    deadline = time.monotonic() + _LEAVE
    while there() and time.monotonic() < deadline:
        time.sleep(0.2)
    left = []
    for pid in there():
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            left.append(" ".join(process.cmdline())[:80] or process.name())
            process.kill()
    return left
