"""What the probe says of this machine, and of machines that are only a folder of files."""

import os
import subprocess
import sys
import threading

import pytest

from hpclab import machine
from hpclab.machine import allowance, gpus, places
from hpclab.machine.gpus import Gpu
from hpclab.machine.probe import container, mpi, slurm


def write(root, files):
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


@pytest.fixture
def environment(monkeypatch):
    """The environment, empty but for what a test puts in."""
    variables = {}
    monkeypatch.setattr(os, "environ", variables)
    return variables


def cgroup_v2(root, cpu, memory="max", inner="/pod", pod="pod/"):
    (root / "sys/fs/cgroup/pod/inside").mkdir(parents=True)
    files = {"cpu.max": cpu, "memory.max": memory, "memory.current": "600000000",
             "memory.stat": "anon 1\ninactive_file 100000000\n"}  # fmt: skip
    return write(
        root,
        {f"sys/fs/cgroup/{pod}{name}": text for name, text in files.items()}
        | {"proc/self/cgroup": f"0::{inner}\n",
           "proc/self/mountinfo": "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"},
    )  # fmt: skip


def test_this_machine_is_described_within_a_limit_of_its_address_space_and_without_torch():
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))\n"
        "from hpclab.machine import probe; m = probe(); memory = m.memory\n"
        "assert (memory.usable, memory.limited_by) == (2**31, 'ulimit -v'), memory\n"
        "assert 0 <= memory.available <= memory.usable and 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    here = machine.probe()
    assert 0 < here.cores.usable <= here.cores.logical
    assert any("127.0.0.1" in interface.addresses for interface in here.interfaces)
    roles = {place.role: place for place in here.file_systems}
    assert {*roles} >= {"home", "work", "tmp"}
    assert (roles["work"].writable, roles["work"].answered) == (os.access(".", os.W_OK), True)
    assert 0 <= roles["work"].free <= roles["work"].size


def test_the_affinity_mask_limits_the_cores(tmp_path, environment, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3})
    assert allowance.cores(tmp_path).usable == 1


@pytest.mark.parametrize(("inner", "pod"), [
    ("/pod", "pod/"),
    ("/pod/inside", "pod/"),
    ("/only/the/host/knows", ""),  # then the mount itself is the container's group
])  # fmt: skip
def test_a_container_quota_of_version_2(tmp_path, environment, inner, pod):
    root = cgroup_v2(tmp_path, "50000 100000", "1000000000", inner, pod)
    cores, memory = allowance.cores(root), allowance.memory(root)
    assert (cores.usable, cores.whole, memory.usable) == (0.5, 1, 1_000_000_000)
    assert memory.available == 500_000_000, "what the file cache holds is given back when asked for"
    assert ("cgroup" in cores.limited_by, "cgroup" in memory.limited_by) == (True, True)


def test_a_container_quota_of_version_1(tmp_path, environment):
    write(tmp_path, {
        "proc/self/cgroup": "4:memory:/job\n1:cpu,cpuacct:/job\n",
        "proc/self/mountinfo":
            "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
            "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
        "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "150000",
        "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000",
        "sys/fs/cgroup/memory/job/memory.limit_in_bytes": str(512 * 2**20),
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
    })  # fmt: skip
    assert allowance.cores(tmp_path).usable == 1.5
    assert allowance.memory(tmp_path).usable == 512 * 2**20


@pytest.mark.parametrize("text", ["max 100000", "garbage", "0 0"])
def test_no_quota_or_an_unreadable_one_limits_nothing(tmp_path, environment, text):
    assert "cgroup" not in allowance.cores(cgroup_v2(tmp_path, text)).limited_by


