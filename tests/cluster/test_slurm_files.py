"""The files the daemons read: keys by version, loopback addresses, shapes refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hpclab.cluster.local_slurm import files as slurm_files
from hpclab.cluster.local_slurm.files import Shape, Site


def _written(place: Path, shape: Shape, version: tuple[int, int] = (22, 5)) -> dict[str, str]:
    ports = tuple(range(10_000, 10_001 + shape.nodes))
    slurm_files.write(Site(place, ports, version, 8000, "mark"), shape)
    return {str(path.relative_to(place)): path.read_text() for path in place.rglob("*") if path.is_file()}


def test_every_node_has_its_own_name_and_port(tmp_path: Path) -> None:
    conf = _written(tmp_path, Shape(3, 2))["slurm.conf"]
    nodes = [line.split() for line in conf.splitlines() if line.startswith("NodeName=")]
    assert [line[0] for line in nodes] == ["NodeName=node1", "NodeName=node2", "NodeName=node3"]
    assert len({word for line in nodes for word in line if word.startswith("Port=")}) == 3
    assert all("CPUs=2" in line and "RealMemory=2666" in line for line in nodes)
    assert all((tmp_path / "spool" / f"node{k}").is_dir() for k in (1, 2, 3))
    # By number, because names may have any characters.
    assert {f"SlurmUser={os.getuid()}", f"SlurmdUser={os.getuid()}"} <= set(conf.splitlines())
    small = _written(tmp_path, Shape(16))["slurm.conf"]
    assert "RealMemory=1024" in small  # so that small jobs fit on a node of a small machine, too


@pytest.mark.parametrize(
    ("version", "plugin"), [((21, 8), "cgroup/v1"), ((23, 11), "cgroup/v1"), ((24, 5), "disabled")]
)
def test_control_groups_are_done_without_in_the_words_of_each_version(
    tmp_path: Path, version: tuple[int, int], plugin: str
) -> None:
    assert _written(tmp_path, Shape(), version)["daemons/cgroup.conf"] == f"CgroupPlugin={plugin}\n"


def test_no_key_that_some_version_refuses(tmp_path: Path) -> None:
    conf = _written(tmp_path, Shape(gpus_per_node=2))["slurm.conf"]
    gone = "CryptoType", "FastSchedule", "ControlMachine", "SlurmctldProlog=", "JobCredentialPrivateKey"
    assert not [key for key in gone if key in conf]


def test_pretend_gpus_never_pass_for_real_ones(tmp_path: Path) -> None:
    files = _written(tmp_path, Shape(gpus_per_node=2))
    assert "unset CUDA_VISIBLE_DEVICES" in files["task_prolog"]
    assert "export CUDA_VISIBLE_DEVICES" not in files["task_prolog"]
    assert "AutoDetect=off" in files["daemons/gres.conf"]
    assert "CUDA" not in _written(tmp_path, Shape(gpus_per_node=0))["task_prolog"]


@pytest.mark.parametrize(
    ("hosts", "address"),
    [
        ("127.0.0.1 localhost\n127.0.1.1 box.example box # Debian\n", "127.0.1.1"),
        ("127.0.0.1 localhost box\n", "127.0.0.1"),
        ("127.0.0.1 localhost\n172.17.0.2 box\n", ""),
        ("::1 box\n127.0.0.1 boxer\n", ""),
        ("# 127.0.0.1 box\n", ""),
        ("172.17.0.2 box\n127.0.0.1 box\n", ""),
    ],
)
def test_daemons_are_bound_to_loopback_where_the_machines_name_stands_for_it(
    tmp_path: Path, hosts: str, address: str
) -> None:
    (tmp_path / "hosts").write_text(hosts)
    assert slurm_files.loopback_of("box", tmp_path / "hosts") == address
    assert slurm_files.loopback_of("box", tmp_path / "none") == ""


@pytest.mark.parametrize("value", [0, 65, 1.5, float("nan"), "4", None, True])
def test_a_silly_number_of_nodes_is_refused_in_one_sentence(value: object) -> None:
    with pytest.raises(ValueError, match=r"^nodes must be a whole number from 1 to 64, not .*\.$"):
        Shape(nodes=value)  # type: ignore[arg-type]


def test_versions_are_read() -> None:
    assert slurm_files.version_of("slurm-wlm 22.05.8") == (22, 5)
    assert slurm_files.version_of("slurm 24.11.5") == (24, 11)
    with pytest.raises(RuntimeError, match="version"):
        slurm_files.version_of("no idea")
    assert slurm_files.memory_of("NodeName=x CPUs=2 RealMemory=24105\nUpTime=1") == 24105
