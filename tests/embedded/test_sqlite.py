"""The database: what was written twice is there once; it answers in the order of writing."""

import sqlite3

import pytest

from stream_guard.engine import Outcome
from stream_guard.errors import SinkError
from stream_guard.events import Alert, Campaign, DeadLetter, Decision
from stream_guard.transports.sqlite import SqliteStore

pytestmark = pytest.mark.anyio


def decision(number, account="a", campaign=None):
    return Decision(f"de_{number}", 100.0 + number, account, "throttle", 0.5, (), "p1", True, campaign_id=campaign)


def campaign(ts, *accounts):
    return Campaign("ca_1", ts, accounts, len(accounts), 0.9, "narrow", 10, 1.0)


ALERT = Alert("al_1", 1.0, "warning", "solo", "much", account_id="a")
LETTER = DeadLetter("Expected `str`", "http", "{}", offset=4)


@pytest.fixture
async def store(tmp_path):
    store = SqliteStore(tmp_path / "results.db", records_max=100)
    yield store
    await store.close()


async def test_a_record_written_again_is_there_once(store, tmp_path):
    outcome = Outcome([decision(1)], [ALERT], [campaign(1.0, "a"), campaign(2.0, "b")])
    for _ in range(2):
        await store.add(outcome, [LETTER])
        await store.flush()
    await store.close()

    again = SqliteStore(tmp_path / "results.db")
    assert [d for _, d in again.decisions()] == outcome.decisions
    assert [a for _, a in again.alerts()] == outcome.alerts
    assert [c for _, c in again.campaigns()] == outcome.campaigns
    assert [d for _, d in again.dead_letters()] == [LETTER]
    await again.close()


async def test_nothing_is_there_before_the_flush(store):
    await store.add(Outcome([decision(1)]), [])
    assert store.decisions() == []
    await store.flush()
    assert len(store.decisions()) == 1


@pytest.mark.parametrize(
    ("question", "numbers"),
    [
        ({}, [0, 1, 2, 3, 4, 5]),
        ({"limit": 2}, [0, 1]),
        ({"after": 4}, [4, 5]),
        ({"since": 103.0}, [3, 4, 5]),
        ({"account_id": "a1"}, [1, 3, 5]),
        ({"campaign_id": "ca_2"}, [2, 5]),
        ({"account_id": "a0", "after": 1, "limit": 1}, [2]),
        ({"newest_first": True, "limit": 2}, [5, 4]),
        ({"account_id": "nobody"}, []),
    ],
)
async def test_questions(store, question, numbers):
    await store.add(Outcome([decision(n, f"a{n % 2}", f"ca_{n % 3}") for n in range(6)]), [])
    await store.flush()
    assert [d.decision_id for _, d in store.decisions(**question)] == [f"de_{n}" for n in numbers]


async def test_the_oldest_go_first(store):
    for n in range(300):
        await store.add(Outcome([decision(n)]), [])
        await store.flush()
    first, last = store.kept()

    assert last == 300
    assert 100 <= last - first + 1 <= 164
    assert store.decisions(limit=1)[0].seq == first


async def test_a_failed_flush_keeps_what_is_pending(store, tmp_path):
    blocker = sqlite3.connect(tmp_path / "results.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    store._writer.execute("PRAGMA busy_timeout = 10")
    await store.add(Outcome([decision(1)]), [])
    with pytest.raises(SinkError, match="locked"):
        await store.flush()
    blocker.execute("ROLLBACK")
    blocker.close()

    await store.flush()
    assert len(store.decisions()) == 1


async def test_what_is_not_ours_is_refused(tmp_path):
    (tmp_path / "text.db").write_text("no database, but long enough to be looked at " * 100)
    with pytest.raises(SinkError, match="not a database"):
        SqliteStore(tmp_path / "text.db")
    newer = sqlite3.connect(tmp_path / "newer.db")
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(SinkError, match="schema 99, this version reads schema 1"):
        SqliteStore(tmp_path / "newer.db")
