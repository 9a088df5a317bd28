"""How long a training step of a transformer takes: what lessons draw and `hpclab validate` scores.

A stage is some layers of kernels, a step the micro-batches through all stages, and then gradients and
optimizer. What to notice: the parts beside the matrix products are all small, and together they are a third
to a half.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

from hpclab.models import layer_kernels, nccl, overlap
from hpclab.models.gpu_cluster import GpuCluster
from hpclab.models.layer_kernels import FITTED, MODERN, Fitted, Software, Work
from hpclab.models.plan import ZERO, Plan
from hpclab.models.transformer import Transformer

OPTIMIZER = 34  # bytes a parameter: Adam reads four float32 and writes three, a norm reads one, a copy has 2
FLAT = 10  # bytes a parameter: gradients are laid out one after the other (4) and cast to float32 (6)


@dataclass(frozen=True)
class StepTime:
    """A modelled step: `parts` by name sum to `seconds`, communication `hidden` by computing is not in it."""

    seconds: float
    parts: Mapping[str, float]
    hidden: Mapping[str, float]


def predict(
    model: Transformer, plan: Plan, cluster: GpuCluster, software: Software = MODERN, fitted: Fitted = FITTED
) -> StepTime:
    """The time of a step; ValueError where the model cannot be split so, or the GPU lacks the precision.

    Layers that the stages do not divide are allowed: the first and the last stage then have fewer.
    """
    most = -(-model.layers // plan.pipeline)
    plan.refuse_unless_it_fits(replace(model, layers=most * plan.pipeline))
    alone = replace(plan, batch=plan.micro_batch, data=1, pipeline=1, chunks=1, zero=0, overlap=True)
    work = Work(model, alone, cluster, software, fitted)  # the same for many plans, so that it is kept
    computed = layer_times(work)
    fetched, hidden_fetched = sharding_time(work, plan, sum(computed.values()))
    layer = computed | {"sharded parameters": fetched}
    one = message(work, plan)
    layers, ends, filling, count = slowest_stage(work, plan, sum(layer.values()), one)
    parts = {name: plan.micro_batches * layers * seconds for name, seconds in layer.items()}
    parts["embedding and logits"] = plan.micro_batches * ends
    parts["bubble"] = filling / plan.chunks
    parts["pipeline messages"] = (plan.micro_batches * count + 2 * (plan.pipeline - 1)) * one
    held = (layers * model.layer_parameters + model.embedding_parameters) / plan.tensor
    backward = layers * sum(layer.values()) * 2 / 3
    parts["gradients"], hidden = gradients(work, plan, held, backward)
    mine = held / (ZERO[plan.zero].sharers(plan.replicas) if plan.shards("optimizer") else 1)
    parts["optimizer"] = OPTIMIZER * mine / work.units[work.half].bandwidth
    hidden_shards = plan.micro_batches * layers * hidden_fetched
    return StepTime(sum(parts.values()), parts, {"gradients": hidden, "sharded parameters": hidden_shards})


@cache
def collective(what: str, size: float, cluster: GpuCluster, ranks: int, stride: int = 1) -> float:
    """Seconds of the collective `what` of `size` bytes among `ranks`, every `stride`-th one of `cluster`."""
    return nccl.predict(what, size, cluster.group(ranks, stride)).seconds


@cache
def layer_times(work: Work) -> dict[str, float]:
    """Seconds of a micro-batch in one layer, forward and backward, by part; kept, so not to be changed."""
    forward, backward = layer_kernels.layer(work)
    unfused = [] if work.plan.fused_attention else [one for one in forward if one.part == "attention"]
    again = {"selective": unfused, "full": forward}.get(work.plan.recompute, [])  # fused it is anyway
    parts = dict.fromkeys(("matrix products", "attention", "element-wise"), 0.0)
    for kernel in forward + backward:
        parts[kernel.part] += kernel.seconds
    parts["recompute"] = layer_kernels.total(again)
    calls, parts["tensor parallel"] = tensor_parallel(work)
    parts["host"] = layer_kernels.host_wait(forward + again + backward, work, calls, parts["tensor parallel"])
    parts["context parallel"] = context_parallel(work, parts["attention"])
    return parts


def tensor_parallel(work: Work) -> tuple[int, float]:
    """How many collectives a layer has, and their seconds that nothing hides.

    Two sums over the ranks forward and two backward, and two more where forward runs twice. Where norms are
    split a sum is a scattered sum and a gather, and inputs are gathered again backward, which cannot be
    hidden. Each begins when the last rank is there, and ranks are about one launch apart.
    """
    plan, hides, again = work.plan, work.software.hide_tensor, work.plan.recompute == "full"
    if plan.tensor == 1:
        return 0, 0.0
    size, sums = 2.0 * work.tokens * work.model.hidden, 2 * (1 + again + (hides == "none"))
    names = ("all_gather", "reduce_scatter") if plan.split > 1 else ("all_reduce",)
    one = {name: work.fitted.launch + collective(name, size, work.cluster, plan.tensor) for name in names}
    calls, more = 2 * (2 + again) * len(names), 2 * (plan.split > 1)
    shown = sums * sum(one.values()) + more * one.get("all_gather", 0.0)
    return calls + more, 0.0 if hides == "all" else shown


def context_parallel(work: Work, attention: float) -> float:
    """Seconds of keys and values on their way round the ring that computing scores does not hide.

    Each of the other ranks' come once forward, and backward again together with their gradients.
    """
    ranks, tensor = work.plan.context, work.plan.tensor
    if ranks == 1:
        return 0.0
    size = 2.0 * 2 * work.tokens * work.model.kv_width / tensor
    sent = 3 * collective("send_recv", size, work.cluster, ranks, tensor)
    return (ranks - 1) * max(0.0, sent - attention / ranks)


@cache
def embedding_and_logits(work: Work) -> tuple[float, float]:
    """Seconds of a micro-batch (before the first layer, after the last), forward and backward."""
    first, last = (layer_kernels.total(kernels) + layer_kernels.host_wait(kernels, work)
                   for kernels in (layer_kernels.embedding(work), layer_kernels.logits(work)))  # fmt: skip
    return first, last


def slowest_stage(work: Work, plan: Plan, layer: float, one: float) -> tuple[int, float, float, int]:
    """The slowest stage's number of layers, its seconds beside them, all other stages' seconds, its messages.

    All for one micro-batch; a layer takes `layer` seconds and a message `one`. The pipeline is filled and
    drained once, while each stage waits for all others. Stages exchange messages both ways at once, so one
    between two others waits for two, the first and the last for one.
    """
    first, last = embedding_and_logits(work)
    most, least = -(-work.model.layers // plan.pipeline), work.model.layers // plan.pipeline
    if plan.pipeline == 1:
        return most, first + last, 0.0, 0
    inner = 0 if work.software.hide_messages else 2 * plan.chunks
    outer = inner if plan.chunks > 1 else inner // 2  # a chunk of any rank lies between two others
    least = most if plan.pipeline == 2 else least  # there is no stage between, which could have more
    at_end = least * layer + max(first, last) + outer * one
    layers, beside, count = least, max(first, last), outer
    if plan.pipeline > 2 and most * layer + inner * one > at_end:
        layers, beside, count = most, 0.0, inner
    return layers, beside, work.model.layers * layer + first + last - layers * layer - beside, count


def between_stages(what: str, size: float, work: Work, plan: Plan) -> float:
    """Seconds of a collective `what` of two stages: in one node if all stages fit into it, else in two."""
    inside = plan.gpus <= work.cluster.node_gpus
    return collective(what, size, work.cluster, 2, 1 if inside else work.cluster.node_gpus)


def message(work: Work, plan: Plan) -> float:
    """Seconds from stage to stage for a micro-batch's activations; each tensor rank sends its part."""
    if plan.pipeline == 1:
        return 0.0
    size = 2.0 * work.tokens * work.model.hidden
    if work.software.message_bandwidth:
        return size / work.software.message_bandwidth
    one = between_stages("send_recv", size / plan.tensor, work, plan)
    if plan.tensor > 1 and not plan.sequence_parallel:
        one += collective("all_gather", size, work.cluster, plan.tensor)
    return one


