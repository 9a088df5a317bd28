"""Checkpoints under every fault: cut, flipped, malicious, killed, on a full disk."""

import hashlib
import io
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
from functools import partial

import pytest
import torch
from torch.distributed.checkpoint import FileSystemWriter

from hpclab.cluster import Pool
from hpclab.storage.checkpoint import Checkpoints
from hpclab.storage.checkpoint_files import LoadPlanner, _checksum
from tests.conftest import until

pytestmark = pytest.mark.slow  # all of them together


def state(value: float) -> dict:
    """A model, an optimizer after a step and plain values, all of them telling `value`."""
    model = torch.nn.Linear(4, 3)
    torch.nn.init.constant_(model.weight, value)
    optimizer = torch.optim.AdamW(model.parameters(), lr=value)
    model(torch.ones(2, 4)).sum().backward()
    optimizer.step()
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "at": value, "name": "é"}


@pytest.fixture
def two(tmp_path):
    """Two checkpoints, of steps 1 and 2, and the folder of the newer."""
    checkpoints = Checkpoints(tmp_path / "run")
    assert checkpoints.load(state(0.5)) is None
    checkpoints.save(1, state(0.1))
    checkpoints.save(2, state(0.2))
    return checkpoints, tmp_path / "run" / "000002-step-2"


def loaded(checkpoints: Checkpoints) -> float:
    """The step, which all parts of the loaded state tell."""
    into = state(0.9)
    step = checkpoints.load(into)
    expected = state(step / 10)
    assert (into["at"], into["name"]) == (step / 10, "é")
    assert into["optimizer"]["param_groups"] == expected["optimizer"]["param_groups"]
    assert torch.equal(into["model"]["weight"], expected["model"]["weight"])
    assert torch.equal(into["optimizer"]["state"][0]["exp_avg"], expected["optimizer"]["state"][0]["exp_avg"])
    return step


def test_the_newest_is_loaded_old_ones_go_and_all_is_private(two, monkeypatch):
    checkpoints, newest = two
    with monkeypatch.context() as patch:
        patch.setattr(LoadPlanner, "load_bytes", lambda *_: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):  # which is no damage
            checkpoints.load(state(0.9))
    assert loaded(checkpoints) == 2
    assert checkpoints.passed_over == []
    checkpoints.save(1, state(0.1))  # an older step, saved later, is the newest
    assert sorted(os.listdir(newest.parent)) == ["000002-step-2", "000003-step-1"]
    assert loaded(checkpoints) == 1
    assert {path.stat().st_mode & 0o777 for path in newest.iterdir()} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in (newest, newest.parent)} == {0o700}


