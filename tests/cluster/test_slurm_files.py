"""The files the daemons read: keys by version, loopback addresses, shapes refused."""

import pytest

from hpclab.cluster import local_slurm
from hpclab.cluster.local_slurm import files as slurm_files
from hpclab.cluster.local_slurm.files import Shape


def _written(place, shape: Shape, version: tuple[int, int] = (22, 5)) -> dict[str, str]:
    ports = tuple(range(10_000, 10_001 + shape.nodes))
    slurm_files.write(place, shape, ports, version, 8000, "mark")
    return {str(path.relative_to(place)): path.read_text() for path in place.rglob("*") if path.is_file()}


def test_a_node_gets_its_share_of_the_memory_and_never_too_little_for_a_small_job(tmp_path):
    assert "RealMemory=2666" in _written(tmp_path, Shape(3, 2))["slurm.conf"]
    assert "RealMemory=1024" in _written(tmp_path, Shape(16))["slurm.conf"]


def test_a_cluster_in_a_directory_that_others_can_write_to_is_none_of_ours(tmp_path, monkeypatch):
    monkeypatch.setenv("HPCLAB_STATE_DIR", str(tmp_path))
    directory = tmp_path / local_slurm._name()
    directory.mkdir(mode=0o700)
    assert local_slurm.find(stale=True) == local_slurm.LocalSlurm(directory)
    directory.chmod(0o777)
    assert local_slurm.find(stale=True) is None


@pytest.mark.parametrize(
    ("version", "plugin"), [((21, 8), "cgroup/v1"), ((23, 11), "cgroup/v1"), ((24, 5), "disabled")]
)
def test_control_groups_are_done_without_in_the_words_of_each_version(tmp_path, version, plugin):
    assert _written(tmp_path, Shape(), version)["daemons/cgroup.conf"] == f"CgroupPlugin={plugin}\n"


@pytest.mark.parametrize(
    ("hosts", "address"),
    [
        ("127.0.0.1 localhost\n127.0.1.1 box.example box # Debian\n", "127.0.1.1"),
        ("127.0.0.1 localhost box\n", "127.0.0.1"),
        ("127.0.0.1 localhost\n172.17.0.2 box\n", ""),
        ("::1 box\n127.0.0.1 boxer\n", ""),
        ("# 127.0.0.1 box\n", ""),
    ],
)
def test_daemons_are_bound_to_loopback_where_the_machines_name_stands_for_it(tmp_path, hosts, address):
    (tmp_path / "hosts").write_text(hosts)
    assert slurm_files.loopback_of("box", tmp_path / "hosts") == address
    assert slurm_files.loopback_of("box", tmp_path / "none") == ""