def sharding_time(work: Work, plan: Plan, computed: float) -> tuple[float, float]:
    """Seconds (exposed, hidden) of ZeRO's collectives of a micro-batch and layer of `computed` seconds.

    From stage 2 gradients are scattered at once, from stage 3 parameters fetched before either pass.
    """
    sent, sharers = ZERO[plan.zero].each_pass, ZERO[plan.zero].sharers(plan.replicas)
    if not sent or sharers == 1:
        return 0.0, 0.0
    count, group = work.model.layer_parameters / plan.tensor, (work.cluster, sharers, plan.tensor)
    fetched = collective("all_gather", 2 * count, *group) if "all_gather" in sent else 0.0
    given = laid_out = 0.0
    if "reduce_scatter" in sent:
        given = collective("reduce_scatter", work.software.gradient_bytes * count, *group)
        laid_out = work.moved(FLAT * count).seconds
    if not plan.overlap:
        return laid_out + 2 * fetched + given, 0.0
    exposed = max(0.0, fetched - computed / 3) + max(0.0, fetched + given - computed * 2 / 3)
    hidden = 2 * fetched + given - exposed
    return laid_out + exposed + disturbed(hidden, work.cluster), hidden


def disturbed(hidden: float, cluster: GpuCluster) -> float:
    """Seconds that products lose to a hidden collective, each of whose channels takes a multiprocessor."""
    return hidden * cluster.nvlink.channels / max(cluster.gpu.multiprocessors, cluster.nvlink.channels)


def gradients(work: Work, plan: Plan, count: float, backward: float) -> tuple[float, float]:
    """Seconds (exposed, hidden) of summing gradients of `count` parameters a rank over replicas, once a step.

    With overlap the last `backward` pass hides them, but for the last bucket (`overlap.send`). Where the
    embedding is also the output layer, the first and the last stage add up their gradients of it.
    """
    size = work.software.gradient_bytes
    sizes = {"all_reduce": size, "reduce_scatter": size, "all_gather": 2}  # of a parameter
    seconds, stage = 0.0, ZERO[plan.zero]
    for what, (ranks, every) in ((what, stage.among(what, plan.replicas)) for what in stage.once):
        if ranks > 1:
            seconds += collective(what, sizes[what] * count / every, work.cluster, ranks, plan.tensor * every)
    buckets = -(-work.model.layers // plan.pipeline)  # a layer each
    ready = [(place + 1) / buckets for place in range(buckets)]
    sent = overlap.send(backward, ready, [seconds / buckets] * buckets, plan.overlap)
    hidden, exposed = sent.hidden, sent.exposed + disturbed(sent.hidden, work.cluster)
    if plan.pipeline > 1 and work.model.tied:
        shared = size * work.model.hidden * work.model.vocabulary / plan.tensor
        exposed += between_stages("all_reduce", shared, work, plan)
    return exposed, hidden
