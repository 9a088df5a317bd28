"""Compare every step of the ladders with the vendor's own: `python benchmarks/gpu_kernels.py [FILE]`.

One run on this machine's NVIDIA GPU: a device-to-device copy, each kernel, and what torch does for the same
problem (TF32 off), all in one stream between CUDA events, each step checked against its reference before.
The table shows the median, the bytes and operations that the problem needs over it, and the ratio to its
goal. FILE (JSON lines, each with its provenance) belongs into hpclab/validation/recorded/ as
gpu_kernels_<gpu>.jsonl: take a GPU that nobody else uses. Without a GPU it says so, and writes nothing.
"""

import datetime
import functools
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy

from hpclab import machine
from hpclab.experiments.kernel_ladder import COPY, NAME, observed, work_of
from hpclab.kernels import cuda as gpu
from hpclab.kernels.ladder import LADDERS
from hpclab.kernels.step import Problem, Shape, Variant
from hpclab.machine.gpu_preflight import version
from hpclab.models.roofline import Work
from hpclab.results import Origin, Result, new_run_id, write_jsonl

VENDOR = "torch"
SHAPES = {  # past every cache; softmax's rows are as long as attention's
    "vector add": (2**27,), "transpose": (2**14, 2**14), "reduction": (2**28,), "histogram": (2**28,),
    "stencil": (2**14, 2**14), "softmax": (2**16, 4096), "matrix multiply": (4096, 4096, 4096),
}  # fmt: skip
COPIED = 2**28  # float32
CHECKED = {1: (1_000_003,), 2: (1031, 2053), 3: (257, 129, 515)}
GOALS = {  # (ladder, step): at least this share of the speed of COPY or of VENDOR
    ("vector add", "grid-stride"): (COPY, 0.9),
    ("transpose", "padded"): (COPY, 0.9),
    ("reduction", "warp shuffle"): (COPY, 0.9),
    ("softmax", "online"): (VENDOR, 0.9),
    ("matrix multiply", "register-blocked"): (VENDOR, 0.5),
}
LONGEST = 0.2  # seconds of one repeat; a naive step is called once for it, a fast one often


def main(path: str = "") -> int:
    if gpu.simulated:
        print("There is no GPU that Numba can use here, so nothing was measured; `hpclab doctor` says why.")
        return 0
    try:
        results = measure()
    except Exception as error:
        if "out of memory" not in str(error).lower().replace("_", " "):
            raise
        raise SystemExit("The GPU's memory is full: take one with 8 GB that nobody else uses.") from None
    print("\n".join(table(results)))
    if path:
        write_jsonl(results, path)
        print(f"\nWritten to {path}.")
    return 0


def measure() -> list[Result]:
    """Time the copy, then each ladder's steps and after them torch's; Results with one run id."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    given = {"run": new_run_id(), "source": provenance(), "environment": {"gpu": gpu.RUNS_ON}}
    source, target = (gpu.cuda.device_array(COPIED, numpy.float32) for _ in range(2))
    work = Work(2 * source.nbytes, 0, name=COPY)
    copy = functools.partial(target.copy_to_device, source)
    results = observations(work, COPY, COPY, (COPIED,), given, copy)
    del source, target, copy  # and with the names the memory
    for name, steps in LADDERS.items():
        shape = SHAPES[name]
        for problem in dict.fromkeys(step.problem for step in steps):
            solving = [step for step in steps if step.problem is problem]
            host = problem.make(shape, numpy.random.default_rng(0))
            arrays = [gpu.cuda.to_device(array) for array in host]
            work = work_of(solving[0], shape)
            for step in solving:
                check(step)
                call = functools.partial(step.launch, *arrays)
                results += observations(work, name, step.name, shape, given, call)
            theirs = vendor(problem, [torch.as_tensor(array, device="cuda") for array in arrays])
            if theirs is not None:
                results += observations(work, name, vendor_name(problem, steps), shape, given, theirs)
    return results


def vendor_name(problem: Problem, steps: Sequence[Variant]) -> str:
    """The name in the table of torch on this `problem` of a ladder: "torch", or "torch, float16 inputs"."""
    own = next(step for step in steps if step.problem is problem)
    return VENDOR if problem is steps[0].problem else f"{VENDOR}, {own.name}"


def observations(
    work: Work, ladder: str, step: str, shape: Shape, given: Mapping[str, Any], call: Callable[[], object]
) -> list[Result]:
    """Time `call`, and return Results of the kernel ladder's own form, with the fields `given`."""
    parameters = {"on": "gpu", "ladder": ladder, "step": step, "shape": shape}
    print(f"{ladder}: {step}", file=sys.stderr)
    return [
        result
        for repeat, seconds in enumerate(timed(call))
        for result in observed(
            work, seconds, Origin.RECORDED, {**given, "repeat": repeat, "parameters": parameters}
        )
    ]


