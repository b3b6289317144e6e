"""What goes out to Kafka: decisions, alerts, campaigns, dead letters, and what one half says to the other."""

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from mode import Service

from stream_guard.codecs import encode
from stream_guard.engine import Outcome
from stream_guard.errors import SinkError
from stream_guard.events import DeadLetter
from stream_guard.transports.kafka.clients import MESSAGE_BYTES_MAX, aiokafka_options, unreachable
from stream_guard.transports.kafka.settings import KafkaSettings, TopicNames

Headers = Sequence[tuple[str, bytes]]


class Outlet(Service):
    """The producer that all sinks of a process share: idempotent, acknowledged by all replicas."""

    def __init__(self, settings: KafkaSettings) -> None:
        super().__init__()
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None

    def sink(self) -> "KafkaSink":
        """Return a sink of its own for one half."""
        if self._producer is None:
            raise AssertionError("not started")
        return KafkaSink(self._producer, self._settings.topics)

    async def on_start(self) -> None:
        """Connect. Raises BrokerError."""
        producer = AIOKafkaProducer(
            enable_idempotence=True,
            acks="all",
            compression_type="zstd",
            linger_ms=5,
            max_batch_size=1 << 18,
            max_request_size=MESSAGE_BYTES_MAX,
            **aiokafka_options(self._settings),
        )
        try:
            await producer.start()
        except KafkaError as error:
            await producer.stop()
            raise unreachable(self._settings, error) from error
        self._producer = producer

    async def on_stop(self) -> None:
        """Send what is left and disconnect."""
        if self._producer:
            await self._producer.stop()


class KafkaSink:
    """Writes records to their topics; `flush` returns when all replicas have them.

    Several sinks may share one producer, which orders what goes to one partition of a topic. Decisions and alerts are
    keyed by account, campaigns by campaign, dead letters by the partition that they come from.

    Parameters
    ----------
    producer
        A started producer; closing it is its owner's business.
    topics
        The names of the topics.
    """

    def __init__(self, producer: AIOKafkaProducer, topics: TopicNames) -> None:
        self._producer = producer
        self._topics = topics
        self._unsafe: list[asyncio.Future[object]] = []
        self.dead_letters = 0

    async def add(self, outcome: Outcome, dead_letters: Sequence[DeadLetter]) -> None:
        """Hand over results; they are not safe until `flush` has returned. Raises SinkError."""
        topics = self._topics
        for decision in outcome.decisions:
            await self.send(topics.decisions, encode(decision), key=decision.account_id)
        for alert in outcome.alerts:
            await self.send(topics.alerts, encode(alert), key=alert.account_id or alert.campaign_id)
        for campaign in outcome.campaigns:
            await self.send(topics.campaigns, encode(campaign), key=campaign.campaign_id)
        for letter in dead_letters:
            await self.send(topics.dead_letters, encode(letter), key=f"{letter.source}/{letter.partition}")
        self.dead_letters += len(dead_letters)

    async def send(self, topic: str, value: bytes, *, key: str | None = None, headers: Headers = ()) -> None:
        """Hand over one record. Waits while the producer's buffers are full. Raises SinkError."""
        try:
            sent = await self._producer.send(topic, value, key=key.encode() if key else None, headers=list(headers))
        except KafkaError as error:
            raise SinkError(f"{topic}: cannot be written: {error!r}") from error
        self._unsafe.append(sent)

    async def flush(self) -> None:
        """Return once everything handed over is safe. Raises SinkError if any of it is not."""
        unsafe, self._unsafe = self._unsafe, []
        results = await asyncio.gather(*unsafe, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise SinkError(f"Kafka did not take what was written: {result!r}") from result

    async def close(self) -> None:
        """Flush."""
        await self.flush()
