"""Tables `mem_*.csv`, and columns of memory in tables of training steps: peaks held against `models.memory`.

A row is a model and a plan, recognised by what columns are called in most papers. Its column's name says
what is predicted: model states, activations, or all of a rank's peak. "OOM" is a verdict, and so is a figure
where the GPU's size is known: that it fits.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from hpclab import checks
from hpclab.models import memory
from hpclab.models.plan import ZERO, Plan
from hpclab.models.transformer import Transformer
from hpclab.validation.score import NotPlaced, Observation
from hpclab.validation.tables import Row, Table

_COLUMNS = {  # what is read -> what its column is called, without the ending
    "layers": r"(n_|num_)?layers", "hidden": r"hidden|d_model", "heads": r"(n_|num_)?(attention_)?heads",
    "kv_heads": r"(n_|num_)?(kv|key_value)_heads", "vocabulary": r"vocab(ulary)?",
    "feed_forward": r"ffn(_hidden)?|intermediate|feed_forward", "gpus": r"(n_|num_)?gpus|world|ranks",
    "sequence": r"(seq(uence)?|context)(_len(gth)?)?", "zero": r"zero(_stage)?",
    "data": r"dp(_shard)?|fsdp|data_parallel", "tensor": r"tp|tensor_parallel",
    "pipeline": r"pp|pipeline_parallel", "context": r"cp|context_parallel",
    "chunks": r"v_?pp|virtual_(pp|pipeline)(_chunks)?|virtual_stages|interleaved?|chunks",
    "micro_batch": r"micro_?batch|mbs", "batch": r"global_batch|gbs",
    "rank_batch": r"local_(batch|bs)|batch(_size)?_per_(gpu|dp|rank|device)",
    "parameters": r"params|parameters", "adam": r"optimizer_bytes_per_param_k",
}  # fmt: skip
_ENDING = r"(_(seqs?|seqs_per_gpu|tokens|from_text|size|degree|approx|dim))*$"
_MODELS = {  # words of a model's name -> layers, hidden, heads, kv_heads, feed_forward, vocabulary
    r"llama.?3.*\b8b": (32, 4096, 32, 8, 14336, 128256), r"llama.?3.*\b70b": (80, 8192, 64, 8, 28672, 128256),
    r"llama.?3.*\b405b": (126, 16384, 128, 8, 53248, 128256), r"\b22b": (48, 6144, 64, 64, 24576, 51200),
    r"\b175b": (96, 12288, 96, 96, 49152, 51200), r"\b530b": (105, 20480, 128, 128, 81920, 51200),
    r"\b1t\b": (128, 25600, 160, 160, 102400, 51200),
}  # fmt: skip
_SHAPE = ("layers", "hidden", "heads", "kv_heads", "feed_forward", "vocabulary")
_DEGREES = {"fsdp": "data", "dp": "data", "tp": "tensor", "pp": "pipeline", "cp": "context"}
_MEMORY = r"(?!gpu).*(mem(ory)?|activation|_gib|_gb)(?!.*(recompute|checkpoint|offload|bandwidth|per_s)).*"
_HOW = r"ac|technique|method|.*(recompute|recomputation|checkpointing|ckpt).*"  # columns of what is kept
_MEGATRON = 18  # bytes of a weight: gradients are added up in float32
_YES = ("1", "true", "yes", "on")


@dataclass(frozen=True)
class Case:
    """A model, its plan and the quantity `what`; the GPU's bytes (0: not said); whether torch counted them;
    whether it `fits`, as the row says."""

    model: Transformer
    plan: Plan
    what: str
    capacity: float = 0.0
    torch: bool = False
    fits: bool = True


def columns(table: Table) -> list[str]:
    """The columns of a table that hold memory; not the GPU's own."""
    return [name for name in table.columns if re.fullmatch(_MEMORY, name)]


