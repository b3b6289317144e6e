"""What follows from what: tables of assessments and the decisions that they make."""

from dataclasses import dataclass

import pytest

from stream_guard.errors import SnapshotError
from stream_guard.events import Decision, Feedback, Reason
from stream_guard.policy import Assessment, Policy, PolicySettings, Step

HOUR, DAY = 3600.0, 86_400.0
T0 = 20_000 * DAY

SETTINGS = PolicySettings(
    watch=Step(enabled=True, enter=0.5, leave=0.3, duration_s=DAY),
    throttle=Step(enabled=True, enter=0.8, leave=0.5, duration_s=6 * HOUR),
    campaign_throttle=Step(enabled=True, enter=0.7, leave=0.4, duration_s=DAY),
    half_life_s=6 * HOUR,
    period_s=HOUR,
    allow_accounts=frozenset({"vip"}),
    allow_orgs=frozenset({"partner"}),
    solo_budget=10_000.0,  # tests of the budget of mistakes are in test_budget.py
    min_budget=100.0,
)
HARSH = SETTINGS.model_copy(
    update={
        "challenge": Step(enabled=True, enter=0.85, leave=0.6),
        "degrade": Step(enabled=True, enter=0.9, leave=0.65),
        "verify": Step(enabled=True, enter=0.95, leave=0.7),
        "suspend": Step(enabled=True, enter=0.98, leave=0.8),
    }
)


@dataclass
class At:
    """At `hours`, these risks are assessed; `then` is what is decided, None for nothing."""

    hours: float
    solo: float
    campaign: tuple[str, float] | None = None
    then: str | None = None
    account: str = "a"
    org: str | None = None


@dataclass
class Says:
    """At `hours`, an analyst says something; `then` is what is decided at once."""

    hours: float
    label: str
    then: tuple[str, ...] = ()
    account: str | None = "a"
    campaign: str | None = None


def brief(decision: Decision | None) -> str | None:
    """`throttle 0.2 c1`: the action, its limit, its campaign."""
    if decision is None:
        return None
    limit = "" if decision.limit_rpm is None else f" {decision.limit_rpm:g}"
    return f"{decision.action}{limit}{' ' + decision.campaign_id if decision.campaign_id else ''}"


def run(policy, steps):
    for step in steps:
        ts = T0 + step.hours * HOUR
        if isinstance(step, Says):
            word = Feedback(ts, step.label, account_id=step.account, campaign_id=step.campaign, analyst="ana")
            assert tuple(brief(d) for d in policy.learn(word)) == step.then, step
        else:
            campaign_id, campaign_risk = step.campaign or (None, 0.0)
            assessed = Assessment(step.account, step.org, ts, step.solo, campaign_id, campaign_risk)
            assert brief(policy.decide(assessed)) == step.then, step


