"""What is usual, how far it has gone from the baseline, and how odd an account is among all others."""

import numpy as np
import pytest

from stream_guard import signals
from stream_guard.accounts import ACCOUNT, SUSPECT
from stream_guard.engine import AccountHalf, Baseline, Engine, EngineSettings, solo
from stream_guard.engine.solo import SoloJudge
from stream_guard.engine.verdicts import Verdict, pack_verdict
from stream_guard.events import AccountFacts, Feedback, RequestEvent
from stream_guard.signals import diversity, harvest


def people(count, seed=1):
    """Accounts that do nothing odd, as records."""
    rng = np.random.default_rng(seed)
    rows = np.zeros(count, ACCOUNT)
    rows["requests"], rows["last_ts"], rows["hours"] = 20, 1e9, rng.integers(0, 9, (count, 24))
    rows["day"] = rows["peak_hour"] = rng.uniform(10, 30, count)
    rows["likeness"], rows["single_turn"] = rng.uniform(0.1, 0.3, (2, count))
    return rows


def harvester():
    """An account that is unlike any of them in many ways at once."""
    row = people(1)
    for name in (
        "known_text",
        "near_duplicate",
        "single_turn",
        "length_limit",
        "many_samples",
        "logprobs",
        "format",
        "reasoning",
    ):
        row[name] = 1.0
    row["day"] = row["peak_hour"] = row["minute"] = row["output_day"] = 1e6
    return row


def learn(judge, rows):
    """Let a judge learn all of these accounts, two at a time as at the steps of an account half."""
    for at in range(0, len(rows), 2):
        judge.learn_one(rows[at : at + 2], float(at))
    return judge


def taught(rows):
    """A judge that has learnt all of these accounts."""
    return learn(SoloJudge(), rows)


def requests(count, account="acct-1"):
    return [
        RequestEvent(f"e{n}", 1.7e9 + 60 * n, account, "m", prompt=f"what is the capital of country number {n}, please")
        for n in range(count)
    ]


def test_what_ships_is_usual_until_traffic_has_spoken():
    shipped = {s.name: Baseline(float(s.quantiles[2]), None) for s in signals.SIGNALS}

    assert AccountHalf().baseline() == Engine().baseline() == shipped


def test_the_shift_follows_whoever_moves_what_is_usual():
    judge = taught(people(200))
    assert {of.shift for of in judge.baseline().values()} == {None}

    judge.freeze()
    still = judge.baseline()["request_rate"].shift
    raised = people(2000)
    raised["day"] *= 50
    learn(judge, raised)

    assert still == pytest.approx(0, abs=0.01)
    assert judge.baseline()["request_rate"].shift > 2
    assert abs(judge.baseline()["single_turn"].shift) < 1


@pytest.mark.parametrize(("name", "shift_stays"), [("first", True), ("after the release", False)])
def test_a_start_under_a_new_name_takes_what_is_usual_now_as_the_baseline(name, shift_stays):
    half = AccountHalf(EngineSettings())
    half._judge = taught(people(200))
    half._judge.freeze()
    raised = people(2000)
    raised["day"] *= 50
    learn(half._judge, raised)

    later = AccountHalf(EngineSettings(baseline=name))
    later.restore(half.snapshot())

    assert (later.baseline()["request_rate"].shift > 2) == shift_stays
    assert later.baseline()["request_rate"].usual == half.baseline()["request_rate"].usual


def test_the_view_of_an_account_has_every_signal():
    engine = Engine()
    engine.process(requests(30))

    view = engine.account("acct-1")

    assert [reading.signal for reading in view.signals] == [*signals.BY_NAME]
    assert all(0 <= reading.score <= 1 for reading in view.signals)


@pytest.mark.parametrize(
    "fewer", [diversity.SIGNALS, harvest.SIGNALS[:3], signals.SIGNALS[1:]], ids=["a kind", "three", "all but one"]
)
def test_state_of_a_version_with_other_signals_is_taken_up(monkeypatch, fewer):
    with monkeypatch.context() as old:
        old.setattr(signals, "SIGNALS", fewer)
        old.setattr(signals, "BY_NAME", {s.name: s for s in fewer})
        old.setattr(solo, "SIGNALS", fewer)
        judge = taught(people(1200))
        learnt = judge.baseline()[fewer[0].name].usual
        state = judge.snapshot()

    judge.restore(state)
    judge.learn_one(people(2), 1e9)

    assert judge.baseline().keys() == signals.BY_NAME.keys()
    assert judge.baseline()[fewer[0].name].usual == learnt
    assert [reading.signal for reading in judge.readings(harvester())[0]] == [*signals.BY_NAME]


def test_whom_an_analyst_calls_malicious_teaches_nothing_until_called_benign():
    half = AccountHalf()
    half.process(requests(30))
    suspects = []
    for label in ("malicious", "benign"):
        half.learn(Feedback(1.8e9, label, account_id="acct-1"))
        suspects.append(bool(half._accounts.state["flags"][0] & SUSPECT))

    assert suspects == [True, False]


def test_state_of_the_same_version_keeps_what_the_trees_have_learnt():
    judge = taught(people(1203))
    judge.learn(people(1)[0], malicious=True)
    back = SoloJudge()
    back.restore(judge.snapshot())

    assert back.readings(harvester()) == judge.readings(harvester())
    assert back.snapshot() == judge.snapshot()


# --- Poisoning and patience ---


def heavy(count, start=1.7e9, step=40.0, account="heavy"):
    return [
        RequestEvent(
            f"{account}{start}{n}", start + step * n, account, "m", prompt=f"write all that you think about item {n} of list {n * 7}", turn=0,
            max_tokens=8192, input_tokens=60, output_tokens=3000, account=AccountFacts(created_at=start - 86_400.0, tier="free", entitlement=5e4),
        )
        for n in range(count)
    ]  # fmt: skip


def test_the_decision_about_a_heavy_account_is_renewed_as_long_as_it_goes_on():
    engine = Engine(EngineSettings(shadow=False))
    acting = []
    events = heavy(7000)
    for at in range(0, len(events), 40):
        engine.process(events[at : at + 40])
        if engine.now > 1.7e9 + 86_400:
            decision = engine.check("heavy", engine.now)
            acting.append(decision is not None and decision.action == "throttle")

    assert sum(acting) > 0.99 * len(acting)


def test_who_was_released_from_a_campaign_teaches_again():
    half = AccountHalf(EngineSettings(shadow=False))
    half.process(requests(30))
    flags = []
    for members, removed in (((("acct-1", 0.95, 0.0),), ()), ((), ("acct-1",))):
        half.apply_verdict(pack_verdict(Verdict("ca_1", 1.7e9 + 1800, members, removed, ())))
        flags.append(bool(half._accounts.state["flags"][0] & SUSPECT))

    assert flags == [True, False]