def read(table: Table) -> list[Observation]:
    """An observation for each figure of memory, and for each verdict; rows without either are left out."""
    held = columns(table)
    found = [one for row in table.rows for column in held for one in _observed(row, column)]
    if not found:
        raise ValueError(f"{table.name} has no memory: a column such as peak_memory_gib or memory_gb.")
    return found


def _observed(row: Row, column: str) -> Iterator[Observation]:
    text = (row.text(column) or " ".join(row.fields.values())).lower()
    number = re.sub(r"\s*gi?b.*", "", row.text(column).lower())
    figure = bool(re.match(r"[-+.\d]", number))
    if not figure and not re.search(r"\boom\b|out of memory", text):
        return
    case: Any
    try:
        case = _case(row, column)
    except ValueError as error:
        case = NotPlaced(str(error))
    placed = isinstance(case, Case)
    if figure:
        plain = replace(row, fields={**row.fields, column: number})
        value = plain.value(column, 1e-3, 1e6) * _unit(row, column)
        size = 2.0 * case.model.parameters / case.plan.tensor / case.plan.pipeline if placed else 1.0
        what, group = (case.what, row.text("source")) if placed else ("memory", "")
        yield Observation(row, what, value, "B", size, group, case)
    if placed and case.what == "peak memory" and case.capacity and "borderline" not in text:
        case = replace(case, what="memory verdict", fits=figure)
        yield Observation(row, case.what, 1.0, "1", 1.0, "", case)


def predict(observation: Observation) -> float:
    """Bytes; or for a verdict, 1 where the model agrees with it and 0 where it does not."""
    case = observation.case
    if not isinstance(case, Case):
        return sum(memory.states(*case))
    model, plan = case.model, case.plan
    if case.what == "activations":
        layer = memory.layer_activations(model, plan, plan.recompute)
        return memory.in_flight(plan) * model.layers / plan.pipeline * layer
    if case.what == "model states":  # the matrices of the layers, as in the paper's figures
        h, inside = model.hidden, (2 + model.gated) * model.feed_forward
        matrices = h * (2 * h + 2 * model.kv_width + inside)
        return _MEGATRON * matrices * model.layers / plan.pipeline / plan.tensor
    peak = memory.peak(model, plan).total
    if case.what == "memory verdict":
        return float((peak <= memory.usable(case.capacity)) == case.fits)
    return peak - (memory.outside(plan) if case.torch else 0)


def _unit(row: Row, column: str) -> float:
    """Bytes of a figure's unit: 1e9 for GB, 2^30 for GiB and for the GB of nvidia-smi and torch."""
    measured = re.search("bigscience|torchtitan", row.text("source").lower())
    return 1e9 if "gb" in (column + row.text("unit")).lower() and not measured else 2.0**30


def _case(row: Row, column: str) -> Case | tuple[Any, ...]:
    """The Case of a row; if it has no model's shape, as ZeRO's own table, `memory.states`' arguments."""
    words = " ".join(row.fields.values()).lower().replace("_", " ")
    said = _said(row)
    zero = re.search(r"zero ?-?([0-3])\b", words)
    sharded = 3 if re.search("fsdp|full shard|torchtitan", words) or "fsdp" in row.fields else 0
    stage = checks.integer("zero", said.get("zero", int(zero[1]) if zero else sharded), 0, len(ZERO) - 1)
    if "hidden" not in said:
        if "parameters" in said:
            return said["parameters"], stage, said.get("data", 1), (2, 2, said.get("adam", 12))
        raise ValueError("its model is not one that the course knows, and has no layers and hidden")
    told = f"{column} {row.text('component', 'kind', 'quantity', 'what')}".lower()
    kinds = "activations" if "activation" in told else "model states"
    what = kinds if re.search("activation|state|param|optim|weight|grad", told) else "peak memory"
    size = re.search(r"(\d+) ?gb", row.words("gpu", "node_type", "system", "gpu_memory").lower())
    torch = sharded == 3 or bool(re.search("reserved|allocated|torchtitan|fsdp", f"{column} {words}"))
    model, plan = _model(row, said, words), _plan(row, said, words, stage)
    plan.refuse_unless_it_fits(model)
    return Case(model, plan, what, float(size[1]) * 1e9 if size else 0.0, torch)


