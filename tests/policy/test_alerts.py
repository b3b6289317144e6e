"""Alerts: who is told what, how often, how loudly."""

import re

import pytest

from stream_guard.errors import SnapshotError
from stream_guard.events import Campaign, Decision, Evidence, Reason
from stream_guard.policy import ATLAS, INDICATORS, Alerts, AlertSettings, reasons_of
from stream_guard.policy.alerts import SPEAKING
from stream_guard.policy.wording import BUDGET

DAY = 86_400.0
T0 = 20_000 * DAY
REASONS = (Reason("flatness", 0.97, 0.6, 0.7, "share", "flat"), Reason("request_rate", 2500.0, 8.0, 0.3, "1/d"))


def decision(action="throttle", ts=T0, risk=0.9, account="a", campaign=None, reasons=REASONS, **more):
    return Decision(f"de_{ts}", ts, account, action, risk, reasons, "po", shadow=False, campaign_id=campaign, **more)


def campaign(size=6, ts=T0, name="ca_1", **more):
    evidence = (
        Evidence("template", "all ask the same", size, 0.9, example_accounts=("a2",)),
        Evidence("reasoning", "items copied", 2, 1.0),
        Evidence("judgement", "one hand", size, 7.0, inference=True),
    )
    return Campaign(name, ts, ("a",), size, 0.9, "narrow", 1200, T0, evidence, **more)


@pytest.mark.parametrize(
    ("made", "severity"),
    [
        (decision("allow"), None),
        (decision("watch"), "info"),
        (decision("throttle"), "warning"),
        (decision("throttle", risk=0.95), "critical"),
        (decision("verify"), "warning"),
        (decision("suspend"), "critical"),
        (decision("watch", campaign="ca_1"), None),  # the alert of the campaign says it
        (decision("throttle", campaign="ca_1"), None),
        (decision("suspend", campaign="ca_1"), "critical"),
    ],
    ids=lambda v: getattr(v, "action", str(v)),
)
def test_severity_of_a_decision(made, severity):
    alert = Alerts().of_decision(made)
    assert (alert.severity if alert else None) == severity


@pytest.mark.parametrize(("size", "severity"), [(6, "warning"), (24, "warning"), (25, "critical"), (4000, "critical")])
def test_severity_of_a_campaign(size, severity):
    assert Alerts().of_campaign(campaign(size)).severity == severity


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ([(0, "throttle", 0.9), (1, "throttle", 0.9), (3600, "verify", 0.9)], [0]),
        ([(0, "watch", 0.6), (1, "throttle", 0.9), (2, "watch", 0.6), (3, "throttle", 0.97)], [0, 1, 3]),
        ([(0, "throttle", 0.9), (DAY - 1, "throttle", 0.9), (DAY, "throttle", 0.9)], [0, DAY]),
        ([(DAY, "throttle", 0.9), (DAY - 5, "throttle", 0.9)], [DAY]),  # a late one opens no day anew
        ([(0, "throttle", 0.97), (1, "throttle", 0.9)], [0]),
    ],
)
def test_once_a_day_unless_it_gets_worse(steps, told):
    alerts = Alerts()
    made = [alerts.of_decision(decision(action, T0 + at, risk)) for at, action, risk in steps]
    assert [a.ts - T0 for a in made if a] == told
    assert len({a.alert_id for a in made if a}) == len(told)


def test_subjects_do_not_silence_each_other():
    alerts = Alerts()
    assert all(
        [
            alerts.of_decision(decision(account="a")),
            alerts.of_decision(decision(account="b")),
            alerts.of_campaign(campaign()),
        ]
    )


def test_a_restart_repeats_nothing_and_a_repeat_has_the_same_id():
    alerts = Alerts()
    before = alerts.snapshot()
    first = alerts.of_decision(decision())
    restarted = Alerts()
    restarted.restore(alerts.snapshot())
    assert restarted.of_decision(decision(ts=T0 + 1)) is None
    restarted.restore(before)
    assert restarted.of_decision(decision()) == first


def test_what_a_person_reads():
    alert = Alerts().of_decision(decision(limit_rpm=2.0, clears_when="Clears when it stops."))
    assert alert.summary == (
        "Account a is throttled to 2 requests a minute, risk 0.90: flatness 0.97 share where 0.6 is usual, 70% (flat); "
        "request_rate 2.5e+03 1/d where 8 is usual, 30%."
    )
    assert (alert.reasons, alert.clears_when, alert.links) == (REASONS, "Clears when it stops.", ("/v1/accounts/a",))


def test_shadow_is_said():
    shadowed = Decision("de", T0, "a", "throttle", 0.9, REASONS, "po", shadow=True, limit_rpm=2.0)
    assert "in shadow (nothing is done)" in Alerts().of_decision(shadowed).summary


