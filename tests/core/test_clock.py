"""Event time, and requests that come twice."""

import msgspec
import pytest
from core_requests import DAY, T0, request

from stream_guard.engine.clock import PATIENCE, EventClock
from stream_guard.engine.repeats import BUCKETS, WAYS, Repeats
from stream_guard.errors import SnapshotError

FAR = T0 + 3_000 * DAY

CASES = {  # times of events, in order: as of when they count, and the clock then
    "in order": ([0, 1, 2], [0, 1, 2], 2),
    "late ones count as of their time": ([0, 10, 5, 11], [0, 10, 5, 11], 11),
    "a day's pause": ([0, 1, DAY], [0, 1, DAY], DAY),
    "one far ahead counts as now": ([0, 1, FAR - T0, 2], [0, 1, 1, 2], 2),
    "some far ahead": ([0, 1, *[FAR - T0] * (PATIENCE - 1), 2], [0, 1, *[1] * (PATIENCE - 1), 2], 2),
    "traffic that has come back after days": ([0, 1, *[5 * DAY] * PATIENCE, 5 * DAY + 1], [0, 1, *[1] * (PATIENCE - 1), 5 * DAY, 5 * DAY + 1], 5 * DAY + 1),
    "the earliest of those ahead is believed": ([0, 1, *[FAR - T0, 5 * DAY] * (PATIENCE // 2)], [0, 1, *[1] * (PATIENCE - 1), 5 * DAY], 5 * DAY),
    "the very first is far ahead": ([FAR - T0, 0, 1], [FAR - T0, 0, 1], 1),
    "the very first is far behind": ([-1e9, 0, 1], [-1e9, 0, 1], 1),
    "the second is far ahead": ([0, FAR - T0, 1, 2], [0, FAR - T0, 1, 2], 2),
    "all at once": ([0, 0, 0], [0, 0, 0], 0),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_as_of_when_events_count(case):
    times, counted, now = CASES[case]
    clock = EventClock(DAY)
    assert clock.see(T0 + t for t in times) == [T0 + t for t in counted]
    assert clock.now == T0 + now


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_snapshot_between_any_two_changes_nothing(case, cut):
    times, counted, now = CASES[case]
    clock, restored = EventClock(DAY), EventClock(DAY)
    before = clock.see(T0 + t for t in times[:cut])
    restored.load(msgspec.msgpack.decode(msgspec.msgpack.encode(clock.dump())))
    assert before + restored.see(T0 + t for t in times[cut:]) == [T0 + t for t in counted]
    assert restored.now == T0 + now


def test_time_can_go_on_without_events():
    clock = EventClock(DAY)
    clock.see([T0, T0 + 1])
    assert clock.advance(T0 + 5 * DAY)
    assert not clock.advance(T0)
    assert clock.see([T0 + 5 * DAY + 1]) == [T0 + 5 * DAY + 1]


# --- Repeats ---


def ids(events):
    return [event.event_id for event in events]


REPEATS = {  # (account, event id): which are dropped
    "all new": (["a1", "a2", "b1"], []),
    "at once": (["a1", "a1"], [1]),
    "later": (["a1", "a2", "a3", "a1", "a2"], [3, 4]),
    "again and again": (["a1"] * 5, [1, 2, 3, 4]),
    "the same number of another account": (["a1", "b1", "c1"], []),
}


@pytest.mark.parametrize("case", REPEATS)
@pytest.mark.parametrize("cut", [0, 1, 2])
def test_the_first_counts(case, cut):
    names, dropped = REPEATS[case]
    events = [request(name[0], event_id=name[1:]) for name in names]
    repeats, restored = Repeats(), Repeats()
    left = list(repeats.drop(events[:cut]))
    restored.load(repeats.dump())
    left += restored.drop(events[cut:])
    assert left == [event for i, event in enumerate(events) if i not in dropped]
    assert restored.counted == len(dropped)


def test_ten_thousand_newer_ones_do_not_drive_an_id_out():
    repeats = Repeats()
    first = [request("a", event_id=f"first {i}") for i in range(1000)]
    repeats.drop(first)
    for k in range(10):
        assert len(repeats.drop([request("a", event_id=f"newer {k} {i}") for i in range(1000)])) == 1000
    assert len(repeats.drop(first)) <= 5
    assert BUCKETS * WAYS == 1 << 17


def test_nothing_is_nothing():
    assert list(Repeats().drop([])) == []


@pytest.mark.parametrize("broken", [{}, {"counted": 1}, {"counted": 1, "table": b"1"}])
def test_a_memory_that_does_not_fit_is_refused(broken):
    with pytest.raises(SnapshotError, match="event ids"):
        Repeats().load(broken)
