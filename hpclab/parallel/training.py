"""A rank's part of data-parallel training, each part of its steps timed: what lesson 08's scaler runs.

files, path = fsspec.filesystem("file"), "tokens.uint16"
ranks = pool.run(train, Training(shape, batch=16), files, path)
"""

import time
from collections.abc import Iterator, Sequence
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
"""What a step is for its rank; `exposed` is the communication that is left when backward has ended."""
WARMUP = 2  # steps whose times are left out: memory is taken for the first time, connections are made


@dataclass(frozen=True)
class Training:
    """`steps` measured steps of a GPT of `shape` on `batch` samples over all ranks, with AdamW.

    Gradients travel in buckets of `bucket` bytes, with `overlap` while others are computed, over `link`
    (None: the machine's own).
    """

    shape: Transformer
    batch: int
    steps: int = 8
    bucket: int = 2**20
    overlap: bool = True
    link: Link | None = None


@dataclass(frozen=True)
class TrainedStep:
    """One step of one rank: `marks` (see trace.Mark) and `messages` on time.monotonic(); `loss` in nats a
    token, of this rank's samples."""

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
    """What a rank brings back: its `steps` after the warm-up, all `losses`, the seconds from the beginning of
    training to each of them, and what it got of the cores."""

    steps: list[TrainedStep]
    losses: list[float]
    elapsed: list[float]
    sample: Sample = field(repr=False)


def train(job: Training, files: Any, path: str) -> Trained:
    """Train on this rank's part of each batch, read from the file of uint16 tokens at `path` in `files`.

    `files` is an fsspec file system: of this disk, or a client of the emulated store.
    """
    cuda = dist.get_backend() == "nccl"
    device = torch.device("cuda" if cuda else "cpu")
    model = gpt.GPT(job.shape).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    buckets = Buckets(model, job.bucket, link=job.link, overlap=job.overlap)
    tokens = files.size(path) // 2  # asked once: on a store that is an open

    @contextmanager
    def part(label: str, kind: str = "compute") -> Iterator[None]:
        with trace.record(kind, label=label):
            yield
            if cuda:  # or the clock stops before the kernels do
                torch.cuda.current_stream().synchronize()

    def step(number: int) -> TrainedStep:
        with trace.listen() as marks:
            with part("input", "input"):
                inputs, targets = (part.to(device) for part in read(job, files, path, tokens, number))
            with part("forward"):
                loss = gpt.loss(model(inputs), targets)
            with part("backward"):
                loss.backward()
            buckets.finish()  # marked as "exposed"
            with part("optimizer"):
                optimizer.step()
                optimizer.zero_grad()
        return TrainedStep(marks, buckets.messages, loss.item())

    dist.barrier()
    begin = time.monotonic()
    warm = [step(number) for number in range(WARMUP)]
    with Stopwatch(helpers=False) as watch:
        steps = [step(number) for number in range(WARMUP, WARMUP + job.steps)]
    every = [*warm, *steps]
    return Trained(steps, [one.loss for one in every], [one.end - begin for one in every], watch.sample)


def read(job: Training, files: Any, path: str, tokens: int, step: int) -> tuple[Tensor, Tensor]:
    """This rank's inputs and targets of a step, from a file of so many tokens; sample after sample."""
    rank, ranks, length = dist.get_rank(), dist.get_world_size(), job.shape.sequence
    begins = gpt.places(tokens, job.batch, length, step, rank, ranks)
    parts = [files.cat_file(path, 2 * begin, 2 * (begin + length + 1)) for begin in begins]
    samples = numpy.frombuffer(b"".join(parts), "<u2").reshape(len(parts), length + 1)
    windows = torch.from_numpy(samples.astype("i8"))
    return windows[:, :-1], windows[:, 1:]


def last_steps(ranks: Sequence[Trained]) -> Trace:
    """The last step of all ranks as a Trace of two rows for each: the rank, and its wire.

    Ranks of several machines have several clocks: each begins at 0 with this step.
    """
    events, longest = list[Event](), 0.0
    for rank, trained in enumerate(ranks):
        step = trained.steps[-1]
        begin = step.begin
        longest = max(longest, step.end - begin)
        events += events_of(step.marks, 2 * rank, -begin)
        events += [
            Event(2 * rank + 1, "reduce", one.begin - begin, one.end - one.begin, one.bytes, one.label)
            for one in step.messages
        ]
    return Trace(tuple(events), 2 * len(ranks), 0.0, longest)
