"""The embedded service: what it acknowledges, what it answers, and what it knows after a restart."""

import asyncio
import contextlib

import pytest

from stream_guard.app.service import EmbeddedService
from stream_guard.codecs import dead_letter, decode_events, encode
from stream_guard.engine import Outcome
from stream_guard.errors import InvalidCursor, Overloaded, SinkError, SourceError
from stream_guard.events import Decision, Feedback, Release, RequestEvent
from stream_guard.testing.engine import CountingEngine
from stream_guard.testing.faults import Crash, CrashingAt
from stream_guard.transports.journal import EmbeddedSettings, Kind
from stream_guard.transports.sqlite import SqliteStore

pytestmark = pytest.mark.anyio

DEADLINE_S = 120
"""How long a test waits for anything before it fails."""


def settings(directory, **changes):
    return EmbeddedSettings(data_dir=str(directory), **changes)


@contextlib.asynccontextmanager
async def running(service):
    started, stop = asyncio.Event(), asyncio.Event()
    core = asyncio.create_task(service.run(started, stop))
    await asyncio.wait([core, asyncio.create_task(started.wait())], return_when=asyncio.FIRST_COMPLETED)
    try:
        yield service
    finally:
        stop.set()
        await core


async def until(condition):
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.001)


def event(number, ts=1000.0, account="a"):
    return encode(RequestEvent(f"e{number}", ts, account, "m"))


class Deciding(CountingEngine):
    """Writes down what it is told, and decides about every third event."""

    def __init__(self):
        super().__init__()
        self.told = []

    def process(self, events):
        outcome = super().process(events)
        for e in events:
            self.told.append(e.event_id)
            if int(e.event_id[1:]) % 3 == 0:
                outcome.decisions.append(
                    Decision(f"de_{e.event_id}", e.ts, e.account_id, "watch", 0.5, (), "p", shadow=True)
                )
        return outcome

    def learn(self, lesson):
        self.told.append(lesson)
        return Outcome()

    def advance(self, ts):
        self.told.append(ts)
        return Outcome()


async def test_what_was_acknowledged_is_processed_and_kept(tmp_path, traffic):
    async with running(EmbeddedService(CountingEngine(), settings(tmp_path))) as service:
        for start in range(0, len(traffic), 300):
            await service.accept(traffic[start : start + 300])
        await until(lambda: not service._pending)
        known = [service.account(e.account_id) for e in decode_events(traffic, source="")[0]]
        campaigns = service.campaigns()
        decisions = await service.decisions.read(None, 1000)

    assert decisions
    assert campaigns
    async with running(EmbeddedService(CountingEngine(), settings(tmp_path))) as again:
        assert [again.account(e.account_id) for e in decode_events(traffic, source="")[0]] == known
        assert again.campaigns() == campaigns
        assert again.campaign(campaigns[0].campaign.campaign_id) == campaigns[0]
        assert await again.decisions.read(None, 1000) == decisions


async def test_nothing_is_certain_before_it_is_ready(tmp_path):
    service = EmbeddedService(Deciding(), settings(tmp_path))
    assert service.readiness()["engine"] == "starting"
    assert service.check("a") is None
    with pytest.raises(Overloaded, match="not ready: starting"):
        await service.accept([event(1)])
    async with running(service):
        assert set(service.readiness().values()) == {"ok"}
    assert service.readiness()["engine"] == "stopped"
    with pytest.raises(Overloaded, match="not ready"):
        await service.accept([event(1)])


async def test_more_than_can_wait_is_told_to_come_again_and_nothing_of_it_is_taken(tmp_path):
    engine = Deciding()
    async with running(EmbeddedService(engine, settings(tmp_path, pending_events_max=10))) as service:
        first = asyncio.create_task(service.accept([event(n) for n in range(8)]))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="8 events wait") as caught:
            await service.accept([event(n) for n in range(8, 16)])
        assert caught.value.retry_after_s > 0
        await first
        await until(lambda: not service._pending)
        await service.accept([event(n) for n in range(100, 120)])  # one that is longer than all that may wait passes
    assert engine.told == [f"e{n}" for n in [*range(8), *range(100, 120)]]


async def test_a_source_that_can_wait_waits_for_room(tmp_path):
    engine = Deciding()
    async with running(EmbeddedService(engine, settings(tmp_path, pending_events_max=10, batch_events=2))) as service:
        for start in range(0, 100, 5):
            await service.read([event(n) for n in range(start, start + 5)], Kind.FILE, {"at": start})
            assert service._pending < 20
    assert engine.told == [f"e{n}" for n in range(100)]
    async with running(EmbeddedService(engine, settings(tmp_path))) as again:
        assert again.marks["at"] == 95


