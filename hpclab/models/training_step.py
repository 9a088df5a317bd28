"""How long a training step of a transformer takes, term by term: what lessons draw and `hpclab validate`
scores.

    model = Transformer(layers=80, hidden=12288, heads=96, sequence=2048, vocabulary=51200)
    step = predict(model, Plan(2304, 2, data=24, tensor=8, pipeline=8, chunks=2), named("dgx-a100"))
    step.parts          # seconds by part; they sum to step.seconds
    step.hidden         # communication that ran while something computed, in seconds

A layer is a few kernels; a stage is some layers, with the embedding before the first or the logits after the
last; a step is the micro-batches through all stages, then gradients and optimizer. What to notice: the parts
beside the matrix products are all small, and together they are a third to a half.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

from hpclab.models import matmul, nccl
from hpclab.models.gpu_cluster import GpuCluster
from hpclab.models.plan import Plan
from hpclab.models.transformer import Transformer


@dataclass(frozen=True)
class Fitted:
    """All that is fitted for training, to published steps, by tests/validation/test_training_refit.py."""

    sustained: float = 0.98  # share of the device's best matrix-product rate that is held through a step
    streamed: float = 0.68  # share of a plain copy's bandwidth that element-wise kernels reach
    launch: float = 73e-6  # seconds of the host for one kernel launched from Python
    gap: float = 10e-6  # seconds from one kernel to the next: the units empty and fill, and little copies between
    misaligned: float = 0.33  # the same of products whose rows are no multiple of 16 bytes


# Shares of the peak rate that fused attention kernels were published to reach: the first one on an A100 25 to 40 %,
# FlashAttention-2 on an A100 50 to 73 % (Dao, arXiv 2307.08691, abstract) and on an H100 35 %, the third, and
# cuDNN's, 1.5 to 2 times that (Shah et al., arXiv 2407.08608, abstract).
FLASH_1, FLASH_2_HOPPER, FLASH_3 = 0.33, 0.35, 0.525


@dataclass(frozen=True)
class Software:
    """What training programs do differently; a table's source says which.

    `dropout` after attention and MLP and on unfused scores. `fused`: bias, activation, dropout and residual
    are one kernel each. `gradient_bytes` of a number when gradients are summed over ranks. `hide_tensor`:
    which tensor parallel collectives run behind products, "none", those "backward" that a product for weights
    can hide, or "all". `hide_messages`: so do the pipeline's, once it is filled. `message_bandwidth` between stages in bytes/s, 0 for what NCCL gets. `flash` is the share of the peak rate
    that the fused attention kernel reaches.
    """

    dropout: bool = False
    fused: bool = True
    gradient_bytes: int = 4
    hide_tensor: str = "none"
    hide_messages: bool = False
    message_bandwidth: float = 0.0
    flash: float = FLASH_3


@dataclass(frozen=True)
class Step:
    """`seconds` of a step; `parts` by name sum to them, `hidden` communication is not in them."""

    seconds: float
    parts: Mapping[str, float]
    hidden: Mapping[str, float]


class Kernel(NamedTuple):
    part: str
    seconds: float


Pass = tuple[Kernel, ...]
LOSS = (
    6,
    8,
    8,
    4,
    8,
    6,
)  # bytes a logit: to float32, less the largest, exponentials, sum, gradient, and back
LITTLE = 20  # kernels on indices, masks and means before the first layer, and as many after the last
OPTIMIZER_BYTES = (
    34  # a parameter: Adam reads four numbers of 4 bytes and writes three, a norm reads one, a copy has 2
)


@dataclass(frozen=True)
class Share:
    """What one rank has of a micro-batch, on what and with what: all that its kernels depend on."""

    model: Transformer
    sequences: int
    tensor: int
    context: int
    split_norms: bool
    fused_attention: bool
    precision: str
    cluster: GpuCluster
    software: Software
    fitted: Fitted

    @property
    def tokens(self) -> int:
        return self.sequences * self.model.sequence // self.context

    def units(self, precision: str) -> matmul.Units:
        return matmul.units(self.cluster.gpu, precision, self.fitted.sustained, self.fitted.misaligned)

    def product(
        self, m: int, n: int, k: int, precision: str, batch: int = 1, part: str = "matrix products"
    ) -> Kernel:
        return Kernel(part, self.fitted.gap + matmul.seconds(m, n, k, self.units(precision), batch))

    def moved(self, size: float, part: str = "element-wise") -> Kernel:
        """A kernel that reads and writes `size` bytes."""
        return Kernel(part, self.fitted.gap + size / (self.units(self.half).bandwidth * self.fitted.streamed))

    @property
    def half(self) -> str:
        """The precision of what FP8 leaves out: attention, logits."""
        return "bf16" if self.precision == "fp8" else self.precision


def predict(
    model: Transformer,
    plan: Plan,
    cluster: GpuCluster,
    software: Software = Software(),
    fitted: Fitted = Fitted(),
) -> Step:
    """The time of a step; ValueError where the model cannot be split so."""
    most, least = -(-model.layers // plan.pipeline), model.layers // plan.pipeline
    plan.refuse_unless_it_fits(model if most == least else replace(model, layers=most * plan.pipeline))
    share = Share(model, plan.micro_batch, plan.tensor, plan.context, plan.sequence_parallel,
                  plan.fused_attention, plan.precision, cluster, software, fitted)  # fmt: skip
    layer, sums, ring = layer_times(share, plan.recompute)
    computed = sum(layer.values())
    fetched, hidden_fetch = shards(model, plan, cluster, software, computed)
    one = computed + sums + ring + fetched
    layers, extra, filling = stages(plan, one, most, least, *ends(share))
    micro = plan.micro_batches
    parts = {name: micro * layers * seconds for name, seconds in layer.items()}
    parts["tensor parallel"] = micro * layers * sums
    parts["context parallel"] = micro * layers * ring
    parts["sharded parameters"] = micro * layers * fetched
    parts["embedding and logits"] = micro * extra
    parts["bubble"] = filling / plan.chunks
    parts["pipeline messages"] = messages(model, plan, cluster, software)
    window = layers * one * 2 / 3
    parts["gradients"], hidden_gradients = gradients(model, plan, cluster, software, window)
    parts["optimizer"] = optimizer(model, plan, cluster, software, fitted)
    hidden = {"sharded parameters": micro * layers * hidden_fetch, "gradients": hidden_gradients}
    return Step(sum(parts.values()), parts, hidden)


def stages(plan: Plan, one: float, most: int, least: int, first: float, last: float) -> tuple[int, float, float]:
    """Layers of the slowest stage, what it has besides, and what all others together take of a micro-batch.

    `one` is a layer. Where stages cannot have as many layers each, the first and last have fewer.
    """
    if plan.pipeline == 1:
        return most, first + last, 0.0
    middle = most * one if plan.pipeline > 2 or most == least else 0.0
    if max(first, last) + least * one >= middle:
        layers, extra = least, max(first, last)
    else:
        layers, extra = most, 0.0
    every = (plan.pipeline - 2) * most * one + 2 * least * one + first + last
    return layers, extra, every - layers * one - extra


@cache
def layer_times(share: Share, recompute: str) -> tuple[dict[str, float], float, float]:
    """Seconds of a layer forward and backward: of kernels by part, of tensor and of context parallelism."""
    forward, backward = layer_kernels(share)
    again = recomputed(forward, recompute, share.fused_attention)
    every = forward + backward + again
    parts = dict.fromkeys(("matrix products", "attention", "element-wise"), 0.0)
    for kernel in forward + backward:
        parts[kernel.part] += kernel.seconds
    parts["recompute"] = sum(kernel.seconds for kernel in again)
    parts["host"] = waited(every, share)
    sums = 0.0
    if share.tensor > 1:
        sums = tensor_parallel(share, recompute)
    return parts, sums, ring_attention(share, parts["attention"])


def waited(kernels: Pass, share: Share) -> float:
    """Seconds that the GPU waits for the host, which launches while the GPU computes."""
    return max(0.0, share.fitted.launch * len(kernels) - sum(kernel.seconds for kernel in kernels))


def layer_kernels(share: Share) -> tuple[Pass, Pass]:
    """The kernels of a layer, forward and backward."""
    forward, backward = list[Kernel](), list[Kernel]()
    for parts in (products(share), attention(share), elementwise(share)):
        forward += parts[0]
        backward += parts[1]
    return tuple(forward), tuple(backward)


def products(share: Share) -> tuple[list[Kernel], list[Kernel]]:
    """The four linear layers, forward, and backward for their inputs and their weights."""
    model, tensor, tokens, kind = share.model, share.tensor, share.tokens, share.precision
    h, mine, f = model.hidden, model.hidden // tensor, model.feed_forward // tensor
    shapes = ((h, mine + 2 * model.kv_width // tensor), (mine, h), (h, (1 + model.gated) * f), (f, h))
    forward = [share.product(tokens, out, into, kind) for into, out in shapes]
    backward = [share.product(tokens, into, out, kind) for into, out in shapes]
    return forward, backward + [share.product(into, out, tokens, kind) for into, out in shapes]


def attention(share: Share) -> tuple[list[Kernel], list[Kernel]]:
    """Scores, softmax, weighted values. A fused kernel leaves out what is masked, and computes scores again."""
    model = share.model
    both, width = share.sequences * model.heads // share.tensor, model.hidden // model.heads
    rows = model.sequence // share.context
    if share.fused_attention:
        flops = 4 * both * rows * model.sequence * width / 2
        peak = share.cluster.gpu.roof(share.half, "peak").rate
        forward = Kernel("attention", flops / (peak * share.software.flash))
        return [forward], [Kernel("attention", 2.5 * forward.seconds)]
    scores = share.product(rows, model.sequence, width, share.half, both, "attention")
    values = share.product(rows, width, model.sequence, share.half, both, "attention")
    size = 2 * both * rows * model.sequence
    softmax, back = share.moved(2 * size, "attention"), share.moved(3 * size, "attention")
    dropped = [share.moved(2.5 * size, "attention")] * share.software.dropout
    return [scores, softmax, *dropped, values], [values, *dropped, back, scores, values, values]


def elementwise(share: Share) -> tuple[list[Kernel], list[Kernel]]:
    """All else, bound by the bytes that are read and written: here in numbers of two bytes."""
    model, software = share.model, share.software
    whole = 2 * share.tokens * model.hidden / (share.tensor if share.split_norms else 1)
    wide = 2 * share.tokens * model.feed_forward / share.tensor
    heads = 2 * share.tokens * (model.hidden + 2 * model.kv_width) / share.tensor
    mine = 2 * share.tokens * model.hidden / share.tensor
    mask = 0.5 * software.dropout  # a byte
    forward = [2 * whole, 2 * whole, (3 + mask) * whole, (3 + mask) * whole, (2 + model.gated) * wide]
    backward = [4 * whole, 4 * whole, 2 * whole, 2 * whole, (2 + mask) * whole, (2 + mask) * whole,
                (3 + 2 * model.gated) * wide]  # fmt: skip
    if not software.fused:
        forward += [2 * whole, 2 * whole, 2 * wide]
        backward += [2 * wide]
    if share.precision == "fp8" and not software.fused:  # cast, and turned over for the backward product
        forward += [2 * whole, 2 * mine, 2 * whole, 2 * wide, 2 * model.layer_parameters / share.tensor]
        backward += [2 * heads, 2 * whole, 2 * wide, 2 * whole]
    if not model.positions:  # rotated instead
        forward += [2 * heads]
        backward += [2 * heads]
    if not share.fused_attention:
        forward += [heads]
        backward += [heads, heads]
    if model.biases:
        backward += [whole, whole, wide, heads]
    backward += [8 * model.layer_parameters / share.tensor]  # gradients are added up in float32
    return [share.moved(size) for size in forward], [share.moved(size) for size in backward]


def tensor_parallel(share: Share, recompute: str) -> float:
    """Seconds of a layer's collectives that nothing hides: two sums over the ranks forward, and two backward.

    Where norms are split each is a gather and a scattered sum, and backward the inputs are gathered again.
    """
    if share.software.hide_tensor == "all":
        return 0.0
    size, job = 2 * share.tokens * share.model.hidden, share.cluster.group(share.tensor)
    backward = share.software.hide_tensor == "none"
    if not share.split_norms:
        return (2 + 2 * backward + 2 * (recompute == "full")) * nccl.predict("all_reduce", size, job).seconds
    gather, scatter = (nccl.predict(what, size, job).seconds for what in ("all_gather", "reduce_scatter"))
    again = 2 * (gather + scatter) * (recompute == "full")
    return 2 * (gather + scatter) + again + 2 * gather + backward * 2 * (gather + scatter)


def ring_attention(share: Share, computed: float) -> float:
    """Keys and values that go round the ring while scores are computed: what of it is not hidden."""
    if share.context == 1:
        return 0.0
    job = share.cluster.group(share.context, share.tensor)
    size = 2 * share.tokens * 2 * share.model.kv_width / share.tensor
    sent = 3 * nccl.predict("send_recv", size, job).seconds
    return (share.context - 1) * max(0.0, sent - computed / share.context)


def recomputed(forward: Pass, how: str, fused_attention: bool) -> Pass:
    """The kernels of the forward pass that run once more before the backward one."""
    if how == "selective":  # scores, which a fused kernel computes again anyway
        return () if fused_attention else tuple(kernel for kernel in forward if kernel.part == "attention")
    return forward if how == "full" else ()


@cache
def ends(share: Share) -> tuple[float, float]:
    """What a micro-batch takes before the first layer and after the last one, forward and backward."""
    h, words, tokens = share.model.hidden, share.model.vocabulary // share.tensor, share.tokens
    shapes = ((tokens, words, h), (tokens, h, words), (h, words, tokens))
    logits = [share.product(*shape, share.half) for shape in shapes]
    loss = [share.moved(size * tokens * words) for size in LOSS]
    embedding = [share.moved(size * 2 * tokens * h) for size in (2, 3, 2, 2, 3)]
    little = [share.moved(0)] * LITTLE
    first, last = tuple(embedding + little), tuple(logits + loss + little)
    return tuple(sum(one.seconds for one in kernels) + waited(kernels, share) for kernels in (first, last))  # type: ignore[return-value]


def messages(model: Transformer, plan: Plan, cluster: GpuCluster, software: Software) -> float:
    """Seconds that stages wait for each other's messages; each tensor-parallel rank sends its part."""
    if plan.pipeline == 1:
        return 0.0
    size = 2 * plan.micro_batch * model.sequence / plan.context * model.hidden / plan.tensor
    job = cluster.job(2, 1 if plan.gpus <= cluster.node_gpus else 2)
    one = nccl.predict("send_recv", size, job).seconds
    if software.message_bandwidth:
        one = size * plan.tensor / software.message_bandwidth
    elif plan.tensor > 1 and not plan.sequence_parallel:
        one += nccl.predict("all_gather", size * plan.tensor, cluster.group(plan.tensor)).seconds
    steady = 0 if software.hide_messages else plan.micro_batches * plan.chunks
    return 2 * one * (steady + plan.pipeline - 1)


