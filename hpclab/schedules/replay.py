"""What a schedule means, in ten lines: the reference that ranks, models and figures are held to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray

from hpclab.schedules.schedule import Schedule


def replay(
    schedule: Schedule, buffers: Sequence[NDArray[Any]], after_step: Callable[[int], None] | None = None
) -> None:
    """Move the elements between `buffers`, one 1-D work buffer for each rank, in place.

    `after_step(step)` is called after each step, with the buffers as they are then.
    """
    for step, messages in enumerate(schedule):
        parcels = [
            buffers[message["source"]][message["source_offset"] :][: message["size"]].copy()
            for message in messages
        ]
        for message, parcel in zip(messages, parcels, strict=True):
            target = buffers[message["target"]][message["target_offset"] :][: message["size"]]
            target[:] = target + parcel if message["reduce"] else parcel
        if after_step is not None:
            after_step(step)