def test_a_slurm_job_and_a_hub_limit_what_may_be_used(tmp_path, environment):
    environment.update(SLURM_CPUS_ON_NODE="1", SLURM_MEM_PER_NODE="300", MEM_LIMIT="lots", CPU_LIMIT="-1")
    assert allowance.memory(tmp_path).limited_by == "", "no job, and limits that are none"
    environment["SLURM_JOB_ID"] = "7"
    assert (allowance.cores(tmp_path).usable, allowance.memory(tmp_path).usable) == (1, 300 * 2**20)
    assert "Slurm" in allowance.memory(tmp_path).limited_by
    environment["MEM_LIMIT"] = str(2**20)
    assert allowance.memory(tmp_path).usable == 2**20


def test_a_file_system_is_that_of_the_longest_mount_above():
    mounts = {"/": "ext4", "/home": "nfs4", "/my scratch": "lustre"}
    paths = {"/home/ada/x": "nfs4", "/homework": "ext4", "/my scratch/x": "lustre"}
    assert {path: places.type_of(path, mounts) for path in paths} == paths
    assert places.type_of("/x", {}) == ""


def test_scratch_is_listed_where_the_site_names_it_and_one_that_is_not_there_is_said(tmp_path, environment):
    environment.update(SCRATCH=str(tmp_path), WORK="relative", PSCRATCH=str(tmp_path / "none"))
    roles = {place.role: place for place in places.file_systems()}
    assert (roles["$SCRATCH"].path, roles["$SCRATCH"].writable) == (str(tmp_path), True)
    assert (roles["$PSCRATCH"].size, roles["$PSCRATCH"].writable) == (0, False)
    assert "$WORK" not in roles


def test_a_file_system_that_hangs_is_given_up(monkeypatch):
    never, ask = threading.Event(), os.statvfs
    monkeypatch.setattr(places, "_PATIENCE", 0.05)
    monkeypatch.setattr(os, "statvfs", lambda path: never.wait(20) and ask(path))
    described = places.file_systems()
    never.set()
    assert [place.answered for place in described] == [False] * len(described)


def test_infiniband_and_omni_path_ports_have_rates(tmp_path):
    for device, rate, layer in (("mlx5_0", "200 Gb/sec (4X HDR)", "InfiniBand"), ("mlx5_1", "?", "Ethernet"),
                                ("hfi1_0", "100 Gb/sec", "InfiniBand")):  # fmt: skip
        port = f"sys/class/infiniband/{device}/ports/1"
        files = {"rate": rate, "state": "4: ACTIVE", "link_layer": layer}
        write(tmp_path, {f"{port}/{name}": text for name, text in files.items()})
    found = [(i.fabric, i.bandwidth, i.up) for i in places.interfaces(tmp_path) if i.addresses == ()]
    assert found == [("omni-path", 12.5e9, True), ("infiniband", 25e9, True), ("roce", 0.0, True)]


CLIENT = ("sbatch", "squeue", "sinfo", "scancel")
DAEMONS = ("munged", "slurmctld", "slurmd")


def programs(folder, *names, text="#!/bin/sh\n"):
    folder.mkdir(exist_ok=True, parents=True)
    for name in names:
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return str(folder)


def test_slurm_missing_site_and_our_own(tmp_path, environment, monkeypatch):
    from hpclab.cluster.local_slurm.files import WRITTEN_BY

    monkeypatch.setattr(sys.modules["hpclab.machine.probe"], "_ALSO_IN", "")
    environment["PATH"] = programs(tmp_path / "none")
    none = slurm(tmp_path)
    assert (none.client, none.site, none.daemons) == (False, False, False)
    assert set(none.missing) == {*CLIENT, *DAEMONS}
    environment["PATH"] = programs(tmp_path / "ours", *CLIENT, *DAEMONS)
    ours = slurm(tmp_path)
    assert (ours.client, ours.site, ours.daemons, ours.missing) == (True, False, True, ())
    environment["PATH"] = programs(tmp_path / "login", *CLIENT)
    assert slurm(tmp_path).missing == DAEMONS
    environment["SLURM_CONF"] = str(tmp_path / "slurm.conf")
    assert not slurm(tmp_path).site, "it is not there"
    for text, site in ((f"{WRITTEN_BY}\nClusterName=x\n", False), ("ClusterName=x\n", True)):
        (tmp_path / "slurm.conf").write_text(text)
        assert slurm(tmp_path).site is site
    del environment["SLURM_CONF"]
    write(tmp_path, {"etc/slurm/slurm.conf": ""})
    environment["SLURM_JOB_ID"] = "12"
    site = slurm(tmp_path)
    assert (site.site, site.missing, site.job) == (True, (), "12")
    environment["HPCLAB_SLURM"] = "local"
    assert not slurm(tmp_path).site


