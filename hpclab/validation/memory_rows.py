"""Tables `mem_*.csv`, and columns of memory in tables of training steps: peaks held against `models.memory`.

A row is a model and a plan; its columns are recognised by what they are called in most papers. What is
predicted depends on the name of the column of memory: model states, activations, or all of a rank's peak. A
row that says "OOM" states a verdict, and so does one with a figure where the GPU's size is known: that it
fits.
"""

import math
import re
from dataclasses import dataclass
from typing import Any

from hpclab.models import memory
from hpclab.models.plan import Plan
from hpclab.models.transformer import Transformer
from hpclab.validation.score import NotPlaced, Observation
from hpclab.validation.tables import Row, Table

_COLUMNS = {  # what is read -> what the column that holds it is called, its ending left out
    "layers": r"(n_|num_)?layers", "hidden": r"hidden|d_model", "heads": r"(n_|num_)?(attention_)?heads",
    "kv_heads": r"(n_|num_)?(kv|key_value)_heads", "vocabulary": r"vocab(ulary)?",
    "feed_forward": r"ffn(_hidden)?|intermediate|feed_forward", "gpus": r"(n_|num_)?gpus|world|ranks",
    "sequence": r"seq(uence)?(_len(gth)?)?|context_len(gth)?",
    "tensor": r"tp|tensor_parallel", "pipeline": r"pp|pipeline_parallel",
    "context": r"cp|context_parallel", "data": r"dp|fsdp|data_parallel|(dp|data_parallel)_shard(ed|s)?",
    "chunks": r"v_?pp|virtual_(pp|pipeline)(_chunks)?|virtual_stages|interleave(d|_factor)?|chunks",
    "micro_batch": r"micro_?batch|mbs", "rank_batch": r"local_batch|(micro_)?batch_per_(gpu|dp|rank|device)",
    "batch": r"global_batch|gbs",
    "micro_batches": r"(n_|num_)?micro_?batches|grad_accum|accumulation(_steps)?",
    "parameters": r"params|parameters|num_params|params_billion", "states": r"optimizer_bytes_per_param_k",
}  # fmt: skip
_ENDING = r"(_(seqs?|seqs_per_gpu|tokens|from_text|size|degree|approx|gpus?|dim|h100|recalled))*$"
_MODELS = {  # words of the model's name -> layers, hidden, heads, kv_heads, feed_forward, vocabulary, gated
    r"llama.?3.*\b8b": (32, 4096, 32, 8, 14336, 128256, True),
    r"llama.?3.*\b70b": (80, 8192, 64, 8, 28672, 128256, True),
    r"llama.?3.*\b405b": (126, 16384, 128, 8, 53248, 128256, True),
    r"llama.*\b7b": (32, 4096, 32, 32, 11008, 32000, True),
    r"llama.*\b13b": (40, 5120, 40, 40, 13824, 32000, True),
    r"llama.*\b70b": (80, 8192, 64, 8, 28672, 32000, True),
    r"\b22b": (48, 6144, 64, 64, 24576, 51200, False), r"\b175b": (96, 12288, 96, 96, 49152, 51200, False),
    r"\b530b": (105, 20480, 128, 128, 81920, 51200, False),
    r"\b1t|\b1000b": (128, 25600, 160, 160, 102400, 51200, False),
}  # fmt: skip
_FIELDS = ("layers", "hidden", "heads", "kv_heads", "feed_forward", "vocabulary", "gated")
_DEGREES = {"fsdp": "data", "dp": "data", "tp": "tensor", "pp": "pipeline", "cp": "context"}
_MEMORY = (
    r"(?!peak_(tera|tflop)).*(mem(ory)?|activation|_gib|_gb)(?!.*(recompute|checkpoint|bandwidth|per_s)).*"
)
_MEGATRON = (2, 4, 12)  # gradients are added up in float32: 18 bytes of a weight


@dataclass(frozen=True)
class Case:
    """A model and its plan; what of its memory; the GPU's bytes (0: not said); whether torch counted them."""

    model: Transformer
    plan: Plan
    what: str
    capacity: float
    torch: bool


def columns(table: Table) -> list[str]:
    """Those of a table that hold memory; not the GPU's own."""
    return [name for name in table.columns if re.fullmatch(_MEMORY, name)]


