"""Load a JupyterHub with a class: learners come within a minute, run lessons again and again, and leave.

    python benchmarks/classroom.py --learners 40 --minutes 30    # as root: at a site and a hub of its own
    python benchmarks/classroom.py --hub https://hub.example.org < people    # a line each: name, password

Each learner logs in, spawns a server, and runs the code cells of the lessons as a browser would, through the
server's own protocol. Where memory does not allow a server each, --servers 20 lets forty learners share
twenty, each with kernels of their own. Printed are how long servers took to start and runs to end, how long
nodes were waited for, and what went wrong. At a site of its own, hosts made of namespaces here with a Slurm
of root's (tests/site), also the memory of a server's user and what was left behind. The exit status is 1
where a run was not right or something was left.
"""

import argparse
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from learner_client import Learner

KINDS = {"server": "jupyterhub.singleuser", "kernel": "hpclab.cli.kernel", "pool": ""}  # found in argv
ROOT = Path(__file__).resolve().parents[1]

# Expressions evaluated at the end of lesson 05: what its nodes were, and the seconds each was queued.
ASKED = {
    "05": {"nodes": "pool.label", "waits": "[w.started - w.submitted for w in pool.workers() if w.started]"}
}


@dataclass
class Attendance:
    """What became of one learner: seconds of `start` and of each run, what went `wrong`, in sentences."""

    name: str
    start: float = 0.0
    runs: dict[str, list[float]] = field(default_factory=dict)
    nodes: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def attend(learner: Learner, seat: int, lessons: dict[str, str], until: float, told: Attendance) -> None:
    """Run `lessons` (path by number) until the monotonic clock shows `until`, and note in `told` what came of
    it; `seat` tells learners of one server apart."""
    start = time.monotonic()
    learner.spawn()
    told.start = time.monotonic() - start
    for number, notebook in itertools.cycle(lessons.items()):
        if set(told.runs) == set(lessons) and time.monotonic() > until:
            return
        at = time.monotonic()
        found = learner.run(notebook, seat, ASKED.get(number, {}))
        told.runs.setdefault(number, []).append(round(time.monotonic() - at, 2))
        told.nodes += [found["nodes"].strip("'\"")] if found.get("nodes") else []
        told.waits += json.loads(found.get("waits") or "[]")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--hub", help="its address, as a browser has it; learners come by standard input")
    parser.add_argument("--learners", type=int, default=40, help="on a site of its own")
    parser.add_argument("--servers", type=int, help="so many spawn one, the others come to those; all do")
    parser.add_argument("--minutes", type=float, default=3, help="after which nobody begins another lesson")
    parser.add_argument("--within", type=float, default=60, help="seconds in which all come in")
    parser.add_argument("--lessons", nargs="+", default=["01", "05"])
    parser.add_argument("--folder", default="hpclab", help="the course, in a learner's home")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    told = at_hub(options) if options.hub else at_own_site(options)
    if options.json:
        print(json.dumps(told, indent=1))
    else:
        report(told)
    return int(any(one["wrong"] for one in told["learners"]) or bool(told.get("left")))