def test_mpi_of_an_environment_that_nobody_activated(tmp_path, environment, monkeypatch):
    environment["PATH"] = str(tmp_path / "elsewhere")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin/python"))
    assert mpi() == ()
    programs(tmp_path / "bin", "mpiexec")
    assert mpi() == ("mpiexec",)


@pytest.mark.parametrize(("variables", "file", "name"), [
    ({"BINDER_REPO_URL": "x", "KUBERNETES_SERVICE_HOST": "y"}, "", "binder"),
    ({"KUBERNETES_SERVICE_HOST": "y"}, ".dockerenv", "kubernetes"),
    ({"APPTAINER_CONTAINER": "x.sif"}, "", "apptainer"),
    ({}, "run/.containerenv", "podman"),
    ({}, ".dockerenv", "docker"),
    ({}, "other", ""),
])  # fmt: skip
def test_containers_are_told_apart(tmp_path, environment, variables, file, name):
    environment.update(variables)
    assert container(write(tmp_path, {file: ""} if file else {})) == name


TWO = [Gpu(f"NVIDIA A100-SXM4-{size}GB", "NVIDIA", "cuda", size * 2**30) for size in (40, 80)]


@pytest.mark.parametrize(("setting", "found"), [
    (None, TWO), ("", []), ("1", TWO[1:]), ("1,7,0", TWO[1:]), ("GPU-0b7c", TWO[:1]),
    ("MIG-0b7c,MIG-9", [Gpu("NVIDIA A100-SXM4-40GB, a MIG slice", "NVIDIA", "cuda")]),
])  # fmt: skip
def test_what_is_visible_of_the_gpus_and_a_slice_of_one_is_not_the_whole(environment, setting, found):
    environment.update({} if setting is None else {"CUDA_VISIBLE_DEVICES": setting})
    assert gpus._visible(TWO) == found


def test_gpus_from_the_drivers_files_and_from_nvidia_smi(tmp_path, environment):
    environment["PATH"] = str(tmp_path)
    write(tmp_path, {
        "proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue\n",
        "proc/driver/nvidia/gpus/0000:00:00.0/information": "Model: \t\t NVIDIA A100\nIRQ: 3\n",
        "sys/class/drm/card0/device/vendor": "0x1002\n",
        "sys/class/drm/card0/device/mem_info_vram_total": str(2**30),  # integrated
        "sys/class/drm/card1/device/vendor": "0x1002\n",
        "sys/class/drm/card1/device/mem_info_vram_total": str(64 * 2**30),
    })  # fmt: skip
    amd = Gpu("AMD GPU", "AMD", "cuda", 64 * 2**30)
    assert gpus.gpus(tmp_path) == (Gpu("NVIDIA A100", "NVIDIA", "cuda", driver="550.54.15"), amd)
    lines = "WARNING: infoROM is corrupted", "NVIDIA H100 80GB HBM3, 81559, 550.54.15", "No devices"
    says = "#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines)
    environment["PATH"] = f"{programs(tmp_path, 'nvidia-smi', text=says)}:/usr/bin:/bin"
    h100 = Gpu("NVIDIA H100 80GB HBM3", "NVIDIA", "cuda", 81559 * 2**20, "550.54.15")
    assert gpus.gpus(tmp_path) == (h100, amd)
