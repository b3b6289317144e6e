"""The worker on Kafka: its parts put together."""

from collections.abc import Callable, Collection

from stream_guard.engine import AccountHalf, PopulationHalf
from stream_guard.errors import BrokerError
from stream_guard.transports.kafka import topics
from stream_guard.transports.kafka.accounts import ListeningHalf, Loop
from stream_guard.transports.kafka.app import KafkaWorker
from stream_guard.transports.kafka.settings import Half, KafkaSettings
from stream_guard.transports.kafka.sink import KafkaSink
from stream_guard.transports.snapshots import DirectorySnapshots
from stream_guard.worker import Observer, PartitionWorker


def make_worker(
    settings: KafkaSettings,
    make_account_half: Callable[[], AccountHalf],
    make_population_half: Callable[[], PopulationHalf],
    *,
    halves: Collection[Half] = ("accounts", "population"),
    observer: Observer | None = None,
) -> KafkaWorker:
    """Return a worker that is ready to run.

    Parameters
    ----------
    settings
        Of Kafka.
    make_account_half, make_population_half
        Make empty halves.
    halves
        Which of them work here.
    observer
        Told of every step of every partition.

    Raises
    ------
    BrokerError
        No broker answers, or a topic is missing: sending to it would stall for ever.
    SnapshotError
        The directory of the snapshots cannot be used.
    """
    missing = topics.missing(settings)
    if missing:
        raise BrokerError(f"Topics are missing: {', '.join(missing)}; make them with `stream-guard topics create`")
    snapshots = DirectorySnapshots(settings.snapshots_dir, "accounts")

    def make_loop(partition: int, half: ListeningHalf, sink: KafkaSink) -> Loop:
        return PartitionWorker(
            half, [sink], snapshots, partition=partition, source=settings.topics.requests, observer=observer
        )

    population = DirectorySnapshots(settings.snapshots_dir, "population")
    return KafkaWorker(settings, make_account_half, make_population_half, make_loop, population, halves=halves)
