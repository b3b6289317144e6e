"""The worker on Kafka: its parts put together."""

import contextlib
import logging
import socket
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from mode import Service

from stream_guard.app import rest_collector
from stream_guard.app.demo import warm_up
from stream_guard.app.telling import Telling
from stream_guard.config import Config
from stream_guard.engine import AccountHalf, Outcome, PopulationBaseline, PopulationHalf
from stream_guard.errors import BrokerError
from stream_guard.events import AccountView, CampaignView, DeadLetter, Decision
from stream_guard.gateway.api import create_app
from stream_guard.gateway.decisions import DecisionRing
from stream_guard.gateway.serving import serving
from stream_guard.gateway.settings import ApiSettings
from stream_guard.metrics import Metrics, count_outcome
from stream_guard.transports.base import Sink
from stream_guard.transports.kafka import topics
from stream_guard.transports.kafka.accounts import ListeningHalf, Loop
from stream_guard.transports.kafka.app import KafkaWorker
from stream_guard.transports.kafka.settings import Half, KafkaSettings
from stream_guard.transports.kafka.sink import KafkaSink
from stream_guard.transports.snapshots import DirectorySnapshots
from stream_guard.worker import Observer, PartitionWorker

_BOTH: tuple[Half, ...] = ("accounts", "population")

_log = logging.getLogger(__name__)


def make_worker(
    settings: KafkaSettings,
    make_account_half: Callable[[int], AccountHalf],
    make_population_half: Callable[[], PopulationHalf],
    *,
    halves: Collection[Half] = _BOTH,
    observer: Observer | None = None,
    account_sinks: Sequence[Sink] = (),
    population_sinks: Sequence[Sink] = (),
) -> KafkaWorker:
    """Return a worker that is ready to run.

    Parameters
    ----------
    settings
        Of Kafka.
    make_account_half, make_population_half
        Make empty halves; the first is told its partition.
    halves
        Which of them work here.
    observer
        Told of every step of every partition.
    account_sinks, population_sinks
        Who is told besides Kafka, by each half.

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
        source = settings.topics.requests
        return PartitionWorker(
            half, [sink, *account_sinks], snapshots, partition=partition, source=source, observer=observer
        )

    return KafkaWorker(
        settings,
        make_account_half,
        make_population_half,
        make_loop,
        DirectorySnapshots(settings.snapshots_dir, "population"),
        halves=halves,
        population_sinks=population_sinks,
    )


def make_service(
    config: Config,
    *,
    halves: Collection[Half] = _BOTH,
    api: bool = True,
    baseline: PopulationBaseline | None = None,
) -> KafkaWorker:
    """Return a worker with the real engine that answers over HTTP, counts what it does and sends webhooks.

    Halves that have no snapshot begin with `baseline`, where it is given.

    Raises what `make_worker` raises, and SinkError if the outbox of the webhooks cannot be opened.
    """
    rest_collector()
    warm_up()  # not while the group waits for our heartbeats
    engine, ring, begin = config.engine, DecisionRing(), baseline or PopulationBaseline()

    def account_half(partition: int) -> AccountHalf:
        half = AccountHalf(engine, partition)
        half.begin_with(begin)
        return half

    def population_half() -> PopulationHalf:
        half = PopulationHalf(engine)
        half.begin_with(begin)
        return half

    # The directory of the snapshots is shared; an outbox is one worker's own.
    own = config.kafka.snapshots_dir / f"worker-{config.kafka.instance or socket.gethostname()}"
    if config.webhooks.endpoints:
        own.mkdir(parents=True, exist_ok=True)
    telling = Telling(config.webhooks, own)
    worker = make_worker(
        config.kafka,
        account_half,
        population_half,
        halves=halves,
        observer=telling.observer,
        account_sinks=(*telling.sinks, _Remembered(ring)),
        population_sinks=(*telling.sinks, _Counted(telling.metrics)),
    )
    telling.watch(
        accounts=worker.accounts_held,
        backlog=worker.backlog,
        campaigns=worker.campaigns,
        baselines=worker.baselines,
        budgets=worker.budgets,
    )
    worker.services.append(_Deliveries(telling))
    if api:
        worker.services.append(_Api(WorkerAnswers(worker, ring), config.api, telling.metrics))
    return worker


class WorkerAnswers:
    """The `Backend` of the gateway's API: what one worker knows. Events come in over Kafka, not over HTTP."""

    intake = None

    def __init__(self, worker: KafkaWorker, decisions: DecisionRing) -> None:
        self._worker = worker
        self.decisions = decisions

    def check(self, account_id: str) -> Decision | None:
        """Return the decision in force now on an account of this worker; None (allow) for all others."""
        return self._worker.check(account_id, time.time())

    def account(self, account_id: str) -> AccountView | None:
        """Return what is known of an account of this worker, or None."""
        return self._worker.account(account_id)

    def campaigns(self) -> Sequence[CampaignView]:
        """Return all campaigns, newest change first; none where the population half is not active."""
        return self._worker.campaigns()

    def campaign(self, campaign_id: str) -> CampaignView | None:
        """Return one campaign, or None."""
        return self._worker.campaign(campaign_id)

    def readiness(self) -> Mapping[str, str]:
        """Return whether Kafka has said what is ours."""
        return self._worker.readiness()


class _Told:
    """A sink whose results are safe at once."""

    async def flush(self) -> None:
        pass

    async def close(self) -> None:
        pass


class _Remembered(_Told):
    """Keeps the newest decisions for whoever asks."""

    def __init__(self, ring: DecisionRing) -> None:
        self._ring = ring

    async def add(self, outcome: Outcome, dead_letters: Sequence[DeadLetter]) -> None:
        del dead_letters
        self._ring.add(outcome.decisions)


class _Counted(_Told):
    """Counts what the population half says; the account halves have an observer."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def add(self, outcome: Outcome, dead_letters: Sequence[DeadLetter]) -> None:
        del dead_letters
        count_outcome(self._metrics, outcome)


class _Deliveries(Service):
    """Delivers webhooks as long as the worker runs."""

    def __init__(self, telling: Telling) -> None:
        super().__init__()
        self._telling = telling

    @Service.task
    async def _deliver(self) -> None:
        await self._telling.deliver()


class _Api(Service):
    """Serves HTTP as long as the worker runs."""

    def __init__(self, answers: WorkerAnswers, settings: ApiSettings, metrics: Metrics) -> None:
        super().__init__()
        self._app = create_app(answers, settings, metrics)
        self._settings = settings
        self._stack = contextlib.AsyncExitStack()

    async def on_start(self) -> None:
        """Listen. Raises TransportError if the port is taken."""
        address = await self._stack.enter_async_context(serving(self._app, self._settings))
        _log.info("listening on %s", address)

    async def on_stop(self) -> None:
        """Let running answers finish."""
        await self._stack.aclose()
