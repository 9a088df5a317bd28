"""`hpclab doctor`: one screen of what this machine can do, lesson by lesson, and how to get the rest. Offline
and quick: it starts nothing. Only `--site` asks a Slurm: it tries a site's settings on its scheduler and
nodes."""

import argparse
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from hpclab import machine, search_path
from hpclab.course import Lesson, lessons
from hpclab.machine.capability import capabilities, for_lesson

_BEFORE = ("SBATCH_", "SALLOC_", "SRUN_")  # variables that would override the settings to be tried


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object for other programs")
    parser.add_argument(
        "--site", nargs="?", const="", metavar="FILE",
        help="try a site's settings on its Slurm (FILE, else $HPCLAB_SITE or /etc/hpclab/site.toml)",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    width = max(60, min(shutil.get_terminal_size((100, 40)).columns, 110))
    if options.site is not None:
        return _site(options.site, options.json, width)
    here, found = machine.probe(), lessons()
    if options.json:
        print(json.dumps(as_data(here, found), indent=1))
        return 0
    print(*screen(here, found, width), sep="\n")
    for sentence in search_path.hiding_folders():
        print("", *wrapped(sentence, width), sep="\n")
    return 0


def as_data(here: machine.Machine, found: Sequence[Lesson]) -> dict:
    """Machine, capabilities and lessons for JSON: values in SI units, states as strings."""
    judged = []
    for lesson in found:
        state, runs = for_lesson(here, lesson.needs)
        judged.append({"number": lesson.number, "name": lesson.name, "title": lesson.title, "state": state,
                       "runs": runs})  # fmt: skip
    items = [asdict(item) for item in capabilities(here)]
    return {"machine": asdict(here), "capabilities": items, "lessons": judged}


def screen(here: machine.Machine, found: Sequence[Lesson], width: int) -> list[str]:
    """The lines to print, none longer than `width` characters."""
    container = f", in a container ({here.container})" if here.container else ""
    versions = f"Python {here.python}" + (f", torch {here.torch}" if here.torch else ", no torch")
    items = capabilities(here)
    lines = [*wrapped(f"This machine: {here.host}, {here.platform}{container}; {versions}.", width), ""]
    for item in items:
        lines += _row(f"  {item.state[:4]:<5}{item.name:<9}  ", item.here, width)
    lines += ["", "The lessons, here:", ""]
    titles = [lesson.title.partition(":")[0] for lesson in found]
    longest = min(38, max(map(len, titles)) + 4)
    for lesson, title in zip(found, titles, strict=True):
        state, runs = for_lesson(here, lesson.needs)
        short = f"{lesson.number}  {textwrap.shorten(title, longest - 4, placeholder=' …')}"
        lines += _row(f"  {state[:4]:<5}{short:<{longest}}  ", runs, width)
    if rest := [item for item in items if item.remedy]:
        lines += ["", "To get the rest:", ""]
    for item in rest:
        lines += wrapped(f"{item.name}: {item.remedy}", width, "  ", "    ")
    return lines


def _site(file: str, as_json: bool, width: int) -> int:
    """Try the site's settings in `file` ("": the default file), print what holds; 1 where one is wrong."""
    from hpclab.classroom import preflight, settings
    from hpclab.cluster.slurm import Slurm, site_environment, site_version

    try:
        site = settings.read(file or None)
        print(f"Settings of {site.file}.", file=sys.stderr)
    except FileNotFoundError as error:
        if file or os.environ.get("HPCLAB_SITE"):
            raise
        print(f"{error} What follows is without one.", file=sys.stderr)
        site = settings.Site()
    if not (version := site_version()):
        raise RuntimeError(
            "This machine leads to no site's Slurm (its commands and a slurm.conf) on which settings could "
            "be tried; `hpclab doctor` says what this machine can do alone."
        )
    outside = {name: value for name, value in site_environment().items() if not name.startswith(_BEFORE)}
    found = preflight.findings(site, Slurm("site", version, outside), partial(print, file=sys.stderr))
    states = [one.state for one in found]
    wrong, untried = states.count("wrong"), states.count("unknown")
    if as_json:
        print(json.dumps({"file": site.file, "findings": [asdict(one) for one in found]}, indent=1))
    else:
        print(*(line for one in found for line in finding(one, width)), "", sep="\n")
        print(f"{wrong} wrong, {untried} not tried." if wrong or untried else "All of it holds.")
    return int(wrong > 0)


def finding(one: Any, width: int) -> list[str]:
    """A preflight Finding in lines of at most `width` characters; what to change is below it."""
    start = f"  {one.state:<8}{one.name:<19} "
    arrow = f"{'':{len(start) - 3}}-> "
    return _row(start, one.said, width) + (_row(arrow, one.mend, width) if one.mend else [])


def _row(start: str, text: str, width: int) -> list[str]:
    return wrapped(text, width, start, " " * len(start))


def wrapped(text: str, width: int, first: str = "", later: str = "") -> list[str]:
    """`text` in lines of at most `width` characters, which begin with `first`, and then with `later`."""
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=later, break_on_hyphens=False
    ) or [first.rstrip()]
