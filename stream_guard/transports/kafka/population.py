"""The population half: reports in, verdicts and campaigns out; one active instance.

The topic of the reports has one partition, so Kafka gives it to one worker; the others stand by. Faust's agent brings
the reports; nothing is acknowledged before a snapshot holds it:

1. a report is processed; campaigns, alerts and verdicts are handed to the producer;
2. flush: all of it is safe outside;
3. snapshot: state, what was heard, how far each account half had read, and the next offset, in one atomic write;
4. acknowledge every report that the snapshot holds; Faust commits later.

After a crash reports come again from the last commit; those below the snapshot's offset are skipped.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from mode import Service

from stream_guard.codecs import dead_letter
from stream_guard.engine import Outcome, PopulationHalf
from stream_guard.errors import InvalidEvent, SnapshotError, StreamGuardError
from stream_guard.events import DeadLetter
from stream_guard.transports.base import Sink, Snapshot, SnapshotStore
from stream_guard.transports.kafka.accounts import LAST_TS, NEXT_OFFSET
from stream_guard.transports.kafka.broadcast import Broadcast, Inbox, clock_header
from stream_guard.transports.kafka.settings import KafkaSettings, TopicNames
from stream_guard.transports.kafka.sink import KafkaSink

_log = logging.getLogger(__name__)


class Kept(msgspec.Struct, array_like=True):
    """What a snapshot of the population half holds on Kafka."""

    heard: dict[str, int]
    clock: dict[int, int]
    state: bytes


class Population(Service):
    """The population half of this worker, while its partition is ours.

    Parameters
    ----------
    settings
        Of Kafka.
    make_half
        Makes an empty population half.
    make_inbox
        Makes an empty inbox.
    make_sink
        Makes a sink for what it says.
    sinks
        Who else is told.
    snapshots
        Where its state is kept, as partition 0; not the store of the account halves.
    broadcast
        Brings it what all hear.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        make_half: Callable[[], PopulationHalf],
        make_inbox: Callable[[], Inbox],
        make_sink: Callable[[], KafkaSink],
        snapshots: SnapshotStore,
        broadcast: Broadcast,
        *,
        sinks: Sequence[Sink] = (),
    ) -> None:
        super().__init__()
        self._settings = settings
        self._make_half = make_half
        self._make_inbox = make_inbox
        self._make_sink = make_sink
        self._snapshots = snapshots
        self._broadcast = broadcast
        self._sinks = tuple(sinks)
        self._turn = asyncio.Lock()
        self.active: _Active | None = None
        """What belongs to the half while it is active here, else None."""

    @property
    def half(self) -> PopulationHalf | None:
        """The half while it is active here, else None."""
        return self.active.half if self.active else None

    async def open(self) -> None:
        """Take up the newest snapshot, unless this is already active. Raises SnapshotError."""
        async with self._turn:
            self._opened()

    async def take(self, event: Any) -> None:
        """Process one report, a Faust event that is acknowledged later. Raises SinkError."""
        async with self._turn:
            active, message = self._opened(), event.message
            active.unacknowledged.append(event)
            if message.offset < active.next_offset:
                return
            active.next_offset = message.offset + 1
            try:
                outcome = active.half.process(message.value)
            except (ValueError, StreamGuardError) as error:
                await active.refuse(message.value, str(error), message.topic, message.partition, message.offset)
                return
            headers = dict(message.headers)
            active.clock[int(message.key)] = int(headers[NEXT_OFFSET])
            active.last_ts = max(active.last_ts, float(headers[LAST_TS]))
            active.last_report_at = time.monotonic()
            await active.publish(outcome)

    async def keep_time(self) -> None:
        """Hear what all hear, flush, and save when it is time. Raises SinkError, SnapshotError."""
        async with self._turn:
            if self.active is None:
                return
            now = time.monotonic()
            await self.active.hear()
            advanced = now - self.active.last_report_at >= self._settings.idle_s and await self.active.advance(now)
            await self.active.flush()
            if advanced or now >= self.active.snapshot_due:
                await self._checkpoint(self.active)

    async def close(self) -> None:
        """Save and drop; what cannot be saved is read again by the next owner."""
        async with self._turn:
            if self.active is None:
                return
            try:
                async with asyncio.timeout(self._settings.session_timeout_s):
                    await self._checkpoint(self.active)
            except (StreamGuardError, TimeoutError) as error:
                _log.warning("Gave up the population half without saving: %r; it will be read again", error)
            self._broadcast.leave(self.active.inbox)
            self.active = None

    async def on_stop(self) -> None:
        """Save and drop."""
        await self.close()

    def _opened(self) -> "_Active":
        if self.active is None:
            settings, sink = self._settings, self._make_sink()
            active = _Active(settings.topics, self._make_half(), self._make_inbox(), sink, (sink, *self._sinks))
            snapshot = self._snapshots.load(0)
            if snapshot is not None:
                active.restore(snapshot)
            active.snapshot_due = time.monotonic() + settings.snapshot_interval_s
            self._broadcast.join(active.inbox)
            self.active = active
            _log.info("%s: from offset %s", settings.topics.summaries, active.next_offset)
        return self.active

    async def _checkpoint(self, active: "_Active") -> None:
        await active.flush()
        snapshot = active.snapshot()
        held, active.unacknowledged = active.unacknowledged, []
        await asyncio.to_thread(self._snapshots.save, 0, snapshot)
        for event in held:
            event.ack()
        active.snapshot_due = time.monotonic() + self._settings.snapshot_interval_s


