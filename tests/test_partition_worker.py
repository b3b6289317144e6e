"""The loop of a partition: dying at any step loses nothing and decides nothing twice."""

import pytest

from stream_guard.codecs import decode_events, encode
from stream_guard.engine import Outcome
from stream_guard.events import Release
from stream_guard.simulate import Scenario, stream
from stream_guard.testing.engine import CountingEngine
from stream_guard.testing.faults import Crash, CrashingAt
from stream_guard.transports.base import Batch
from stream_guard.transports.snapshots import DirectorySnapshots
from stream_guard.worker import PartitionWorker

pytestmark = pytest.mark.anyio

BATCH = 100
CHECKPOINT_EVERY = 4
POISON = b'{"event_id": 7}'


@pytest.fixture(scope="module")
def payloads():
    events = [encode(event) for event, _ in stream(Scenario("hydra", accounts=60, days=0.5, volume=0.3))]
    for at in range(50, len(events), 400):
        events[at] = POISON
    return events


class Outside:
    """What outlives the process: what was published, the snapshots, the commits of the source."""

    def __init__(self, directory, payloads):
        self.payloads = payloads
        self.published = []
        self.snapshots = DirectorySnapshots(directory)
        self.committed = 0

    async def add(self, outcome, dead_letters):
        self.published += [*outcome.decisions, *outcome.alerts, *outcome.campaigns, *dead_letters]

    async def flush(self):
        pass

    async def close(self):
        pass

    def poll(self, offset):
        some = self.payloads[offset : offset + BATCH]
        return Batch(0, some, offset + len(some)) if some else None

    async def commit(self, offset):
        self.committed = offset


async def work(outside, parts):
    """One life of a process: the loop of `worker.py` from the snapshot to the end of the input."""
    source, engine, sink, snapshots = parts
    worker = PartitionWorker(engine, [sink], snapshots, source="topic")
    worker.restore()
    offset = outside.committed  # as Kafka would resume: not later than the snapshot
    batches = 0
    while batch := source.poll(offset):
        await worker.take(batch)
        offset, batches = batch.next_offset, batches + 1
        if batches % CHECKPOINT_EVERY == 0:
            await source.commit(await worker.checkpoint())
    await source.commit(await worker.checkpoint())
    return what_it_knows(engine, outside.payloads)


def what_it_knows(engine, payloads):
    events, _ = decode_events(payloads, source="test")
    return [
        engine.account(account_id) for account_id in sorted({event.account_id for event in events})
    ], engine.campaigns()


def records_by_id(published):
    """Each record once; raises if two that are different claim one id."""
    found = {}
    for record in published:
        name = getattr(record, "decision_id", None) or getattr(record, "alert_id", None) or encode(record)
        assert found.setdefault(name, record) == record
    return found


@pytest.fixture
async def undisturbed(tmp_path, payloads):
    outside = Outside(tmp_path / "undisturbed", payloads)
    known = await work(outside, (outside, CountingEngine(), outside, outside.snapshots))
    found = records_by_id(outside.published)
    assert len(found) == len(outside.published) > 20
    assert sum(record.__class__.__name__ == "DeadLetter" for record in found.values()) == payloads.count(POISON)
    return found, known


SOURCE, ENGINE, SINK, SNAPSHOTS = range(4)
STEPS = [
    ("poll", SOURCE, "poll", 7),
    ("process", ENGINE, "process", 6),
    ("publish", SINK, "add", 2),
    ("flush", SINK, "flush", 2),
    ("snapshot", SNAPSHOTS, "save", 2),
    ("commit", SOURCE, "commit", 2),
]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("step", "part", "method", "call"), STEPS, ids=[step[0] for step in STEPS])
async def test_a_crash_at_any_step_changes_nothing(tmp_path, payloads, undisturbed, step, part, method, call, after):
    found, known = undisturbed
    outside = Outside(tmp_path / "crashing", payloads)
    parts = [outside, CountingEngine(), outside, outside.snapshots]
    parts[part] = CrashingAt(parts[part], method, call=call, after=after)
    with pytest.raises(Crash):
        await work(outside, parts)

    again = await work(outside, (outside, CountingEngine(), outside, outside.snapshots))

    assert records_by_id(outside.published) == found
    assert again == known
    if step == "commit" and not after:
        assert len(outside.published) == len(found)  # the snapshot had moved: not even a repeat


