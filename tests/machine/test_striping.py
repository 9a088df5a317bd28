"""Striping, from what Lustre, BeeGFS and GPFS print: a program of the same name prints it here."""

import shlex
from types import SimpleNamespace

import psutil
import pytest

from hpclab.machine.striping import striping
from tests.conftest import gone, until

PROGRESSIVE = """  lcm_entry_count:   2
    lcme_extent.e_end:   268435456
      stripe_count:  1       stripe_size:   1048576       pattern:       raid0       stripe_offset: -1

    lcme_extent.e_end:   EOF
      stripe_count:  8       stripe_size:   16777216       pattern:       raid0       stripe_offset: -1"""
BEEGFS = """Stripe pattern details:
+ Type: RAID0
+ Chunksize: 512K
+ Number of storage targets: desired: 4"""
GPFS = """flag                value                    description
------------------- ------------------------ -----------------------------------
 -B                 8388608                  Block size"""


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """``ask(kind, program, does)``: the striping of a folder on a `kind`, where `program` does that."""
    (tmp_path / "bin").mkdir()
    place = tmp_path / "a b'; touch canary"
    place.mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    def call(kind, program, does, patience=60.0):
        mount = SimpleNamespace(mountpoint=str(tmp_path), fstype=kind, device="fs1")
        monkeypatch.setattr(psutil, "disk_partitions", lambda all: [mount])
        script = tmp_path / "bin" / program
        script.write_text(f'#!/bin/sh\nPATH=/usr/bin:/bin\necho "$@" > {tmp_path}/asked\n{does}\n')
        script.chmod(0o755)
        return place, striping(place, patience)

    return call


@pytest.mark.parametrize(("kind", "prints", "shown", "sets", "shows"), [
    ("lustre", "stripe_count:  -1 stripe_size:   4194304", "4 MiB, stripe count -1 (all)",
     "lfs setstripe -c 4 -S 4M PLACE", "lfs getstripe -d PLACE"),
    ("lustre", PROGRESSIVE, "16 MiB, stripe count 8",
     "lfs setstripe -c 4 -S 4M PLACE", "lfs getstripe -d PLACE"),
    ("beegfs", BEEGFS, "512 KiB, stripe count 4",
     "beegfs-ctl --setpattern --numtargets=4 --chunksize=1m PLACE", "beegfs-ctl --getentryinfo PLACE"),
    ("beegfs_nodev", f"{BEEGFS}; actual: 4".replace("512K", "1M"), "1 MiB, stripe count 4",
     "beegfs entry set --num-targets=4 --chunk-size=1MiB PLACE", "beegfs entry info --retro PLACE"),
    ("gpfs", GPFS, "8 MiB, stripe count -1 (all)", "mmlsattr -L PLACE", "mmlsfs fs1 -B"),
])  # fmt: skip
def test_what_the_site_says(ask, tmp_path, kind, prints, shown, sets, shows):
    program, *arguments = shows.split()
    place, said = ask(kind, program, f"cat <<'END'\n{prints}\nEND")
    commands = f"{sets}; {shows}".replace("PLACE", shlex.quote(str(place)))
    assert said == f"{kind.split('_')[0]}: stripe size {shown}. To set or show it: {commands}"
    asked = " ".join(arguments).replace("PLACE", str(place))
    assert (tmp_path / "asked").read_text().strip() == asked


@pytest.mark.parametrize(("program", "does", "says"), [
    ("other", "", "(No such file or directory): ask on a login node"),
    ("lfs", 'sleep 600 & echo $! > "$3/pid"; wait', "did not answer within 2 s"),
    ("lfs", "echo 'Permission denied' >&2; exit 13", "but: Permission denied"),
    ("lfs", "exit 1", "but: nothing"),
    ("lfs", "printf '\\377\\000 stripe_count: x'", "did not say"),
])  # fmt: skip
def test_trouble_is_a_sentence(ask, program, does, says):
    place, said = ask("lustre", program, does, 2.0 if "sleep" in does else 60.0)
    assert says in said
    assert said.endswith(".")
    assert "\n" not in said
    assert ask("ext4", program, does)[1] is None
    if "sleep" in does:
        until(lambda: gone(int((place / "pid").read_text())), "what the program started has ended")
