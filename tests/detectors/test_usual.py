"""What is usual: from the prior to traffic, through drift, against poisoning."""

import random

import numpy as np
import pytest

from stream_guard.detectors import Prior, Usual
from stream_guard.detectors.quantiles import FadingQuantiles

RATE = Prior(20.0, 200.0, 1000.0)
NARROW = Prior(20.0, 40.0, 60.0)
PROBABILITIES = (0.01, 0.1, 0.5, 0.9, 0.99)


def learnt(usual, values, signal="rate"):
    for value in values:
        usual.learn_one({signal: float(value)})
    return usual


@pytest.mark.parametrize(
    ("prior", "value", "unusualness"),
    [
        (RATE, 0.0, 0.0),
        (RATE, 20.0, 0.0),
        (RATE, 110.0, 0.25),
        (RATE, 200.0, 0.5),
        (RATE, 1000.0, 0.9),
        (RATE, 9820.0, 0.99),
        (Prior(8.0, 12.0, 20.0, "low", p10=4.0, p01=1.0), 8.0, 0.0),
        (Prior(8.0, 12.0, 20.0, "low", p10=4.0, p01=1.0), 500.0, 0.0),
        (Prior(8.0, 12.0, 20.0, "low", p10=4.0, p01=1.0), 4.0, 0.5),
        (Prior(8.0, 12.0, 20.0, "low", p10=4.0, p01=1.0), 1.0, 0.9),
        (Prior(0.0, 1.0, 2.0, "both"), -1.0, 0.5),
        (Prior(0.0, 1.0, 2.0, "both"), 2.0, 0.9),
        (Prior(0.0, 0.0, 1.0), 0.025, 0.25),  # hardly anybody shows it: a little is not extreme
        (Prior(0.0, 0.0, 1.0), 1.0, 0.9),
    ],
)
def test_unusualness_by_the_prior(prior, value, unusualness):
    assert Usual({"s": prior}).unusualness("s", value) == pytest.approx(unusualness)


@pytest.mark.parametrize("direction", ["high", "low", "both"])
def test_unusualness_is_monotone_on_the_suspicious_side(direction):
    rng = random.Random(1)
    usual = learnt(
        Usual({"rate": Prior(20.0, 200.0, 1000.0, direction)}), (rng.lognormvariate(3, 2) for _ in range(3000))
    )
    median = usual.usual("rate")
    up = [usual.unusualness("rate", median + d) for d in np.linspace(0, 5000, 300)]
    down = [usual.unusualness("rate", median - d) for d in np.linspace(0, 5000, 300)]
    assert up == (sorted(up) if direction != "low" else [0.0] * 300)
    assert down == (sorted(down) if direction != "high" else [0.0] * 300)
    assert all(0.0 <= u <= 1.0 for u in up + down)


def test_many_at_once_are_as_one_by_one():
    rng = np.random.default_rng(1)
    usual = Usual({d: Prior(20.0, 200.0, 1000.0, d) for d in ("low", "both", "high")} | {"rare": Prior(0.0, 0.0, 1.0)})
    values = rng.normal(100, 800, (300, 4))
    for row in values[:200]:
        usual.learn_one(dict(zip(usual.priors, row.tolist(), strict=True)))
    values[0] = [usual.usual(signal) for signal in usual.priors]
    one_by_one = [[usual.unusualness(s, v) for s, v in zip(usual.priors, row, strict=True)] for row in values.tolist()]
    assert usual.unusualness_many(values) == pytest.approx(np.array(one_by_one))


@pytest.mark.parametrize(
    ("seen", "low", "high"),
    [(0, 20, 20), (49, 20, 20), (50, 250, 270), (500, 450, 470), (10_000, 497, 500)],
)
def test_traffic_outweighs_the_prior(seen, low, high):
    usual = learnt(Usual({"rate": RATE}, prior_weight=50, grace_period=50), [500.0] * seen)
    assert low <= usual.usual("rate") <= high


STREAMS = {
    "lognormal": lambda rng, n: rng.lognormal(0, 1.5, n),
    "three in five are zero": lambda rng, n: np.where(rng.random(n) < 0.6, 0, rng.lognormal(0, 1, n)),
    "rare": lambda rng, n: np.where(rng.random(n) < 0.95, 0, rng.random(n)),
    "rising": lambda rng, n: np.arange(n) / n + rng.random(n),
    "constant": lambda rng, n: np.full(n, 7.0),
    "heavy tail": lambda rng, n: rng.pareto(1.2, n),
}


@pytest.mark.parametrize("stream", STREAMS, ids=lambda s: s.replace(" ", "-"))
def test_estimated_quantiles_have_nearly_the_ranks_that_they_claim(stream):
    values = STREAMS[stream](np.random.default_rng(1), 8000)
    error = 0.1 if stream == "rising" else 0.05  # P² lags behind what rises within a window
    quantiles = FadingQuantiles(PROBABILITIES, window_size=2000)
    for value in values.tolist():
        quantiles.update(value)
    recent = values[-quantiles.n :]
    got = quantiles.get()
    assert list(got) == sorted(got)
    for p, q in zip(PROBABILITIES, got, strict=True):
        slack = 1e-9 + 0.01 * values.std()
        assert (recent < q - slack).mean() <= p + error
        assert (recent <= q + slack).mean() >= p - error