def shards(
    model: Transformer, plan: Plan, cluster: GpuCluster, software: Software, computed: float
) -> tuple[float, float]:
    """ZeRO-3: a layer's parameters fetched before either pass, gradients scattered; (exposed, hidden)."""
    if plan.zero < 3 or plan.data == 1:
        return 0.0, 0.0
    job = cluster.group(plan.data * plan.context, plan.tensor)
    count = model.layer_parameters / plan.tensor
    fetched = nccl.predict("all_gather", 2 * count, job).seconds
    given = nccl.predict("reduce_scatter", software.gradient_bytes * count, job).seconds
    if not plan.overlap:
        return 2 * fetched + given, 0.0
    exposed = max(0.0, fetched - computed / 3) + max(0.0, fetched + given - computed * 2 / 3)
    hidden = 2 * fetched + given - exposed
    return exposed + disturbed(hidden, cluster), hidden


def disturbed(hidden: float, cluster: GpuCluster) -> float:
    """Seconds that products lose to a hidden collective, whose channels occupy a multiprocessor each."""
    return hidden * cluster.nvlink.channels / (cluster.gpu.multiprocessors or cluster.nvlink.channels)


def gradients(
    model: Transformer, plan: Plan, cluster: GpuCluster, software: Software, window: float
) -> tuple[float, float]:
    """Gradients summed over data-parallel ranks after the last micro-batch: seconds exposed, and hidden."""
    exposed = hidden = 0.0
    ranks = plan.data * plan.context
    if ranks > 1 and plan.zero < 3:
        job = cluster.group(ranks, plan.tensor)
        count = stage_parameters(model, plan)
        whole = nccl.predict("all_reduce", software.gradient_bytes * count, job).seconds
        if plan.zero:
            whole = nccl.predict("reduce_scatter", software.gradient_bytes * count, job).seconds
            whole += nccl.predict("all_gather", 2 * count, job).seconds
        hidden = min(whole, window) if plan.overlap else 0.0
        exposed = whole - hidden + disturbed(hidden, cluster)
    if plan.pipeline > 1 and model.tied:
        size = software.gradient_bytes * model.hidden * model.vocabulary / plan.tensor
        job = cluster.job(2, 1 if plan.gpus <= cluster.node_gpus else 2)
        exposed += nccl.predict("all_reduce", size, job).seconds
    return exposed, hidden


def stage_parameters(model: Transformer, plan: Plan) -> float:
    """Parameters of a rank of the stage that has most: some layers and the token embedding."""
    return (model.layers // plan.pipeline * model.layer_parameters + model.embedding_parameters) / plan.tensor


def optimizer(
    model: Transformer, plan: Plan, cluster: GpuCluster, software: Software, fitted: Fitted
) -> float:
    """Adam in mixed precision: bytes over bandwidth, of all parameters or of a rank's shard."""
    roof = cluster.gpu.roof("bf16" if "bf16" in cluster.gpu.precisions else "fp16")
    count = stage_parameters(model, plan) / (plan.data * plan.context if plan.zero else 1)
    return OPTIMIZER_BYTES * count / roof.bandwidth
