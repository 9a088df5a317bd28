"""What a rank's memory holds at the peak of a training step, each term a line of arithmetic.

Parameters, gradients and optimizer states do not depend on the batch, and sharding divides them; activations
grow with tokens and only tensor, sequence and context parallelism or recomputation shrinks them.
"""

from dataclasses import astuple, dataclass, replace

from hpclab import checks
from hpclab.models.plan import ZERO, Plan
from hpclab.models.transformer import Transformer

MIXED, BYTES = (2, 2, 12), {"fp32": (4, 4, 8)}
"""Bytes of a parameter: its own, its gradient's, and Adam's: two float32 moments, in mixed precision beside a
float32 copy of the parameter (Rajbhandari et al., ZeRO, SC20, section 3.1: K = 12)."""
KINDS = ("parameters", "gradients", "optimizer")
CONTEXT = 1573 * 2**20
"""Bytes of a process on its GPU before it stores anything: CUDA's context and kernels, as measured on an A100
(BigScience, chronicles-prequel.md; 1,113 MiB on a V100)."""
NCCL = 1.5 * 2**30
"""Bytes of the communicators' buffers, where there is more than one GPU. Fitted; plausible 0.5 to 4 GiB."""
RESERVED = 1.12
"""What torch's allocator reserves over what is stored in it, as blocks of other sizes stay cached. Fitted;
plausible 1.0 to 1.3."""


@dataclass(frozen=True)
class Memory:
    """Bytes on one rank, by kind."""

    parameters: float
    gradients: float
    optimizer: float
    activations: float
    buffers: float  # whole layers for a moment, what the allocator has beyond its tensors, what is outside it

    @property
    def total(self) -> float:
        return sum(astuple(self))


def predict(model: Transformer, plan: Plan, stage: int = 0) -> Memory:
    """The Memory of a rank of pipeline stage `stage` (from 0); ValueError where the plan cannot split it."""
    stored = of_tensors(model, plan, stage)
    return replace(stored, buffers=stored.buffers + (RESERVED - 1) * stored.total + outside(plan))


def of_tensors(model: Transformer, plan: Plan, stage: int = 0) -> Memory:
    """The Memory of torch's tensors alone, without what the allocator reserves and what is outside of it."""
    model = with_full_stages(model, plan)
    plan.refuse_unless_it_fits(model)
    checks.integer("stage", stage, 0, plan.pipeline - 1)
    held = held_parameters(model, plan, stage)
    three = states(held, plan.zero, plan.replicas, BYTES.get(plan.precision, MIXED))
    now, whole = transient_bytes(model, plan, stage)
    return Memory(*three, kept_activations(model, plan, stage) + now, whole)


def peak(model: Transformer, plan: Plan) -> Memory:
    """The Memory of the fullest rank: the first stage holds most micro-batches, the last one the logits."""
    return max((predict(model, plan, stage) for stage in {0, plan.pipeline - 1}), key=lambda one: one.total)


