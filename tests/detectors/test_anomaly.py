"""Half-space trees: what is odd in combination, by rank."""

import random

import pytest

from stream_guard.detectors import AccountAnomaly

NAMES = ("burst", "flatness", "rate", "template")


def ordinary(rng):
    """How unusual the signals of an ordinary account are: half of them not at all."""
    return {name: max(0.0, rng.uniform(-0.5, 0.6)) for name in NAMES}


@pytest.fixture(scope="module")
def warm():
    rng = random.Random(1)
    detector = AccountAnomaly(NAMES)
    for _ in range(6000):
        detector.learn_one(ordinary(rng))
    return detector


def auc(above, below):
    return sum((a > b) + 0.5 * (a == b) for a in above for b in below) / (len(above) * len(below))


@pytest.mark.parametrize(
    ("odd", "least"),
    [
        (lambda rng: dict.fromkeys(NAMES, rng.uniform(0.7, 1.0)), 0.99),
        (lambda rng: {**ordinary(rng), "rate": 0.95, "template": 0.95}, 0.95),
        (lambda rng: {**ordinary(rng), "rate": 0.95}, 0.85),
        (ordinary, 0.4),
    ],
    ids=["all-signals", "two-signals", "one-signal", "none"],
)
def test_odd_accounts_stand_out(warm, odd, least):
    rng = random.Random(2)
    got = auc([warm.score_one(odd(rng)) for _ in range(300)], [warm.score_one(ordinary(rng)) for _ in range(300)])
    assert got >= least
    if least < 0.5:
        assert got <= 0.6, "what is ordinary is not odd"


def test_a_score_is_its_rank(warm):
    rng = random.Random(3)
    scores = [warm.score_one(ordinary(rng)) for _ in range(3000)]
    for rank in (0.5, 0.9, 0.99):
        assert sum(s > rank for s in scores) / 3000 == pytest.approx(1 - rank, abs=0.06)


def test_nothing_is_known_within_the_grace_period():
    detector = AccountAnomaly(NAMES, window_size=50, grace_period=100)
    rng = random.Random(1)
    for n in range(150):
        odd = detector.score_one(dict.fromkeys(NAMES, 0.95))
        assert (odd == 0.5) if n < 100 else (odd > 0.9), n
        detector.learn_one(ordinary(rng))


def test_suspects_that_are_withheld_stay_odd_and_learnt_ones_do_not():
    rng = random.Random(1)
    withheld, taught = AccountAnomaly(NAMES), AccountAnomaly(NAMES)
    suspect = dict.fromkeys(NAMES, 0.9)
    for i in range(4000):
        x = ordinary(rng)
        withheld.learn_one(x)
        taught.learn_one(suspect if i % 4 == 0 else x)
    assert withheld.score_one(suspect) > 0.99
    assert taught.score_one(suspect) < 0.9, "one in four is not odd: this is why the caller withholds"


def test_the_reason_is_the_odd_signal(warm):
    explained = warm.explain_one({**dict.fromkeys(NAMES, 0.1), "rate": 0.98})
    assert max(explained, key=explained.get) == "rate"
    assert explained["rate"] > 0.5


def test_no_features_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        AccountAnomaly([])
