"""Compare the tracer's counts with Nsight Compute's: `python benchmarks/compare_with_nsight.py [FILE]`.

Every step of every ladder runs once under `ncu` on this machine's GPU and once under the tracer, on the same
arrays; the table shows each count twice, and their difference. Where a compiler merges, hoists or drops an
access, the hardware counts fewer requests than the source has. FILE (JSON lines, each with its provenance)
belongs into hpclab/validation/recorded/. Needs an NVIDIA GPU, `ncu` and the right to read its counters.
"""

import csv
import datetime
import io
import shutil
import subprocess
import sys
from collections.abc import Iterator

import numpy

from hpclab import machine
from hpclab.kernels import cuda as on_gpu
from hpclab.kernels import tracer
from hpclab.kernels.ladder import LADDERS
from hpclab.kernels.step import Variant
from hpclab.models.gpu_memory import KernelTrace
from hpclab.results import Origin, Result, new_run_id, write_jsonl

# Nsight Compute's metric: which of the tracer's requests, and which of their counts
METRICS = {
    "l1tex__t_requests_pipe_lsu_mem_global_op_ld.sum": ("global", "load", "requests"),
    "l1tex__t_requests_pipe_lsu_mem_global_op_st.sum": ("global", "store", "requests"),
    "l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum": ("global", "load", "sectors"),
    "l1tex__t_sectors_pipe_lsu_mem_global_op_st.sum": ("global", "store", "sectors"),
    "l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_ld.sum": ("shared", "load", "bank_conflicts"),
    "l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_st.sum": ("shared", "store", "bank_conflicts"),
}
SHAPES = {1: (100_003,), 2: (257, 131), 3: (131, 67, 70)}  # no multiple of any block
Shape = tuple[int, ...]


class NotCounted(Exception):
    """ncu gave no counters; the message says why, in its own last line."""


def main(path: str = "") -> int:
    if on_gpu.simulated or shutil.which("ncu") is None:
        what = "GPU that Numba can use" if on_gpu.simulated else "ncu (Nsight Compute) on PATH"
        print(
            f"There is no {what} here, so there is nothing to compare with; the tracer itself needs neither."
        )
        return 0
    run, source = new_run_id(), _provenance()
    results, differ = [], 0
    for ladder, place, step, shape in _launches():
        trace = _trace(step, shape)
        try:
            counted = _nsight(ladder, place, step)
        except NotCounted as error:
            print(f"ncu did not count {ladder}, {step.name}: {error}", file=sys.stderr)
            return 1
        for metric, (space, kind, quantity) in METRICS.items():
            ours, theirs = tracer_count(trace, metric), counted[metric]
            differ += ours != theirs
            what = f"{ladder:32}{step.name:20}{space:7}{kind:6}{quantity:15}"
            print(f"{what}{ours:10}{theirs:10}{ours - theirs:+8}")
            results.append(
                Result(
                    "tracer against Nsight Compute", metric, theirs, Origin.RECORDED, run, source=source,
                    component="Nsight Compute", environment={"tracer": ours},
                    parameters={"ladder": ladder, "step": step.name, "shape": list(shape)},
                )
            )  # fmt: skip
    if path:
        write_jsonl(results, path)
    print(f"{len(results)} counts, {differ} differ.")
    return 1 if differ else 0


def tracer_count(trace: KernelTrace, metric: str) -> int:
    """The tracer's count for one of Nsight Compute's metrics."""
    space, kind, quantity = METRICS[metric]
    return int(getattr(trace.counts(space=space, kind=kind), quantity))


def parse(text: str) -> dict[str, int]:
    """The metrics' values in what `ncu --csv` prints, a row for each; NotCounted where one is missing."""
    lines = text.splitlines()
    begin = next((number for number, line in enumerate(lines) if line.startswith('"ID"')), None)
    said = [line for line in lines if line.strip()]
    if begin is None:
        raise NotCounted(said[-1] if said else "it printed nothing")
    rows = csv.DictReader(io.StringIO("\n".join(lines[begin:])))
    found = {row["Metric Name"]: row["Metric Value"] for row in rows if row.get("Metric Name") in METRICS}
    if missing := sorted(set(METRICS) - set(found)):
        raise NotCounted(f"its table lacks {', '.join(missing)}")
    try:
        return {metric: int(float(value.replace(",", ""))) for metric, value in found.items()}
    except ValueError:
        raise NotCounted("a value in its table is no number") from None


def _launches() -> Iterator[tuple[str, int, Variant, Shape]]:
    """Yield (ladder, number of the step in it, step, shape of its problem)."""
    for ladder, steps in LADDERS.items():
        for place, step in enumerate(steps):
            yield ladder, place, step, SHAPES[len(step.problem.extents)]


def _arrays(step: Variant, shape: Shape) -> tuple[numpy.ndarray, ...]:
    return step.problem.make(shape, numpy.random.default_rng(0))


def _trace(step: Variant, shape: Shape) -> KernelTrace:
    return tracer.trace(step.kernel, *step.grid_block(shape), *_arrays(step, shape))


def _nsight(ladder: str, place: int, step: Variant) -> dict[str, int]:
    """Run step number `place` of `ladder` under ncu; return its metrics. NotCounted where it reports none."""
    command = ["ncu", "--csv", "--print-units", "base", "--metrics", ",".join(METRICS)]
    command += ["--kernel-name-base", "mangled", "--kernel-name", f"regex:{step.kernel.__name__}"]
    command += ["--launch-count", "1", sys.executable, __file__, "--launch", ladder, str(place)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    return parse(done.stdout if done.returncode == 0 else f"{done.stdout}\n{done.stderr}")


def _launch(ladder: str, place: int) -> None:
    """What ncu watches: one launch, on arrays that are on the GPU already."""
    step = LADDERS[ladder][place]
    step.launch(*(on_gpu.cuda.to_device(a) for a in _arrays(step, SHAPES[len(step.problem.extents)])))
    on_gpu.cuda.synchronize()


def _provenance() -> str:
    here, version = machine.probe(), subprocess.run(["ncu", "--version"], capture_output=True, text=True)
    ncu = version.stdout.strip().splitlines()[-1:] or ["ncu of unknown version"]
    said = f"{on_gpu.RUNS_ON}, {here.platform}, Python {here.python}, {ncu[0]}"
    return f"python benchmarks/compare_with_nsight.py, {datetime.date.today()}, {said}"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--launch"]:
        _launch(sys.argv[2], int(sys.argv[3]))
    else:
        sys.exit(main(*sys.argv[1:2]))
