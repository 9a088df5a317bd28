"""Time files, shards, an array and HDF5, read by 0 to 4 workers from disk and from memory, beside the model.

python benchmarks/read_formats.py [--samples 2048] [--repeats 2]
"""

import argparse
import os
import statistics

from scipy.stats import spearmanr

from hpclab import quality
from hpclab.experiments.read_samples import ReadSamples
from hpclab.results import select


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=2)
    asked = parser.parse_args()
    spec = ReadSamples(orders=("in order", "at random"), samples=asked.samples, repeats=asked.repeats)
    results = spec.measure()
    costs = spec.fit(results)
    for cache, each in costs.items():
        print(f"{cache}: {each}")
    print(quality.doubt(results) or "no doubt", f"load {os.getloadavg()[0]:.1f}")
    measured, modelled = [], []
    for one in spec.predict(None, costs):
        found = select(results, "time", **one.parameters)
        measured.append(statistics.median(each.value for each in found))
        modelled.append(one.value)
        names = "{format:7} {workers} {cache:5} {order:10}".format(**one.parameters)
        cache = found[0].environment["cache"]
        print(f"{names} ({cache}) {measured[-1] * 1e3:7.1f} ms, model {modelled[-1] * 1e3:7.1f} ms")
    print(f"rank correlation {spearmanr(measured, modelled).statistic:.2f}")


if __name__ == "__main__":
    main()
