"""`hpclab progress`: how well predictions fit, what is solved and what is next."""

import argparse
from pathlib import Path

from hpclab.course import ledger
from hpclab.exercises import so_far


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", help="the course folder (default: the one you are in, or ~/hpclab)")


def ledger_path(options: argparse.Namespace) -> Path:
    """Path of the learner's ledger (in --folder, else here or in ~/hpclab), even if none exists."""
    folders: list[str | Path] = [options.folder] if options.folder else [".", Path.home() / "hpclab"]
    places = [ledger.find(folder) for folder in folders]
    return next((place for place in places if place.is_file()), places[-1])


def run(options: argparse.Namespace) -> int:
    path = ledger_path(options)
    if not path.is_file():
        print(f"Nothing is kept yet in {path.parent}: `hpclab lab` opens the lessons. Commit there to")
        print("a prediction or solve an exercise, and it stands here. --folder names another course folder.")
    else:
        first, rows, last = so_far.summary(ledger.read(path))
        print(first, *so_far.lines(rows), last, sep="\n")
    return 0
