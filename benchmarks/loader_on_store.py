"""Time a DataLoader on the emulated store: shards against its 200 MB/s, small files against 1,000 opens/s.

python benchmarks/loader_on_store.py
"""

import argparse
import os

import numpy

from hpclab.models.storage import Server
from hpclab.storage import formats, loaders
from hpclab.storage.striped import StripedStore

SHARDS, FILES = 160 * 2**20, 2**20  # tokens


def steady(trace) -> float:
    """MB/s after the first quarter of the batches, which may have been prefetched."""
    steps = sorted(event.start for event in trace.events if event.label == "step")
    size, first = sum(event.bytes for event in trace.events), len(steps) // 4
    return size * (len(steps) - 1 - first) / len(steps) / (steps[-1] - steps[first]) / 1e6


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    tokens = numpy.random.default_rng(0).integers(0, 2**16, SHARDS, dtype="u2")
    with StripedStore((Server(50e6),) * 4, metadata=1000, capacity=10**9 // 4) as store:
        print(f"emulated: {store.condition}")
        writer = store.client(stripes=4, stripe_size=2**18, limited=False)
        formats.write("shards", tokens, writer, "tokens", length=2**15)
        formats.write("files", tokens[:FILES], writer, "tokens", length=512)
        for workers in (0, 1, 2, 3, 4, 6):
            shards, files = (
                loaders.read(formats.open_samples(name, store.client(), "tokens"), batch=16, workers=workers)
                for name in ("shards", "files")
            )
            load = f"load {os.getloadavg()[0]:.1f}"
            print(f"{workers} workers: shards {steady(shards.trace):4.0f} MB/s, "
                  f"files {files.samples_per_second:4.0f} samples/s, {load}")  # fmt: skip


if __name__ == "__main__":
    main()
