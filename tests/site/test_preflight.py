"""`hpclab doctor --site` on a real site: all is well, then faults, each named with its mend and no other.

Small programs stand in for Apptainer, modules, an old Slurm and accounting; the wrong clock is one Python's.
"""

import json
import re
import sys
from pathlib import Path

import pytest

from tests.conftest import until

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]

GOOD = {
    "slurm.partition": "main", "slurm.account": "class", "slurm.time": "00:10:00",
    "software.modules": ["course/1.0"], "software.image": "/mnt/course.sif",
    "software.python": sys.executable, "network.interface": "eth0",
    "paths.scratch": "/mnt/scratch/$USER", "paths.local": "/tmp/$USER", "paths.wall": "/mnt/wall",
}  # fmt: skip
NEXT = 'exec "$(PATH=${PATH#*:} command -v ${0##*/})" "$@"\n'  # the program of this name behind ours
PROGRAMS = {
    "sbatch": '#!/bin/bash\ncase "=$SBATCH_ACCOUNT $* " in *=class\\ *|*-A\\ class\\ *) ;; *)\n'
    'echo "sbatch: error: Batch job submission failed: Invalid account or account/partition combination '
    'specified" >&2; exit 1;; esac\n'
    + NEXT,
    "sacctmgr": "#!/bin/sh\necho class\n",
    "sinfo": '#!/bin/bash\n[ "$1" = --version ] && [ -e /mnt/old ] && exec echo slurm 20.11.9\n' + NEXT,
    "module": '#!/bin/bash\n[ "$2" = course/1.0 ] || { echo "ERROR: Unable to locate a modulefile for '
    "'$2'\" >&2; exit 1; }\n",
    "apptainer": '#!/bin/bash\nread -r kind <"$2"; [ "$kind" = SIF ] || { echo "FATAL: image format not '
    'recognized" >&2; exit 255; }\nshift 2; exec "$@"\n',
}  # fmt: skip
LATE = """import os, socket, time
if socket.gethostname() == "c2" and os.path.exists("/tmp/late"):
    now = time.time
    time.time = lambda: now() + 30
"""
# Away go all packets of c1 to c2, and of c2's to the login host all but Slurm's own.
BETWEEN = "ip route {} prohibit 10.77.0.3"
BACK = ("ip rule {0} to 10.77.0.1 ipproto tcp sport 6818 lookup main pref 90\n"
        "ip rule {0} to 10.77.0.1 ipproto tcp dport 10000-60999 prohibit pref 91")  # fmt: skip
BIND = "mount --bind /mnt/scratch /mnt/scratch"
OWN = ("mount -t tmpfs -o mode=700,uid=61803 own /mnt/ada", "umount /mnt/ada")  # the home, of one host


# The change of the file; the hosts where root does and undoes something; which finding must be wrong, with
# words of what is said and of the mend.
FAULTS = {
    "wrong partition": ({"slurm.partition": "mian"}, (), "slurm.partition", "invalid part", "such as main"),
    "no account": ({"slurm.account": ""}, (), "slurm.account", "Invalid account", "yours, such as class"),
    "time over limit": ({"slurm.time": "02:00:00"}, (), "slurm.time", "2 h 0 min is more", "ask for no more"),
    "interface absent": (
        {"network.interface": "ib0"}, (), "network.interface",
        "^this host, c1, c2: no interface ib0 .* but eth0", "ip -4 addr"),
    "no write to scratch": (
        {}, ("c2", f"{BIND}; mount -o remount,bind,ro /mnt/scratch", "umount /mnt/scratch"),
        "paths.scratch", "^c2: Read-only file system$", "all nodes share"),
    "clock skew": ({}, ("c2", "touch /tmp/late", "rm /tmp/late"), "clocks", "^c2: 30.0 s ahead of", "chrony"),
    "missing module": (
        {"software.modules": ["course/1.0", "course/2.0"]}, (), "software.modules",
        "^c1, c2: course/2.0: ERROR: Unable to locate", "module avail"),
    "wrong image": (
        {}, ("login", "echo ELF > /mnt/course.sif", "echo SIF > /mnt/course.sif"), "software.image",
        "^c1, c2: FATAL: image format", "apptainer must be on"),
    "old Slurm": ({}, ("login", "touch /mnt/old", "rm /mnt/old"), "Slurm", "20.11.9 is too old", "21.08"),
    "firewall between nodes": (
        {}, ("c1", BETWEEN.format("add"), BETWEEN.format("del")), "between nodes",
        "c1: no way to c2 at 10.77.0.3", "network.interface .*firewall"),
    "no way back": (
        {}, ("c2", BACK.format("add"), BACK.format("del")), "nodes to this host", "^c2: ",
        "network.interface .*firewall"),
    "no jobs of jobs": (
        {}, ("c2", "mount --bind /bin/false $(PATH=${PATH#*:} command -v sbatch)",
             "umount $(PATH=${PATH#*:} command -v sbatch)"),
        "sbatch on nodes", "^c2: ", "let nodes submit"),
    "homes of their own": (
        {}, ("c1 c2", *OWN), "home", "^c1, c2: it is not the folder that this host", "Have homes mounted"),
    "a home of one node's own": (
        {"paths.scratch": ""}, ("c2", *OWN), "home", "than c1: nothing .* came back", "Have homes mounted"),
}  # fmt: skip
HIDING = ("wrong partition", "no account", "no way back", "homes of their own", "a home of one node's own")
TOGETHER = [name for name in FAULTS if name not in HIDING]
CASES = {"a good site": [], "together": TOGETHER} | {name: [name] for name in FAULTS}
QUICK = ("a good site", "together", "wrong partition", "no account")
UNTRIED = {"wrong partition": "slurm.time", "wrong image": "software.python", "no way back": "clocks",
           "a home of one node's own": "between nodes"}  # fmt: skip
