"""Tables `train_*.csv`: published training steps, predicted by `models.training_step.predict`.

A row is a model, a plan and a cluster; its source says what program ran, which decides what was fused, hidden
and recomputed (PROGRAMS; docs/validation.md gives the reasons). A row without a time, because it ran out of
memory, is left out.
"""

import re
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy

from hpclab.models.gpu_cluster import GpuCluster, named
from hpclab.models.plan import Plan
from hpclab.models.training_step import Software
from hpclab.models.training_step import predict as predicted
from hpclab.models.transformer import Transformer
from hpclab.validation.score import NotPlaced, Observation
from hpclab.validation.tables import Row, Table

_COLUMNS = {  # what is read -> the columns that may hold it
    "layers": ("layers", "n_layers", "layers_from_text"), "hidden": ("hidden", "d_model", "hidden_from_text"),
    "heads": ("heads", "n_heads", "heads_from_text"), "vocabulary": ("vocab", "vocab_approx"),
    "sequence": ("seq_len_tokens", "seq_from_text", "seq_len_tokens_recalled"), "kv_heads": ("kv_heads",),
    "feed_forward": ("ffn_hidden",), "gpus": ("gpus", "gpus_h100"), "tensor": ("tp",), "pipeline": ("pp",),
    "context": ("cp",), "data": ("dp", "dp_recalled"), "chunks": ("virtual_pp", "virtual_pp_chunks"),
    "batch": ("global_batch_seqs", "global_batch_from_text"),
    "micro_batch": ("micro_batch_seqs", "micro_batch_seqs_per_gpu"), "rank_batch": ("batch_per_dp_recalled",),
}  # fmt: skip
_TIMES = {"iteration_time_s": 1.0, "iteration_time_ms": 1e-3, "step_time_s": 1.0,
          "derived_iteration_time_s_from_eq3": 1.0}  # fmt: skip


@dataclass(frozen=True)
class Program:
    """What ran: its Software, what of a Plan it always does, its vocabulary, and the cluster it ran on."""

    software: Software
    plan: dict[str, Any]
    model: dict[str, Any] = field(default_factory=dict)
    clusters: dict[str, str] = field(default_factory=dict)  # words of the row -> GpuCluster's name


