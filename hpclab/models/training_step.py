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
from dataclasses import dataclass
from functools import cache

from hpclab.models import matmul, nccl
from hpclab.models.gpu_cluster import GpuCluster
from hpclab.models.nccl import Job
from hpclab.models.plan import Plan
from hpclab.models.transformer import Transformer


@dataclass(frozen=True)
class Fitted:
    """All that is fitted for training, to published steps, by tests/validation/test_training_refit.py."""

    sustained: float = 0.9  # share of the device's best matrix-product rate that is held through a step
    streamed: float = 0.8  # share of a plain copy's bandwidth that element-wise kernels reach
    launch: float = 40e-6  # seconds of the host for one kernel launched from Python
    attention: float = 0.5  # share of the matrix-product rate that fused attention reaches
    misaligned: float = 0.25  # the same of products whose rows are no multiple of 16 bytes


@dataclass(frozen=True)
class Software:
    """What training programs do differently; a table's source says which.

    `dropout` after attention and MLP and on unfused scores. `fused`: bias, activation, dropout and residual
    are one kernel each. `gradient_bytes` of a number when gradients are summed over ranks. `hide_tensor`,
    `hide_messages`: tensor parallel collectives and the pipeline's messages run behind products.
    """

    dropout: bool = False
    fused: bool = True
    gradient_bytes: int = 4
    hide_tensor: bool = False
    hide_messages: bool = False


@dataclass(frozen=True)
class Step:
    """`seconds` of a step; `parts` by name sum to them, `hidden` communication is not in them."""

    seconds: float
    parts: Mapping[str, float]
    hidden: Mapping[str, float]


@dataclass(frozen=True)
class Pass:
    """A micro-batch through one layer in one direction: seconds on the GPU, and how many kernels."""

    products: float
    attention: float
    elementwise: float
    tensor: float
    context: float
    kernels: int

    @property
    def gpu(self) -> float:
        return self.products + self.attention + self.elementwise + self.tensor + self.context


LOSS_BYTES = 40  # a logit: to float32, its largest, exponentials, sum, and back
OPTIMIZER_BYTES = 26  # a parameter: Adam reads and writes three numbers of 4 bytes, and writes a copy of 2
PRODUCTS, NORMS, OTHERS = 4, 2, 8  # kernels of a layer, forward; backward has twice as many


def predict(
    model: Transformer,
    plan: Plan,
    cluster: GpuCluster,
    software: Software = Software(),
    fitted: Fitted = Fitted(),
) -> Step:
    """The time of a step; ValueError where the model cannot be split so."""
    plan.refuse_unless_it_fits(model)
    setting = (model, plan.micro_batch, plan.tensor, plan.context, plan.sequence_parallel,
               plan.fused_attention, plan.precision, cluster, software, fitted)  # fmt: skip
    forward, backward = layer_passes(*setting)
    again = recomputed(forward, plan.recompute, plan.fused_attention)
    layers = model.layers // plan.pipeline
    sharded, hidden_shards = shards(model, plan, cluster, software, forward.gpu, backward.gpu + again)
    host = fitted.launch * layers
    waited = max(0.0, host * forward.kernels - layers * forward.gpu)
    more = forward.kernels * (plan.recompute == "full")
    waited += max(0.0, host * (backward.kernels + more) - layers * (backward.gpu + again))
    ends = [first_stage(*setting), last_stage(*setting)]
    extra = sum(ends) if plan.pipeline == 1 else max(ends)
    micro = plan.micro_batches
    parts = {
        name: micro * layers * (getattr(forward, field) + getattr(backward, field))
        for name, field in (("matrix products", "products"), ("attention", "attention"),
                            ("element-wise", "elementwise"), ("tensor parallel", "tensor"),
                            ("context parallel", "context"))
    }  # fmt: skip
    parts["recompute"] = micro * layers * again
    parts["embedding and logits"] = micro * extra
    parts["host"] = micro * waited
    parts["sharded parameters"] = micro * layers * sharded
    one = layers * (forward.gpu + backward.gpu + again) + waited
    parts["bubble"] = (plan.pipeline - 1) / plan.chunks * one + (plan.pipeline > 1) * min(ends) / plan.chunks
    parts["pipeline messages"] = messages(model, plan, cluster, software)
    window = layers * (backward.gpu + again)
    parts["gradients"], hidden_gradients = gradients(model, plan, cluster, software, window)
    parts["optimizer"] = optimizer(model, plan, cluster, software, fitted)
    hidden = {"sharded parameters": micro * layers * hidden_shards, "gradients": hidden_gradients}
    return Step(sum(parts.values()), parts, hidden)