LEFT = "ls -A /mnt/ada /mnt/scratch/* /mnt/wall /tmp/ada 2>&1 | sort; grep -c ' 0A ' /proc/net/tcp"


@pytest.fixture(scope="module")
def site(new_site):
    main = "PartitionName=main Nodes=ALL Default=YES MaxTime=30 State=UP"
    with new_site(2, programs=PROGRAMS, partitions=main) as one:
        one.root("cd /mnt; mkdir -p scratch/ada wall late; chmod 1777 wall; chown ada: scratch/ada")
        one.root("echo SIF > /mnt/course.sif")
        one.path("late/sitecustomize.py").write_text(LATE)
        yield one


def written(site, changes):
    """The good file with these changes, as the site has it."""
    lines = [f"{key} = {json.dumps(value)}\n" for key, value in (GOOD | changes).items()]
    site.path("site.toml").write_text("".join(lines))


def doctor(site, shell='"$@"'):
    """What it finds, by name, and its exit status; nothing may be left of it."""
    hosts = ("login", "c1", "c2")
    before = [site.root(LEFT, host) for host in hosts]
    said = site.run(
        "bash", "-c", f'{{ {shell}; }} 2>/dev/null; echo "status $?"', "bash",
        sys.executable, "-m", "hpclab.cli", "doctor", "--site", "/mnt/site.toml", "--json",
        PYTHONPATH=f"/mnt/late:{site.environment['PYTHONPATH']}", timeout=400,
    )  # fmt: skip
    text, _, status = said.rpartition("status ")
    until(lambda: [site.root(LEFT, host) for host in hosts] == before, "no file or port is left")
    assert "hpclab" not in site.run("squeue", "--noheader", "--states=PENDING,RUNNING")
    found = json.loads(text)["findings"] if text.strip() else []
    return {one["name"]: one for one in found}, int(status)


def planted(site, *names):
    written(site, {key: value for name in names for key, value in FAULTS[name][0].items()})
    does = [(host, *how) for name in names if FAULTS[name][1]
            for hosts, *how in [FAULTS[name][1]] for host in hosts.split()]  # fmt: skip
    for host, plant, _ in does:
        site.root(plant, host)
    try:
        return doctor(site)
    finally:
        for host, _, mend in does:
            site.root(mend, host)


@pytest.mark.parametrize("case", [
    pytest.param(case, marks=[] if case in QUICK else [pytest.mark.soak]) for case in CASES
])  # fmt: skip
def test_each_fault_is_named_with_its_mend_and_the_rest_holds(site, case):
    names = CASES[case]
    found, status = planted(site, *names)
    for name in names:
        _, _, finding, said, mend = FAULTS[name]
        place = f"^{finding} in /mnt/site.toml: .*" if "." in finding else ""
        assert re.search(said, found[finding]["said"]), (name, found[finding])
        assert re.search(place + mend, found[finding]["mend"]), (name, found[finding])
    rest = {name: one["state"] for name, one in found.items() if one["state"] != "ok"}
    expected = {FAULTS[name][2]: "wrong" for name in names}
    assert rest == expected | {UNTRIED[name]: "unknown" for name in names if name in UNTRIED}, found
    assert len(found) == 16 - (case == "a home of one node's own")
    assert status == bool(names)


def test_a_pool_and_sbatch_get_these_settings(site):
    """As a learner's server hands them on, also where it is itself a job and with an empty site.env."""
    written(site, {"software.image": "", "slurm.qos": "normal"})
    told = "print(json.dumps(settings.read('/mnt/site.toml').environment()))"
    environment = json.loads(site.python(f"import json; from hpclab.classroom import settings\n{told}"))
    assert environment["HPCLAB_STATE_DIR"] == "/mnt/scratch/ada/hpclab"
    program = "from hpclab.cluster import Pool\nwith Pool(nodes=0) as pool: print(pool.job_script())"
    script = site.python(program, SLURM_JOB_ID="7", SLURM_NTASKS="9", **environment)
    for line in ("#SBATCH -p main", "#SBATCH -A class", "#SBATCH --qos=normal", "#SBATCH -t 00:10:00"):
        assert line in script.splitlines()
    for part in ("\nmodule load course/1.0\n", f"\n{sys.executable} -P -m ", "tls://10.77.0.1:",
                 '--local-directory "/tmp/${USER:?'):  # fmt: skip
        assert part in script
    shell = f". {ROOT}/slurm/jobs/site.env; sbatch --output=/dev/null --parsable --hold --wrap=true"
    job = site.run("bash", "-ec", shell, **environment).strip()
    try:
        shown = site.run("scontrol", "show", "job", job)
        assert re.search(r"Account=class .*Partition=main ", shown, re.DOTALL)
    finally:
        site.run("scancel", job)


def test_interrupted_while_its_job_waits_it_leaves_nothing(site):
    written(site, {})
    site.run("sbatch", "--account=class", "--exclusive", "--nodes=2", "-o", "/dev/null", "--wrap=sleep 300")
    queued = "until squeue -h -o %j | grep -q hpclab-doctor; do sleep 0.2; done"
    try:
        found, status = doctor(site, f'env --default-signal=INT "$@" & {queued}; kill -INT $!; wait $!')
        assert (found, status) == ({}, 130)
    finally:
        site.run("scancel", "--user=ada")
