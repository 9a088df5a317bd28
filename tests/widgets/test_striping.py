"""The striping widget: what it draws, what binds, and which results are shown where."""

import pytest

from hpclab.figures import style
from hpclab.models import storage_presets
from hpclab.models.storage import Reading, Server, Store, predict
from hpclab.results import Origin, Result
from hpclab.widgets.striping import Striping

HERE = Store((Server(50e6),) * 4, metadata=1000, link=100e6)


def came(value, **at):
    parameters = {"store": str(HERE), "clients": 8, "bytes": 2**18, "stripes": 1, **at}
    return Result("striped reads", "bandwidth", value, Origin.EMULATED, parameters=parameters, condition="c")


@pytest.fixture
def widget():
    return Striping({"here": HERE, "one": Store((Server(50e6),))}, [came(190e6), came(60e6, bytes=2**16)])


def test_the_title_says_what_the_model_says_and_what_binds(widget):
    bandwidth = predict(HERE, Reading(8, 255, 2**18)).bandwidth
    assert f"8 clients: {bandwidth / 1e6:.0f} MB/s" in widget.moving.value
    assert "servers bind" in widget.moving.value
    widget.controls["size"].value = 4096
    assert "metadata binds" in widget.moving.value
    widget.controls["opens"].value = 100_000
    assert "metadata binds" not in widget.moving.value


def test_what_is_modelled_stays_on_the_axes_however_small_the_files_are():
    for name, store in storage_presets.examples().items():
        low, _ = Striping({name: store}).shown.get_ylim()
        assert low < predict(store, Reading(1, 255, 4096)).bandwidth


def test_only_results_of_what_is_chosen_are_marks(widget):
    for name, value, said in (
        ("size", 2**18, "8: 190 MB/s"),
        ("size", 2**16, "8: 60 MB/s"),
        ("stripes", 4, "Nothing is measured"),
        ("stripes", 1, "8: 60 MB/s"),
        ("store", "one", "Nothing is measured"),
    ):
        widget.controls[name].value = value
        assert style.description(widget.shown.figure).endswith(f"clients. {said}.")
    assert "1 server of 50 MB/s" in widget.note.value


def test_no_store_and_no_stores_are_refused():
    for wrong, said in (({}, "at least one store"), ([HERE], "stores by name"), ({"a": 4}, "stores")):
        with pytest.raises(ValueError, match=said):
            Striping(wrong)
