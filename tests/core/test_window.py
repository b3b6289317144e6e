"""The population's window: when a fingerprint is promoted, how its spread is counted, and that all of it is bounded."""

import numpy as np
import pytest
from core_reports import SMALL, report, window
from core_requests import DAY, T0

from stream_guard.campaigns.report import pack, unpack
from stream_guard.campaigns.settings import LinkSettings
from stream_guard.campaigns.window import KMV, Window, find, spread
from stream_guard.errors import SnapshotError


def shown_by(of, fingerprint):
    """How many accounts the window says show a fingerprint; 0 before it is promoted."""
    slot = find(of.keys, np.uint32(fingerprint))
    return spread(of.kmv[slot]) if of.keys[slot] == fingerprint else 0


# --- Fingerprints ---

PROMOTED = {  # who shows fingerprint 77, in order: by how many it is shown then
    "nobody": ([], 0),
    "one account": (["a"], 0),
    "one account again and again": (["a"] * 50, 0),
    "two accounts": (["a", "b"], 2),
    "two accounts in turns": (["a", "b", "a", "b"], 2),
    "seven": (list("abcdefg"), 7),
    "seven, often": (list("abcdefg") * 9, 7),
}


@pytest.mark.parametrize("case", PROMOTED)
def test_a_fingerprint_is_promoted_by_its_second_account(case):
    who, count = PROMOTED[case]
    assert shown_by(window(report(*[(name, [77]) for name in who])), 77) == count
    assert shown_by(window(*[report((name, [77])) for name in who]), 77) == count


@pytest.mark.parametrize("accounts", [8, 20, 100, 1000])
def test_the_spread_is_estimated_beyond_its_sample(accounts):
    # Of a sample of eight the standard error is 1 / sqrt(6); over many fingerprints the mean is close.
    prints = list(range(1, 16))
    many = [
        window(*[report(*[(f"{run} {i}", prints) for i in range(part, accounts, 4)]) for part in range(4)])
        for run in range(12)
    ]
    assert np.mean([shown_by(of, 3) for of in many]) == pytest.approx(accounts, rel=0.35)


def test_a_system_text_counts_once_an_account():
    of = window(
        report(*[("a", [], {"system": 9})] * 5, systems={9: [77, 78]}),
        report(("b", [], {"system": 9}), systems={9: [77, 78]}),
    )
    assert (shown_by(of, 77), shown_by(of, 78)) == (2, 2)


def test_the_table_of_promoted_fingerprints_grows():
    of, count = Window(LinkSettings(sightings_max=1024, accounts_max=2048)), 20_000
    for at in range(1, count, 400):
        prints = [list(range(at + i, at + i + 20)) for i in range(0, 400, 20)]
        of.take(report(*[(name, some) for some in prints for name in "ab"]))
    assert of.used == (of.keys != 0).sum()
    assert 0.999 * count <= of.used <= count  # two that fall on one place of the first-sight table hinder each other


def test_at_its_largest_the_older_of_the_rare_make_room():
    of = Window(SMALL)
    wide = list(range(1, 21))
    of.take(report(*[(name, wide) for name in "abcdef"], ts=T0))
    for at in range(100, 20_000, 20):
        of.take(report(*[(name, list(range(at, at + 20))) for name in "ab"], ts=T0 + at))
    assert of.used <= len(of.keys) // 2 == SMALL.promoted_max // 2
    assert [shown_by(of, fingerprint) for fingerprint in wide].count(6) >= 18
    assert shown_by(of, 19_990) == 2
    assert shown_by(of, 100) == 0


def test_room_is_found_also_where_every_fingerprint_is_wide():
    of = Window(SMALL)
    for at in range(1, 12_000, 20):
        of.take(report(*[(name, list(range(at, at + 20))) for name in "abcd"], ts=T0 + at))
    assert of.used <= SMALL.promoted_max // 2
    assert shown_by(of, 11_990) == 4


# --- Sightings ---


def test_the_ring_keeps_the_newest():
    of = window(*[report(*[("a", [], {"ts": 1000 * k + i}) for i in range(100)]) for k in range(20)])
    newest = {1000 * k + i for k in range(20) for i in range(100)}
    assert set(of.held()["ts"].tolist()) == set(sorted(newest)[-SMALL.sightings_max :])


@pytest.mark.parametrize("reports", [5, 30])
def test_an_account_leads_to_its_sightings(reports):
    of = busy(reports=reports)
    held = of.held()
    for row in set(held["account"].tolist()):
        own = of.shown_by(np.array([row]))
        assert sorted(own.tolist()) == np.flatnonzero(held["account"] == row).tolist()
        assert len(own) == of.totals[row]
        by_age = own[np.argsort(-((of.taken - 1 - own) % of.sightings_max), kind="stable")]
        assert of.rank(by_age).tolist() == list(range(len(own)))
    two = of.shown_by(held["account"][[0, -1]].astype(np.int64))
    assert set(held["account"][two].tolist()) == set(held["account"][[0, -1]].tolist())


def test_places_are_those_of_the_newest():
    of = busy()
    assert of.sightings["ts"][of.places(of.taken - 3)].tolist() == [T0 + 2900 + i for i in (57, 58, 59)]
    assert len(of.places(0)) == SMALL.sightings_max


# --- Accounts ---


