"""A table of published measurements as rows of text: read whole, or refused naming file, row and field.

The columns' names carry the units; what they mean is the business of the module of that kind of table
(`collective_rows.py`, `message_rows.py`).
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hpclab import checks

LARGEST = 16 * 2**20
MOST_ROWS = 100_000
_NOTHING = ("", "n/a", "na", "nan", "-")


@dataclass(frozen=True)
class Row:
    """One row: its `table`'s file name, its `number` in the file (the header is 1), its `fields` as text."""

    table: str
    number: int
    fields: Mapping[str, str]

    def text(self, *columns: str) -> str:
        """The first of `columns` that the table has and that says something in this row, or ""."""
        return next((self.fields[c] for c in columns if self.fields.get(c, "").lower() not in _NOTHING), "")

    def value(self, column: str, low: float, high: float) -> float:
        """The field as a number from `low` to `high`; ValueError names file, row and field."""
        text = self.fields.get(column, "")
        try:
            return checks.number(column, float(text), low, high)
        except ValueError:
            allowed = f"a number from {low:g} to {high:g}"
            raise ValueError(
                f"{self.table}, row {self.number}: {column} must be {allowed}, not {text!r:.60}."
            ) from None

    def count(self, column: str, low: int, high: int) -> int:
        """The field as a whole number from `low` to `high`."""
        value = self.value(column, low, high)
        if value != int(value):
            raise ValueError(
                f"{self.table}, row {self.number}: {column} must be a whole number, not {value:g}."
            )
        return int(value)


@dataclass(frozen=True)
class Table:
    """A file's `name`, its `columns` and `rows`."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def need(self, *columns: str) -> None:
        """ValueError names those of `columns` that the table lacks."""
        missing = [column for column in columns if column not in self.columns]
        if missing:
            raise ValueError(f"{self.name} lacks the column {', '.join(missing)}.")


def read(path: str | Path) -> Table:
    """The rows of a CSV file in UTF-8 with a header, at most 16 MiB and 100,000 rows."""
    source = Path(path)
    if not source.is_file():
        raise ValueError(f"There is no file {str(source)!r:.200}: name a table of published measurements.")
    if source.stat().st_size > LARGEST:
        raise ValueError(f"{source.name} is larger than {LARGEST // 2**20} MiB: not a table of measurements.")
    rows: list[Row] = []
    try:
        with source.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, strict=True)
            columns = tuple(name.strip() for name in next(lines, []))
            if len(columns) < 2 or len(set(columns)) < len(columns) or "" in columns:
                raise ValueError(f"{source.name}, row 1 must name two or more columns, each once.")
            for number, fields in enumerate(lines, start=2):
                if not any(fields):
                    continue
                if len(fields) != len(columns):
                    raise ValueError(
                        f"{source.name}, row {number} has {len(fields)} fields for {len(columns)} columns."
                    )
                if len(rows) == MOST_ROWS:
                    raise ValueError(f"{source.name} has more than {MOST_ROWS} rows.")
                stripped = (field.strip() for field in fields)
                rows.append(Row(source.name, number, dict(zip(columns, stripped, strict=True))))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{source.name} is not a table in CSV: {error}.") from None
    if not rows:
        raise ValueError(f"{source.name} has no rows.")
    return Table(source.name, columns, tuple(rows))
