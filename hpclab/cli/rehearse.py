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

from hpclab import checks, units
from hpclab.cli import number
from hpclab.cli.rehearsal import Report, rehearse
from hpclab.course import Lesson, lessons

_MINUTE = 60.0  # seconds and bytes that a lesson promises to stay within on two cores
_MEMORY = 2 * 2**30


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
    top = "/tmp" if Path("/tmp").is_dir() else None  # noqa: S108 - short: it becomes part of socket names
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for lesson in chosen:
            print(f"{lesson.number}  {lesson.title[:46]:<46}  ", end="", file=shown, flush=True)
            with tempfile.TemporaryDirectory(
                prefix="hpclab-r-", dir=top, ignore_cleanup_errors=True
            ) as folder:
                reports.append(rehearse(lesson, Path(folder), seconds))
            print(line(reports[-1]), file=shown, flush=True)
    except KeyboardInterrupt:
        print("interrupted; what was started is ended.", file=shown)
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)
    failed = sum(bool(report.failure) for report in reports)
    if options.json:
        print(json.dumps({"passed": not failed, "lessons": [asdict(report) for report in reports]}, indent=1))
    else:
        total = units.format_seconds(sum(report.seconds for report in reports))
        said = f"{failed} failed" if failed else f"{len(reports)} of {len(reports)} lessons passed"
        print(f"{said} in {total}.")
    return int(failed > 0)


def choose(found: Sequence[Lesson], only: Sequence[str] | None) -> list[Lesson]:
    """The lessons with these numbers; ValueError names what there is."""
    numbers = [lesson.number for lesson in found]
    wanted = [checks.choice("--only", word and word.zfill(2), numbers) for word in only or numbers]
    return [lesson for lesson in found if lesson.number in wanted]


def line(report: Report) -> str:
    """One lesson in one line, and where it failed in a second."""
    figures = f"{units.format_seconds(report.seconds):>10}  {units.format_bytes(report.peak_memory):>8}"
    if report.failure:
        return f"{figures}  FAILED\n    {report.failure}"
    over = ["over a minute"] * (report.seconds > _MINUTE) + ["over 2 GiB"] * (report.peak_memory > _MEMORY)
    return f"{figures}  passed" + (f" ({', '.join(over)})" if over else "")
