"""Sites that are other ones: a pool works there, or one sentence says what is in the way.

`WORKS` are differences that nobody should notice; `SAYS` those that end a pool, with words that it must say.
"""

import json
import os
import re
import sys

import pytest

from tests.site.conftest import MAIN

pytestmark = [pytest.mark.soak, pytest.mark.slurm, pytest.mark.timeout(900)]

POOL = """
import json, warnings
from hpclab.cluster import Pool

def rank():
    import torch, torch.distributed as dist
    dist.all_reduce(total := torch.ones(1))
    return total.item()

try:
    with Pool(nodes=2, join_timeout=%d, backend="slurm") as pool:
        print(json.dumps([pool.label, pool.map(abs, range(-3, 0)), pool.run(rank)]))
except (RuntimeError, ValueError, OSError) as error:
    print(json.dumps(str(error)))
"""
PYTHON = os.path.realpath(sys.prefix)


def slow(program, seconds):
    return {program: f'#!/bin/sh\nsleep {seconds}\nPATH=${{PATH#*:}}\nexec {program} "$@"\n'}


def refuses(program, words):
    return {program: f"#!/bin/sh\necho '{program}: error: {words}' >&2\nexit 1\n"}


TEN = MAIN.replace("INFINITE", "10")
WORKS = {
    "no interface named": {"jobqueue": "memory: 1 GiB"},
    "a partition of ten minutes": {"partitions": TEN},
    "limits enforced": {"partitions": TEN, "settings": {"EnforcePartLimits": "ALL"}},
    "a default of one minute": {"partitions": f"{MAIN} DefaultTime=1"},
    "a whole node a job": {"partitions": f"{MAIN} OverSubscribe=EXCLUSIVE"},
    "a least number of nodes": {"partitions": f"{MAIN} MinNodes=2"},
    "linear": {"settings": {"SelectType": "select/linear", "SelectTypeParameters": None}},
    "others hidden": {"settings": {"PrivateData": "jobs,nodes,partitions,usage,users,reservations"}},
    "forgets at once": {"settings": {"MinJobAge": "2"}},
    "pinned": {"settings": {"TaskPlugin": "task/affinity"}},
    "scontrol forbidden": {"programs": refuses("scontrol", "Access denied")},
    "squeue slow": {"programs": slow("squeue", 3)},
    "sbatch slow": {"programs": slow("sbatch", 4)},
    "a slow prolog": {
        "programs": {"prolog": "#!/bin/sh\nsleep 8\n"},
        "settings": {"Prolog": "/mnt/bin/prolog", "PrologFlags": "Alloc"}},
    "unlike nodes": {
        "nodes": "NodeName=c1 NodeAddr=10.77.0.2 CPUs=2 RealMemory=4000 Weight=9\n"
        "NodeName=c2 NodeAddr=10.77.0.3 CPUs=1 RealMemory=700 Weight=1"},
    "nodes of other names": {
        "nodes": "NodeName=n1 NodeHostname=c1 NodeAddr=10.77.0.2 CPUs=2 RealMemory=4000\n"
        "NodeName=n2 NodeHostname=c2 NodeAddr=10.77.0.3 CPUs=2 RealMemory=4000"},
    "no names on the nodes": {
        "prepare": "[ $1 = login ] || { echo > /tmp/hosts; mount --bind /tmp/hosts /etc/hosts; }"},
    "interfaces of other names": {
        "jobqueue": "interface: lan1\nmemory: 1 GiB\nscheduler-options: {interface: eth0}",
        "prepare": "[ $1 = login ] || { ip link set eth0 down; ip link set eth0 name lan1 up; }"},
}  # fmt: skip
SAYS = {
    "down": ({"partitions": MAIN.replace("=UP", "=DOWN")}, "PartitionDown: .*use another"),
    "drained": ({"partitions": MAIN.replace("=UP", "=DRAIN")}, "not available .*Name a partition"),
    "inactive": ({"partitions": MAIN.replace("=UP", "=INACTIVE")}, "not available .*Name a partition"),
    "no default": ({"partitions": MAIN.replace("=YES", "=NO")}, "No partition specified.*Name a"),
    "for another group": ({"partitions": f"{MAIN} AllowGroups=root"}, "not permitted.*Name a partition"),
    "for another account": ({"partitions": f"{MAIN} AllowAccounts=staff"}, "account.*another partition"),
    "from another host": ({"partitions": f"{MAIN} AllocNodes=c1"}, "denied.*This host, or you"),
    "little memory a core": ({"partitions": f"{MAIN} MaxMemPerCPU=300"}, "MaxMemPerCPU"),
    "full": ({"settings": {"MaxJobCount": "1"}}, "Slurm"),
    "an account wanted": ({"programs": refuses("sbatch", "Invalid account")}, "Invalid account"),
    "sinfo forbidden": ({"programs": refuses("sinfo", "Access denied")}, "does not answer .*Access denied"),
    "no such interface": ({"jobqueue": "interface: ib0"}, "'ib0' is not a valid network interface"),
    "no commands": (
        {"prepare": "[ $1 != login ] || for each in sbatch squeue sinfo scontrol scancel; do\n"
         "mount --bind /dev/null $(PATH=${PATH#*:} command -v $each); done"}, "commands are not here"),
    "no Python": (
        {"prepare": f"[ $1 = login ] || mount -t tmpfs own {PYTHON}"}, "does not exist on the node"),
    "homes of their own": (
        {"prepare": "[ $1 = login ] || mount -t tmpfs -o mode=700,uid=61803 own /mnt/ada"}, "FAILED"),
    "a home to read only": (
        {"prepare": "mount --bind /mnt/ada /mnt/ada; mount -o remount,ro,bind /mnt/ada"}, "HPCLAB_STATE_DIR"),
    "no way back": (
        {"jobqueue": "memory: 1 GiB",
         "prepare": "[ $1 != login ] || { ip link add ext0 type bridge; ip link set ext0 up\n"
         "ip addr add 192.0.2.1/24 dev ext0; ip route add default via 192.0.2.254; }"},
        r"192\.0\.2\.1.*(cannot|could not) reach .*interface"),
}  # fmt: skip


@pytest.mark.parametrize("name", [*WORKS, *SAYS])
def test_a_pool_works_or_what_is_in_the_way_is_said(new_site, name):
    differences, words = SAYS.get(name, (WORKS.get(name), ""))
    with new_site(2, **differences) as site:
        told = json.loads(site.python(POOL % (35 if words else 90), timeout=300).splitlines()[-1])
        assert "hpclab" not in site.run("squeue", "--noheader", "--me", host="c1")
        if words:
            assert isinstance(told, str)
            assert "Traceback" not in told
            assert re.search(words, told, re.DOTALL), told
        else:
            assert told == ["2 nodes of this site's Slurm", [3, 2, 1], [2.0, 2.0]]
            assert list(site.path("ada/.hpclab").iterdir()) == []
