"""Feed a topic, follow a topic: with kafka-python, for the command line."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import msgspec

from stream_guard.codecs import decode
from stream_guard.errors import BrokerError, InvalidEvent
from stream_guard.events import Alert, Campaign, DeadLetter, Decision, Reason
from stream_guard.transports.files import LineReader
from stream_guard.transports.kafka import topics
from stream_guard.transports.kafka.clients import kafka_python_errors, kafka_python_options
from stream_guard.transports.kafka.settings import KafkaSettings

_PACE_EVENTS = 500
"""Lines handed over at a time; fewer where the rate is low."""


@dataclass
class Produced:
    """How far `produce` has come. `bytes_total` is None where it cannot be known."""

    events: int = 0
    bytes_read: int = 0
    bytes_total: int | None = None
    seconds: float = 0.0


class _Keyed(msgspec.Struct):
    account_id: str


_KEYED = msgspec.json.Decoder(_Keyed)


def produce(
    settings: KafkaSettings,
    paths: Sequence[str],
    *,
    rate: float | None = None,
    watch: Callable[[Produced], None] = lambda _: None,
) -> Produced:
    """Send the lines of files to the topic of the requests, keyed by account; returns when Kafka has them all.

    A line without an account goes without a key: the worker is the one who refuses it.

    Parameters
    ----------
    settings
        Of Kafka.
    paths
        Files, one after the other; `-` is standard input.
    rate
        Events a second at most.
    watch
        Called now and then.

    Raises
    ------
    BrokerError
        No broker, no topic, or not all lines arrived.
    SourceError
        A file is missing or damaged.
    """
    readers = [LineReader(path) for path in paths]
    sizes = [reader.bytes_total for reader in readers]
    done = Produced(bytes_total=None if None in sizes else sum(size or 0 for size in sizes))
    started = time.perf_counter()
    at_once = _PACE_EVENTS if rate is None else max(1, min(_PACE_EVENTS, int(rate / 10)))
    with _producer(settings) as sender:
        for reader in readers:
            for lines in reader.batches(at_once):
                for line in lines:
                    sender.send(line)
                done.events += len(lines)
                done.bytes_read = sum(r.bytes_read for r in readers)
                done.seconds = time.perf_counter() - started
                watch(done)
                if rate is not None:
                    time.sleep(max(0.0, done.events / rate - done.seconds))
    done.seconds = time.perf_counter() - started
    return done


class _producer:  # noqa: N801 - a context
    """Sends lines and, at the end, says if one did not arrive."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._failed: Exception | None = None

    def __enter__(self) -> Self:
        from kafka import KafkaProducer  # noqa: PLC0415 - see clients.py

        requests = self._settings.topics.requests
        if requests in topics.missing(self._settings):
            raise BrokerError(f"{requests}: no such topic; see `stream-guard topics create`")
        with kafka_python_errors(self._settings):
            self._producer = KafkaProducer(
                acks="all",
                linger_ms=20,
                batch_size=1 << 18,
                compression_type="zstd",
                max_block_ms=15_000,
                **kafka_python_options(self._settings),
            )
        return self

    def send(self, line: bytes) -> None:
        try:
            key = _KEYED.decode(line).account_id.encode()
        except (msgspec.DecodeError, UnicodeError):
            key = None
        with kafka_python_errors(self._settings):
            self._producer.send(self._settings.topics.requests, line, key=key).add_errback(self._fail)
        if self._failed:
            raise BrokerError(f"Kafka did not take an event: {self._failed!r}") from self._failed

    def _fail(self, error: Exception) -> None:
        self._failed = error

    def __exit__(self, *_: object) -> None:
        with kafka_python_errors(self._settings):
            self._producer.flush(timeout=60)
            self._producer.close()
        if self._failed:
            raise BrokerError(f"Kafka did not take an event: {self._failed!r}") from self._failed


