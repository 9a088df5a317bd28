"""What a site says of its hub, the batch script that comes of it, and a server's port."""

import asyncio
import re
import socket
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields

import pytest

from tests.classroom.test_settings import TEMPLATE

pytest.importorskip("batchspawner", reason="needs the extra `hub`")

from hpclab.classroom import hub, server_start, spawner

SCRIPT = """#!/bin/bash
#SBATCH --job-name=hpclab-server
#SBATCH --output="/home/a b%%/.hpclab-server.log"
#SBATCH --open-mode=truncate
#SBATCH --chdir="/home/a b%"
#SBATCH --export=HOME,JUPYTERHUB_API_TOKEN
#SBATCH --no-requeue
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --account=course
#SBATCH --cpus-per-task=8
#SBATCH --mem=32768M
#SBATCH --time=02:00:00
#SBATCH --gres=gpu:1
#SBATCH --partition=gpu
module load python/3.12
exec python3 -P 'my server'
"""
GPU = {"name": "GPU", "cores": 8, "memory": "32 GiB", "gpus": 1, "partition": "gpu", "time": "02:00:00"}


def test_the_batch_script_is_made_of_profile_and_site_and_says_each_option_once():
    (profile,) = hub.read({"profile": [GPU]}).profiles
    said = hub.script(
        profile, ["python3", "-P", "my server"], home="/home/a b%", exported=["HOME", "JUPYTERHUB_API_TOKEN"],
        directives=["--partition=main", "--account=course"], prologue=["module load python/3.12"],
    )  # fmt: skip
    assert said == SCRIPT


def test_the_template_has_every_key_and_each_is_read():
    text = re.sub(r"^# (?=\w+ = |\[\[)", "", TEMPLATE.read_text(), flags=re.MULTILINE)
    table, own, course = tomllib.loads(text)["hub"], str(TEMPLATE), "https://example.org/hpclab"
    assert {*table, "profiles"} - {"profile"} == {part.name for part in fields(hub.Hub)}
    assert {*table["profile"][0]} == {part.name for part in fields(hub.Profile)}
    read = hub.read(table | {"certificate": own, "key": own, "course": course, "port": 443})
    profile = hub.Profile("CPU", 2, 4 * 2**30, 4 * 3600.0, 0, "teaching")
    assert read == hub.Hub("10.0.0.1", 443, own, own, 3600.0, 60, course, "main", (profile,))
    assert hub.read(dict.fromkeys(table.keys() - {"profile"}, "")) == hub.read({}) == hub.Hub()
    assert hub.read({}).profiles[0].summary() == "CPU: 2 cores, 4 GiB, for 4 h"


@pytest.mark.parametrize(("table", "words"), [
    ({"adress": "10.0.0.1"}, "A key of hub must be one of .*address"),
    ({"address": "10.0.0.1\n"}, "hub.address must be"),
    ({"idle": "soon"}, "hub.idle"),
    ({"servers": 0}, "hub.servers must be a whole number from 1"),
    ({"course": "https://x/$(id)"}, "hub.course must begin with"),
    ({"branch": "--upload-pack=id"}, "hub.branch must not begin with a dash"),
    ({"certificate": "/no/such.pem"}, "hub.certificate must be a file"),
    ({"profile": []}, "there must be one"),
    ({"profile": [GPU, GPU]}, "name of its own"),
    ({"profile": [GPU | {"name": "a\nb"}]}, "hub.profile.name must be"),
    ({"profile": [GPU | {"options": "--uid=0"}]}, "A key of hub.profile"),
    ({"profile": [GPU | {"partition": "x; id"}]}, "hub.profile.partition"),
    ({"profile": GPU}, "must be a list"),
])  # fmt: skip
def test_what_cannot_be_is_named(table, words):
    with pytest.raises(ValueError, match=words):
        hub.read(table)


def test_a_port_is_that_of_the_job_or_where_that_is_taken_another():
    with socket.socket() as taken:
        taken.bind(("", 0))
        number, many = taken.getsockname()[1], 60_000
        job = number - server_start.FIRST
        assert server_start.port(job, many) != number
    assert server_start.port(job, many) == server_start.port(job + many, many) == number


def test_the_queue_is_asked_for_a_job_that_was_submitted_since(monkeypatch):
    """Two servers start at once: the second must not be taken for one that has ended."""
    submitted, asked = ["1"], []

    async def run(words):
        asked.append(words)
        return "".join(f"{number} RUNNING None c1\n" for number in submitted)

    async def two():
        queue = spawner.Queue()
        first = await queue.job("1")
        submitted.append("2")
        return first, await queue.job("2"), await queue.job("1"), await queue.job("2")

    monkeypatch.setattr(spawner, "run", run)
    with ThreadPoolExecutor(1) as thread:  # this one may be a browser's
        assert thread.submit(asyncio.run, two()).result() == ("RUNNING None c1",) * 4
    assert len(asked) == 2
