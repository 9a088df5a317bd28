"""Lesson 10: the bubble, which axis answers which need, and a plan for 175 billion parameters."""

import functools
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from hpclab import checks
from hpclab.exercises import Exercise, judges
from hpclab.models import gpu_cluster, planner
from hpclab.models.plan import Plan
from hpclab.models.transformer import Transformer


def _bubble(ranks: int, micro_batches: int, chunks: int) -> float:
    added = (ranks - 1) / (chunks * micro_batches)
    return added / (1 + added)


BUBBLE = Exercise("10", "bubble", judges.by_function(
    "bubble(ranks, micro_batches, chunks)", "a share of the time",
    lambda: ((4, 8, 1), (8, 64, 1), (8, 64, 4), (1, 8, 1)), _bubble, (
        (lambda p, m, v: (p - 1) / (v * m), "that is what the bubble adds to the computing. Of the whole "
         "time, which has the bubble in it, it is less."),
        (lambda p, m, v: (p - 1) / m, "that leaves out the chunks, and is what the bubble adds to the "
         "computing."),
        (lambda p, m, v: (p - 1) / (m + p - 1), "right without chunks. With v of them the pipe fills with "
         "thinner stages, and the bubble is a v-th."),
        (lambda p, m, v: (p - 1) / p, "that is one micro-batch alone: one rank works, the others wait."),
        (lambda p, m, v: p / (v * m + p), "p ranks make p - 1 steps to fill: the first begins at once."),
    ),
    shown="4 stages and 8 micro-batches: you get {0:.3g}: ",
    otherwise=lambda n, p, m, v: f"For {p} ranks, {m} micro-batches, {v} chunks you get {n:.3g}. A rank "
    f"computes m micro-batches, and waits for (p - 1)/v of them: what is the share of the wait?",
    yes="27 % with 4 stages and 8 micro-batches, 10 % with 8 and 64, 2.7 % when each rank has 4 thin stages. "
    "Chunks are paid for in messages: four times as many.",
), (
    "In units of one micro-batch on one rank: computing takes m, and filling and draining p - 1.",
    "With v chunks filling takes (p - 1)/v.",
))  # fmt: skip


NEEDS: Mapping[str, str] = {
    "A": "one layer's matrices and activations are too large for a GPU; eight GPUs are joined by NVLink",
    "B": "the layers fill 16 nodes, however they are cut; between nodes there is an ordinary network",
    "C": "everything fits into one node; there are 64 nodes, and the batch is large",
    "D": "sequences of a million tokens; one does not fit even with everything else split",
    "E": "ten times the parameters are wanted, for hardly more computing a token",
}
"""Five needs."""
_ASKED = {
    "A": "which one cuts a single matrix? It sends activations in every layer, so it wants the fastest "
    "links.",
    "B": "which one sends least, from one neighbour to the next, and cuts between layers?",
    "C": "a model that fits needs no cutting. Which one sends gradients, once a step?",
    "D": "which one cuts the tokens of a sequence, attention included?",
    "E": "which one has parameters that most tokens do not go through?",
}


AXIS = Exercise("10", "which axis", judges.by_choice(
    "axis", {"A": "tensor", "B": "pipeline", "C": "data", "D": "context", "E": "expert"},
    ("data", "tensor", "pipeline", "context", "expert"), lambda key, _: _ASKED[key],
    yes="What talks in every layer stays on NVLink; what talks once a step, or with one neighbour, may "
    "cross the network.",
), (
    "What does each axis cut: a matrix, the list of layers, the batch, a sequence, the choice of MLPs?",
))  # fmt: skip


GPT3 = Transformer(96, 12288, 96, 2048, 51200)
"""GPT-3, 175 B (Brown et al., 2020), its vocabulary padded."""
CLUSTER, GPUS, BATCH = "dgx-a100", 512, 1024
"""64 nodes of 8 A100 with 80 GB; sequences of a step."""


@functools.cache
def fastest() -> float:
    """Seconds of the planner's fastest step."""
    return planner.plans(GPT3, gpu_cluster.named(CLUSTER), GPUS, BATCH)[0].step.seconds


def _plan(answer: object) -> SimpleNamespace:
    names, cluster = ("tensor", "pipeline", "chunks", "micro_batch"), gpu_cluster.named(CLUSTER)
    given = judges.named(answer, *names, "recompute")
    degrees: dict[str, Any] = {name: checks.integer(name, given[name], 1, GPUS) for name in names}
    rest, left = divmod(GPUS, degrees["tensor"] * degrees["pipeline"])
    if left or not rest:
        raise ValueError(
            f"tensor × pipeline must divide the {GPUS} GPUs; data parallelism is what they leave."
        )
    plan = Plan(BATCH, data=rest, **degrees, zero=1, recompute=given["recompute"],
                sequence_parallel=degrees["tensor"] > 1)  # fmt: skip
    why = planner.refusal(GPT3, plan, cluster)
    if why:
        return SimpleNamespace(why=why)
    (one,) = planner.ranked(GPT3, cluster, [plan])
    parts = {name: value / one.step.seconds for name, value in one.step.parts.items()}
    return SimpleNamespace(
        why="", plan=plan, seconds=one.step.seconds, slower=one.step.seconds / fastest() - 1,
        gib=one.memory.total / 2**30, bubble=parts["bubble"], recompute=parts["recompute"],
        tensor=parts["tensor parallel"],
    )  # fmt: skip


PLAN = Exercise("10", "175B on 512 GPUs", judges.by_facts(
    _plan, (
        (lambda f: f.why, "It cannot run: {f.why}."),
        (lambda f: f.slower > 0.1 and f.bubble > 0.15, "{f.seconds:.1f} s a step, {f.slower:.0%} more than "
         "the fastest: {f.bubble:.0%} is bubble. {f.plan.pipeline} stages have only {f.plan.micro_batches} "
         "micro-batches to fill them."),
        (lambda f: f.slower > 0.1 and f.recompute > 0.15, "{f.seconds:.1f} s a step, {f.slower:.0%} more "
         "than the fastest: {f.recompute:.0%} is computed again. {f.gib:.0f} GiB are in use; is that all "
         "necessary?"),
        (lambda f: f.slower > 0.1 and f.gib < 60 and f.plan.micro_batch < 4, "{f.seconds:.1f} s a step, "
         "{f.slower:.0%} more than the fastest, and {f.gib:.0f} GiB are in use. With a larger micro-batch "
         "products "
         "are larger, and faster."),
        (lambda f: f.slower > 0.1, "{f.seconds:.1f} s a step, {f.slower:.0%} more than the fastest: "
         "{f.bubble:.0%} bubble, {f.tensor:.0%} tensor-parallel messages, {f.recompute:.0%} computed again. "
         "Which axis could give?"),
    ),
    yes="{f.seconds:.1f} s a step with {f.gib:.0f} GiB on a GPU (modelled), {f.slower:.0%} from the "
    "fastest: DP {f.plan.data} · TP {f.plan.tensor} · PP {f.plan.pipeline}.",
), (
    "Tensor parallelism up to the node's 8 GPUs, for memory; then a pipeline, until the rest fits.",
    "More micro-batches, or chunks, make the bubble smaller. Recompute only what memory asks for.",
))  # fmt: skip
