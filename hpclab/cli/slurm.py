"""`hpclab slurm up | down | status | logs | env`: a real Slurm on this machine, as an ordinary user."""

import argparse
import functools
import json
import os
import shlex
import sys
import time

from hpclab.cli import number
from hpclab.cluster import local_slurm, slurm, slurm_commands
from hpclab.cluster.local_slurm import LocalSlurm

_NONE = "No Slurm of ours runs here; hpclab slurm up starts one."


def configure(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    up = actions.add_parser("up", help="start it, or find the one that runs (4 nodes of 1 core unless told)")
    for option in ("nodes", "cores-per-node", "gpus-per-node"):
        up.add_argument(f"--{option}", type=number, metavar=option[0].upper())
    up.add_argument("--restart", action="store_true", help="in another shape, if its queue is empty")
    actions.add_parser("down", help="end its jobs and daemons and remove every file of it")
    status = actions.add_parser("status", help="what runs, and how to use it")
    status.add_argument("--json", action="store_true")
    logs = actions.add_parser("logs", help="the last lines of each daemon's log")
    logs.add_argument("--lines", type=number, default=20, help="how many of each (default: 20)")
    actions.add_parser("env", help='shell commands for eval "$(hpclab slurm env)"')


def run(options: argparse.Namespace) -> int:
    if options.action == "up":
        return _up(options)
    if options.action == "down":
        ended = local_slurm.down()
        print("Slurm is down; nothing of it is left." if ended else "No Slurm of ours runs here.")
        return 0
    cluster = local_slurm.find(stale=options.action != "env")
    if options.action == "status":
        return _status(cluster, options.json)
    if not cluster:
        print(_NONE, file=sys.stderr)
        return 3
    if options.action == "logs":
        for name, text in cluster.logs(options.lines).items():
            print(f"== {name} ==\n{text}\n")
    else:  # exports, and what an enclosing Slurm job handed down is unset
        unset = [f"unset {name}" for name in sorted({*os.environ} - {*cluster.environment})]
        kept = {name: shlex.quote(cluster.environment[name]) for name in ("SLURM_CONF", "PATH")}
        print(*unset, *(f"export {name}={value}" for name, value in kept.items()), sep="\n")
    return 0


def _up(options: argparse.Namespace) -> int:
    if version := slurm.site_version():
        print(f"This site has a Slurm ({version}), which the course uses; no second one is started.")
        return 0
    begin, say = time.monotonic(), functools.partial(print, file=sys.stderr)
    shape = (options.nodes, options.cores_per_node, options.gpus_per_node)
    cluster = local_slurm.up(*shape, restart=options.restart, say=say)
    print(f"Slurm is up: {cluster.shape} ({time.monotonic() - begin:.1f} s).")
    print('In a shell: eval "$(hpclab slurm env)", then sinfo, squeue, sbatch.')
    return 0


def _status(cluster: LocalSlurm | None, as_json: bool) -> int:
    report = _report(cluster)
    if as_json:
        print(json.dumps(report, indent=1))
    elif cluster is None or not report["running"]:
        print(report["message"])
    else:
        print(f"{report['version']}: {cluster.shape}; files in {cluster.directory}")
        for name, state in report["daemons"].items():
            print(f"  {name:10} {state}" + (f"; {report['nodes'][name]}" if name in report["nodes"] else ""))
        print("  " + (report["message"] or f"{report['jobs']} job(s) in the queue"))
    return 0 if report["running"] else 3


def _report(cluster: LocalSlurm | None) -> dict:
    if cluster is None or not cluster.supervisor:
        killed = cluster and f"Its supervisor was killed. hpclab slurm down clears {cluster.directory}."
        return {"running": False, "message": killed or _NONE}
    report: dict = {
        "running": True, "message": "", "directory": str(cluster.directory),
        "conf": cluster.environment["SLURM_CONF"], "daemons": cluster.daemons,
        "nodes": {}, "jobs": None, "version": "",
    }  # fmt: skip
    try:
        client = slurm.Slurm("local", "", cluster.environment, timeout=5.0)
        report["version"] = slurm_commands.version(cluster.environment)
        report["nodes"] = {node.name: node.state for node in client.nodes()}
        report["jobs"] = len(client.queue())
    except slurm.SlurmError as error:
        report["message"] = f"The controller does not answer: {error}"
    return report
