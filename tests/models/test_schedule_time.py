"""Schedules on topologies: against a naive simulator where they share links, else against the formulas."""

import numpy
import pytest

from hpclab import schedules
from hpclab.models import formulas
from hpclab.models.network import Link, with_slow_link
from hpclab.models.schedule_time import crossover, simulate
from hpclab.models.topologies import cluster, dragonfly, single_node
from hpclab.schedules.schedule import MESSAGE, Schedule

LINK = Link("link", 0.5, 10.0)  # half a second, ten bytes per second: numbers for the head


def made(*messages, ranks=8):
    """A schedule of (step, source, target, size) rows, one byte an element."""
    rows = [(step, source, target, 0, 0, size, False) for step, source, target, size in messages]
    return Schedule("all_to_all", "direct", ranks, 1, 1, numpy.array(rows, MESSAGE))


def naive(schedule, topology):
    """The rule of simulate(), slowly: each moment all rates anew, by progressive filling."""
    messages, now = schedule.messages, 0.0
    end, gone = numpy.full(len(messages), numpy.inf), numpy.zeros(len(messages))
    begin = numpy.full(len(messages), numpy.inf)
    routes = [topology.route(int(m["source"]), int(m["target"])) for m in messages]
    waits = [topology.alpha_beta(int(m["source"]), int(m["target"]))[0] for m in messages]

    def step_of(rank):
        mine = (messages["source"] == rank) | (messages["target"] == rank)
        return messages["step"][mine & ~(end <= now)].min(initial=2**30)

    while not (end <= now).all():
        for n, m in enumerate(messages):
            if begin[n] == numpy.inf and step_of(m["source"]) == step_of(m["target"]) == m["step"]:
                begin[n] = now
        flowing = [n for n in range(len(messages)) if begin[n] + waits[n] <= now + 1e-12 and end[n] > now]
        rate, room = {}, {n: link.bandwidth for n, link in enumerate(topology.links)}
        while len(rate) < len(flowing):
            users = {link: [n for n in flowing if n not in rate and link in routes[n]] for link in room}
            share, link = min((room[link] / len(who), link) for link, who in users.items() if who)
            for n in users[link]:
                rate[n] = share
                for crossed in routes[n]:
                    room[crossed] -= share
        left = {n: (messages["size"][n] - gone[n]) / rate[n] for n in flowing}
        starts = [begin[n] + waits[n] - now for n in range(len(messages)) if now < begin[n] + waits[n] < 1e30]
        pause = min([*left.values(), *(s for s in starts if s > 1e-12)])
        for n in flowing:
            gone[n] += rate[n] * pause
            if left[n] <= pause * (1 + 1e-12):
                end[n] = now + pause
        now += pause
    return begin, end


@pytest.mark.parametrize("seed", range(6))
def test_against_a_naive_simulator(seed):
    random = numpy.random.default_rng(seed)
    inside = Link("inside", 0.2, 40.0)
    topology = [
        cluster(4, 2, inside, LINK, 1, 3.0, nodes_per_leaf=2),
        with_slow_link(cluster(4, 2, inside, LINK, 2, 2.0, nodes_per_leaf=2, transport="tcp"), 0, 7, 3),
        dragonfly(2, 2, 2, LINK),
    ][seed % 3]
    rows, seen = [], set()
    for step in range(4):
        for _ in range(6):
            source, target = random.choice(8, 2, replace=False)
            if (step, source, target) not in seen:
                seen.add((step, source, target))
                rows.append((step, source, target, int(random.integers(1, 100))))
    schedule = made(*rows)
    run = simulate(schedule, topology, 1)
    assert run.shared
    begin, end = naive(schedule, topology)
    assert run.begin == pytest.approx(begin, rel=1e-6)
    assert run.end == pytest.approx(end, rel=1e-6)


@pytest.mark.parametrize(("collective", "algorithm"), formulas.FORMULAS)
def test_formula_and_simulation_agree(collective, algorithm):
    for ranks in (1, 2, 3, 5, 6, 7, 8, 12, 16):
        schedule = schedules.collective(collective, algorithm, ranks, 48 * ranks)
        run = simulate(schedule, single_node(LINK, ranks), 4)
        case = formulas.Case(ranks, 192 * ranks, lambda size: LINK.latency + size / LINK.bandwidth)
        assert run.time == pytest.approx(formulas.FORMULAS[collective, algorithm](case), rel=1e-9)
        assert not run.shared


def test_where_ring_and_tree_cross():
    ring, tree = (lambda size: 30 * (1e-5 + size / 16 * 1e-9)), (lambda size: 4 * (1e-5 + size * 1e-9))
    # 30 alpha + 30/16 n beta = 4 alpha + 4 n beta
    assert crossover(ring, tree) == pytest.approx(26 * 1e-5 / (4 - 30 / 16) / 1e-9, rel=2e-3)
    assert crossover(ring, ring) is None


def test_what_does_not_fit_is_refused_and_nothing_takes_no_time():
    with pytest.raises(ValueError, match="only 2"):
        simulate(made((0, 0, 1, 10)), single_node(LINK, 2))
    assert simulate(made(), single_node(LINK, 8)).time == 0
