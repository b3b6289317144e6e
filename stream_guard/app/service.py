"""The service of embedded mode: a journal before the engine, a database behind it, answers from memory.

    HTTP, files, standard input ─► Journal ─► PartitionWorker(Engine) ─► SqliteStore, other sinks
                                      │                 │
                               "accepted"        check, account, campaigns

Nothing is acknowledged before the journal is synced, and the engine is told nothing that is not in the journal. So
after a crash it is told the same again, in the same order, from its last snapshot on.
"""

import asyncio
import contextlib
import itertools
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from stream_guard.codecs import decode_events, encode
from stream_guard.engine import Engine, Lesson
from stream_guard.errors import InvalidCursor, Overloaded, StreamGuardError
from stream_guard.events import (
    AccountUpdate,
    AccountView,
    CampaignView,
    DeadLetter,
    Decision,
    Enforcement,
    Feedback,
    Release,
)
from stream_guard.gateway.backend import Logged
from stream_guard.transports.base import Sink
from stream_guard.transports.journal import EmbeddedSettings, GroupCommit, Journal, Kind, Record
from stream_guard.transports.snapshots import DirectorySnapshots
from stream_guard.transports.sqlite import SqliteStore
from stream_guard.worker import Observer, PartitionWorker

_LESSONS: dict[str, type[Lesson]] = {kind.__name__: kind for kind in (Feedback, Release, Enforcement, AccountUpdate)}
_CLOCK = "clock"

_log = logging.getLogger(__name__)


