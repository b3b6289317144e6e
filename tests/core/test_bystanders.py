"""Who stands apart from the members of a campaign by what it asks."""

import numpy as np
import pytest
from core_reports import DAY, T0, report, window
from test_registry import ONE, Population, gang, names

from stream_guard.campaigns.bystanders import BYSTANDER, USUAL, chances, distances
from stream_guard.campaigns.report import FACTS
from stream_guard.campaigns.settings import LinkSettings
from stream_guard.surprise import FEATURES, UNIT, UNKNOWN

MANY = LinkSettings(sightings_max=4096, accounts_max=8192, systems_max=1024, promoted_max=4096, first_sights=4096)


def asking(name, requests, shift=0.0, seed=0):
    """Return sightings of somebody: standings around `shift` standard deviations; None is nobody knows where."""
    if shift is None:
        return [(name, [], {"standing": UNKNOWN})] * requests
    draws = np.random.default_rng([sum(name.encode()), seed]).normal(shift, 1.0, (requests, len(FEATURES)))
    return [(name, [], {"standing": np.clip(np.rint(row * UNIT), -127, 127)}) for row in draws]


def distance_of(others, **somebody):
    """Return how far somebody stands from `others` accounts that ask alike, and how far these stand."""
    members = names("m", others)
    seen = [sighting for name in members for sighting in asking(name, 12, shift=1.0)]
    of = window(report(*seen, *asking("x", **somebody)), settings=MANY)
    rows = np.array([of.rows[name] for name in members])
    return float(distances(of, np.array([of.rows["x"]]), rows)[0]), distances(of, rows, rows)


@pytest.mark.parametrize(
    ("somebody", "least", "most"),
    [
        ({"requests": 12, "shift": 1.0}, 0.5, 1.3),  # asks as they do
        ({"requests": 1, "shift": 1.0}, 0.5, 1.5),
        ({"requests": 12, "shift": 0.0}, 1.7, 9.0),  # as everybody does
        ({"requests": 12, "shift": -1.0}, 4.0, 9.0),
        ({"requests": 1, "shift": -1.0}, 1.5, 3.0),  # one query says less
        ({"requests": 12, "shift": None}, USUAL, USUAL),
    ],
)
def test_who_asks_otherwise_stands_apart(somebody, least, most):
    mine, theirs = distance_of(20, **somebody)
    assert least <= mine <= most
    assert 0.6 < np.median(theirs) < 1.1
    assert theirs.max() < 1.7


def test_next_to_a_few_nobody_stands_apart():
    mine, theirs = distance_of(3, requests=12, shift=-3.0)
    assert mine == USUAL
    assert (theirs == USUAL).all()


def test_the_chance_grows_with_the_distance():
    facts = np.zeros(5, FACTS)
    chance = chances(facts, np.ones(5), 6.0, np.array([0.3, 0.5, 1.0, 1.8, 4.0]))
    assert chance[0] == chance[1] < 0.001
    assert (np.diff(chance[1:]) > 0).all()
    assert chance[2] < 0.01 < chance[3] < BYSTANDER < chance[4]


def told(name, requests, shift, ts=T0, seed=0):
    """Return the report of an account that carries the template of a campaign, and asks so."""
    seen = [
        (n, ONE, {**more, "limit": 8193, "model": 3, "ts": ts + k})
        for k, (n, _, more) in enumerate(asking(name, requests, shift, seed))
    ]
    facts = {
        "created_at": T0 - 2 * DAY,
        "tier": 2,
        "entitlement": 1e6,
        "tokens_day": 5e4,
        "day": 100.0,
        "mail": 5,
        "public_mail": 1,
    }
    return report(*seen, facts={name: facts}, ts=ts)


def test_who_asks_quite_unlike_the_members_is_not_linked_and_leaves():
    of = Population()
    members = names("g", 12)
    (record,) = of.take(*(told(name, 8, 1.0) for name in [*members, "late"]), told("x", 8, -2.0))
    assert set(record.accounts) == {*members, "late"}
    (record,) = of.take(*(told("late", 30, -2.0, T0 + 60 * k, seed=k) for k in range(1, 5)), ts=T0 + DAY / 4)
    assert record.removed == ("late",)


def test_without_standings_all_is_as_the_texts_say():
    of = Population()
    (record,) = of.take(gang(names("g", 12), ONE), told("x", 4, None))
    assert set(record.accounts) == {*names("g", 12), "x"}
