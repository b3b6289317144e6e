"""What every detector must do, as functions that raise AssertionError; `test_checks.py` tries them on bad detectors."""

import inspect
import math
import random

from stream_guard.detectors import dump, load

SIGNALS = ("burst", "flatness", "rate", "template")
WARM_UP = 1200
"""Accounts after which a detector of the tests is past every grace period and window."""


def accounts(n, seed=1, odd=0.0):
    """`n` ordinary accounts; a share of `odd` ones is far out in every signal."""
    rng = random.Random(seed)
    for _ in range(n):
        low = 0.9 if rng.random() < odd else 0.0
        yield {signal: low + (1.0 - low) * rng.random() ** 3 for signal in SIGNALS}


def teach(detector, x, i=0):
    """Let a detector of any kind learn one account; the arguments beside it depend on the kind."""
    wanted = inspect.signature(detector.learn_one).parameters
    more = {"y": i % 3 == 0} if "y" in wanted else {"ts": float(i)} if "ts" in wanted else {}
    return detector.learn_one(x, **more)


def warm(make, n=WARM_UP, seed=1):
    detector = make()
    for i, x in enumerate(accounts(n, seed)):
        teach(detector, x, i)
    return detector


def scores(detector, n=50, seed=2):
    return [detector.score_one(x) for x in accounts(n, seed, odd=0.2)]


def check_score_in_range(make):
    for detector in (make(), warm(make)):
        for score in scores(detector, 200):
            assert type(score) is float, f"a score is a {type(score).__name__}"
            assert 0.0 <= score <= 1.0, f"a score of {score}"


def check_works_before_learning(make):
    detector = make()
    assert math.isfinite(detector.score_one({})), "no score of nothing"
    assert all(map(math.isfinite, scores(detector))), "no score before learning"
    assert isinstance(detector.explain_one(next(accounts(1))), dict)


def check_tells_odd_from_ordinary(make):
    """A constant passes no check of ranges; it does not pass this."""
    detector = warm(make)
    odd = [detector.score_one(x) for x in accounts(50, 3, odd=1.0)]
    ordinary = [detector.score_one(x) for x in accounts(50, 3)]
    wins = sum(o > p for o in odd for p in ordinary) / 2500
    assert wins > 0.95, f"an odd account is above an ordinary one in {wins:.0%} of pairs"


def check_scoring_changes_nothing(make):
    for detector in (make(), warm(make)):
        before = dump(detector)
        for x in accounts(50, 4):
            kept = dict(x)
            detector.score_one(x)
            detector.explain_one(x)
            assert x == kept, "scoring changes what it is given"
        assert dump(detector) == before, "scoring changes the detector"


def check_learning_leaves_its_input(make):
    x = next(accounts(1))
    kept = dict(x)
    teach(make(), x)
    assert x == kept, "learning changes what it is given"


def check_learning_changes_something(make):
    detector = make()
    before = dump(detector)
    teach(detector, next(accounts(1)))
    assert dump(detector) != before, "nothing was learnt"


def check_snapshot_goes_on_alike(make):
    detector = warm(make)
    twin = load(dump(detector))
    assert dump(twin) == dump(detector), "restored, it has another state"
    for i, x in enumerate(accounts(300, 5)):
        assert teach(twin, x, i) == teach(detector, x, i)
    assert dump(twin) == dump(detector), "restored, it learns otherwise"


def check_snapshot_scores_alike(make):
    detector = warm(make)
    twin = load(dump(detector))
    assert scores(twin) == scores(detector), "restored, it scores otherwise"


def check_new_and_vanished_signals(make):
    for detector in (make(), warm(make)):
        for x in ({"never heard of": 0.5}, {}, {"rate": 0.5}, {**next(accounts(1)), "new": 1e300}):
            teach(detector, x)
            if hasattr(detector, "score_one"):
                assert 0.0 <= detector.score_one(x) <= 1.0
                detector.explain_one(x)


def check_non_finite_is_refused(make):
    asks = [teach] + [
        lambda detector, x, name=name: getattr(detector, name)(x)
        for name in ("score_one", "explain_one")
        if hasattr(make(), name)
    ]
    for value in (math.nan, math.inf, -math.inf):
        detector = warm(make, 50)
        before = dump(detector)
        for ask in asks:
            refused = ""
            try:
                ask(detector, {**next(accounts(1)), "rate": value})
            except ValueError as error:
                refused = str(error)
            assert "rate" in refused, f"{value} is taken, or refused without the name of the signal"
        assert dump(detector) == before, "what was refused was learnt"


def check_memory_is_bounded(make):
    detector = warm(make, 2 * WARM_UP)
    size = len(dump(detector))
    for i, x in enumerate(accounts(2 * WARM_UP, 6)):
        teach(detector, {**x, f"passing {i}": 0.5}, i)
    assert len(dump(detector)) < 1.2 * size, "it grows with what it has seen"


def check_reproducible(make):
    assert dump(warm(make)) == dump(warm(make)), "the same accounts, another state"


def check_order_hardly_matters(make):
    """The same accounts the other way around: ordinary traffic has no order that a score may hang on."""
    ordinary = list(accounts(WARM_UP))
    forth, back = make(), make()
    for i, x in enumerate(ordinary):
        teach(forth, x, i)
    for i, x in enumerate(reversed(ordinary)):
        teach(back, x, i)
    if hasattr(forth, "score_one"):
        far = [abs(a - b) for a, b in zip(scores(forth), scores(back), strict=True)]
        assert sum(far) / len(far) < 0.05, f"the order of the same accounts moves scores by {sum(far) / len(far):.2f}"


def check_explanation_is_shares(make):
    detector = warm(make)
    for x in accounts(50, 7, odd=0.5):
        explained = detector.explain_one(x)
        assert set(explained) <= set(x), "it names what was not given"
        assert not explained or math.isclose(sum(map(abs, explained.values())), 1.0), "parts that do not sum to 1"


def check_scores_before_it_learns(make):
    """What an account scores does not depend on whether it is learnt afterwards; learning it makes it less odd."""
    detector = warm(make)
    odd = next(accounts(1, 8, odd=1.0))
    before = detector.score_one(odd)
    for i in range(WARM_UP):
        teach(detector, odd, 3 * i + 1)  # benign, where that is asked for
    assert detector.score_one(odd) < before, "what it has learnt a thousand times is as odd as before"


SCORING = (
    check_score_in_range,
    check_works_before_learning,
    check_tells_odd_from_ordinary,
    check_scoring_changes_nothing,
    check_snapshot_scores_alike,
    check_explanation_is_shares,
    check_scores_before_it_learns,
)
LEARNING = (
    check_learning_leaves_its_input,
    check_learning_changes_something,
    check_snapshot_goes_on_alike,
    check_new_and_vanished_signals,
    check_non_finite_is_refused,
    check_memory_is_bounded,
    check_reproducible,
    check_order_hardly_matters,
)


def checks_for(cls):
    """Return the checks that fit a class: all that learn, and for those that score the rest."""
    return LEARNING + (SCORING if hasattr(cls, "score_one") else ())
