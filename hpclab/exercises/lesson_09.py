"""Lesson 09: what a rank holds, which remedy fits which shortage, and a model of 7 billion in 40 GB."""

import functools
import itertools
from types import SimpleNamespace

from hpclab import checks
from hpclab.exercises import Exercise, judges
from hpclab.models import gpu_cluster, memory, planner
from hpclab.models.plan import Plan
from hpclab.models.transformer import LLAMA_2


def _state(parameters: float, ranks: int, stage: int, each: tuple[int, int, int] = memory.MIXED) -> float:
    """Bytes of model state on a rank; a parameter, its gradient and its optimizer states take `each`."""
    return sum(memory.states(parameters, stage, ranks, each))


STATE = Exercise("09", "model state", judges.by_function(
    "model_state(parameters, ranks, stage)", "a number of bytes",
    lambda: ((7.5e9, 64, 0), (7.5e9, 64, 1), (7.5e9, 64, 2), (7.5e9, 64, 3), (1e9, 1, 3)), _state,
    (lambda n, p, s: 16 * n, "that is what each rank holds without sharding. With a stage the ranks "
     "share a part of it."),
    (lambda n, p, s: 16 * n / p if s else 16 * n, "that shards everything at once. Stage 1 shards the 12 "
     "bytes of the optimizer only, stage 2 the gradients, too."),
    (lambda n, p, s: 16 * n / p, "that shards everything, in every stage. Stage 0 shards nothing, and "
     "each stage adds one of the three kinds."),
    (lambda n, p, s: _state(n, p, s) / 1e9, "that is a number of GB. Asked for are bytes."),
    (lambda n, p, s: _state(n, p, s) / 2**30, "that is a number of GiB. Asked for are bytes."),
    (lambda n, p, s: _state(n, p, max(0, s - 1)), "right, but a stage late. Stage 1 shards the "
     "optimizer's 12 bytes, stage 2 the gradients as well, stage 3 the parameters as well."),
    (lambda n, p, s: _state(n, p, s, (2, 4, 12)), "18 bytes is what programs hold that add up gradients "
     "in 4 bytes. Here a gradient has 2."),
    (lambda n, p, s: _state(n, p, s, (4, 4, 8)), "4 + 4 + 8 is float32. In mixed precision a parameter "
     "and its gradient have 2 bytes each, and the optimizer 12."),
    (lambda n, p, s: 2 * n, "that is the parameters. Training also holds gradients, and 12 bytes a "
     "parameter for Adam."),
    (lambda n, p, s: (4 + 8 / p if s == 1 else 2 + 10 / p if s == 2 else 12 / p if s else 12) * n,
     "Adam in mixed precision holds 12 bytes: two moments of 4, and a float32 copy of the parameter."),
    (lambda n, p, s: (12 + 4 / p if s == 1 else 2 + 14 / p if s == 2 else 16 / p if s else 16) * n,
     "stage 1 shards the largest part first: the optimizer's 12 bytes, not parameters and gradients."),
    shown="7.5 billion parameters on one rank of 64, stage 0, you get {0:.4g} bytes: ",
    otherwise=lambda size, n, p, s: f"For {n:g} parameters, {p} ranks, stage {s} you get {size / 1e9:.4g} "
    f"GB. Add up: 2 bytes of the parameter, 2 of its gradient, 12 of the optimizer; which of them does stage "
    f"{s} divide?",
    yes="120, 31.4, 16.6 and 1.9 GB: the figures of the ZeRO paper. On one rank no stage helps.",
), (
    "2 + 2 + 12 bytes for each parameter.",
    "Stage 1 divides the 12 by the ranks, stage 2 a 2 more, stage 3 all.",
))  # fmt: skip

SHORTAGES = {
    "A": "8 B on 64 GPUs, sharded; one sequence of 32,768 tokens is already too much",
    "B": "a 70 B model is to learn a house style from 2,000 letters, on 8 GPUs of 80 GB",
    "C": "GPT-3, 175 B, on 1,024 GPUs of 80 GB, data parallel; it fails before any batch",
    "D": "1.6 B on one GPU of 40 GB; 64 sequences a step are wanted, 4 at once just fit",
}
"""Four shortages of memory."""
REMEDIES = ("accumulate", "adapters", "recompute", "shard")
"""Smaller micro-batches; LoRA; activation checkpointing; ZeRO or FSDP."""

_AGAINST = {
    ("A", "accumulate"): "one sequence is the smallest micro-batch there is.",
    ("A", "shard"): "it is sharded; activations are what is left, and grow with the tokens.",
    ("A", "adapters"): "they shrink the optimizer's states, and activations stay as they are.",
    ("B", "shard"): "over 8 GPUs 70 B × 16 bytes are 140 GB on each.",
    ("B", "accumulate"): "the optimizer's states alone are 840 GB, whatever the batch.",
    ("B", "recompute"): "the optimizer's states alone are 840 GB, however few activations there are.",
    ("C", "accumulate"): "there is no batch in memory yet: 175 billion parameters × 16 bytes are 2.8 TB.",
    ("C", "recompute"): "no activation is in memory yet: 175 billion parameters × 16 bytes are 2.8 TB.",
    ("C", "adapters"): "adapters train a model that has been trained already.",
    ("D", "shard"): "with whom? There is one GPU, and its model state fits.",
    ("D", "recompute"): "possible, for a third more work. But 4 at once fit, so 16 times 4 costs nothing.",
    ("D", "adapters"): "then another model is trained. Nothing is wrong with this one's state.",
}

