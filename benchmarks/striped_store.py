"""Compare the emulated striped store with its model: each regime is predicted first and then measured.

    python benchmarks/striped_store.py [--repeats 1] [--seconds 0.5]

Clients have odd numbers of files, so that they begin on different servers. The ratio is measured over
predicted time; "late" are the seconds of a run in which a client could not keep up with what it emulates:
where they are much of the time, this machine is too slow or too busy for that point.
"""

import argparse
import os
import statistics

from hpclab.experiments.striped_reads import StripedReads
from hpclab.models.storage import Reading, Server, Store, predict
from hpclab.results import select

FOUR, FAST = (Server(50e6),) * 4, (Server(75e6),) * 4
REGIMES = {
    "servers": Store(FOUR, metadata=1000),
    "clients' links": Store(FAST, metadata=1000, link=20e6),
    "metadata": Store(FAST, metadata=100),
    "a slow server": Store((*FOUR[:3], Server(10e6)), metadata=1000),
    "server operations": Store((Server(50e6, 100),) * 4, metadata=1000),
    "mixed": Store(FOUR, metadata=300, link=50e6, latency=0.002),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each point, roughly")
    asked = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for regime, store in REGIMES.items():
        ratios = []
        for size in (2**16, 2**20, 2**23):
            for clients in (1, 2, 4, 8):
                for stripes in (1, 2, 4):
                    one = predict(store, Reading(clients, 4, size, stripes)).seconds / 4
                    files = max(1, min(round(asked.seconds / one), int(3e8 / size / clients))) | 1
                    spec = StripedReads(store, Reading(clients, files, size, stripes), asked.repeats)
                    forecast = predict(store, spec.reading)
                    found = select(spec.measure(), "time")
                    median = statistics.median(one.value for one in found)
                    ratios.append(median / forecast.seconds)
                    late = max(one.environment["late"] for one in found)
                    print(f"{regime:18} {size:8} B {clients} clients {stripes} stripes {files:4} files: "
                          f"{forecast.bound:17} {forecast.seconds:.3f} s, measured {median:.3f} s, "
                          f"ratio {ratios[-1]:.2f}, late {late:.2f} s", flush=True)  # fmt: skip
        inside = sum(0.85 <= ratio <= 1.15 for ratio in ratios)
        print(
            f"== {regime}: ratios {min(ratios):.2f} to {max(ratios):.2f}, {inside}/{len(ratios)} within 15 %"
        )


if __name__ == "__main__":
    main()