class EmbeddedService:
    """Everything between what comes in and what is answered; the `Backend` and the `Intake` of the gateway's API.

    Parameters
    ----------
    engine
        A fresh one.
    settings
        Of embedded mode.
    sinks
        Where results go besides the database, such as webhooks.
    clock
        Seconds since 1970.
    observer
        See `worker.Observer`.

    Raises
    ------
    StreamGuardError
        The directory is in use by another process, or what is in it is damaged.
    """

    def __init__(
        self,
        engine: Engine,
        settings: EmbeddedSettings,
        *,
        sinks: Sequence[Sink] = (),
        clock: Callable[[], float] = time.time,
        observer: Observer | None = None,
    ) -> None:
        directory = Path(settings.data_dir)
        self.settings = settings
        self._engine = engine
        self._clock = clock
        self._journal = Journal(directory / "journal", segment_bytes=settings.segment_bytes)
        self._commits = GroupCommit(self._journal)
        self._store = SqliteStore(directory / "results.db", records_max=settings.records_max)
        self._sinks = (self._store, *sinks)
        self._worker = PartitionWorker(
            engine, self._sinks, DirectorySnapshots(directory / "snapshots"), observer=observer
        )
        self._waiting: deque[tuple[int, Sequence[Record]]] = deque()
        self._pending = 0
        self._more = asyncio.Event()
        self._room = asyncio.Event()
        self._state = "starting"
        self._stopping = False
        self._failure: StreamGuardError | None = None
        self._previous_snapshot: int | None = None
        # Event time as far as it was seen, and when that was by the clock.
        self._seen: tuple[float, float] | None = self._journal.marks.get(_CLOCK)
        self._heard = False
        self.decisions = StoredDecisions(self._store)

    # What the API asks

    @property
    def intake(self) -> "EmbeddedService":
        """Return itself: events come in over HTTP."""
        return self

    def check(self, account_id: str) -> Decision | None:
        """Return the decision in force now; None means allow."""
        return self._engine.check(account_id, self.event_time()) if self._state == "ok" else None

    def account(self, account_id: str) -> AccountView | None:
        """Return what is known of an account, or None."""
        return self._engine.account(account_id)

    def campaigns(self) -> Sequence[CampaignView]:
        """Return all campaigns held, newest change first."""
        return self._engine.campaigns()

    def campaign(self, campaign_id: str) -> CampaignView | None:
        """Return one campaign, or None."""
        return self._engine.campaign(campaign_id)

    def readiness(self) -> Mapping[str, str]:
        """Return the components by name: "ok", or why not."""
        full = self._pending >= self.settings.pending_events_max
        return {"engine": self._state, "intake": f"{self._pending} events wait" if full else "ok"}

    @property
    def pending(self) -> int:
        """How many events wait for the engine."""
        return self._pending

    def event_time(self) -> float:
        """Return what time it is by the events: that of the newest, and what has passed since it came."""
        now = self._clock()
        if self._seen is None:
            return now
        ts, at = self._seen
        return ts + max(0.0, now - at)

    # What comes in

    async def accept(self, payloads: Sequence[bytes], refused: Sequence[DeadLetter] = ()) -> None:
        """Take requests over HTTP; returns once they are durable. Raises Overloaded and SinkError."""
        records = [Record(Kind.HTTP, payload) for payload in payloads]
        records += [Record(Kind.REFUSED, encode(letter)) for letter in refused]
        if self._pending and self._pending + len(records) > self.settings.pending_events_max:
            raise Overloaded(f"{self._pending} events wait already")
        await self._tell(records)

    async def learn(self, lesson: Lesson) -> None:
        """Take one record from outside; returns once it is durable. Raises SinkError."""
        await self._tell([Record(Kind.LESSON, encode({type(lesson).__name__: lesson}))])

    async def read(self, lines: Sequence[bytes], kind: Kind, marks: Mapping[str, Any] | None = None) -> None:
        """Take lines of a file with the marks that belong to them; waits for room, and until they are durable."""
        while self._pending >= self.settings.pending_events_max:
            self._room.clear()
            await self._room.wait()
        await self._tell([Record(kind, line) for line in lines], marks)

    @property
    def marks(self) -> Mapping[str, Any]:
        """What was marked last; see `Journal`."""
        return self._journal.marks

    async def _tell(self, records: Sequence[Record], marks: Mapping[str, Any] | None = None) -> None:
        if self._stopping or self._state != "ok":
            raise Overloaded(f"not ready: {self._state}")
        self._pending += len(records)

        def enqueue(offset: int) -> None:
            self._waiting.append((offset, records))
            self._more.set()

        try:
            await self._commits.append(records, enqueue, {**(marks or {}), _CLOCK: self._seen})
        except StreamGuardError as error:
            self._failure = error
            self._more.set()
            raise

    # The loop

    async def run(self, started: asyncio.Event, stop: asyncio.Event) -> None:
        """Take up the last state, then process what comes in until `stop` is set; ends with a snapshot.

        Raises
        ------
        StreamGuardError
            The state cannot be taken up, or results cannot be written. Whoever starts next finds everything.
        """
        try:
            await self._recover()
            self._state = "ok"
            started.set()
            stopped = asyncio.create_task(stop.wait())
            timer = asyncio.create_task(self._advance())
            try:
                await self._process_until(stopped)
            finally:
                self._stopping = True  # no more comes in
                stopped.cancel()
                timer.cancel()
            await self._commits.drain()
            while self._waiting:
                await self._process_waiting()
            await self._save()
            self._state = "stopped"
        except BaseException as error:
            self._state = f"failed: {error}"
            raise
        finally:
            await self._close()

    async def _recover(self) -> None:
        offset = await asyncio.to_thread(self._worker.restore)
        if not offset and self._journal.first_offset:
            offset = self._journal.first_offset
            _log.warning("no snapshot: begins anew, at the oldest record of the journal, offset %d", offset)
        records = 0
        for at, run in _runs(self._journal.read(offset), self.settings.batch_events):
            await self._take(at, run)
            records += len(run)
            await asyncio.sleep(0)
        await self._flush()
        _log.info("took up offset %d and %d records of the journal after it", offset, records)

    async def _process_until(self, stopped: "asyncio.Task[bool]") -> None:
        save_at = time.monotonic() + self.settings.snapshot_interval_s
        while not stopped.done():
            await self._process_waiting()
            if self._failure:
                raise self._failure
            if time.monotonic() >= save_at:
                await self._save()
                save_at = time.monotonic() + self.settings.snapshot_interval_s
            self._more.clear()
            if not self._waiting:
                more = asyncio.create_task(self._more.wait())
                timeout = max(0.0, save_at - time.monotonic())
                await asyncio.wait([more, stopped], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                more.cancel()

    async def _process_waiting(self) -> None:
        """Tell the engine what waits now; what comes meanwhile waits for the next turn."""
        waiting = [(at + i, record) for at, records in self._waiting for i, record in enumerate(records)]
        self._waiting.clear()
        for at, run in _runs(waiting, self.settings.batch_events):
            await self._take(at, run)
            await self._flush()
            self._pending -= len(run)
            self._room.set()
            await asyncio.sleep(0)  # whoever asks over HTTP

    async def _take(self, offset: int, records: Sequence[Record]) -> None:
        """Tell the engine a run of records of one kind."""
        kind, following = records[0].kind, offset + len(records)
        payloads = [record.payload for record in records]
        if kind.is_event:
            started = time.perf_counter()
            events, dead_letters = decode_events(payloads, source=kind.name.lower(), first_offset=offset)
            decode_s = time.perf_counter() - started
            await self._worker.take_decoded(events, dead_letters, following, decode_s=decode_s)
            if events:
                self._see(max(event.ts for event in events))
        elif kind is Kind.REFUSED:
            letters = [msgspec.json.decode(payload, type=DeadLetter) for payload in payloads]
            for at, letter in enumerate(letters, start=offset):
                letters[at - offset] = msgspec.structs.replace(letter, offset=at)
            await self._worker.take_decoded((), letters, following)
        elif kind is Kind.ADVANCE:
            for at, payload in enumerate(payloads, start=offset):
                await self._worker.advance(msgspec.json.decode(payload, type=float), next_offset=at + 1)
        else:
            for at, payload in enumerate(payloads, start=offset):
                await self._worker.learn(_lesson(payload), next_offset=at + 1)

    async def _flush(self) -> None:
        """Make results safe as they come, so that who reads them reads nothing that a crash could take back."""
        for sink in self._sinks:
            await sink.flush()
        self.decisions.wake()

    def _see(self, ts: float) -> None:
        now = self._clock()
        if ts >= self.event_time() or self._seen is None:
            self._seen = (min(ts, now), now)
        self._heard = True

    async def _advance(self) -> None:
        """In quiet times, say that time goes on."""
        while True:
            self._heard = False
            await asyncio.sleep(self.settings.advance_interval_s)
            if self._seen is not None and not self._heard and not self._pending:
                with contextlib.suppress(StreamGuardError):
                    await self._tell([Record(Kind.ADVANCE, encode(self.event_time()))])

    async def _save(self) -> None:
        offset = await self._worker.checkpoint()
        if self._previous_snapshot is not None:
            self._journal.forget(self._previous_snapshot)
        self._previous_snapshot = offset

    async def _close(self) -> None:
        self._stopping = True
        await self._commits.drain()
        for sink in self._sinks:
            await sink.close()
        self._journal.close()


class StoredDecisions:
    """The `DecisionLog` over the database: it survives restarts, and forgets the oldest.

    Parameters
    ----------
    store
        Holds the decisions.
    """

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self._more = asyncio.Event()

    def wake(self) -> None:
        """Say that there may be more."""
        self._more.set()
        self._more = asyncio.Event()

    async def read(
        self, after: str | None, limit: int, *, since: float | None = None, account_id: str | None = None
    ) -> list[Logged]:
        """Return decisions after the cursor, oldest first. Raises InvalidCursor."""
        seq = self._seq(after)
        found = await asyncio.to_thread(
            self._store.decisions, after=seq, since=since, account_id=account_id, limit=limit
        )
        return [Logged(self._cursor(number), decision) for number, decision in found]

    async def end(self) -> str | None:
        """Return the cursor of the newest decision."""
        last = self._store.kept()[1]
        return self._cursor(last) if last else None

    async def wait(self, after: str | None) -> None:
        """Return once there is a decision after the cursor."""
        seq = self._seq(after)
        while True:
            more = self._more
            if self._store.kept()[1] > seq:
                return
            await more.wait()

    def _cursor(self, seq: int) -> str:
        return f"{self._store.log_id}-{seq}"

    def _seq(self, cursor: str | None) -> int:
        if cursor is None:
            return 0
        log_id, _, number = cursor.partition("-")
        first, last = self._store.kept()
        if log_id != self._store.log_id or not number.isdecimal() or int(number) > last:
            raise InvalidCursor(f"{cursor!r} is not a place in this log; begin without a cursor")
        if int(number) < first - 1:
            raise InvalidCursor(f"decisions after {cursor!r} are no longer kept; begin without a cursor")
        return int(number)


def _lesson(payload: bytes) -> Lesson:
    ((name, record),) = msgspec.json.decode(payload, type=dict[str, msgspec.Raw]).items()
    return msgspec.json.decode(record, type=_LESSONS[name])


def _runs(records: Iterable[tuple[int, Record]], records_max: int) -> Iterable[tuple[int, list[Record]]]:
    """Cut consecutive records into runs of one kind and at most this many; each with the offset of its first."""
    for _, same in itertools.groupby(records, key=lambda numbered: numbered[1].kind):
        while run := list(itertools.islice(same, records_max)):
            yield run[0][0], [record for _, record in run]
