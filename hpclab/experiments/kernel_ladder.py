"""The experiment of lesson 03: how fast is each step of the ladders, and how fast should it be?

On a GPU times are between two device events. The CUDA simulator is never timed: without a GPU the GPU's
ladders can only be predicted, from the least bytes and operations that a result needs.
"""

import functools
import importlib
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy

from hpclab import checks, timing
from hpclab.experiments import machine_roof
from hpclab.experiments.experiment import Experiment, Points, Progress
from hpclab.experiments.machine_roof import versions
from hpclab.models.device import Device, devices, from_catalogue
from hpclab.models.roofline import Launch, Work, predict
from hpclab.results import Origin, Result, Results, new_run_id, select

NAME = "kernel ladder"
COPY = "device copy"  # device memory to device memory: what a streaming kernel can hope for
WHERE = {"cpu": (2**28, 2**28), "gpu": (2**31, 2**38)}  # the most bytes and operations of a step
_IN_FLIGHT = 16.0  # bytes: a loop of one float32 load, four times unrolled; see `launch_of`
StepOnShape = tuple[Any, tuple[int, ...]]


@dataclass(frozen=True)
class KernelLadder(Experiment):
    """The steps of `ladders` (all, where empty) `on` the "cpu" or the "gpu", each timed `repeats` times.

    Sizes are the largest powers of two, the same in each extent, within WHERE: past every cache, and short.
    """

    NAME = NAME
    on: str = checks.field(checks.choice, "cpu", allowed=WHERE)
    ladders: tuple[str, ...] = ()
    repeats: int = checks.field(checks.integer, 3, low=1, high=1000)

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.choices("ladders", self.ladders, _ladders(self.on))

    def steps(self) -> list[StepOnShape]:
        """Each step with the shape it runs on, in teaching order."""
        known = _ladders(self.on)
        steps = [step for name in self.ladders or known for step in known[name]]
        return [(step, largest_shape(step.problem, *WHERE[self.on])) for step in steps]

    def points(self, where: None, report: Progress) -> Points:
        """Yield for each repeat of each step a "time", a "bandwidth" and a "flop rate", with one run id;
        bytes are the least that the problem needs. Among them, on the CPU, are those of the `machine_roof`,
        in turns with the steps so that a neighbour slows both; on the GPU those of a device copy.
        RuntimeError where there is no GPU: the simulator's time says nothing about speed."""
        steps, run = self.steps(), new_run_id()
        ways = self._on_gpu(steps, run) if self.on == "gpu" else self._on_cpu(steps, run)
        for done, found in enumerate(ways, start=1):
            yield found
            report("{ladder}, {step}".format(**found[-1].parameters), done, len(steps) * self.repeats)

    def fit(self, results: Sequence[Result]) -> Device:
        """The device to predict with: on the CPU the measured roof; on the GPU its catalogue entry with the
        bandwidth that the device copy reached. No time of a ladder goes into it."""
        results = checks.instances("results", results, Result)
        if self.on == "cpu":
            return machine_roof.fit(results)
        copies = [r for r in results if r.quantity == "bandwidth" and r.parameters.get("ladder") == COPY]
        if not copies:
            raise ValueError("There is no device copy among the results: measure on the GPU first.")
        where = copies[0].environment
        device = from_catalogue(catalogue_name(str(where["gpu"]), float(where["memory"])))
        best = max(result.value for result in copies)
        return replace(device, reached_bandwidth=best)

    def predict(self, machine: Device, *, sectors: Mapping[str, float] | None = None) -> Results:
        """Time, bandwidth and FLOP/s of each step on the device `machine`, modelled, with the bound as
        `component`. `sectors` are bytes through the last cache for each byte that the problem of "ladder,
        step" needs, as `traced_traffic.sectors` counts them."""
        run, results = new_run_id(), Results()
        counted = checks.instance("sectors", {} if sectors is None else sectors, Mapping, "from sectors()")
        for step, shape in self.steps():
            work = work_of(step, shape)
            work = replace(work, cache_bytes=work.bytes * counted.get(work.name, 0.0))
            found = predict(work, machine, launch_of(step, shape, work) if self.on == "gpu" else None)
            results += self._step_results(
                step, shape, found.seconds, Origin.MODELLED, run=run, component=found.bound,
                environment={"device": machine.title}, source=found.roof.caveat,
            )  # fmt: skip
        return results

    def settings(self) -> dict[str, Any]:
        return {"on": self.on}

    def _step_results(
        self, step: Any, shape: tuple[int, ...], seconds: float, origin: Origin = Origin.MEASURED, **more: Any
    ) -> list[Result]:
        at = {**self.settings(), "ladder": step.problem.name, "step": step.name, "shape": shape}
        return observed(work_of(step, shape), seconds, origin, {"parameters": at, **more})

    def _on_cpu(self, steps: Sequence[StepOnShape], run: str) -> Points:
        """Time each step of a problem once in each repeat, after one run of all loops of the `machine_roof`,
        whose Results come with those of the first step."""
        roof = machine_roof.rounds()
        for _, group in itertools.groupby(steps, lambda one: one[0].problem.name):
            mine = list(group)
            arrays = mine[0][0].problem.make(mine[0][1], numpy.random.default_rng(0))
            for repeat in range(-1, self.repeats):  # the first, which also compiles, is not counted
                beside = next(roof) if repeat >= 0 else []
                for step, shape in mine:
                    with timing.Stopwatch() as watch:
                        step.launch(*arrays)
                    if repeat >= 0:
                        of: dict[str, Any] = {"run": run, "environment": versions(watch.sample)}
                        yield beside + self._step_results(step, shape, watch.sample.wall, repeat=repeat, **of)
                        beside = []

    def _on_gpu(self, steps: Sequence[StepOnShape], run: str) -> Points:
        """Time each repeat of each step; the Results of the device copy come with the first."""
        from hpclab.kernels import cuda as gpu

        if gpu.simulated:
            gpu.seconds(lambda: None)  # refuses, in its own words
        memory = gpu.cuda.current_context().get_memory_info().total
        of: dict[str, Any] = {"run": run, "environment": versions() | {"gpu": gpu.RUNS_ON, "memory": memory}}
        items = WHERE["gpu"][0] // 8
        source, target = (gpu.cuda.device_array(items, numpy.float32) for _ in range(2))
        copies = gpu.seconds(lambda: target.copy_to_device(source), repeats=self.repeats)
        at, beside = {"on": "gpu", "ladder": COPY, "step": COPY, "shape": (items,)}, list[Result]()
        for repeat, seconds in enumerate(copies):
            more = {"repeat": repeat, "parameters": at, **of}
            beside += observed(Work(8 * items, 0, name=COPY), seconds, Origin.MEASURED, more)
        for step, shape in steps:
            arrays = step.problem.make(shape, numpy.random.default_rng(0))
            launch = functools.partial(step.launch, *map(gpu.cuda.to_device, arrays))
            for repeat, seconds in enumerate(gpu.seconds(launch, repeats=self.repeats)):
                yield beside + self._step_results(step, shape, seconds, repeat=repeat, **of)
                beside = []


