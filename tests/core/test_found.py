"""The whole engine on whole streams: what is hidden is found, and honest accounts are left alone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from stream_guard import simulate
from stream_guard.app.replay import replay
from stream_guard.engine import LIVE_S, Engine, EngineSettings, Outcome

BATCH = 2000
ACTING = ("throttle", "challenge", "degrade", "verify", "suspend")

FLOORS = {  # scenario: share of the campaign's accounts that is linked, share acted on, shape
    "solo": (1.0, 1.0, "solo"),
    "focused": (0.95, 0.95, "narrow"),
    "hydra": (0.9, 0.9, "narrow"),
    "trickle": (0.9, 0.9, "narrow"),
    "relay": (0.8, 0.5, "relay"),
    "replayed": (0.9, 0.9, "narrow"),
    "succession": (0.9, 0.9, "narrow"),
}
EARLY = {"solo", "focused", "hydra"}
"""Scenarios whose campaign is named before a quarter of its requests."""
HONEST_ACTED_ON_MAX = 0.005


class Run:
    """A simulated stream through the engine; `named_after` is the share of the campaign's requests until it had a name."""

    def __init__(self, scenario):
        self.traffic = simulate.Traffic(scenario)
        self.engine, self.out = Engine(EngineSettings(shadow=False)), Outcome()
        self.guilty, self.named_after, sent = set(), None, 0
        batch = []
        for event, label in self.traffic:
            batch.append(event)
            if label.campaign:
                self.guilty.add(event.account_id)
                sent += 1
            if len(batch) == BATCH:
                self._take(batch, sent)
                batch = []
        self._take(batch, sent)
        self.out.extend(self.engine.advance(self.engine.now + LIVE_S))
        self.named_after = (self.named_after if self.named_after is not None else sent) / max(1, sent)
        self.linked = {name for campaign in self.out.campaigns for name in campaign.accounts}
        self.acted_on = {decision.account_id for decision in self.out.decisions if decision.action in ACTING}
        self.honest = {account.account_id for account in self.traffic.accounts if not account.label.campaign}

    def _take(self, batch, sent):
        self.out.extend(self.engine.process(batch))
        if self.named_after is None and any(self.guilty & set(campaign.accounts) for campaign in self.out.campaigns):
            self.named_after = sent


@pytest.mark.parametrize("name", FLOORS)
def test_a_hidden_campaign_is_found(name):
    linked, acted_on, shape = FLOORS[name]
    run = Run(simulate.Scenario(name, accounts=400, seed=2))
    assert len(run.linked & run.guilty) >= linked * len(run.guilty)
    assert len(run.acted_on & run.guilty) >= acted_on * len(run.guilty)
    assert len(run.acted_on & run.honest) <= HONEST_ACTED_ON_MAX * len(run.honest)
    assert not any(decision.action == "suspend" for decision in run.out.decisions)
    assert shape in {campaign.shape for campaign in run.out.campaigns if run.guilty & set(campaign.accounts)}
    assert all(campaign.evidence for campaign in run.out.campaigns if not campaign.removed)
    if name in EARLY:
        assert run.named_after < 0.25


def test_where_nothing_is_hidden_nobody_is_acted_on():
    run = Run(simulate.Scenario("calm", accounts=400, seed=2))
    assert len(run.acted_on) <= HONEST_ACTED_ON_MAX * len(run.honest)
    assert not any(campaign.shape != "solo" for campaign in run.out.campaigns)


# --- The arena ---

ARENA = Path(__file__).parents[3] / "shared" / "arena"
NAMED_EARLY = ("solo-1", "focused-1", "hydra-1")


def arena_says(*command):
    """Run one of the arena's programs; returns what it printed."""
    program, *arguments = command
    return subprocess.run(
        [sys.executable, "-B", ARENA / program, *arguments], check=True, capture_output=True, cwd=ARENA, timeout=200
    ).stdout


@pytest.mark.arena
@pytest.mark.anyio
@pytest.mark.skipif(not (ARENA / "make.py").exists(), reason="no arena (../shared/arena) beside the project")
async def test_the_arena(tmp_path):
    made, found = tmp_path / "made", tmp_path / "found"
    arena_says("make.py", made, "--suite", "smoke", "--seeds", "1")
    for arena in sorted(made.iterdir()):
        await replay([str(arena / "events.jsonl")], found / arena.name, EngineSettings(shadow=False))
    score = json.loads(arena_says("score.py", "--suite", made, found, "--json"))
    for arena in NAMED_EARLY:
        for campaign in score["arenas"][arena]["campaigns"].values():
            assert campaign["named_after"] is not None, arena
            assert campaign["named_after"] < 0.25, arena
            assert campaign["linked_recall"] >= 0.8, arena
    harm = score["all"]["harm"]
    assert harm["acted_on"] <= HONEST_ACTED_ON_MAX * harm["accounts"], harm
    assert sum(kind["suspended"] for kind in score["all"]["benign"].values()) == 0