@cache
def layer_passes(
    model: Transformer, sequences: int, tensor: int, context: int, split_norms: bool, fused_attention: bool,
    precision: str, cluster: GpuCluster, software: Software, fitted: Fitted,
) -> tuple[Pass, Pass]:  # fmt: skip
    """One layer, forward and backward, for `sequences` sequences."""
    unit = matmul.units(cluster.gpu, precision, fitted.sustained, fitted.misaligned)
    half = matmul.units(cluster.gpu, "bf16" if precision == "fp8" else precision, fitted.sustained,
                        fitted.misaligned)  # fmt: skip
    tokens = sequences * model.sequence // context
    ahead, back = products(model, tokens, tensor, unit)
    near, far = attention(model, sequences, tensor, context, fused_attention, half, fitted)
    bandwidth = unit.bandwidth * fitted.streamed
    move, moved = elementwise(model, sequences, tensor, context, split_norms, fused_attention, software)
    added = 8 * model.layer_parameters / tensor  # gradients are added up in float32
    sums = 0.0
    if tensor > 1 and not software.hide_tensor:
        sums = tensor_parallel(2 * tokens * model.hidden, cluster.group(tensor), split_norms)
    ring, rung = ring_attention(model, tokens, tensor, context, cluster, near, far)
    kernels = PRODUCTS + NORMS + OTHERS + (0 if fused_attention else 4) + (2 if tensor > 1 else 0)
    forward = Pass(ahead, near, move / bandwidth, sums, ring, kernels)
    backward = Pass(back, far, (moved + added) / bandwidth, sums, rung, 2 * kernels)
    return forward, backward


