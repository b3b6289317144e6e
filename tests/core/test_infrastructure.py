"""Accounts that share what they run on: what is found without any text, and which honest sharing is not."""

import random

import numpy as np
import pytest
from core_reports import DAY, T0, report, window

from stream_guard.campaigns import infrastructure
from stream_guard.campaigns.judge import Look
from stream_guard.campaigns.linking import Linker
from stream_guard.campaigns.reasoning import ReasoningJoin
from stream_guard.campaigns.registry import Registry
from stream_guard.campaigns.settings import LinkSettings
from stream_guard.campaigns.twins import Twins

SETTINGS = LinkSettings(sightings_max=8192, accounts_max=16384, systems_max=1024, promoted_max=4096, first_sights=4096)
HOUR = 3600.0
NOW = T0 + 12 * HOUR
EXITS = (71 << 8, 72 << 8, 73 << 8)


def hourly(rnd):
    """When a program asks: every hour, some time in it."""
    return [T0 + h * HOUR + rnd.random() * HOUR for h in range(12)]


def sessions(rnd):
    """When a person asks: in one or two sittings."""
    begins = [rnd.random() * 11 * HOUR for _ in range(rnd.randint(1, 2))]
    return [T0 + rnd.choice(begins) + k * 60 for k in range(rnd.randint(3, 14))]


def accounts(names, times, facts_of, **shows):
    """Report accounts without any text. `shows` are fields of their sightings: a value, or one of those in a tuple."""
    rnd = random.Random(names[0])
    seen, facts = [], {}
    for i, name in enumerate(names):
        facts[name] = facts_of(i, rnd)
        for ts in times(rnd):
            fields = {field: rnd.choice(value) if isinstance(value, tuple) else value for field, value in shows.items()}
            fields["ip"] = fields.get("ip", (1000 + hash_of(name)) << 8) | rnd.randint(1, 250)
            seen.append((name, [], {"ts": ts, **fields}))
    return report(*seen, facts=facts, ts=NOW)


def hash_of(name):
    return sum(ord(c) * 31**k for k, c in enumerate(name)) % 1_000_000


def person(i, rnd):
    """Somebody: an account of any age, a card and a mail of their own."""
    return {
        "created_at": T0 - rnd.uniform(5, 900) * DAY,
        "tier": rnd.randint(1, 3),
        "mail": 5,
        "public_mail": 1,
        "payment": rnd.getrandbits(31),
    }


def recent(i, rnd):
    """An account of the last days."""
    return {**person(i, rnd), "created_at": T0 - rnd.uniform(0.5, 5) * DAY, "tier": 2}


def population(count=200):
    names = [f"p{i}" for i in range(count)]
    return accounts(
        names, sessions, person, agent=(11, 12, 13, 14), limit=(513, 1025, 2049, 4097), model=(1, 3, 4), flags=(0, 1)
    )


def pool(size=12, prefix="x", times=hourly, facts_of=None, **shows):
    """A campaign's own: three cards, three exits, one program with one setting, made within a week."""
    names = [f"{prefix}{i}" for i in range(size)]
    own = {"agent": 77, "limit": 8193, "model": 3, "flags": 1, "ip": EXITS, **shows}
    return accounts(names, times, facts_of or (lambda i, rnd: {**recent(i, rnd), "payment": 900 + i % 3}), **own)


def found(*reports):
    """The accounts of each campaign that infrastructure gives away."""
    made = window(population(), *reports, settings=SETTINGS)
    clusters = infrastructure.clusters(made, SETTINGS, Linker(SETTINGS).one_customer)
    return [sorted(made.names[m] for m in cluster.members.tolist()) for cluster in clusters]


NAMES = sorted(f"x{i}" for i in range(12))


def test_a_pool_is_found_without_any_text():
    assert found(pool()) == [NAMES]


ONE_THING_LESS = {
    "cards of their own": {"facts_of": recent},
    "any output limit": {"limit": (513, 1025, 2049)},
    "a user agent that everybody has": {"agent": 11},
    "conversations": {"flags": (0, 1)},
}