def at_hub(options: argparse.Namespace) -> dict:
    """Run the class at a hub that runs already; return what `report` prints."""
    from hpclab import course

    names = {lesson.number: f"{options.folder}/{lesson.path.name}" for lesson in course.lessons()}
    lessons = {number: names[number] for number in options.lessons}
    people = [line.split() for line in sys.stdin if line.strip()]
    servers = options.servers or len(people)
    told, start = [Attendance(name) for name, _ in people], time.monotonic()

    def come(at: int) -> None:
        try:
            time.sleep(max(0, start + at * options.within / len(people) - time.monotonic()))
            learner = Learner(options.hub, *people[at % servers])
            attend(learner, at // servers, lessons, start + options.minutes * 60, told[at])
        except Exception as error:
            told[at].wrong.append(f"{type(error).__name__}: {error}")

    with ThreadPoolExecutor(len(people)) as class_:
        list(class_.map(come, range(len(people))))
    for one, (name, password) in zip(told, people[:servers], strict=False):
        try:
            Learner(options.hub, name, password).stop()
        except Exception as error:
            one.wrong.append(f"{type(error).__name__}: {error}")
    return {"learners": [asdict(one) for one in told]}


def at_own_site(options: argparse.Namespace) -> dict:
    """Run the class at a hub on a site of five hosts: two for servers, two with four cores for the pools."""
    sys.path.insert(0, str(ROOT))
    from tests.site.conftest import Site
    from tests.site.hub import ADDRESS, SITE, Hub, processes

    names = [f"learner{number:02d}" for number in range(1, options.learners + 1)]
    nodes = "\n".join(
        f"NodeName=c{at} NodeAddr=10.77.0.{at + 1} CPUs={cores} RealMemory=64000"
        for at, cores in enumerate((options.learners, options.learners, 4, 4), 1)
    )
    partitions = ("PartitionName=main Nodes=c[3-4] Default=YES MaxTime=INFINITE State=UP\n"
                  "PartitionName=servers Nodes=c[1-2] MaxTime=INFINITE State=UP")  # fmt: skip
    profile = '[[hub.profile]]\nname = "One core"\ncores = 1\nmemory = "1 GiB"\npartition = "servers"\n'
    more = {"SlurmdParameters": "config_overrides", "SelectTypeParameters": "CR_Core"}
    with Site(4, settings=more, nodes=nodes, partitions=partitions, jobqueue="", users=tuple(names)) as site:
        hub = Hub(site, SITE + profile)
        words = [sys.executable, __file__, "--hub", ADDRESS, "--json", f"--minutes={options.minutes}",
                 f"--servers={options.servers or len(names)}", f"--within={options.within}",
                 "--lessons", *options.lessons]  # fmt: skip
        inside = ["nsenter", f"--target={site.first['login']}", "-n", "--"]
        client = subprocess.Popen(
            [*inside, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert client.stdin is not None
        assert client.stdout is not None
        client.stdin.write("".join(f"{name} {name}\n" for name in names))
        client.stdin.close()
        reader = threading.Thread(target=lambda: said.append(client.stdout.read()))
        said: list[str] = []
        reader.start()
        samples = []
        while reader.is_alive():
            samples.append(footprint(site))
            reader.join(5)
        told = json.loads(said[0])
        deadline = time.monotonic() + 60
        while (
            left := [line for name in names for line in processes(site, name)]
        ) and time.monotonic() < deadline:
            time.sleep(1)
        queue = site.root("squeue -h -o '%u %j %T'").split("\n")
        logs = [path.read_text(errors="replace") for path in site.path(".").glob("*/.hpclab-server.log")]
        return told | {
            "memory": {kind: max(found[kind] for one in samples for found in one.values()) for kind in KINDS},
            "processes": max(found["processes"] for one in samples for found in one.values()),
            "together": max(sum(found[kind] for found in one.values() for kind in KINDS) for one in samples),
            "left": left + [line for line in queue if line and "COMPLETING" not in line],
            "clashes": sum(
                len(re.findall("address already in use", log, re.IGNORECASE)) for log in [*logs, hub.log()]
            ),
        }


def footprint(site: object) -> dict[int, Counter]:
    """For each learner, by uid: bytes (PSS) of each kind of process on all hosts, and how many there are."""
    found: dict[int, Counter] = {uid: Counter() for uid in site.users.values()}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (uid := process.stat().st_uid) in found:
                words = (process / "cmdline").read_text()
                rollup = (process / "smaps_rollup").read_text()
                kind = next((kind for kind, word in KINDS.items() if word in words), "pool")
                found[uid][kind] += 1024 * int(re.search(r"^Pss: +(\d+)", rollup, re.MULTILINE)[1])
                found[uid]["processes"] += 1
        except (OSError, TypeError):
            continue
    return found


def report(told: dict) -> None:
    learners = told["learners"]
    for one in learners:
        counts = (
            ", ".join(f"{len(runs)} of lesson {number}" for number, runs in one["runs"].items()) or "no run"
        )
        print(f"{one['name']}: server after {one['start']:.1f} s, {counts}. {' '.join(one['wrong'])}")
    print(f"\n{len(learners)} learners, {sum(bool(one['wrong']) for one in learners)} with something wrong.")
    if starts := [one["start"] for one in learners if one["start"]]:
        print(f"Servers: median {statistics.median(starts):.1f} s, slowest {max(starts):.1f} s.")
    for number in dict.fromkeys(number for one in learners for number in one["runs"]):
        runs = [seconds for one in learners for seconds in one["runs"].get(number, [])]
        middle, slowest = statistics.median(runs), max(runs)
        print(f"Lesson {number}: {len(runs)} runs, median {middle:.0f} s, slowest {slowest:.0f} s.")
    if waits := [wait for one in learners for wait in one["waits"]]:
        print(f"Nodes waited for: median {statistics.median(waits):.1f} s, longest {max(waits):.1f} s.")
    for label in sorted({label for one in learners for label in one["nodes"]}):
        print(f"{sum(one['nodes'].count(label) for one in learners)} runs ended with {label}.")
    if "memory" in told:
        sizes = ", ".join(f"{kind} {size / 2**20:.0f} MiB" for kind, size in told["memory"].items())
        whole = f"{told['processes']} processes; of all together {told['together'] / 2**30:.1f} GiB"
        print(f"Memory (PSS) of a server at most: {sizes}, in {whole}.")
        print(f"{told['clashes']} ports clashed. Left behind: {', '.join(told['left']) or 'nothing'}.")


if __name__ == "__main__":
    sys.exit(main())
