"""`hpclab doctor --site` on a real site: all is well, then ten faults, each named with its mend and no other.

The faults are real but for what is not packaged here: small programs stand in for Apptainer, modules, an old
Slurm and accounting, and the clock that is wrong is that of one host's Python.
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
    "slurm": {"partition": "main", "account": "class", "time": "00:10:00"},
    "software": {"modules": ["course/1.0"], "image": "/mnt/course.sif", "python": sys.executable},
    "network": {"interface": "eth0"},
    "paths": {"scratch": "/mnt/scratch/$USER", "local": "/tmp/$USER", "wall": "/mnt/wall"},
}
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
# Firewalls: the routes by which a host's packets to another are refused, but for Slurm's own ports.
BETWEEN = ("to 10.77.0.3 ipproto tcp sport 61000-61999 lookup main pref 90",
           "to 10.77.0.3 ipproto tcp sport 6818 lookup main pref 91",
           "to 10.77.0.3 ipproto tcp dport 10000-65534 prohibit pref 92")  # fmt: skip
BACK = ("to 10.77.0.1 ipproto tcp sport 6818 lookup main pref 90",
        "to 10.77.0.1 ipproto tcp dport 10000-60999 prohibit pref 91")  # fmt: skip


def rules(host, *texts):
    return host, *("\n".join(f"ip rule {verb} {text}" for text in texts) for verb in ("add", "del"))


# The change of the file; the hosts where root does and undoes something; which finding must be wrong, with
# words of what is said and of the mend.
FAULTS = {
    "wrong partition": ({"slurm.partition": "mian"}, (), "slurm.partition", "invalid part", "such as main"),
    "no account": ({"slurm.account": ""}, (), "slurm.account", "Invalid account", "yours, such as class"),
    "time over limit": ({"slurm.time": "02:00:00"}, (), "slurm.time", "2 h 0 min is more", "ask for no more"),
    "interface absent": (
        {"network.interface": "ib0"}, (), "network.interface",
        "this host: no interface ib0 .* but eth0; c1, c2: no interface ib0", "ip -4 addr",
    ),
    "no write to scratch": (
        {}, ("c2", "mount -t tmpfs -o ro own /mnt/scratch", "umount /mnt/scratch"), "paths.scratch",
        "^c2: Read-only file system$", "all nodes share",
    ),
    "clock skew": ({}, ("c2", "touch /tmp/late", "rm /tmp/late"), "clocks", "^c2 is 30.0 s ahead", "chrony"),
    "missing module": (
        {"software.modules": ["course/1.0", "course/2.0"]}, (), "software.modules",
        "^c1, c2: course/2.0: ERROR: Unable to locate", "module avail",
    ),
    "wrong image": (
        {}, ("login", "echo ELF > /mnt/course.sif", "echo SIF > /mnt/course.sif"), "software.image",
        "^c1, c2: FATAL: image format", "apptainer must be on",
    ),
    "old Slurm": ({}, ("login", "touch /mnt/old", "rm /mnt/old"), "Slurm", "20.11.9 is too old", "21.08"),
    "firewall between nodes": (
        {}, rules("c1", *BETWEEN), "between nodes", "c1: no way to c2 at 10.77.0.3", "network.* .*firewall",
    ),
    "firewall that keeps Slurm out, too": (
        {}, ("c1", "ip route add prohibit 10.77.0.3", "ip route del prohibit 10.77.0.3"), "between nodes",
        "srun .* does not start", "network.interface .*firewall",
    ),
    "no way back": ({}, rules("c2", *BACK), "nodes to this host", "^c2: ", "network.interface .*firewall"),
    "no jobs of jobs": (
        {}, ("c2", "mount --bind /bin/false $(PATH=${PATH#*:} command -v sbatch)",
             "umount $(PATH=${PATH#*:} command -v sbatch)"),
        "sbatch on nodes", "^c2: ", "let nodes submit",
    ),
    "scratch of each node's own": (
        {}, ("c1 c2", "mount -t tmpfs -o mode=1777 own /mnt/scratch", "umount /mnt/scratch"), "paths.scratch",
        "^c1, c2: it is not the folder that this host", "all nodes share",
    ),
    "homes of their own": (
        {}, ("c1 c2", "mount -t tmpfs -o mode=700,uid=61803 own /mnt/ada", "umount /mnt/ada"), "home",
        "this host writes there is not seen", "Have homes mounted",
    ),
    "a home of one node's own": (
        {"paths.scratch": ""}, ("c2", "mount -t tmpfs -o mode=700,uid=61803 own /mnt/ada", "umount /mnt/ada"),
        "home", "other nodes than c1: no file of it came back", "Have homes mounted",
    ),
    "wall not sticky": (
        {}, ("login", "chmod 777 /mnt/wall", "chmod 1777 /mnt/wall"), "paths.wall", "777, not", "chmod 1777",
    ),
}  # fmt: skip
ALONE = ("wrong partition", "no account")  # which come before the others
# What would hide another, or be hidden.
LONG = (
    "firewall that keeps Slurm out, too",
    "no way back",
    "scratch of each node's own",
    "homes of their own",
    "a home of one node's own",
)
TOGETHER = [name for name in FAULTS if name not in (*ALONE, *LONG)]
LEFT = "find /mnt/*/.hpclab /mnt/scratch /mnt/wall /tmp/ada 2>&1 | sort; grep -c ' 0A ' /proc/net/tcp"


@pytest.fixture(scope="module")
def site(new_site):
    with new_site(
        2, programs=PROGRAMS, settings={"SrunPortRange": "61000-61999"},
        partitions="PartitionName=main Nodes=ALL Default=YES MaxTime=30 State=UP",
    ) as one:  # fmt: skip
        one.root("cd /mnt; mkdir -p scratch/ada wall late; chmod 1777 wall; chown ada: scratch/ada")
        one.root("echo SIF > /mnt/course.sif")
        one.path("late/sitecustomize.py").write_text(LATE)
        yield one


def written(site, changes):
    """The good file with these changes, as the site has it."""
    tables = {name: dict(table) for name, table in GOOD.items()}
    for key, value in changes.items():
        table, _, name = key.partition(".")
        tables[table][name] = value
    lines = [f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
             for name, table in tables.items()]  # fmt: skip
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
    does = [(host, *FAULTS[name][1][1:]) for name in names for host in "".join(FAULTS[name][1][:1]).split()]
    for host, plant, _ in does:
        site.root(plant, host)
    try:
        return doctor(site)
    finally:
        for host, _, mend in does:
            site.root(mend, host)


def mended(finding):
    return f"{finding} in /mnt/site.toml: " if "." in finding else ""


def holds(found, names):
    for name in names:
        _, _, finding, said, mend = FAULTS[name]
        assert found[finding]["state"] == "wrong", (name, found[finding])
        assert re.search(said, found[finding]["said"]), found[finding]
        assert re.search(mend, found[finding]["mend"]), found[finding]
        assert found[finding]["mend"].startswith(mended(finding)), found[finding]
    wrong = {name for name, one in found.items() if one["state"] == "wrong"}
    assert wrong == {FAULTS[name][2] for name in names}, [found[name] for name in wrong]


def test_a_good_site_is_called_good(site):
    found, status = planted(site)
    assert {one["state"] for one in found.values()} == {"ok"}, found
    assert status == 0
    assert len(found) == 16


def test_faults_that_are_there_together_are_each_named(site):
    found, status = planted(site, *TOGETHER)
    holds(found, TOGETHER)
    assert status == 1


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[] if name in ALONE else [pytest.mark.soak]) for name in FAULTS
])  # fmt: skip
def test_each_fault_is_named_with_its_mend_and_the_rest_holds(site, name):
    found, status = planted(site, name)
    holds(found, [name])
    untried = {one["name"] for one in found.values() if one["state"] == "unknown"}
    allowed = {
        "wrong partition": "slurm.time", "wrong image": "software.python", "no way back": "clocks",
        "a home of one node's own": "between nodes",
    }  # fmt: skip
    assert untried == {allowed[name]} if name in allowed else not untried, found
    assert status == 1


def test_a_pool_and_sbatch_get_these_settings(site):
    """As a learner's server hands them on, also where it is itself a job and with an empty site.env."""
    written(site, {"software.image": "", "slurm.qos": "normal"})
    learner = site.python(
        "import json; from hpclab.classroom import settings\n"
        "print(json.dumps(settings.read('/mnt/site.toml').environment()))"
    )
    environment = json.loads(learner)
    assert environment["HPCLAB_STATE_DIR"] == "/mnt/scratch/ada/hpclab"
    program = "from hpclab.cluster import Pool\nwith Pool(nodes=0) as pool: print(pool.job_script())"
    script = site.python(program, SLURM_JOB_ID="7", SLURM_NTASKS="9", **environment)
    for line in ("#SBATCH -p main", "#SBATCH -A class", "#SBATCH --qos=normal", "#SBATCH -t 00:10:00"):
        assert line in script.splitlines()
    assert "\nmodule load course/1.0\n" in script
    assert f"\n{sys.executable} -P -m " in script
    assert '--local-directory "/tmp/${USER:?' in script
    assert "tls://10.77.0.1:" in script
    shell = f". {ROOT}/slurm/jobs/site.env; sbatch --output=/dev/null --parsable --hold --wrap=true"
    job = site.run("bash", "-ec", shell, **environment).strip()
    try:
        shown = site.run("scontrol", "show", "job", job)
        assert re.search(r"Account=class .*Partition=main ", shown, re.DOTALL)
    finally:
        site.run("scancel", job)


def test_interrupted_while_its_job_waits_it_leaves_nothing(site):
    written(site, {})
    busy = ("--account=class", "--exclusive", "--nodes=2", "--output=/dev/null")
    site.run("sbatch", *busy, "--wrap=sleep 300")
    queued = "until squeue -h -o %j | grep -q hpclab-doctor; do sleep 0.2; done"
    try:
        found, status = doctor(site, f'env --default-signal=INT "$@" & {queued}; kill -INT $!; wait $!')
        assert (found, status) == ({}, 130)
    finally:
        site.run("scancel", "--user=ada")
