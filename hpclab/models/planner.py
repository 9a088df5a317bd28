"""Which plans train a model on a cluster, fastest first: all degrees that divide, and what fits in memory.

What to notice: memory decides first, and costs nothing to compute; of what is left most plans are slow for
one reason each, which `step.parts` names.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product

from hpclab import checks
from hpclab.models import memory, training_step
from hpclab.models.gpu_cluster import GpuCluster
from hpclab.models.memory import Memory
from hpclab.models.plan import ZERO, Plan
from hpclab.models.training_step import StepTime
from hpclab.models.transformer import Transformer

MICRO_BATCHES, CHUNKS, CONTEXT = (1, 2, 4, 8, 16), (1, 2, 3, 4, 6), (1, 2, 4, 8)
LONG = 16384  # tokens of a sequence from which splitting it is tried


@dataclass(frozen=True)
class Ranked:
    """A plan, its step's time by part, and the Memory of its fullest rank."""

    plan: Plan
    step: StepTime
    memory: Memory


def plans(model: Transformer, cluster: GpuCluster, gpus: int, batch: int) -> list[Ranked]:
    """Plans for `batch` sequences a step on all of `gpus`, fastest first; empty where none fits.

    Tensor parallelism stays within a node and always splits norms (sequence parallelism), attention is fused.
    Plans that shard or recompute more than it takes to fit are left out.
    """
    checks.integer("gpus", gpus, 1, 2**20)
    checks.integer("batch", batch, 1, 2**24)
    return ranked(model, cluster, _leanest(model, cluster, _layouts(model, cluster, gpus, batch)))


def ranked(model: Transformer, cluster: GpuCluster, candidates: Iterable[Plan]) -> list[Ranked]:
    """The `candidates`, each with its step's time and its memory, fastest first."""
    found = (Ranked(plan, training_step.predict(model, plan, cluster), memory.peak(model, plan))
             for plan in candidates)  # fmt: skip
    return sorted(found, key=lambda one: one.step.seconds)


def refusal(model: Transformer, plan: Plan, cluster: GpuCluster) -> str:
    """Why `plan` cannot run on `cluster`, in one clause; "" where it can."""
    full = memory.with_full_stages(model, plan)
    if full.layers > model.layers + 2:  # one fewer on the first and on the last stage is usual
        return f"pipeline = {plan.pipeline} does not divide the model's {model.layers} layers"
    try:
        plan.refuse_unless_it_fits(full)
    except ValueError as error:
        return str(error).rstrip(".")
    if model.kv_heads % plan.tensor:
        return f"tensor = {plan.tensor} does not divide the model's {model.kv_heads} key heads"
    if plan.tensor > cluster.node_gpus:
        return f"tensor = {plan.tensor} is more than the {cluster.node_gpus} GPUs of a node"
    needed, has = memory.peak(model, plan).total, memory.usable(cluster.memory)
    if needed > has:
        return f"it needs {needed / 2**30:.0f} GiB, a GPU has {has / 2**30:.0f}"
    return ""


def _layouts(model: Transformer, cluster: GpuCluster, gpus: int, batch: int) -> Iterator[Plan]:
    """Plans whose degrees divide model, GPUs and batch, without ZeRO and recomputation, which come later."""
    tensors = [t for t in _divisors(gpus) if t <= cluster.node_gpus and model.kv_heads % t == 0]
    contexts = CONTEXT if model.sequence >= LONG else (1,)
    for tensor, context, micro, chunks in product(tensors, contexts, MICRO_BATCHES, CHUNKS):
        for pipeline in _divisors(gpus // (tensor * context)):
            data = gpus // (tensor * context * pipeline)
            fills = data * tensor * context * pipeline == gpus and batch % (data * micro) == 0
            if (
                fills
                and model.layers % (pipeline * chunks) == 0
                and (chunks == 1 or (pipeline > 1 and batch // (data * micro) % pipeline == 0))
            ):
                yield Plan(batch, micro, data, tensor, pipeline, context, chunks,
                           sequence_parallel=tensor > 1)  # fmt: skip


def _leanest(model: Transformer, cluster: GpuCluster, shapes: Iterable[Plan]) -> Iterator[Plan]:
    """Each of `shapes` with the ZeRO stage that shards least and fits, without recomputation; and with all of
    it, where a stage that shards less then fits."""
    for shape in shapes:
        stages = sorted(range(1, len(ZERO)), key=lambda stage: -sum(memory.states(1, stage, shape.replicas)))
        stages = stages if shape.replicas > 1 else [0]
        for recompute in ("none", "full"):
            tried = (replace(shape, zero=stage, recompute=recompute) for stage in stages)
            fits = next((plan for plan in tried if not refusal(model, plan, cluster)), None)
            if fits:
                yield fits
                stages = stages[: stages.index(fits.zero)]


def _divisors(number: int) -> list[int]:
    return [one for one in range(1, number + 1) if number % one == 0]
