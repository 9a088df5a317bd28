"""What Slurm says of the jobs that are learners' servers, without asking it more than it can bear."""

import asyncio
import math
import subprocess
import time
from collections.abc import Sequence
from typing import Any

from hpclab.classroom import hub


class Queue:
    """The jobs of all servers, of ended ones too, asked for once for all of them, every two seconds at most.

    batchspawner asks twice a second for each server that starts: with forty the hub does little else.
    """

    EVERY, FIRST = 2.0, 0.2  # seconds; the least before a job that was just submitted is looked for
    WORDS = ("squeue", "--noheader", "--states=all", f"--name={hub.JOB}", "--format=%i %T %r %B")

    def __init__(self) -> None:
        self.jobs: dict[str, str] = {}
        self.asked, self.asking = -math.inf, asyncio.Lock()

    async def job(self, number: str) -> str:
        """State, reason and host of a job, "" where Slurm knows none. RuntimeError where nobody answers."""
        async with self.asking:
            wait = self.asked - time.monotonic() + (self.EVERY if number in self.jobs else self.FIRST)
            if number not in self.jobs:  # submitted since, or long over: what is known says nothing
                await asyncio.sleep(max(0.0, wait))
                wait = 0.0
            if wait <= 0:
                said = await run(self.WORDS)
                self.asked = time.monotonic()
                lines = [line.split(maxsplit=1) for line in said.splitlines()]
                self.jobs = {line[0]: line[1] for line in lines if len(line) == 2}
        return self.jobs.get(number, "")


async def run(words: Sequence[str], text: str = "", **options: Any) -> str:
    """What a program prints that is given `text`; RuntimeError with its words where it fails."""
    process = await asyncio.create_subprocess_exec(
        *words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/", **options
    )
    try:
        out, said = await asyncio.wait_for(process.communicate(text.encode()), 60)
    except BaseException as error:
        process.kill()
        if isinstance(error, TimeoutError):
            raise RuntimeError(f"{words[0]} did not answer within a minute") from None
        raise
    if process.returncode:
        raise RuntimeError(said.decode(errors="replace").strip())
    return out.decode(errors="replace").strip()
