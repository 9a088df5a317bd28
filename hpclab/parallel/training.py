"""A rank's part of data-parallel training, each part of its steps timed: what lesson 08's scaler runs."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy
import torch
import torch.distributed as dist
from torch import Tensor

from hpclab import trace
from hpclab.models.transformer import Transformer
from hpclab.parallel.data import Buckets
from hpclab.parallel.link import Link, Message
from hpclab.timing import Sample, Stopwatch
from hpclab.trace import Event, Mark, Trace, events_of
from hpclab.workloads import gpt

PARTS = ("input", "forward", "backward", "exposed", "optimizer")
"""The parts of a step of a rank; `exposed` is the communication that is left when backward has ended."""
WARMUP = 2  # steps whose times are left out: memory is taken for the first time, connections are made


@dataclass(frozen=True)
class Training:
    """What ranks are to train: `steps` measured steps of a GPT of `shape`, with AdamW, each on `batch`
    samples over all ranks. Gradients travel in buckets of `bucket` bytes, with `overlap` while others are
    computed, over `link` (None: the machine's own)."""

    shape: Transformer
    batch: int
    steps: int = 8
    bucket: int = 2**20
    overlap: bool = True
    link: Link | None = None


@dataclass(frozen=True)
class TrainedStep:
    """One step of one rank: `marks` and `messages` on time.monotonic(); `loss` in nats a token."""

    marks: Sequence[Mark]
    messages: Sequence[Message]
    loss: float

    @property
    def begin(self) -> float:
        return min(begin for _, begin, *_ in self.marks)

    @property
    def end(self) -> float:
        return max(begin + duration for _, begin, duration, *_ in self.marks)

    def seconds(self, label: str) -> float:
        """Seconds of one of PARTS."""
        return sum(mark[2] for mark in self.marks if mark[4] == label)

    @property
    def hidden(self) -> float:
        """Seconds of messages that were on their way while backward computed."""
        begin, duration = next(mark[1:3] for mark in self.marks if mark[4] == "backward")
        spans = ((max(one.begin, begin), min(one.end, begin + duration)) for one in self.messages)
        return sum(max(0.0, end - first) for first, end in spans)


@dataclass(frozen=True)
class Trained:
    """What a rank brings back: its `steps` after the warm-up; the `losses` of all, and the seconds until
    each; what it got of the cores."""

    steps: list[TrainedStep]
    losses: list[float]
    elapsed: list[float]
    sample: Sample = field(repr=False)


@contextmanager
def timed_part(label: str, kind: str = "compute") -> Iterator[None]:
    """Record the time of what is done inside as the part `label`, one of PARTS."""
    with trace.record(kind, label=label):
        yield
        if dist.get_backend() == "nccl":  # or the clock stops before the kernels do
            torch.cuda.current_stream().synchronize()


def torch_step(job: Training) -> Callable[[Tensor], tuple[float, list[Message]]]:
    """PyTorch's step: marks all PARTS but the input, and returns the loss and the messages of these samples
    (this rank's, `job.shape.sequence` + 1 tokens each)."""
    model = gpt.GPT(job.shape).to("cuda" if dist.get_backend() == "nccl" else "cpu")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    buckets = Buckets(model, job.bucket, link=job.link, overlap=job.overlap)

    def step(samples: Tensor) -> tuple[float, list[Message]]:
        with timed_part("forward"):
            loss = gpt.loss(model(samples[:, :-1]), samples[:, 1:])
        with timed_part("backward"):
            loss.backward()
        buckets.finish()  # marked as "exposed"
        with timed_part("optimizer"):
            optimizer.step()
            optimizer.zero_grad()
        return loss.item(), buckets.messages

    return step


def train(job: Training, files: Any, path: str, stepper: Any = torch_step) -> Trained:
    """Train on this rank's part of each batch, read from the file of uint16 tokens at `path` in `files`.

    `files` is an fsspec file system: of this disk, or a client of the emulated store. `stepper` makes the
    step of another framework as `torch_step` does PyTorch's.
    """
    advance, rank, ranks, length = stepper(job), dist.get_rank(), dist.get_world_size(), job.shape.sequence
    tokens = files.size(path) // 2  # asked once: on a store that is an open
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"

    def step(number: int) -> TrainedStep:
        with trace.listen() as marks:
            with timed_part("input", "input"):
                begins = gpt.sample_starts(tokens, job.batch, length, number, rank, ranks)
                read = [files.cat_file(path, 2 * begin, 2 * (begin + length + 1)) for begin in begins]
                samples = numpy.frombuffer(b"".join(read), "<u2").reshape(len(read), length + 1)
                on_device = torch.from_numpy(samples.astype("i8")).to(device)
            loss, messages = advance(on_device)
        return TrainedStep(marks, messages, loss)

    dist.barrier()
    begin = time.monotonic()
    warm = [step(number) for number in range(WARMUP)]
    with Stopwatch(helpers=False) as watch:
        steps = [step(number) for number in range(WARMUP, WARMUP + job.steps)]
    every = [*warm, *steps]
    return Trained(steps, [one.loss for one in every], [one.end - begin for one in every], watch.sample)


def last_steps(ranks: Sequence[Trained]) -> Trace:
    """The last step of all ranks as a Trace of two rows for each: the rank, and its wire; for each rank,
    whose clock may be another machine's, it begins at 0."""
    events, last = list[Event](), [trained.steps[-1] for trained in ranks]
    for rank, step in enumerate(last):
        begin = step.begin
        events += events_of(step.marks, 2 * rank, -begin)
        events += [
            Event(2 * rank + 1, "reduce", one.begin - begin, one.end - one.begin, one.bytes, one.label)
            for one in step.messages
        ]
    return Trace(tuple(events), 2 * len(ranks), 0.0, max(step.end - step.begin for step in last))
