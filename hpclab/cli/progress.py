"""`hpclab progress`: how well predictions fit, what is solved and what is next."""

from __future__ import annotations

import argparse
from pathlib import Path

from hpclab.course import ledger, lessons
from hpclab.exercises import so_far


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", help="the course folder (default: the one you are in, or ~/hpclab)")


def run(options: argparse.Namespace) -> int:
    places = (
        [ledger.find(options.folder)]
        if options.folder
        else [ledger.find(), ledger.find(Path.home() / "hpclab")]
    )
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        where = places[-1].parent
        print(
            f"Nothing is kept yet in {where}: open a lesson (`hpclab lab`), commit to a prediction or solve "
            "an exercise, and it stands here. --folder names another course folder."
        )
        return 0
    entries, course = ledger.read(path), lessons()
    print(
        so_far.calibration(entries),
        *so_far.table(entries, course),
        so_far.following(entries, course),
        sep="\n",
    )
    return 0
