"""Lesson 09: what a rank holds, which remedy fits which shortage, and a model of 7 billion in 40 GB."""

import functools
import itertools
from collections.abc import Mapping
from types import SimpleNamespace

from hpclab import checks
from hpclab.exercises import Exercise, judges
from hpclab.models import gpu_cluster, memory, planner
from hpclab.models.plan import Plan
from hpclab.models.transformer import Transformer


def _state(parameters: float, ranks: int, stage: int) -> float:
    return sum(memory.states(parameters, stage, ranks))


STATE = Exercise("09", "model state", judges.by_function(
    "model_state(parameters, ranks, stage)", "a number of bytes",
    lambda: ((7.5e9, 64, 0), (7.5e9, 64, 1), (7.5e9, 64, 2), (7.5e9, 64, 3), (1e9, 1, 3)), _state, (
        (lambda n, p, s: 16 * n, "that is what each rank holds without sharding. With a stage the ranks "
         "share a part of it."),
        (lambda n, p, s: 16 * n / p if s else 16 * n, "that shards everything at once. Stage 1 shards the "
         "12 bytes of the optimizer only, stage 2 the gradients, too."),
        (lambda n, p, s: 16 * n / p, "that shards everything, in every stage. Stage 0 shards nothing, and "
         "each stage adds one of the three kinds."),
        (lambda n, p, s: 2 * n, "that is the parameters. Training also holds gradients, and 12 bytes a "
         "parameter for Adam."),
        (lambda n, p, s: (4 + 8 / p if s == 1 else 2 + 10 / p if s == 2 else 12 / p if s else 12) * n,
         "Adam in mixed precision holds 12 bytes: two moments of 4, and a float32 copy of the parameter."),
        (lambda n, p, s: (12 + 4 / p if s == 1 else 2 + 14 / p if s == 2 else 16 / p if s else 16) * n,
         "stage 1 shards the largest part first: the optimizer's 12 bytes, not parameters and gradients."),
    ),
    shown="7.5 billion parameters on one rank of 64, stage 0, you get {0:.4g} bytes: ",
    otherwise=lambda size, n, p, s: f"For {n:g} parameters, {p} ranks, stage {s} you get {size / 1e9:.4g} "
    f"GB. Add up: 2 bytes of the parameter, 2 of its gradient, 12 of the optimizer; which of them does "
    f"stage {s} divide?",
    yes="120, 31.4, 16.6 and 1.9 GB: the figures of the ZeRO paper. On one rank no stage helps.",
), (
    "2 + 2 + 12 bytes for each parameter.",
    "Stage 1 divides the 12 by the ranks, stage 2 a 2 more, stage 3 all.",
))  # fmt: skip


SHORTAGES: Mapping[str, str] = {
    "A": "GPT-3, 175 B, on 1,024 GPUs of 80 GB, data parallel only; it fails before the first batch",
    "B": "1.6 B on one GPU of 40 GB: a batch of 64 sequences is wanted, and 4 at once just fit",
    "C": "8 B on 64 GPUs, sharded; one sequence of 32,768 tokens at a time is already too much",
    "D": "a 70 B model is to learn a house style from 2,000 letters, on one node",
}
"""Four shortages of memory."""
REMEDIES = ("shard", "accumulate", "recompute", "adapters")
"""ZeRO or FSDP; smaller micro-batches; activation checkpointing; LoRA."""


_AGAINST = {
    ("A", "accumulate"): "there is no batch in memory yet: 175 billion parameters × 16 bytes are 2.8 TB.",
    ("A", "recompute"): "no activation is in memory yet: 175 billion parameters × 16 bytes are 2.8 TB.",
    ("A", "adapters"): "adapters train a model that has been trained already.",
    ("B", "shard"): "with whom? There is one GPU, and its model state fits.",
    ("B", "recompute"): "possible, for a third more work. But 4 at once fit, so 16 times 4 costs nothing.",
    ("B", "adapters"): "then another model is trained. Nothing is wrong with this one's state.",
    ("C", "accumulate"): "one sequence is the smallest micro-batch there is.",
    ("C", "shard"): "it is sharded; activations are what is left, and grow with the tokens.",
    ("C", "adapters"): "they shrink the optimizer's states, and activations stay as they are.",
    ("D", "shard"): "over 8 GPUs 70 B × 16 bytes are 140 GB on each.",
    ("D", "accumulate"): "the optimizer's states alone are 840 GB, whatever the batch.",
    ("D", "recompute"): "the optimizer's states alone are 840 GB, however few activations there are.",
}