async def test_refused_payloads_are_dead_letters_with_their_place_in_the_journal(tmp_path):
    async with running(EmbeddedService(CountingEngine(), settings(tmp_path))) as service:
        await service.accept([event(1)], [dead_letter(b"{", "cut off", source="http", offset=7)])
        await service.read([b"poison", event(2)], Kind.FILE)
        await until(lambda: not service._pending)
        letters = [letter for _, letter in service._store.dead_letters()]

    assert [(x.source, x.offset, x.payload) for x in letters] == [("http", 1, "{"), ("file", 2, "poison")]


async def test_lessons_are_told_again_after_a_crash_in_their_place(tmp_path):
    lessons = [Release(5.0, "m2"), Feedback(6.0, "benign", account_id="a")]
    with pytest.raises(Crash):  # noqa: PT012
        async with running(EmbeddedService(Deciding(), settings(tmp_path))) as service:
            await service.accept([event(1)])
            await service.learn(lessons[0])
            await service.accept([event(2)])
            await service.learn(lessons[1])
            await until(lambda: not service._pending)
            service._worker._snapshots = CrashingAt(service._worker._snapshots, "save")

    engine = Deciding()
    async with running(EmbeddedService(engine, settings(tmp_path))):
        assert engine.told == ["e1", lessons[0], "e2", lessons[1]]


async def test_in_quiet_times_the_engine_hears_that_time_goes_on(tmp_path):
    now = [5000.0]
    engine = Deciding()
    service = EmbeddedService(engine, settings(tmp_path, advance_interval_s=0.005), clock=lambda: now[0])
    assert service.event_time() == 5000.0
    async with running(service):
        await service.accept([event(1, ts=4000.0)])
        await until(lambda: engine.told)
        assert service.event_time() == 4000.0  # yesterday's events: time is theirs
        now[0] += 60
        await until(lambda: 4060.0 in engine.told)
        now[0] += 60
        await until(lambda: 4120.0 in engine.told)
    heard = engine.told

    again = Deciding()
    reopened = EmbeddedService(again, settings(tmp_path), clock=lambda: now[0] + 3600)
    assert reopened.event_time() == 7720.0
    async with running(reopened):
        assert again.told == []  # all of it is in the snapshot
    assert heard[0] == "e1"


async def test_an_event_from_the_future_does_not_move_the_clock(tmp_path):
    service = EmbeddedService(Deciding(), settings(tmp_path), clock=lambda: 5000.0)
    async with running(service):
        await service.accept([event(1, ts=4_000_000_000.0)])
        await until(lambda: not service._pending)
        assert service.event_time() == 5000.0


async def test_decisions_can_be_waited_for_and_read_on(tmp_path):
    async with running(EmbeddedService(Deciding(), settings(tmp_path))) as service:
        log = service.decisions
        assert await log.end() is None
        waiting = asyncio.create_task(log.wait(None))
        await asyncio.sleep(0)
        assert not waiting.done()
        await service.accept([event(n, ts=1000.0 + n) for n in range(1, 10)])
        await waiting
        first, *others = await log.read(None, 10)
        end = await log.end()

        assert [x.decision.decision_id for x in (first, *others)] == ["de_e3", "de_e6", "de_e9"]
        assert await log.read(first.cursor, 10) == others
        assert await log.read(None, 10, since=1009.0) == others[1:]
        assert await log.read(None, 10, account_id="b") == []
        assert end == others[-1].cursor

    async with running(EmbeddedService(Deciding(), settings(tmp_path))) as service:
        assert await service.decisions.read(first.cursor, 10) == others


@pytest.mark.parametrize("cursor", ["", "1", "-", "other-1", "{log}-99", "{log}--1", "{log}-x"])
async def test_a_cursor_that_is_none_of_ours_is_refused(tmp_path, cursor):
    async with running(EmbeddedService(Deciding(), settings(tmp_path))) as service:
        with pytest.raises(InvalidCursor):
            await service.decisions.read(cursor.replace("{log}", service._store.log_id), 10)


async def test_one_directory_has_one_service(tmp_path):
    async with running(EmbeddedService(CountingEngine(), settings(tmp_path))):
        with pytest.raises(SourceError, match="in use by another process"):
            EmbeddedService(CountingEngine(), settings(tmp_path))


async def test_a_full_disk_stops_it_and_nothing_is_acknowledged(tmp_path):
    service = EmbeddedService(CountingEngine(), settings(tmp_path))
    with pytest.raises(SinkError, match="journal"):  # noqa: PT012
        async with running(service):
            service._journal._file.close()
            with pytest.raises(SinkError):
                await service.accept([event(1)])
            await until(lambda: service.readiness()["engine"] != "ok")
    assert service.readiness()["engine"].startswith("failed: ")


