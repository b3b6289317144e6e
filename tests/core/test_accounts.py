"""The state of accounts: what decays, what is counted, who gives way, what a snapshot keeps."""

import math

import numpy as np
import pytest
from core_requests import DAY, HOUR, T0, prose

from stream_guard.accounts import ALLOWLISTED, SUSPECT, TWIN_AFTER, Accounts, Columns
from stream_guard.errors import SnapshotError
from stream_guard.signals.base import bits
from stream_guard.sketch import sketch

TYPES = {
    "ts": np.float64,
    "cut": np.bool_,
    "refused": np.bool_,
    "many": np.bool_,
    "logprobs": np.bool_,
    "marks": np.uint8,
}
SILENT = {"turn": -1, "input_tokens": 100, "output_tokens": 50, "limit": -1}


def take(accounts, *seen, prompts=None):
    """Take requests given as (account, ts, {column: value}); returns how busy the accounts were."""
    rows = np.array([accounts.row(name) for name, _, _ in seen])
    given = [{**SILENT, "ts": ts, **values} for _, ts, values in seen]
    hashed = {"harness", "ip", "agent", "system"}
    columns = {
        name: np.array([g.get(name, 0) for g in given], TYPES.get(name, np.uint32 if name in hashed else np.int32))
        for name in Columns._fields[1:]
    }
    return accounts.update(Columns(rows, **columns), sketch(prompts or [""] * len(seen)))


def state(accounts, name="a"):
    return accounts.state[accounts.rows[name]]


DECAYS = {  # field, after one second memory constant of silence: what is left of ten requests
    "minute": (60.0, 10.0),
    "hour": (HOUR, 10.0),
    "day": (DAY, 10.0),
    "tokens_day": (DAY, 1500.0),
    "output_day": (DAY, 500.0),
}


@pytest.mark.parametrize("name", DECAYS)
def test_decayed_counts_forget_with_their_time_constant(name):
    constant, count = DECAYS[name]
    accounts = Accounts(100)
    take(accounts, *[("a", T0, {})] * 10)
    assert state(accounts)[name] == pytest.approx(count)
    added = count / 10
    take(accounts, ("a", T0 + constant, {}))
    assert state(accounts)[name] == pytest.approx(count / math.e + added, rel=1e-4)


def test_a_steady_rate_is_read_off_the_decayed_count():
    accounts = Accounts(100)
    take(accounts, *[("a", T0 + i * 600.0, {}) for i in range(144 * 6)])
    assert state(accounts)["day"] == pytest.approx(144, rel=0.01)
    assert state(accounts)["hour"] == pytest.approx(6, rel=0.1)
    assert state(accounts)["peak_hour"] == pytest.approx(6, rel=0.15)


def test_busy_is_told_as_of_each_request():
    assert take(Accounts(100), *[("a", T0, {})] * 3, ("b", T0, {})).tolist() == [1, 2, 3, 1]


COUNTED = [1, 3, 10, 30, 100]


@pytest.mark.parametrize("distinct", COUNTED)
@pytest.mark.parametrize(("column", "word"), [("ip", "ips"), ("agent", "agents"), ("system", "systems")])
def test_distinct_values_are_counted_linearly(column, word, distinct):
    accounts, rnd = Accounts(100), np.random.default_rng(distinct)
    values = rnd.integers(1, 2**32, distinct, np.uint32)
    take(accounts, *[("a", T0 + i, {column: values[i % distinct]}) for i in range(3 * distinct)])
    assert float(bits(state(accounts)[word])) == pytest.approx(distinct, rel=0.35, abs=0.3)


def test_an_unknown_address_is_none():
    accounts = Accounts(100)
    take(accounts, ("a", T0, {}), ("a", T0, {}))
    assert state(accounts)["ips"] == state(accounts)["agents"] == 0


SHARES = {"single_turn": ("turn", 0, 1), "length_limit": ("cut", True, False), "refused": ("refused", True, False), "many_samples": ("many", True, False),
          "logprobs": ("logprobs", True, False), "harness": ("harness", 7, 0), "reasoning": ("marks", 1, 6), "format": ("marks", 2, 5), "judge": ("marks", 4, 3)}  # fmt: skip


@pytest.mark.parametrize("name", SHARES)
def test_a_share_is_a_mean_at_first_and_forgets_later(name):
    column, yes, no = SHARES[name]
    accounts = Accounts(100)
    take(accounts, *[("a", T0, {column: yes if i % 4 == 0 else no}) for i in range(40)])
    assert state(accounts)[name] == pytest.approx(0.25, abs=0.01)
    take(accounts, *[("a", T0, {column: yes})] * 400)
    assert state(accounts)[name] > 0.99


def test_the_usual_limit_is_found_again_after_it_has_changed():
    accounts = Accounts(100)
    take(accounts, *[("a", T0, {"limit": 512})] * 50, *[("a", T0, {"limit": 4096})] * 150)
    assert state(accounts)["limit"] == 4097
    assert state(accounts)["top_limit"] > 0.8