_MEGATRON = Software(dropout=True, gradient_bytes=2)
_UNFUSED = {"fused_attention": False, "precision": "fp16", "overlap": False}
_DGX = {"h100": "dgx-h100", "v100": "dgx-2", "": "dgx-a100"}
PROGRAMS = {  # what a row's source begins with -> what ran there
    "megatron_2020": Program(_MEGATRON, _UNFUSED | {"recompute": "full"}, {"vocabulary": 51200},
                             {"v100": "dgx-2", "": "dgx-a100-40gb"}),
    "megatron": Program(_MEGATRON, _UNFUSED | {"recompute": "full"}, {}, _DGX),
    "korthikanti": Program(_MEGATRON, _UNFUSED, {}, _DGX),
    "vtrain": Program(_MEGATRON, _UNFUSED, {"vocabulary": 50257}, {"": "a100-800g"}),
    "bigscience_tr3m": Program(_MEGATRON, _UNFUSED, {"vocabulary": 50304}, {"": "v100-omni-path"}),
    "bigscience": Program(_MEGATRON, _UNFUSED | {"recompute": "full", "zero": 1}, {}, {"": "a100-omni-path"}),
    "llm_foundry": Program(Software(fused=False), {}, {"vocabulary": 50368, "biases": False, "positions": False},
                           {"h100": "dgx-h100", "40gb": "a100-40gb-1600g", "": "a100-1600g"}),
    "dgxc": Program(Software(gradient_bytes=2, hide_tensor=True, hide_messages=True), {"zero": 1}, {}, _DGX),
    "llama3": Program(Software(gradient_bytes=4, hide_messages=True), {"zero": 1},
                      {"layers": 128, "hidden": 16384, "heads": 128, "kv_heads": 8, "feed_forward": 53248,
                       "vocabulary": 128256}, {"": "dgx-h100"}),
    "": Program(Software(), {}, {"vocabulary": 51200}, _DGX),
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    model: Transformer
    plan: Plan
    cluster: GpuCluster
    software: Software


def read(table: Table) -> list[Observation]:
    """An observation for each row that has a time; ValueError names the file, row and field that is wrong."""
    for name in ("layers", "hidden", "heads", "sequence", "gpus", "tensor"):
        if "gpus_h100" not in table.columns and "n_layers" not in table.columns:
            if not set(_COLUMNS[name]) & set(table.columns):
                raise ValueError(f"{table.name} lacks the column {_COLUMNS[name][0]}.")
    found = []
    for row in table.rows:
        try:
            case: Case | NotPlaced = _case(row)
            assert isinstance(case, Case)
            work = 3 * case.model.forward_flops(case.plan.batch) / case.plan.gpus
            group: Hashable = (case.cluster.title, case.plan.precision)
        except NotPlaced as reason:
            case, work, group = reason, 1.0, ""
        value, unit = _value(row, case)
        if value:
            quantity = "iteration time" if unit == "s" else "throughput"
            found.append(Observation(row, quantity, value, unit, work, group, case))
    if not found:
        raise ValueError(f"{table.name} has no times: a column of {', '.join(_TIMES)} or throughput_tokens_per_s.")
    return found


def _value(row: Row, case: Case | NotPlaced) -> tuple[float, str]:
    """Seconds of a step, or tokens a second; 0 where the row has neither."""
    for column, scale in _TIMES.items():
        if row.text(column) and row.text(column) != "x":
            return row.value(column, 1e-6, 1e9) * scale, "s"
    if row.text("throughput_tokens_per_s"):
        return row.value("throughput_tokens_per_s", 1e-6, 1e12), "1/s"
    if row.text("bf16_tflops_per_gpu") and isinstance(case, Case):
        rate = row.value("bf16_tflops_per_gpu", 1e-3, 1e4) * 1e12
        return 3 * case.model.forward_flops(case.plan.batch) / case.plan.gpus / rate, "s"
    return 0.0, "s"


def baseline(observations: Sequence[Observation]) -> list[float]:
    """What one share of the peak for each kind of GPU and precision says, fitted to these very rows."""
    groups = defaultdict[Hashable, list[float]](list)
    for one in observations:
        groups[one.group].append(_work(one) / one.value)
    return [_work(one) / float(numpy.median(groups[one.group])) for one in observations]


def _work(one: Observation) -> float:
    """What is proportional to the value at a constant rate: FLOP of a GPU, or tokens over them."""
    if one.unit == "s":
        return one.size
    return one.case.plan.batch * one.case.model.sequence / one.size


def predict(observation: Observation) -> float:
    """Seconds of a step, or tokens a second."""
    case = observation.case
    if isinstance(case, NotPlaced):
        raise case
    try:
        seconds = predicted(case.model, case.plan, case.cluster, case.software).seconds
    except ValueError as error:
        raise NotPlaced(str(error)) from None
    return seconds if observation.unit == "s" else case.plan.batch * case.model.sequence / seconds


def _case(row: Row) -> Case:
    """The row as the model takes it; NotPlaced where it cannot be."""
    source = row.text("source")
    program = next(program for name, program in PROGRAMS.items() if source.startswith(name))
    said = {
        name: row.count(column, 1, 2**24)
        for name, columns in _COLUMNS.items()
        for column in columns
        if row.text(column)
    } | program.model
    try:
        plan = program.plan | _plan(row, said, program)
        model = Transformer(**_model(row, said))
        shape = {name: said[name] for name in ("batch", "micro_batch", "data", "tensor", "pipeline", "context",
                                               "chunks") if name in said}  # fmt: skip
        return Case(model, Plan(**shape | plan), _cluster(row, program), program.software)
    except ValueError as error:
        raise NotPlaced(str(error)) from None


def _model(row: Row, said: dict[str, Any]) -> dict[str, Any]:
    """A model's shape: gated MLPs, no biases and untied outputs are Llama's; layers that stages divide."""
    shape = {name: said[name] for name in ("layers", "hidden", "heads", "sequence", "vocabulary", "kv_heads",
                                           "feed_forward", "biases", "positions") if name in said}  # fmt: skip
    if shape["hidden"] % shape["heads"]:
        shape["heads"] = max(n for n in range(1, shape["heads"]) if not shape["hidden"] % n and not n % 8)
    stages = said.get("pipeline", 1)
    if row.text("dims_check").startswith("CHECK"):  # then only the size tells how many layers there were
        one = Transformer(**shape)
        size = row.value("size_billion", 1e-3, 1e5) * 1e9 - one.embedding_parameters
        shape["layers"] = round(size / one.layer_parameters)
    shape["layers"] = -(-shape["layers"] // stages) * stages  # as if all stages were as large as the largest
    words = (row.text("model", "source") + row.text("mlp_type")).lower()
    if re.search("llama|nemotron", words):
        shape |= {"gated": "swiglu" in words or "llama3_" in words, "biases": False, "tied": False,
                  "positions": False}  # fmt: skip
    return shape


def _plan(row: Row, said: dict[str, Any], program: Program) -> dict[str, Any]:
    """What of a plan a row says in words, and what it leaves to its source."""
    plan: dict[str, Any] = {}
    said.setdefault("data", said["gpus"] // (said.get("tensor", 1) * said.get("pipeline", 1)))
    said.setdefault("batch", said["data"] * said.get("rank_batch", 1))
    if "rank_batch" in said:
        said["micro_batch"] = 1
    said.setdefault("micro_batch", said["batch"] // said["data"])
    words = row.text("recompute", "activation_recompute").lower()
    if words:
        plan["recompute"] = next((how for how in ("selective", "full") if how in words), "none")
        plan["sequence_parallel"] = plan["recompute"] == "selective" and said.get("tensor", 1) > 1
    if row.text("activation_checkpointing"):
        plan["recompute"] = "full" if row.text("activation_checkpointing") == "True" else "none"
    if row.text("sharding_strategy"):
        plan["zero"] = {"FULL_SHARD": 3, "SHARD_GRAD_OP": 2}.get(row.text("sharding_strategy"), 0)
    if row.text("precision"):
        plan["precision"] = row.text("precision").removeprefix("amp_")
    if row.text("source").startswith("vtrain"):
        plan["recompute"] = "full" if said["gpus"] > 8 else "none"
    if row.text("source").startswith("dgxc"):
        plan["sequence_parallel"] = said.get("tensor", 1) > 1
    return plan


def _cluster(row: Row, program: Program) -> GpuCluster:
    words = row.words("gpu", "node_type", "system").lower()
    return named(next(name for word, name in program.clusters.items() if word in words))
