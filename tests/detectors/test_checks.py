"""The checks, on a plain detector that is right and on detectors that are each wrong in one way."""

import random

import checks
import pytest

from stream_guard.detectors import state
from stream_guard.detectors.base import refuse_non_finite, shares


class Plain:
    """Distance from the running mean: as simple as a detector that is right can be."""

    def __init__(self):
        self.n = 0
        self.means = dict.fromkeys(checks.SIGNALS, 0.0)

    def score_one(self, x):
        refuse_non_finite(x)
        return min(1.0, sum(self.parts(x).values()) / len(self.means))

    def parts(self, x):
        return {s: max(0.0, min(1.0, x.get(s, m)) - m) for s, m in self.means.items() if s in x}

    def learn_one(self, x):
        refuse_non_finite(x)
        self.n += 1
        for s in self.means:
            self.means[s] += (min(1.0, x.get(s, 0.0)) - self.means[s]) / self.n

    def explain_one(self, x):
        refuse_non_finite(x)
        return shares(self.parts(x))


class ScoresAboveOne(Plain):
    def score_one(self, x):
        return 1.5 * super().score_one(x) + 0.5


class ScoresInteger(Plain):
    def score_one(self, x):
        return round(super().score_one(x))


class NeedsAStart(Plain):
    def score_one(self, x):
        return super().score_one(x) / self.n


class Constant(Plain):
    def score_one(self, x):
        return 0.5 + 0.0 * super().score_one(x)


class LearnsWhenScoring(Plain):
    def score_one(self, x):
        score = super().score_one(x)
        self.learn_one(x)
        return score


class EatsItsInput(Plain):
    def learn_one(self, x):
        super().learn_one(x)
        x.clear()


class EatsWhatItScores(Plain):
    def score_one(self, x):
        score = super().score_one(x)
        x.clear()
        return score


class NeverLearns(Plain):
    """River 0.26.1's `ThresholdFilter(protect_anomaly_detector=False)`, in effect."""

    def learn_one(self, x):
        refuse_non_finite(x)


class ForgetsHalf(Plain):
    def __getstate__(self):
        return {"n": self.n, "means": dict.fromkeys(self.means, 0.0)}


class ForgetsHowItLearns(Plain):
    pace = 0.5

    def __getstate__(self):
        return {"n": self.n, "means": self.means}

    def learn_one(self, x):
        super().learn_one(x)
        if self.pace > 0.2:
            self.pace -= 0.001
        self.means = {s: m * self.pace / self.pace + (self.pace - 0.5) * 1e-3 for s, m in self.means.items()}


class NeedsAllSignals(Plain):
    def learn_one(self, x):
        super().learn_one({s: x[s] for s in self.means})


class TakesAnything(Plain):
    def learn_one(self, x):
        self.n += 1


class KeepsEverything(Plain):
    def learn_one(self, x):
        super().learn_one(x)
        self.means.update({s: 0.0 for s in x if s not in self.means})


class Unseeded(Plain):
    def learn_one(self, x):
        super().learn_one(x)
        self.means["rate"] += random.SystemRandom().random() * 1e-6


class BelievesTheLast(Plain):
    def learn_one(self, x):
        super().learn_one(x)
        self.means = {s: x.get(s, 0.0) for s in self.means}


class NamesStrangers(Plain):
    def explain_one(self, x):
        return {"elsewhere": 1.0}


class PartsOfTwo(Plain):
    def explain_one(self, x):
        return {s: 2 * p for s, p in super().explain_one(x).items()}


class GrowsSuspicious(Plain):
    def score_one(self, x):
        return min(1.0, super().score_one(x) * 0.3 + self.n * 1e-4)


BAD = [
    (ScoresAboveOne, checks.check_score_in_range, "a score of"),
    (ScoresInteger, checks.check_score_in_range, "a score is a int"),
    (NeedsAStart, checks.check_works_before_learning, "division"),
    (Constant, checks.check_tells_odd_from_ordinary, "in 0% of pairs"),
    (LearnsWhenScoring, checks.check_scoring_changes_nothing, "scoring changes the detector"),
    (EatsWhatItScores, checks.check_scoring_changes_nothing, "scoring changes what it is given"),
    (EatsItsInput, checks.check_learning_leaves_its_input, "learning changes what it is given"),
    (NeverLearns, checks.check_learning_changes_something, "nothing was learnt"),
    (ForgetsHalf, checks.check_snapshot_scores_alike, "it scores otherwise"),
    (ForgetsHowItLearns, checks.check_snapshot_goes_on_alike, "it learns otherwise"),
    (NeedsAllSignals, checks.check_new_and_vanished_signals, "burst"),
    (TakesAnything, checks.check_non_finite_is_refused, "nan is taken"),
    (KeepsEverything, checks.check_memory_is_bounded, "it grows"),
    (Unseeded, checks.check_reproducible, "another state"),
    (BelievesTheLast, checks.check_order_hardly_matters, "moves scores"),
    (NamesStrangers, checks.check_explanation_is_shares, "names what was not given"),
    (PartsOfTwo, checks.check_explanation_is_shares, "do not sum to 1"),
    (GrowsSuspicious, checks.check_scores_before_it_learns, "as odd as before"),
]


@pytest.fixture(autouse=True)
def _state_of_these(monkeypatch):
    for cls in (Plain, *(bad for bad, _, _ in BAD)):
        monkeypatch.setitem(state.CLASSES, f"{cls.__module__}.{cls.__qualname__}", cls)


def test_every_check_is_tried():
    assert {check for _, check, _ in BAD} == set(checks.LEARNING + checks.SCORING)


@pytest.mark.parametrize("check", checks.LEARNING + checks.SCORING, ids=lambda c: c.__name__)
def test_what_is_right_passes(check):
    check(Plain)


@pytest.mark.parametrize(("bad", "check", "message"), BAD, ids=lambda v: getattr(v, "__name__", ""))
def test_what_is_wrong_is_refused(bad, check, message):
    with pytest.raises((AssertionError, KeyError, ZeroDivisionError), match=message):
        check(bad)
