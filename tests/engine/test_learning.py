"""From whom it is learnt what is usual, how fast, and when that is a baseline."""

import numpy as np
import pytest

from stream_guard.accounts import ACCOUNT, SUSPECT
from stream_guard.engine.solo import BASELINE_MIN, BASELINE_S, LEARN_FROM, LEARN_MAX, SoloJudge

DAY = 86_400.0


def people(count, **fields):
    """Accounts as records, with a request rate that tells them apart."""
    rows = np.zeros(count, ACCOUNT)
    rows["requests"], rows["last_ts"], rows["day"] = 20, 1e9, np.arange(count)
    for name, value in fields.items():
        rows[name] = value
    return rows


def lessons(rows, quiet=0.0, steps=1):
    judge = SoloJudge()
    for step in range(steps):
        judge.learn_one(rows, 300.0 * step, quiet)
    return judge.learnt()[1]


TAUGHT = {
    "a whole step teaches one lesson": (lessons(people(100)), 1),
    "an empty one as many as it may": (lessons(people(100), 1.0), LEARN_MAX),
    "half a one half as many": (lessons(people(100), 0.5), 1 + (LEARN_MAX - 1) // 2),
    "nobody twice in a step": (lessons(people(3), 1.0), 3),
    "nobody who has hardly asked": (lessons(people(100, requests=LEARN_FROM - 1), 1.0), 0),
    "nobody who is suspected": (lessons(people(100, flags=SUSPECT), 1.0), 0),
    "step after step": (lessons(people(100), 0.0, 7), 7),
}


@pytest.mark.parametrize("case", TAUGHT)
def test_lessons(case):
    taught, expected = TAUGHT[case]

    assert taught == expected


def test_old_accounts_do_not_speak_for_all():
    judge = SoloJudge()
    for step in range(1000):
        judge.learn_one(people(100), float(step))

    assert judge.learnt()[0]["request_rate"][2] == pytest.approx(49.5, abs=8)


def learnt_for(seconds, count=2 * BASELINE_MIN):
    judge = SoloJudge()
    for step in range(count // LEARN_MAX + 1):
        judge.learn_one(people(100), 1.0 + seconds * step * LEARN_MAX / count, 1.0)
    return judge


def test_a_baseline_has_days_and_nights_in_it():
    hasty, patient = learnt_for(BASELINE_S / 2), learnt_for(BASELINE_S + DAY)
    few = learnt_for(BASELINE_S + DAY, BASELINE_MIN // 2)

    assert {of.shift for of in hasty.baseline().values()} == {None}
    assert {of.shift for of in few.baseline().values()} == {None}
    assert None not in {of.shift for of in patient.baseline().values()}


def test_the_baseline_stays_what_it_was():
    judge = learnt_for(BASELINE_S + DAY)
    raised = people(100)
    raised["day"] += 500
    for step in range(120):
        judge.learn_one(raised, 10 * DAY + step, 1.0)

    assert judge.baseline()["request_rate"].shift > 1


def test_no_drift_is_told_before_there_is_a_baseline():
    judge, drifts = SoloJudge(), []
    for step in range(150):
        drifts += judge.learn_one(people(100, minute=1.0 if step < 75 else 500.0), float(step), 1.0)

    assert drifts == []


def test_drift_is_told_once_there_is_one():
    judge, drifts = learnt_for(BASELINE_S + DAY), []
    for step in range(150):
        drifts += judge.learn_one(people(100, minute=500.0), 10 * DAY + step, 1.0)

    assert {drift.signal for drift in drifts} >= {"burst"}


def test_what_was_learnt_survives_a_restart():
    one, other = learnt_for(BASELINE_S + DAY), SoloJudge()
    other.restore(one.snapshot())

    assert other.learnt() == one.learnt()
    assert other.baseline() == one.baseline()