@pytest.mark.parametrize("case", ONE_THING_LESS)
def test_is_found_with_one_thing_less_in_common(case):
    assert found(pool(**ONE_THING_LESS[case])) == [NAMES]


HONEST = {
    "people behind a carrier's network": pool(40, times=sessions, facts_of=person, agent=(11, 12, 13), limit=(513, 1025), model=(1, 3), flags=(0, 1), ip=EXITS[0]),
    "customers of a proxy provider": pool(30, times=sessions, facts_of=person, agent=(11, 12, 13), limit=(513, 1025), model=(1, 3), flags=(0, 1)),
    "a workshop: one room, one day, one notebook": pool(25, times=sessions, facts_of=lambda i, rnd: {**person(i, rnd), "created_at": T0 - DAY + i}, model=(1, 3), flags=(0, 1), ip=EXITS[0]),
    "a family with one card": pool(4, times=sessions, facts_of=lambda i, rnd: {**person(i, rnd), "payment": 900}, agent=(11, 12), flags=(0, 1), ip=EXITS[0]),
    "a reseller's card": pool(30, times=sessions, facts_of=lambda i, rnd: {**person(i, rnd), "payment": 900}, agent=(11, 12, 13), flags=(0, 1), ip=tuple((5000 + i) << 8 for i in range(200))),
    "one firm's machines": pool(facts_of=lambda i, rnd: {**recent(i, rnd), "payment": 900, "org": 8}),
    "a class": pool(30, facts_of=lambda i, rnd: {**recent(i, rnd), "payment": 900, "mail": 44, "public_mail": 0}),
    "firms' functions in one cloud": pool(20, facts_of=lambda i, rnd: {**person(i, rnd), "org": 50 + i, "mail": 60 + i, "public_mail": 0}, agent=(11, 12, 13), limit=(513, 1025, 2049), model=(1, 3, 4), ip=EXITS[:2]),
}  # fmt: skip


@pytest.mark.parametrize("case", HONEST)
def test_honest_sharing_is_no_campaign(case):
    assert found(HONEST[case]) == []


def test_whoever_shares_one_exit_with_a_pool_is_no_member():
    strangers = accounts(
        [f"s{i}" for i in range(3)], sessions, person, agent=12, limit=513, model=1, flags=0, ip=EXITS[0]
    )

    assert found(pool(), strangers) == [NAMES]


def test_what_everybody_shares_joins_nobody():
    seen = infrastructure.things(Look.over(window(population(), settings=SETTINGS)))
    programs = seen.kind == infrastructure.PROGRAM

    assert seen.bits[programs].max() < 1.5
    assert infrastructure.candidates(seen) == []


def test_the_rarer_the_more_it_says():
    def bits(size):
        seen = infrastructure.things(Look.over(window(population(), pool(size, ip=EXITS[0]), settings=SETTINGS)))
        return seen.bits[seen.kind == infrastructure.NETWORK].min()

    assert bits(5) > bits(12) > bits(40)


def test_a_window_without_facts_or_addresses_has_nothing():
    bare = report(*((f"a{i}", [], {"ip": 0, "agent": 0}) for i in range(9)))

    assert infrastructure.clusters(window(settings=SETTINGS), SETTINGS, Linker(SETTINGS).one_customer) == []
    assert infrastructure.clusters(window(bare, settings=SETTINGS), SETTINGS, Linker(SETTINGS).one_customer) == []


def test_the_registry_names_it_and_says_what_is_shared():
    made = window(population(), pool(), settings=SETTINGS)
    (campaign,) = Registry(SETTINGS).update(made, ReasoningJoin(10), Twins(64), NOW)

    assert sorted(campaign.accounts) == NAMES
    assert {"infrastructure"} <= {evidence.kind for evidence in campaign.evidence}


def test_every_feature_says_what_it_is():
    assert set(infrastructure.ABOUT) == set(infrastructure.FEATURES)
    assert np.isfinite(infrastructure.WEIGHTS).all()
