"""Drift of the population: what is told, when, how often."""

import itertools
import random

import pytest

from stream_guard.detectors import PopulationDrift

DAY = 86_400.0
STEP = 60.0
"""Seconds between two accounts that are due."""


def told(levels, **settings):
    """Drifts of one signal whose accounts are uniform in 0..level; `levels` are (accounts, level)."""
    rng = random.Random(1)
    drifts, out, ts = PopulationDrift(["rate", "steady"], **settings), [], 0.0
    for n, level in levels:
        for _ in range(n):
            ts += STEP
            out += drifts.learn_one({"rate": rng.random() * level, "steady": rng.random()}, ts)
    assert {d.signal for d in out} <= {"rate"}, "the steady one is never told of"
    assert drifts.drifted() == ({"rate": out[-1].ts} if out else {})
    return out


@pytest.mark.parametrize(
    ("levels", "changes"),
    [
        ([(20_000, 0.4)], []),
        ([(3000, 0.4), (3000, 0.8)], [(0.2, 0.4)]),
        ([(3000, 0.8), (3000, 0.4)], [(0.4, 0.2)]),
        ([(3000, 0.4), (5000, 0.44)], []),  # too little to tell
        ([(100, 0.4), (3000, 0.8)], []),  # there was no usual before it
        ([(3000, 0.4), (3000, 0.8), (3000, 0.2)], [(0.2, 0.4), (0.4, 0.1)]),
    ],
)
def test_changes_that_are_told(levels, changes):
    assert [(round(d.before, 1), round(d.after, 1)) for d in told(levels)] == changes


def test_when_it_began_and_when_it_is_told():
    (drift,) = told([(3000, 0.4), (3000, 0.8)])
    assert 3000 * STEP < drift.since < 3200 * STEP, "noticed after less than two hundred accounts"
    assert drift.since < drift.ts < drift.since + 400 * STEP


def test_one_a_day():
    swings = [(600, 0.2 if i % 2 else 0.9) for i in range(40)]
    often, seldom = told(swings, quiet_s=0.0), told(swings)
    assert len(often) > 20
    assert all(b.ts - a.ts >= DAY for a, b in itertools.pairwise(seldom))
    assert 5 < len(seldom) <= 600 * 40 * STEP / DAY + 1


def test_no_false_drift_in_a_steady_population():
    rng = random.Random(7)
    names = [f"s{i}" for i in range(20)]
    drifts = PopulationDrift(names)
    found = []
    for i in range(5000):
        found += drifts.learn_one({name: rng.random() ** 2 for name in names}, i * STEP)
    assert found == []