@pytest.mark.parametrize("name", ["manifest.json", ".metadata", "__0_0.distcp"])
def test_a_damaged_one_is_passed_over_and_goes_with_the_next_save(two, name):
    checkpoints, newest = two
    path, outside, whole = newest / name, newest.parent / "outside", (newest / name).read_bytes()
    outside.write_bytes(whole)
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 4]) + whole[middle + 1 :]
    flipped = whole.replace(b'"step": 2', b'"step": 7') if name == "manifest.json" else flipped
    contents = [flipped, *(whole[: len(whole) * percent // 100] for percent in (0, 10, 50, 99))]
    missing, link, pipe = str, partial(path.symlink_to, outside), partial(os.mkfifo, path)
    for damage in (missing, link, pipe, *(partial(path.write_bytes, content) for content in contents)):
        path.unlink(missing_ok=True)
        damage()
        assert loaded(checkpoints) == 1, damage
        (said,) = checkpoints.passed_over
        assert said.startswith("The checkpoint 000002-step-2 was passed over: ")
        assert name in said
    checkpoints.save(3, state(0.3))
    assert sorted(each.name for each in newest.parent.glob("*step*")) == ["000001-step-1", "000003-step-3"]


class Canary:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("where", ["metadata", "tensor", "value", "elsewhere", "above", "manifest"])
def test_nothing_a_malicious_one_holds_is_executed(two, tmp_path, where):
    checkpoints, newest = two
    evil, data = io.BytesIO(), newest / "__0_0.distcp"
    torch.save(Canary(tmp_path / "canary"), evil)
    shutil.copy(data, tmp_path / "outside")
    manifest = json.loads((newest / "manifest.json").read_text())
    places = {each[0]: each for each in manifest["places"]}
    if where == "metadata":
        (newest / ".metadata").write_bytes(pickle.dumps(Canary(tmp_path / "canary")))
    elif where == "elsewhere":
        places["model.weight"][2] = "../../outside"
    elif where in ("tensor", "value"):
        place = places["name" if where == "value" else "model.weight"]
        place[3:] = data.stat().st_size, len(evil.getvalue())
        data.write_bytes(data.read_bytes() + evil.getvalue())
    for name in manifest["files"]:  # who writes files can make a manifest that fits them
        content = (newest / name).read_bytes()
        manifest["files"][name] = len(content), hashlib.sha256(content).hexdigest()
    manifest["files"] |= {"above": {"../../outside": [1, ""]}, "manifest": {"x": [1]}}.get(where, {})
    manifest["checksum"] = _checksum({key: part for key, part in manifest.items() if key != "checksum"})
    (newest / "manifest.json").write_text(json.dumps(manifest))
    assert loaded(checkpoints) == (2 if where == "metadata" else 1)
    assert len(checkpoints.passed_over) == (where != "metadata")
    assert not (tmp_path / "canary").exists()
    shutil.rmtree(newest.parent / "000001-step-1")
    if where in ("tensor", "value"):  # the state may be half filled, and training must not go on with it
        with pytest.raises(OSError, match="half filled"):
            checkpoints.load(state(0.9))


def test_the_background_save_has_the_state_of_its_call_and_the_next_save_tells_its_error(two, monkeypatch):
    checkpoints, newest = two
    changed, changing, write = threading.Event(), state(0.3), FileSystemWriter.write_data

    def late(*arguments):
        assert changed.wait(60)
        return write(*arguments)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(FileSystemWriter, "write_data", late)
        checkpoints.save_in_background(3, changing)
        changing["model"]["weight"].zero_()
        changed.set()
        checkpoints.wait()
        patch.setattr(FileSystemWriter, "write_data", full)
        checkpoints.save_in_background(4, state(0.4))
        with pytest.raises(OSError, match=r"step 4 was not saved.*: No space left .* needs .* are free"):
            checkpoints.save(5, state(0.5))
    assert sorted(os.listdir(newest.parent)) == ["000002-step-2", "000003-step-3"]
    assert loaded(checkpoints) == 3


@pytest.mark.parametrize("disk", ["full", "filling", "read-only"])
def test_a_disk_that_takes_nothing_keeps_what_it_has(tmp_path, monkeypatch, disk):
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path]).returncode:
        pytest.skip("only root can make a small disk")
    try:
        checkpoints = Checkpoints(tmp_path / "run")
        checkpoints.save(1, state(0.1))
        if disk == "read-only":
            subprocess.run(["mount", "-o", "remount,ro", tmp_path], check=True)
        elif disk == "filling":  # it was free when we asked
            monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10**9}))
        why = {"full": "it does not fit", "filling": "No space left", "read-only": "Read-only file system"}
        with pytest.raises(OSError, match=rf"step 2 was not saved in .*{why[disk]}.* needs 2 MB") as caught:
            checkpoints.save(2, {"large": torch.ones(500_000)})
        assert "\n" not in str(caught.value)
        assert os.listdir(tmp_path / "run") == ["000001-step-1"]
        assert loaded(checkpoints) == 1
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_save_that_is_killed_leaves_the_one_before_and_is_swept(two):
    checkpoints, newest = two
    code = """
import sys, time, torch
from hpclab.storage import checkpoint, checkpoint_files
checkpoint_files._checksum = lambda body: time.sleep(600)  # all is written but for the manifest
checkpoint.Checkpoints(sys.argv[1]).save(3, {"a": torch.ones(1000)})
"""
    with subprocess.Popen([sys.executable, "-P", "-c", code, newest.parent]) as child:
        until(lambda: list(newest.parent.glob(".*.part/.metadata")), "the save is under way")
        child.kill()
    assert loaded(checkpoints) == 2
    (said,) = checkpoints.passed_over
    assert said.startswith("The checkpoint 000003-step-3 was only half written")
    assert sorted(os.listdir(newest.parent)) == ["000001-step-1", "000002-step-2"]


def test_what_does_not_fit_is_told_in_one_sentence(two, refused):
    checkpoints, _ = two
    lacking, more, other = state(0.1), state(0.1) | {"more": 1}, state(0.1)
    del lacking["optimizer"]
    other["model"]["weight"] = torch.zeros(9, 9)
    for wrong in (lacking, more, other, 3):
        refused(lambda wrong=wrong: checkpoints.load(wrong))
    for step, wrong in ((-1, {}), (3, []), (3, {"a": object()})):
        refused(lambda step=step, wrong=wrong: checkpoints.save(step, wrong))
    with pytest.raises(ValueError, match=r"1.2 GB is more than 1 GB"):
        checkpoints.save(3, {"large": torch.empty(300_000_000)})
    assert loaded(checkpoints) == 2


def test_shards_of_two_ranks_are_loaded_by_two_and_by_one(tmp_path):
    def train(load, shard):
        import torch
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        from hpclab.storage.checkpoint import Checkpoints

        torch.manual_seed(0)
        model = torch.nn.Linear(5, 3)
        if shard:
            fully_shard(model, mesh=init_device_mesh("cpu", (2,)))
        state = {"model": model.state_dict(), "epoch": 0 if load else 7}
        checkpoints = Checkpoints(tmp_path)
        if load:
            torch.nn.init.zeros_(model.weight)
            checkpoints.load(state)
        else:
            checkpoints.save_in_background(1, state)
            checkpoints.wait()
        weight = model.weight.full_tensor() if shard else model.weight
        return weight.tolist(), state["epoch"], len(checkpoints.passed_over)

    with Pool(2, backend="local") as pool:
        saved = pool.run(train, False, True)
        assert pool.run(train, True, True) == saved
        assert train(True, False) == saved[0]
        (newest,) = tmp_path.iterdir()
        assert {"__0_0.distcp", "__1_0.distcp"} < set(os.listdir(newest))
        content = (newest / "__1_0.distcp").read_bytes()  # which one rank alone looks at
        (newest / "__1_0.distcp").write_bytes(content[:-1] + b"x")
        assert [(epoch, said) for _, epoch, said in pool.run(train, True, True)] == [(0, 1)] * 2