def with_full_stages(model: Transformer, plan: Plan) -> Transformer:
    """`model` with as many layers in every stage as in the fullest; often the first and last have fewer."""
    return replace(model, layers=-(-model.layers // plan.pipeline) * plan.pipeline)


def states(
    held: float, zero: int, ranks: int, each: tuple[int, int, int] = MIXED
) -> tuple[float, float, float]:
    """Bytes of parameters, gradients and optimizer states on a rank, sharded over `ranks` by stage `zero`.

    `held`: parameters before sharding; `each`: the bytes of each kind for one of them. Rajbhandari et al.,
    figure 1: (2 + 2 + 12) · 7.5e9 = 120 GB, and 31.4, 16.6 and 1.9 GB with stages 1, 2 and 3 on 64 ranks.
    """
    parts = (ZERO[zero].sharers(ranks) if what in ZERO[zero].sharded else 1 for what in KINDS)
    weight, gradient, adam = (held * size / part for size, part in zip(each, parts, strict=True))
    return weight, gradient, adam


def outside(plan: Plan) -> float:
    """Bytes that nvidia-smi counts and torch's allocator does not."""
    return CONTEXT + (NCCL if plan.gpus > 1 else 0)


def usable(label: float) -> float:
    """Bytes that a process has of a GPU sold with `label` bytes: its GB are GiB, and the driver keeps 1 %.

    81,251 MiB of an A100 with "80 GB", 32,510 and 16,160 of a V100 with 32 and 16 (nvidia-smi).
    """
    return 0.99 * label / 1e9 * 2**30


def held_parameters(model: Transformer, plan: Plan, stage: int = 0) -> float:
    """Parameters of a stage on one tensor-parallel rank, before sharding.

    The matrices are split; norms, and biases of what comes out of a row-split matrix, are on every rank.
    Tied embeddings are on the first and on the last stage.
    """
    h, t = model.hidden, plan.tensor
    whole = (6 if model.biases else 2) * h
    held = model.layers / plan.pipeline * (whole + (model.layer_parameters - whole) / t)
    embedding = h * model.vocabulary / t
    if stage == 0:
        held += embedding + h * model.sequence * model.positions
    if stage == plan.pipeline - 1:
        held += h * (2 if model.biases else 1)
        held += 0 if stage == 0 and model.tied else embedding
    return held


def in_flight(plan: Plan, stage: int = 0) -> float:
    """Micro-batches whose activations a stage holds at once, in units of all of its layers.

    1F1B: one for each stage from here on. Interleaved: the chunks of Megatron-LM's warm-up, which on the
    first stage are p · (1 + (p - 1)/(p·v)) micro-batches (Korthikanti et al., section 4.2.3).
    """
    p, v = plan.pipeline, plan.chunks
    warm_up = p - stage if v == 1 else (2 * (p - stage - 1) + (v - 1) * p + 1) / v
    return min(warm_up, plan.micro_batches)


def layer_activations(model: Transformer, plan: Plan, recompute: str) -> float:
    """Bytes that one layer keeps of one micro-batch for its backward pass, with `recompute` of RECOMPUTE.

    For GPT-3's layer with dropout, in 16 bits and without parallelism, s·b·h·(34 + 5·a·s/h) (Korthikanti et
    al., equation 1): 4 the norms' inputs, 4 those of attention and MLP, 6 query, key and value, 2 attention's
    output, 16 inside the MLP, 2 dropout's masks; 5·a·s/h are softmax, its dropout's mask and output.
    Tensor parallelism splits what is inside attention and MLP (equation 2), sequence parallelism the rest.
    """
    h, f, size, tokens = model.hidden, model.feed_forward, element(plan), plan.tokens(model)
    if recompute == "full":
        return stream(model, plan)
    if recompute == "half":
        return tokens * size * (2 * h / plan.split + (2 * h + model.kv_width + f) / plan.tensor)
    attention, mlp = 2 * h + 2 * model.kv_width, (4 if model.gated else 2) * f
    whole = size * 4 * h + 2 * h * model.dropout
    scores = model.heads * model.sequence * (size + (size + 1) * model.dropout)
    if plan.fused_attention or recompute == "selective":
        scores = 0
    return tokens * (whole / plan.split + (size * (attention + mlp) + scores) / plan.tensor)


def kept_activations(model: Transformer, plan: Plan, stage: int) -> float:
    """Bytes kept for backward passes under way: activations, what a stage sent on, the last one's logits."""
    held = model.layers / plan.pipeline * layer_activations(model, plan, plan.recompute)
    sent = plan.chunks * stream(model, plan)
    if stage == plan.pipeline - 1:
        sent = (plan.pipeline > 1) * element(plan) * plan.tokens(model) * model.vocabulary / plan.tensor
    return in_flight(plan, stage) * (held + sent)


def transient_bytes(model: Transformer, plan: Plan, stage: int) -> tuple[float, float]:
    """Bytes of activations, and of layers whole in spite of sharding, held at the fuller of two moments only.

    The backward pass of a layer: what is recomputed of it, the gradients of its output and inside its MLP;
    its parameters and the next one's, its gradients and their float32 copy that is reduced. And the loss, on
    the last stage, with the inputs of the last norm and of the output layer, and of the logits in float32
    their log-softmax and two gradients (torch's `loss_parallel` takes one copy more). With sequence
    parallelism the stream and its gradient are gathered for the product under way. A pipeline with ZeRO 3
    keeps its whole stage between micro-batches, with gradients in float32 (as torchtitan does).
    """
    weight, gradient, _ = BYTES.get(plan.precision, MIXED)
    weight = weight if plan.shards("parameters") else 0
    gradient = gradient + 4 if plan.shards("gradients") else 0
    layer, output = model.layer_parameters / plan.tensor, model.hidden * model.vocabulary / plan.tensor
    one, tokens = stream(model, plan), plan.tokens(model)
    streams = 2 * plan.tensor * one if plan.sequence_parallel else 0
    there = layer_activations(model, plan, plan.recompute) if plan.recompute in ("none", "selective") else 0
    again = layer_activations(model, plan, "none") - there
    inside = (1 + model.gated) * element(plan) * tokens * model.feed_forward / plan.tensor
    moments = [(again + one + inside + streams, (2 * weight + gradient) * layer)]
    if stage == plan.pipeline - 1:
        logits = 4 * (3 if plan.tensor == 1 else 4) * tokens * model.vocabulary / plan.tensor
        moments.append((logits + 2 * one + streams, weight * (output + layer)))
    activations, whole = max(moments, key=sum)
    if plan.shards("parameters") and plan.pipeline > 1:
        whole = held_parameters(model, plan, stage) * (weight + 4)
    return activations, whole


def stream(model: Transformer, plan: Plan) -> float:
    """Bytes of one micro-batch's activations between two layers, on one rank."""
    return plan.tokens(model) * element(plan) * model.hidden / plan.split


def element(plan: Plan) -> int:
    """Bytes of an activation; FP8 products take copies, and keep what they were made of."""
    return 4 if plan.precision == "fp32" else 2
