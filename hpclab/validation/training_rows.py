"""Tables `train_*.csv`: published training steps, predicted by `models.training_step.predict`.

A row is a model, a plan and a cluster. What it does not say follows from the program that its source ran
(PROGRAMS; docs/validation.md gives the reasons). A row without a time, because it ran out of memory, is left
out; one whose own numbers contradict each other does not say enough.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hpclab.models.gpu_cluster import GpuCluster, named
from hpclab.models.layer_kernels import FLASH_1, FLASH_2_HOPPER, Software
from hpclab.models.plan import Plan
from hpclab.models.training_step import predict as predicted
from hpclab.models.transformer import Transformer
from hpclab.validation.score import NotEnoughSaid, NotPlaced, Observation, median_line
from hpclab.validation.tables import Row, Table

_MODEL = {  # a field of Transformer -> the columns that may hold it
    "layers": ("layers", "n_layers", "layers_from_text"), "hidden": ("hidden", "d_model", "hidden_from_text"),
    "heads": ("heads", "n_heads", "heads_from_text"), "vocabulary": ("vocab", "vocab_approx"),
    "sequence": ("seq_len_tokens", "seq_from_text"), "kv_heads": ("kv_heads",),
    "feed_forward": ("ffn_hidden",),
}  # fmt: skip
_PLAN = {  # a field of Plan -> the same
    "batch": ("global_batch_seqs", "global_batch_from_text"), "tensor": ("tp",), "pipeline": ("pp",),
    "micro_batch": ("micro_batch_seqs", "micro_batch_seqs_per_gpu"), "context": ("cp",), "data": ("dp",),
    "chunks": ("virtual_pp", "virtual_pp_chunks"),
}  # fmt: skip
_TIMES = {"iteration_time_s": 1.0, "iteration_time_ms": 1e-3, "step_time_s": 1.0,
          "derived_iteration_time_s_from_eq3": 1.0}  # fmt: skip
_FLOPS = "teraflops_per_gpu_megatron_def"
_SPLITS = ("tensor", "pipeline", "context")


@dataclass(frozen=True)
class Program:
    """What ran on which cluster; fields of Plan and Transformer that it has unless the row says otherwise."""

    cluster: str
    software: Software
    plan: dict[str, Any]
    model: dict[str, Any] = field(default_factory=dict)


_MEGATRON = Software(gradient_bytes=2)
_VTRAIN = replace(_MEGATRON, hide_messages=True, message_bandwidth=13.4e9)
_NEMO = Software(gradient_bytes=2, adds=True, hide_tensor="all", hide_messages=True)
_MPT = Software(fused=False, flash=FLASH_1)
_OLD = {"fused_attention": False, "precision": "fp16", "overlap": False}
_FULL = _OLD | {"recompute": "full"}
_GPT3 = {"dropout": True}
_SHAPE = {"vocabulary": 50368, "biases": False}
PROGRAMS = {  # what source and GPU begin with -> the first that fits
    "megatron_2020 v100": Program("dgx-2", _MEGATRON, _FULL, {"vocabulary": 51200} | _GPT3),
    "megatron_2020": Program("dgx-a100-40gb", _MEGATRON, _FULL, {"vocabulary": 51200} | _GPT3),
    "megatron": Program("dgx-a100", _MEGATRON, _FULL, _GPT3),
    "korthikanti": Program("dgx-a100", replace(_MEGATRON, hide_tensor="backward", adds=True), _OLD, _GPT3),
    "vtrain": Program("a100-800g", _VTRAIN, _OLD, {"vocabulary": 50257} | _GPT3),
    "bigscience_tr3m": Program("v100-omni-path", _MEGATRON, _OLD, {"vocabulary": 50257} | _GPT3),
    "bigscience": Program("a100-omni-path", _MEGATRON, _FULL | {"zero": 1}, _GPT3),
    "llm_foundry h100": Program("dgx-h100", replace(_MPT, flash=FLASH_2_HOPPER), {}, _SHAPE),
    "llm_foundry a100_40gb": Program("dgx-a100-40gb", _MPT, {}, _SHAPE),
    "llm_foundry": Program("dgx-a100", _MPT, {}, _SHAPE),
    "dgxc": Program("dgx-h100", _NEMO, {"zero": 1, "sequence_parallel": True}),
}


@dataclass(frozen=True)
class Case:
    """A row's model, its plan, and the cluster and software that ran it."""

    model: Transformer
    plan: Plan
    cluster: GpuCluster
    software: Software

    @property
    def tokens(self) -> int:
        """Tokens of a step."""
        return self.plan.batch * self.model.sequence


def read(table: Table) -> list[Observation]:
    """An observation for each row that has a time; ValueError names the file, row and field that is wrong."""
    found = [_observed(row, *_value(row)) for row in table.rows if _value(row)[0]]
    if not found:
        raise ValueError(f"{table.name} has no times: a column of {', '.join(_TIMES)}.")
    return found


def _observed(row: Row, value: float, unit: str) -> Observation:
    case: Case | NotPlaced
    try:
        case = _case(row)
        work = 3 * case.model.forward_flops(case.plan.batch) / case.plan.gpus
        group = f"{case.cluster.title} {case.plan.precision}"
    except NotPlaced as reason:
        case, work, group = reason, 1.0, ""
    return Observation(row, "step time" if unit == "s" else "throughput", value, unit, work, group, case)


