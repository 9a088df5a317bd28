"""A training job's input: torch's DataLoader over any map-style Dataset, before an emulated accelerator."""

import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, default_collate, get_worker_info

from hpclab import checks
from hpclab.results import Origin
from hpclab.storage.samples import StoredSamplesError
from hpclab.trace import Event, Mark, Trace, events_of, listen


@dataclass(frozen=True)
class Epoch:
    """One pass over all samples. `trace` (rank 0 is the training process, then each worker) and the seconds
    of `samples_per_second` begin when the workers are started; `utilisation`, MLPerf Storage's accelerator
    utilisation, is seconds of steps over those from the first batch's arrival to the last step's end."""

    trace: Trace
    utilisation: float
    samples_per_second: float


def read(
    samples: Any, *,
    batch: int = 64, workers: int = 0, prefetch: int = 2, shuffle: bool = False, step: float = 0.0,
) -> Epoch:  # fmt: skip
    """Load every sample once, `batch` at a time, and sleep `step` seconds for each batch, as the accelerator.

    `workers` processes of one thread load `prefetch` batches ahead each; 0 loads here, between the steps.
    What `trace.record` marks inside the Dataset is in the trace; the rest counts as compute.
    StoredSamplesError as the Dataset raised it, and where a worker was killed. Without fork (macOS) a Dataset
    defined in a notebook needs ``workers=0``.
    """
    checks.instance("samples", samples, Dataset, "a torch Dataset")
    checks.instance("shuffle", shuffle, bool, "True or False")
    step = checks.number("step", step, 0, 3600, "seconds")
    workers, ahead = checks.integer("workers", workers, 0, 64), checks.integer("prefetch", prefetch, 1, 1024)
    batch = checks.integer("batch", batch, 1, 2**20)
    count = checks.integer("len(samples)", len(samples), 1, 2**40)
    events, batches, begin = list[Event](), list[_Batch](), time.monotonic()
    iterator: Any = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of more workers than cores, of fork beside threads
            iterator = iter(
                DataLoader(
                    _Marked(samples), batch_size=batch, shuffle=shuffle,
                    collate_fn=tuple, num_workers=workers, prefetch_factor=ahead if workers else None,
                    multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
                    pin_memory=torch.cuda.is_available(),
                )
            )  # fmt: skip
        for _ in range(len(iterator)):
            asked = time.monotonic()
            data, made = next(iterator)
            if made is None:
                raise data
            arrived = time.monotonic()
            time.sleep(step)
            batches.append(made)
            if workers:
                events.append(Event(0, "input", asked, arrived - asked, label="wait"))
            took = time.monotonic() - arrived
            events.append(Event(0, "compute", arrived, took, label="step", origin=Origin.EMULATED))
    except RuntimeError as error:
        said = str(error).partition("\n")[0].rstrip(". ")
        if not said.startswith("DataLoader worker"):
            raise
        raise StoredSamplesError(f"{said}: if memory is short, use fewer workers.") from None
    finally:
        if workers and iterator is not None:
            iterator._shutdown_workers()  # at once: an error's traceback may hold the iterator
    steps = [event for event in events if event.label == "step"]
    end = events[-1].end
    events += _worker_events(batches, workers, begin, end)
    used = len(steps) * step / max(end - steps[0].start, 1e-9)
    return Epoch(Trace(tuple(events), 1 + workers, begin, end), min(1.0, used), count / (end - begin))


_Batch = tuple[int, float, float, list[Mark]]
"""Who made a batch (0: the training process), when that began and ended, and what was marked meanwhile."""


class _Marked(Dataset):
    """Wraps a Dataset: each batch comes with its `_Batch`, an error in place of the batch with None."""

    def __init__(self, samples: Any) -> None:
        self._samples = samples

    def __len__(self) -> int:
        return len(self._samples)

    def __getitems__(self, indices: list[int]) -> tuple[Any, _Batch | None]:
        worker, begin = get_worker_info(), time.monotonic()
        try:
            with listen() as marks:
                if hasattr(self._samples, "__getitems__"):
                    found = self._samples.__getitems__(indices)
                else:
                    found = [self._samples[index] for index in indices]
                data = default_collate(found)
        except StoredSamplesError as error:  # torch would wrap it in a traceback of many lines
            return error, None
        return data, (worker.id + 1 if worker else 0, begin, time.monotonic(), marks)


def _worker_events(batches: Sequence[_Batch], workers: int, begin: float, end: float) -> list[Event]:
    """Trace events of making these batches; a worker's is "start" before its first and "idle" in between."""
    events = []
    last = dict.fromkeys(range(1, workers + 1), begin)
    for rank, started, ended, marks in sorted(batches, key=lambda batch: batch[1]):
        events += [Event(rank, "compute", started, ended - started, label="batch"), *events_of(marks, rank)]
        if rank:
            before = "start" if last[rank] == begin else "idle"
            events.append(Event(rank, before, last[rank], started - last[rank]))
            last[rank] = ended
    events += [Event(rank, "idle", ended, max(0.0, end - ended)) for rank, ended in last.items()]
    return events
