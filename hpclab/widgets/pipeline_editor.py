"""The bubble of a pipeline, to be made smaller, and what gets in the way: messages that take time, and a last
stage that is slower than the others, as it is with a language model's output."""

import numpy
from matplotlib.axes import Axes

from hpclab import schedules
from hpclab.figures import pipeline as figure
from hpclab.models.pipeline import PipelineTime, overhead, simulate
from hpclab.schedules.pipelines import NAMES
from hpclab.units import format_seconds
from hpclab.widgets.explorer import Explorer, choose, offer, slide

COUNTS = [2**n for n in range(7)]
_FORWARD = 0.01  # seconds


class PipelineEditor(Explorer):
    """A pipeline, modelled: a micro-batch's forward takes each rank 10 ms, its backward twice as long. The
    time axis is as long as GPipe needs, so that one sees how much sooner another schedule ends."""

    HEIGHT = 370

    def __init__(self) -> None:
        super().__init__(
            [
                {"schedule": choose("Schedule", NAMES), "ranks": slide("Ranks p", COUNTS[1:5], 4)},
                {"micro_batches": slide("Micro-batches m", COUNTS, 8), "chunks": slide("Chunks v", [1])},
                {
                    "message": slide("Message / forward", [0, 0.05, 0.1, 0.2, 0.5]),
                    "slow": slide("Last stage / others", [1, 1.1, 1.25, 1.5, 2]),
                },
            ]
        )

    def adapt(self, _changed: str) -> None:
        chunked = self.at.schedule == "interleaved 1F1B"
        offer(self.controls["chunks"], [2, 4] if chunked else [1], self.at.chunks)
        self.controls["chunks"].disabled = not chunked
        step = self.at.ranks if chunked else 1  # chunks take micro-batches in multiples of the ranks
        offer(self.controls["micro_batches"], [n for n in COUNTS if n % step == 0], self.at.micro_batches)

    def _timing(self, schedule: str) -> PipelineTime:
        at = self.at
        chunks = at.chunks if schedule == "interleaved 1F1B" else 1
        pipeline = schedules.pipeline(schedule, at.ranks, at.micro_batches, chunks)
        forward = numpy.full(pipeline.stages, _FORWARD / chunks)
        forward[-1] *= at.slow
        return simulate(pipeline, forward, 2 * forward, at.message * _FORWARD)

    def draw(self, ax: Axes, *_every: object) -> Axes:
        return figure.draw(ax, self._timing(self.at.schedule), until=self._timing("GPipe").makespan)

    def notes(self, *_every: object) -> list[str]:
        timing = self._timing(self.at.schedule)
        pipeline, added = timing.pipeline, overhead(timing.pipeline)
        held = pipeline.in_flight[0] / pipeline.chunks
        formula = "(p − 1) / (v m)" if pipeline.chunks > 1 else "(p − 1) / m"
        return [
            f"{format_seconds(timing.makespan)}, of which ranks are idle {timing.bubble:.1%}; "
            f"{len(pipeline.messages)} messages. Rank 0 holds up to {held:.3g} micro-batches.",
            f"With equal stages and free messages the bubble adds {formula} = {added:.3g} of the computing, "
            f"{added / (1 + added):.1%} of the whole.",
        ]
