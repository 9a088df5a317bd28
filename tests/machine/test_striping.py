"""Striping, from what the programs of Lustre, BeeGFS and GPFS print, by a program of that name that prints it."""

import shlex
from types import SimpleNamespace

import psutil
import pytest

from hpclab.machine.striping import striping

LUSTRE_2_5 = """stripe_count:   1 stripe_size:    1048576 stripe_offset:  -1 """
LUSTRE_2_15 = """stripe_count:  -1 stripe_size:   4194304 pattern:       raid0 stripe_offset: -1
"""
PROGRESSIVE = """  lcm_layout_gen:    0
  lcm_mirror_count:  1
  lcm_entry_count:   2
    lcme_id:             N/A
    lcme_mirror_id:      N/A
    lcme_extent.e_start: 0
    lcme_extent.e_end:   268435456
      stripe_count:  1       stripe_size:   1048576       pattern:       raid0       stripe_offset: -1

    lcme_id:             N/A
    lcme_extent.e_start: 268435456
    lcme_extent.e_end:   EOF
      stripe_count:  8       stripe_size:   16777216       pattern:       raid0       stripe_offset: -1
"""
BEEGFS_7 = """Entry type: directory
EntryID: root
Metadata node: node1.beeg.local [ID: 1]
Stripe pattern details:
+ Type: RAID0
+ Chunksize: 512K
+ Number of storage targets: desired: 4
+ Storage Pool: 1 (Default)
"""
BEEGFS_8 = BEEGFS_7.replace("512K", "1M").replace("desired: 4", "desired: 2; actual: 2")
GPFS = """flag                value                    description
------------------- ------------------------ -----------------------------------
 -B                 8388608                  Block size
"""
SETS = {"lfs": "lfs setstripe -c 4 -S 4M {}", "mmlsfs": "mmlsattr -L {}",
        "beegfs-ctl": "beegfs-ctl --setpattern --numtargets=4 --chunksize=1m {}",
        "beegfs": "beegfs entry set --num-targets=4 --chunk-size=1MiB {}"}  # fmt: skip


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """``ask(kind, program, does)``: the striping of a folder on a `kind`, where `program` does that."""
    (tmp_path / "bin").mkdir()
    place = tmp_path / "a b'; touch canary"
    place.mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}")

    def call(kind, program, does, patience=60.0):
        mount = SimpleNamespace(mountpoint=str(tmp_path), fstype=kind, device="fs1")
        monkeypatch.setattr(psutil, "disk_partitions", lambda all: [mount])
        if program:
            (tmp_path / "bin" / program).write_text(
                f'#!/bin/sh\nPATH=/usr/bin:/bin\necho "$@" >> {tmp_path}/asked\n{does}\n'
            )
            (tmp_path / "bin" / program).chmod(0o755)
        return place, striping(place, patience)

    return call


@pytest.mark.parametrize(
    ("kind", "program", "prints", "count", "size"),
    [
        ("lustre", "lfs", LUSTRE_2_5, 1, 2**20),
        ("lustre", "lfs", LUSTRE_2_15, -1, 2**22),
        ("lustre", "lfs", PROGRESSIVE, 8, 2**24),
        ("beegfs", "beegfs-ctl", BEEGFS_7, 4, 2**19),
        ("beegfs_nodev", "beegfs", BEEGFS_8, 2, 2**20),
        ("gpfs", "mmlsfs", GPFS, -1, 2**23),
    ],
)
def test_what_the_site_says(ask, tmp_path, kind, program, prints, count, size):
    place, found = ask(kind, program, f"cat <<'END'\n{prints}\nEND")
    assert (found.file_system, found.count, found.size) == (kind.split("_")[0], count, size)
    assert found.advice == (SETS[program].format(shlex.quote(str(place))), found.command)
    asked = (tmp_path / "asked").read_text().strip()
    assert asked == " ".join(shlex.split(found.command)[1:])
    assert ("fs1" if kind == "gpfs" else str(place)) in asked


def test_other_file_systems_have_none_and_troubles_are_a_sentence(ask, tmp_path):
    assert ask("ext4", "", "")[1] is None
    for program, does, words in (
        ("", "", "lfs is not here"),
        ("lfs", "sleep 600", "did not answer within 1 s"),
        ("lfs", "echo 'Permission denied' >&2; exit 13", "Permission denied"),
        ("lfs", "exit 1", "nothing"),
        ("lfs", "printf '\\377\\000 stripe_count: x'", "did not say"),
    ):
        _, said = ask("lustre", program, does, 1.0 if "sleep" in does else 60.0)
        assert words in said
        assert said.endswith(".")
        assert "\n" not in said
    (tmp_path / "bin" / "lfs").write_text("no program")
    assert "cannot be run" in striping(tmp_path)
