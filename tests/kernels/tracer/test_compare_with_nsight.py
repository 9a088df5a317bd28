"""The comparison with Nsight Compute without a GPU: a table written by hand is read, its absence said."""

import numpy
import pytest

from benchmarks import compare_with_nsight as program
from hpclab.kernels import tracer
from hpclab.kernels.cuda import cuda

HEAD = '"ID","Process ID","Kernel Name","Metric Name","Metric Unit","Metric Value"\n'


def table(metrics, value="1,024"):
    rows = "".join(f'"0","17","copy","{metric}","","{value}"\n' for metric in metrics)
    return f"==PROF== Connected to process 17\n{HEAD}{rows}"


def test_a_table_is_read_and_what_is_none_is_said_in_ncus_words():
    assert program.parse(table(program.METRICS)) == dict.fromkeys(program.METRICS, 1024)
    for text, said in (
        ("==PROF== Connected\n==ERROR== ERR_NVGPUCTRPERM - no permission\n", "ERR_NVGPUCTRPERM"),
        ("", "printed nothing"),
        (table(list(program.METRICS)[1:]), "lacks l1tex"),
        (table(program.METRICS, value="n/a"), "no number"),
    ):
        with pytest.raises(program.NotCounted, match=said):
            program.parse(text)


def copy(out, a):
    i = cuda.grid(1)
    out[i] = a[i * 2]


def test_the_tracers_side():
    trace = tracer.trace(copy, 1, 32, numpy.zeros(32, "f4"), numpy.zeros(64, "f4"))
    counts = [program.tracer_count(trace, metric) for metric in program.METRICS]
    assert counts == [1, 1, 8, 4, 0, 0]
    assert len(list(program._launches())) == sum(map(len, program.LADDERS.values()))


def test_without_ncu_it_says_so(monkeypatch, capsys):
    monkeypatch.setattr(program.shutil, "which", lambda name: None)
    assert program.main() == 0
    assert "nothing to compare with" in capsys.readouterr().out
