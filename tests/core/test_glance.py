"""A glance at what is new: it says when a look at everything is worth it, and who begins to carry a known campaign."""

import pytest
from core_reports import SMALL, crowd, gang, report, window
from core_requests import DAY, T0

from stream_guard.campaigns.linking import Linker
from stream_guard.campaigns.reasoning import ReasoningJoin
from stream_guard.campaigns.registry import Registry
from stream_guard.campaigns.twins import Twins

GANG = [f"g{i}" for i in range(12)]
PRINTS = list(range(101, 121))
NEW = {"created_at": T0 - 2 * DAY, "tier": 1, "entitlement": 1e6, "tokens_day": 5e5, "mail": 5, "public_mail": 1}
OLD = {
    "created_at": T0 - 900 * DAY,
    "tier": 4,
    "entitlement": 1e8,
    "tokens_day": 1e3,
    "org": 3,
    "mail": 77,
    "public_mail": 0,
}


def newcomers(*names, prints, facts):
    """One request each, as those of the gang are."""
    made = {"limit": 8193, "model": 3, "ts": T0 + 9} if facts is NEW else {"limit": 77, "model": 11, "flags": 0}
    return report(*[(name, prints, made) for name in names], facts=dict.fromkeys(names, facts), ts=T0 + 9)


NEWS = {  # what comes: is it worth a look at everything?
    "a campaign": (gang(GANG, PRINTS), True),
    "people who share nothing": (crowd(prefix="x"), False),
    "one customer": (gang(GANG, PRINTS, org=7), False),
    "too few": (gang(GANG[:4], PRINTS), False),
    "nothing": (report(), False),
}


@pytest.mark.parametrize("case", NEWS)
def test_a_campaign_that_begins_is_worth_a_look(case):
    news, expected = NEWS[case]
    of = window(crowd())
    since = of.taken
    of.take(news)
    assert Registry(SMALL).glance(of, since, T0 + 5) == ([], expected)
    assert bool(Linker(SMALL).clusters(of, [])) == expected


def known():
    """A window and a registry that know a campaign."""
    of, registry = window(crowd(), gang(GANG, PRINTS)), Registry(SMALL)
    (record,) = registry.update(of, ReasoningJoin(9), Twins(64), T0 + 5)
    assert set(record.accounts) == set(GANG)
    return of, registry


def test_what_is_known_is_no_news():
    of, registry = known()
    since = of.taken
    of.take(gang(GANG, PRINTS, ts=T0 + 50))
    assert registry.glance(of, since, T0 + 55) == ([], False)


JOINS = {  # who comes: who is linked
    "as the members are, the same text": (newcomers("a", "b", prints=PRINTS, facts=NEW), {"a", "b"}),
    "most of the text": (newcomers("a", prints=PRINTS[:12], facts=NEW), {"a"}),
    "hardly any of it": (newcomers("a", prints=[*PRINTS[:2], 7, 8, 9], facts=NEW), set()),
    "another text": (newcomers("a", prints=[7, 8, 9], facts=NEW), set()),
    "somebody who is vouched for and asks otherwise": (newcomers("a", prints=PRINTS, facts=OLD), set()),
    "a member": (newcomers("g0", prints=PRINTS, facts=NEW), set()),
}


@pytest.mark.parametrize("case", JOINS)
def test_who_begins_to_carry_a_campaign_is_linked_and_watched(case):
    news, who = JOINS[case]
    of, registry = known()
    since = of.taken
    of.take(news)
    joining = registry.linker.joining(of, registry.live, since)
    assert {of.names[m] for _, cluster in joining for m in cluster.members} == who
    assert all(cluster.doubtful.all() for _, cluster in joining)


def test_who_joins_is_told_once():
    of, registry = known()
    since = of.taken
    of.take(newcomers("a", prints=PRINTS[:12], facts=NEW))
    (record, *_), begun = registry.glance(of, since, T0 + 10)
    assert (record.accounts, record.size, begun) == (("a",), 13, False)
    assert sorted(registry.views[record.campaign_id].accounts) == sorted([*GANG, "a"])
    assert registry.glance(of, since, T0 + 11) == ([], False)


def test_who_mostly_asks_something_else_is_not_linked():
    of, registry = known()
    of.take(report(*[("busy", [5000 + i], {"ts": T0 + i}) for i in range(9)], facts={"busy": NEW}, ts=T0 + 8))
    since = of.taken
    of.take(newcomers("busy", prints=PRINTS, facts=NEW))
    assert registry.glance(of, since, T0 + 10) == ([], False)


def test_one_more_text_of_a_known_campaign_waits_for_a_look_at_everything():
    of, registry = known()
    since = of.taken
    of.take(gang([*GANG[:6], "n1", "n2", "n3"], list(range(201, 221)), ts=T0 + 50))
    assert registry.glance(of, since, T0 + 60) == ([], False)