def test_accounts_without_a_sighting_left_give_way_the_idlest_first():
    of = Window(SMALL)
    for k in range(20):
        of.take(report(*[(f"a{k} {i}", [77]) for i in range(100)], ts=T0 + k))
    assert of.is_full(100)
    freed = of.forget(100, keep=np.array([0, 1]))
    assert len(freed) == SMALL.accounts_max // 16
    assert {"a0 0", "a0 1"} <= set(of.rows)
    assert "a0 2" not in of.rows
    seen = {of.names[row] for row in np.unique(of.held()["account"])}
    assert "" not in seen
    assert seen <= set(of.rows)


def test_who_gets_a_row_that_was_free_is_somebody_else():
    of = Window(SMALL)
    of.take(report(("gone", [77]), facts={"gone": {"org": 5}}, ts=T0))
    of.take(report(("other", [77])))
    of.take(report(*[("busy", [])] * 1024, ts=T0 + DAY))
    rows = {of.rows["gone"], of.rows["other"]}
    assert set(of.forget(1, keep=np.zeros(0, np.int64)).tolist()) == rows
    of.take(report(("new", [77]), ("newer", [77])))
    assert {of.rows["new"], of.rows["newer"]} == rows
    assert of.facts["org"][list(rows)].tolist() == [0, 0]
    assert shown_by(of, 77) == 4


def test_accounts_are_bounded_by_their_sightings_and_campaigns():
    of = Window(SMALL)
    for k in range(60):
        if of.is_full(100):
            of.forget(100, keep=np.zeros(0, np.int64))
        of.take(report(*[(f"a{k} {i}", []) for i in range(100)], ts=T0 + k))
    assert len(of.rows) <= SMALL.accounts_max
    assert len(of.names) <= SMALL.accounts_max


# --- System texts ---


def test_system_texts_seen_last_are_kept():
    of = Window(SMALL)
    for k in range(100):
        texts = {10_000 * (k + 1) + i: [k * 100 + i + 1] for i in range(50)}
        of.take(report(*[(f"a{i % 7}", [], {"system": h}) for i, h in enumerate(texts)], systems=texts, ts=T0 + k))
    assert len(of.system_rows) <= SMALL.systems_max
    assert len(of.system_prints) <= 2 * SMALL.systems_max
    newest = 10_000 * 100 + 49
    row = of.system_rows[newest]
    assert of.system_prints[row, 0] == 99 * 100 + 50
    last = of.sightings[(of.taken - 1) % of.sightings_max]
    assert last["system"] == row
    assert of.system_rows[0] == 0
    assert not of.system_prints[0].any()


# --- Snapshot ---


def busy(settings=SMALL, reports=30):
    return window(
        *[report(*[(f"a{(k * 7 + i) % 90}", [k * 3 + j + 1 for j in range(i % 20)], {"system": k % 5 + 1, "ts": T0 + k * 100 + i}) for i in range(60)],
                 systems={h: [1000 + h] for h in range(1, 6)}, ts=T0 + k) for k in range(reports)],
        settings=settings,
    )  # fmt: skip


def test_what_is_loaded_goes_on_as_what_was_dumped():
    one, other = busy(), Window(SMALL)
    other.load(one.dump())
    assert other.dump() == one.dump()
    for k in range(40):
        news = unpack(
            pack(
                report(
                    *[(f"n{k * 9 + i}", [i + 1, k + 1], {"system": 1}) for i in range(50)],
                    systems={1: [7]},
                    ts=T0 + DAY + k,
                )
            )
        )
        for of in (one, other):
            if of.is_full(50):
                of.forget(50, np.zeros(0, np.int64))
            of.take(news)
    assert other.dump() == one.dump()


@pytest.mark.parametrize("size", [1024, 1500, 3000])
@pytest.mark.parametrize("saved", [1024, 1500, 3000])
def test_a_ring_of_another_size_keeps_the_newest(saved, size):
    def of_size(n):
        return LinkSettings(sightings_max=n, accounts_max=8192)

    one, other = busy(of_size(saved)), Window(of_size(size))
    assert one.taken == 1800
    other.load(one.dump())
    expected = sorted(one.held()["ts"].tolist())[-min(size, saved) :]
    assert sorted(other.held()["ts"].tolist()) == expected
    other.take(report(*[("later", [], {"ts": 4_000_000_000})] * 700))
    kept = sorted(other.held()["ts"].tolist())
    assert kept[-700:] == [4_000_000_000] * 700
    assert kept[:-700] == expected[-(min(size, len(expected) + 700) - 700) :]


@pytest.mark.parametrize(
    "broken", [{"sightings": b"1"}, {"promoted": [b"1"] * 6}, {"names": 3}, {"systems": ["x"]}, {"taken": None}]
)
def test_a_state_that_does_not_fit_is_refused(broken):
    with pytest.raises(SnapshotError, match="window"):
        Window(SMALL).load({**busy().dump(), **broken})


# --- Settings ---

REFUSED = {
    "not a power of two": {"promoted_max": 5000},
    "neither is this": {"first_sights": 4097},
    "fewer accounts than sightings ask for": {"accounts_max": 300_000},
    "too few sightings": {"sightings_max": 10},
}


@pytest.mark.parametrize("case", REFUSED)
def test_sizes_that_do_not_fit_are_refused(case):
    with pytest.raises(ValueError, match=next(iter(REFUSED[case]))):
        LinkSettings(**REFUSED[case])


def test_a_sample_holds_as_many_as_it_says():
    assert window(report(*[(f"a{i}", [5]) for i in range(50)])).kmv.shape[1] == KMV
