"""The text of a scale-out on an emulated store: each chunk one object, in stripes over all of its servers."""

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

from hpclab.corpus import Chunk
from hpclab.models.storage import Reading, Store, predict
from hpclab.storage.striped import StripedStore


@contextlib.contextmanager
def filled(store: Store | None, chunks: Sequence[Chunk]) -> Iterator[tuple[Any, str]]:
    """An fsspec file system with the chunks by name, and its condition; (None, "") without a `store`, where
    the text is read from the environment's files."""
    if store is None:
        yield None, ""
        return
    with StripedStore(store.servers, store.metadata, store.latency) as servers:
        contents = {chunk.name: chunk.content() for chunk in chunks}
        servers.fill(contents, len(store.servers), _stripe(store, chunks))
        yield servers.client(store.link), f"the text lies on {servers.condition}"


def knee(store: Store, chunks: Sequence[Chunk], compute: float) -> float:
    """How many nodes the servers feed, where one node needs `compute` seconds for all chunks beside reading.

    A node alone reads a chunk, then computes on it: it asks for the bytes over the seconds of both. The knee
    is where nodes × demand is what the servers give; notice that a faster program has it earlier.
    """
    size = sum(chunk.size for chunk in chunks)
    reading = Reading(1, len(chunks), size / len(chunks), len(store.servers), _stripe(store, chunks))
    demand = size / (predict(store, reading).seconds + compute)
    return sum(server.bandwidth for server in store.servers) / demand


def _stripe(store: Store, chunks: Sequence[Chunk]) -> int:
    """Bytes of a stripe with which a chunk of the mean size has one on each server."""
    return max(2**12, math.ceil(sum(chunk.size for chunk in chunks) / len(chunks) / len(store.servers)))
