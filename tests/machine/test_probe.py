"""What the probe says of this machine, and of machines that are only a folder of files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hpclab import machine
from hpclab.machine import allowance, gpus, places
from hpclab.machine.description import Gpu
from hpclab.machine.probe import container, slurm


def write(root: Path, **files: str) -> Path:
    for name, content in files.items():
        place = root / name.replace("__", "/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)
    return root


def cgroup_v2(root: Path, cpu: str = "max 100000", memory: str = "max", inner: str = "/pod") -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(f"0::{inner}\n")
    (root / "proc/self/mountinfo").write_text("31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
    pod = root / "sys/fs/cgroup/pod"
    pod.mkdir(parents=True)
    (pod / "cpu.max").write_text(cpu)
    (pod / "memory.max").write_text(memory)
    (pod / "memory.current").write_text("600000000")
    (pod / "memory.stat").write_text("anon 1\ninactive_file 100000000\n")
    return root


def test_this_machine_in_a_moment_and_without_torch():
    code = "import sys; from hpclab.machine import probe; probe(); print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def test_this_machine_is_described():
    here = machine.probe()
    assert 0 < here.cores.usable <= here.cores.logical
    assert 0 <= here.memory.available <= here.memory.usable <= here.memory.total
    assert {place.role for place in here.file_systems} >= {"home", "work", "tmp"}
    assert any("127.0.0.1" in interface.addresses for interface in here.interfaces)
    work = next(place for place in here.file_systems if place.role == "work")
    assert (work.writable, work.answered) == (os.access(".", os.W_OK), True)
    assert 0 <= work.free <= work.size
    assert here.python.startswith(f"{sys.version_info.major}.{sys.version_info.minor}")


def test_the_affinity_mask_limits_the_cores(tmp_path: Path):
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert allowance.cores(tmp_path, {}).usable == 1
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.parametrize("inner", ["/pod", "/pod/inside", "/only/the/host/knows"])
def test_a_container_quota_of_version_2(tmp_path: Path, inner: str):
    root = cgroup_v2(tmp_path, "50000 100000", "1000000000", inner)
    if inner == "/pod/inside":
        (root / "sys/fs/cgroup/pod/inside").mkdir()
    if inner == "/only/the/host/knows":  # then the mount itself is the container's group
        for file in (root / "sys/fs/cgroup/pod").iterdir():
            file.rename(root / "sys/fs/cgroup" / file.name)
    cores, memory = allowance.cores(root, {}), allowance.memory(root, {})
    assert (cores.usable, cores.whole) == (0.5, 1)
    assert "cgroup" in cores.limited_by
    assert memory.usable == 1_000_000_000
    assert memory.available == 500_000_000, "what the file cache holds is given back when asked for"
    assert "cgroup" in memory.limited_by


def test_a_container_quota_of_version_1(tmp_path: Path):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("4:memory:/job\n1:cpu,cpuacct:/job\n")
    (tmp_path / "proc/self/mountinfo").write_text(
        "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
        "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    )
    for name in ("cpu", "memory"):
        (tmp_path / "sys/fs/cgroup" / name / "job").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us").write_text("150000")
    (tmp_path / "sys/fs/cgroup/cpu/job/cpu.cfs_period_us").write_text("100000")
    (tmp_path / "sys/fs/cgroup/memory/job/memory.limit_in_bytes").write_text(str(512 * 2**20))
    (tmp_path / "sys/fs/cgroup/memory/memory.limit_in_bytes").write_text("9223372036854771712")
    assert allowance.cores(tmp_path, {}).usable == 1.5
    assert allowance.memory(tmp_path, {}).usable == 512 * 2**20


@pytest.mark.parametrize("text", ["", "max 100000", "garbage", "0 0", "100000"])
def test_no_quota_or_an_unreadable_one_limits_nothing(tmp_path: Path, text: str):
    assert allowance.cores(cgroup_v2(tmp_path, text), {}).limited_by in (
        "",
        "the affinity mask of this process",
    )


def test_a_slurm_job_and_a_hub_limit_what_may_be_used(tmp_path: Path):
    job = {"SLURM_JOB_ID": "7", "SLURM_CPUS_ON_NODE": "1", "SLURM_MEM_PER_NODE": "300"}
    assert allowance.cores(tmp_path, job).usable == 1
    assert "Slurm" in allowance.cores(tmp_path, {**job, "SLURM_CPUS_ON_NODE": "1"}).limited_by
    assert allowance.memory(tmp_path, job).usable == 300 * 2**20
    assert allowance.memory(tmp_path, {"MEM_LIMIT": str(2**30)}).usable == 2**30
    assert allowance.memory(tmp_path, {"MEM_LIMIT": "lots", "CPU_LIMIT": "-1"}).limited_by == ""


def test_the_address_space_limit_counts():
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31));"
        "from hpclab.machine import allowance; m = allowance.memory(); print(m.usable, m.limited_by)"
    )
    answer = subprocess.check_output([sys.executable, "-c", code], text=True).split(" ", 1)
    assert int(answer[0]) == 2**31
    assert "ulimit" in answer[1]


def test_a_file_system_is_that_of_the_longest_mount_above(tmp_path: Path):
    info = tmp_path / "mountinfo"
    info.write_text(
        "1 0 254:0 / / rw - ext4 /dev/vda rw\n2 1 0:5 / /home rw shared:3 - nfs4 server:/home rw\n"
        "3 1 0:6 / /my\\040scratch rw - lustre mds:/s rw\nbroken line\n"
    )
    mounts = places.read_mounts(info)
    assert places.type_of("/home/ada/x", mounts) == "nfs4"
    assert places.type_of("/homework", mounts) == "ext4"
    assert places.type_of("/my scratch/x", mounts) == "lustre"
    assert places.type_of("/x", {}) == ""


def test_scratch_is_listed_where_the_site_names_it(tmp_path: Path):
    roles = {
        place.role: place for place in places.file_systems({"SCRATCH": str(tmp_path), "WORK": "relative"})
    }
    assert roles["$SCRATCH"].path == str(tmp_path)
    assert roles["$SCRATCH"].writable
    assert "$WORK" not in roles


def test_a_folder_that_is_not_there_is_said_not_raised(tmp_path: Path):
    roles = {place.role: place for place in places.file_systems({"SCRATCH": str(tmp_path / "none")})}
    assert (roles["$SCRATCH"].size, roles["$SCRATCH"].writable) == (0, False)


def test_a_file_system_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch):
    import threading

    never, ask = threading.Event(), os.statvfs
    monkeypatch.setattr(places, "_PATIENCE", 0.05)
    monkeypatch.setattr(os, "statvfs", lambda path: never.wait(20) and ask(path))
    described = places.file_systems({})
    never.set()
    assert [place.answered for place in described] == [False] * len(described)


def test_infiniband_and_omni_path_ports_have_rates(tmp_path: Path):
    for device, rate, layer in (("mlx5_0", "200 Gb/sec (4X HDR)", "InfiniBand"), ("mlx5_1", "?", "Ethernet")):
        port = tmp_path / "sys/class/infiniband" / device / "ports/1"
        port.mkdir(parents=True)
        (port / "rate").write_text(rate)
        (port / "state").write_text("4: ACTIVE")
        (port / "link_layer").write_text(layer)
    fabric = [i for i in places.interfaces(tmp_path) if i.name.startswith("mlx5")]
    assert [(i.fabric, i.bandwidth, i.up) for i in fabric] == [
        ("infiniband", 25e9, True),
        ("roce", 0.0, True),
    ]


def programs(folder: Path, *names: str) -> dict[str, str]:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return {"PATH": str(folder)}


CLIENT = ("sbatch", "squeue", "sinfo", "scancel")
DAEMONS = ("munged", "slurmctld", "slurmd")


def test_slurm_missing_site_and_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.modules["hpclab.machine.probe"], "_ALSO_IN", "")
    none = slurm(tmp_path, programs(tmp_path / "none"))
    assert (none.client, none.site, none.daemons) == (False, False, False)
    assert set(none.missing) == {*CLIENT, *DAEMONS}
    ours = slurm(tmp_path, programs(tmp_path / "ours", *CLIENT, *DAEMONS))
    assert (ours.client, ours.site, ours.daemons, ours.missing) == (True, False, True, ())
    login = programs(tmp_path / "login", *CLIENT)
    assert slurm(tmp_path, login).missing == DAEMONS
    write(tmp_path, etc__slurm__slurm_conf="")
    (tmp_path / "etc/slurm/slurm_conf").rename(tmp_path / "etc/slurm/slurm.conf")
    site = slurm(tmp_path, {**login, "SLURM_JOB_ID": "12"})
    assert (site.site, site.missing, site.job) == (True, (), "12")
    assert not slurm(tmp_path, {**login, "HPCLAB_SLURM": "local"}).site


def test_a_configuration_that_hpclab_wrote_is_no_site(tmp_path: Path):
    from hpclab.cluster.local_slurm.files import WRITTEN_BY

    login = programs(tmp_path / "login", *CLIENT)
    for text, site in ((f"{WRITTEN_BY}\nClusterName=x\n", False), ("ClusterName=x\n", True)):
        (tmp_path / "slurm.conf").write_text(text)
        assert slurm(tmp_path, {**login, "SLURM_CONF": str(tmp_path / "slurm.conf")}).site is site
    assert not slurm(tmp_path, {**login, "SLURM_CONF": str(tmp_path / "gone.conf")}).site


@pytest.mark.parametrize(
    ("environment", "file", "name"),
    [
        ({"BINDER_REPO_URL": "x", "KUBERNETES_SERVICE_HOST": "y"}, "", "binder"),
        ({"KUBERNETES_SERVICE_HOST": "y"}, ".dockerenv", "kubernetes"),
        ({"APPTAINER_CONTAINER": "x.sif"}, "", "apptainer"),
        ({}, "run/.containerenv", "podman"),
        ({}, ".dockerenv", "docker"),
        ({}, "", ""),
    ],
)
def test_containers_are_told_apart(tmp_path: Path, environment: dict[str, str], file: str, name: str):
    if file:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    assert container(tmp_path, environment) == name


def test_gpus_from_the_drivers_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gpus, "_from_nvml", list)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for number in range(2):
        place = tmp_path / f"proc/driver/nvidia/gpus/0000:0{number}:00.0"
        place.mkdir(parents=True)
        (place / "information").write_text("Model: \t\t NVIDIA A100\nIRQ: 3\n")
    card = tmp_path / "sys/class/drm/card1/device"
    card.mkdir(parents=True)
    (card / "vendor").write_text("0x1002\n")
    (card / "mem_info_vram_total").write_text(str(64 * 2**30))
    found = gpus.gpus(tmp_path)
    assert [gpu.vendor for gpu in found] == ["NVIDIA", "NVIDIA", "AMD"]
    assert found[0].name == "NVIDIA A100"
    assert found[2].memory == 64 * 2**30
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert [gpu.vendor for gpu in gpus.gpus(tmp_path)] == ["NVIDIA", "AMD"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert [gpu.vendor for gpu in gpus.gpus(tmp_path)] == ["AMD"]


def test_gpus_from_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA H100 80GB HBM3, 81559, 550.54.15'\necho 'No devices'\n")
    program.chmod(0o755)
    monkeypatch.setattr(gpus, "_from_nvml", list)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus.gpus(tmp_path) == (
        Gpu("NVIDIA H100 80GB HBM3", "NVIDIA", "cuda", 81559 * 2**20, "550.54.15"),
    )
