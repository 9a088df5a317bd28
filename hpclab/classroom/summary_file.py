"""What a learner solved and predicted, in one file for feedback, signed with the learner's own key. A valid
signature says that the file was not altered and by which key it is; not that it is true: a learner can sign
anything."""

import hashlib
import itertools
import json
import math
import os
import re
import stat
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
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
_LESSON = re.compile("[0-9]{2}")
_TOLD = ("kind", "lesson", "name", "said", "came", "score")  # fields of an entry, less time and run


@dataclass(frozen=True)
class Summary:
    """What a learner hands in. `learner`: the name given, or the pseudonym of the key; `made`: ISO time; an
    entry for each exercise that is solved and each prediction that counts."""

    learner: str
    pseudonym: str
    made: str
    entries: tuple[ledger.Entry, ...]


def signed(entries: Sequence[ledger.Entry], folder: Path, name: str = "") -> bytes:
    """Return the file's content, signed by the key in `folder`, which is made if there is none. OSError."""
    entries = [entry for entry in entries if _LESSON.fullmatch(entry.lesson)]
    solved = sorted((one for one in entries if one.kind == "solved"), key=lambda one: -(one.score or 0))
    best = {(one.lesson, one.name): one for one in solved}.values()
    told = [*best, *ledger.first_predictions(entries)]
    made = datetime.now(UTC).isoformat(timespec="seconds")
    kept = [{part: getattr(entry, part) for part in _TOLD} for entry in told]
    body = {"name": _word(name), "made": made, "entries": kept}
    key = _key(folder / KEY)
    public, signature = key.public_key().public_bytes_raw(), key.sign(_signed_bytes(body))
    return json.dumps({"summary": body, "key": public.hex(), "signature": signature.hex()}, indent=1).encode()


def read(content: bytes) -> Summary:
    """Return the Summary in `content`; ValueError where the signature is wrong or it is no summary."""
    try:
        file = json.loads(content)
        body, key, signature = file["summary"], bytes.fromhex(file["key"]), bytes.fromhex(file["signature"])
        Ed25519PublicKey.from_public_bytes(key).verify(signature, _signed_bytes(body))
        datetime.fromisoformat(body["made"])
        entries = {}
        for told in body["entries"]:  # checked as those of the ledger are
            one = ledger.Entry(**told | {"name": _word(told["name"])}, run="", at="")
            if not _LESSON.fullmatch(one.lesson):
                raise ValueError("it is of no lesson")
            entries[one.kind, one.lesson, one.name] = one
        pseudonym = f"learner-{hashlib.sha256(key).hexdigest()[:8]}"
        return Summary(_word(body["name"]) or pseudonym, pseudonym, body["made"], tuple(entries.values()))
    except InvalidSignature:
        raise ValueError("it was altered after it was signed") from None
    except (TypeError, LookupError, ValueError, RecursionError):
        raise ValueError("it is no summary") from None


def collect(places: Iterable[Path]) -> tuple[list[Summary], dict[str, str]]:
    """Each key's newest summary in `places` (files, folders), and by file name why others are refused."""
    newest, refused = dict[str, Summary](), dict[str, str]()
    files = [one for place in places for one in (sorted(place.glob("*.json")) if place.is_dir() else [place])]
    for file in files[:MOST_FILES]:
        try:
            summary = read(exchange.read(file, LARGEST)[0])
        except (OSError, ValueError) as error:
            shown = file.name if file.name.isprintable() else ascii(file.name)
            refused[shown] = getattr(error, "strerror", None) or str(error)
        else:
            if summary.made >= newest.get(summary.pseudonym, summary).made:
                newest[summary.pseudonym] = summary
    return list(newest.values()), refused


def lesson_rows(summaries: Sequence[Summary], course: Sequence[Lesson]) -> list[dict[str, Any]]:
    """Return a row for each lesson of `course` that somebody began: how many `began`; how many `solved` each
    exercise; and for each of the `predictions` (of two learners at least, unless one alone began) the `count`
    of learners, the median factor by which they were `off` (None: infinite), and how many were too `high`."""
    rows = []
    for lesson in course:
        every = [[one for one in summary.entries if one.lesson == lesson.number] for summary in summaries]
        if not (began := sum(map(bool, every))):
            continue
        named = defaultdict[tuple[str, str], list[ledger.Entry]](list)
        for entry in itertools.chain(*every):
            named[entry.kind, entry.name].append(entry)
        predictions = {
            name: _together(entries) for (kind, name), entries in named.items()
            if kind == "prediction" and len(entries) >= min(2, began)
        }  # fmt: skip
        solved = {name: len(named["solved", name]) for name in lesson.exercises}
        rows.append({"lesson": lesson.number, "title": lesson.title.partition(":")[0], "began": began,
                     "solved": solved, "predictions": predictions})  # fmt: skip
    return rows


def _together(predictions: Sequence[ledger.Entry]) -> dict[str, Any]:
    """What `lesson_rows` tells of one prediction that several learners made."""
    off = statistics.median_low(one.factor for one in predictions)
    high = sum((one.said or 0.0) > (one.came or 0.0) for one in predictions)
    return {"count": len(predictions), "off": off if math.isfinite(off) else None, "high": high}


def _word(text: object) -> str:
    """Return `text` if a terminal may show it: at most 80 printable characters; else ValueError."""
    word: str = checks.instance("A name", text, str, "text")
    if len(word) > 80 or not word.isprintable():
        raise ValueError(f"A name has at most 80 characters, all of which can be shown, not {word!a:.90}.")
    return word


def _signed_bytes(body: Any) -> bytes:
    """The one text that is signed, however the file is laid out."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _key(place: Path) -> Ed25519PrivateKey:
    """The learner's private key in the file `place`, made if missing; OSError or ValueError if unusable."""
    with suppress(FileNotFoundError):
        content, status = exchange.read(place, 64)
        if status.st_uid != os.getuid() or len(content) != 32 or stat.S_IMODE(status.st_mode) & 0o077:
            raise ValueError(f"{place} is no key that is yours alone: remove it, and the next one is new.")
        return Ed25519PrivateKey.from_private_bytes(content)
    key = Ed25519PrivateKey.generate()
    exchange.put(place, key.private_bytes_raw(), 0o600)
    return key
