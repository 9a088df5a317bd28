"""The fitted constants come from the shipped rows, and rows that were left out are predicted nearly as well.

`pytest -s` on this file prints every refit. A constant is named in `nccl_links.FITTED`, no more than three
for one fabric, or is a field of `mpi.Host`.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from functools import cache
from math import log2

import numpy
import pytest
from scipy.optimize import least_squares

from hpclab.models import mpi, nccl
from hpclab.models.formulas import bus_factor
from hpclab.models.mpi import Host
from hpclab.models.nccl_links import FITTED, NETWORKS, NVLINKS
from hpclab.validation import collective_rows, message_rows, placing, predictions
from hpclab.validation.score import Observation

pytestmark = pytest.mark.slow

Values = dict[str, float]
PLAUSIBLE = {  # what each can be, whatever the rows say
    "launch": (2e-6, 60e-6), "link_bandwidth": (18e9, 25e9), "ll128_share": (0.4, 120 / 128),
    "exposed_chunk": (0, 1), "nvls_bandwidth": (200e9, 900e9), "nvls_round": (1e-6, 20e-6),
    "share": (0.05, 1), "hop": (2e-6, 60e-6),
    "copy": (1e9, 12e9), "gap": (0.05e-6, 1e-6), "post": (0.02e-6, 1e-6), "query": (0.05e-6, 3e-6),
    "start": (0.5e-6, 20e-6), "near": (20e9, 300e9), "far": (5e9, 60e9),
}  # fmt: skip
HOSTS = {"without a GPU": ("copy", "post", "gap"), "GH200": ("query", "start", "near", "far")}
FABRICS = FITTED | HOSTS


@cache
def observed(word: str) -> tuple[Observation, ...]:
    """All shipped rows of a kind that can be placed."""
    paths = [path for path in predictions.shipped() if path.name.startswith(word)]
    return tuple(
        one.observation for path in paths for one in predictions.predict(path) if one.value is not None
    )


@cache
def of_fabric(fabric: str) -> list[Observation]:
    """The rows that this NVLink alone, this network with whatever NVLink, or these hosts decide."""
    if fabric in HOSTS:
        rows = [one for one in observed("osu") if one.quantity in ("latency", "bandwidth")]
        return [one for one in rows if ("GH200" in one.case[1][0]) == (fabric == "GH200")]
    rows = []
    for one in (one for one in observed("nccl") if not one.case.copy):
        network = collective_rows.job(one.case).network
        name = placing.read(one.case.system, one.case.network).nvlink if one.case.nodes == 1 else ""
        if fabric == name or (network is not None and network is NETWORKS.get(fabric)):
            rows.append(one)
    return rows


def of_nccl(fabric: str, one: Observation, values: Values) -> float:
    job = collective_rows.job(one.case)
    part = "nvlink" if fabric in NVLINKS else "network"
    job = replace(job, **{part: replace(getattr(job, part), **values)})
    time = nccl.predict(one.case.collective, one.case.size, job).seconds
    return time if one.unit == "s" else bus_factor(one.case.collective, one.case.gpus) * one.case.size / time


def of_mpi(one: Observation, values: Values) -> float:
    """The row with another Host, and with another `latency` where one is among the values."""
    test, words, _, gpus = one.case
    before, host = Host(), replace(Host(), **{k: v for k, v in values.items() if k != "latency"})
    place = message_rows.fabric(placing.read(*words), 2, gpus)
    place = replace(
        place, host=host, latency=values.get("latency", place.latency),
        call=place.call + (host.query - before.query if place.call else 0.0),
        gap=host.start if place.gap == before.start else host.gap,
        staging=place.staging and place.staging + host.start - before.start,
        bandwidth=host.far if place.shared else place.bandwidth,
    )  # fmt: skip
    seconds = mpi.predict(test, one.size, place).seconds
    return seconds if one.unit == "s" else (1 + (test == "both_ways")) * one.size / seconds


def error(fabric: str, one: Observation, values: Values) -> float:
    said = of_mpi(one, values) if fabric in HOSTS else of_nccl(fabric, one, values)
    return said / one.value - 1


def refit(fabric: str, rows: Sequence[Observation]) -> Values:
    """The constants with the smallest relative errors on `rows`; soft, so that no single row decides."""
    start = shipped_values(fabric)
    names = list(start)
    bounds = numpy.array([PLAUSIBLE[name] for name in names]).T
    scale = numpy.array([start[name] for name in names])

    def errors(parts: numpy.ndarray) -> numpy.ndarray:
        values = dict(zip(names, (parts * scale).tolist(), strict=True))
        return numpy.array([error(fabric, one, values) for one in rows])

    found = least_squares(
        errors, numpy.ones(len(names)), bounds=bounds / scale, loss="soft_l1", f_scale=0.05, diff_step=1e-3
    )
    return dict(zip(names, (found.x * scale).tolist(), strict=True))


def mean_error(fabric: str, rows: Sequence[Observation], values: Values) -> float:
    return float(numpy.mean([abs(error(fabric, one, values)) for one in rows]))


def shipped_values(fabric: str) -> Values:
    have = Host() if fabric in HOSTS else NVLINKS.get(fabric) or NETWORKS[fabric]
    return {name: getattr(have, name) for name in FABRICS[fabric]}


@pytest.mark.parametrize("fabric", FABRICS)
def test_the_shipped_constants_are_few_plausible_and_the_fitted_ones(fabric):
    assert len(FABRICS[fabric]) <= 3 + (fabric in HOSTS)
    assert [name for names in HOSTS.values() for name in names] == [one.name for one in fields(Host)]
    rows, values = of_fabric(fabric), shipped_values(fabric)
    assert all(low <= values[name] <= high for name, (low, high) in PLAUSIBLE.items() if name in values)
    for name, value in values.items():
        other = mean_error(fabric, rows, values | {name: 0.8 * value})
        assert other != mean_error(fabric, rows, values), f"{name} does nothing"
    found = refit(fabric, rows)
    here, best = (mean_error(fabric, rows, constants) for constants in (values, found))
    print(f"\n{fabric}: {len(rows)} rows, shipped {values}: {here:.3f}; refitted {found}: {best:.3f}")
    assert len(rows) > len(values)
    assert here <= best + 0.02
    assert all(found[name] == pytest.approx(values[name], rel=0.25) for name in values)


OF = {  # whether a row is one of those left out
    "source": lambda one, name: one.row.text("source") == name,
    "gpus": lambda one, count: one.case.gpus == count,
    "words": lambda one, words: words in " ".join(one.case[1]),
    "every other size": lambda one, first: round(log2(one.size)) % 2 == first,
}
LEFT_OUT = [  # fabric, the rows left out, what the mean error may then be
    ("nvlink4", "source", "dgxc_nccl_readme", 0.12), ("nvlink4", "source", "nccl_tests_cluster", 0.08),
    ("nvlink4", "source", "stas00_network", 0.08), ("nvlink3", "source", "stas00_network", 0.10),
    ("nvlink2", "source", "bigscience_bandwidth", 0.10), ("rdma", "source", "stas00_network", 0.30),
    ("rdma", "source", "nccl_tests_cluster", 0.08),
    *(("nvlink2", "gpus", count, 0.08) for count in (2, 4, 5, 8)),
    *(("nvlink3", "gpus", count, 0.08) for count in (2, 4, 8)),
    *(("GH200", "words", way, 0.1) for way in ("GPU memory inter", "GPU memory intra", "CPU memory inter")),
    *(("without a GPU", "words", network, 0.2) for network in ("InfiniBand", "RoCE", "Aries")),
    *((fabric, "every other size", half, 0.08) for fabric in ("nvlink4", "nvlink5") for half in (0, 1)),
]  # fmt: skip


@pytest.mark.parametrize(("fabric", "by", "out", "most"), LEFT_OUT)
def test_what_is_left_out_is_predicted_from_the_rest(fabric, by, out, most):
    """Of an MPI fabric the smallest message's latency is left out, too: the others' mean stands for it."""
    left = [one for one in of_fabric(fabric) if OF[by](one, out)]
    known = [one for one in of_fabric(fabric) if not OF[by](one, out)]
    assert left
    assert not set(map(id, left)) & set(map(id, known))
    found = refit(fabric, known)
    if fabric == "without a GPU":
        others = {message_rows.fabric(placing.read(*one.case[1])).latency for one in known}
        found["latency"] = sum(others) / len(others)
    groups: dict[str, list[Observation]] = {}
    for one in left:
        groups.setdefault(one.case[0] if fabric in HOSTS else "", []).append(one)
    shown = {name: round(mean_error(fabric, rows, found), 3) for name, rows in groups.items()}
    print(f"\n{fabric}: {len(left)} rows, {shown}, from {found}")
    assert shown
    assert all(error < most for error in shown.values())
