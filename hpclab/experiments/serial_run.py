"""The corpus done by one process in a plain loop: the answer that every run on a pool is held against.

Each is made once per process and corpus size, for neither chunks nor nodes change it.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from hpclab import corpus
from hpclab.timing import Stopwatch


@dataclass(frozen=True)
class Serial:
    """One process, no pool: the answer every run is held against, and what it cost.

    `wall` seconds in all; `cpu` seconds of each file, by its name, done alone.
    """

    fingerprint: str
    tokens: int
    wall: float
    cpu: Mapping[str, float] = field(repr=False)


@functools.lru_cache(maxsize=2)
def prepare(corpus_bytes: int) -> tuple[corpus.Corpus, corpus.Tokeniser]:
    """The corpus of at most `corpus_bytes` bytes, and the tokeniser trained on it."""
    text = corpus.collect(corpus_bytes)
    return text, corpus.train(text)


@functools.lru_cache(maxsize=2)
def run(corpus_bytes: int) -> Serial:
    """Tokenise that corpus in this process, one file after the other."""
    text, tokeniser = prepare(corpus_bytes)
    shards, cpu, begin = [], {}, time.monotonic()
    for index, file in enumerate(text.files):
        with Stopwatch() as watch:
            shards.append(corpus.tokenise(tokeniser, corpus.Chunk(index, (file,))))
        cpu[file.name] = watch.sample.cpu
    wall = time.monotonic() - begin
    tokens = corpus.join(shards)
    return Serial(corpus.fingerprint(tokens), len(tokens), wall, cpu)