def test_old_traffic_is_forgotten():
    usual = learnt(Usual({"rate": RATE}, window_size=500), [100.0] * 2000)
    assert usual.usual("rate") == pytest.approx(98, abs=2)
    learnt(usual, [300.0] * 1000)
    assert usual.usual("rate") == pytest.approx(297, abs=3)


def test_slow_poisoning_shows_in_the_distance_to_the_frozen_quantiles():
    """Somebody raises what is usual by half a percent every hundred accounts."""
    rng = random.Random(1)
    honest = Usual({"rate": NARROW}, window_size=1000)
    poisoned = Usual({"rate": NARROW}, window_size=1000)
    for i in range(10_000):
        value = rng.lognormvariate(3, 0.5)
        honest.learn_one({"rate": value})
        poisoned.learn_one({"rate": value * 1.02 ** (i / 100)})
    assert honest.unusualness("rate", 200.0) > 0.9
    assert poisoned.unusualness("rate", 200.0) > 0.9, "it does not work"
    assert abs(honest.shifts()["rate"]) < 0.25
    assert poisoned.shifts()["rate"] > 2.0, "and is noticed"
    poisoned.freeze()
    assert poisoned.shifts()["rate"] == pytest.approx(0.0, abs=0.1), "somebody looked and found it right"
    assert poisoned.unusualness("rate", 200.0) < 0.7


PATIENT = {  # share of accounts that raise it, to how many times as much, how unusual 60 times the median is then
    "nobody": (0.0, 1, 0.9),
    "a quarter of the population": (0.25, 60, 0.9),
    "most of the population": (0.6, 60, 0.9),
    "a quiet crowd that makes others look loud": (0.6, 0.05, 0.9),
}


@pytest.mark.parametrize("case", PATIENT)
def test_who_is_patient_does_not_become_usual(case):
    share, times, least = PATIENT[case]
    rng = random.Random(2)
    usual = learnt(Usual({"rate": NARROW}, window_size=1000), [rng.lognormvariate(3, 0.5) for _ in range(2000)])
    before = [usual.unusualness("rate", 20.0 * k) for k in (1, 2, 4, 60)]
    for i in range(8000):
        value = rng.lognormvariate(3, 0.5) * (times ** (i / 8000) if rng.random() < share else 1.0)
        if usual.unusualness("rate", value) < 0.95:  # a suspect teaches nothing
            usual.learn_one({"rate": value})
    after = [usual.unusualness("rate", 20.0 * k) for k in (1, 2, 4, 60)]
    assert min(before[-1], after[-1]) > least
    assert after[1] - before[1] < 0.4


def test_what_is_usual_is_within_bounds_of_the_baseline_whatever_comes():
    rng = random.Random(3)
    usual = learnt(Usual({"rate": NARROW}, window_size=500), [rng.lognormvariate(3, 0.5) for _ in range(1000)])
    frozen = usual._frozen["rate"]
    for low, high in ((0.0, 0.1), (1e6, 1e9), (-1e9, -1e6)):
        learnt(usual, [rng.uniform(low, high) for _ in range(2000)])
        p01, p10, p50, p90, p99 = usual._allowed["rate"]
        assert p01 <= p10 <= p50 <= p90 <= p99
        assert (frozen[3] - frozen[2]) / 2 <= p90 - frozen[2] <= 2 * (frozen[3] - frozen[2])
        assert (frozen[2] - frozen[1]) / 2 <= frozen[2] - p10 <= max(2 * (frozen[2] - frozen[1]), 20)


def test_the_baseline_is_not_taken_anew_by_the_window():
    usual = learnt(Usual({"rate": RATE}, window_size=500), [100.0] * 100)
    usual.freeze()
    frozen = usual._frozen["rate"]
    learnt(usual, [900.0] * 2000)
    assert usual._frozen["rate"] == frozen


def test_no_distance_before_a_whole_window():
    assert learnt(Usual({"rate": RATE}, window_size=500), [1.0] * 499).shifts() == {}


def test_signals_of_another_version():
    usual = learnt(Usual({"rate": RATE, "gone": RATE}), [500.0] * 1000)
    usual.adopt({"rate": RATE, "new": RATE})
    assert usual.usual("rate") > 400
    assert usual.usual("new") == 20
    with pytest.raises(KeyError):
        usual.usual("gone")


def test_score_and_reasons_are_of_the_three_most_unusual():
    usual = Usual(dict.fromkeys("abcd", RATE))
    x = {"a": 1000.0, "b": 200.0, "c": 110.0, "d": 65.0}
    assert usual.score_one(x) == pytest.approx((0.9 + 0.5 + 0.25) / 3)
    assert usual.explain_one(x) == pytest.approx({"a": 0.9 / 1.65, "b": 0.5 / 1.65, "c": 0.25 / 1.65})


@pytest.mark.parametrize(
    "quantiles", [(1.0, 0.5, 2.0), (1.0, 1.0, 1.0), (0.0, 1.0, float("inf")), (float("nan"), 1.0, 2.0)]
)
def test_priors_that_cannot_be_are_refused(quantiles):
    with pytest.raises(ValueError, match="ascend"):
        Prior(*quantiles)
