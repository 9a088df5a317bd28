"""A pass over any Dataset reads every sample once, says where the time went, and leaves no process behind."""

import multiprocessing
import os
import signal
import warnings

import fsspec
import numpy
import pytest
from torch.utils.data import DataLoader, Dataset

from hpclab.results import Origin
from hpclab.storage import loaders
from hpclab.storage.formats import FORMATS, StoredSamplesError, open_samples, write
from hpclab.storage.loaders import read
from hpclab.trace import record

pytestmark = pytest.mark.slow  # all of them together

TOKENS = numpy.arange(200 * 64, dtype="<u2")
FILE = fsspec.filesystem("file")


@pytest.fixture(autouse=True)
def _nothing_left():
    yield
    assert multiprocessing.active_children() == []


class Numbers(Dataset):
    """A learner's own: 40 numbers. It marks which one is read, and calls `then` before number 17 is."""

    def __init__(self, then=None):
        self.then = then

    def __len__(self):
        return 40

    def __getitem__(self, index):
        with record("input", bytes=index, label="mine"):
            if index == 17 and self.then:
                self.then()
        return index


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("format", FORMATS)
def test_torch_gives_the_same_tokens_in_order_and_at_random(format, workers, tmp_path):
    write(format, TOKENS, FILE, tmp_path, length=64)
    samples = open_samples(format, FILE, tmp_path)
    for shuffle in (False, True):
        options = {"multiprocessing_context": "fork" if workers else None, "num_workers": workers}
        rows = [row for batch in DataLoader(samples, 7, shuffle, **options) for row in batch.tolist()]
        assert (sorted(rows) if shuffle else rows) == TOKENS.reshape(200, 64).tolist()
    trace = read(samples, batch=7, workers=workers).trace
    assert trace.ranks == 1 + workers
    assert sum(trace.bars().values()) == pytest.approx(trace.ranks * trace.makespan)
    labels = {(event.rank > 0, event.kind, event.label) for event in trace.events}
    assert labels >= {(workers > 0, "input", "fetch"), (workers > 0, "compute", "decode")}
    assert ((False, "input", "wait") in labels) == (workers > 0)
    assert trace.origin is Origin.EMULATED  # the accelerator is


@pytest.mark.parametrize(("workers", "shuffle"), [(0, False), (0, True), (3, True)])
def test_a_learners_own_dataset_is_read_once_and_marked(workers, shuffle):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        epoch = read(Numbers(), batch=6, workers=workers, shuffle=shuffle, step=numpy.float32(0.001))
    marks = [event for event in epoch.trace.events if event.label == "mine"]
    order = [event.bytes for event in marks]
    assert sorted(order) == list(range(40))
    assert (order == sorted(order)) == (not shuffle)
    assert {event.rank for event in marks} <= set(range(1, workers + 1) or [0])
    starts = [event.rank for event in epoch.trace.events if event.kind == "start"]
    assert sorted(starts) == list(range(1, workers + 1))
    steps = [event for event in epoch.trace.events if event.label == "step"]
    assert epoch.utilisation == pytest.approx(7 * 0.001 / (steps[-1].end - steps[0].start))
    assert epoch.samples_per_second == pytest.approx(40 / epoch.trace.makespan)


def end_me():
    os.kill(os.getpid(), signal.SIGKILL)


def damaged():
    raise StoredSamplesError("a/b: sample 17 is cut off. Write the samples again.")


@pytest.mark.parametrize(
    ("then", "workers", "error", "said"),
    [
        (damaged, 0, StoredSamplesError, r"^a/b: sample 17 is cut off. Write the samples again\.$"),
        (damaged, 2, StoredSamplesError, r"^a/b: sample 17 is cut off. Write the samples again\.$"),
        (end_me, 2, StoredSamplesError, r"^DataLoader worker \(pid.*: .*use fewer workers\.$"),
        (lambda: 1 / 0, 2, ZeroDivisionError, "division by zero"),  # a learner's own error stays what it is
    ],
)
def test_what_goes_wrong_in_a_worker_is_told_here(then, workers, error, said):
    with pytest.raises(error, match=said):
        read(Numbers(then), batch=6, workers=workers)


def test_an_interrupt_leaves_no_worker(monkeypatch):
    monkeypatch.setattr(loaders.time, "sleep", lambda step: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        read(Numbers(), batch=6, workers=2)


@pytest.mark.parametrize(
    "bad", [{"batch": 0}, {"workers": -1}, {"prefetch": 0}, {"shuffle": 1}, {"step": float("nan")}]
)
def test_bad_input_is_refused(bad, refused):
    refused(lambda: read(Numbers(), **bad))
    refused(lambda: read([1, 2, 3]))
