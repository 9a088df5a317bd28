"""`hpclab doctor`: one screen, offline, true for machines of all kinds."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hpclab import machine
from hpclab.classroom import preflight
from hpclab.cli import doctor, main
from hpclab.course import Lesson
from hpclab.machine.allowance import Cores, Memory
from hpclab.machine.capability import COURSE, RANK, capabilities, for_lesson, ranks
from hpclab.machine.gpus import Gpu
from hpclab.machine.places import FileSystem
from hpclab.machine.probe import Machine, SlurmHere

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
SHORT = "2 ranks at most: memory is short"


def with_place(*described):
    return replace(BINDER, file_systems=(FileSystem(*described),))


OLD = "The NVIDIA driver 470 is too old."


@pytest.mark.parametrize(("here", "name", "state", "words"), [
    (BINDER, "cores", "partly", "1 of 16, limited by a container"),
    (BINDER, "memory", "partly", "limited by a container's memory limit"),
    (BINDER, "Slurm", "yes", "hpclab slurm up"),
    (SITE, "Slurm", "yes", "inside job 4711"),
    (BARE, "Slurm", "no", "apt install slurm-wlm munge"),
    (BARE, "GPU", "no", "simulator"),
    (replace(SITE, notes=(OLD,)), "GPU", "partly", OLD),
    (with_place("tmp", "/tmp", "ext4", "local", 10**10, 10**10, False), "files", "no", "cannot be written"),
    (with_place("work", "/nfs", "nfs4", "shared", 0, 0, False, False), "files", "no", "/nfs does not answer"),
    (with_place("home", "/home", "nfs4", "shared", 10**10, 10**6, True), "files", "partly", "/home has"),
])  # fmt: skip
def test_what_is_here_and_how_to_get_the_rest(here, name, state, words):
    (said,) = [item for item in capabilities(here) if item.name == name]
    assert (said.state, words in f"{said.here}; {said.remedy}") == (state, True), said


@pytest.mark.parametrize(("here", "needs", "state", "runs"), [
    (BINDER, "slurm", "partly", f"on a real Slurm, started on this machine; {SHORT}"),
    (SITE, "slurm gpu cores", "yes", "on this site's Slurm; on NVIDIA A100; measured up to 32 cores"),
    (SITE, "", "yes", "everything in it"),
    (BARE, "slurm", "no", f"on this machine's processes: no Slurm; {SHORT}"),
])  # fmt: skip
def test_how_a_lesson_runs_and_a_site_has_it_all(here, needs, state, runs, monkeypatch):
    assert for_lesson(here, needs.split()) == (state, runs)
    assert {item.state for item in capabilities(SITE)} == {"yes"}
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    assert "There is no Slurm for macOS" in str(capabilities(BARE))


def test_the_number_of_ranks_follows_the_free_memory():
    for free, count in ((0, 1), (COURSE + 2 * RANK + 1000, 2), (COURSE + 5 * RANK + 1000, 5)):
        assert ranks(replace(SITE, memory=Memory(2**40, 2**40, free))) == count


@pytest.mark.parametrize("width", [60, 110])
@pytest.mark.parametrize("here", [BINDER, SITE, BARE])
def test_it_fits_a_screen_of_any_width(here, width):
    title = "A lesson with a rather long title number"
    found = [Lesson(f"{n:02}", f"{n:02}_x", f"{title} {n}", Path("x"), ("slurm",)) for n in range(17)]
    lines = doctor.screen(here, found, width)
    assert max(map(len, lines)) <= width
    assert sum("A lesson" in text for text in lines) == 17
    assert not any("\x1b" in text for text in lines), "readable without colour"
    one = preflight.Finding("nodes to this host", "wrong", "c1, c2: timed out; " * 9, "name another. " * 9)
    lines = doctor.finding(one, width)
    assert max(map(len, lines)) <= width
    assert lines[0].startswith("  wrong   nodes to this host  c1")
    assert sum("-> name another" in line for line in lines) == 1


def test_json_says_the_same(capsys):
    assert main(["doctor", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    here = machine.probe()
    assert answer["machine"]["cores"]["logical"] == here.cores.logical
    assert [item["name"] for item in answer["capabilities"]] == [item.name for item in capabilities(here)]
    assert all({"number", "title", "state", "runs"} <= set(lesson) for lesson in answer["lessons"])


def test_in_a_folder_that_was_deleted_without_a_program_it_still_answers_and_loads_nothing_heavy(tmp_path):
    (tmp_path / "gone").mkdir()
    code = (
        "import os, sys; os.rmdir(os.getcwd())\n"
        "from hpclab.cli import main; status = main(['doctor'])\n"
        "print([m for m in ('torch', 'numba', 'dask', 'matplotlib', 'ipywidgets') if m in sys.modules])\n"
        "raise SystemExit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path / "gone",
        env={**os.environ, "PATH": str(tmp_path), "HOME": str(tmp_path / "none")},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "start from a folder that is yours" in " ".join(done.stdout.split())
    *screen, loaded = done.stdout.splitlines()
    assert (loaded, len(screen) < 60) == ("[]", True)


def test_a_sites_settings_need_a_site_and_a_file_that_is_there(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("HPCLAB_SITE", raising=False)
    assert main(["doctor", "--site"]) == 1  # tests are told to pass a site's Slurm by
    said = capsys.readouterr().err
    for words in ("no file /etc/hpclab/site.toml", "slurm/hub/site.toml", "leads to no site's Slurm"):
        assert words in said
    assert main(["doctor", "--site", str(tmp_path / "none.toml")]) == 1
    assert f"There is no file {tmp_path / 'none.toml'}" in capsys.readouterr().err
