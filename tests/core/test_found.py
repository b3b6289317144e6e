"""The whole engine on whole streams: what is hidden is found, and honest accounts are left alone.

These are floors, with room for noise: a change that loses detection fails here. Whoever makes detection better raises
them. `benchmarks/arena.py --set-floors` does it for the arena's.
"""

import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import pytest

from stream_guard import simulate
from stream_guard.engine import LIVE_S, Engine, EngineSettings, Outcome

PROJECT = Path(__file__).parents[2]
BATCH = 500
ACTING = ("throttle", "challenge", "degrade", "verify", "suspend")
HONEST_ACTED_ON_MAX = 0.005
NAMED_MIN = 3
"""Accounts of a campaign that one id holds, at least half of all it holds, from which the campaign is named."""


class Floor(NamedTuple):
    """What may not get worse."""

    requests: float  # an account of the campaign, on average, before it is named: at most
    linked: float  # share of its accounts that are in one campaign in the end: at least
    precision: float  # share of that campaign's accounts that are its: at least
    acted_on: float  # share of its accounts that were acted upon at any time: at least
    shape: str = "narrow"


FLOORS = {
    "solo": Floor(200, 1.0, 1.0, 1.0, "solo"),
    "focused": Floor(5, 0.95, 0.95, 0.95),
    "hydra": Floor(3, 0.95, 0.95, 0.9),
    "trickle": Floor(1, 0.9, 0.95, 0.85),
    "surge": Floor(250, 0.8, 0.9, 0.9),
    "relay": Floor(40, 0.9, 0.9, 0.9, "relay"),
    "replayed": Floor(5, 0.9, 0.95, 0.9),
    "succession": Floor(2, 0.95, 0.95, 0.9),
    "pivot": Floor(6, 0.95, 0.95, 0.9),
    "probing": Floor(25, 0.8, 0.95, 0.8),
}


def scenario(name):
    """Return one of the simulator's scenarios, somewhat shorter than it is."""
    return simulate.Scenario(name, accounts=400, seed=2, days=0.6 * simulate.SCENARIOS[name].days)


class Run:
    """A simulated stream through the engine, shadow mode off."""

    def __init__(self, of):
        traffic = simulate.Traffic(of)
        self.honest = {account.account_id for account in traffic.accounts if not account.label.campaign}
        self.guilty = {account.account_id for account in traffic.accounts if account.label.campaign}
        self.engine, self.out, self.members = Engine(EngineSettings(shadow=False)), Outcome(), defaultdict(set)
        self.sent, self.named_after = 0, None
        batch = []
        for event, _ in traffic:
            batch.append(event)
            self.sent += event.account_id in self.guilty
            if len(batch) == BATCH:
                self._see(self.engine.process(batch))
                batch = []
        self._see(self.engine.process(batch))
        self._see(self.engine.advance(self.engine.now + LIVE_S))
        self.acted_on = {decision.account_id for decision in self.out.decisions if decision.action in ACTING}
        self.best_id, self.best = max(self.members.items(), key=lambda c: len(c[1] & self.guilty), default=("", set()))

    def _see(self, news):
        self.out.extend(news)
        for campaign in news.campaigns:
            held = self.members[campaign.campaign_id]
            held -= set(campaign.removed)
            held |= set(campaign.accounts)
            ours = len(held & self.guilty)
            if self.named_after is None and ours >= min(NAMED_MIN, len(self.guilty)) and 2 * ours >= len(held):
                self.named_after = self.sent

    @property
    def requests(self):
        """Requests an account until the campaign had a name; all of them if it never had."""
        return (self.sent if self.named_after is None else self.named_after) / max(1, len(self.guilty))

    @property
    def linked(self):
        return len(self.best & self.guilty) / len(self.guilty)

    @property
    def precision(self):
        return len(self.best & self.guilty) / max(1, len(self.best))


@pytest.mark.parametrize("name", [name for name in simulate.SCENARIOS if name != "calm"])
def test_a_hidden_campaign_is_found(name):
    floor, run = FLOORS[name], Run(scenario(name))
    assert run.requests <= floor.requests
    assert run.linked >= floor.linked
    assert run.precision >= floor.precision
    assert len(run.acted_on & run.guilty) >= floor.acted_on * len(run.guilty)
    assert len(run.acted_on & run.honest) <= HONEST_ACTED_ON_MAX * len(run.honest)
    assert not any(decision.action == "suspend" for decision in run.out.decisions)
    assert floor.shape in {campaign.shape for campaign in run.out.campaigns if campaign.campaign_id == run.best_id}
    assert all(campaign.evidence for campaign in run.out.campaigns if not campaign.removed)


def test_where_nothing_is_hidden_nobody_is_acted_on():
    run = Run(scenario("calm"))
    assert len(run.acted_on) <= HONEST_ACTED_ON_MAX * len(run.honest)
    assert not any(campaign.shape != "solo" for campaign in run.out.campaigns)


def test_every_part_of_the_ablation_is_still_there_to_be_switched_off(tmp_path):
    command = [sys.executable, PROJECT / "benchmarks" / "ablation.py", tmp_path, "--arena", tmp_path, "--list"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr


# --- The arena ---

ARENA = PROJECT.parent / "shared" / "arena"


@pytest.mark.arena
@pytest.mark.skipif(not (ARENA / "make.py").exists(), reason="no arena (../shared/arena) beside the project")
def test_the_arena_s_small_suite_stays_above_its_floors(tmp_path):
    command = [sys.executable, PROJECT / "benchmarks" / "arena.py", tmp_path / "made", tmp_path / "found"]
    options = ["--arena", ARENA, "--suite", "smoke", "--seeds", "1", "--floors", PROJECT / "benchmarks" / "floors.toml"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
