"""The benchmarks of kernels: silent without a GPU; tables say which goals are met, what Nsight counted."""

import subprocess
import sys

import numpy
import pytest

from benchmarks import compare_with_nsight as nsight
from benchmarks import gpu_kernels as benchmark
from hpclab.experiments.kernel_ladder import COPY, observed
from hpclab.kernels import tracer
from hpclab.kernels.cuda import cuda, simulated
from hpclab.kernels.ladder import LADDERS
from hpclab.models.roofline import Work
from hpclab.results import Origin


@pytest.mark.slow
@pytest.mark.skipif(not simulated, reason="measures, where there is a GPU")
def test_without_a_gpu_it_says_so_and_writes_nothing(tmp_path):
    words = [sys.executable, benchmark.__file__, "out.jsonl"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("There is no GPU that Numba can use here, so nothing was measured")
    assert len(done.stdout.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def made_up(ladder, step, seconds, size=1e9, flops=1e9):
    """Three repeats around a median of `seconds`: the test's own numbers, nobody's measurement."""
    given = {"parameters": {"on": "gpu", "ladder": ladder, "step": step}, "source": "a test"}
    work = Work(size, flops, name=step)
    samples = enumerate(seconds * factor for factor in (1.0, 0.9, 5.0))
    return [r for n, value in samples for r in observed(work, value, Origin.RECORDED, {**given, "repeat": n})]


def test_the_table_holds_each_step_against_its_yardstick():
    results = [
        *made_up("vector add", "coalesced", 3e-3), *made_up("vector add", "grid-stride", 1.05e-3),
        *made_up(COPY, COPY, 1e-3), *made_up("transpose", "padded", 1.3e-3),
        *made_up("matrix multiply", "register-blocked", 2e-3), *made_up("matrix multiply", "torch", 1.2e-3),
        *made_up("matrix multiply", "float16 inputs", 2e-3),
        *made_up("matrix multiply", "torch, float16 inputs", 0.1e-3),
    ]  # fmt: skip
    lines = benchmark.table(results)

    def line(*words):
        return next(text for text in lines if all(f" {word} " in f" {text} " for word in words))

    assert line("grid-stride").endswith("90% of device copy: met")
    assert line("padded").endswith("90% of device copy: MISSED")
    assert line("coalesced").split()[-1] == "0.33"
    assert line("register-blocked").split()[-6:] == ["0.50", "0.60", "50%", "of", "torch:", "met"]
    assert line("float16 inputs", "0.05")


def test_every_ladder_has_a_shape_and_every_goal_a_step():
    assert set(benchmark.SHAPES) == set(LADDERS)
    steps = {(name, step.name): step for name, steps in LADDERS.items() for step in steps}
    for (name, _), step in steps.items():
        step.grid_block(benchmark.SHAPES[name])
        step.grid_block(benchmark.CHECKED[len(step.problem.extents)])
    assert set(benchmark.GOALS) <= set(steps)


@pytest.mark.slow
@pytest.mark.skipif(not simulated, reason="the real run is the benchmark itself")
def test_a_run_holds_the_copy_each_step_and_torch(monkeypatch):
    """The simulator in the GPU's place and a clock that is made up: what is recorded, not how fast."""
    import torch

    as_tensor = torch.as_tensor
    monkeypatch.setattr(torch, "as_tensor", lambda array, device: as_tensor(array.copy_to_host()))
    monkeypatch.setattr(benchmark.gpu, "seconds", lambda call, **how: [1e-3] * how["repeats"])
    monkeypatch.setattr(benchmark, "check", lambda step: None)
    monkeypatch.setattr(benchmark, "COPIED", 16)
    small = {name: (8, 4, 8)[: len(steps[0].problem.extents)] for name, steps in LADDERS.items()}
    monkeypatch.setattr(benchmark, "SHAPES", small)
    results = benchmark.measure()
    assert {result.origin for result in results} == {Origin.RECORDED}
    assert len({result.run for result in results}) == 1
    assert "python benchmarks/gpu_kernels.py" in results[0].source
    places = set(benchmark.medians(results))
    assert {(name, step.name) for name, steps in LADDERS.items() for step in steps} < places
    assert {(COPY, COPY), ("softmax", "torch"), ("matrix multiply", "torch, float16 inputs")} < places
    assert ("histogram", "torch") not in places
    assert len(benchmark.table(results)) == 1 + len(places)


HEAD = '"ID","Process ID","Kernel Name","Metric Name","Metric Unit","Metric Value"\n'


def table(metrics, value="1,024"):
    rows = "".join(f'"0","17","copy","{metric}","","{value}"\n' for metric in metrics)
    return f"==PROF== Connected to process 17\n{HEAD}{rows}"


def test_a_table_is_read_and_what_is_none_is_said_in_ncus_words():
    assert nsight.parse(table(nsight.METRICS)) == dict.fromkeys(nsight.METRICS, 1024)
    for text, said in (
        ("==PROF== Connected\n==ERROR== ERR_NVGPUCTRPERM - no permission\n", "ERR_NVGPUCTRPERM"),
        ("", "printed nothing"),
        (table(list(nsight.METRICS)[1:]), "lacks l1tex"),
        (table(nsight.METRICS, value="n/a"), "no number"),
    ):
        with pytest.raises(nsight.NotCounted, match=said):
            nsight.parse(text)


def test_the_tracers_side():
    def copy(out, a):
        i = cuda.grid(1)
        out[i] = a[i * 2]

    trace = tracer.trace(copy, 1, 32, numpy.zeros(32, "f4"), numpy.zeros(64, "f4"))
    counts = [nsight.tracer_count(trace, metric) for metric in nsight.METRICS]
    assert counts == [1, 1, 8, 4, 0, 0]
    assert len(list(nsight._launches())) == sum(map(len, nsight.LADDERS.values()))


def test_without_ncu_it_says_so(monkeypatch, capsys):
    monkeypatch.setattr(nsight.shutil, "which", lambda name: None)
    assert nsight.main() == 0
    assert "nothing to compare with" in capsys.readouterr().out
