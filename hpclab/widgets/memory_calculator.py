"""The memory of a training step: a model, a GPU and a plan, and what each rank then holds at the peak."""

from typing import Any

import ipywidgets as widgets
from matplotlib.axes import Axes

from hpclab.figures import memory_stack
from hpclab.models import gpu_cluster, memory, planner
from hpclab.models.plan import PRECISIONS, ZERO, Plan
from hpclab.models.transformer import MODELS
from hpclab.widgets.explorer import Explorer, choose, control, slide

POWERS = [2**power for power in range(11)]
RECOMPUTE = ["none", "selective", "full"]


def models(name: str) -> Any:
    """A control to choose one of MODELS, at `name`."""
    return choose("Model", MODELS.items(), MODELS[name])


def clusters(label: str, *names: str) -> Any:
    """A control to choose one of these clusters of the catalogue, at the first."""
    return choose(label, ((one.title, one) for one in map(gpu_cluster.named, names)))


class MemoryCalculator(Explorer):
    """The memory of every pipeline stage's ranks, modelled by `models.memory`, under what the GPU has."""

    HEIGHT = 370

    def __init__(self) -> None:
        def slider(name: str, most: int, value: int = 1) -> Any:
            made = slide(name, POWERS[:most], value)
            made.layout.flex = "1 1 200px"  # so that two stand beside a list
            return made

        super().__init__(
            [
                {
                    "model": models("Llama 3, 8 B"),
                    "cluster": clusters("GPUs", "dgx-a100", "dgx-a100-40gb", "dgx-h100"),
                },
                {
                    "precision": choose("Precision", PRECISIONS, "bf16"),
                    "recompute": choose("Recompute", RECOMPUTE),
                    "fused": choose("Attention", [("fused", True), ("scores kept", False)]),
                },
                {
                    "data": slider("Data", 11, 8),
                    "zero": control(widgets.IntSlider, "ZeRO stage", min=0, max=len(ZERO) - 1, value=0),
                },
                {
                    "micro_batch": choose("Micro-batch", POWERS[:5]),
                    "tensor": slider("Tensor", 4),
                    "pipeline": slider("Pipeline", 5),
                },
            ]
        )

    def plan(self) -> Plan:
        """The Plan that the controls describe, with four micro-batches for each stage of its pipeline."""
        at = self.at
        return Plan(
            at.data * at.micro_batch * 4 * at.pipeline, at.micro_batch, at.data, at.tensor, at.pipeline,
            zero=at.zero, recompute=at.recompute, precision=at.precision, fused_attention=at.fused,
            sequence_parallel=at.tensor > 1,
        )  # fmt: skip

    def draw(self, ax: Axes, *_every: object) -> Axes:
        plan, last = self.plan(), self.at.pipeline - 1
        bars = {
            f"stage {stage}" if last else "every rank": memory.predict(self.at.model, plan, stage)
            for stage in sorted({0, plan.pipeline // 2, last})
        }
        return memory_stack.draw(ax, bars, memory.usable(self.at.cluster.memory))

    def notes(self, *_every: object) -> list[str]:
        model, plan = self.at.model, self.plan()
        why = planner.refusal(model, plan, self.at.cluster)
        each = sum(memory.BYTES.get(plan.precision, memory.MIXED))
        return [
            f"{plan.gpus:,} GPUs, {plan.batch:,} sequences of {model.sequence:,} tokens a step. "
            + (f"It cannot run: {why}." if why else "It fits."),
            f"State: {model.parameters / 1e9:.2f} billion × {each} bytes = "
            f"{model.parameters * each / 2**30:,.0f} GiB, before it is shared (modelled).",
        ]