REMEDY = Exercise("09", "remedy", judges.by_choice(
    "remedy", dict(zip(SHORTAGES, REMEDIES, strict=True)), REMEDIES,
    lambda key, remedy: _AGAINST[key, remedy],
    yes="State that does not fit is sharded, a batch is cut, activations of one sequence are computed "
    "again, and to adapt a model few new numbers are enough.",
), (
    "What fills the memory: state (parameters, gradients, optimizer), or activations?",
    "A: 16 bytes a parameter. C: what is left to make smaller, when the batch is one?",
))  # fmt: skip


SEVEN = Transformer(
    32, 4096, 32, 4096, 32000, feed_forward=11008, gated=True, tied=False, positions=False, biases=False
)
"""Llama 2, 7 B (Touvron et al., 2023): 6.7 billion parameters, sequences of 4,096 tokens."""
NODE, BATCH, HOW = "dgx-a100-40gb", 64, ("none", "selective", "full")
"""One node of 8 A100 with 40 GB each; sequences of a step; what can be recomputed."""


def plan_of(zero: int, micro_batch: int, recompute: str) -> Plan:
    """Data parallel on the 8 GPUs of the node."""
    return Plan(BATCH, micro_batch, data=8, zero=zero, recompute=recompute)


@functools.cache
def fastest() -> float:
    """Seconds of the fastest step among the plans that fit."""
    cluster = gpu_cluster.named(NODE)
    plans = itertools.starmap(plan_of, itertools.product(range(4), (1, 2, 4, 8), HOW))
    fitting = (plan for plan in plans if not planner.refusal(SEVEN, plan, cluster))
    return planner.ranked(SEVEN, cluster, fitting)[0].step.seconds


def _seven(answer: object) -> SimpleNamespace:
    given, cluster = judges.named(answer, "zero", "micro_batch", "recompute"), gpu_cluster.named(NODE)
    micro = checks.integer("micro_batch", given["micro_batch"], 1, 8)
    if BATCH // 8 % micro:
        raise ValueError(f"micro_batch must divide the {BATCH // 8} sequences of a rank, not {micro}.")
    plan = plan_of(given["zero"], micro, checks.choice("recompute", given["recompute"], HOW))
    (one,) = planner.ranked(SEVEN, cluster, [plan])
    need, seconds = one.memory, one.step.seconds
    return SimpleNamespace(
        plan=plan, gib=need.total / 2**30, has=memory.usable(cluster.memory) / 2**30, seconds=seconds,
        state=(need.parameters + need.gradients + need.optimizer) / 2**30, slower=seconds / fastest() - 1,
        activations=need.activations / 2**30,
    )  # fmt: skip


PLAN = Exercise("09", "7B in 40 GB", judges.by_facts(
    _seven, (
        (lambda f: f.state > f.has, "Model state alone is {f.state:.0f} GiB on each GPU of {f.has:.0f}: 16 "
         "bytes for each of 6.7 billion parameters, less what stage {f.plan.zero} shards."),
        (lambda f: f.gib > f.has, "{f.gib:.0f} GiB of {f.has:.0f}: {f.state:.0f} of state and "
         "{f.activations:.0f} of "
         "activations. Which of the two can still shrink, and what does that cost?"),
        (lambda f: f.slower > 0.1, "It fits, with {f.gib:.0f} GiB of {f.has:.0f}, and takes {f.seconds:.1f} "
         "s a "
         "step, {f.slower:.0%} more than the fastest plan that fits: a micro-batch of {f.plan.micro_batch} "
         "makes "
         "small products, and parameters are fetched for each."),
    ),
    yes="{f.gib:.0f} GiB of {f.has:.0f}, {f.seconds:.1f} s a step (modelled), within {f.slower:.0%} of the "
    "fastest that fits.",
), (
    "State first: what does each stage of ZeRO leave on one of 8 ranks? Then activations of a micro-batch.",
    "One sequence without recomputing is just too much. With recomputing there is room: for what?",
))  # fmt: skip
