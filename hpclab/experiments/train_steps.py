"""The experiment of lesson 08: train on 1, 2, 4 ... ranks, and see what a step consists of."""

import contextlib
import functools
import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import fsspec
import torch

from hpclab import checks, corpus, timing
from hpclab.cluster.pool import Pool
from hpclab.experiments.experiment import Experiment, Points, Progress, counts, environment, is_here, on_store
from hpclab.machine import allowance
from hpclab.models import overlap, storage, training_step
from hpclab.models.gpu_cluster import GpuCluster
from hpclab.models.plan import Plan
from hpclab.models.storage import Reading, Store
from hpclab.models.transformer import Transformer
from hpclab.parallel.link import Link
from hpclab.parallel.training import PARTS, Trained, TrainedStep, Training, train
from hpclab.results import Origin, Result, Results, new_run_id, select
from hpclab.units import format_seconds
from hpclab.workloads import gpt

SMALL = Transformer(layers=4, hidden=128, heads=4, sequence=64, vocabulary=4096, tied=False)
"""The course's language model as lessons train it: 1.85 million parameters, 7.4 MB of gradients."""
SUMMED = (*PARTS, "idle")
"""The components of a step's "seconds" that sum to its makespan."""


@dataclass(frozen=True)
class Costs:
    """What a step costs at some number of ranks, on this machine's own link and disk: seconds of its `parts`;
    the `rate` in bytes/s at which its ranks sum gradients, which no emulated link can exceed; its `size` in
    samples of a rank."""

    parts: Mapping[str, float]
    rate: float
    size: float


