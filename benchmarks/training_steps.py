"""Time steps of data-parallel training over emulated links, each predicted before it is run.

    python benchmarks/training_steps.py [--ranks 2] [--repeats 3]

What computing takes is measured first, over this machine's own memory; then each step over a link is
predicted from it, and only then run. Needs a quiet machine with a core for each rank.
"""

import argparse
import statistics
from dataclasses import replace

from hpclab import quality
from hpclab.cluster import Pool
from hpclab.experiments.train_steps import TrainSteps
from hpclab.parallel.link import Link
from hpclab.results import select


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    spec = TrainSteps(ranks=(1, options.ranks), steps=12, repeats=options.repeats)
    worst = 0.0
    with Pool(options.ranks, backend="local") as pool:
        spec.measure(pool)  # connections, page cache
        here = [one for way in (False, True) for one in replace(spec, overlap=way).measure(pool)]
        print(f"{pool.label}; {quality.doubt(select(here, 'makespan')) or 'a quiet machine'}")
        for gigabits in (0.1, 1, 10):
            for way in (False, True):
                over = replace(spec, ranks=(options.ranks,), link=Link(gigabits * 125e6), overlap=way)
                said = select(over.predict(None, over.fit(here)), "makespan")[0].value
                runs = [one.value for one in select(over.measure(pool), "makespan")]
                gap = said / statistics.median(runs) - 1
                worst = max(worst, abs(gap))
                came = ", ".join(f"{1e3 * one:.0f}" for one in runs)
                name = f"{gigabits:4g} Gb/s, {'with' if way else 'without'} overlap"
                print(f"{name:28} predicted {1e3 * said:6.0f} ms, came {came} ms: {gap:+.1%}")
    print(f"furthest off: {worst:.1%}")


if __name__ == "__main__":
    main()