@dataclass
class _Active:
    """All that belongs to the partition of the reports, as long as it is ours."""

    topics: TopicNames
    half: PopulationHalf
    inbox: Inbox
    sink: KafkaSink
    sinks: tuple[Sink, ...]
    clock: dict[int, int] = field(default_factory=dict)
    next_offset: int = 0
    snapshot_due: float = 0.0
    last_ts: float = 0.0
    last_report_at: float = 0.0
    unacknowledged: list[Any] = field(default_factory=list)

    async def hear(self) -> None:
        for notice in self.inbox.due(lambda _: True):
            try:
                outcome = self.half.learn(notice.lesson(self.topics))
            except InvalidEvent as error:
                await self.refuse(notice.value, error.reason, notice.topic, notice.partition, notice.offset)
            else:
                await self.publish(outcome)

    async def advance(self, now: float) -> bool:
        """Let time go on by as much as it has since the last report; return whether that led to anything."""
        if not self.last_ts:
            return False
        self.last_ts += now - self.last_report_at
        self.last_report_at = now
        outcome = self.half.advance(self.last_ts)
        await self.publish(outcome)
        return bool(outcome.campaigns or outcome.alerts)

    async def publish(self, outcome: Outcome) -> None:
        await self._add(outcome, ())
        for verdict in self.half.take_verdicts():
            await self.sink.send(self.topics.verdicts, verdict, headers=[clock_header(self.clock)])

    async def refuse(self, value: bytes, reason: str, topic: str, partition: int, offset: int) -> None:
        letter = dead_letter(value, reason, source=topic, partition=partition, offset=offset)
        await self._add(Outcome(), [letter])

    async def flush(self) -> None:
        for sink in self.sinks:
            await sink.flush()

    async def _add(self, outcome: Outcome, dead_letters: Sequence[DeadLetter]) -> None:
        for sink in self.sinks:
            await sink.add(outcome, dead_letters)

    def snapshot(self) -> Snapshot:
        kept = Kept(self.inbox.heard, self.clock, self.half.snapshot())
        return Snapshot(msgspec.msgpack.encode(kept), self.next_offset)

    def restore(self, snapshot: Snapshot) -> None:
        try:
            kept = msgspec.msgpack.decode(snapshot.state, type=Kept)
        except msgspec.DecodeError as error:
            raise SnapshotError(f"The snapshot is not one of a population half on Kafka: {error}") from error
        self.half.restore(kept.state)
        self.inbox.heard, self.clock, self.next_offset = kept.heard, kept.clock, snapshot.next_offset
