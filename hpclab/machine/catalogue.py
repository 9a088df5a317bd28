"""Named hardware, every number with its source: one place, so that no two lessons disagree.

The TOML files in `catalogue/` hold entries by kind. A field's name ends in its unit, and becomes the SI value
without the unit here: ``memory_gb = {value = 80, source = "lockwood_a100"}`` is ``entry.value("memory")``,
80e9 bytes. A file's ``[sources]`` hold the citations. A new kind (storage, nodes, power) is one row in KINDS.
An entry with ``more = true`` adds fields to the entry of that name in another file: numbers under one licence
stay in one file.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from hpclab import checks

UNITS = {  # a field's ending -> SI; the longest ending that fits counts
    "_gb": 1e9, "_gib": 2.0**30, "_kib": 1024.0, "_gb_per_s": 1e9, "_tb_per_s": 1e12, "_gbit_per_s": 1e9 / 8,
    "_tflops": 1e12, "_w": 1.0, "_us": 1e-6, "_ns": 1e-9, "_count": 1.0, "_number": 1.0,
}  # fmt: skip

KINDS = {  # kind -> the fields it must have, the fields it may have
    "gpu": (
        {"memory"},
        {"memory_bandwidth", "stream_bandwidth", "cache_bandwidth", "memory_latency", "power",
         "link_bandwidth", "fp64", "fp64_matrix", "fp32", "tf32", "fp16", "bf16", "fp8", "matmul_fp64",
         "matmul_fp32", "matmul_tf32", "matmul_fp16", "matmul_bf16", "matmul_fp8", "multiprocessors",
         "compute_capability"},
    ),
    "compute_capability": (
        {"warps", "blocks", "registers", "shared_memory", "shared_memory_per_block", "shared_memory_unit"},
        {"shared_memory_reserved"},
    ),
    "link": ({"bandwidth"}, {"latency", "measured_bandwidth"}),
}  # fmt: skip

_FOLDER = Path(__file__).parent / "catalogue"
_LARGEST = 2**20


@dataclass(frozen=True, slots=True)
class Figure:
    """One number in SI units and the citation it came from."""

    value: float
    source: str


@dataclass(frozen=True)
class Entry:
    """One piece of named hardware: its `kind`, `name`, `title`, and its numbers by field.

    `more` is True for one that only adds fields to its namesake in another file, and has no title.
    """

    kind: str
    name: str
    title: str
    figures: Mapping[str, Figure]
    more: bool = False

    def value(self, field: str) -> float:
        """The field in SI units; KeyError says which fields are known for this entry."""
        return self.figure(field).value

    def figure(self, field: str) -> Figure:
        if field not in self.figures:
            raise KeyError(f"{self.title} has no {field} in the catalogue, only {', '.join(self.figures)}.")
        return self.figures[field]


def entries(kind: str) -> dict[str, Entry]:
    """All entries of a kind in the course's catalogue, by name."""
    checks.choice("kind", kind, KINDS)
    return {name: entry for (of, name), entry in _catalogue().items() if of == kind}


def entry(kind: str, name: str) -> Entry:
    """One entry; ValueError lists the names there are."""
    known = entries(kind)
    return known[checks.choice(f"The {kind}'s name", name, known)]


@functools.cache
def _catalogue() -> dict[tuple[str, str], Entry]:
    """All files together: a field of a name stands in one file only."""
    return together({path.name: read(path) for path in sorted(_FOLDER.glob("*.toml"))})


def together(files: Mapping[str, list[Entry]]) -> dict[tuple[str, str], Entry]:
    """One entry per kind and name from the entries of `files`, by file name, additions included."""
    found: dict[tuple[str, str], Entry] = {}
    for later in (False, True):  # what adds comes after what it adds to
        for file, items in files.items():
            for item in items:
                key = item.kind, item.name
                if item.more is not later:
                    continue
                if later and key not in found:
                    raise ValueError(f"{file}: no file has the {item.kind} {item.name} that this adds to.")
                if not later and key in found:
                    raise ValueError(f"{file}: the {item.kind} {item.name} is in another file already.")
                before = found[key] if later else replace(item, figures={})
                twice = sorted(set(before.figures) & set(item.figures))
                if twice:
                    raise ValueError(
                        f"{file}: {item.kind}.{item.name} has {twice[0]} in another file already."
                    )
                found[key] = replace(before, figures={**before.figures, **item.figures})
    return found


def read(path: str | Path) -> list[Entry]:
    """The entries of one TOML file. ValueError names the file, the entry and the field that is wrong."""
    place = Path(path)
    if place.stat().st_size > _LARGEST:
        raise ValueError(f"{place.name} is larger than {_LARGEST} bytes: not a catalogue of hardware.")
    try:
        content = tomllib.loads(place.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{place.name} is not readable TOML: {error}.") from None
    sources = content.pop("sources", {})
    if not isinstance(sources, dict) or not all(isinstance(text, str) and text for text in sources.values()):
        raise ValueError(f"{place.name}: [sources] must give a citation as text for each key.")
    found = []
    for kind, group in content.items():
        if kind not in KINDS or not isinstance(group, dict):
            raise ValueError(f"{place.name}: {kind!r} is no kind of hardware; known are {', '.join(KINDS)}.")
        for name, fields in group.items():
            found.append(_entry(f"{place.name}: {kind}.{name}", kind, name, fields, sources))
    return found


def _entry(where: str, kind: str, name: str, fields: object, sources: Mapping[str, str]) -> Entry:
    if not isinstance(fields, dict):
        raise ValueError(f"{where} must be a table of fields.")
    title, more = fields.get("title"), fields.get("more", False)
    if not isinstance(more, bool) or (more and title is not None):
        raise ValueError(f"{where}: more must be true, in an entry without a title, or be left out.")
    if not more and (not isinstance(title, str) or not title):
        raise ValueError(f"{where}: title is missing or is not text.")
    figures: dict[str, Figure] = {}
    for written, content in fields.items():
        if written in ("title", "more"):
            continue
        field, scale = _split(where, written)
        if not isinstance(content, dict) or set(content) != {"value", "source"}:
            raise ValueError(f"{where}.{written} must be {{value = a number, source = a key of [sources]}}.")
        if content["source"] not in sources:
            raise ValueError(f"{where}.{written}: its source {content['source']!r} is not in [sources].")
        value = checks.number(f"{where}.{written}", content["value"], 1e-12, 1e12)
        figures[field] = Figure(value * scale, sources[content["source"]])
    required, optional = KINDS[kind]
    wrong = sorted(required - set(figures)) if not more else [], sorted(set(figures) - required - optional)
    if wrong[0]:
        raise ValueError(f"{where}: {wrong[0][0]} is missing.")
    if wrong[1]:
        allowed = ", ".join(sorted(required | optional))
        raise ValueError(f"{where}: {wrong[1][0]} is no field of a {kind}; its fields are {allowed}.")
    return Entry(kind, name, title or "", figures, more)


def _split(where: str, written: str) -> tuple[str, float]:
    """``("memory", 1e9)`` from ``"memory_gb"``."""
    ending = max((unit for unit in UNITS if written.endswith(unit)), key=len, default="")
    if not ending or len(ending) == len(written):
        raise ValueError(f"{where}.{written} must end in a unit: {', '.join(UNITS)}.")
    return written[: -len(ending)], UNITS[ending]
