"""The fitted constants come from the shipped rows, and rows that were left out are predicted nearly as well.

`pytest -s` on this file prints every refit. A constant is named in `nccl_links.FITTED` or is
a field of `mpi.Host`; no more than three belong to one fabric.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import cache

import numpy
import pytest
from scipy.optimize import least_squares

from hpclab.models import mpi, nccl
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
HOST = {"without a GPU": ("copy", "post", "gap"), "GH200": ("query", "start", "near", "far")}


@cache
def observed(word: str) -> tuple[Observation, ...]:
    """All shipped rows of a kind that can be placed."""
    found = []
    for path in predictions.shipped():
        if path.name.startswith(word):
            for one in predictions.predict(path):
                if one.value is not None:
                    found.append(one.observation)
    return tuple(found)


def of_fabric(fabric: str) -> list[Observation]:
    """The rows that this NVLink alone, or this network with whatever NVLink, decides."""
    rows = []
    for one in observed("nccl"):
        if one.case.copy:
            continue
        network = collective_rows.job(one.case).network
        name = placing.read(one.case.system, one.case.network).nvlink if one.case.nodes == 1 else ""
        if fabric == name or (network is not None and network is NETWORKS.get(fabric)):
            rows.append(one)
    return rows


def of_nccl(fabric: str, one: Observation, values: Values) -> float:
    job = collective_rows.job(one.case)
    if fabric in NVLINKS:
        job = replace(job, nvlink=replace(job.nvlink, **values))
    else:
        job = replace(job, network=replace(job.network, **values))
    time = nccl.predict(one.case.collective, one.case.size, job).seconds
    if one.unit == "s":
        return time
    return nccl.bus_factor(one.case.collective, one.case.gpus) * one.case.size / time


def of_mpi(one: Observation, values: Values) -> float:
    """The row with another Host, and with another `latency` where one is among the values."""
    test, words, _, gpus = one.case
    before, host = Host(), replace(Host(), **{k: v for k, v in values.items() if k != "latency"})
    place = message_rows.fabric(placing.read(*words), 2, gpus)
    engine = place.gap == before.start
    place = replace(
        place, host=host, latency=values.get("latency", place.latency),
        call=place.call + (host.query - before.query if place.call else 0.0),
        gap=host.start if engine else host.gap,
        staging=place.staging and place.staging + host.start - before.start,
        bandwidth=host.far if place.shared else place.bandwidth,
    )  # fmt: skip
    seconds = mpi.predict(test, one.size, place).seconds
    return seconds if one.unit == "s" else (1 + (test == "both_ways")) * one.size / seconds


def of_kind(kind: str) -> list[Observation]:
    rows = [one for one in observed("osu") if one.quantity in ("latency", "bandwidth")]
    return [one for one in rows if ("GH200" in one.case[1][0]) == (kind == "GH200")]


def refit(rows: Sequence[Observation], start: Values, say: Callable[[Observation, Values], float]) -> Values:
    """The constants with the smallest relative errors on `rows`; soft, so that no single row decides."""
    names = list(start)
    bounds = numpy.array([PLAUSIBLE[name] for name in names]).T
    scale = numpy.array([start[name] for name in names])

    def errors(parts: numpy.ndarray) -> numpy.ndarray:
        values = dict(zip(names, (parts * scale).tolist(), strict=True))
        return numpy.array([say(one, values) / one.value - 1 for one in rows])

    found = least_squares(
        errors, numpy.ones(len(names)), bounds=bounds / scale, loss="soft_l1", f_scale=0.05, diff_step=1e-3
    )
    return dict(zip(names, (found.x * scale).tolist(), strict=True))


def mean_error(rows: Sequence[Observation], values: Values, say: Callable) -> float:
    return float(numpy.mean([abs(say(one, values) / one.value - 1) for one in rows]))


def shipped_values(fabric: str) -> Values:
    have = NVLINKS.get(fabric) or NETWORKS[fabric]
    return {name: getattr(have, name) for name in FITTED[fabric]}


def test_no_more_than_three_constants_a_fabric_and_each_plausible():
    assert all(len(names) <= 3 for names in FITTED.values())
    assert [name for names in HOST.values() for name in names] == [one.name for one in fields(Host)]
    for fabric in FITTED:
        for name, value in shipped_values(fabric).items():
            low, high = PLAUSIBLE[name]
            assert low <= value <= high, (fabric, name)


@pytest.mark.parametrize("fabric", ["nvlink2", "nvlink3", "nvlink4", "nvlink5", "rdma", "omni-path"])
def test_the_shipped_constants_are_the_fitted_ones(fabric):
    rows, values = of_fabric(fabric), shipped_values(fabric)
    found = refit(rows, values, lambda one, v: of_nccl(fabric, one, v))
    here = mean_error(rows, values, lambda one, v: of_nccl(fabric, one, v))
    best = mean_error(rows, found, lambda one, v: of_nccl(fabric, one, v))
    print(f"\n{fabric}: {len(rows)} rows, shipped {values}: {here:.3f}; refitted {found}: {best:.3f}")
    assert len(rows) > len(values)
    assert here <= best + 0.02
    assert all(found[name] == pytest.approx(values[name], rel=0.25) for name in values)


LEFT_OUT = [  # fabric, the source left out, what its mean error may then be
    ("nvlink4", "dgxc_nccl_readme", 0.12),
    ("nvlink4", "nccl_tests_cluster", 0.08),
    ("nvlink4", "stas00_network", 0.08),
    ("nvlink3", "stas00_network", 0.10),
    ("nvlink2", "bigscience_bandwidth", 0.10),
    ("rdma", "stas00_network", 0.30),
    ("rdma", "nccl_tests_cluster", 0.12),
]


@pytest.mark.parametrize(("fabric", "source", "most"), LEFT_OUT)
def test_a_source_left_out_is_predicted_from_the_others(fabric, source, most):
    rows = of_fabric(fabric)
    known = [one for one in rows if one.row.text("source") != source]
    rest = [one for one in rows if one.row.text("source") == source]
    say = lambda one, values: of_nccl(fabric, one, values)  # noqa: E731
    found = refit(known, shipped_values(fabric), say)
    error = mean_error(rest, found, say)
    print(f"\n{fabric} without {source}: {len(rest)} rows, {error:.3f}, from {found}")
    assert rest
    assert error < most


@pytest.mark.parametrize(
    ("fabric", "gpus"), [*(("nvlink2", n) for n in (2, 4, 5, 8)), *(("nvlink3", n) for n in (2, 4, 8))]
)
def test_a_number_of_gpus_left_out_is_predicted_from_the_others(fabric, gpus):
    rows = of_fabric(fabric)
    say = lambda one, values: of_nccl(fabric, one, values)  # noqa: E731
    found = refit([one for one in rows if one.case.gpus != gpus], shipped_values(fabric), say)
    error = mean_error([one for one in rows if one.case.gpus == gpus], found, say)
    print(f"\n{fabric} without {gpus} GPUs: {error:.3f}, from {found}")
    assert error < 0.08


@pytest.mark.parametrize("fabric", ["nvlink4", "nvlink5"])
def test_every_other_size_left_out_is_predicted_from_the_rest(fabric):
    rows = sorted(of_fabric(fabric), key=lambda one: one.size)
    say = lambda one, values: of_nccl(fabric, one, values)  # noqa: E731
    for half in (0, 1):
        found = refit(rows[half::2], shipped_values(fabric), say)
        error = mean_error(rows[1 - half :: 2], found, say)
        print(f"\n{fabric}, every other row by size: {error:.3f}, from {found}")
        assert error < 0.08


@pytest.mark.parametrize(
    ("kind", "words", "most"),
    [
        ("without a GPU", "InfiniBand", 0.2), ("without a GPU", "RoCE", 0.2), ("without a GPU", "Aries", 0.2),
        ("GH200", "GPU memory inter", 0.1), ("GH200", "GPU memory intra", 0.1),
        ("GH200", "CPU memory inter", 0.1),
    ],
)  # fmt: skip
def test_a_fabric_or_a_way_left_out_is_predicted_from_the_others(kind, words, most):
    """Of a fabric its latency of the smallest message is left out as well: the others' mean stands for it."""
    rows = of_kind(kind)
    known = [one for one in rows if words not in " ".join(one.case[1])]
    rest = [one for one in rows if words in " ".join(one.case[1])]
    found = refit(known, {name: getattr(Host(), name) for name in HOST[kind]}, of_mpi)
    if kind != "GH200":
        others = {message_rows.fabric(placing.read(*one.case[1])).latency for one in known}
        found["latency"] = sum(others) / len(others)
    shown = {}
    for test in dict.fromkeys(one.case[0] for one in rest):
        shown[test] = mean_error([one for one in rest if one.case[0] == test], found, of_mpi)
    print(f"\n{kind} without {words}: {shown}, from {found}")
    assert rest
    assert all(error < most for error in shown.values())


@pytest.mark.parametrize("kind", HOST)
def test_one_host_serves_all_fabrics(kind):
    rows, values = of_kind(kind), {name: getattr(Host(), name) for name in HOST[kind]}
    found = refit(rows, values, of_mpi)
    print(f"\nMPI {kind}: shipped {values}: {mean_error(rows, values, of_mpi):.3f}; refitted {found}")
    assert all(found[name] == pytest.approx(values[name], rel=0.2) for name in values)
