"""Published speedup curves: rows that a model of scaling is held against."""

import csv
from pathlib import Path

from hpclab import checks
from hpclab.results import Origin, Result

CITATION = (
    "NVIDIA, DeepLearningExamples, commit 729963dd47e7, TensorFlow2 BERT README: "
    "BERT-large pre-training on one DGX-2 (V100 32 GB)"
)
CURVES = ("amp-128", "fp32-128", "amp-512", "fp32-512")  # precision, tokens in a sequence


def published(curve: str = "amp-128") -> list[Result]:
    """The throughput (1/s) of one DGX-2 at 1, 4, 8 and 16 GPUs, as published Results with their citation.

    `curve` is one of CURVES. The whole batch is the same at every number of GPUs (within 7 %): strong
    scaling.
    """
    checks.choice("curve", curve, CURVES)
    with Path(__file__).with_name("reference").joinpath("scaling_dgx2_bert.csv").open(newline="") as file:
        return [_result(row) for row in csv.DictReader(file, strict=True) if row["curve"] == curve]


def _result(row: dict[str, str]) -> Result:
    counts = ("gpus", "sequence_tokens", "sequences_per_gpu", "accumulation_steps")
    return Result(
        "data parallel training", "throughput", float(row["throughput_sequences_per_s"]), Origin.PUBLISHED,
        run=f"published-{row['curve']}", source=CITATION,
        parameters={name: row[name] for name in ("curve", "precision")} | {n: int(row[n]) for n in counts},
    )  # fmt: skip