def vendor(problem: Problem, tensors: Sequence[Any]) -> Callable[[], object] | None:
    """The call of torch for the same problem on the same memory; None where it has nothing like it."""
    import torch

    *inputs, output = tensors
    calls: dict[str, Callable[[], object]] = {
        "vector add": lambda: torch.add(*inputs, out=output),
        "transpose": lambda: output.copy_(inputs[0].T),
        "reduction": lambda: torch.sum(inputs[0], dim=0, keepdim=True, out=output),
        "softmax": lambda: torch.softmax(inputs[0], dim=1, out=output),
        "matrix multiply": lambda: torch.mm(*inputs, out=output),
        "matrix multiply, float16 inputs": lambda: torch.mm(*inputs),
    }
    return calls.get(problem.name)


def timed(call: Callable[[], object]) -> list[float]:
    """Seconds of a call in 20 repeats, each of as many calls as fit into LONGEST; in 3 if none fits."""
    once = gpu.seconds(call, repeats=1, calls=1, warmup=1)[0]
    calls = max(1, min(50, int(LONGEST / once)))
    return gpu.seconds(call, repeats=20 if once < LONGEST else 3, calls=calls, warmup=1)


def check(step: Variant) -> None:
    """Raise SystemExit if `step` differs from its reference: a fast wrong answer is no speed."""
    shape = CHECKED[len(step.problem.extents)]
    arrays = step.problem.make(shape, numpy.random.default_rng(1))
    step.launch(*arrays)
    expected = step.problem.reference(*arrays[:-1])
    if not numpy.allclose(arrays[-1], expected, rtol=step.problem.tolerance(shape), atol=0):
        raise SystemExit(f"{step.problem.name}, {step.name} is wrong on {shape}: nothing is recorded.")


def provenance() -> str:
    here = machine.probe()
    import torch

    versions = f"Numba {version('numba')}, numba-cuda {version('numba-cuda')}, torch {torch.__version__}"
    driver = next((found.driver for found in here.gpus if found.driver), "unknown")
    return (
        f"python benchmarks/gpu_kernels.py, {datetime.date.today()}, {gpu.RUNS_ON}, driver {driver}, "
        f"{here.platform}, Python {here.python}, {versions}"
    )


def table(results: Iterable[Result]) -> list[str]:
    """A line for each step: medians, its speed over the copy's and over torch's, and how its goal stands."""
    times = medians(results)
    heads = f"{'ms':>9} {'GB/s':>7} {'GFLOP/s':>8} {'of copy':>8} {'of torch':>8}"
    rows = [f"{'ladder':16} {'step':24} {heads}  goal"]
    for (ladder, step), (seconds, flops, bandwidth) in times.items():
        theirs = times.get((ladder, f"{VENDOR}, {step}")) or times.get((ladder, VENDOR))
        ratio = {COPY: bandwidth / times[COPY, COPY][2]} | ({VENDOR: theirs[0] / seconds} if theirs else {})
        said = ""
        if (ladder, step) in GOALS:
            yardstick, goal = GOALS[ladder, step]
            said = f"{goal:.0%} of {yardstick}: {'met' if ratio.get(yardstick, 0) >= goal else 'MISSED'}"
        shares = " ".join(f"{ratio[name]:8.2f}" if name in ratio else " " * 8 for name in (COPY, VENDOR))
        counted = f"{seconds * 1e3:9.3f} {bandwidth / 1e9:7.0f} {flops / 1e9:8.0f}"
        rows.append(f"{ladder:16} {step:24} {counted} {shares}  {said}".rstrip())
    return rows


def medians(results: Iterable[Result]) -> dict[tuple[str, str], tuple[float, float, float]]:
    """By (ladder, step): median seconds, FLOP/s and bytes/s."""
    found: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        if result.experiment == NAME and result.quantity == "time":
            found.setdefault((result.parameters["ladder"], result.parameters["step"]), []).append(result)
    medians = {}
    for place, rows in found.items():
        seconds = statistics.median(row.value for row in rows)
        counted = rows[0].parameters
        medians[place] = (seconds, counted["flops"] / seconds, counted["bytes"] / seconds)
    return medians


if __name__ == "__main__":
    if len(sys.argv) > 2:
        raise SystemExit("Usage: python benchmarks/gpu_kernels.py [FILE]")
    raise SystemExit(main(*sys.argv[1:]))