async def test_crashing_all_the_time_gets_there_in_the_end(tmp_path, payloads, undisturbed):
    found, known = undisturbed
    outside = Outside(tmp_path / "crashing", payloads)
    for life in range(100):
        parts = [outside, CountingEngine(), outside, outside.snapshots]
        part, method = [(s[1], s[2]) for s in STEPS][life % len(STEPS)]
        parts[part] = CrashingAt(
            parts[part], method, call=5 if method in {"poll", "process"} else 2, after=life % 2 > 0
        )
        try:
            again = await work(outside, parts)
        except Crash:
            continue
        assert records_by_id(outside.published) == found
        assert again == known
        assert life >= 2
        return
    pytest.fail("no end")


async def test_payloads_before_the_offset_are_skipped(tmp_path, payloads):
    seen = []

    class Counting(CountingEngine):
        def process(self, events):
            seen.extend(event.event_id for event in events)
            return super().process(events)

    outside = Outside(tmp_path, payloads)
    worker = PartitionWorker(Counting(), [outside], outside.snapshots)
    for end in (10, 10, 25, 20, 40):
        await worker.take(Batch(0, payloads[max(0, end - 20) : end], end))

    assert len(seen) == len(set(seen)) == 40
    assert worker.next_offset == 40


async def test_dead_letters_say_where_they_lay(tmp_path):
    outside = Outside(tmp_path, [])
    worker = PartitionWorker(CountingEngine(), [outside], outside.snapshots, partition=3, source="llm.requests")
    worker.next_offset = 41
    await worker.take(Batch(3, [POISON, b"\xff", POISON], 43))

    assert [(letter.source, letter.partition, letter.offset) for letter in outside.published] == [
        ("llm.requests", 3, 41),
        ("llm.requests", 3, 42),
    ]


async def test_lessons_and_time_have_their_place_in_the_journal(tmp_path):
    heard = []

    class Hearing(CountingEngine):
        def learn(self, lesson):
            heard.append(lesson)
            return Outcome()

        def advance(self, ts):
            heard.append(ts)
            return Outcome()

    outside = Outside(tmp_path, [])
    for _ in range(2):  # the second life skips what the snapshot holds
        worker = PartitionWorker(Hearing(), [outside], outside.snapshots)
        worker.restore()
        await worker.learn(Release(1.0, "m"), next_offset=1)
        await worker.advance(5.0, next_offset=2)
        await worker.checkpoint()
    await worker.advance(6.0)

    assert heard == [Release(1.0, "m"), 5.0, 6.0]


async def test_a_worker_that_has_failed_refuses_to_go_on(tmp_path, payloads):
    outside = Outside(tmp_path, payloads)
    worker = PartitionWorker(CountingEngine(), [CrashingAt(outside, "flush")], outside.snapshots)
    with pytest.raises(Crash):
        await worker.checkpoint()
    with pytest.raises(AssertionError, match="start a new one"):
        await worker.take(outside.poll(0))


async def test_an_observer_sees_what_was_taken_and_saved(tmp_path, payloads):
    class Observer:
        def __init__(self):
            self.taken, self.offsets = [], []

        def took(self, partition, events, dead_letters, outcome, *, decode_s, process_s):
            assert isinstance(outcome, Outcome)
            self.taken.append((partition, len(events), len(dead_letters), decode_s > 0, process_s > 0))

        def saved(self, partition, snapshot, *, seconds):
            self.offsets.append((partition, snapshot.next_offset, seconds > 0))

    observer, outside = Observer(), Outside(tmp_path, payloads)
    worker = PartitionWorker(CountingEngine(), [outside], outside.snapshots, observer=observer)
    await worker.take(outside.poll(0))
    await worker.checkpoint()

    assert observer.taken == [(0, 99, 1, True, True)]
    assert observer.offsets == [(0, 100, True)]