STORIES = {
    "nothing is decided about the usual": [At(0, 0.0), At(1, 0.49)],
    "a risk is watched, once": [At(0, 0.5, then="watch"), At(1, 0.5), At(2, 0.6)],
    "a higher risk throttles": [At(0, 0.5, then="watch"), At(1, 0.8, then="throttle 0.2"), At(2, 0.9)],
    "straight to the throttle": [At(0, 0.95, then="throttle 0.2")],
    "between leave and enter an account stays where it is": [
        At(0, 0.8, then="throttle 0.2"),
        At(2, 0.55),
        At(2.9, 0.79),
    ],
    "to come back up takes the threshold of entering": [
        At(0, 0.8, then="throttle 0.2"),
        At(5, 0.1, then="watch"),
        At(5.5, 0.79),
        At(6, 0.8, then="throttle 0.2"),
    ],
    "a risk that is not seen again fades by half in six hours": [
        At(0, 0.8, then="throttle 0.2"),
        At(3, 0.0),  # 0.57
        At(4.5, 0.0, then="watch"),  # 0.48
        At(8, 0.0),  # 0.32
        At(9, 0.0, then="allow"),  # 0.28
        At(10, 0.0),
    ],
    "a campaign that accused of nothing withdraws nothing": [
        At(0, 0.9, then="throttle 0.2"),
        At(0.1, 0.9, ("c1", 0.1)),
        At(0.2, 0.1),
    ],
    "a step up needs no patience": [At(0, 0.5, then="watch"), At(0.001, 0.8, then="throttle 0.2")],
    "renewed when less than half is left and the risk persists": [
        At(0, 0.9, then="throttle 0.2"),
        At(2.9, 0.9),
        At(3.1, 0.9, then="throttle 0.2"),
        At(6, 0.9),
        At(6.2, 0.9, then="throttle 0.2"),
    ],
    "renewed by less than it takes to enter": [At(0, 0.8, then="throttle 0.2"), At(3.1, 0.6, then="throttle 0.2")],
    "what has expired begins anew": [At(0, 0.8, then="throttle 0.2"), At(6, 0.79, then="watch")],
    "a campaign throttles harder": [At(0, 0.1, ("c1", 0.7), then="throttle 0.01 c1")],
    "a campaign's risk below that is watched": [At(0, 0.1, ("c1", 0.69), then="watch c1")],
    "a risk without a campaign does not count as one": [At(0, 0.1, None)],
    "from solo to campaign": [At(0, 0.9, then="throttle 0.2"), At(0.1, 0.9, ("c1", 0.9), then="throttle 0.01 c1")],
    "who leaves a campaign is free at once": [
        At(0, 0.1, ("c1", 0.9), then="throttle 0.01 c1"),
        At(0.1, 0.1, then="allow c1"),
    ],
    "who leaves a campaign and is bad alone is throttled alone": [
        At(0, 0.9, ("c1", 0.9), then="throttle 0.01 c1"),
        At(0.1, 0.9, then="throttle 0.2"),
    ],
    "campaigns that merge do not make news": [
        At(0, 0.1, ("c1", 0.9), then="throttle 0.01 c1"),
        At(1, 0.1, ("c2", 0.9)),
    ],
    "a campaign's risk that falls is left after the period": [
        At(0, 0.1, ("c1", 0.71), then="throttle 0.01 c1"),
        At(0.5, 0.1, ("c1", 0.2)),
        At(6, 0.1, ("c1", 0.2), then="watch c1"),
    ],
    "the allowlist wins": [At(0, 1.0, ("c1", 1.0), account="vip"), At(1, 1.0, ("c1", 1.0), org="partner")],
    "the allowlist wins over an analyst": [Says(0, "malicious", account="vip"), At(1, 1.0, account="vip")],
    "an account whose organisation is allowlisted later is let go": [
        At(0, 1.0, then="throttle 0.2"),
        At(0.1, 1.0, org="partner", then="allow"),
        At(0.2, 1.0, org="partner"),
    ],
    "an analyst's benign lifts at once and holds": [
        At(0, 0.9, ("c1", 0.9), then="throttle 0.01 c1"),
        Says(0.1, "benign", then=("allow c1",)),
        At(0.2, 0.9, ("c1", 0.9), then="watch c1"),
        At(48, 1.0, ("c1", 1.0), then="watch c1"),
        At(31 * 24, 1.0, ("c1", 1.0), then="throttle 0.01 c1"),
    ],
    "an analyst's benign for a campaign frees its members and later ones": [
        At(0, 0.1, ("c1", 0.9), then="throttle 0.01 c1"),
        At(0, 0.1, ("c1", 0.9), account="b", then="throttle 0.01 c1"),
        At(0, 0.1, ("c2", 0.9), account="c", then="throttle 0.01 c2"),
        Says(1, "benign", account=None, campaign="c1", then=("allow c1", "allow c1")),
        At(2, 0.1, ("c1", 0.9)),
        At(2, 0.1, ("c1", 0.9), account="d"),
    ],
    "an analyst's malicious acts at once": [Says(0, "malicious", then=("throttle 0.01",)), At(1, 0.0)],
    "an analyst's malicious fades after a week": [
        Says(0, "malicious", then=("throttle 0.01",)),
        At(13, 0.0, then="throttle 0.01"),
        At(9 * 24, 0.0),
    ],
    "an analyst's malicious for a campaign acts on who is watched for it": [
        At(0, 0.1, ("c1", 0.6), then="watch c1"),
        Says(1, "malicious", account=None, campaign="c1", then=("throttle 0.01 c1",)),
        At(2, 0.1, ("c1", 0.1), account="b", then="throttle 0.01 c1"),
    ],
    "the last word counts": [
        Says(0, "malicious", then=("throttle 0.01",)),
        Says(1, "benign", then=("allow",)),
        At(2, 0.9, then="watch"),
    ],
    "words about nobody do nothing": [Says(0, "malicious", account=None)],
}


@pytest.mark.parametrize("story", STORIES, ids=lambda s: s.replace(" ", "-"))
def test_story(story):
    run(Policy(SETTINGS), STORIES[story])


