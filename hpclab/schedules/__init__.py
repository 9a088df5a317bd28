"""Collectives as step data: generated once; timed by a model, animated by a figure, executed by ranks.

    from hpclab import schedules
    schedule = schedules.collective("all_reduce", "ring", ranks=4, elements=1000)
    schedule.steps, schedule.sent()                      # 6 steps; elements that each rank sends
    for messages in schedule: ...                        # a structured array of messages for each step

    buffers = [schedules.place(schedule, rank, values[rank]) for rank in range(4)]
    schedules.replay(schedule, buffers)                  # or parallel.collectives.execute on real ranks
    schedules.result(schedule, 0, buffers[0])

`ALGORITHMS[collective]` are the algorithms by name; an algorithm's functions are documented in the module of
its family (`ring`, `binomial_tree`, `doubling`, `double_tree`, `hierarchical`, `exchange`, `star`).
"""

from hpclab.schedules.collectives import ALGORITHMS, Algorithm, collective
from hpclab.schedules.layout import Layout, layout, place, result
from hpclab.schedules.messages import bounds
from hpclab.schedules.replay import replay
from hpclab.schedules.schedule import COLLECTIVES, MESSAGE, Schedule

__all__ = [
    "ALGORITHMS", "COLLECTIVES", "MESSAGE", "Algorithm", "Layout", "Schedule", "bounds", "collective",
    "layout", "place", "replay", "result",
]  # fmt: skip
