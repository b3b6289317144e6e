"""The budget of mistakes: how many honest accounts may be acted on, who is charged what, and what happens beyond it."""

import random

import pytest

from stream_guard.events import Feedback
from stream_guard.policy import Assessment, Policy, PolicySettings
from stream_guard.policy.wording import BUDGET, RARITY

DAY = 86_400.0
T0 = 20_000 * DAY
WEEK = 7 * DAY
ANYBODY = PolicySettings(solo_budget=10_000.0, min_budget=0.0)
"""Any risk is rare enough: only what is spent counts."""


def policy(**settings):
    return Policy(PolicySettings(**settings), shadow=False)


def solo(of, name, risk, known=0, ts=T0):
    decision = of.decide(Assessment(name, None, ts, risk), known)
    return decision and decision.action


def member(of, name, known=0, ts=T0, campaign="c1", bystander=0.0, risk=0.9):
    decision = of.decide(Assessment(name, None, ts, 0.1, campaign, risk, bystander=bystander), known)
    return decision and decision.action


def why(of, name, ts=T0):
    """Why nothing more is done to an account."""
    reasons = of.check(name, ts).reasons
    return [r.signal for r in reasons if r.signal in (BUDGET, RARITY) and r.text.startswith("would be acted on")]


@pytest.mark.parametrize(
    ("known", "budget", "least", "acted"),
    [
        (10_000, 5.0, 1.0, 5),
        (20_000, 5.0, 1.0, 10),
        (29_999, 1.0, 1.0, 2),
        (100, 1.0, 1.0, 1),  # few accounts: one blatant case, not many
        (100, 1.0, 3.0, 3),
        (0, 0.0, 0.0, 0),
    ],
)
def test_so_many_single_accounts_are_acted_on_in_a_window(known, budget, least, acted):
    of = policy(solo_budget=budget, min_budget=least)
    made = [solo(of, f"a{i:02}", 0.9999, known, T0 + i) for i in range(15)]
    assert made == ["throttle"] * acted + ["watch"] * (15 - acted)
    assert of.budgets(known)["solo"] == (acted, max(least, budget * known / 10_000))
    if acted:
        assert why(of, "a14", T0 + 20) == [BUDGET]
        assert solo(of, "a14", 0.9999, known, T0 + 20) is None, "held back is said once"
        assert solo(of, "a14", 0.9999, known, T0 + DAY) in (None, "watch"), "the next day has no budget of its own"
        assert solo(of, "a14", 0.9999, known, T0 + WEEK + 20) == "throttle", "the next window has"


def test_an_account_is_charged_once_however_often_it_is_acted_on():
    of = policy(min_budget=1.0)
    assert [solo(of, "a", 0.999, ts=T0 + i * DAY / 2) for i in range(8)] == ["throttle"] * 8
    assert of.budgets(0)["solo"].spent == 1.0
    assert solo(of, "b", 0.999, ts=T0 + DAY) == "watch"


@pytest.mark.parametrize(
    ("risk", "action"),
    [(0.79, "watch"), (0.82, "watch"), (0.84, "watch"), (0.91, "watch"), (0.93, "throttle"), (0.95, "throttle")],
)
def test_before_anything_is_learnt_the_shipped_tail_says_what_is_rare(risk, action):
    of = policy()
    assert solo(of, "a", risk) == action
    assert why(of, "a") == ([RARITY] if 0.8 <= risk < 0.92 else [])


@pytest.mark.parametrize(
    ("budget", "action"), [(0.1, "watch"), (0.5, "watch"), (1.0, "throttle"), (2.0, "throttle"), (10_000.0, "throttle")]
)
def test_the_operator_says_how_rare_is_rare(budget, action):
    assert solo(policy(solo_budget=budget), "a", 0.9) == action


def test_who_is_acted_on_stays_so_by_the_ladder_alone():
    of = policy()
    assert solo(of, "a", 0.95) == "throttle"
    assert solo(of, "a", 0.6, ts=T0 + 2 * 3600) is None


def test_members_of_campaigns_have_a_budget_of_their_own_and_are_charged_the_chance_that_they_are_honest():
    of = policy(min_budget=1.0)
    assert solo(of, "a", 0.999) == "throttle"
    assert [member(of, f"m{i}", bystander=0.3) for i in range(5)] == ["throttle"] * 3 + ["watch"] * 2
    assert why(of, "m4") == [BUDGET]
    assert of.budgets(0) == {"solo": (1.0, 1.0), "campaign": (pytest.approx(0.9), 1.0)}


def test_no_estimate_is_surer_than_one_in_a_thousand():
    of = policy(min_budget=0.01)
    assert [member(of, f"m{i}") for i in range(12)] == ["throttle"] * 10 + ["watch"] * 2


def test_a_single_account_that_turns_out_to_be_a_member_is_charged_as_one():
    of = policy(min_budget=1.0)
    assert solo(of, "a", 0.999) == "throttle"
    assert member(of, "a", ts=T0 + 60, bystander=0.25) == "throttle"
    assert of.budgets(0) == {"solo": (0.0, 1.0), "campaign": (0.25, 1.0)}
    assert solo(of, "b", 0.999, ts=T0 + 60) == "throttle"


@pytest.mark.parametrize(
    ("word", "spent", "next_action"),
    [(None, 1.0, "watch"), ("malicious", 0.0, "throttle"), ("benign", 1.0, "watch")],
)
def test_an_analyst_settles_what_is_charged_for_a_single_account(word, spent, next_action):
    of = Policy(ANYBODY.model_copy(update={"min_budget": 1.0}))
    assert solo(of, "a", 0.9) == "throttle"
    if word:
        of.learn(Feedback(T0 + 60, word, account_id="a"))
    assert of.budgets(0)["solo"].spent == spent
    assert solo(of, "b", 0.9, ts=T0 + 120) == next_action


@pytest.mark.parametrize(("word", "spent", "next_action"), [("malicious", 0.0, "throttle"), ("benign", 3.0, "watch")])
def test_an_analyst_settles_what_is_charged_for_a_campaign(word, spent, next_action):
    of = policy(min_budget=1.0)
    for i in range(3):
        assert member(of, f"m{i}", bystander=0.1) == "throttle"
    of.learn(Feedback(T0 + 60, word, campaign_id="c1"))
    assert of.budgets(0)["campaign"].spent == spent
    assert member(of, "other", campaign="c2", ts=T0 + 120) == next_action


def test_what_analysts_say_is_malicious_needs_no_budget():
    of = policy(min_budget=0.0, solo_budget=0.0)
    assert of.learn(Feedback(T0, "malicious", account_id="a"))[0].action == "throttle"
    assert solo(of, "a", 0.1, ts=T0 + DAY) == "throttle"
    assert of.budgets(0)["solo"] == (0.0, 0.0)


def test_a_restored_policy_has_spent_and_learnt_the_same():
    of, rng = policy(min_budget=2.5), random.Random(5)
    for i in range(400):
        solo(of, f"a{i % 150}", rng.random() ** 4, 150, T0 + i * 600)
        member(of, f"m{i % 40}", 150, T0 + i * 600, bystander=rng.random() / 10)
    twin = policy(min_budget=2.5)
    twin.restore(of.snapshot())
    assert twin.snapshot() == of.snapshot()
    assert twin.budgets(150) == of.budgets(150)
    assert [twin.honest_in_10k(r / 100, 150) for r in range(100)] == [
        of.honest_in_10k(r / 100, 150) for r in range(100)
    ]