@pytest.mark.parametrize("story", STORIES, ids=lambda s: s.replace(" ", "-"))
def test_story_with_a_restart_after_every_step(story):
    policy = Policy(SETTINGS)
    for step in STORIES[story]:
        run(policy, [step])
        state = policy.snapshot()
        policy = Policy(SETTINGS)
        policy.restore(state)
        assert policy.snapshot() == state


def test_no_step_down_within_the_period_however_fast_the_risk_falls():
    run(
        Policy(SETTINGS.model_copy(update={"half_life_s": 1.0})),
        [
            At(0, 0.51, then="watch"),
            At(0.5, 0.9, then="throttle 0.2"),
            At(1.4, 0.0),
            At(1.5, 0.4, then="watch"),
            At(2.4, 0.0),
            At(2.5, 0.0, then="allow"),
            At(2.6, 0.9, then="throttle 0.2"),
        ],
    )


@pytest.mark.parametrize(
    ("solo", "campaign", "then"),
    [
        (0.85, None, "challenge"),
        (0.9, None, "degrade"),
        (0.95, None, "verify"),
        (1.0, None, "verify"),  # nothing is suspended for what one account does by itself
        (0.1, ("c1", 0.98), "suspend c1"),
        (1.0, ("c1", 0.5), "verify c1"),
    ],
)
def test_steps_beyond_throttle_when_they_are_on(solo, campaign, then):
    run(Policy(HARSH), [At(0, solo, campaign, then=then)])


@pytest.mark.parametrize("campaign", [None, ("c1", 1.0)])
def test_nothing_beyond_throttle_by_default(campaign):
    policy = Policy(PolicySettings())
    run(policy, [At(0, 1.0, campaign, then=f"throttle {0.01 if campaign else 0.2}{' c1' if campaign else ''}")])


def decide(policy, ts, solo, account="a", known=0, reasons=()):
    return policy.decide(Assessment(account, None, ts, solo, reasons=reasons), known)


def test_shadow_is_a_field_and_the_default():
    shadow, live = Policy(), Policy(shadow=False)
    a, b = decide(shadow, T0, 0.9), decide(live, T0, 0.9)
    assert (a.shadow, b.shadow) == (True, False)
    assert (a.action, a.limit_rpm, a.expires_at) == (b.action, b.limit_rpm, b.expires_at)
    assert a.decision_id != b.decision_id, "other settings, another policy version"


def test_a_decision_says_everything():
    d = decide(Policy(SETTINGS), T0, 0.9)
    assert (d.ts, d.risk, d.expires_at, d.policy_version) == (T0, 0.9, T0 + 6 * HOUR, SETTINGS.policy_version)
    assert d.reasons == (Reason("solo_risk", 0.9, 0.0, 1.0, "risk", "the risk in all", inference=True),)
    assert d.clears_when == (
        "Clears when its risk stays below 0.5 (what is not seen again halves every 6 h), or an analyst says benign."
    )


def test_a_decision_supersedes_the_one_before():
    policy = Policy(SETTINGS)
    first, second = decide(policy, T0, 0.5), decide(policy, T0 + 1, 0.9)
    third = policy.learn(Feedback(T0 + 2, "benign", account_id="a"))[0]
    assert [first.supersedes, second.supersedes, third.supersedes] == [None, first.decision_id, second.decision_id]


def test_reasons_are_the_weightiest_and_their_shares_sum_to_one():
    settings = SETTINGS.model_copy(update={"max_reasons": 3})
    reasons = tuple(Reason(f"s{i}", 1.0, 0.0, share) for i, share in enumerate([0.1, 4.0, -2.0, 2.0, 2.0, 0.0]))
    told = decide(Policy(settings), T0, 0.9, reasons=reasons).reasons
    assert [(r.signal, r.share) for r in told] == [("s1", 0.5), ("s3", 0.25), ("s4", 0.25)]


def test_same_assessments_same_ids_in_another_process():
    assert decide(Policy(SETTINGS), T0, 0.9).decision_id == decide(Policy(SETTINGS), T0, 0.9).decision_id
    assert SETTINGS.policy_version == PolicySettings(**SETTINGS.model_dump(exclude_defaults=True)).policy_version


def test_check_answers_until_the_expiry():
    policy = Policy(SETTINGS)
    d = decide(policy, T0, 0.9)
    assert [policy.check("a", T0 + h * HOUR) for h in (0, 5.99, 6, 7)] == [d, d, None, None]
    assert policy.check("b", T0) is None


