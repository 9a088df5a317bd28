"""Choose a plan: degrees, micro-batch, sharding; see its step beside the fastest plans, and who talks to "
"whom."""

from typing import Any

import ipywidgets as widgets
from matplotlib.axes import Axes

from hpclab.figures import placement, plan_bars
from hpclab.models import gpu_cluster, planner, training_step
from hpclab.models.gpu_cluster import GpuCluster
from hpclab.models.plan import Plan
from hpclab.models.transformer import Transformer
from hpclab.units import format_seconds
from hpclab.widgets.explorer import Explorer, control
from hpclab.widgets.memory_calculator import MODELS

SHOWN = 3  # of the fastest plans
_POWERS = [2**power for power in range(7)]


class PlanChooser(Explorer):
    """The learner's plan for a model on `gpus` GPUs of a cluster, beside the planner's fastest, all modelled.

    Data parallelism is what the other degrees leave of the GPUs.
    """

    shown: Any  # the Axes

    def __init__(self) -> None:
        def choose(name: str, options: Any, value: Any) -> Any:
            return control(widgets.Dropdown, name, options=options, value=value)

        clusters = [
            (gpu_cluster.named(name).title, name) for name in ("dgx-a100", "dgx-h100", "a100-omni-path")
        ]
        self._links = widgets.HTML()
        super().__init__(
            [
                {
                    "model": choose("Model", [*MODELS.items()], MODELS["GPT-3, 175 B"]),
                    "cluster": choose("On", clusters, "dgx-a100"),
                    "gpus": choose("GPUs", [8, 64, 256, 512, 1024], 512),
                },
                {
                    "batch": choose("Batch", [256, 512, 1024, 1536], 1024),
                    "tensor": choose("Tensor", _POWERS[:4], 8),
                    "pipeline": choose("Pipeline", [*_POWERS, 12, 24, 96], 1),
                    "chunks": choose("Chunks", [1, 2, 3, 4, 6], 1),
                },
                {
                    "micro": choose("Micro-batch", [1, 2, 4, 8], 1),
                    "zero": choose("ZeRO", [0, 1, 2, 3], 1),
                    "recompute": choose("Recompute", ["none", "selective", "full"], "none"),
                },
            ],
            draw=lambda ax, model, cluster, gpus, batch, tensor, pipeline, chunks, micro, zero, recompute:
            self._picture(ax),
            describe=lambda: self.shown.get_title("left"),
            note=lambda model, cluster, gpus, batch, tensor, pipeline, chunks, micro, zero, recompute:
            self._said(),
            adapt=lambda changed: self._place(),
            height=330,
        )  # fmt: skip
        self.children = [*self.children[:-2], self._links, *self.children[-2:]]

    def plan(self) -> Plan:
        """What the controls say; ValueError where that is no plan."""
        at = {name: one.value for name, one in self.controls.items()}
        rest, left = divmod(at["gpus"], at["tensor"] * at["pipeline"])
        if left or not rest:
            raise ValueError(f"tensor × pipeline = {at['tensor'] * at['pipeline']} must divide the GPUs.")
        return Plan(
            at["batch"], at["micro"], rest, at["tensor"], at["pipeline"], chunks=at["chunks"],
            zero=at["zero"], recompute=at["recompute"], sequence_parallel=at["tensor"] > 1,
        )  # fmt: skip

    def _cluster(self) -> GpuCluster:
        return gpu_cluster.named(self.controls["cluster"].value)

    def _fastest(self) -> list[planner.Ranked]:
        at = {name: one.value for name, one in self.controls.items()}
        return planner.plans(at["model"], self._cluster(), at["gpus"], at["batch"])[:SHOWN]

    def _refusal(self) -> str:
        """Why the learner's plan cannot run; "" where it can."""
        try:
            return planner.refusal(self.controls["model"].value, self.plan(), self._cluster())
        except ValueError as error:
            return str(error).rstrip(".")

    def _picture(self, ax: Axes) -> Axes:
        model: Transformer = self.controls["model"].value
        best, why = self._fastest(), self._refusal()
        if why and not best:
            raise ValueError("No plan fits this model on these GPUs: take more of them.")
        steps = {plan_bars.name(one.plan): one.step.parts for one in best}
        title = f"Your plan cannot run: {why}"
        if not why:
            step = training_step.predict(model, self.plan(), self._cluster())
            steps = {f"yours: {plan_bars.name(self.plan())}": step.parts} | steps
            slower = step.seconds / best[0].step.seconds - 1 if best else 0.0
            beside = f"{slower:.0%} more than the fastest" if slower > 0.005 else "none is faster"
            title = f"Yours: {format_seconds(step.seconds)} a step, {beside} (modelled)"
        return plan_bars.draw(ax, steps, title=title)

    def _place(self) -> None:
        self._links.value = ""
        if not self._refusal():
            self._links.value = placement.draw(self.plan(), self._cluster().node_gpus)

    def _said(self) -> list[str]:
        found = self._fastest()
        if not found:
            return ["The planner finds no plan; yours is all there is."]
        model, one = self.controls["model"].value, found[0]
        tokens = one.plan.batch * model.sequence / one.step.seconds
        return [
            f"The fastest trains on {tokens:,.0f} tokens/s and fills {one.memory.total / 2**30:.0f} GiB of "
            f"a GPU.",
            "The planner tries every degree that divides, keeps what fits in memory, and asks "
            "models.training_step for the time.",
        ]
