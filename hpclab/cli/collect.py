"""`hpclab collect`: what the summaries of a class show, and so what to talk about tomorrow."""

import argparse
import json
from pathlib import Path
from typing import Any

from hpclab.course import lessons

_LOW, _FAR = 0.5, 2.0  # an exercise that fewer solved, a prediction that is further off: worth a word
_TOPICS = 5


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("places", nargs="+", metavar="FOLDER_OR_FILE", help="where the summaries are")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    from hpclab.classroom import summary
    from hpclab.exercises.prediction import factor

    found = summary.collect(map(Path, options.places))
    rows = summary.of_class(found.summaries, lessons())
    if options.json:
        learners = [
            {"learner": one.learner, "pseudonym": one.pseudonym, "made": one.made} for one in found.summaries
        ]
        print(json.dumps({"learners": learners, "altered": found.altered, "unreadable": found.unreadable,
                          "lessons": rows}, indent=1))  # fmt: skip
        return 0

    def off(one: dict[str, Any]) -> str:
        far = factor(float("inf") if one["off"] is None else one["off"])
        return f"off by {far} (median of {one['count']}, {one['high']} too high)"

    print(f"{len(found.summaries)} learner{'s' * (len(found.summaries) != 1)}.")
    for name in found.altered:
        print(f"Altered after it was signed, and not counted: {name}.")
    for name, why in found.unreadable.items():
        print(f"Not counted: {name} ({why}).")
    topics: list[tuple[float, str]] = []
    for row in rows:
        said = f"predictions {off(row['together'])}" if row["together"] else "no prediction"
        print(f"{row['lesson']}  {row['title']}: {row['began']} began, {said}")
        for name, count in row["solved"].items():
            print(f"      {name:<24} solved by {count} of {row['began']}")
            if count < _LOW * row["began"]:
                topic = f"{name} in lesson {row['lesson']}, solved by {count} of {row['began']}"
                topics.append((count / row["began"], topic))
        for name, one in row["predictions"].items():
            if one["count"] > 1 and (one["off"] is None or one["off"] > _FAR):
                topics.append((1 / (one["off"] or 1e6), f"“{name}” in lesson {row['lesson']}, {off(one)}"))
    if topics:
        print("To talk about:", *(f"  {topic}" for _, topic in sorted(topics)[:_TOPICS]), sep="\n")
    return 0
