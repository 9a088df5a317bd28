"""What a learner solved and predicted, in one file for feedback, signed with the learner's own key.

The signature says that the file is as it was written, and that two files are by one key; no more, because
whoever holds the key, the learner, can sign anything. So it is no examination. Without a name the learner is
called by the key.
"""

import hashlib
import json
import os
import re
import stat
import statistics
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hpclab import checks
from hpclab.classroom import exchange
from hpclab.course import Lesson, ledger

NAME, KEY = "my-summary.json", ".hpclab-summary-key"
LARGEST = 256 * 2**10  # bytes; a whole course takes some ten thousand
MOST_FILES = 2000
_MOST = 200  # lessons, exercises or predictions in one place


class Altered(ValueError):
    """The signature is of another text."""


@dataclass(frozen=True)
class Summary:
    """`learner` is the name given, or the pseudonym; `made` when; `lessons` as `of` gives them."""

    learner: str
    pseudonym: str
    made: str
    lessons: Mapping[str, Any]


@dataclass
class Collected:
    """The newest summary of each key; the files that were `altered`, and why others are `unreadable`."""

    summaries: list[Summary] = field(default_factory=list)
    altered: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)


def of(entries: Sequence[ledger.Entry]) -> dict[str, Any]:
    """By lesson: exercises that are `solved`, with the best score or None; and for each prediction that
    counts the factor by which it was `off` (None beyond all bounds) and whether it was too `high`."""
    lessons: dict[str, Any] = {}
    entries = [entry for entry in entries if re.fullmatch("[0-9]{2}", entry.lesson)]
    for entry in entries:
        lesson = lessons.setdefault(entry.lesson, {"solved": {}, "predictions": {}})
        if entry.kind == "solved":
            scores = [lesson["solved"].get(entry.name), entry.score]
            lesson["solved"][entry.name] = min((one for one in scores if one is not None), default=None)
    for entry in ledger.counted(entries):
        off = round(entry.off, 3) if entry.off < 1e6 else None
        high = (entry.said or 0.0) > (entry.came or 0.0)
        lessons[entry.lesson]["predictions"][entry.name] = {"off": off, "high": high}
    return lessons


def signed(entries: Sequence[ledger.Entry], folder: Path, name: str = "") -> bytes:
    """The file's content, signed by the key in `folder`, which is made where there is none yet. OSError."""
    body = {"version": 1, "name": _name(name), "lessons": of(entries)}
    body["made"] = datetime.now(UTC).isoformat(timespec="seconds")
    key = _key(folder / KEY)
    public, signature = key.public_key().public_bytes_raw(), key.sign(_text(body))
    file = {"summary": body, "key": public.hex(), "signature": signature.hex()}
    return json.dumps(file, indent=1).encode()


def read(content: bytes) -> Summary:
    """A summary that is as it was signed; Altered where it is not, ValueError where it is none."""
    try:
        file = exchange.plain(content)
        body, key, signature = file["summary"], bytes.fromhex(file["key"]), bytes.fromhex(file["signature"])
        public = Ed25519PublicKey.from_public_bytes(key)
        public.verify(signature, _text(body))
    except InvalidSignature:
        raise Altered("it was altered after it was signed") from None
    except (TypeError, KeyError, ValueError, RecursionError):
        raise ValueError("it is no summary") from None
    pseudonym = f"learner-{hashlib.sha256(key).hexdigest()[:8]}"
    try:
        checks.integer("version", body["version"], 1, 1)
        datetime.fromisoformat(body["made"])
        lessons = {number: _lesson(number, told) for number, told in _few(body["lessons"]).items()}
        return Summary(_name(body["name"]) or pseudonym, pseudonym, body["made"], lessons)
    except (TypeError, KeyError, AttributeError, ValueError):
        raise ValueError("it has fields that no summary has") from None


