"""`hpclab rehearse`: run every notebook as a learner would on this machine, the day before the workshop.

Each lesson gets a fresh working folder, a kernel of its own and a state directory of its own, so nothing that
happens to run already helps it or is touched by it. What it leaves running is a failure, and is ended.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from hpclab import checks, units
from hpclab.cli import number
from hpclab.cli.rehearsal import Report, rehearse
from hpclab.course import Lesson, lessons

_MINUTE = 60.0  # seconds and bytes that a lesson promises to stay within on two cores
_PROMISED_MEMORY = 2 * 2**30


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", action="append", metavar="NN", help="one lesson's number; may be repeated")
    parser.add_argument(
        "--cell-timeout", default=180, type=number, help="seconds for one cell (default: 180)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")


def run(options: argparse.Namespace) -> int:
    seconds = checks.number("--cell-timeout", options.cell_timeout, 1, 36_000, "seconds")
    chosen, reports = choose(lessons(), options.only), []
    shown = sys.stderr if options.json else sys.stdout
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        for lesson in chosen:
            print(f"{lesson.number}  {lesson.title[:46]:<46}  ", end="", file=shown, flush=True)
            with _fresh_folder() as folder:
                reports.append(rehearse(lesson, Path(folder), seconds))
            print(line(reports[-1]), file=shown, flush=True)
    except KeyboardInterrupt:
        print("interrupted; what was started is ended.", file=shown)
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)
    good = all(report.passed for report in reports)
    if options.json:
        print(json.dumps({"passed": good, "lessons": [asdict(report) for report in reports]}, indent=1))
    else:
        total = units.format_seconds(sum(report.seconds for report in reports))
        failed = sum(not report.passed for report in reports)
        print(
            f"{len(reports)} of {len(reports)} lessons passed" if good else f"{failed} failed", f"in {total}."
        )
    return 0 if good else 1


def choose(found: Sequence[Lesson], only: Sequence[str] | None) -> list[Lesson]:
    """The lessons with these numbers; ValueError names what there is."""
    if not found:
        raise ValueError("There is no lesson to rehearse.")
    numbers = [lesson.number for lesson in found]
    wanted = [checks.choice("--only", word and word.zfill(2), numbers) for word in only or numbers]
    return [lesson for lesson in found if lesson.number in wanted]


def line(report: Report) -> str:
    """One lesson in one line, and where it failed in a second."""
    figures = f"{units.format_seconds(report.seconds):>10}  {units.format_bytes(report.peak_memory):>8}"
    if not report.passed:
        return f"{figures}  FAILED\n    {report.failure}"
    remarks = []
    if report.seconds > _MINUTE:
        remarks.append("over a minute")
    if report.peak_memory > _PROMISED_MEMORY:
        remarks.append("over 2 GiB")
    return f"{figures}  passed" + (f" ({', '.join(remarks)})" if remarks else "")


def _fresh_folder() -> tempfile.TemporaryDirectory[str]:
    """A short private path: it becomes part of socket names."""
    parent = "/tmp" if Path("/tmp").is_dir() else None  # noqa: S108 - it is made private
    return tempfile.TemporaryDirectory(prefix="hpclab-r-", dir=parent, ignore_cleanup_errors=True)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