TIMES = {  # times of three requests: last_ts, count of the last day
    "in order": ([T0, T0 + 10, T0 + 20], T0 + 20),
    "all at once": ([T0, T0, T0], T0),
    "one late": ([T0, T0 + 20, T0 + 5], T0 + 20),
    "years late": ([T0, T0 + 20, 0.0], T0 + 20),
    "the first is years ahead": ([T0 + 1e9, T0, T0 + 20], T0 + 1e9),
}


@pytest.mark.parametrize("case", TIMES)
def test_whatever_the_times_the_state_is_finite_and_nothing_is_lost(case):
    times, last = TIMES[case]
    accounts = Accounts(100)
    take(accounts, *[("a", ts, {}) for ts in times])
    of = state(accounts)
    assert (int(of["requests"]), float(of["last_ts"])) == (3, last)
    assert float(of["day"]) == pytest.approx(3, abs=0.01)
    assert all(np.isfinite(of[name]).all() for name in of.dtype.names)


def test_the_largest_values_stay_finite():
    accounts, huge = Accounts(100), 2**31 - 1
    take(accounts, *[("a", T0, {"input_tokens": huge, "output_tokens": huge, "limit": huge - 1, "turn": huge})] * 1000)
    assert all(np.isfinite(state(accounts)[name]).all() for name in state(accounts).dtype.names)


def test_the_hours_of_the_day_are_halved_before_they_overflow():
    accounts = Accounts(100)
    take(accounts, *[("a", T0 + 5 * HOUR, {})] * 1000, *[("a", T0 + 6 * HOUR, {})] * 10)
    hours = state(accounts)["hours"]
    assert hours[5] > 100
    assert hours.sum() == hours[5] + hours[6]


def test_a_twin_vector_is_had_by_those_who_come_again():
    accounts = Accounts(100)
    take(
        accounts,
        *[("once", T0, {})] * TWIN_AFTER,
        *[("often", T0, {})] * (TWIN_AFTER + 1),
        prompts=[prose(i) for i in range(2 * TWIN_AFTER + 1)],
    )
    assert (state(accounts, "once")["twin"], state(accounts, "often")["twin"]) == (-1, 0)
    assert accounts.twins[0].any()


# --- Room ---


def full(count=32, *, keep=()):
    """Return accounts a0.. of which a later one was seen later; those in `keep` are flagged."""
    accounts = Accounts(count)
    for i in range(count):
        take(accounts, *[(f"a{i}", T0 + i * HOUR, {})] * 3)
    for name, flag in keep:
        accounts.state["flags"][accounts.rows[name]] |= flag
    return accounts


def test_the_idlest_give_way():
    accounts = full()
    accounts.make_room(2)
    assert set(accounts.rows) == {f"a{i}" for i in range(2, 32)}
    assert accounts.evicted == 2


@pytest.mark.parametrize("flag", [SUSPECT, ALLOWLISTED])
def test_suspects_and_the_allowlisted_stay_longer(flag):
    accounts = full(keep=[("a0", flag), ("a1", flag)])
    accounts.make_room(4)
    assert {"a0", "a1"} <= set(accounts.rows)
    assert not {"a2", "a3", "a4", "a5"} & set(accounts.rows)


def test_suspects_stay_among_accounts_seen_at_the_same_moment():
    accounts = Accounts(32)
    take(accounts, *[(f"a{i}", T0, {}) for i in range(32)])
    for name in ("a5", "a31"):
        accounts.state["flags"][accounts.rows[name]] |= SUSPECT
    accounts.make_room(30)
    assert set(accounts.rows) == {"a5", "a31"}


def test_a_row_that_is_given_again_begins_at_nothing():
    accounts = full()
    accounts.make_room(2)
    take(accounts, *[("new", T0 + DAY, {})] * 3, prompts=[prose(i) for i in range(3)])
    fresh = Accounts(32)
    take(fresh, *[("new", T0 + DAY, {})] * 3, prompts=[prose(i) for i in range(3)])
    given, alone = state(accounts, "new").copy(), state(fresh, "new").copy()
    assert (accounts.twins[given["twin"]] == fresh.twins[alone["twin"]]).all()
    given["twin"] = alone["twin"]
    assert given == alone
    assert len(accounts.names) == 32


def test_more_room_than_there_is_empties_it_and_ends():
    accounts = full()
    accounts.make_room(1000)
    assert len(accounts) == 0


# --- Snapshot ---


def test_what_is_loaded_goes_on_as_what_was_dumped():
    one, other = full(), Accounts(32)
    one.make_room(2)
    other.load(one.dump())
    assert other.dump() == one.dump()
    for accounts in (one, other):
        take(accounts, *[(f"n{i}", T0 + DAY + i, {}) for i in range(40)], *[("a9", T0 + DAY, {})] * 3)
        accounts.make_room(8)
    assert other.dump() == one.dump()


@pytest.mark.parametrize("broken", [{"state": b"1"}, {"names": ["a"]}, {"twins": b"123"}, {"free": None}])
def test_a_state_that_does_not_fit_is_refused(broken):
    with pytest.raises(SnapshotError, match="does not fit"):
        Accounts(32).load({**full().dump(), **broken})


def test_a_missing_part_is_refused():
    saved = full().dump()
    del saved["free_twins"]
    with pytest.raises(SnapshotError, match="free_twins"):
        Accounts(32).load(saved)