def products(model: Transformer, tokens: int, tensor: int, unit: matmul.Units) -> tuple[float, float]:
    """The four linear layers, forward, and backward for their inputs and their weights."""
    h, f = model.hidden, model.feed_forward // tensor
    mine = h // tensor
    forward = backward = 0.0
    for into, out in (
        (h, mine + 2 * model.kv_width // tensor),
        (mine, h),
        (h, (1 + model.gated) * f),
        (f, h),
    ):
        forward += matmul.seconds(tokens, out, into, unit)
        backward += matmul.seconds(tokens, into, out, unit) + matmul.seconds(into, out, tokens, unit)
    return forward, backward


def attention(
    model: Transformer, sequences: int, tensor: int, context: int, fused: bool, unit: matmul.Units,
    fitted: Fitted,
) -> tuple[float, float]:  # fmt: skip
    """Scores and weighted values. A fused kernel leaves out what is masked, and computes scores again."""
    heads, width = model.heads // tensor, model.hidden // model.heads
    rows = model.sequence // context
    if not fused:
        both = sequences * heads
        scores = matmul.seconds(rows, model.sequence, width, unit, both)
        values = matmul.seconds(rows, width, model.sequence, unit, both)
        return scores + values, 2 * (scores + values)
    flops = 4 * sequences * heads * rows * model.sequence * width / 2
    forward = flops / (unit.rate * fitted.attention)
    return forward, 2.5 * forward


def elementwise(
    model: Transformer, sequences: int, tensor: int, context: int, split_norms: bool, fused_attention: bool,
    software: Software,
) -> tuple[float, float]:  # fmt: skip
    """Bytes that everything but products reads and writes, forward and backward, in numbers of 2 bytes."""
    tokens = sequences * model.sequence // context
    whole = tokens * model.hidden / (tensor if split_norms else 1)
    wide = tokens * model.feed_forward / tensor
    mine = tokens * (model.hidden + 2 * model.kv_width) / tensor
    scores = 0.0 if fused_attention else sequences * model.heads / tensor * model.sequence**2 / context
    mask = 0.5 * software.dropout  # a byte
    more = 0 if software.fused else 2  # bias, activation, dropout, residual write and read once more
    norms = 2 * 2 * whole
    residuals = 2 * (3 + more + mask) * whole
    activation = (2 + model.gated + more) * wide
    heads = mine * (0 if fused_attention else 1) + (0 if model.positions else 2 * mine)
    softmax = (2 + (2 + mask) * software.dropout) * scores
    forward = norms + residuals + activation + heads + softmax
    backward = 2 * 4 * whole + residuals + (3 + 2 * model.gated + more) * wide + heads
    backward += (3 + (2 + mask) * software.dropout) * scores
    if model.biases:
        backward += 2 * whole + wide + mine
    return 2 * forward, 2 * backward


def tensor_parallel(size: float, job: Job, split_norms: bool) -> float:
    """Seconds of a layer in one direction: two sums over the ranks, or gathers and scattered sums."""
    if split_norms:
        return 2 * sum(nccl.predict(what, size, job).seconds for what in ("all_gather", "reduce_scatter"))
    return 2 * nccl.predict("all_reduce", size, job).seconds


def ring_attention(
    model: Transformer, tokens: int, tensor: int, context: int, cluster: GpuCluster, near: float, far: float
) -> tuple[float, float]:
    """Keys and values that go round the ring while scores are computed: what of it is not hidden."""
    if context == 1:
        return 0.0, 0.0
    job = cluster.group(context, tensor)
    sent = nccl.predict("send_recv", 2 * tokens * 2 * model.kv_width / tensor, job).seconds
    steps = context - 1
    return steps * max(0.0, sent - near / context), steps * max(0.0, 2 * sent - far / context)


def recomputed(forward: Pass, how: str, fused_attention: bool) -> float:
    """Seconds of a layer's forward work that is done once more before going backward."""
    if how == "selective":  # scores: a fused kernel computes them again anyway
        return 0.0 if fused_attention else forward.attention
    return forward.gpu if how == "full" else 0.0


@cache
def last_stage(
    model: Transformer, sequences: int, tensor: int, context: int, split_norms: bool, fused_attention: bool,
    precision: str, cluster: GpuCluster, software: Software, fitted: Fitted,
) -> float:  # fmt: skip
    """Logits and loss of a micro-batch, forward and backward: a wide product, and many bytes."""
    unit = matmul.units(cluster.gpu, "bf16" if precision == "fp8" else precision, fitted.sustained,
                        fitted.misaligned)  # fmt: skip
    tokens, words = sequences * model.sequence // context, model.vocabulary // tensor
    h = model.hidden
    product = matmul.seconds(tokens, words, h, unit)
    product += matmul.seconds(tokens, h, words, unit) + matmul.seconds(h, words, tokens, unit)
    return product + LOSS_BYTES * tokens * words / (unit.bandwidth * fitted.streamed)


@cache
def first_stage(
    model: Transformer, sequences: int, tensor: int, context: int, split_norms: bool, fused_attention: bool,
    precision: str, cluster: GpuCluster, software: Software, fitted: Fitted,
) -> float:  # fmt: skip
    """The embedding of a micro-batch, forward and backward: rows looked up, and added to."""
    unit = matmul.units(cluster.gpu, "bf16" if precision == "fp8" else precision)
    size = 2 * sequences * model.sequence // context * model.hidden
    return 10 * size / (unit.bandwidth * fitted.streamed)


def messages(model: Transformer, plan: Plan, cluster: GpuCluster, software: Software) -> float:
    """Seconds that stages wait for each other's messages; each tensor-parallel rank sends its part."""
    if plan.pipeline == 1:
        return 0.0
    size = 2 * plan.micro_batch * model.sequence / plan.context * model.hidden / plan.tensor
    job = cluster.job(2, 1 if plan.gpus <= cluster.node_gpus else 2)
    one = nccl.predict("send_recv", size, job).seconds
    if plan.tensor > 1 and not plan.sequence_parallel:
        one += nccl.predict("all_gather", size * plan.tensor, cluster.group(plan.tensor)).seconds
    steady = 0 if software.hide_messages else plan.micro_batches * plan.chunks
    return 2 * one * (steady + plan.pipeline - 1)


def shards(
    model: Transformer, plan: Plan, cluster: GpuCluster, software: Software, forward: float, backward: float
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
    exposed = max(0.0, fetched - forward) + max(0.0, fetched + given - backward)
    return exposed, 2 * fetched + given - exposed


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
        exposed = whole - hidden
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
    return (OPTIMIZER_BYTES + 2 * software.gradient_bytes) * count / (roof.bandwidth * fitted.streamed)
