"""Published speedup curves: rows that a model of scaling is held against."""

from hpclab import checks
from hpclab.results import Origin, Result
from hpclab.validation import tables

CITATION = (
    "NVIDIA, DeepLearningExamples, commit 729963dd47e7, TensorFlow2 BERT README: "
    "BERT-large pre-training on one DGX-2 (V100 32 GB)"
)
CURVES = ("amp-128", "fp32-128", "amp-512", "fp32-512")  # precision, tokens in a sequence
_COUNTS = ("gpus", "sequence_tokens", "sequences_per_gpu", "accumulation_steps")


def published(curve: str = "amp-128") -> list[Result]:
    """The throughput (1/s) of one DGX-2 at 1, 4, 8 and 16 GPUs, as published Results with their citation.

    `curve` is one of CURVES. The whole batch is the same at every number of GPUs (within 7 %): strong
    scaling.
    """
    checks.choice("curve", curve, CURVES)
    return [
        Result(
            "data parallel training", "throughput", float(row["throughput_sequences_per_s"]),
            Origin.PUBLISHED, run=f"published-{curve}", source=CITATION,
            parameters={"curve": curve, "precision": row["precision"], **{n: int(row[n]) for n in _COUNTS}},
        )
        for row in tables.shipped("scaling_dgx2_bert.csv") if row["curve"] == curve
    ]  # fmt: skip


def larger_machines() -> dict[str, list[Result]]:
    """Published curves of larger machines, by name: makespans of a unit of work along processors, nodes or
    users. Where the work grows with them (weak scaling) so does the unit."""
    return {
        f"{row['curve']} (published)": [
            Result(
                row["curve"], "makespan", (n if row["scaling"] == "weak" else 1) / rate, Origin.PUBLISHED,
                parameters={row["along"]: n, "scaling": row["scaling"]}, source=row["source"],
            )
            for count, throughput in zip(row["counts"].split(), row["throughputs"].split(), strict=True)
            for n, rate in [(int(count), float(throughput))]
        ]
        for row in tables.shipped("scaling_larger_machines.csv")
    }  # fmt: skip
