"""Test how far the constants behind IO500's rows hold on systems that they were not chosen on.

    python benchmarks/storage_halves.py [--halves 4]

For random halves of the systems, constants are searched on one half (the bandwidths': each up and down by
steps; mdtest's rates: by the median ratio) and scored on the other, as the share of results within a factor
of two, beside the constants that ship and the median of the same type of drives in the first half.
"""

import argparse
import math
import random
import statistics
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from hpclab.models import storage_presets
from hpclab.validation import predictions, storage_rows
from hpclab.validation.score import Observation

TABLE = predictions.REFERENCE / "storage_io500_db_with_hardware.csv"
NAMES = ("LINK", "PORTS", "PROCESS", "GATEWAY", "CLIENT", "LOCKS 0", "LOCKS 1", "SHARED 0", "SHARED 1",
         "SHARES hdd", "SHARES nvme")  # fmt: skip
SHIPPED = {name.split()[0]: getattr(storage_rows, name.split()[0]) for name in NAMES if "SHARES" not in name}
SHARES = dict(storage_presets.SHARES)


def use(scale: Mapping[str, float]) -> None:
    """Put the constants, each times its factor in `scale` (or 1), in place of those that ship."""
    for name, value in SHIPPED.items():
        scaled: Any = value * scale.get(name, 1) if isinstance(value, float) else tuple(
            each * scale.get(f"{name} {place}", 1) for place, each in enumerate(value)
        )  # fmt: skip
        setattr(storage_rows, name, scaled)
    flash = scale.get("SHARES nvme", 1)
    scales = {"hdd": scale.get("SHARES hdd", 1), "ssd": flash, "nvme": flash}
    storage_presets.SHARES.update({kind: share * scales[kind] for kind, share in SHARES.items()})


def errors(rows: list[Observation]) -> list[float]:
    """ln(predicted / measured) of each row."""
    return [math.log(storage_rows.predict(one) / one.value) for one in rows]


def search(rows: list[Observation]) -> dict[str, float]:
    """The `scale` for `use`, each factor at most two up or down, with the least cost of the rows' errors."""

    def cost(scale: Mapping[str, float]) -> float:
        use(scale)
        return statistics.mean(1 - math.exp(-((error / 0.9) ** 2)) for error in errors(rows))

    best = dict.fromkeys(NAMES, 1.0)
    least = cost(best)
    for step in (1.5, 1.2):
        for name in NAMES:
            for factor in (1 / step, step):
                tried = best | {name: best[name] * factor}
                if (found := cost(tried)) < least - 1e-4:
                    best, least = tried, found
    return best


def within(found: list[float]) -> float:
    """The share of these `errors` within a factor of two."""
    return statistics.mean(abs(error) <= math.log(2) for error in found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--halves", type=int, default=4)
    halves = parser.parse_args().halves
    placed: dict[str, list[Observation]] = defaultdict(list)
    for one in storage_rows.read(predictions.load(TABLE)):
        try:
            storage_rows.predict(one)
        except ValueError:
            continue
        if one.value == one.value:
            placed[one.quantity].append(one)
    systems = sorted({one.row.text("system") for rows in placed.values() for one in rows})
    shares: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for half in range(halves):
        first = set(random.Random(half).sample(systems, len(systems) // 2))
        chosen = {
            name: [one for one in rows if one.row.text("system") in first] for name, rows in placed.items()
        }
        others = {
            name: [one for one in rows if one.row.text("system") not in first]
            for name, rows in placed.items()
        }
        scale = search([one for name, rows in chosen.items() if name.startswith("ior") for one in rows])
        for name, rows in others.items():
            use({})
            shipped = errors(rows)
            if name.startswith("ior"):
                use(scale)
                refitted = errors(rows)
            else:
                both = {flash: [error for error, one in zip(errors(chosen[name]), chosen[name], strict=True)
                                if (storage_rows._servers(one.row)[1] != "hdd-nl-sas") == flash]
                        for flash in (False, True)}  # fmt: skip
                shift = {flash: statistics.median(found or [0.0]) for flash, found in both.items()}
                refitted = [error - shift[storage_rows._servers(one.row)[1] != "hdd-nl-sas"]
                            for error, one in zip(shipped, rows, strict=True)]  # fmt: skip
            groups: dict[Any, list[float]] = defaultdict(list)
            for one in chosen[name]:
                groups[one.group].append(one.value)
            everything = [one.value for one in chosen[name]]
            medians = [
                math.log(statistics.median(groups.get(one.group) or everything) / one.value) for one in rows
            ]
            shares[name].append((within(refitted), within(shipped), within(medians)))
    print(
        "within a factor of two on the other half: constants of the first, as they ship, median of the first"
    )
    for name, found in shares.items():
        means = (statistics.mean(column) for column in zip(*found, strict=True))
        print(f"{name:20}", *(f"{100 * mean:4.0f} %" for mean in means))


if __name__ == "__main__":
    main()