def test_advance_drops_what_is_over_and_says_what():
    policy = Policy(SETTINGS)
    throttled, watched = decide(policy, T0, 0.9, "a"), decide(policy, T0, 0.5, "b")
    assert policy.advance(T0 + HOUR) == []
    assert policy.advance(T0 + 6 * HOUR) == [throttled]
    assert policy.advance(T0 + 2 * DAY) == [watched]
    assert len(policy) == 0


def test_an_event_that_is_late_is_decided_as_of_now():
    policy = Policy(SETTINGS)
    first = decide(policy, T0, 0.9)
    policy.advance(T0 + 6 * HOUR)
    late = decide(policy, T0 + 1, 0.9)
    assert late.ts == T0 + 6 * HOUR
    assert late.decision_id != first.decision_id


def test_other_settings_take_over_with_the_next_assessment():
    policy = Policy(SETTINGS)
    first = decide(policy, T0, 0.9)
    other = Policy(SETTINGS.model_copy(update={"limit_rpm": 5.0}))
    other.restore(policy.snapshot())
    assert other.check("a", T0 + 1) == first
    assert brief(decide(other, T0 + 1, 0.9)) == "throttle 5"


def test_an_account_that_is_put_on_the_allowlist_is_free_at_once():
    policy = Policy(SETTINGS)
    first = decide(policy, T0, 0.9)
    other = Policy(SETTINGS.model_copy(update={"allow_accounts": frozenset({"a"})}))
    other.restore(policy.snapshot())
    assert other.check("a", T0 + 1) is None
    freed = decide(other, T0 + 1, 0.9)
    assert (freed.action, freed.supersedes, freed.reasons[0].text) == (
        "allow",
        first.decision_id,
        "it is on the allowlist",
    )


def test_the_caller_may_know_of_the_allowlist():
    policy = Policy(SETTINGS)
    assert policy.decide(Assessment("a", None, T0, 1.0, allowlisted=True)) is None
    assert policy.learn(Feedback(T0, "malicious", account_id="a"), allowlisted=True) == []
    assert policy.learn(Feedback(T0, "malicious", account_id="b"), "partner") == []
    assert len(policy) == 0


def test_memory_is_bounded_and_watches_give_way():
    policy = Policy(SETTINGS.model_copy(update={"max_decisions": 10, "min_budget": 1000.0}))
    for i in range(10):
        assert decide(policy, T0 + i, 0.5, f"w{i}")
    assert decide(policy, T0 + 60, 0.9, "early") is None, "a watch is not given up within its period"
    for i in range(10):
        assert decide(policy, T0 + 2 * HOUR + i, 0.9, f"t{i}").action == "throttle"
    assert decide(policy, T0 + 4 * HOUR, 0.9, "one more") is None, "throttles do not give way"
    assert decide(policy, T0 + 9 * HOUR, 0.9, "one more").action == "throttle"
    assert len(policy) <= 10


@pytest.mark.parametrize("risk", [float("nan"), -0.1, 1.1, float("inf")])
@pytest.mark.parametrize("field", ["solo_risk", "campaign_risk"])
def test_risks_that_are_none_are_refused(risk, field):
    policy = Policy(SETTINGS)
    with pytest.raises(ValueError, match=f"{field} of a is"):
        policy.decide(Assessment(**{"account_id": "a", "org_id": None, "ts": T0, "solo_risk": 0.9, field: risk}))
    assert len(policy) == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"watch": {"enter": 0.4, "leave": 0.5}}, "leave .0.5. must not be above enter"),
        (
            {"throttle": {"enabled": True, "enter": 0.8, "leave": 0.5, "duration_s": 60.0}},
            "throttle.duration_s .60.0. must not",
        ),
        ({"throtle": {}}, "Extra inputs"),
        ({"watch": {"enter": 1.5}}, "less than or equal to 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        PolicySettings.model_validate(settings)


@pytest.mark.parametrize("state", [b"", b"\x80", b"\xc1", b"junk", Policy().snapshot()[:-1], b"\x81\xa7version\x09"])
def test_a_damaged_snapshot_is_refused_and_changes_nothing(state):
    policy = Policy(SETTINGS)
    decide(policy, T0, 0.9)
    before = policy.snapshot()
    with pytest.raises(SnapshotError):
        policy.restore(state)
    assert policy.snapshot() == before
