"""Whole streams in which everybody is honest: no more accounts are acted on by themselves than the budget of mistakes says."""

import itertools

import pytest

from stream_guard import simulate
from stream_guard.engine import EngineSettings
from stream_guard.engine.account_half import AccountHalf
from stream_guard.policy import PolicySettings, Step

BATCH = 1_000
EAGER = Step(enabled=True, enter=0.5, leave=0.3)
"""A throttle at the risk from which accounts are suspects, so that the budget is what stands between."""


@pytest.mark.parametrize(
    ("accounts", "volume", "seed"), [(100, 1.0, 11), (80, 3.0, 12), (400, 0.3, 13)], ids=["few", "machines", "people"]
)
def test_a_calm_stream_stays_within_the_budget(accounts, volume, seed):
    policy = PolicySettings(throttle=EAGER, solo_budget=20.0)
    half = AccountHalf(EngineSettings(shadow=False, policy=policy))
    traffic = simulate.Traffic(simulate.Scenario("calm", accounts, days=1.0, seed=seed, volume=volume))
    events, decisions = (event for event, _ in traffic), []
    while batch := list(itertools.islice(events, BATCH)):
        decisions += half.process(batch).decisions
        half.take_reports()
    acted = {decision.account_id for decision in decisions if decision.action == "throttle"}
    spending = half.budgets()["solo"]
    assert len(acted) == spending.spent <= spending.allowed == max(1.0, 20.0 * half.accounts_held / 10_000)
    assert half.budgets()["campaign"].spent == 0.0