REMEDY = Exercise("09", "remedy", judges.by_choice(
    "remedy", dict(zip(SHORTAGES, ("recompute", "adapters", "shard", "accumulate"), strict=True)), REMEDIES,
    lambda key, remedy: _AGAINST[key, remedy],
    yes="State that does not fit is sharded, a batch is cut, activations of one sequence are computed again, "
    "and to adapt a model few new numbers are enough (its frozen 140 GB are still shared by the 8).",
), (
    "What fills the memory: state (parameters, gradients, optimizer), or activations?",
    "C: 16 bytes a parameter. A: what is left to make smaller, when the batch is one?",
))  # fmt: skip

NODE, BATCH, HOW = "dgx-a100-40gb", 64, ("none", "selective", "full")
"""Nodes of 8 A100 with 40 GB each; sequences of a step; what can be recomputed."""


@functools.cache
def fastest() -> float:
    """Seconds of the fastest step among the plans that fit on one node."""
    cluster, choices = gpu_cluster.named(NODE), itertools.product((1, 2, 4, 8), range(4), HOW)
    plans = (Plan(BATCH, micro, data=8, zero=zero, recompute=how) for micro, zero, how in choices)
    fitting = (plan for plan in plans if not planner.refusal(LLAMA_2, plan, cluster))
    return planner.ranked(LLAMA_2, cluster, fitting)[0].step.seconds


def _evaluate_plan(answer: object, gpus: int = 0) -> SimpleNamespace:
    """Memory, seconds and cost of a step of Llama 2 under the plan in `answer`, on `gpus` data-parallel
    GPUs; 0: as many as `answer` says."""
    names, cluster = {"zero": None, "micro_batch": BATCH, "recompute": None}, gpu_cluster.named(NODE)
    given = judges.read_dict(answer, **names) if gpus else judges.read_dict(answer, gpus=BATCH, **names)
    gpus, micro = gpus or given.gpus, given.micro_batch
    if BATCH % (gpus * micro):
        raise ValueError(f"GPUs × micro-batch = {gpus * micro} must divide the {BATCH} sequences of a step.")
    zero = int(checks.integer("zero", given.zero, 0, 3))
    recompute = checks.choice("recompute", given.recompute, HOW)
    plan = Plan(BATCH, micro, data=gpus, zero=zero, recompute=recompute)
    (one,) = planner.ranked(LLAMA_2, cluster, [plan])
    need, seconds, par = one.memory, one.step.seconds, 8 * fastest()
    return SimpleNamespace(
        plan=plan, gib=need.total / 2**30, has=memory.usable(cluster.memory) / 2**30, seconds=seconds,
        state=(need.parameters + need.gradients + need.optimizer) / 2**30, slower=seconds / fastest() - 1,
        activations=need.activations / 2**30,
        fetched=", and all parameters are fetched for each" * (zero == 3), cost=round(seconds * gpus, 1),
        par=par, beaten="you beat it." if round(seconds * gpus, 1) < par - 0.05 else "can you beat it?",
    )  # fmt: skip


_TOO_MUCH = (
    (lambda f: f.state > f.has, "Model state alone is {f.state:.0f} GiB on each GPU of {f.has:.1f}: 16 bytes "
     "for each of 6.7 billion parameters, less what stage {f.plan.zero} shards."),
    (lambda f: f.gib > f.has and f.plan.recompute == "selective", "{f.gib:.1f} GiB of {f.has:.1f}, as with "
     '"none": selective recomputation drops attention\'s scores, which a fused kernel never keeps.'),
    (lambda f: f.gib > f.has, "{f.gib:.1f} GiB of {f.has:.1f}: {f.state:.0f} of state and "
     "{f.activations:.0f} of activations. Which of the two can still shrink, and what does that cost?"),
)  # fmt: skip

PLAN = Exercise("09", "7B in 40 GB", judges.by_facts(
    functools.partial(_evaluate_plan, gpus=8), *_TOO_MUCH,
    (lambda f: f.slower > 0.1, "It fits, with {f.gib:.1f} GiB of {f.has:.1f}, and takes {f.seconds:.1f} s a "
     "step, {f.slower:.0%} more than the fastest plan that fits: a micro-batch of {f.plan.micro_batch} makes "
     "small products{f.fetched}."),
    yes="{f.gib:.1f} GiB of {f.has:.1f}, {f.seconds:.1f} s a step (modelled), within {f.slower:.0%} of the "
    "fastest that fits.",
), (
    "State first: what does each stage of ZeRO leave on one of 8 ranks? Then activations of a micro-batch.",
    "One sequence without recomputing is just too much. With recomputing there is room: for what?",
))  # fmt: skip

CHEAPEST = Exercise("09", "fewest GPU-seconds", judges.by_facts(
    _evaluate_plan, *_TOO_MUCH,
    yes="{f.plan.gpus} GPUs × {f.seconds:.2f} s = {f.cost:g} GPU-seconds (modelled), {f.gib:.1f} GiB of "
    "{f.has:.1f}. The best plan on one node takes {f.par:.1f}: {f.beaten}", score=("cost", "GPU-seconds"),
), (
    "More GPUs share the state, so that each has more room. Room for what is the best worth?",
    "What would a step take if nothing were computed again? How many GPUs make that fit?",
))  # fmt: skip