def read(table: Table) -> list[Observation]:
    """An observation for each figure of memory, and one for each verdict; what neither says is left out."""
    found = []
    for row in table.rows:
        for column in columns(table):
            figure = re.match(r"\d+(\.\d+)?", row.text(column))
            if not figure and not re.search(r"\boom\b|out of memory", row.text(column).lower()):
                continue
            case = _case(row, column)
            sized = isinstance(case, Case) and case.what == "peak memory" and case.capacity
            if figure:
                value = float(figure[0]) * _unit(row, column)
                what = "memory" if not isinstance(case, Case) else case.what
                found.append(Observation(row, what, value, "B", _size(case), row.text("source"), case))
            if sized and "borderline" not in row.text(column):
                fits = ("fits" if figure else "does not fit", case)
                found.append(Observation(row, "memory verdict", 1.0, "1", 1.0, "", fits))
    if not found:
        raise ValueError(
            f"{table.name} has no memory: a column such as peak_memory_gib, or memory_gb, is needed."
        )
    return found


def predict(observation: Observation) -> float:
    """Bytes; of a verdict 1 where the model's is the same, and 0 where it is not."""
    case = observation.case
    verdict = ""
    if isinstance(case, tuple):
        verdict, case = case
    if isinstance(case, NotPlaced):
        raise case
    if isinstance(case, float):
        return case
    try:
        return _bytes(case, verdict)
    except ValueError as error:
        raise NotPlaced(str(error)) from None


def _bytes(case: Case, verdict: str) -> float:
    model, plan = case.model, case.plan
    layer = memory.layer_activations(model, plan, plan.recompute)
    if case.what == "activations":
        return memory.in_flight(plan) * model.layers / plan.pipeline * layer
    if case.what == "model states":
        return _layer_weights(model) * model.layers / plan.pipeline / plan.tensor * sum(_MEGATRON)
    peak = memory.peak(model, plan).total
    if verdict:
        return float(("fits" if peak <= memory.usable(case.capacity) else "does not fit") == verdict)
    return peak - (memory.outside(plan) if case.torch else 0)


def _layer_weights(model: Transformer) -> float:
    """12 · hidden² where nothing is gated or shared."""
    h, into = model.hidden, (3 if model.gated else 2) * model.feed_forward
    return h * (2 * h + 2 * model.kv_width + into)


def _size(case: Case | float | NotPlaced) -> float:
    """What the baseline's line goes over: bytes of a rank's parameters, unsharded."""
    if isinstance(case, Case):
        return 2.0 * case.model.parameters / case.plan.tensor / case.plan.pipeline
    return 1.0


def _unit(row: Row, column: str) -> float:
    """GiB where it is said, and where nvidia-smi or torch counted, which call them GB."""
    measured = re.search("bigscience|torchtitan", row.text("source").lower())
    told = (column + row.text("unit")).lower()
    return 1e9 if re.search(r"gb", told) and not measured else 2.0**30


def _case(row: Row, column: str) -> Case | float | NotPlaced:
    """What `predict` needs; bytes where the row has them without a model's shape: ZeRO's own table."""
    try:
        said = _said(row)
        words = " ".join(row.fields.values()).lower()
        zero = re.search(r"(?:zero|stage|z)[-_ ]?([0-3])\b", words.replace("_pos", " "))
        stage = int(zero[1]) if zero else 3 if re.search(r"fsdp|full_shard|torchtitan", words) else 0
        if "hidden" not in said:
            if "parameters" not in said:
                raise NotPlaced("its model is not one that the course knows, and has no layers and hidden")
            each = (2, 2, int(said.get("states", 12)))
            return sum(memory.states(said["parameters"], stage, int(said.get("data", 1)), each))
        model = _model(row, said, words)
        what = _what(f"{column} {row.text('component', 'kind', 'quantity', 'what')}".lower())
        size = re.search(r"(\d+) ?gb", row.words("gpu", "node_type", "system", "gpu_memory").lower())
        torch = bool(re.search("reserved|allocated|torchtitan|fsdp", f"{column} {words}"))
        plan = _plan(row, said, words, stage)
        return Case(model, plan, what, float(size[1]) * 1e9 if size else 0.0, torch)
    except NotPlaced as reason:
        return reason
    except ValueError as error:
        return NotPlaced(str(error))


def _what(told: str) -> str:
    if "activation" in told:
        return "activations"
    return "model states" if re.search(r"state|param|optim|weight|grad", told) else "peak memory"


