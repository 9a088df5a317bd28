"""Named hardware, every number with its source: one place, so that no two lessons disagree. In
`catalogue/*.toml` a field's name ends in its unit and becomes the SI value without it: ``memory_gb = {value =
80, source = "lockwood_a100"}`` is ``entry.value("memory")``, 80e9 bytes. An entry without a title adds fields
to its namesake in another file: numbers under one licence stay in one file."""

import functools
import tomllib
from dataclasses import dataclass
from pathlib import Path

from hpclab import checks

UNITS = {  # a field's ending -> SI; the longest ending that fits counts
    "_gb": 1e9, "_gib": 2.0**30, "_kib": 1024.0, "_gb_per_s": 1e9, "_tb_per_s": 1e12, "_gbit_per_s": 1e9 / 8,
    "_per_s": 1.0, "_tflops": 1e12, "_w": 1.0, "_us": 1e-6, "_ns": 1e-9, "_count": 1.0, "_number": 1.0,
}  # fmt: skip
FOLDER = Path(__file__).parent / "catalogue"


@dataclass(frozen=True, slots=True)
class Figure:
    """One number in SI units and the citation it came from."""

    value: float
    source: str


@dataclass(frozen=True)
class Entry:
    """One piece of named hardware: its `name`, `title`, and its numbers by field ("memory")."""

    name: str
    title: str
    figures: dict[str, Figure]

    def value(self, field: str) -> float:
        """The number of this field in SI units."""
        return self.figure(field).value

    def figure(self, field: str) -> Figure:
        """The field's value with its source; KeyError names the fields that this entry has."""
        if field not in self.figures:
            raise KeyError(f"{self.title} has no {field} in the catalogue, only {', '.join(self.figures)}.")
        return self.figures[field]


def entries(kind: str) -> dict[str, Entry]:
    """All entries of a `kind` ("gpu", "link") in the course's catalogue, by name."""
    return _catalogue()[checks.choice("kind", kind, _catalogue())]


def entry(kind: str, name: str) -> Entry:
    """The entry of this `kind` and `name`; ValueError lists those there are."""
    known = entries(kind)
    return known[checks.choice(f"The {kind}'s name", name, known)]


@functools.cache
def _catalogue() -> dict[str, dict[str, Entry]]:
    """The entries of all files, by kind and name."""
    found: dict[str, dict[str, Entry]] = {}
    for path in sorted(FOLDER.glob("*.toml")):
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        sources = content.pop("sources")
        for kind, group in content.items():
            known = found.setdefault(kind, {})
            for name, fields in group.items():
                before = known.get(name, Entry(name, "", {}))
                title, figures = fields.pop("title", before.title), before.figures
                for written, number in fields.items():
                    unit = max((unit for unit in UNITS if written.endswith(unit)), key=len)
                    figure = Figure(number["value"] * UNITS[unit], sources[number["source"]])
                    figures[written.removesuffix(unit)] = figure
                known[name] = Entry(name, title, figures)
    return found
