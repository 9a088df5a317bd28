"""Lesson 10: the bubble, which axis answers which need, and a plan for 175 billion parameters."""

import functools
from types import SimpleNamespace
from typing import Any

from hpclab import checks
from hpclab.exercises import Exercise, judges
from hpclab.models import gpu_cluster, planner
from hpclab.models.plan import Plan
from hpclab.models.transformer import BLOOM, MODELS


def _bubble(ranks: int, micro_batches: int, chunks: int) -> float:
    added = (ranks - 1) / (chunks * micro_batches)
    return added / (1 + added)


BUBBLE = Exercise("10", "bubble", judges.by_function(
    "bubble(ranks, micro_batches, chunks)", "a share of the time",
    lambda: ((4, 8, 1), (8, 64, 1), (8, 64, 4), (1, 8, 1)), _bubble,
    (lambda p, m, v: (p - 1) / (v * m), "that is what the bubble adds to the computing. Of the whole "
     "time, which has the bubble in it, it is less."),
    (lambda p, m, v: (p - 1) / m, "that leaves out the chunks, and is what the bubble adds to the "
     "computing."),
    (lambda p, m, v: (p - 1) / (m + p - 1), "right without chunks. With v of them the pipe fills with "
     "thinner stages, and the bubble is a v-th."),
    (lambda p, m, v: (p - 1) / p, "that is one micro-batch alone: one rank works, the others wait."),
    (lambda p, m, v: 100 * _bubble(p, m, v), "that is in per cent. A share lies between 0 and 1."),
    (lambda p, m, v: 1 - _bubble(p, m, v), "that is the share in which ranks compute."),
    (lambda p, m, v: p / (v * m + p), "p ranks make p - 1 steps to fill: the first begins at once."),
    shown="4 stages and 8 micro-batches: you get {0:.3g}: ",
    otherwise=lambda n, p, m, v: f"For {p} ranks, {m} micro-batches, {v} chunks you get {n:.3g}. A rank "
    f"computes m micro-batches, and waits for (p - 1)/v of them: what is the share of the wait?",
    yes="27 % with 4 stages and 8 micro-batches, 10 % with 8 and 64, 2.7 % when each rank has 4 thin stages. "
    "Chunks are paid for in messages: 31 from stage to stage where there were 7.",
), (
    "In units of one micro-batch on one rank: computing takes m, and filling and draining p - 1.",
    "With v chunks filling takes (p - 1)/v.",
))  # fmt: skip

NEEDS = {
    "A": "all fits into one node; there are 64 nodes, and the batch is large",
    "B": "ten times the parameters are wanted, for hardly more computing a token",
    "C": "one layer is too large for a GPU; eight GPUs are joined by NVLink",
    "D": "sequences of a million tokens; one is too much, whatever else is split",
    "E": "the layers fill 16 nodes; between nodes there is an ordinary network",
}
"""Five needs."""
AXES = ("context", "data", "expert", "pipeline", "tensor")  # five ways to split
_QUESTIONS = {
    "A": "a model that fits needs no cutting. Which one sends gradients, once a step?",
    "B": "which one has parameters that most tokens do not go through?",
    "C": "which one cuts a single matrix? It sends activations in every layer, so it wants the fastest "
    "links.",
    "D": "which one cuts the tokens of a sequence, attention included?",
    "E": "which one sends least, from one neighbour to the next, and cuts between layers?",
}

AXIS = Exercise("10", "which axis", judges.by_choice(
    "way to split", {"A": "data", "B": "expert", "C": "tensor", "D": "context", "E": "pipeline"}, AXES,
    lambda key, _: _QUESTIONS[key],
    yes="What talks in every layer stays on NVLink; what talks once a step, or with one neighbour, may cross "
    "the network.",
), (
    "What does each axis cut: a matrix, the list of layers, the batch, a sequence, the choice of MLPs?",
    "Which one cuts nothing of the model? That is A's. Which one cuts inside a layer? That is C's.",
))  # fmt: skip

GPT3, CLUSTER, GPUS, BATCH = MODELS["GPT-3, 175 B"], "dgx-a100", 512, 1024
"""64 nodes of 8 A100 with 80 GB; sequences of a step."""
HOW = ("none", "selective", "full")  # what can be recomputed
_DEGREES = ("tensor", "pipeline", "chunks", "micro_batch")


@functools.cache
def fastest() -> float:
    """Seconds of a step of GPT3 under the planner's fastest plan for GPUS GPUs."""
    return planner.plans(GPT3, gpu_cluster.named(CLUSTER), GPUS, BATCH)[0].step.seconds


def _plan_arguments(answer: object, *names: str) -> dict[str, Any]:
    """Arguments of Plan from the dict `answer`: the degrees `names`, recomputation, and ZeRO's stage 1."""
    given = vars(judges.read_dict(answer, **dict.fromkeys(names, GPUS), recompute=None))
    given["recompute"] = checks.choice("recompute", given["recompute"], HOW)
    return given | {"zero": 1, "sequence_parallel": given["tensor"] > 1}


