"""Choose a plan: degrees, micro-batch, sharding; see its step beside the fastest plans, and its placement."""

from functools import lru_cache

import ipywidgets as widgets
from matplotlib.axes import Axes

from hpclab.figures import plans
from hpclab.models import planner, training_step
from hpclab.models.plan import ZERO, Plan
from hpclab.units import format_seconds
from hpclab.widgets.explorer import Explorer, choose
from hpclab.widgets.memory_calculator import POWERS, RECOMPUTE, clusters, models

SHOWN = 2  # bars: the learner's, if it runs, and the fastest
_plans = lru_cache(8)(planner.plans)


class PlanChooser(Explorer):
    """The learner's plan for a model on `gpus` GPUs of a cluster, beside the planner's fastest, all modelled.
    Data parallelism is what the other degrees leave of the GPUs."""

    HEIGHT = 240

    def __init__(self) -> None:
        self._links = widgets.HTML()
        rows = [
            {
                "model": models("GPT-3, 175 B"),
                "cluster": clusters("On", "dgx-a100", "dgx-h100", "a100-omni-path"),
                "gpus": choose("GPUs", [8, 64, 256, 512, 1024], 512),
            },
            {
                "batch": choose("Batch", [256, 512, 1024, 1536], 1024),
                "tensor": choose("Tensor", POWERS[:4], 8),
                "pipeline": choose("Pipeline", [*POWERS[:7], 12, 24, 96]),
                "chunks": choose("Chunks", [1, 2, 3, 4, 6]),
            },
            {
                "micro_batch": choose("Micro-batch", POWERS[:4]),
                "zero": choose("ZeRO", range(len(ZERO)), 1),
                "recompute": choose("Recompute", RECOMPUTE),
            },
        ]
        super().__init__(rows, after=[self._links])

    def plan(self) -> Plan:
        """The Plan that the controls describe; ValueError where its degrees do not divide the GPUs."""
        at = self.at
        rest, left = divmod(at.gpus, at.tensor * at.pipeline)
        if left or not rest:
            raise ValueError(f"tensor × pipeline = {at.tensor * at.pipeline} must divide the GPUs.")
        return Plan(
            at.batch, at.micro_batch, rest, at.tensor, at.pipeline, chunks=at.chunks, zero=at.zero,
            recompute=at.recompute, sequence_parallel=at.tensor > 1,
        )  # fmt: skip

    def _fastest(self) -> list[planner.Ranked]:
        at = self.at
        return _plans(at.model, at.cluster, at.gpus, at.batch)[:SHOWN]

    def _refusal(self) -> str:
        """Why the learner's plan cannot run; "" where it can."""
        try:
            return planner.refusal(self.at.model, self.plan(), self.at.cluster)
        except ValueError as error:
            return str(error).rstrip(".")

    def draw(self, ax: Axes, *_every: object) -> Axes:
        best, why = self._fastest(), self._refusal()
        if why and not best:
            self._links.value = ""
            raise ValueError("No plan fits this model on these GPUs: take more of them.")
        steps = {plans.name(one.plan): one.step.parts for one in best[: SHOWN - (not why)]}
        title = f"Your plan cannot run: {why}"
        if not why:
            step = training_step.predict(self.at.model, self.plan(), self.at.cluster)
            steps = {f"yours: {plans.name(self.plan())}": step.parts} | steps
            slower = step.seconds / best[0].step.seconds - 1 if best else 0.0
            beside = f"{slower:.0%} more than the fastest" if slower > 0.005 else "none is faster"
            title = f"Yours: {format_seconds(step.seconds)} a step, {beside} (modelled)"
        return plans.steps(ax, steps, title)

    def describe(self) -> str:
        """Return the title, and draw the plan's placement at the bottom."""
        runs = not self._refusal()
        self._links.value = plans.placement(self.plan(), self.at.cluster.node_gpus) if runs else ""
        return self.headline()

    def notes(self, *_every: object) -> list[str]:
        found = self._fastest()
        if not found:
            return ["The planner finds no plan; yours is all there is."]
        one = found[0]
        tokens = one.plan.batch * self.at.model.sequence / one.step.seconds
        return [
            f"The fastest trains on {tokens:,.0f} tokens/s and fills {one.memory.total / 2**30:.0f} GiB of "
            "each GPU."
        ]