def test_a_campaign_says_how_many_and_why():
    alert = Alerts().of_campaign(campaign(40, indicators=("AA26-251A.9",), models=("large-4",), share=0.75))
    assert alert.summary == (
        "40 accounts act as one (ca_1, narrow, risk 0.90, first seen 2024-10-04 00:00 UTC). At least 1,200 requests carry it, 75% of what "
        "they send, to large-4. Counted: all ask the same; items copied. Concluded: one hand. Speaks of: reasoning elicitation "
        "(AA26-251A.7), a new model within 24 hours (AA26-251A.9). For example a2, a."
    )
    assert alert.indicators == ("AA26-251A.7", "AA26-251A.9")
    assert alert.atlas == tuple(ATLAS)
    assert sum(r.share for r in alert.reasons) == pytest.approx(1.0)
    assert [(r.signal, r.inference) for r in alert.reasons] == [
        ("template", False),
        ("reasoning", False),
        ("judgement", True),
    ]
    assert (alert.example_accounts, alert.severity) == (("a2", "a"), "critical")
    assert alert.clears_when.startswith("An account leaves when it sends neither its text nor reasoning items")


SAID = (Evidence("template", "one text", 6, 0.9), Evidence("succession", "pool two", 3, 0.5, since=T0))


def test_what_accuses_carries_the_risk_and_what_is_told_besides_does_not():
    made = Campaign("ca_1", T0, ("a",), 6, 0.9, "narrow", 10, T0, SAID)
    assert [(r.signal, r.share) for r in reasons_of(made)] == [("template", 1.0), ("succession", 0.0)]


def test_a_second_pool_is_told_of_though_the_campaign_was_on_that_day():
    alerts = Alerts()
    first, again, second = (
        campaign(),
        campaign(ts=T0 + 60),
        Campaign("ca_1", T0 + 90, ("b",), 6, 0.9, "narrow", 10, T0, SAID),
    )
    made = [alerts.of_campaign(c) for c in (first, again, second, second)]
    assert [a.kind if a else None for a in made] == ["campaign", None, "succession", None]
    assert made[2].indicators == ("AA26-251A.8",)


def test_a_campaign_that_has_ended_raises_nothing():
    assert Alerts().of_campaign(Campaign("ca_1", T0, (), 0, 0.9, "narrow", 0, T0, SAID, removed=("a",))) is None


ATLAS_BY_SIZE = {1: 2, 6: 3, 25: 4}


@pytest.mark.parametrize("size", ATLAS_BY_SIZE)
def test_every_campaign_has_its_ids_a_text_and_what_clears_it(size):
    shape = "solo" if size == 1 else "narrow"
    told = Alerts().describe(Campaign("ca_1", T0, ("a",), size, 0.9, shape, 10, T0, SAID))
    assert len(told.atlas) == ATLAS_BY_SIZE[size]
    assert told.indicators == ("AA26-251A.8",)
    assert "Counted: one text; pool two." in told.summary
    assert "analyst says that it is benign" in told.clears_when


def test_a_spent_budget_is_said_once_and_alerts_go_on():
    alerts, held_back = Alerts(), (*REASONS, Reason(BUDGET, 2.0, 2.0, 0.0))
    made = [alerts.of_decision(decision("watch", account=name, reasons=held_back)) for name in "abc"]
    assert [(a.kind, a.severity, a.account_id) for a in made] == [
        ("budget", "warning", "a"),
        ("watch", "warning", "b"),
        ("watch", "warning", "c"),
    ]
    assert (
        "single accounts is spent (2 honest accounts of 2): a and whoever follows are only watched" in made[0].summary
    )


def test_drift_is_information():
    alert = Alerts().of_drift("request_rate", T0, 8.0, 12.0, "1/d")
    assert (alert.severity, alert.kind) == ("info", "drift")
    assert "mean of request_rate went from 8 to 12 1/d" in alert.summary


def test_ids_of_the_advisory_and_of_atlas():
    assert list(INDICATORS) == [f"AA26-251A.{i}" for i in range(1, 11)]
    assert set(SPEAKING.values()) == set(INDICATORS), "each indicator has a signal or a kind of evidence"
    assert all(re.fullmatch(r"AML\.T\d{4}(\.\d{3})?", name) for name in ATLAS)


def test_memory_is_bounded():
    alerts = Alerts(AlertSettings(max_subjects=10))
    for i in range(1000):
        assert alerts.of_decision(decision(account=f"a{i}"))
    assert len(alerts.snapshot()) < 300


@pytest.mark.parametrize("state", [b"", b"\x80", b"junk", Alerts().snapshot()[:-1]])
def test_a_damaged_snapshot_is_refused(state):
    with pytest.raises(SnapshotError):
        Alerts().restore(state)
