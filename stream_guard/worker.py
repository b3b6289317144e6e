"""The one loop of a partition: the same for a file, for HTTP and for Kafka.

The order of the steps is what makes it safe to die at any of them:

1. **poll**      the source hands over a batch; nothing has changed.
2. **decode**    payloads become events; what cannot becomes a dead letter with its reason.
3. **process**   the engine takes the events; its state is now ahead of the disk.
4. **publish**   decisions, alerts, campaigns and dead letters are handed to the sinks.
5. **flush**     the sinks return once all of it is safe outside.
6. **snapshot**  the engine's state and the next offset are saved in one atomic write.
7. **commit**    the source is told that everything before that offset is done with.

What a crash after each of them does, given that whoever comes next starts at the offset *inside the newest snapshot*:

=========  ==========================================================================================================
 after     then
=========  ==========================================================================================================
 1, 2, 3   the state in memory is lost with the process; the batch is read and processed again, from the same state.
 4         some results may be outside; the batch is processed again and gives the same results with the same ids.
 5         all results are outside; the same again: every one of them is a repeat that its id makes harmless.
 6         state and offset moved together; the batch is not read again, although the source still remembers an older
           commit: payloads before the snapshot's offset are skipped.
 7         nothing to do.
=========  ==========================================================================================================

Steps 1 and 7 belong to whoever runs the loop (`app.py`, `transports/kafka`), 2 to 4 are `PartitionWorker.take`, 5 and 6
are `PartitionWorker.checkpoint`; several batches may pass through `take` before one `checkpoint`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from stream_guard.codecs import decode_events
from stream_guard.engine import Lesson, Outcome
from stream_guard.events import DeadLetter, RequestEvent
from stream_guard.transports.base import Batch, Sink, Snapshot, SnapshotStore


class StreamEngine(Protocol):
    """What is asked of an engine: `Engine` in embedded mode, `AccountHalf` on Kafka."""

    def process(self, events: Sequence[RequestEvent]) -> Outcome:
        """Take requests in order."""
        ...

    def advance(self, ts: float) -> Outcome:
        """Say that event time has reached `ts`."""
        ...

    def learn(self, lesson: Lesson) -> Outcome:
        """Take one record from outside."""
        ...

    def snapshot(self) -> bytes:
        """Return the whole state."""
        ...

    def restore(self, state: bytes) -> None:
        """Take up a snapshot."""
        ...


class Observer(Protocol):
    """Who wants to know what a worker does, such as the metrics. Must be quick and must not raise."""

    def took(
        self,
        partition: int,
        events: Sequence[RequestEvent],
        dead_letters: Sequence[DeadLetter],
        outcome: Outcome,
        *,
        decode_s: float,
        process_s: float,
    ) -> None:
        """See what one call of `take`, `advance` or `learn` did; times in seconds."""
        ...

    def saved(self, partition: int, snapshot: Snapshot, *, seconds: float) -> None:
        """See a snapshot that is now safe; `seconds` is how long flushing, making and saving it took."""
        ...


class PartitionWorker:
    """One partition: an engine, its sinks and where its snapshots are kept.

    Calls may overlap (a timer beside the loop); they are taken one after the other. After any of them has raised,
    memory is ahead of what is safe: the worker refuses to go on, and a new one with a fresh engine starts from the
    snapshot.

    Parameters
    ----------
    engine
        A fresh engine, or half of one.
    sinks
        Where results go; each gets all of them, in order.
    snapshots
        Where this partition's snapshots are kept.
    partition
        Its number; 0 in embedded mode.
    source
        What dead letters say about where a payload came from (topic, file, "http").
    observer
        Told of every step; see `Observer`.
    """

    def __init__(
        self,
        engine: StreamEngine,
        sinks: Sequence[Sink],
        snapshots: SnapshotStore,
        *,
        partition: int = 0,
        source: str = "",
        observer: Observer | None = None,
    ) -> None:
        self.partition = partition
        self.next_offset = 0
        self._engine = engine
        self._sinks = tuple(sinks)
        self._snapshots = snapshots
        self._source = source
        self._observer = observer
        self._turn = asyncio.Lock()
        self._broken = False

    def restore(self) -> int:
        """Load the newest snapshot; returns the next offset to read, 0 if there is none. Raises SnapshotError."""
        snapshot = self._snapshots.load(self.partition)
        if snapshot is not None:
            self._engine.restore(snapshot.state)
            self.next_offset = snapshot.next_offset
        return self.next_offset

    async def take(self, batch: Batch) -> Outcome:
        """Decode, process, publish. Payloads before `next_offset` were taken already and are skipped.

        The payloads of a batch have consecutive offsets: a source that meets a gap cuts the batch there. Returns what
        came of it, which is not safe before `checkpoint` has returned. Raises SinkError.
        """
        first = batch.next_offset - len(batch.payloads)
        skip = max(0, min(self.next_offset - first, len(batch.payloads)))
        started = time.perf_counter()
        events, dead_letters = decode_events(
            batch.payloads[skip:], source=self._source, partition=batch.partition, first_offset=first + skip
        )
        decode_s = time.perf_counter() - started
        return await self.take_decoded(events, dead_letters, batch.next_offset, decode_s=decode_s)

    async def take_decoded(
        self,
        events: Sequence[RequestEvent],
        dead_letters: Sequence[DeadLetter],
        next_offset: int,
        *,
        decode_s: float = 0.0,
    ) -> Outcome:
        """Process and publish what the caller has decoded, of which nothing was taken before. Raises SinkError."""
        async with self._step():
            outcome = await self._do(lambda: self._engine.process(events), events, dead_letters, decode_s)
            self.next_offset = max(self.next_offset, next_offset)
            return outcome

    async def advance(self, ts: float, *, next_offset: int | None = None) -> Outcome:
        """Say that event time has reached `ts`; `next_offset` where that word has a place in the journal."""
        return await self._hear(lambda: self._engine.advance(ts), next_offset)

    async def learn(self, lesson: Lesson, *, next_offset: int | None = None) -> Outcome:
        """Take a record from outside; `next_offset` where it has a place in the journal."""
        return await self._hear(lambda: self._engine.learn(lesson), next_offset)

    async def publish(self, outcome: Outcome) -> None:
        """Hand results to the sinks that were made beside the loop, such as by a verdict. Raises SinkError."""
        async with self._step():
            await self._publish(outcome, ())

    async def checkpoint(self) -> int:
        """Flush the sinks, then save state and offset; returns the offset that may now be committed.

        Raises SinkError and SnapshotError; the offset is then not safe.
        """
        async with self._step():
            started = time.perf_counter()
            for sink in self._sinks:
                await sink.flush()
            snapshot = Snapshot(self._engine.snapshot(), self.next_offset)
            await asyncio.to_thread(self._snapshots.save, self.partition, snapshot)
            if self._observer:
                self._observer.saved(self.partition, snapshot, seconds=time.perf_counter() - started)
            return snapshot.next_offset

    async def _hear(self, act: Callable[[], Outcome], next_offset: int | None) -> Outcome:
        async with self._step():
            if next_offset is not None and next_offset <= self.next_offset:
                return Outcome()
            outcome = await self._do(act, (), (), 0.0)
            if next_offset is not None:
                self.next_offset = next_offset
            return outcome

    async def _do(
        self,
        act: Callable[[], Outcome],
        events: Sequence[RequestEvent],
        dead_letters: Sequence[DeadLetter],
        decode_s: float,
    ) -> Outcome:
        started = time.perf_counter()
        outcome = act()
        process_s = time.perf_counter() - started
        await self._publish(outcome, dead_letters)
        if self._observer:
            self._observer.took(self.partition, events, dead_letters, outcome, decode_s=decode_s, process_s=process_s)
        return outcome

    async def _publish(self, outcome: Outcome, dead_letters: Sequence[DeadLetter]) -> None:
        if outcome.decisions or outcome.alerts or outcome.campaigns or dead_letters:
            for sink in self._sinks:
                await sink.add(outcome, dead_letters)

    @asynccontextmanager
    async def _step(self) -> AsyncIterator[None]:
        """One turn at a time; a turn that raised is the last."""
        async with self._turn:
            if self._broken:
                raise AssertionError("this worker has failed before; start a new one from the snapshot")
            self._broken = True
            yield
            self._broken = False
