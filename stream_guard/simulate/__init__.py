"""Simulated traffic: honest accounts of many kinds and one hidden campaign, with the truth told apart.

For the demo, for tests, and for trying things: `stream-guard simulate hydra | stream-guard replay - --out DIR`.
Everything is drawn from one seed: no network, no files, no texts of real people. Two streams of one seed have the same
honest requests whatever campaign is hidden among them. The campaigns are described in `campaigns.SCENARIOS`, the honest
kinds in `honest`. The stream does not react by itself; `enforcement.Gateway` acts on decisions as a gateway would.
"""

import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from stream_guard.events import Release, RequestEvent
from stream_guard.simulate.campaigns import SCENARIOS, Plan, hide
from stream_guard.simulate.honest import populate
from stream_guard.simulate.people import DAY_S
from stream_guard.simulate.population import MODELS, NEW_MODEL, TAKERS, Account, Label, World

__all__ = ["SCENARIOS", "START", "Account", "Label", "Plan", "Scenario", "Traffic", "stream"]

START = 1_780_272_000.0
"""2026-06-01 00:00 UTC: where streams begin unless told otherwise."""


@dataclass(frozen=True)
class Scenario:
    """What to simulate.

    Attributes
    ----------
    name
        One of `SCENARIOS`.
    accounts
        Honest accounts, 1 to 1,000,000; the campaign's come on top.
    days
        Length of the stream in days; by default what suits the scenario.
    seed
        Where chance comes from: the same scenario gives the same stream.
    volume
        Scales what machines send (coders, applications, evaluations, aggregators).
    start
        First moment of the stream, seconds UTC; a midnight.
    hidden
        What to hide instead of what the name stands for.

    Raises
    ------
    ValueError
        No such scenario, or a number out of its limits.
    """

    name: str = "hydra"
    accounts: int = 2000
    days: float | None = None
    seed: int = 1
    volume: float = 1.0
    start: float = START
    hidden: Plan | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.name not in SCENARIOS:
            raise ValueError(f"no scenario {self.name!r}; there are {', '.join(SCENARIOS)}")
        if not 1 <= self.accounts <= 1_000_000:
            raise ValueError(f"accounts: {self.accounts} is not between 1 and 1,000,000")
        if not 0 < self.length_days <= 366:
            raise ValueError(f"days: {self.length_days} is not above 0 and at most 366")
        if not 0 < self.volume <= 100:
            raise ValueError(f"volume: {self.volume} is not above 0 and at most 100")

    @property
    def plan(self) -> Plan:
        """What is hidden."""
        return self.hidden or SCENARIOS[self.name]

    @property
    def length_days(self) -> float:
        """Length of the stream in days."""
        return self.plan.days if self.days is None else self.days


@dataclass
class Traffic:
    """A stream in the making: its accounts, and its requests in time order, made while they are read.

    Holds the accounts (some 5 KB each) and the times of one day. Read it once.

    Attributes
    ----------
    accounts
        All accounts, honest ones first, with their labels and how many requests each has made so far.
    """

    scenario: Scenario
    accounts: list[Account] = field(init=False)
    _worlds: tuple[World, World] = field(init=False, repr=False)

    CAMPAIGN = "campaign_0"

    def __post_init__(self) -> None:
        """Make the accounts."""
        of = self.scenario
        honest, hidden = (
            World(f"{part} {of.seed}", of.start, of.length_days, of.volume) for part in ("honest", of.name)
        )
        populate(honest, of.accounts)
        hide(hidden, of.plan, of.accounts, self.CAMPAIGN)
        for account in honest.accounts:  # by its name, so that chance stays as it is
            place = zlib.crc32(account.account_id.encode())
            if place % 1000 < 1000 * TAKERS:
                account.takes, account.takes_ts = 0.9, honest.release_ts + place % 48 * 3600.0
        self._worlds, self.accounts = (honest, hidden), honest.accounts + hidden.accounts

    @property
    def releases(self) -> tuple[Release, ...]:
        """Models that come out in it."""
        return (Release(self._worlds[0].release_ts, NEW_MODEL, MODELS[0]),)

    def __iter__(self) -> Iterator[tuple[RequestEvent, Label]]:
        """Make the requests, day by day."""
        day, end = self.scenario.start, self._worlds[0].end
        while day < end:
            due: list[tuple[float, Account, random.Random]] = []
            for world in self._worlds:
                for account in world.accounts:
                    due += [(at, account, world.rnd) for at in account.times(world.rnd, day)]
            due.sort(key=lambda one: one[0])
            for at, account, rnd in due:
                yield account.request(rnd, round(at, 3))
            day += DAY_S


def stream(scenario: Scenario) -> Iterator[tuple[RequestEvent, Label]]:
    """Yield the requests of a scenario in time order, each with the truth about it.

    Examples
    --------
    >>> event, label = next(stream(Scenario("hydra", accounts=100)))
    >>> event.ts >= START, label.campaign
    (True, None)
    """
    return iter(Traffic(scenario))
