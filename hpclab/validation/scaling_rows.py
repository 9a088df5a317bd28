"""Published and recorded speedup curves: rows that a model of scaling is held against."""

from __future__ import annotations

import csv
from pathlib import Path

from hpclab import checks
from hpclab.results import Origin, Result, read_jsonl

CITATION = (
    "NVIDIA, DeepLearningExamples, commit 729963dd47e7, TensorFlow2 BERT README: "
    "BERT-large pre-training on one DGX-2 (V100 32 GB)"
)
CURVES = ("amp-128", "fp32-128", "amp-512", "fp32-512")  # precision, tokens in a sequence
_COLUMNS = {
    "curve", "precision", "sequence_tokens", "gpus", "sequences_per_gpu", "accumulation_steps",
    "throughput_sequences_per_s",
}  # fmt: skip
_LARGEST = 2**20


def published(curve: str = "amp-128", path: Path | None = None) -> list[Result]:
    """The throughput (1/s) of one DGX-2 at 1, 4, 8 and 16 GPUs, as published Results with their citation.

    `curve` is one of CURVES. The whole batch is the same at every number of GPUs (within 7 %): strong
    scaling. ValueError names file, row and field of a malformed file.
    """
    checks.choice("curve", curve, CURVES)
    source = path or Path(__file__).with_name("reference") / "scaling_dgx2_bert.csv"
    if source.stat().st_size > _LARGEST:
        raise ValueError(f"{source} is larger than {_LARGEST} bytes: not a table of scaling rows.")
    try:
        with source.open(encoding="utf-8", newline="") as file:
            table = csv.DictReader(file, strict=True)
            missing = _COLUMNS - set(table.fieldnames or ())
            if missing:
                raise ValueError(f"{source} lacks the column {', '.join(sorted(missing))}.")
            rows = [_result(source, number, row) for number, row in enumerate(table, start=2)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{source} is not a table in CSV: {error}.") from None
    chosen = [result for result in rows if result.parameters["curve"] == curve]
    if not chosen:
        raise ValueError(f"{source} has no row of the curve {curve}.")
    return chosen


def recorded(path: str | Path) -> list[Result]:
    """Results that `benchmarks/record_scaling.py` wrote; ValueError where one is not recorded."""
    results = read_jsonl(path)
    for number, result in enumerate(results, start=1):
        if result.origin is not Origin.RECORDED:
            raise ValueError(f"{path}, line {number} is {result.origin}, not recorded.")
    return results


def _result(source: Path, number: int, row: dict[str, str | None]) -> Result:
    def field(name: str, low: float, high: float) -> float:
        text = row[name]
        try:
            return checks.number(name, float(text or "nothing"), low, high)
        except ValueError:
            allowed = f"a number from {low:g} to {high:g}"
            raise ValueError(f"{source}, row {number}: {name} must be {allowed}, not {text!r:.60}.") from None

    return Result(
        "data parallel training", "throughput", field("throughput_sequences_per_s", 1e-9, 1e9),
        Origin.PUBLISHED, run=f"published-{row['curve']}", source=CITATION,
        parameters={
            "gpus": int(field("gpus", 1, 1e6)), "curve": row["curve"], "precision": row["precision"],
            "sequence_tokens": int(field("sequence_tokens", 1, 1e6)),
            "sequences_per_gpu": int(field("sequences_per_gpu", 1, 1e6)),
            "accumulation_steps": int(field("accumulation_steps", 1, 1e6)),
        },
    )  # fmt: skip
