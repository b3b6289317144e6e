"""The linear model: what it says at first, what analysts teach it, how far."""

import random

import pytest

from stream_guard.detectors import FeedbackModel

WEIGHTS = {"flatness": 1.0, "rate": 2.0, "template": 4.0}
BATCH_JOB = {"flatness": 0.9, "rate": 0.9}
HARVEST = {"rate": 0.5, "template": 0.9}


def test_before_any_feedback_the_shipped_weights_speak():
    model = FeedbackModel(WEIGHTS, intercept=-4.0)
    assert model.score_one({}) == pytest.approx(0.018, abs=0.001)
    assert model.score_one(HARVEST) == pytest.approx(0.646, abs=0.001)
    assert model.contributions(HARVEST) == {"rate": 1.0, "template": 3.6}
    assert model.explain_one(HARVEST) == pytest.approx({"rate": 1 / 4.6, "template": 3.6 / 4.6})


def test_what_lowers_the_score_is_told_as_negative():
    model = FeedbackModel({"age": -1.0, "rate": 3.0})
    assert model.explain_one({"age": 1.0, "rate": 1.0}) == {"age": -0.25, "rate": 0.75}


def test_analysts_teach_it_what_is_honest():
    model = FeedbackModel(WEIGHTS, intercept=-2.0)
    at_first = model.score_one(BATCH_JOB)
    rng = random.Random(1)
    for _ in range(60):
        model.learn_one({k: v * rng.uniform(0.8, 1.1) for k, v in BATCH_JOB.items()}, False)
        model.learn_one({k: v * rng.uniform(0.8, 1.1) for k, v in HARVEST.items()}, True)
    assert model.score_one(BATCH_JOB) < 0.6 * at_first
    assert model.score_one(HARVEST) > 0.85


@pytest.mark.parametrize("label", [True, False])
def test_one_feedback_moves_little(label):
    model = FeedbackModel(WEIGHTS, learning_rate=0.1)
    extreme = dict.fromkeys(WEIGHTS, 1e9)
    model.learn_one(extreme, label)
    assert all(abs(model.weights[name] - WEIGHTS[name]) <= 0.1 for name in WEIGHTS)


def test_all_feedback_together_moves_no_further_than_the_reach():
    model = FeedbackModel(WEIGHTS, reach=1.5)
    for _ in range(5000):
        model.learn_one(HARVEST, False)
    assert model.weights["template"] == pytest.approx(2.5, abs=0.2)
    assert all(abs(model.weights[name] - WEIGHTS[name]) <= 1.5 + 1e-9 for name in WEIGHTS)


def test_feedback_about_one_account_does_not_move_those_with_other_signals():
    model = FeedbackModel(WEIGHTS)
    before = model.score_one({"flatness": 1.0}), model.score_one({})
    for _ in range(100):
        model.learn_one({"template": 1.0}, False)
    assert (model.score_one({"flatness": 1.0}), model.score_one({})) == before


def test_weights_of_another_version_keep_what_was_learnt():
    model = FeedbackModel(WEIGHTS)
    for _ in range(10):
        model.learn_one({"rate": 1.0}, True)
    learnt = model.weights["rate"] - 2.0
    assert learnt > 0.1
    model.adopt({"rate": 3.0, "new": 1.0}, -5.0)
    assert model.weights == {"new": 1.0, "rate": pytest.approx(3.0 + learnt)}
    assert model.score_one({}) == pytest.approx(0.0067, abs=0.0001)


SMALL = {"harmless": -0.3, "rate": 0.2}


@pytest.mark.parametrize(
    ("label", "ends"), [(False, {"harmless": -2.3, "rate": 0.0}), (True, {"harmless": 0.0, "rate": 2.2})]
)
def test_no_feedback_turns_a_signal_around(label, ends):
    model = FeedbackModel(SMALL, intercept=0.0)
    for _ in range(5000):
        model.learn_one({"rate": 1.0}, label)
        model.learn_one({"harmless": 1.0}, label)
    assert model.weights == pytest.approx(ends, abs=0.5)
    assert min(model.weights["rate"], -model.weights["harmless"]) >= 0
    model.adopt({"harmless": -0.1, "rate": 0.1}, 0.0)
    assert min(model.weights["rate"], -model.weights["harmless"]) >= 0


def test_a_feature_may_speak_against_where_it_is_below_zero():
    model = FeedbackModel({"age": 1.0}, intercept=0.0, least=-1.0)
    assert model.contributions({"age": -7.0}) == {"age": -1.0}
    model.learn_one({"age": -1.0}, True)
    assert model.weights["age"] < 1.0


@pytest.mark.parametrize("weight", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(weight):
    with pytest.raises(ValueError, match="rate"):
        FeedbackModel({"rate": weight})
