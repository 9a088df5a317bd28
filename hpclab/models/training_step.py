"""How long a training step of a transformer takes: what lessons draw and `hpclab validate` scores.

    model = Transformer(layers=80, hidden=12288, heads=96, sequence=2048, vocabulary=51200)
    step = predict(model, Plan(2304, 2, data=24, tensor=8, pipeline=8, chunks=2), named("dgx-a100"))
    step.parts          # seconds by part; they sum to step.seconds
    step.hidden         # communication that ran while something computed, in seconds

A layer is kernels (`layer_kernels.py`), a stage some layers, a step the micro-batches through all stages, and
then gradients and optimizer. Every collective is `nccl.predict`'s. What to notice: the parts beside the
matrix products are all small, and together they are a third to a half.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

from hpclab.models import layer_kernels, nccl, overlap
from hpclab.models.gpu_cluster import GpuCluster
from hpclab.models.layer_kernels import FITTED, MODERN, Fitted, Software, Work
from hpclab.models.plan import Plan
from hpclab.models.transformer import Transformer

OPTIMIZER = 34  # bytes a parameter: Adam reads four float32 and writes three, a norm reads one, a copy has 2
FLAT = 10  # bytes a parameter: gradients are laid out one after the other (4) and cast to float32 (6)


@dataclass(frozen=True)
class Step:
    """`seconds` of a step; `parts` by name sum to them, `hidden` communication is not in them."""

    seconds: float
    parts: Mapping[str, float]
    hidden: Mapping[str, float]


def predict(
    model: Transformer,
    plan: Plan,
    cluster: GpuCluster,
    software: Software = MODERN,
    fitted: Fitted = FITTED,
) -> Step:
    """The time of a step; ValueError where the model cannot be split so, or the GPU lacks the precision.

    Layers that the stages do not divide are allowed: the first and the last stage then have fewer.
    """
    most = -(-model.layers // plan.pipeline)
    plan.refuse_unless_it_fits(replace(model, layers=most * plan.pipeline))
    work = Work(model, plan.micro_batch, plan.tensor, plan.context, plan.sequence_parallel,
                plan.fused_attention, plan.precision, cluster, software, fitted)  # fmt: skip
    computed = layer_times(work, plan.recompute)
    fetched, hidden_fetched = shards(work, plan, sum(computed.values()))
    layer = computed | {"sharded parameters": fetched}
    layers, ends, filling = slowest_stage(work, plan, sum(layer.values()))
    parts = {name: plan.micro_batches * layers * seconds for name, seconds in layer.items()}
    parts["embedding and logits"] = plan.micro_batches * ends
    parts["bubble"] = filling / plan.chunks
    parts["pipeline messages"] = messages(work, plan)
    count = layers * model.layer_parameters + model.embedding_parameters
    backward = layers * sum(layer.values()) * 2 / 3
    parts["gradients"], hidden = gradients(work, plan, count / plan.tensor, backward)
    parts["optimizer"] = optimizer(work, plan, count / plan.tensor)
    hidden_shards = plan.micro_batches * layers * hidden_fetched
    return Step(sum(parts.values()), parts, {"gradients": hidden, "sharded parameters": hidden_shards})


@cache
def collective(what: str, size: float, cluster: GpuCluster, ranks: int, stride: int = 1) -> float:
    """Seconds of a collective of `size` bytes among every `stride`-th rank."""
    return nccl.predict(what, size, cluster.group(ranks, stride)).seconds


@cache
def layer_times(work: Work, recompute: str) -> dict[str, float]:
    """Seconds of a micro-batch in one layer, forward and backward, by part; kept, so not to be changed."""
    forward, backward = layer_kernels.layer(work)
    again = layer_kernels.recomputed(forward, recompute, work.fused_attention)
    parts = dict.fromkeys(("matrix products", "attention", "element-wise"), 0.0)
    for kernel in forward + backward:
        parts[kernel.part] += kernel.seconds
    parts["recompute"] = layer_kernels.total(again)
    parts["host"] = layer_kernels.waited(forward + again + backward, work)
    parts["tensor parallel"] = tensor_parallel(work, recompute == "full")
    parts["context parallel"] = context_parallel(work, parts["attention"])
    return parts


def tensor_parallel(work: Work, again: bool) -> float:
    """Seconds of a layer's collectives that nothing hides: two sums over the ranks forward and two backward.

    Where norms are split a sum is a scattered sum and a gather, and inputs are gathered again backward; of
    the backward ones a gather before each pair of products cannot be hidden. `again`: forward runs twice.
    """
    if work.tensor == 1 or work.software.hide_tensor == "all":
        return 0.0
    size, shown = 2.0 * work.tokens * work.model.hidden, work.software.hide_tensor == "none"
    if not work.split_norms:
        return 2 * (1 + again + shown) * collective("all_reduce", size, work.cluster, work.tensor)
    gather, scatter = (collective(what, size, work.cluster, work.tensor)
                       for what in ("all_gather", "reduce_scatter"))  # fmt: skip
    return 2 * (1 + again + shown) * (gather + scatter) + 2 * gather


def context_parallel(work: Work, attention: float) -> float:
    """Seconds of keys and values on their way round the ring that computing scores does not hide.

    Each of the other ranks' come once forward, and backward again together with their gradients.
    """
    if work.context == 1:
        return 0.0
    size = 2.0 * 2 * work.tokens * work.model.kv_width / work.tensor
    sent = 3 * collective("send_recv", size, work.cluster, work.context, work.tensor)
    return (work.context - 1) * max(0.0, sent - attention / work.context)


@cache
def ends(work: Work) -> tuple[float, float]:
    """Seconds of a micro-batch before the first layer, and after the last, forward and backward."""
    first, last = layer_kernels.embedding(work), layer_kernels.logits(work)
    return (layer_kernels.total(first) + layer_kernels.waited(first, work),
            layer_kernels.total(last) + layer_kernels.waited(last, work))  # fmt: skip


def slowest_stage(work: Work, plan: Plan, layer: float) -> tuple[int, float, float]:
    """The slowest stage's layers, its seconds beside them, and what all other stages together take.

    All of a micro-batch; a layer takes `layer` seconds. The pipeline is filled and drained once, while each
    stage waits for all others: with equal stages and m micro-batches that is (stages − 1) / m of the step.
    """
    first, last = ends(work)
    most, least = -(-work.model.layers // plan.pipeline), work.model.layers // plan.pipeline
    if plan.pipeline == 1:
        return most, first + last, 0.0
    least = most if plan.pipeline == 2 else least  # there is no stage between, which could have more
    beside = max(first, last) if least * layer + max(first, last) >= most * layer else 0.0
    layers = least if beside else most
    everything = work.model.layers * layer + first + last
    return layers, beside, everything - layers * layer - beside


def apart(work: Work, plan: Plan) -> int:
    """How many ranks two stages are apart: in one node if all fit into it, else in two."""
    return 1 if plan.gpus <= work.cluster.node_gpus else work.cluster.node_gpus


def messages(work: Work, plan: Plan) -> float:
    """Seconds that stages wait for activations and their gradients; each tensor rank sends its part."""
    if plan.pipeline == 1:
        return 0.0
    size = 2.0 * work.tokens * work.model.hidden
    one = collective("send_recv", size / plan.tensor, work.cluster, 2, apart(work, plan))
    if plan.tensor > 1 and not plan.sequence_parallel:
        one += collective("all_gather", size, work.cluster, plan.tensor)
    if work.software.message_bandwidth:
        one = size / work.software.message_bandwidth
    steady = 0 if work.software.hide_messages else plan.micro_batches * plan.chunks
    return 2 * one * (steady + plan.pipeline - 1)


def shards(work: Work, plan: Plan, computed: float) -> tuple[float, float]:
    """ZeRO's collectives of a micro-batch and layer, which `computed` seconds may hide: (exposed, hidden).

    From stage 2 gradients are scattered at once, from stage 3 parameters fetched before either pass.
    """
    ranks = plan.data * plan.context
    if plan.zero < 2 or ranks == 1:
        return 0.0, 0.0
    count, group = work.model.layer_parameters / plan.tensor, (work.cluster, ranks, plan.tensor)
    given = collective("reduce_scatter", work.software.gradient_bytes * count, *group)
    fetched = collective("all_gather", 2 * count, *group) if plan.zero == 3 else 0.0
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
    """Sums over data-parallel ranks once a step, of `count` parameters a rank: seconds (exposed, hidden).

    With overlap the last `backward` pass hides them, but for the last bucket (`overlap.send`). Where the
    embedding is also the output layer, the first and the last stage add up their gradients of it.
    """
    ranks, size = plan.data * plan.context, work.software.gradient_bytes
    wanted = {0: {"all_reduce": size}, 1: {"reduce_scatter": size, "all_gather": 2}, 2: {"all_gather": 2}}
    seconds = sum(collective(what, size * count, work.cluster, ranks, plan.tensor)
                  for what, size in wanted.get(plan.zero, {}).items() if ranks > 1)  # fmt: skip
    buckets = -(-work.model.layers // plan.pipeline)  # a layer each
    ready = [(place + 1) / buckets for place in range(buckets)]
    sent = overlap.send(backward, ready, [seconds / buckets] * buckets, plan.overlap)
    hidden, exposed = sent.hidden, sent.exposed + disturbed(sent.hidden, work.cluster)
    if plan.pipeline > 1 and work.model.tied:
        shared = size * work.model.hidden * work.model.vocabulary / plan.tensor
        exposed += collective("all_reduce", shared, work.cluster, 2, apart(work, plan))
    return exposed, hidden


def optimizer(work: Work, plan: Plan, count: float) -> float:
    """Adam in mixed precision: bytes over bandwidth, for all `count` parameters or for a rank's shard."""
    bandwidth = work.units[work.half].bandwidth
    return OPTIMIZER * count / (plan.data * plan.context if plan.zero else 1) / bandwidth
