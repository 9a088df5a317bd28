"""`predict(path)`: every row of a published table with what the course's models predict for it.

A kind of table is one module with `read(table)` and `predict(observation)` (in the observation's unit;
ValueError where it cannot be placed), entered in KINDS; one with `baseline(observations)` has its own.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hpclab.validation import (
    collective_rows,
    logs,
    memory_rows,
    message_rows,
    storage_rows,
    tables,
    training_rows,
)
from hpclab.validation.score import NotEnoughSaid, NotPlaced, PredictedRow, straight_line
from hpclab.validation.tables import Table

REFERENCE = Path(__file__).with_name("reference")
KINDS: dict[str, tuple[str, Any]] = {  # the first word of a file's name -> what is in it, and its module
    "nccl": ("collectives between GPUs", collective_rows),
    "osu": ("OSU micro-benchmarks of MPI", message_rows),
    "storage": ("IO500 and MLPerf Storage", storage_rows),
    "mem": ("memory of a rank in training", memory_rows),
    "train": ("training steps of transformers", training_rows),
}
TRAININGS = {
    "Megatron, A100": "megatron_sc21_table1", "NeMo, H100": "dgxc_h100_steptime",
    "FSDP, A100": "llm_foundry_mpt", "BLOOM, Omni-Path": "bloom_a100_omnipath_topologies",
}  # fmt: skip
LATER = ("sched", "power", "scaling")  # tables that no model predicts yet


def predict(path: str | Path, network: str = "") -> list[PredictedRow]:
    """A PredictedRow for each row of `load`'s table; ValueError for an unknown kind or a wrong field."""
    return predict_table(load(path, network))


def trainings() -> dict[str, list[PredictedRow]]:
    """Predictions of the published tables of large trainings, by TRAININGS' keys: ``"NeMo, H100"`` ..."""
    return {name: predict(REFERENCE / f"train_{table}.csv") for name, table in TRAININGS.items()}


def load(path: str | Path, network: str = "") -> Table:
    """Read the table or log in a file; `network` (``"8x NDR"``) goes into the rows that name none."""
    name, text = Path(path).name, tables.text(path)
    table = logs.table(name, text) or tables.parse(name, text)
    if not network:
        return table
    rows = [row if row.text("network", "fabric") else replace(row, fields={**row.fields, "network": network})
            for row in table.rows]  # fmt: skip
    return replace(table, rows=tuple(rows))


def predict_table(table: Table) -> list[PredictedRow]:
    """A PredictedRow for each row of a table."""
    words = [table.kind, *re.split(r"[^a-z0-9]+", table.name.lower())]
    word = next((word for word in words if word in KINDS or word in LATER), "")
    if word not in KINDS:
        known = ", ".join(f"{name}_*.csv ({what})" for name, (what, _) in KINDS.items())
        raise ValueError(f"{table.name!r:.200} is no kind of table that is predicted; these are: {known}.")
    _, kind = KINDS[word]
    found = []
    observations = kind.read(table)
    baseline = getattr(kind, "baseline", straight_line)(observations)
    for one, line in zip(observations, baseline, strict=True):
        try:
            if one.value != one.value:
                raise NotPlaced("0 bytes" if one.empty else "its bandwidth is rounded to nothing")
            if isinstance(one.case, NotPlaced):
                raise one.case
            found.append(PredictedRow(one, kind.predict(one), line))
        except ValueError as reason:
            found.append(PredictedRow(one, None, line, str(reason), isinstance(reason, NotEnoughSaid)))
    if word == "train" and memory_rows.columns(table):
        found += predict_table(replace(table, kind="mem"))
    return found


def shipped(*kinds: str) -> list[Path]:
    """Paths of the published tables of these kinds (of all KINDS if none is named) in the package."""
    return sorted(path for word in kinds or KINDS for path in REFERENCE.glob(f"{word}_*.csv"))


def write(predictions: Sequence[PredictedRow], path: str | Path) -> None:
    """Write each row with its prediction as CSV, to a temporary name that is renamed: never half there."""
    rows = [_written(one) for one in predictions]
    target = Path(path)
    draft = target.with_name(target.name + ".part")
    with draft.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(
            file, list(dict.fromkeys(column for row in rows for column in row)), restval=""
        )
        table.writeheader()
        table.writerows(rows)
    draft.replace(target)


def _written(one: PredictedRow) -> dict[str, object]:
    """A row to write: our columns first, then those of the table that have other names."""
    seen = one.observation
    own: dict[str, object] = {
        "table": seen.row.table, "row": seen.row.number, "quantity": seen.quantity, "unit": seen.unit,
        "published": "" if seen.value != seen.value else f"{seen.value:.6g}",
        "predicted": "" if one.value is None else f"{one.value:.6g}",
        "error": "" if seen.empty else f"{one.error:.4f}", "baseline": f"{one.baseline:.6g}",
        "note": one.note,
    }  # fmt: skip
    return own | dict(seen.row.fields) | own