def work_of(step: Any, shape: tuple[int, ...]) -> Work:
    """The least bytes and operations that the step's problem needs on this shape."""
    problem = step.problem
    return Work(problem.bytes(shape), problem.flops(shape), name=f"{problem.name}, {step.name}")


def launch_of(step: Any, shape: tuple[int, ...], work: Work) -> Launch:
    """How a GPU launches `step`, whose `work` it is. A thread is taken to have its share of the bytes in
    flight, but no more than 16: in a loop it waits each time round."""
    grid, block = step.grid_block(shape)
    blocks, threads = math.prod(grid), math.prod(block)
    share = max(1.0, min(_IN_FLIGHT, work.bytes / (blocks * threads)))
    return Launch(blocks, threads, step.registers, step.shared, share)


def largest_shape(problem: Any, most_bytes: float, most_flops: float) -> tuple[int, ...]:
    """The shape with the largest power of two, the same in each extent, within both limits; at least 2."""
    shapes = [(2**power,) * len(problem.extents) for power in range(1, 31)]
    fits = [s for s in shapes[1:] if problem.bytes(s) <= most_bytes and problem.flops(s) <= most_flops]
    return max(fits, default=shapes[0])


def fastest(results: Sequence[Result]) -> dict[str, Result]:
    """By "ladder, step", the Result with the least time."""
    found: dict[str, Result] = {}
    for result in select(results, "time"):
        if "ladder" in (at := result.parameters):
            name = f"{at['ladder']}, {at['step']}"
            found[name] = min(result, found.get(name, result), key=lambda one: one.value)
    return found


def observed(
    work: Work, seconds: float, origin: Origin | str, more: Mapping[str, Any] | None = None
) -> list[Result]:
    """Results for `work` done in `seconds`: "time", "bandwidth" and "flop rate"; `more` are other fields."""
    count = {"bytes": work.bytes, "flops": work.flops, "precision": work.precision}
    fields = dict(more or {})
    fields["parameters"] = {"step": work.name, **fields.get("parameters", {}), **count}
    values = {"time": seconds, "bandwidth": work.bytes / seconds, "flop rate": work.flops / seconds}
    return [Result(NAME, quantity, value, Origin(origin), **fields) for quantity, value in values.items()]


def catalogue_name(gpu: str, memory: float) -> str:
    """The catalogue's name of a GPU called `gpu` with `memory` bytes; ValueError if none fits."""
    said = gpu.lower()
    for name, entry in sorted(devices().items(), key=lambda item: -len(item[0])):
        words = name.split("-")[:-1]  # the last one is the memory's size
        size = entry.value("memory")
        if all(word in said.replace(" ", "") for word in words) and 0.85 * size < memory < 1.1 * size:
            return name
    raise ValueError(f"The catalogue has no {gpu} with {memory / 1e9:.0f} GB, only {', '.join(devices())}.")


def _ladders(on: str) -> Mapping[str, tuple[Any, ...]]:
    """The steps of each ladder `on` the "cpu" or the "gpu", by the ladder's name."""
    return importlib.import_module(f"hpclab.kernels.{'cpu' if on == 'cpu' else 'ladder'}").LADDERS