@dataclass(frozen=True)
class TrainSteps(Experiment):
    """Data-parallel training steps of a GPT, timed at each number of `ranks`. `batch` are the samples of each
    rank ("weak" scaling) or of all together ("strong"); `bucket` is in bytes. Gradients travel over an
    emulated `link`, or where it is None over this machine's own; tokens are read from an emulated `store`, or
    where it is None from the disk."""

    NAME = "train steps"
    ranks: tuple[int, ...] = checks.field(counts, (1, 2, 4))
    scaling: str = checks.field(checks.choice, "weak", allowed=("weak", "strong"))
    batch: int = checks.field(checks.integer, 8, low=1, high=2**16)
    bucket: int = checks.field(checks.integer, 2**20, low=1, high=2**40)
    overlap: bool = checks.field(checks.instance, True, of=bool, called="True or False")
    link: Link | None = checks.field(checks.instance, None, of=Link | None, called="a Link")
    store: Store | None = checks.field(checks.instance, None, of=Store | None, called="a Store")
    steps: int = checks.field(checks.integer, 6, low=1, high=10_000)
    repeats: int = checks.field(checks.integer, 1, low=1, high=100)
    shape: Transformer = SMALL
    on_pool: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for ranks in self.ranks if self.scaling == "strong" else ():
            if self.batch % ranks:
                raise ValueError(f"batch must be a multiple of the {ranks} ranks, not {self.batch}.")

    def samples(self, ranks: int) -> int:
        """Samples of a step, those of all ranks together."""
        return self.batch * (ranks if self.scaling == "weak" else 1)

    def training(self, ranks: int) -> Training:
        return Training(self.shape, self.samples(ranks), self.steps, self.bucket, self.overlap, self.link)

    def points(self, where: Pool, report: Progress) -> Points:
        """Yield for each repeat the "makespan" of its median step and the "seconds" of its components, means
        over ranks: PARTS, "idle" (what no part explains), and beside the sum "hidden" and "messages". Then
        "tokens per second" of all ranks, and a "loss" (nats a token) for every step, with the parameters
        step, tokens and elapsed (seconds since training began)."""
        with self._tokens() as (files, path, far):
            turns = list(self.turns(self.ranks))
            for done, (ranks, repeat) in enumerate(turns):
                if ranks > where.nodes:
                    where.scale(ranks, progress=functools.partial(report, "starting nodes"))
                if far:
                    is_here(where, needed=True)
                report("training", done, len(turns))
                trained = where.run(train, self.training(ranks), files, path, ranks=ranks)
                yield self._results(trained, where, repeat, far)
                report("training", done + 1, len(turns))

    def fit(self, results: Sequence[Result]) -> Mapping[int, Costs]:
        """Costs, medians over repeats, at each number of ranks that was measured over this machine's own link
        (one rank sends nothing: any link) from its own disk, with the same `overlap` where there are such
        runs. ValueError where one rank was not measured."""
        mine, costs = select(results, "seconds", shape=str(self.shape)), {}
        for ranks in {one.parameters["ranks"] for one in mine}:
            here = select(mine, None, ranks=ranks)
            same = select(here, None, link="", store="") or (here if ranks == 1 else [])
            if same := select(same, None, overlap=self.overlap) or same:
                parts = {
                    name: statistics.median(one.value for one in same if one.component == name)
                    for name in (*PARTS, "messages")
                }
                rate = sum(self.gradients()[0]) / max(parts["messages"], 1e-9)
                costs[ranks] = Costs(parts, rate, same[0].parameters["samples"] / ranks)
        if 1 not in costs:
            raise ValueError("A step on one rank was not measured yet: run that first.")
        return costs

    def predict(
        self, machine: GpuCluster | None, calibration: Mapping[int, Costs] | None, ranks: Sequence[int] = ()
    ) -> Results:
        """The modelled "makespan" and "seconds" by component, at `ranks` (default: those of the spec).

        With `machine` None on this one: what was measured on most ranks, with messages of the spec's buckets
        and link over it, by `models.overlap`; ranks beyond the cores take turns. On a cluster of GPUs, in 16
        bits, by `models.training_step.predict`; `calibration` is not looked at."""
        if machine is None:
            checks.instance("calibration", calibration, Mapping, "what fit() returned")
        source, found = "a step on this machine" if machine is None else machine.title, Results()
        for count in counts("ranks", ranks or self.ranks, 1, 2**20):
            parts = self._here(calibration or {}, count) if machine is None else self._there(machine, count)
            values = {"makespan": sum(parts[name] for name in SUMMED), **_by_component(parts)}
            at = {"ranks": count, "samples": self.samples(count)}
            found += self.make_results(values, at, origin=Origin.MODELLED, source=source)
        return found

    def gradients(self) -> tuple[list[int], list[float]]:
        """(bytes of each bucket, share of the backward pass after which it is ready).

        The work behind a gradient is taken as proportional to its numbers; the embeddings' are looked up.
        """
        with torch.device("meta"):  # names and sizes, without memory for them
            named = list(gpt.GPT(self.shape).named_parameters())[::-1]
        work = [0 if name.startswith(("token", "position")) else one.numel() for name, one in named]
        return overlap.buckets([one.nbytes for _, one in named], work, self.bucket)

    def settings(self) -> dict[str, Any]:
        return {
            "scaling": self.scaling, "batch": self.batch, "bucket": self.bucket, "overlap": self.overlap,
            "link": str(self.link or ""), "store": str(self.store or ""), "shape": str(self.shape),
        }  # fmt: skip

    def _here(self, costs: Mapping[int, Costs], ranks: int) -> dict[str, float]:
        """Modelled seconds of a step's components at `ranks` ranks of this machine, by name."""
        base = max(count for count in costs if count <= ranks)
        known, parts = costs[base], dict(costs[base].parts)
        cores = allowance.cores().whole
        slower = max(1.0, ranks / cores) / max(1.0, base / cores)
        more = self.samples(ranks) / ranks / known.size
        for name in ("input", "forward", "backward", "optimizer"):
            parts[name] *= slower * (1.0 if name == "optimizer" else more)
        if self.store is not None:
            size = 2 * (self.shape.sequence + 1)
            one = Reading(ranks, self.samples(ranks) // ranks, size, len(self.store.servers))
            parts["input"] = storage.predict(self.store, one).seconds
        sizes, ready = self.gradients()
        linked = self.link.seconds if self.link else lambda _size, _ranks: 0.0
        seconds = [max(size / known.rate * (ranks > 1), linked(size, ranks)) for size in sizes]  # gloo's own
        sent = overlap.send(parts["backward"], ready, seconds, self.overlap)
        return parts | {
            "exposed": sent.exposed, "hidden": sent.hidden, "idle": 0.0, "messages": sum(seconds)
        }  # fmt: skip

    def _there(self, cluster: GpuCluster, ranks: int) -> dict[str, float]:
        """Modelled seconds of a step's components at `ranks` GPUs of `cluster`, by name."""
        precision = "bf16" if "bf16" in cluster.gpu.sold else "fp16"
        samples = self.samples(ranks)
        micro = math.gcd(samples // ranks, 16)
        plan = Plan(samples, micro, data=ranks, precision=precision, overlap=self.overlap)
        step = training_step.predict(self.shape, plan, cluster)
        exposed, optimizer = step.parts["gradients"], step.parts["optimizer"]
        computing = step.seconds - exposed - optimizer
        return {
            "input": 0.0, "forward": computing / 3, "backward": computing / 1.5, "exposed": exposed,
            "optimizer": optimizer, "idle": 0.0, "hidden": step.hidden["gradients"],
        }  # fmt: skip

    def _results(self, trained: list[Trained], pool: Pool, repeat: int, far: str) -> list[Result]:
        """What one repeat showed; the parts are those of the step that took the median time."""
        ranks, link = len(trained), self.link
        steps = sorted(zip(*(rank.steps for rank in trained), strict=True), key=_wall)
        step = steps[len(steps) // 2]
        seconds = _wall(step)
        parts = {name: statistics.fmean(one.seconds(name) for one in step) for name in PARTS}
        parts["idle"] = max(0.0, seconds - sum(parts.values()))
        parts["hidden"] = statistics.fmean(one.hidden for one in step)
        parts["messages"] = statistics.fmean(sum(m.end - m.begin for m in one.messages) for one in step)
        linked = f"gradients travel over a link of {link.bandwidth * 8e-9:g} Gb/s" if link else ""
        linked += f" and {format_seconds(link.latency)}" if link and link.latency else ""
        condition = "; ".join(filter(None, (linked, far)))
        where = environment(sample := timing.total(rank.sample for rank in trained), pool)
        # Seconds without a core, beyond those that ranks take turns on the cores, say that others had them.
        late = sample.waited / sample.wall - max(0.0, 1 - where["cores"] / ranks) * where["shared"]
        of: dict[str, Any] = {"run": new_run_id(), "repeat": repeat, "condition": condition}
        of["environment"] = where | {"late": max(0.0, late)}
        at = {"ranks": ranks, "samples": self.samples(ranks)}
        tokens = at["samples"] * self.shape.sequence
        values = {"makespan": seconds, **_by_component(parts), "tokens per second": tokens / seconds}
        found = self.make_results(values, at, **of)
        for number, losses in enumerate(zip(*(rank.losses for rank in trained), strict=True)):
            when = {"step": number, "elapsed": trained[0].elapsed[number], "tokens": tokens * (number + 1)}
            found += self.make_results({"loss": statistics.fmean(losses)}, at | when, **of)
        return found

    @contextlib.contextmanager
    def _tokens(self) -> Iterator[tuple[Any, str, str]]:
        """Yield a file system, the path of the corpus's tokens in it, and the condition if it is emulated."""
        tokens = corpus.load_or_make().tokens
        if self.store is None:
            yield fsspec.filesystem("file"), str(tokens.filename), ""
            return
        with on_store(self.store, {"tokens": tokens.tobytes()}) as (files, condition):
            yield files, "tokens", f"the tokens lie on {condition}"


def _by_component(parts: Mapping[str, float]) -> dict[Any, float]:
    return {("seconds", name): seconds for name, seconds in parts.items()}


def _wall(step: Iterable[TrainedStep]) -> float:
    """Seconds of one step, the mean of its ranks'."""
    return statistics.fmean(one.end - one.begin for one in step)
