"""Collectives and pipelines as step data: generated once; timed by a model, drawn, executed by ranks.

    schedule = schedules.collective("all_reduce", "ring", ranks=4, elements=1000)
    buffers = [schedules.place(schedule, rank, values[rank]) for rank in range(4)]
    schedules.replay(schedule, buffers)                  # or parallel.execution on real ranks
    schedules.result(schedule, 0, buffers[0])

`ALGORITHMS[collective]` are the algorithms by name.
"""

from hpclab.schedules.collectives import ALGORITHMS, collective
from hpclab.schedules.pipelines import Pipeline, pipeline
from hpclab.schedules.schedule import COLLECTIVES, MESSAGE, Schedule, layout, place, replay, result

__all__ = ["ALGORITHMS", "COLLECTIVES", "MESSAGE", "Pipeline", "Schedule", "collective", "layout", "pipeline",
           "place", "replay", "result"]  # fmt: skip