async def test_journal_that_two_snapshots_do_not_need_is_deleted(tmp_path):
    quick = settings(tmp_path, snapshot_interval_s=0.001, segment_bytes=4096)
    async with running(EmbeddedService(CountingEngine(), quick)) as service:
        for n in range(300):
            await service.accept([event(n)])
        await until(lambda: len(list((tmp_path / "journal").glob("*.journal"))) < 5)


# --- Dying ---

POINTS = [
    ("journal", "append", 5),
    ("engine", "process", 4),
    ("store", "add", 2),
    ("store", "flush", 6),
    ("snapshots", "save", 3),
]


async def test_without_its_snapshots_it_begins_anew_at_the_oldest_record_of_the_journal(tmp_path, caplog):
    changes = {"segment_bytes": 4096, "snapshot_interval_s": 0.01}
    async with running(EmbeddedService(Deciding(), settings(tmp_path, **changes))) as service:
        for number in range(200):
            await service.accept([event(number)])
        await until(lambda: service._journal.first_offset)
    for path in (tmp_path / "snapshots").iterdir():
        path.unlink()

    engine = Deciding()
    anew = EmbeddedService(engine, settings(tmp_path, **changes))
    first = anew._journal.first_offset
    async with running(anew):
        pass

    assert engine.told == [f"e{number}" for number in range(first, 200)]
    assert "no snapshot: begins anew" in caplog.text


def inject(service, part, method, call, after):
    if part == "journal":
        fault = service._commits._journal = CrashingAt(service._journal, method, call=call, after=after)
    elif part == "engine":
        fault = service._worker._engine = CrashingAt(service._engine, method, call=call, after=after)
    elif part == "store":
        fault = CrashingAt(service._store, method, call=call, after=after)
        service._sinks = service._worker._sinks = (fault,)
    else:
        fault = service._worker._snapshots = CrashingAt(service._worker._snapshots, method, call=call, after=after)
    return fault


async def abandoned(service, *tasks):
    """End it as the operating system would: nothing is flushed; returns what the tasks returned or raised."""
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, service._commits.drain(), return_exceptions=True)
    service._store._pending = {table: [] for table in service._store._pending}
    await service._store.close()
    service._journal.close()
    return results


async def nothing():
    pass


async def life(directory, payloads, fault=None):
    """Send what is not in the journal yet until all is done or the process dies; returns what was acknowledged.

    Nothing goes by the clock: of each helping one append, three batches with a flush each, then a snapshot.
    """
    by_hand = {"snapshot_interval_s": 3600.0, "advance_interval_s": 3600.0}
    service = EmbeddedService(CountingEngine(), settings(directory, batch_events=20, **by_hand))
    service._close = nothing  # see `abandoned`
    fault = inject(service, *fault) if fault else None
    acknowledged = service._journal.next_offset
    started, stop = asyncio.Event(), asyncio.Event()
    core = asyncio.create_task(service.run(started, stop))

    async def send():
        nonlocal acknowledged
        await started.wait()
        while some := payloads[acknowledged : acknowledged + 50]:
            await service.accept(some)
            acknowledged += len(some)
            await until(lambda: not service._pending)
            await service._save()
        stop.set()

    sender = asyncio.create_task(send())
    await until(lambda: core.done() or (fault and fault.crashed))
    results = await abandoned(service, core, sender)
    assert fault.crashed if fault else results == [None, None, None]
    return acknowledged


async def written(directory):
    store = SqliteStore(directory / "results.db")
    found = {
        "decisions": [record for _, record in store.decisions(limit=10_000)],
        "alerts": [record for _, record in store.alerts(limit=10_000)],
        "campaigns": [record for _, record in store.campaigns(limit=10_000)],
        "dead letters": [record for _, record in store.dead_letters(limit=10_000)],
    }
    await store.close()
    return found


@pytest.fixture(scope="module")
def some(traffic):
    return [*traffic[:400], b"poison", *traffic[400:1000]]


@pytest.fixture
async def undisturbed(tmp_path, some):
    await life(tmp_path / "undisturbed", some)
    return await written(tmp_path / "undisturbed")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("part", "method", "call"), POINTS, ids=[f"{p[0]}.{p[1]}" for p in POINTS])
async def test_a_crash_loses_nothing_acknowledged_and_decides_nothing_twice(
    tmp_path, some, undisturbed, part, method, call, after
):
    directory = tmp_path / "crashing"
    for _ in range(2):
        acknowledged = await life(directory, some, (part, method, call, after))
        service = EmbeddedService(CountingEngine(), settings(directory))
        kept = service._journal.next_offset
        await service._close()
        assert acknowledged <= kept <= acknowledged + 50
    await life(directory, some)

    assert await written(directory) == undisturbed
    assert all(undisturbed[kind] for kind in ("decisions", "alerts", "campaigns", "dead letters"))
