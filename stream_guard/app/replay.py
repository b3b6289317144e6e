"""Recorded traffic through a fresh engine, in event time."""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stream_guard.app import rest_collector
from stream_guard.codecs import decode, decode_events
from stream_guard.engine import LIVE_S, Engine, EngineSettings, Outcome, PopulationBaseline
from stream_guard.errors import InvalidEvent, SourceError
from stream_guard.events import DeadLetter, Release, RequestEvent
from stream_guard.transports.files import STDIN, JsonlSink, LineReader
from stream_guard.transports.snapshots import MemorySnapshots
from stream_guard.worker import PartitionWorker

REPLAY_BATCH_EVENTS = 2000


@dataclass
class ReplayProgress:
    """How far a replay has come, and in the end its summary.

    `late` counts events that are older than one before them, `learnt` is what is usual by the end, `bytes_total` is None when it cannot be known, `first_ts`
    and `last_ts` are event time, `seconds` is how long the replay has run.
    """

    events: int = 0
    late: int = 0
    accounts: int = 0
    decisions: int = 0
    alerts: int = 0
    dead_letters: int = 0
    releases: int = 0
    campaign_ids: set[str] = field(default_factory=set)
    first_ts: float | None = None
    last_ts: float | None = None
    bytes_read: int = 0
    bytes_total: int | None = None
    seconds: float = 0.0
    learnt: PopulationBaseline = field(default_factory=PopulationBaseline)

    def see(self, events: Sequence[RequestEvent], dead_letters: Sequence[DeadLetter]) -> None:
        """Count what was read."""
        self.events += len(events)
        self.dead_letters += len(dead_letters)
        if not events:
            return
        if self.first_ts is None or self.last_ts is None:
            self.first_ts = self.last_ts = events[0].ts
        latest = self.last_ts
        for event in events:
            if event.ts < latest:
                self.late += 1
            else:
                latest = event.ts
        self.last_ts = latest

    def made(self, outcome: Outcome) -> None:
        """Count what came of it."""
        self.decisions += len(outcome.decisions)
        self.alerts += len(outcome.alerts)
        self.campaign_ids.update(campaign.campaign_id for campaign in outcome.campaigns)


async def replay(
    paths: Sequence[str],
    out: Path,
    settings: EngineSettings,
    *,
    releases: Sequence[Release] = (),
    baseline: PopulationBaseline | None = None,
    batch_events: int = REPLAY_BATCH_EVENTS,
    watch: Callable[[ReplayProgress], None] = lambda _: None,
) -> ReplayProgress:
    """Put recorded events through a fresh engine, in event time, and write what comes of them as files.

    Events go to the engine in the order of the files; one that is older than one before it is counted, not moved. A
    release is told before the first event that is not older than it.

    Parameters
    ----------
    paths
        Files of events, read one after the other; `-` is standard input.
    out
        The directory of the results (see `JsonlSink`).
    settings
        Of the engine.
    releases
        Models that became available during the recording.
    baseline
        What is usual elsewhere, to begin with.
    batch_events
        How many events go to the engine at a time; makes no difference to the results.
    watch
        Called after each batch.

    Raises
    ------
    SourceError
        A file is missing or damaged; what came of the events before is left as `*.partial`.
    SinkError
        The results cannot be written.
    """
    rest_collector()
    started = time.perf_counter()
    readers = [LineReader(path) for path in paths]
    sizes = [reader.bytes_total for reader in readers]
    progress = ReplayProgress(bytes_total=None if None in sizes else sum(size or 0 for size in sizes))
    engine, sink = Engine(settings), JsonlSink(out)
    if baseline is not None:
        engine.begin_with(baseline)
    worker = PartitionWorker(engine, [sink], MemorySnapshots())
    pending = sorted(releases, key=lambda release: release.ts)
    try:
        for events, dead_letters in itertools.chain.from_iterable(_decoded(reader, batch_events) for reader in readers):
            progress.see(events, dead_letters)
            for step in _with_releases(events, pending):
                if isinstance(step, Release):
                    progress.releases += 1
                    progress.made(await worker.learn(step))
                else:
                    progress.made(await worker.take_decoded(step, dead_letters, worker.next_offset + len(step)))
                    dead_letters = []  # noqa: PLW2901 - they go with the first part
            progress.accounts = engine.accounts_held
            progress.bytes_read = sum(reader.bytes_read for reader in readers)
            progress.seconds = time.perf_counter() - started
            watch(progress)
        if progress.last_ts is not None:
            progress.made(await worker.advance(engine.now + LIVE_S))  # so that the last requests are judged too
    except BaseException:
        await sink.close()
        raise
    await sink.finish()
    progress.learnt = engine.learnt()
    progress.seconds = time.perf_counter() - started
    return progress


def read_releases(path: str) -> list[Release]:
    """Read a file of releases, one a line. Raises SourceError."""
    releases = []
    for number, line in enumerate(
        itertools.chain.from_iterable(LineReader(path).batches(REPLAY_BATCH_EVENTS)), start=1
    ):
        try:
            releases.append(decode(line, Release))
        except InvalidEvent as error:
            raise SourceError(f"{path}: line {number} is not a release: {error.reason}") from error
    return releases


def _decoded(reader: LineReader, batch_events: int) -> Iterator[tuple[list[RequestEvent], list[DeadLetter]]]:
    source, offset = "stdin" if reader.path == STDIN else reader.path, 0
    for payloads in reader.batches(batch_events):
        yield decode_events(payloads, source=source, first_offset=offset)
        offset += len(payloads)


def _with_releases(events: list[RequestEvent], pending: list[Release]) -> Iterator[list[RequestEvent] | Release]:
    """Cut a batch where releases belong; takes those that are due from `pending`."""
    start = 0
    if pending:
        for at, event in enumerate(events):
            if pending and event.ts >= pending[0].ts:
                yield events[start:at]
                start = at
                while pending and event.ts >= pending[0].ts:
                    yield pending.pop(0)
    yield events[start:] if start else events
