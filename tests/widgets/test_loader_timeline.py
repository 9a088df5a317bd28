"""The loader's timeline in its widget: run for real, kept, and run again."""

import pytest
import torch

from hpclab.widgets.loader_timeline import LoaderTimeline

pytestmark = pytest.mark.slow


class Numbers(torch.utils.data.Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, index):
        return torch.tensor(index)


def test_each_choice_is_run_once_and_again_when_asked():
    widget = LoaderTimeline({"numbers": Numbers()}, batch=2, step=0.001)
    widget.controls["workers"].value = 2
    assert "numbers, 2 workers: the accelerator is busy" in widget.picture.value
    assert "worker 2" in widget.picture.value
    assert widget.epochs.keys() == {("numbers", 0, 0), ("numbers", 2, 2)}
    first = dict(widget.epochs)
    widget.controls["workers"].value = 0
    widget.controls["prefetch"].value = 8  # without workers nothing is fetched ahead
    assert widget.epochs == first
    assert "numbers, 0 workers" in widget.announcer.value
    widget.controls["again"].click()
    assert widget.epochs.keys() == {("numbers", 0, 0)}
    assert widget.epochs["numbers", 0, 0] is not first["numbers", 0, 0]


def test_a_dataset_that_cannot_be_read_is_a_sentence_in_the_widget():
    class Broken(Numbers):
        def __getitem__(self, index):
            raise ValueError("sample 3 is cut off")

    assert "sample 3 is cut off" in LoaderTimeline({"broken": Broken()}, batch=2).note.value
    with pytest.raises(ValueError, match="at least one Dataset"):
        LoaderTimeline({})
