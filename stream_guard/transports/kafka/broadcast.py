"""What every half hears: verdicts, and the word of analysts and others.

A consumer group would give each record to one worker. These records are for all, so they are read without a group, and
each half remembers in its own snapshot how far it has listened (`Inbox.heard`). A half that starts from an older
snapshot hears again exactly what it had not heard by then.

A verdict must not overtake the events that it is about: a half that was put back by a crash would not know the accounts
yet. So a verdict says on which offsets of the requests it stands (its `clock`, one a partition), and a half waits with
it until it has read as far. All else waits until a half is where the log ended when it took up its partition, except
facts of accounts, which are best known before the first request.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from mode import Service

from stream_guard.codecs import decode
from stream_guard.engine import Lesson
from stream_guard.errors import SourceError
from stream_guard.events import AccountUpdate, Enforcement, Feedback, Release
from stream_guard.transports.kafka.clients import aiokafka_options, unreachable
from stream_guard.transports.kafka.settings import KafkaSettings, TopicNames

CLOCK = "clock"
"""The header of a verdict: a JSON object, partition of the requests -> next offset."""

NOTICES_WAITING_MAX = 10_000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Notice:
    """One record that every half hears."""

    topic: str
    partition: int
    offset: int
    value: bytes
    clock: dict[int, int] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """Where it came from, as the key in snapshots."""
        return f"{self.topic}/{self.partition}"

    def lesson(self, topics: TopicNames) -> Lesson:
        """Return what it says, where it is not a verdict. Raises InvalidEvent."""
        kinds: dict[str, type[Lesson]] = {
            topics.feedback: Feedback,
            topics.releases: Release,
            topics.enforcement: Enforcement,
            topics.accounts: AccountUpdate,
        }
        return decode(self.value, kinds[self.topic])


class Inbox:
    """What one half has heard, and what it has still to hear.

    Parameters
    ----------
    sources
        The partitions of topics that it listens to.
    """

    def __init__(self, sources: set[TopicPartition]) -> None:
        self.sources = sources
        self.heard: dict[str, int] = {}
        self._waiting: dict[str, deque[Notice]] = {}

    def next_offset(self, source: TopicPartition) -> int:
        """Return the offset of the next record to offer."""
        key = f"{source.topic}/{source.partition}"
        waiting = self._waiting.get(key)
        return waiting[-1].offset + 1 if waiting else self.heard.get(key, 0)

    def offer(self, notice: Notice) -> None:
        """Take a record, unless it was taken before."""
        source = TopicPartition(notice.topic, notice.partition)
        if source in self.sources and notice.offset >= self.next_offset(source):
            self._waiting.setdefault(notice.source, deque()).append(notice)

    def due(self, reached: Callable[[Notice], bool]) -> Iterator[Notice]:
        """Yield what may be heard now, in order; each counts as heard once it is yielded."""
        for source, waiting in self._waiting.items():
            while waiting and reached(waiting[0]):
                notice = waiting.popleft()
                self.heard[source] = notice.offset + 1
                yield notice

    @property
    def full(self) -> bool:
        """Whether more must wait outside."""
        return sum(map(len, self._waiting.values())) >= NOTICES_WAITING_MAX


@dataclass(frozen=True, slots=True)
class Reached:
    """How far an account half has read, for what waits for it."""

    topics: TopicNames
    partition: int
    next_offset: int
    end_at_start: int

    def __call__(self, notice: Notice) -> bool:
        """Return whether a notice may be heard."""
        if notice.topic == self.topics.verdicts:
            return self.next_offset >= notice.clock.get(self.partition, 0)
        return notice.topic == self.topics.accounts or self.next_offset >= self.end_at_start


class Broadcast(Service):
    """Reads what is for all and offers it to every inbox."""

    def __init__(self, settings: KafkaSettings) -> None:
        super().__init__()
        self._settings = settings
        self._inboxes: list[Inbox] = []
        self._changed = asyncio.Event()
        self._consumer: AIOKafkaConsumer | None = None

    def join(self, inbox: Inbox) -> None:
        """Serve an inbox from now on, beginning where it left off."""
        self._inboxes.append(inbox)
        self._changed.set()

    def leave(self, inbox: Inbox) -> None:
        """Serve it no longer."""
        self._inboxes.remove(inbox)
        self._changed.set()

    async def on_start(self) -> None:
        """Connect."""
        consumer = AIOKafkaConsumer(
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",  # what retention took away before we heard it is gone
            fetch_max_wait_ms=200,
            **aiokafka_options(self._settings),
        )
        try:
            await consumer.start()
        except KafkaError as error:
            await consumer.stop()
            raise unreachable(self._settings, error) from error
        self._consumer = consumer

    async def on_stop(self) -> None:
        """Let go."""
        if self._consumer:
            await self._consumer.stop()

    @Service.task
    async def _listen(self) -> None:
        while not self.should_stop and self._consumer is not None:
            if self._changed.is_set():
                self._changed.clear()
                self._aim(self._consumer)
            if not self._consumer.assignment() or any(inbox.full for inbox in self._inboxes):
                await self.sleep(0.1)
                continue
            try:
                fetched = await self._consumer.getmany(timeout_ms=200)
            except KafkaError as error:
                if self.should_stop:
                    return
                raise SourceError(f"What every half hears cannot be read: {error!r}") from error
            if self._changed.is_set():
                continue  # aim anew; what was fetched is fetched again
            for records in fetched.values():
                for record in records:
                    self._offer(record)

    def _aim(self, consumer: AIOKafkaConsumer) -> None:
        sources = sorted({source for inbox in self._inboxes for source in inbox.sources})
        if not sources:
            consumer.unsubscribe()
            return
        consumer.assign(sources)
        for source in sources:
            consumer.seek(source, min(i.next_offset(source) for i in self._inboxes if source in i.sources))

    def _offer(self, record: ConsumerRecord) -> None:
        if record.value is None:  # the end of a compacted key
            return
        notice = Notice(record.topic, record.partition, record.offset, record.value, _clock(record))
        for inbox in self._inboxes:
            inbox.offer(notice)


def clock_header(clock: dict[int, int]) -> tuple[str, bytes]:
    """Return the header that says on which offsets a verdict stands."""
    return CLOCK, orjson.dumps(clock, option=orjson.OPT_NON_STR_KEYS)


def _clock(record: ConsumerRecord) -> dict[int, int]:
    value = dict(record.headers).get(CLOCK)
    return {int(partition): offset for partition, offset in orjson.loads(value).items()} if value else {}
