"""Siblings: clusters without a text or an account in common that are run as one, and others that only look like it."""

import numpy as np
import pytest
from core_reports import crowd, gang, window
from core_requests import DAY, T0

from stream_guard.campaigns.linking import Linker
from stream_guard.campaigns.settings import LinkSettings
from stream_guard.campaigns.siblings import Profile, alike

SETTINGS = LinkSettings(promoted_max=1 << 16, first_sights=1 << 16)
ONE = Profile(limit=8193, model=3, rate=3.2, spread=0.3, start=T0, coverage=0.7)

OTHERS = {  # what is different: (profile, whether it is run as the first one is)
    "nothing": ({}, True),
    "a little of everything": ({"rate": 3.4, "spread": 0.5, "start": T0 + 3600, "coverage": 0.4}, True),
    "another limit": ({"limit": 4097}, False),
    "no setting of its own": ({"limit": 0}, False),
    "another model": ({"model": 1}, False),
    "twice the quota": ({"rate": 3.9}, False),
    "no quota": ({"spread": 0.9}, False),
    "too few requests to tell": ({"rate": 0.9}, False),
    "begun hours later": ({"start": T0 + 7200}, False),
    "nothing but the campaign": ({"coverage": 1.2}, False),
}


@pytest.mark.parametrize("case", OTHERS)
def test_two_are_run_as_one_if_all_of_it_is_alike(case):
    fields, same = OTHERS[case]
    assert alike(ONE, ONE._replace(**fields)) is alike(ONE._replace(**fields), ONE) is same


def test_nobody_without_a_setting_is_like_another():
    nobody = ONE._replace(limit=0)
    assert not alike(nobody, nobody)


FIRST, SECOND = list(range(1, 15)), list(range(101, 115))


def found(**second):
    names = [[f"{pool}{i}" for i in range(12)] for pool in "ab"]
    of = window(crowd(60), gang(names[0], FIRST), gang(names[1], SECOND, **second))
    return [len(cluster.members) for cluster in Linker(SETTINGS).clusters(of, [])]


def test_two_pools_with_a_text_each_are_one_cluster():
    assert found() == [24]


def test_two_pools_that_began_at_different_times_are_two():
    assert found(ts=T0 + DAY / 2) == [12, 12]


def test_what_is_said_of_two_is_said_of_all_their_members():
    of = window(crowd(60), gang([f"a{i}" for i in range(12)], FIRST), gang([f"b{i}" for i in range(12)], SECOND))
    (cluster,) = Linker(SETTINGS).clusters(of, [])
    assert np.array_equal(cluster.members, np.unique(cluster.members))
    assert set(cluster.prints.tolist()) == {*FIRST, *SECOND}
    assert len(cluster.coverage) == len(cluster.carried) == len(cluster.doubtful) == 24
    assert set(of.held()["account"][cluster.sightings]) == set(cluster.members.tolist())
