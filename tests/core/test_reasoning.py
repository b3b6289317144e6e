"""Reasoning items that cross accounts: who is joined by them, and who is not."""

import pytest
from core_reports import report, window

from stream_guard.campaigns.reasoning import ReasoningJoin
from stream_guard.errors import SnapshotError

# Items sent as (account, item, conversation), 0 for an unknown conversation: the sets of accounts that they join.
CASES = {
    "nothing": ([], []),
    "an account's own item": ([("a", 1, 7), ("a", 1, 8)], []),
    "two accounts, another conversation": ([("a", 1, 7), ("b", 1, 8)], ["ab"]),
    "two accounts, no conversation known": ([("a", 1, 0), ("b", 1, 0)], ["ab"]),
    "a fork: one conversation under two accounts": ([("a", 1, 7), ("b", 1, 7)], []),
    "two items of their own": ([("a", 1, 7), ("b", 2, 8)], []),
    "a chain is one set": ([("a", 1, 7), ("b", 1, 8), ("b", 2, 8), ("c", 2, 9)], ["abc"]),
    "a hub": ([("a", 1, 7), ("b", 1, 8), ("c", 1, 9), ("d", 1, 10)], ["abcd"]),
    "two sets": ([("a", 1, 7), ("b", 1, 8), ("c", 2, 7), ("d", 2, 8)], ["ab", "cd"]),
    "two sets that meet": ([("a", 1, 7), ("b", 1, 8), ("c", 2, 7), ("d", 2, 8), ("e", 1, 9), ("e", 2, 9)], ["abcde"]),
    "colleagues hand conversations on": ([("x1", 1, 7), ("x2", 1, 8)], []),
    "two organisations do not": ([("x1", 1, 7), ("y1", 1, 8)], [("x1", "y1")]),
    "one of them has none": ([("x1", 1, 7), ("a", 1, 8)], [("a", "x1")]),
}

FACTS = {**{name: {"org": 0} for name in "abcdef"}, "x1": {"org": 5}, "x2": {"org": 5}, "y1": {"org": 6}}


def joined(items, items_max=100, forget=""):
    of = window(report(facts=FACTS))
    joins = ReasoningJoin(items_max)
    joins.see([(of.rows[name], item, talk) for name, item, talk in items], of)
    joins.forget([of.rows[name] for name in forget])
    return joins, [sorted(of.names[row] for row in rows) for rows in joins.sets(2)], of


@pytest.mark.parametrize("case", CASES)
def test_who_is_joined(case):
    items, sets = CASES[case]
    assert joined(items)[1] == [sorted(names) for names in sets]


def test_crossings_are_counted_on_both_sides():
    joins, _, of = joined([("a", 1, 7), ("b", 1, 8), ("b", 1, 9), ("c", 1, 10)])
    assert {of.names[row]: n for row, n in joins.crossings.items()} == {"a": 3, "b": 2, "c": 1}


def test_the_oldest_items_are_forgotten():
    assert joined([("a", 1, 7), ("a", 2, 7), ("a", 3, 7), ("b", 1, 8)], items_max=2)[1] == []
    assert joined([("a", 1, 7), ("a", 2, 7), ("a", 3, 7), ("b", 3, 8)], items_max=2)[1] == [["a", "b"]]


FORGOTTEN = {  # of the chain a-b-c-d
    "the first": ("a", [["b", "c", "d"]]),
    "one in the middle": ("b", [["a", "c", "d"]]),
    "all but one": ("abc", []),
    "a stranger": ("f", [["a", "b", "c", "d"]]),
}


@pytest.mark.parametrize("case", FORGOTTEN)
def test_who_is_forgotten_leaves_the_others_joined(case):
    gone, sets = FORGOTTEN[case]
    chain = [("a", 1, 7), ("b", 1, 8), ("b", 2, 8), ("c", 2, 9), ("c", 3, 9), ("d", 3, 10)]
    joins, left, of = joined(chain, forget=gone)
    assert left == sets
    assert not {of.rows[name] for name in gone} & joins.crossings.keys()
    # An item of the forgotten accuses nobody: its row may be somebody else's by now.
    joins.see([(of.rows["e"], 1, 99)], of)
    assert (of.rows["e"] in joins.crossings) == ("a" not in gone)


def test_what_is_loaded_goes_on_as_what_was_dumped():
    one, _, of = joined([("a", 1, 7), ("b", 1, 8), ("b", 2, 8)])
    other = ReasoningJoin(100)
    other.load(one.dump())
    for joins in (one, other):
        joins.see([(of.rows["c"], 2, 11), (of.rows["d"], 9, 0)], of)
    assert other.dump() == one.dump()


@pytest.mark.parametrize("broken", [{"first": [[1]]}, {"joined": 3}, {"crossings": None}])
def test_a_state_that_does_not_fit_is_refused(broken):
    one = joined([("a", 1, 7), ("b", 1, 8)])[0]
    with pytest.raises(SnapshotError, match="reasoning"):
        ReasoningJoin(100).load({**one.dump(), **broken})