def _said(row: Row) -> dict[str, Any]:
    """Numbers by what they are; degrees that stand in words, as "FSDP 8, TP 8", too."""
    said: dict[str, Any] = {}
    for column, text in row.fields.items():
        name = re.sub(_ENDING, "", column)
        what = next((what for what, known in _COLUMNS.items() if re.fullmatch(known, name)), "")
        if what and re.fullmatch(r"[\d.,]+(e\d+)?[kKbB]?", text):
            scale = {"k": 1024, "b": 1e9}.get(text[-1:].lower(), 1) * (1e9 if "billion" in column else 1)
            said.setdefault(what, float(text.rstrip("kKbB").replace(",", "")) * scale)
        if not what or not text.isdecimal():
            for word, degree in re.findall(r"\b(fsdp|dp|tp|pp|cp)[ =]*(\d+)", text.lower()):
                said.setdefault(_DEGREES[word], int(degree))
    name = row.text("model", "size", "model_size").lower().replace("_", " ").replace("-", " ")
    for known, shape in _MODELS.items():
        if re.search(known, name):
            said = dict(zip(_FIELDS, shape, strict=True)) | said
            break
    whole = ("parameters", "states")
    return {name: value if name in whole else round(value) for name, value in said.items()}


def _model(row: Row, said: dict[str, Any], words: str) -> Transformer:
    """The shape; layers as many as the fullest stage's times the stages."""
    shape = {name: said[name] for name in (*_FIELDS, "sequence") if name in said}
    llama = bool(re.search(r"llama|swiglu|nemotron|mistral", words))
    shape.setdefault("vocabulary", 50304)
    shape.setdefault("sequence", 8192 if "torchtitan" in words else 2048)
    shape["gated"] = bool(shape.get("gated", llama)) and "squared" not in words
    stages = said.get("pipeline", 1) * said.get("chunks", 1)
    shape["layers"] = math.ceil(shape["layers"] / stages) * stages
    if shape["hidden"] % shape["heads"]:  # a slip of the source: heads of 128, as is usual
        shape["heads"] = shape["hidden"] // 128
    dropout = bool(re.search("korthikanti|megatron|bigscience_tr3", row.text("source").lower()))
    positions = not llama and "tr11" not in words
    return Transformer(**shape, tied=not llama, positions=positions, biases=not llama, dropout=dropout)


def _plan(row: Row, said: dict[str, Any], words: str, stage: int) -> Plan:
    """What the row says; a batch that is not said is one with work for all stages of the pipeline."""
    degrees = {name: said.get(name, 1) for name in ("tensor", "pipeline", "context")}
    others = math.prod(degrees.values())
    data = said.get("data") or max(1, said.get("gpus", others) // others)
    gpus = said.get("gpus", data * others)
    if data * others > gpus and data % degrees["context"] == 0:  # FSDP's ranks with those of a sequence
        data //= degrees["context"]
    chunks = said.get("chunks", 2 if "interleaved" in words and degrees["pipeline"] > 1 else 1)
    parts = degrees["pipeline"] * (chunks if "torchtitan" in words else 1)
    rank_batch = said.get("rank_batch") or max(1, said.get("batch", 0) // data)
    micro = said.get("micro_batch") or max(1, rank_batch // said.get("micro_batches", parts))
    micros = max(1, said["batch"] // (data * micro)) if "batch" in said else max(parts, rank_batch // micro)
    micros = math.ceil(micros / degrees["pipeline"]) * degrees["pipeline"] if chunks > 1 else micros
    told = row.text("recompute", "activation_recompute", "activation_checkpointing", "ac", "recomputation",
                    "activation_ckpt").lower()  # fmt: skip
    recompute = next((how for how in ("selective", "full", "none") if how in told), "")
    if told in ("true", "yes", "1"):
        recompute = "full"
    if not recompute:
        recompute = "full" if re.search("bigscience|full activation|full ac|oom", words) else "none"
    torch = bool(re.search("torchtitan|fsdp|llama", words))
    if torch and recompute == "selective":
        recompute = "half"
    split = re.search("sequence.?parallel|selective", " ".join([*row.fields, words])) or torch
    told_split = row.text("sequence_parallel", "sp").lower()
    if told_split:
        split = told_split not in ("0", "false", "no", "none", "off")
    fused = not re.search("korthikanti|megatron|bigscience|vtrain", row.text("source").lower())
    zero = 1 if "bigscience" in words else stage
    return Plan(micros * data * micro, micro, data, chunks=chunks, zero=zero, recompute=recompute,
                sequence_parallel=bool(split) and degrees["tensor"] > 1, fused_attention=fused,
                precision="fp32" if "fp32" in words else "bf16", **degrees)  # fmt: skip
