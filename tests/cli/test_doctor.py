"""`hpclab doctor`: one screen, offline, true for machines of all kinds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hpclab import machine
from hpclab.cli import doctor
from hpclab.course import Lesson
from hpclab.machine.capability import COURSE, RANK, capabilities, for_lesson, ranks
from hpclab.machine.description import Cores, FileSystem, Gpu, Machine, Memory, SlurmHere

BINDER = Machine(
    host="jupyter-ada", platform="Linux 6.1 (x86_64)", processor="", container="binder",
    cores=Cores(1.0, 16, "a container's CPU quota (cgroup)"),
    memory=Memory(64 * 2**30, 2 * 2**30, 1200 * 2**20, "a container's memory limit (cgroup)"),
    gpus=(), slurm=SlurmHere(True, False, True, ()), mpi=(),
    file_systems=(FileSystem("work", "/home/jovyan", "overlay", "local", 10**11, 5 * 10**10, True),),
    interfaces=(), python="3.12.1", torch="2.13.0+cpu",
)  # fmt: skip
SITE = replace(
    BINDER, container="", cores=Cores(32, 64), memory=Memory(256 * 2**30, 256 * 2**30, 200 * 2**30),
    gpus=(Gpu("NVIDIA A100", "NVIDIA", "cuda", 80 * 2**30, "570.1"),) * 4,
    slurm=SlurmHere(True, True, False, (), "4711"), mpi=("mpiexec",),
)  # fmt: skip
BARE = replace(BINDER, container="", slurm=SlurmHere(False, False, False, ("sbatch", "squeue", "slurmd")))


def by_name(here: Machine) -> dict:
    return {item.name: item for item in capabilities(here)}


def test_a_small_container_is_told_its_limits_and_what_still_works():
    said = by_name(BINDER)
    assert said["cores"].here.startswith("1 of 16, limited by a container")
    assert said["memory"].state == "partly"
    assert "hpclab slurm up" in said["Slurm"].here
    assert for_lesson(BINDER, ["slurm"]) == (
        "partly", "on a real Slurm, started on this machine; 2 ranks at most: memory is short",
    )  # fmt: skip


def test_a_site_has_it_all():
    assert {item.state for item in capabilities(SITE)} == {"yes"}
    assert "inside job 4711" in by_name(SITE)["Slurm"].here
    assert for_lesson(SITE, ["slurm", "gpu", "cores"]) == (
        "yes", "on this site's Slurm; on NVIDIA A100; measured up to 32 cores",
    )  # fmt: skip
    assert for_lesson(SITE, []) == ("yes", "everything in it")


def test_what_is_missing_comes_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch):
    said = by_name(BARE)
    assert said["Slurm"].state == "no"
    assert "apt install slurm-wlm munge" in said["Slurm"].remedy
    assert "simulator" in said["GPU"].remedy
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    assert "macOS" in by_name(BARE)["Slurm"].remedy
    assert for_lesson(BARE, ["slurm"])[0] == "no"


@pytest.mark.parametrize(
    ("place", "word"),
    [
        (FileSystem("tmp", "/tmp", "ext4", "local", 10**10, 10**10, False), "cannot be written"),
        (FileSystem("work", "/nfs/ada", "nfs4", "shared", 0, 0, False, False), "does not answer"),
        (FileSystem("home", "/home/ada", "nfs4", "shared", 10**10, 10**6, True), "free"),
    ],
)
def test_a_bad_folder_is_named(place: FileSystem, word: str):
    files = by_name(replace(BINDER, file_systems=(place,)))["files"]
    assert files.state != "yes"
    assert word in files.remedy
    assert place.path in files.remedy


def test_the_number_of_ranks_follows_the_free_memory():
    for count in (1, 2, 5):
        memory = Memory(2**40, 2**40, COURSE + count * RANK + 1000)
        assert ranks(replace(SITE, memory=memory)) == count
    assert ranks(replace(SITE, memory=Memory(2**30, 2**30, 0))) == 1


def test_a_driver_that_does_not_fit_shows():
    said = by_name(replace(SITE, notes=("The NVIDIA driver 470 is too old.",)))
    assert (said["GPU"].state, said["GPU"].remedy) == ("partly", "The NVIDIA driver 470 is too old.")


@pytest.mark.parametrize("width", [60, 80, 110])
@pytest.mark.parametrize("here", [BINDER, SITE, BARE])
def test_it_fits_a_screen_of_any_width(here: Machine, width: int):
    found = [
        Lesson(f"{n:02}", f"{n:02}_x", f"A lesson with a rather long title number {n}", Path("x"), ("slurm",))
        for n in range(17)
    ]
    lines = doctor.screen(here, found, width)
    assert max(map(len, lines)) <= width
    assert sum("A lesson" in text for text in lines) == 17
    assert not any("\x1b" in text for text in lines), "readable without colour"


def command(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hpclab.cli", "doctor", *words], capture_output=True, text=True, timeout=60,
        env={**os.environ, **environment}, check=False,
    )  # fmt: skip


def test_the_command_prints_one_screen():
    done = command()
    assert (done.returncode, done.stderr) == (0, "")
    assert "This machine" in done.stdout
    assert len(done.stdout.splitlines()) < 60


def test_json_says_the_same():
    answer = json.loads(command("--json").stdout)
    here = machine.probe()
    assert answer["machine"]["cores"]["logical"] == here.cores.logical
    assert {item["name"] for item in answer["capabilities"]} == set(by_name(here))
    assert all({"number", "title", "state", "runs"} <= set(lesson) for lesson in answer["lessons"])


def test_without_any_program_on_the_path_it_still_answers(tmp_path: Path):
    done = command(PATH=str(tmp_path), HOME=str(tmp_path / "gone"))
    assert done.returncode == 0, done.stderr
    assert "MPI" in done.stdout


def test_in_a_folder_that_was_deleted_it_says_so(tmp_path: Path):
    (tmp_path / "gone").mkdir()
    code = (
        f"import os; os.chdir({str(tmp_path / 'gone')!r}); os.rmdir({str(tmp_path / 'gone')!r});"
        "from hpclab.cli import main; raise SystemExit(main(['doctor']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "start from a folder that is yours" in done.stdout


def test_doctor_loads_nothing_heavy():
    code = (
        "import sys; from hpclab.cli import main; main(['doctor', '--json']);"
        "print([m for m in ('torch', 'numba', 'dask', 'matplotlib', 'ipywidgets') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).splitlines()[-1] == "[]"