def collect(places: Iterable[Path]) -> Collected:
    """The summaries in these files and folders; what is none, or altered, is named. OSError for a folder."""
    found, newest = Collected(), dict[str, Summary]()
    files = [
        file for place in places for file in (sorted(place.glob("*.json")) if place.is_dir() else [place])
    ]
    for file in files[:MOST_FILES]:
        shown = file.name if file.name.isprintable() else ascii(file.name)
        try:
            summary = read(exchange.read(file, LARGEST)[0])
        except Altered:
            found.altered.append(shown)
        except (OSError, ValueError) as error:
            found.unreadable[shown] = getattr(error, "strerror", None) or str(error)
        else:
            before = newest.get(summary.pseudonym)
            if before is None or summary.made >= before.made:
                newest[summary.pseudonym] = summary
    found.summaries = list(newest.values())
    return found


def of_class(summaries: Sequence[Summary], course: Sequence[Lesson]) -> list[dict[str, Any]]:
    """For each lesson of the course that somebody began: by how many, how many solved each exercise, and for
    each prediction the count, the median factor (None: beyond all bounds), and how many were too high."""
    rows = []
    for lesson in course:
        began = [one.lessons[lesson.number] for one in summaries if lesson.number in one.lessons]
        if not began:
            continue
        asked = dict.fromkeys(name for one in began for name in one["predictions"])
        predictions = {
            name: _together([one["predictions"][name] for one in began if name in one["predictions"]])
            for name in asked
        }
        solved = {name: sum(name in one["solved"] for one in began) for name in lesson.exercises}
        every = [each for one in began for each in one["predictions"].values()]
        rows.append({
            "lesson": lesson.number, "title": lesson.title.partition(":")[0], "began": len(began),
            "solved": solved, "together": _together(every) if every else None, "predictions": predictions,
        })  # fmt: skip
    return rows


def _together(predictions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    offs = [float("inf") if one["off"] is None else one["off"] for one in predictions]
    middle = statistics.median_low(offs)
    high = sum(one["high"] for one in predictions)
    return {"count": len(offs), "off": middle if middle < 1e6 else None, "high": high}


def _lesson(number: str, told: Any) -> dict[str, Any]:
    """What a file says of a lesson, checked field by field."""
    if not re.fullmatch("[0-9]{2}", number):
        raise ValueError(f"{number!r} is no lesson")
    solved = {_name(name): score for name, score in _few(told["solved"]).items()}
    for score in solved.values():
        if score is not None:
            checks.number("score", score, -1e300, 1e300)
    predictions = {}
    for name, one in _few(told["predictions"]).items():
        off = None if one["off"] is None else checks.number("off", one["off"], 1, 1e6)
        predictions[_name(name)] = {"off": off, "high": checks.instance("high", one["high"], bool)}
    return {"solved": solved, "predictions": predictions}


def _few(table: Any) -> dict[str, Any]:
    if len(checks.instance("table", table, dict)) > _MOST:
        raise ValueError("it is too long")
    return table


def _name(text: object) -> str:
    """A word that a terminal may show."""
    word: str = checks.instance("A name", text, str, "text")
    if len(word) > 80 or not word.isprintable():
        raise ValueError(f"A name has at most 80 characters, all of which can be shown, not {word!a:.90}.")
    return word


def _text(body: Any) -> bytes:
    """The one text that is signed, however the file is laid out."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _key(place: Path) -> Ed25519PrivateKey:
    """The learner's own; OSError or ValueError where what has its name is no key of theirs."""
    with suppress(FileNotFoundError):
        content, owner = exchange.read(place, 64)
        if owner != os.getuid() or len(content) != 32 or stat.S_IMODE(place.stat().st_mode) & 0o077:
            raise ValueError(f"{place} is no key that is yours alone: remove it, and the next one is new.")
        return Ed25519PrivateKey.from_private_bytes(content)
    key = Ed25519PrivateKey.generate()
    exchange.put(place, key.private_bytes_raw(), 0o600)
    return key