def _said(row: Row) -> dict[str, Any]:
    """A row's numbers by _COLUMNS' keys; also degrees in words ("FSDP 8, TP 8"), known models' shapes."""
    said: dict[str, Any] = {}
    for column, text in row.fields.items():
        name = re.sub(_ENDING, "", column.removesuffix("_billion"))
        what = next((what for what, known in _COLUMNS.items() if re.fullmatch(known, name)), "")
        if what and re.fullmatch(r"\d+(\.\d+)?(e\d+)?[kK]?", text):
            scale = 1024 if text[-1] in "kK" else 1e9 if column.endswith("_billion") else 1
            said.setdefault(what, round(float(text.rstrip("kK")) * scale))
        for word, degree in re.findall(r"\b(fsdp|dp|tp|pp|cp)[ =]*(\d+)", text.lower()):
            said.setdefault(_DEGREES[word], int(degree))
    name = row.text("model", "size", "model_size").lower().replace("_", " ").replace("-", " ")
    shape = next((shape for known, shape in _MODELS.items() if re.search(known, name)), ())
    return dict(zip(_SHAPE, shape, strict=False)) | said


def _model(row: Row, said: dict[str, Any], words: str) -> Transformer:
    """The row's model, as if every stage had as many layers as the fullest."""
    shape = {"vocabulary": 50304, "sequence": 8192 if "torchtitan" in words else 2048}
    shape |= {name: said[name] for name in (*_SHAPE, "sequence") if name in said}
    stages = said.get("pipeline", 1) * said.get("chunks", 1)
    shape["layers"] = math.ceil(shape["layers"] / stages) * stages
    if shape["hidden"] % shape["heads"]:  # a slip of the source: heads of 128, as is usual
        shape["heads"] = shape["hidden"] // 128
    llama = bool(re.search("llama|swiglu|mistral", words))
    dropout = bool(re.search("korthikanti|megatron|bigscience tr3", words))
    return Transformer(**shape, gated=llama, tied=not llama, positions=not (llama or "tr11" in words),
                       biases=not llama, dropout=dropout)  # fmt: skip


def _plan(row: Row, said: dict[str, Any], words: str, stage: int) -> Plan:
    """The row's plan; its batch has at least one micro-batch for every stage, two where interleaved."""
    tensor, pipeline, context = (said.get(name, 1) for name in ("tensor", "pipeline", "context"))
    others = tensor * pipeline * context
    data = said.get("data") or max(1, said.get("gpus", others) // others)
    if data * others > said.get("gpus", data * others):  # FSDP's ranks with those that share a sequence
        data = max(1, data // context)
    chunks = said.get("chunks", 2 if "interleaved" in words and pipeline > 1 else 1)
    rank_batch = said.get("rank_batch") or max(1, said.get("batch", 0) // data)
    micro = said.get("micro_batch") or max(1, rank_batch // (pipeline * chunks))
    micros = max(said.get("batch", data * rank_batch) // (data * micro), pipeline * min(2, chunks))
    micros = math.ceil(micros / pipeline) * pipeline
    told = row.words(*(name for name in row.fields if re.fullmatch(_HOW, name))).lower()
    usual = "full" if "bigscience" in words or told in _YES else "none"
    recompute = next((how for how in ("selective", "full", "none") if how[:3] in told), usual)
    torch = bool(re.search("torchtitan|llama", words))
    split = row.text("sequence_parallel", "sp").lower()
    return Plan(
        micros * data * micro, micro, data, tensor, pipeline, context, chunks,
        zero=1 if "bigscience" in words else stage, precision="fp32" if "fp32" in words else "bf16",
        recompute="half" if torch and recompute == "selective" else recompute,
        sequence_parallel=tensor > 1 and (split in _YES if split else torch or "seq" in told),
        fused_attention=not re.search("korthikanti|megatron|bigscience", words),
    )  # fmt: skip
