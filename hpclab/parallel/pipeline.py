"""Pipeline parallel: each rank has some of the layers, and micro-batches pass from one to the next.

    pipeline = schedules.pipeline("1F1B", ranks=dist.get_world_size(), micro_batches=8)
    stages = cut(GPT(shape), pipeline.stages)[dist.get_rank() :: pipeline.ranks]
    value = run(pipeline, stages, tokens, targets)   # gradients are in .grad, as after loss.backward()

With one micro-batch this is the naive form: one rank works, the others wait for it.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from hpclab import checks
from hpclab.schedules.pipelines import Pipeline
from hpclab.schedules.schedule import bounds
from hpclab.trace import record
from hpclab.workloads import gpt

UNDER_WAY = 4  # sends that a rank does not wait for: each keeps an activation in memory


class Stage(gpt.GPT):
    """Blocks `begin` to `end` of `model`; the first stage embeds as well, the last one makes logits.
    Parameters keep their names in the whole model, so that its checkpoints fit every cut."""

    def __init__(self, model: gpt.GPT, begin: int, end: int):
        nn.Module.__init__(self)  # not GPT's: nothing is made anew
        self.shape, self.first, self.last = model.shape, begin == 0, end == len(model.blocks)
        self.blocks: Any = nn.ModuleDict({f"{n}": model.blocks[n] for n in range(begin, end)})
        if self.first:
            self.token, self.position = model.token, model.position
        if self.last:
            self.norm, self.output = model.norm, model.output

    def forward(self, x: Tensor, first: int = 0) -> Tensor:
        x = self.embed(x, first) if self.first else x
        for block in self.blocks.values():
            x = block(x)
        return self.output(self.norm(x)) if self.last else x


def cut(model: gpt.GPT, stages: int) -> list[Stage]:
    """Cut `model` into `stages` Stages, as even as can be; ValueError for more than blocks, or if tied."""
    checks.integer("stages", stages, 1, len(model.blocks))
    if model.shape.tied and stages > 1:
        raise ValueError("A pipeline needs an output layer of its own: make the Transformer with tied=False.")
    return [Stage(model, begin, end) for begin, end in pairwise(bounds(len(model.blocks), stages).tolist())]


def program(pipeline: Pipeline, rank: int) -> list[tuple[str, int]]:
    """What `rank` does, in order: "compute" a step (its place in `pipeline.steps`), "send" or "receive" what
    a step takes in.

    All ranks go through the messages in the order in which they are computed, so nobody waits for a rank that
    waits for a later one: no deadlock, even where a send ends only when it is received.
    """
    owner, taker = pipeline.steps["rank"], dict(pipeline.messages.tolist())
    actions = []
    for at_once in pipeline.slots:
        actions += [("compute", step) for step in at_once.tolist() if owner[step] == rank]
        for step in at_once.tolist():
            if step in taker:
                ends = {owner[step]: "send", owner[taker[step]]: "receive"}
                actions += [(ends[rank], taker[step])] if rank in ends else []
    return actions


def run(
    pipeline: Pipeline, stages: Sequence[Stage], tokens: Tensor, targets: Tensor, loss: Any = gpt.loss,
    group: Any = None,
) -> float:  # fmt: skip
    """Run forward and backward of a batch on this rank's `stages`; return the mean loss, on every rank.

    Only the first rank looks at `tokens` (batch, length), only the last at `targets`. Gradients are added up
    in the parameters. What a rank computes, sends and waits for, it records (`trace.record`).
    """
    m, ranks = pipeline.micro_batches, dist.get_world_size(group)
    if len(tokens) % m or (ranks, len(stages)) != (pipeline.ranks, pipeline.chunks):
        raise ValueError(
            f"This pipeline needs {pipeline.ranks} ranks, {pipeline.chunks} stages on each and a batch in "
            f"multiples of {m}, not {ranks} ranks, {len(stages)} stages and a batch of {len(tokens)}."
        )
    one, owner, last = next(stages[0].parameters()), pipeline.steps["rank"], pipeline.stages - 1
    wire = "cpu" if dist.get_backend(group) == "gloo" else one.device  # gloo sends from the host's memory
    inputs, answers = (whole.to(one.device).chunk(m) for whole in (tokens, targets))
    kept, total = dict[tuple[int, int], Any](), torch.zeros((), dtype=torch.float64, device=wire)

    def forward(micro_batch: int, stage: int, x: Tensor | None) -> Tensor:
        x = inputs[micro_batch] if x is None else x.requires_grad_()
        y = stages[stage // ranks](x)
        if stage == last:
            y = loss(y, answers[micro_batch]) / m
            total.add_(y.detach().to(wire))
        kept[micro_batch, stage] = x, y  # until its backward: the activations in flight
        return y.detach()

    def backward(micro_batch: int, stage: int, gradient: Tensor | None) -> Tensor | None:
        x, y = kept.pop((micro_batch, stage))
        y.backward(gradient)
        return x.grad

    arriving, computed, sending = dict[int, Any](), dict[int, Any](), list[Any]()
    for action, step in program(pipeline, dist.get_rank(group)):
        _, _, kind, micro_batch, stage = pipeline.steps[step].tolist()
        label, source = f"{'FB'[kind]} {micro_batch}", int(pipeline.needs[step])
        if action == "receive":
            x = torch.empty(*inputs[0].shape, stages[0].shape.hidden, dtype=one.dtype, device=wire)
            arriving[step] = x, dist.irecv(x, group=group, group_src=int(owner[source]))
        elif action == "send":
            x = computed.pop(source).to(wire).contiguous()
            with record("send", x.nbytes, label):
                sending.append(dist.isend(x, group=group, group_dst=int(owner[step])))
                if len(sending) > UNDER_WAY:
                    sending.pop(0).wait()
        else:
            x, message = arriving.pop(step, (None, None))
            if message:
                with record("receive", x.nbytes, label):
                    message.wait()
                x = x.to(one.device)
            with record("compute", label=label):
                computed[step] = (forward, backward)[kind](micro_batch, stage, x)
    for message in sending:
        message.wait()
    dist.broadcast(total, group=group, group_src=ranks - 1)
    return total.item()
