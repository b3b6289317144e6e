"""What the budget comes to on populations of which everybody is known to be honest: within chance of what was said."""

import math
import random

import pytest

from stream_guard.events import Feedback
from stream_guard.policy import Assessment, Policy, PolicySettings, Step
from stream_guard.policy.wording import BUDGET

DAY = 86_400.0
T0 = 20_000 * DAY
WEEK = 7 * DAY
EAGER = Step(enabled=True, enter=0.5, leave=0.3)
"""A throttle at the risk from which accounts are suspects: so that only the budget stands between them and an action."""
END = 20.0
FAR_BELOW = -4.5


def risk(log_odds):
    return 1.0 / (1.0 + math.exp(-log_odds))


def tail(rng, share, rate):
    """The highest log odds of an account in a week: a share of all has a tail from -4 that gets thinner with `rate`."""
    if rng.random() > share:
        return -6.0
    return END - (END + 4.0) * rng.random() ** (1.0 / rate)


MIXES = {  # what an honest account's highest risk in a week is
    "as shipped": lambda rng: tail(rng, 0.04, 21.0),
    "full of machines": lambda rng: tail(rng, 0.16, 21.0),
    "few machines": lambda rng: tail(rng, 0.013, 21.0),
    "machines run hotter": lambda rng: tail(rng, 0.04, 16.0),
    "a tail that ends sooner": lambda rng: tail(rng, 0.08, 30.0),
    "people and a crowd of batch jobs": lambda rng: (
        rng.gauss(-8.0, 1.5) if rng.random() > 0.03 else rng.gauss(-3.0, 1.2)
    ),
}


def week(policy, draw, accounts, number, rng, *, names="a", known=None):
    """Assess each account thrice within a week, the highest risk last; return who was to be acted on.

    Whoever stays far below the tail is left out, to save time: there is nothing to learn from it.
    """
    acted, ts = set(), T0
    drawn = ((rng.random() * WEEK, i, draw(rng)) for i in range(accounts))
    for at, i, peak in sorted(one for one in drawn if one[2] > FAR_BELOW):
        for below in (2.0, 0.7, 0.0):
            name, ts = f"{names}{i}", T0 + number * WEEK + at
            decision = policy.decide(Assessment(name, None, ts, risk(peak - below)), known or accounts)
            if decision and (decision.action == "throttle" or any(r.signal == BUDGET for r in decision.reasons)):
                acted.add(name)
        policy.advance(ts)
    return acted


def most(mean, chance=0.001):
    """The largest count that so many on average make plausible (Poisson, as the share is small)."""
    count, term = 0, math.exp(-mean)
    total = term
    while total < 1.0 - chance:
        count += 1
        term *= mean / count
        total += term
    return count


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize(("accounts", "budget"), [(20_000, 2.0), (3_000, 5.0)])
def test_no_more_honest_accounts_reach_what_is_acted_on_than_the_budget_says(mix, accounts, budget):
    policy, rng = Policy(PolicySettings(throttle=EAGER, solo_budget=budget)), random.Random(f"{mix} {accounts}")
    reached = [week(policy, MIXES[mix], accounts, number, rng) for number in range(3)]
    allowed = budget * accounts / 10_000
    assert policy.budgets(accounts)["solo"].spent <= max(1.0, allowed), "and whatever reaches it, no more are acted on"
    for acted in reached[1:]:  # the first week is ruled by what ships
        assert len(acted) <= most(allowed)


def test_who_attacks_without_a_name_does_not_make_attacks_usual():
    """One account in a hundred attacks and nobody says so: honest ones stay within the budget, and attacks are seen."""
    policy, rng = Policy(PolicySettings(throttle=EAGER, solo_budget=2.0)), random.Random(3)
    for number in range(2):
        attackers = week(policy, lambda rng: rng.gauss(3.5, 0.8), 100, number, rng, names="bad", known=10_000)
        honest = week(policy, MIXES["as shipped"], 10_000, number, rng)
        assert len(attackers) >= 90
        assert len(honest) <= most(2.0)


def test_a_population_that_changes_is_followed():
    policy, rng = Policy(PolicySettings(throttle=EAGER, solo_budget=3.0)), random.Random(4)
    before = policy.honest_in_10k(0.8, 10_000)
    for number in range(2):
        week(policy, MIXES["full of machines"], 10_000, number, rng)
    crowded = policy.honest_in_10k(0.8, 10_000)
    for number in range(2, 5):
        week(policy, MIXES["few machines"], 10_000, number, rng)
    calm = policy.honest_in_10k(0.8, 10_000)
    assert calm < before < crowded < 10 * before


@pytest.mark.parametrize("seen", ["nothing", "calm"])
def test_until_a_whole_window_was_seen_traffic_makes_nothing_rarer(seen):
    policy, rng = Policy(), random.Random(5)
    shipped = policy.honest_in_10k(0.9, 0)
    for i in range(20_000 if seen == "calm" else 0):
        policy.decide(Assessment(f"a{i}", None, T0 + rng.random() * WEEK / 2, 0.001), 20_000)
    assert policy.honest_in_10k(0.9, 20_000) == pytest.approx(shipped)


@pytest.mark.parametrize(("risk_", "acts"), [(0.9, False), (0.97, False), (0.99, True)])
def test_nobody_can_teach_that_the_most_blatant_account_is_usual(risk_, acts):
    """Thousands of accounts just below suspicion mask their like, but not everything."""
    policy = Policy()
    for i in range(2_000):
        policy.decide(Assessment(f"mask{i}", None, T0 + i, 0.49), 4_000)
    decision = policy.decide(Assessment("heavy", None, T0 + 3_000, risk_), 4_000)
    assert (decision.action == "throttle") == acts


def test_an_account_known_to_be_honest_counts_at_its_risk():
    policy = Policy(PolicySettings(min_budget=10.0))
    assert policy.decide(Assessment("batch", None, T0, 0.95), 1_000).action == "throttle"
    policy.learn(Feedback(T0 + 60, "benign", account_id="batch"))
    policy.decide(Assessment("batch", None, T0 + 120, 0.95), 1_000)
    actions = [policy.decide(Assessment(f"a{r}", None, T0 + 180, r), 1_000).action for r in (0.94, 0.99)]
    assert actions == ["watch", "throttle"], "nobody is acted on at a risk that an honest account is known to have"
    later = T0 + 120 + WEEK
    policy.advance(later)
    assert policy.decide(Assessment("b", None, later, 0.94), 1_000).action == "throttle"
