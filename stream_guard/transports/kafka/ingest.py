"""The fetch loop: whole batches from a consumer group, offsets owned by the snapshots.

Taking up a partition: load its snapshot, seek to the offset inside. Giving it up: report, flush, save, commit, drop.
What Kafka remembers as committed is for whoever watches the lag; where to start is what the snapshot says.

Nothing here waits for a commit but the task that commits, for a commit waits for the whole of a broker's outage.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import CommitFailedError, KafkaError, RebalanceInProgressError
from mode import Service

from stream_guard.errors import BrokerError, SinkError, SourceError, StreamGuardError
from stream_guard.transports.kafka.accounts import AccountPartition
from stream_guard.transports.kafka.broadcast import Broadcast
from stream_guard.transports.kafka.clients import aiokafka_options, unreachable
from stream_guard.transports.kafka.settings import KafkaSettings

_log = logging.getLogger(__name__)

_Fetched = Mapping[TopicPartition, Sequence[ConsumerRecord]]


class Ingest(Service, ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka publishes no types
    """Reads the requests of the partitions that the group gives us, one account half each.

    Parameters
    ----------
    settings
        Of Kafka.
    open_partition
        Makes the account half of a partition, restored from its newest snapshot.
    broadcast
        Brings the halves what all hear.
    """

    def __init__(
        self, settings: KafkaSettings, open_partition: Callable[[int], AccountPartition], broadcast: Broadcast
    ) -> None:
        super().__init__()
        self._settings = settings
        self._open_partition = open_partition
        self._broadcast = broadcast
        self._consumer: AIOKafkaConsumer | None = None
        self.partitions: dict[int, AccountPartition] = {}
        self.assigned = False
        """Whether the group has told us what is ours; it may be nothing."""
        self._turn = asyncio.Lock()  # one at a time: a batch, a checkpoint, a rebalance
        self._assignments = 0
        self._lost = False
        self._committable: dict[TopicPartition, int] = {}
        self._to_commit = asyncio.Event()
        self._flush_due = 0.0

    async def on_start(self) -> None:
        """Join the group."""
        settings = self._settings
        consumer = AIOKafkaConsumer(
            group_id=f"{settings.group}-accounts",
            group_instance_id=settings.instance,
            partition_assignment_strategy=[StickyPartitionAssignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=int(settings.session_timeout_s * 1000),
            heartbeat_interval_ms=int(settings.session_timeout_s * 1000 / 5),
            max_partition_fetch_bytes=settings.fetch_bytes_max,
            fetch_max_wait_ms=100,
            **aiokafka_options(settings),
        )
        consumer.subscribe([settings.topics.requests], listener=self)
        self._consumer = consumer
        try:
            await consumer.start()
        except KafkaError as error:
            raise unreachable(settings, error) from error

    @property
    def _connected(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise AssertionError("not started")
        return self._consumer

    async def on_stop(self) -> None:
        """Save everything, commit, leave."""
        if self._consumer is None:
            return
        async with self._turn:
            await self._give_up()
        await self._consumer.stop()

    def backlog(self) -> dict[int, int]:
        """Return how many events wait to be read, by partition."""
        return {
            number: max(0, (self._connected.highwater(self._source(number)) or 0) - partition.next_offset)
            for number, partition in self.partitions.items()
        }

    # What the group tells us. aiokafka logs what these raise and goes on, so it is sent to `crash`.

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Save and drop: the next owner goes on from our snapshots."""
        del revoked  # always all of them: the protocol is the eager one
        async with self._turn:
            self._assignments += 1
            self.assigned = False
            await self._give_up()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Take up what the last owner left."""
        async with self._turn:
            self._assignments += 1
            self._lost = False
            try:
                for source in sorted(assigned):
                    await self._open(source.partition)
                self._spread_checkpoints()
                self.assigned = True
            except (StreamGuardError, KafkaError) as error:
                await self.crash(error)

    @Service.task
    async def _read(self) -> None:
        while not self.should_stop:
            assignments = self._assignments
            try:
                fetched = await self._connected.getmany(timeout_ms=100, max_records=self._settings.batch_events_max)
            except KafkaError as error:
                if self.should_stop:
                    return
                raise SourceError(f"{self._settings.topics.requests}: cannot be read: {error!r}") from error
            async with self._turn:
                if self.should_stop:
                    return
                if assignments != self._assignments:
                    # Fetched before a rebalance, or partly after it: read it again from where we are.
                    self._seek(self.partitions)
                else:
                    await self._work(fetched)
            await asyncio.sleep(0)  # heartbeats

    async def _work(self, fetched: _Fetched) -> None:
        try:
            for source, records in fetched.items():
                await self.partitions[source.partition].take(records)
            for number, partition in self.partitions.items():
                # Further than the last record where a transaction's marker ends the log.
                await partition.hear(await self._connected.position(self._source(number)))
            await self._keep_time()
        except SinkError as error:
            _log.warning("%s; starting again from the snapshots", error)
            await self._open_anew()

    async def _keep_time(self) -> None:
        now = time.monotonic()
        if now >= self._flush_due:
            for partition in self.partitions.values():
                await partition.report()
                await partition.sink.flush()
            self._flush_due = now + self._settings.flush_interval_s
        for number, partition in self.partitions.items():
            if partition.idle(now):
                self._commit_later(number, await partition.advance(now))
            if now >= partition.checkpoint_due:
                await self._checkpoint(partition)

    async def _checkpoint(self, partition: AccountPartition) -> None:
        self._commit_later(partition.partition, await partition.checkpoint())

    def _commit_later(self, number: int, offset: int) -> None:
        self._committable[self._source(number)] = offset
        self._to_commit.set()

    @Service.task
    async def _commit(self) -> None:
        while not self.should_stop:
            await self._to_commit.wait()
            self._to_commit.clear()
            offsets, self._committable = self._committable, {}
            try:
                await self._connected.commit(offsets)
            except CommitFailedError as error:
                if isinstance(error.__cause__, RebalanceInProgressError):
                    continue  # on_partitions_revoked commits
                # The group went on without us: what we hold belongs to others by now.
                _log.warning("Partitions lost: %s", error)
                self._lost = True
            except KafkaError as error:
                _log.warning("Offsets not committed, the next commit covers them: %r", error)

    async def _give_up(self) -> None:
        """Save what is ours, commit, drop. What cannot be saved is read again by the next owner."""
        limit_s = self._settings.session_timeout_s
        try:
            if not self._lost:
                async with asyncio.timeout(limit_s):
                    for partition in self.partitions.values():
                        await self._checkpoint(partition)
            if self._committable and self._consumer and not self._lost:
                async with asyncio.timeout(self._settings.commit_timeout_s):
                    await self._consumer.commit(self._committable)
        except (StreamGuardError, KafkaError, TimeoutError) as error:
            _log.warning("Gave up partitions without saving all: %r; it will be read again", error)
        self._committable = {}
        for partition in self.partitions.values():
            self._broadcast.leave(partition.engine.inbox)
        self.partitions.clear()

    async def _open_anew(self) -> None:
        for number in list(self.partitions):
            self._broadcast.leave(self.partitions.pop(number).engine.inbox)
            await self._open(number)
        self._spread_checkpoints()

    async def _open(self, number: int) -> None:
        """Restore a partition and seek. Raises SnapshotError, BrokerError."""
        source = self._source(number)
        partition = self._open_partition(number)
        first = (await self._connected.beginning_offsets([source]))[source]
        end = (await self._connected.end_offsets([source]))[source]
        if partition.next_offset > end:
            raise BrokerError(
                f"{source.topic}/{number}: its snapshot is at offset {partition.next_offset}, the topic ends at {end}: "
                "was the topic made anew? Remove the snapshots to begin again"
            )
        if partition.next_offset < first:
            lost = first - partition.next_offset
            _log.warning("%s/%s: retention took %s events before they were read", source.topic, number, lost)
        partition.end_at_start = end
        self._connected.seek(source, max(first, partition.next_offset))
        self.partitions[number] = partition
        self._broadcast.join(partition.engine.inbox)
        _log.info(
            "%s/%s: from offset %s, %s behind", source.topic, number, partition.next_offset, end - partition.next_offset
        )

    def _spread_checkpoints(self) -> None:
        """Spread the checkpoints over their interval, so that they do not all wait at once."""
        now, interval_s = time.monotonic(), self._settings.snapshot_interval_s
        for i, partition in enumerate(self.partitions.values(), start=1):
            partition.checkpoint_due = now + interval_s * i / len(self.partitions)

    def _seek(self, partitions: Iterable[int]) -> None:
        for number in partitions:
            self._connected.seek(self._source(number), self.partitions[number].next_offset)

    def _source(self, partition: int) -> TopicPartition:
        return TopicPartition(self._settings.topics.requests, partition)
