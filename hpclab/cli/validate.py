"""`hpclab validate [FILE.csv ...]`: published measurements against the course's models, row by row."""

import argparse
import itertools
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from hpclab import checks
from hpclab.cli import sentence
from hpclab.validation import predictions
from hpclab.validation.score import PredictedRow, Score, scores

_HEAD = ("table", "quantity", "rows", "placed", "mean", "median", "p90", "largest", "bias", "baseline",
         "within 2x")  # fmt: skip


def configure(parser: argparse.ArgumentParser) -> None:
    tables = "tables of measurements, logs of nccl-tests or OSU; without one, the tables that ship"
    parser.add_argument("files", nargs="*", metavar="FILE.csv", help=tables)
    parser.add_argument(
        "--network", default="", metavar="WORDS", help='of the rows that name none: "8x NDR", "100 Gb/s RoCE"'
    )
    parser.add_argument("--rows", metavar="OUT.csv", help="write each row with its prediction")
    parser.add_argument("--json", action="store_true", help="print a list of objects for other programs")


def run(options: argparse.Namespace) -> int:
    files = [Path(name) for name in options.files] or predictions.shipped()
    if options.rows is not None and Path(options.rows).resolve() in [path.resolve() for path in files]:
        name = Path(options.rows).name
        raise ValueError(f"--rows would overwrite {name}, which is read: name another file.")
    notes, judged, refused = [], [], []
    for path in files:
        try:
            table = predictions.load(path, options.network)
            judged.append(predictions.predict_table(table))
            notes += ["", f"{table.name}: {table.note}."] if table.note else []
        except (ValueError, OSError) as error:
            refused.append(sentence(error))
    found = [one for table in judged for one in table]
    if refused and not judged:
        raise ValueError("\nhpclab: ".join(refused))
    if options.rows is not None:
        try:
            predictions.write(found, options.rows)
        except (OSError, ValueError) as error:  # a folder has no name to write to: ValueError
            why = getattr(error, "strerror", None) or "it is no name of a file"
            place = f"{checks.shown(options.rows)} ({why})"
            raise ValueError(
                f"The rows cannot be written to {place}: name a file in a folder of yours."
            ) from None
    scored = [score for table in judged for score in scores(table)]
    if options.json:
        print(json.dumps([asdict(score) for score in scored], indent=1))
    else:
        print(*screen(scored, found), *notes, sep="\n")
    for said in refused:
        print(f"hpclab: {said}", file=sys.stderr)
    return 1 if refused else 0


def screen(scored: Sequence[Score], found: Sequence[PredictedRow]) -> list[str]:
    """The lines to print: a row for each table and quantity, then every row that could not be placed."""
    cells = [_HEAD, *map(_cells, scored)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    layout = "  ".join(f"{{:{'<' if place < 2 else '>'}{width}}}" for place, width in enumerate(widths))
    lines = [layout.format(*row) for row in cells]
    lines += [
        "", "Errors are |predicted − published| / published; a row that is not placed counts as 100 %.",
        "baseline: mean error of a latency and a bandwidth fitted to these very rows; for storage, of the",
        "median of the rows with the same type of drives; for training, of one share of the peak rate for",
        "each kind of GPU and precision. within 2x: share of the rows, model/baseline.",
    ]  # fmt: skip
    reasons = defaultdict[tuple[str, str, str], set[int]](set)
    for one in found:
        if one.value is None:
            what, row = "Left out" if one.observation.empty else "Not placed", one.observation.row
            reasons[what, row.table, one.note].add(row.number)
    for (what, table, reason), rows in reasons.items():
        lines += ["", f"{what}: {table}, row{'s' * (len(rows) > 1)} {_ranges(sorted(rows))}: {reason}"]
    return lines


def _cells(score: Score) -> tuple[str, ...]:
    errors = (score.mean_error, score.median_error, score.p90_error, score.max_error)
    shown = tuple(f"{100 * error:.1f} %" for error in errors)
    return (
        score.table, score.quantity, str(score.rows), str(score.placed), *shown,
        f"{100 * score.bias:+.1f} %", f"{100 * score.baseline_mean_error:.1f} %",
        f"{100 * score.within_2x:.0f}/{100 * score.baseline_within_2x:.0f} %",
    )  # fmt: skip


def _ranges(numbers: Sequence[int]) -> str:
    """``"2–5, 9"`` from 2, 3, 4, 5, 9."""
    found = []
    for _, run in itertools.groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        first, *others = [number for _, number in run]
        found.append(f"{first}–{others[-1]}" if others else f"{first}")
    return ", ".join(found)
