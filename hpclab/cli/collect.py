"""`hpclab collect`: what the summaries of a class show, and so what to talk about tomorrow."""

import argparse
import json
import math
from pathlib import Path

from hpclab.course import lessons

_LOW = 0.5  # to talk about: an exercise that a smaller part solved, a prediction further off than its inverse
_TOPICS = 5


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("places", nargs="+", metavar="FOLDER_OR_FILE", help="where the summaries are")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    from hpclab.classroom import summary_file
    from hpclab.exercises.prediction import format_factor

    found, refused = summary_file.collect(map(Path, options.places))
    rows = summary_file.lesson_rows(found, lessons())
    if options.json:
        learners = [{"learner": one.learner, "pseudonym": one.pseudonym, "made": one.made} for one in found]
        print(json.dumps({"learners": learners, "refused": refused, "lessons": rows}, indent=1))
        return 0
    print(f"{len(found)} learner{'s' * (len(found) != 1)}.")
    for name, why in refused.items():
        print(f"Not counted: {name} ({why}).")
    topics = []
    for row in rows:
        began, solved = row["began"], row["solved"]
        print(f"{row['lesson']}  {row['title']}: {began} began")
        said = [(name, count / began, f"solved by {count} of {began}") for name, count in solved.items()]
        for name, one in row["predictions"].items():
            off, of = one["off"] or math.inf, f"median of {one['count']}, {one['high']} too high"
            said.append((f"“{name}”", 1 / off, f"off by {format_factor(off)} ({of})"))
        for name, share, text in said:
            print(f"      {name:<24} {text}")
            if share < _LOW:
                topics.append((share, f"  {name} in lesson {row['lesson']}, {text}"))
    if topics:
        print("To talk about:", *(topic for _, topic in sorted(topics)[:_TOPICS]), sep="\n")
    return 0
