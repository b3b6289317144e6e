"""One account half for each partition of the requests: its engine, what it has heard, its loop, its clockwork."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from aiokafka import ConsumerRecord

from stream_guard.engine import AccountHalf, Lesson, Outcome
from stream_guard.errors import InvalidEvent, SnapshotError, SourceError
from stream_guard.events import RequestEvent
from stream_guard.transports.base import Batch
from stream_guard.transports.kafka.broadcast import Inbox, Notice, Reached
from stream_guard.transports.kafka.settings import KafkaSettings, TopicNames
from stream_guard.transports.kafka.sink import KafkaSink

NEXT_OFFSET = "next_offset"
"""The header of a report: how far its account half had read."""

LAST_TS = "last_ts"
"""The header of a report: event time of the last request of its account half."""

REPORT_EVENTS_MAX = 10_000
"""A report goes out after so many events at the latest: it must fit into one record."""

DEAD_LETTERS_WINDOW = 1_000
"""Payloads that are looked at before `dead_letters_share_max` can stop a worker."""

_log = logging.getLogger(__name__)


class Loop(Protocol):
    """What is asked of `stream_guard.worker.PartitionWorker`, which is a layer above this one."""

    next_offset: int

    def restore(self) -> int:
        """Load the newest snapshot; return the next offset to read."""
        ...

    async def take(self, batch: Batch) -> Outcome:
        """Decode, process, publish."""
        ...

    async def learn(self, lesson: Any) -> Outcome:
        """Let the engine learn, publish."""
        ...

    async def advance(self, ts: float) -> Outcome:
        """Let the engine know how late it is, publish."""
        ...

    async def checkpoint(self) -> int:
        """Flush and snapshot; return the offset that may be committed."""
        ...


class Kept(msgspec.Struct, array_like=True):
    """What a snapshot of an account half holds on Kafka."""

    heard: dict[str, int]
    state: bytes


class ListeningHalf:
    """An account half together with what it has heard: one state, one snapshot.

    Its methods are those of `AccountHalf`; `learn` takes what the other topics say as well.
    """

    def __init__(self, half: AccountHalf, inbox: Inbox, topics: TopicNames) -> None:
        self.half = half
        self.inbox = inbox
        self._topics = topics
        self.last_ts: float | None = None
        """Event time, once there was a request since this was opened."""

    def process(self, events: Sequence[RequestEvent]) -> Outcome:
        """Take requests in order."""
        outcome = self.half.process(events)
        if events:
            self.last_ts = self.half.now
        return outcome

    def advance(self, ts: float) -> Outcome:
        """Say that event time has reached `ts`."""
        return self.half.advance(ts)

    def learn(self, lesson: Lesson | Notice) -> Outcome:
        """Take a lesson, or hear a notice. A notice that says nothing is left out: the population half reports it."""
        if not isinstance(lesson, Notice):
            return self.half.learn(lesson)
        if lesson.topic == self._topics.verdicts:
            return self.half.apply_verdict(lesson.value)
        try:
            return self.half.learn(lesson.lesson(self._topics))
        except InvalidEvent:
            return Outcome()

    def snapshot(self) -> bytes:
        """Return the state and how far it has listened."""
        return msgspec.msgpack.encode(Kept(self.inbox.heard, self.half.snapshot()))

    def restore(self, state: bytes) -> None:
        """Take up a snapshot. Raises SnapshotError."""
        try:
            kept = msgspec.msgpack.decode(state, type=Kept)
        except msgspec.DecodeError as error:
            raise SnapshotError(f"The snapshot is not one of an account half on Kafka: {error}") from error
        self.half.restore(kept.state)
        self.inbox.heard = kept.heard


MakeLoop = Callable[[int, ListeningHalf, KafkaSink], Loop]
"""(partition, engine, sink) -> its `PartitionWorker`, over a snapshot store that all workers reach."""


@dataclass
class AccountPartition:
    """One partition of the requests that this worker owns.

    After any of its methods has raised SinkError, memory is ahead of what is safe: open it anew from the snapshot.
    """

    settings: KafkaSettings
    partition: int
    engine: ListeningHalf
    sink: KafkaSink
    loop: Loop
    end_at_start: int = 0
    checkpoint_due: float = 0.0
    """When to save next, on the monotonic clock."""
    _unreported: int = 0
    _last_event_at: float = 0.0
    _seen: int = 0
    _dead: int = 0

    @property
    def next_offset(self) -> int:
        """The next offset to read."""
        return self.loop.next_offset

    async def take(self, records: Sequence[ConsumerRecord]) -> None:
        """Process fetched records. Raises SinkError, and SourceError where too many cannot be decoded."""
        for run in _consecutive(records):
            dead_before = self.sink.dead_letters
            payloads = [record.value or b"" for record in run]
            await self.loop.take(Batch(self.partition, payloads, run[-1].offset + 1))
            self._judge(len(run), self.sink.dead_letters - dead_before)
        self._last_event_at = time.monotonic()
        self._unreported += len(records)
        if self._unreported >= REPORT_EVENTS_MAX:
            await self.report()

    async def hear(self, position: int) -> None:
        """Take what is due of what all hear, having read up to `position`. Raises SinkError."""
        reached = Reached(self.settings.topics, self.partition, position, self.end_at_start)
        for notice in self.engine.inbox.due(reached):
            await self.loop.learn(notice)

    async def report(self) -> None:
        """Send what the population half should see. Raises SinkError."""
        report = self.engine.half.take_report()
        self._unreported = 0
        if report is not None:
            headers = [
                (NEXT_OFFSET, str(self.next_offset).encode()),
                (LAST_TS, str(self.engine.last_ts or 0.0).encode()),
            ]
            await self.sink.send(self.settings.topics.summaries, report, key=str(self.partition), headers=headers)

    def idle(self, now: float) -> bool:
        """Return whether events have failed to come for so long that the engine should be told the time."""
        return self.engine.last_ts is not None and now - self._last_event_at >= self.settings.idle_s

    async def advance(self, now: float) -> int:
        """Let time go on by as much as it has since the last event; returns the offset that may be committed.

        What the engine does then hangs on the clock of this machine, so that it would not come out the same a second
        time: it is saved before a report of it goes out. Raises SinkError, SnapshotError.
        """
        elapsed_s, self._last_event_at = now - self._last_event_at, now
        self.engine.last_ts = (self.engine.last_ts or 0.0) + elapsed_s
        await self.loop.advance(self.engine.last_ts)
        return await self.loop.checkpoint()

    async def checkpoint(self) -> int:
        """Report, flush, save; returns the offset that may be committed. Raises SinkError, SnapshotError."""
        await self.report()
        offset = await self.loop.checkpoint()
        self.checkpoint_due = time.monotonic() + self.settings.snapshot_interval_s
        return offset

    def _judge(self, seen: int, dead: int) -> None:
        share_max = self.settings.dead_letters_share_max
        self._seen += seen
        self._dead += dead
        if self._seen < DEAD_LETTERS_WINDOW:
            return
        if share_max is not None and self._dead > share_max * self._seen:
            raise SourceError(
                f"{self.settings.topics.requests}/{self.partition}: {self._dead} of the last {self._seen} payloads "
                f"cannot be decoded, more than dead_letters_share_max {share_max} allows; stopped before "
                f"offset {self.next_offset}"
            )
        self._seen = self._dead = 0


def _consecutive(records: Sequence[ConsumerRecord]) -> Iterator[Sequence[ConsumerRecord]]:
    """Cut where offsets leave a gap (transaction markers take offsets): a batch counts back from its last one."""
    start = 0
    if records[-1].offset - records[0].offset + 1 != len(records):
        for i in range(1, len(records)):
            if records[i].offset != records[i - 1].offset + 1:
                yield records[start:i]
                start = i
    yield records[start:]
