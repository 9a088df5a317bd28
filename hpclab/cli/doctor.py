"""`hpclab doctor`: one screen of what this machine can do, lesson by lesson, and how to get the rest.

Offline, quick, and it starts nothing: torch is not even loaded. Only `--site` (doctor_site.py) asks a Slurm.
"""

import argparse
import json
import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import asdict

from hpclab import machine, search_path
from hpclab.course import Lesson, lessons
from hpclab.machine.capability import capabilities, for_lesson


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object for other programs")
    parser.add_argument(
        "--site", nargs="?", const="", metavar="FILE",
        help="try a site's settings on its Slurm (FILE, else $HPCLAB_SITE or /etc/hpclab/site.toml)",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    if options.site is not None:
        from hpclab.cli import doctor_site  # with a Slurm; the rest is offline

        return doctor_site.run(options.site, options.json)
    here, found = machine.probe(), lessons()
    if options.json:
        print(json.dumps(as_data(here, found), indent=1))
        return 0
    width = max(60, min(shutil.get_terminal_size((100, 40)).columns, 110))
    print(*screen(here, found, width), sep="\n")
    for sentence in search_path.foreign():
        print("", *wrapped(sentence, width), sep="\n")
    return 0


def as_data(here: machine.Machine, found: Sequence[Lesson]) -> dict:
    """Machine, capabilities and lessons for JSON: values in SI units, states as strings."""
    judged = []
    for lesson in found:
        state, runs = for_lesson(here, lesson.needs)
        names = {"number": lesson.number, "name": lesson.name, "title": lesson.title}
        judged.append(names | {"state": state, "runs": runs})
    items = [asdict(item) for item in capabilities(here)]
    return {"machine": asdict(here), "capabilities": items, "lessons": judged}


def screen(here: machine.Machine, found: Sequence[Lesson], width: int) -> list[str]:
    """The lines to print, none longer than `width` characters."""
    container = f", in a container ({here.container})" if here.container else ""
    versions = f"Python {here.python}" + (f", torch {here.torch}" if here.torch else ", no torch")
    items = capabilities(here)
    lines = [*wrapped(f"This machine: {here.host}, {here.platform}{container}; {versions}.", width), ""]
    for item in items:
        lines += _row(item.state, item.name, item.here, width, column=9)
    lines += ["", "The lessons, here:", ""]
    titles = [lesson.title.partition(":")[0] for lesson in found]
    longest = min(38, max(map(len, titles)) + 4)
    for lesson, title in zip(found, titles, strict=True):
        state, runs = for_lesson(here, lesson.needs)
        short = textwrap.shorten(title, longest - 4, placeholder=" …")
        lines += _row(state, f"{lesson.number}  {short}", runs, width, column=longest)
    if rest := [item for item in items if item.remedy]:
        lines += ["", "To get the rest:", ""]
    for item in rest:
        lines += wrapped(f"{item.name}: {item.remedy}", width, "  ", "    ")
    return lines


def _row(state: str, name: str, text: str, width: int, column: int) -> list[str]:
    start = f"  {state[:4]:<5}{name:<{column}}  "
    return wrapped(text, width, start, " " * len(start))


def wrapped(text: str, width: int, first: str = "", later: str = "") -> list[str]:
    """`text` in lines of at most `width` characters, which begin with `first`, and then with `later`."""
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=later, break_on_hyphens=False
    ) or [first.rstrip()]
