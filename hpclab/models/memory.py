"""What a rank's memory holds at the peak of a training step: parameters, gradients, optimizer states,
activations and buffers, each term a line of arithmetic.

    predict(model, Plan(batch=512, data=64, zero=1)).total / 2**30

What to notice: parameters, gradients and optimizer states do not depend on the batch, and sharding divides
them; activations grow with tokens and only tensor, sequence and context parallelism or recomputation shrinks
them; logits are of the vocabulary's width, and on the last stage often are the peak.
"""

from dataclasses import dataclass

from hpclab import checks
from hpclab.models.plan import Plan
from hpclab.models.transformer import Transformer

BYTES = {"fp32": (4, 4, 8)}
MIXED = (2, 2, 12)
"""Of a parameter: itself, its gradient, and Adam's: two float32 moments, in mixed precision beside a float32
copy of the parameter (Rajbhandari et al., ZeRO, SC20, section 3: K = 12)."""


@dataclass(frozen=True)
class Memory:
    """Bytes on one rank, by kind."""

    parameters: float
    gradients: float
    optimizer: float
    activations: float
    buffers: float

    @property
    def total(self) -> float:
        return self.parameters + self.gradients + self.optimizer + self.activations + self.buffers


CONTEXT = 2e9
"""Bytes that a process has on its GPU before anything is stored: CUDA context, libraries, NCCL's channels."""


def predict(model: Transformer, plan: Plan, stage: int = 0) -> Memory:
    """The Memory of a rank of pipeline stage `stage` (from 0); ValueError where the plan does not fit."""
    plan.refuse_unless_it_fits(model)
    checks.integer("stage", stage, 0, plan.pipeline - 1)
    held, ranks = held_parameters(model, plan, stage), plan.data * plan.context
    weight, gradient, states = BYTES.get(plan.precision, MIXED)
    return Memory(
        parameters=held * weight / (ranks if plan.zero == 3 else 1),
        gradients=held * gradient / (ranks if plan.zero >= 2 else 1),
        optimizer=held * states / (ranks if plan.zero >= 1 else 1),
        activations=activations(model, plan, stage),
        buffers=CONTEXT + gathered(model, plan, stage),
    )


def peak(model: Transformer, plan: Plan) -> Memory:
    """That of the fullest rank: the first stage holds most micro-batches, the last one the logits."""
    ends = {0, plan.pipeline - 1}
    return max((predict(model, plan, stage) for stage in ends), key=lambda memory: memory.total)


def held_parameters(model: Transformer, plan: Plan, stage: int = 0) -> float:
    """Parameters of a stage on one tensor-parallel rank, before sharding.

    The matrices are split; norms, and biases of what comes out of a row-split matrix, are on every rank.
    Tied embeddings are on the first and on the last stage.
    """
    h, t = model.hidden, plan.tensor
    whole = (6 if model.biases else 2) * h
    layers = model.layers / plan.pipeline * (whole + (model.layer_parameters - whole) / t)
    first, last = stage == 0, stage == plan.pipeline - 1
    embedding = h * model.vocabulary / t
    own_output = last and not (first and model.tied)
    return (
        layers
        + first * (embedding + h * model.sequence * model.positions)
        + own_output * embedding
        + last * h * (2 if model.biases else 1)
    )


def in_flight(plan: Plan, stage: int = 0) -> float:
    """Micro-batches whose activations a stage holds at once, in units of all of its layers.

    1F1B: one for each stage from here on. Interleaved: (1 + (p − 1)/(p·v)) · p on the first stage
    (Korthikanti et al., MLSys 2023, section 4.2.3), from Megatron-LM's warm-up: chunks passed before the
    first goes backward.
    """
    p, v = plan.pipeline, plan.chunks
    if v == 1:
        return min(p - stage, plan.micro_batches)
    return min((2 * (p - stage - 1) + (v - 1) * p + 1) / v, plan.micro_batches)


def layer_activations(model: Transformer, plan: Plan, recompute: str) -> float:
    """Bytes that one layer keeps of one micro-batch for its backward pass.

    Without parallelism s·b·h·(34 + 5·a·s/h) for GPT-3's layer with dropout, in 16 bits (Korthikanti et al.,
    equation 1): 4 norms, 4 inputs of attention and MLP, 6 query, key and value, 2 attention's output,
    16 inside the MLP, 2 dropout masks; 5·a·s/h are softmax, its dropout's mask and output. Tensor parallelism
    splits what is inside attention and MLP (equation 2), sequence parallelism all of it (equation 4).
    """
    h, f, size = model.hidden, model.feed_forward, 4 if plan.precision == "fp32" else 2
    tokens = plan.micro_batch * model.sequence / plan.context
    stream = plan.tensor if plan.sequence_parallel else 1
    if recompute == "full":
        return tokens * size * h / stream
    whole = size * 4 * h + 2 * h * model.dropout
    attention = size * (2 * h + 2 * model.kv_width)
    inside = size * f * (4 if model.gated else 2)
    scores = model.heads * model.sequence * (size + (1 + size) * model.dropout)
    if plan.fused_attention or recompute == "selective":
        scores = 0
    return tokens * (whole / stream + (attention + inside + scores) / plan.tensor)


def activations(model: Transformer, plan: Plan, stage: int = 0) -> float:
    """Bytes kept for the backward passes under way, and of the layer or the loss that is worked on."""
    layers = model.layers / plan.pipeline
    kept = layers * in_flight(plan, stage) * layer_activations(model, plan, plan.recompute)
    again = layer_activations(model, plan, "none") if plan.recompute != "none" else 0
    return kept + max(again, logits(model, plan) if stage == plan.pipeline - 1 else 0)


def logits(model: Transformer, plan: Plan) -> float:
    """Bytes of a micro-batch's logits in float32: their log-softmax, its gradient, and that of the logits."""
    tokens = plan.micro_batch * model.sequence / plan.context
    return 12 * tokens * model.vocabulary / plan.tensor


def gathered(model: Transformer, plan: Plan, stage: int = 0) -> float:
    """Bytes of what is whole for a moment: a sharded layer's parameters, those of the next, its gradients."""
    layer = model.layer_parameters / plan.tensor
    weight, gradient, _ = BYTES.get(plan.precision, MIXED)
    return layer * ((2 * weight if plan.zero == 3 else 0) + (gradient if plan.zero >= 2 else 0))