def follow(
    settings: KafkaSettings, topic: str, *, from_beginning: bool = False, limit: int | None = None
) -> Iterator[bytes]:
    """Yield the values of a topic as they come, for ever or up to `limit`. Raises BrokerError."""
    from kafka import KafkaConsumer, TopicPartition  # noqa: PLC0415 - see clients.py

    with kafka_python_errors(settings):
        consumer = KafkaConsumer(auto_offset_reset="earliest", group_id=None, **kafka_python_options(settings))
        try:
            partitions = consumer.partitions_for_topic(topic)
            if not partitions:
                raise BrokerError(f"{topic}: no such topic; see `stream-guard topics create`")
            consumer.assign([TopicPartition(topic, partition) for partition in sorted(partitions)])
            if not from_beginning:
                consumer.seek_to_end()
            for seen, record in enumerate(_records(consumer), start=1):
                yield record.value
                if limit is not None and seen >= limit:
                    return
        finally:
            consumer.close()


def _records(consumer: Any) -> Iterator[Any]:
    while True:
        for records in consumer.poll(timeout_ms=500).values():
            for record in records:
                if record.value is not None:
                    yield record


_KINDS: dict[str, type[msgspec.Struct]] = {
    "decisions": Decision,
    "alerts": Alert,
    "campaigns": Campaign,
    "dead-letters": DeadLetter,
}


def readable(stream: str, value: bytes) -> str:
    """Return a record of `decisions`, `alerts`, `campaigns` or `dead-letters` as lines for people.

    Examples
    --------
    >>> print(readable("dead-letters", b'{"reason": "not JSON", "source": "llm.requests", "payload": "{",'
    ...                b' "partition": 3, "offset": 41}'))
    llm.requests/3 offset 41: not JSON
        {
    """
    try:
        record = decode(value, _KINDS[stream])
    except InvalidEvent as error:
        return f"not a record of {stream}: {error.reason}"
    return "\n    ".join(_LINES[stream](record))


def _decision(d: Decision) -> Iterator[str]:
    limit = "" if d.limit_rpm is None else f" to {d.limit_rpm:g} a minute"
    until = "" if d.expires_at is None else f" until {_time(d.expires_at)}"
    shadow = " (shadow mode: acts on nobody)" if d.shadow else ""
    yield f"{_time(d.ts)} {d.action}{limit} {d.account_id}{until}, risk {d.risk:.2f}{shadow}"
    if d.campaign_id:
        yield f"of campaign {d.campaign_id}"
    yield from _reasons(d.reasons)
    if d.clears_when:
        yield f"clears: {d.clears_when}"


def _alert(a: Alert) -> Iterator[str]:
    yield f"{_time(a.ts)} {a.severity} {a.kind}: {a.summary}"
    yield from _reasons(a.reasons)
    if a.atlas:
        yield f"ATLAS {', '.join(a.atlas)}"


def _campaign(c: Campaign) -> Iterator[str]:
    removed = f", {len(c.removed)} left" if c.removed else ""
    yield (
        f"{_time(c.ts)} {c.campaign_id} ({c.shape}): {c.size} accounts, {len(c.accounts)} new{removed}, "
        f"{c.exchanges:,} exchanges since {_time(c.first_seen)}, risk {c.risk:.2f}"
    )
    for e in c.evidence:
        such_as = f", such as {', '.join(e.example_accounts[:3])}" if e.example_accounts else ""
        yield f"{e.kind}: {e.text} ({e.accounts} accounts{such_as})"


def _dead_letter(d: DeadLetter) -> Iterator[str]:
    place = d.source if d.partition is None else f"{d.source}/{d.partition}"
    offset = "" if d.offset is None else f" offset {d.offset}"
    yield f"{place}{offset}: {d.reason}"
    yield d.payload if len(d.payload) <= 160 else f"{d.payload[:160]}… ({d.payload_bytes:,} bytes)"


def _reasons(reasons: Sequence[Reason]) -> Iterator[str]:
    for r in sorted(reasons, key=lambda reason: -reason.share):
        unit = f" {r.unit}" if r.unit else ""
        text = f": {r.text}" if r.text else ""
        yield f"{r.share:4.0%} {r.signal} {r.observed:g}{unit}, usual {r.usual:g}{text}"


def _time(ts: float) -> str:
    return datetime.fromtimestamp(ts, UTC).strftime("%Y-%m-%d %H:%M:%S")


_LINES: dict[str, Callable[[Any], Iterator[str]]] = {
    "decisions": _decision,
    "alerts": _alert,
    "campaigns": _campaign,
    "dead-letters": _dead_letter,
}