def _plan(answer: object) -> SimpleNamespace:
    """A step of GPT3 under the plan in `answer`: its seconds, GiB, and shares of its parts; or ValueError."""
    given, cluster = _plan_arguments(answer, *_DEGREES), gpu_cluster.named(CLUSTER)
    rest, left = divmod(GPUS, given["tensor"] * given["pipeline"])
    if left or not rest:
        raise ValueError(
            f"tensor × pipeline must divide the {GPUS} GPUs; data parallelism is what they leave."
        )
    plan = Plan(BATCH, data=rest, **given)
    if why := planner.refusal(GPT3, plan, cluster):
        raise ValueError(f"It cannot run: {why}.")
    (one,) = planner.ranked(GPT3, cluster, [plan])
    parts = {name: value / one.step.seconds for name, value in one.step.parts.items()}
    return SimpleNamespace(
        plan=plan, seconds=one.step.seconds, slower=one.step.seconds / fastest() - 1,
        gib=one.memory.total / 2**30, bubble=parts["bubble"], recompute=parts["recompute"],
        tensor=parts["tensor parallel"],
    )  # fmt: skip


PLAN = Exercise("10", "175B on 512 GPUs", judges.by_facts(
    _plan,
    (lambda f: f.slower > 0.1 and f.bubble > 0.15, "{f.seconds:.1f} s a step, {f.slower:.0%} more than "
     "the fastest: {f.bubble:.0%} is bubble. {f.plan.pipeline} stages have only {f.plan.micro_batches} "
     "micro-batches to fill them."),
    (lambda f: f.slower > 0.1 and f.recompute > 0.15, "{f.seconds:.1f} s a step, {f.slower:.0%} more than "
     "the fastest: {f.recompute:.0%} is computed again. {f.gib:.0f} GiB are in use; is that all necessary?"),
    (lambda f: f.slower > 0.1 and f.gib < 60 and f.plan.micro_batch < 4, "{f.seconds:.1f} s a step, "
     "{f.slower:.0%} more than the fastest, and {f.gib:.0f} GiB are in use. With a larger micro-batch "
     "products are larger, and faster."),
    (lambda f: f.slower > 0.1, "{f.seconds:.1f} s a step, {f.slower:.0%} more than the fastest: "
     "{f.bubble:.0%} bubble, {f.tensor:.0%} tensor-parallel messages, {f.recompute:.0%} computed again. "
     "Which axis could give?"),
    yes="{f.seconds:.1f} s a step with {f.gib:.0f} GiB on a GPU (modelled), {f.slower:.0%} from the fastest: "
    "DP {f.plan.data} · TP {f.plan.tensor} · PP {f.plan.pipeline}.",
), (
    "Tensor parallelism up to the node's 8 GPUs, for memory; then a pipeline, until the rest fits.",
    "More micro-batches, or chunks, make the bubble smaller. Recompute only what memory asks for.",
))  # fmt: skip

TOKENS, DAYS, SITE = 366e9, 118, "a100-omni-path"
"""BLOOM's training: tokens and days (Luccioni et al., 2022), and nodes of 8 A100 with 4 Omni-Path cards."""
THEIRS = {"data": 8, "tensor": 4, "pipeline": 12, "chunks": 1, "micro_batch": 2, "recompute": "full"}
"""BLOOM's plan (BigScience Workshop, 2022), 2,048 sequences a step."""


def _trained(answer: object) -> SimpleNamespace:
    """The answer as a plan for BLOOM: the days that its training takes, and its thousands of GPU-hours."""
    plan, cluster = Plan(2048, **_plan_arguments(answer, "data", *_DEGREES)), gpu_cluster.named(SITE)
    if plan.gpus % cluster.node_gpus:
        raise ValueError(f"data × tensor × pipeline are {plan.gpus} GPUs: take whole nodes of 8.")
    if why := planner.refusal(BLOOM, plan, cluster):
        raise ValueError(f"It cannot run: {why}.")
    (one,) = planner.ranked(BLOOM, cluster, [plan])
    seconds, parts = one.step.seconds, one.step.parts
    days = TOKENS / (plan.batch * BLOOM.sequence) * seconds / 86400
    worst = max(set(parts) - {"matrix products"}, key=parts.__getitem__)
    return SimpleNamespace(
        gpus=plan.gpus, days=days, seconds=seconds, worst=worst, share=parts[worst] / seconds,
        gib=one.memory.total / 2**30, cost=round(plan.gpus * days * 24e-3),
    )  # fmt: skip


def _against_theirs(answer: object) -> SimpleNamespace:
    f, par = _trained(answer), _trained(THEIRS).cost
    return SimpleNamespace(**vars(f), par=par, end=": you beat it." if f.cost < par else ".")


_TRAINED = "{f.gpus} GPUs × {f.days:.0f} days ({f.seconds:.1f} s a step, modelled"
CHEAPER = Exercise("10", "BLOOM for less", judges.by_facts(
    _against_theirs,
    (lambda f: f.days > DAYS, _TRAINED + f"): more than {DAYS} days. After the products, most is "
     "{f.worst}: {f.share:.0%}."),
    yes=_TRAINED + ", {f.gib:.0f} GiB) = {f.cost} thousand GPU-hours. BLOOM's own plan comes to "
    "{f.par}{f.end}",
    score=("cost", "thousand GPU-hours"),
), (
    "Begin with their plan. What of it do GPUs with fused attention no longer need, and what is that worth?",
    "Then fewer GPUs: stages need not divide the 70 layers. Those at both ends may have one layer fewer, so "
    "72 can be divided instead.",
    "What is left over, memory or time? A larger micro-batch costs the one and saves the other.",
))  # fmt: skip
