"""The first program of a learner's server in its job: it removes the job's variables, which nested sbatch and
srun would obey, sets the site's settings, lays out the course, tells the hub its port, and becomes
JupyterHub's own server."""

import json
import os
import socket
import subprocess
import sys
import urllib.request
from contextlib import suppress
from urllib.parse import urlsplit, urlunsplit

from hpclab.cluster import slurm_commands
from hpclab.cluster.host.ports import ReservedPorts

FOLDER = "hpclab"  # below the home: the course
FIRST, MANY = 10_000, 20_000  # ports below those that Linux hands out by itself


def main(arguments: list[str]) -> None:
    os.umask(0o077)
    job = int(os.environ.get("SLURM_JOB_ID", "0"))
    site = json.loads(os.environ.pop("HPCLAB_SITE_ENVIRONMENT", "{}"))
    environment = {**slurm_commands.without_job(os.environ), **site}
    if not os.environ.get("HPCLAB_COURSE"):  # else nbgitpuller brings it
        lay_out = [sys.executable, "-P", "-m", "hpclab.cli.workspace", FOLDER]
        subprocess.run(lay_out, env=environment, check=False)  # a full disk must not keep the learner out
    number = port(job)
    url = urlsplit(environment["JUPYTERHUB_SERVICE_URL"])
    environment["JUPYTERHUB_SERVICE_URL"] = urlunsplit(url._replace(netloc=f"{url.hostname}:{number}"))
    tells = urllib.request.Request(  # noqa: S310 - the hub's own address, from the hub
        f"{environment['JUPYTERHUB_API_URL']}/batchspawner", json.dumps({"port": number}).encode(),
        {"Authorization": f"token {environment['JUPYTERHUB_API_TOKEN']}", "Content-Type": "application/json"},
    )  # fmt: skip
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(tells, timeout=60).close()
    words = [sys.executable, "-P", "-m", "jupyterhub.singleuser", *arguments]
    os.execve(words[0], words, environment)  # noqa: S606


def port(job: int, many: int = MANY) -> int:
    """A free port: FIRST plus `job` modulo `many`, to differ from other servers'; if taken, any free one."""
    number = FIRST + job % many
    with socket.socket() as probe, suppress(OSError):
        probe.bind(("", number))
        return number
    ports = ReservedPorts.reserve(1)
    ports.release()
    return ports.numbers[0]


if __name__ == "__main__":
    main(sys.argv[1:])