def baseline(observations: Sequence[Observation]) -> list[float]:
    """Values at one share of the peak for each GPU and precision: the median share of these very rows."""
    return median_line(observations, _proportional)


def predict(observation: Observation) -> float:
    """Seconds of a step, or tokens a second; ValueError where the plan cannot run."""
    case = observation.case
    seconds = predicted(case.model, case.plan, case.cluster, case.software).seconds
    return seconds if observation.unit == "s" else case.tokens / seconds


def _proportional(one: Observation) -> float:
    """What the value is proportional to at a constant rate: FLOP of a GPU, or for 1/s, tokens over them."""
    tokens = one.case.tokens if isinstance(one.case, Case) else 1
    return one.size if one.unit == "s" else tokens / one.size


def _value(row: Row) -> tuple[float, str]:
    """Seconds of a step, or tokens a second, and the unit; 0 where the row has neither."""
    for column, scale in _TIMES.items():
        if row.text(column) not in ("", "x"):
            return row.value(column, 1e-6, 1e9) * scale, "s"
    column = "throughput_tokens_per_s"
    return (row.value(column, 1e-6, 1e12) if row.text(column) else 0.0), "1/s"


def _case(row: Row) -> Case:
    """The row's model, plan and what they ran on; NotPlaced where one cannot be made."""
    called = f"{row.text('source')} {row.text('gpu')}".lower()
    program = next((program for name, program in PROGRAMS.items() if called.startswith(name)), None)
    if program is None:
        raise NotPlaced(f"what ran in {row.text('source')!r:.40} is not known: program and cluster")
    model, plan = program.model | _counts(row, _MODEL), _counts(row, _PLAN)
    for name in ("layers", "hidden", "heads", "sequence", "vocabulary", "batch"):
        if name not in model | plan:
            raise NotEnoughSaid(f"its {name} is not stated")
    gpus, ranks = row.count("gpus", 1, 2**20), math.prod(plan.get(name, 1) for name in _SPLITS)
    plan.setdefault("data", max(1, gpus // ranks))
    plan.setdefault("micro_batch", max(1, plan["batch"] // plan["data"]))  # all at once
    if ranks * plan["data"] != gpus:
        raise NotEnoughSaid(f"its degrees make {ranks * plan['data']} GPUs, and it has {gpus}")
    try:
        shape = _shape(row, model, plan.get("tensor", 1))
        ran = Plan(**program.plan | plan | _words(row, gpus))
    except ValueError as error:
        raise NotPlaced(str(error)) from None
    if row.text(_FLOPS):
        did = row.value(_FLOPS, 1e-3, 1e4) * 1e12 * gpus * row.value("iteration_time_s", 1e-6, 1e9)
        if not 0.5 < 4 * shape.forward_flops(ran.batch) / did < 2:
            raise NotEnoughSaid("its batch, its time and its FLOP/s contradict each other")
    pure: dict[str, Any] = {"gradient_bytes": 2} if row.text("mp_mode") == "PURE" else {}
    return Case(shape, ran, named(program.cluster), replace(program.software, **pure))


def _counts(row: Row, columns: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    """Whole numbers of a row by field, of those `columns` that are not empty in it."""
    return {name: row.count(one, 1, 2**24) for name, ones in columns.items() for one in ones if row.text(one)}


def _shape(row: Row, said: dict[str, Any], tensor: int) -> Transformer:
    """The row's model, of counts `said`; Llama and Nemotron: rotary positions, no biases, untied outputs."""
    words = row.words("model", "mlp_type").lower()
    if re.search("llama|nemotron", words):
        said |= {"gated": "swiglu" in words, "biases": False, "tied": False, "positions": False}
    if not row.text("source").startswith("vtrain"):  # the vocabulary is padded, so that ranks have full tiles
        said["vocabulary"] = math.ceil(said["vocabulary"] / 128 / tensor) * 128 * tensor
    checked = row.text("dims_check")  # the text around such a table may tell of another model
    if checked and said["hidden"] % said["heads"]:
        said["heads"] = max(n for n in range(1, said["heads"]) if not said["hidden"] % (8 * n) + n % tensor)
    if checked.startswith("CHECK"):  # then its size has the layers
        one = Transformer(**said)
        size = row.value("size_billion", 1e-3, 1e5) * 1e9 - one.embedding_parameters
        said["layers"] = max(1, round(size / one.layer_parameters))
    return Transformer(**said)


def _words(row: Row, gpus: int) -> dict[str, Any]:
    """Fields of Plan that a row, or its source, gives in words: recompute, zero, precision ..."""
    plan: dict[str, Any] = {}
    recompute = row.text("recompute", "activation_recompute", "activation_checkpointing").lower()
    if recompute:
        known = {"selective": "selective", "full": "full", "true": "full"}
        plan["recompute"] = next((how for word, how in known.items() if word in recompute), "none")
        plan["sequence_parallel"] = "selective" in recompute  # where they came together
    if sharding := row.text("sharding_strategy"):
        plan["zero"] = {"FULL_SHARD": 3, "SHARD_GRAD_OP": 2}.get(sharding, 0)
    if "fsdp" in row.text("dp_scheme").lower():
        plan["zero"] = 3
    if row.text("precision"):
        plan["precision"] = row.text("precision").removeprefix("amp_")
    if row.text("source").startswith("vtrain"):
        plan["recompute"] = "full" if gpus > 8 else "none"
    return plan
