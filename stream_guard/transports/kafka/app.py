"""The Faust app of a worker: its services, the agent of the population half, what the gateway may ask."""

import logging
import tempfile
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import Any, NoReturn

import faust
from aiokafka import TopicPartition
from faust.types import TP
from mode import ServiceT

from stream_guard.engine import AccountHalf, Baseline, PopulationHalf
from stream_guard.events import AccountView, CampaignView, Decision
from stream_guard.policy import Spending
from stream_guard.transports.base import Sink, SnapshotStore
from stream_guard.transports.kafka.accounts import AccountPartition, ListeningHalf, MakeLoop
from stream_guard.transports.kafka.broadcast import Broadcast, Inbox
from stream_guard.transports.kafka.clients import faust_options
from stream_guard.transports.kafka.ingest import Ingest
from stream_guard.transports.kafka.population import Population
from stream_guard.transports.kafka.settings import Half, KafkaSettings
from stream_guard.transports.kafka.sink import Outlet

_log = logging.getLogger(__name__)


class WorkerApp(faust.App):
    """A Faust app with services of its own, which start before Faust's and stop after them."""

    services: list[ServiceT]
    """Add what else a worker should run, such as an HTTP server, before it starts."""

    def on_init_dependencies(self) -> Iterable[ServiceT]:
        """Return ours, then Faust's own."""
        return [*self.services, *super().on_init_dependencies()]


class KafkaWorker:
    """Everything of one worker process, in one event loop, around one Faust app.

    Answers what a gateway may ask, from memory, about the accounts and campaigns that this worker owns.

    Parameters
    ----------
    settings
        Of Kafka.
    make_account_half, make_population_half
        Make empty halves; the first is told its partition.
    make_loop
        Makes the `PartitionWorker` of a partition.
    population_snapshots
        Where the population half keeps its state.
    halves
        Which of the halves work here.
    population_sinks
        Who is told, besides Kafka, what the population half says.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        make_account_half: Callable[[int], AccountHalf],
        make_population_half: Callable[[], PopulationHalf],
        make_loop: MakeLoop,
        population_snapshots: SnapshotStore,
        *,
        halves: Collection[Half] = ("accounts", "population"),
        population_sinks: Sequence[Sink] = (),
    ) -> None:
        self.settings = settings
        self._make_account_half = make_account_half
        self._make_loop = make_loop
        self._outlet = Outlet(settings)
        self._broadcast = Broadcast(settings)
        self.app = WorkerApp(
            f"{settings.group}-population",
            consumer_group_instance_id=settings.instance,
            broker_session_timeout=settings.session_timeout_s,
            broker_heartbeat_interval=settings.session_timeout_s / 5,
            broker_commit_interval=1.0,
            consumer_auto_offset_reset="earliest",
            topic_disable_leader=True,
            topic_allow_declare=False,  # `stream-guard topics create` makes them
            stream_wait_empty=False,  # reports are acknowledged by a snapshot, for which nothing need wait
            web_enabled=False,
            store="memory://",
            datadir=tempfile.gettempdir(),  # nothing is kept there: no tables
            autodiscover=False,
            **faust_options(settings),
        )
        self.services: list[ServiceT] = [self._outlet, self._broadcast]
        self.app.services = self.services
        self.ingest: Ingest | None = None
        self.population: Population | None = None
        if "population" in halves:
            self._add_population(make_population_half, population_snapshots, population_sinks)
        else:
            self.app.producer_only = True  # no agent, so no consumer of Faust's
        if "accounts" in halves:
            self.ingest = Ingest(settings, self._open_partition, self._broadcast)
            self.services.append(self.ingest)

    def run(self) -> NoReturn:
        """Work until told to stop (SIGTERM, SIGINT), then save, commit and exit.

        Raises
        ------
        SystemExit
            0 after a stop.
        StreamGuardError
            What made it stop otherwise.
        """
        # Logging is the command line's.
        process = faust.Worker(self.app, override_logging=False, redirect_stdouts=False, quiet=True)
        process.spinner = None  # it would write to standard output
        try:
            process.execute_from_commandline()
        except SystemExit as end:
            if end.code and process.crash_reason:
                raise process.crash_reason from None
            raise

    def _open_partition(self, number: int) -> AccountPartition:
        topics = self.settings.topics
        one = {topics.verdicts, topics.feedback, topics.releases, topics.enforcement}
        inbox = Inbox({TopicPartition(topic, 0) for topic in one} | {TopicPartition(topics.accounts, number)})
        half = ListeningHalf(self._make_account_half(number), inbox, topics)
        sink = self._outlet.sink()
        loop = self._make_loop(number, half, sink)
        loop.restore()
        return AccountPartition(self.settings, number, half, sink, loop)

    def _add_population(
        self, make_half: Callable[[], PopulationHalf], snapshots: SnapshotStore, sinks: Sequence[Sink]
    ) -> None:
        topics, app = self.settings.topics, self.app
        one = {topics.feedback, topics.releases, topics.enforcement}
        sources = {TopicPartition(topic, 0) for topic in one}
        sources |= {TopicPartition(topics.accounts, number) for number in range(self.settings.partitions)}
        population = Population(
            self.settings,
            make_half,
            lambda: Inbox(sources),
            self._outlet.sink,
            snapshots,
            self._broadcast,
            sinks=sinks,
        )
        self.population = population
        self.services.append(population)
        reports = app.topic(
            topics.summaries, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
        )

        @app.agent(reports, name="population")
        async def link(stream: Any) -> None:
            """Take reports; what cannot be gone on from ends the process, which begins again at the snapshot."""
            async for event in stream.noack().events():
                await _or_crash(app, population.take(event))

        @app.timer(self.settings.flush_interval_s, name="population-clock")  # type: ignore[untyped-decorator]
        async def keep_time() -> None:
            await _or_crash(app, population.keep_time())

        @app.on_partitions_assigned.connect(weak=False)
        async def take_up(_app: Any, assigned: set[TP], **_: Any) -> None:
            if any(tp.topic == topics.summaries for tp in assigned):
                await _or_crash(app, population.open())

        @app.on_partitions_revoked.connect(weak=False)
        async def give_up(_app: Any, _revoked: set[TP], **_: Any) -> None:
            await population.close()

    # What the gateway asks.

    def check(self, account_id: str, ts: float) -> Decision | None:
        """Return the decision in force at `ts` on an account of ours; None means allow."""
        for partition in self._partitions():
            decision = partition.engine.half.check(account_id, ts)
            if decision is not None:
                return decision
        return None

    def account(self, account_id: str) -> AccountView | None:
        """Return what is known of an account of ours, or None."""
        views = (partition.engine.half.account(account_id) for partition in self._partitions())
        return next((view for view in views if view is not None), None)

    def campaigns(self) -> list[CampaignView]:
        """Return all campaigns known here, newest change first.

        Those of several accounts are known where the population half is active, those of one where the account is.
        """
        views = [view for half in self._halves() for view in half.campaigns()]
        return sorted(views, key=lambda view: -view.campaign.ts)

    def campaign(self, campaign_id: str) -> CampaignView | None:
        """Return one campaign, or None."""
        views = (half.campaign(campaign_id) for half in self._halves())
        return next((view for view in views if view is not None), None)

    def accounts_held(self) -> dict[int, int]:
        """Return how many accounts have state here, by partition."""
        return {p.partition: p.engine.half.accounts_held for p in self._partitions()}

    def baselines(self) -> dict[int, dict[str, Baseline]]:
        """Return for each signal what is usual and how far that has gone from the baseline, by partition."""
        return {p.partition: p.engine.half.baseline() for p in self._partitions()}

    def budgets(self) -> dict[int, dict[str, Spending]]:
        """Return what is spent of each budget of mistakes and what may be, by partition."""
        return {p.partition: p.engine.half.budgets() for p in self._partitions()}

    def backlog(self) -> dict[int, int]:
        """Return how many events wait to be read, by partition."""
        return self.ingest.backlog() if self.ingest else {}

    def readiness(self) -> dict[str, str]:
        """Return the components by name: "ok", or in one line why not."""
        if self.ingest and not self.ingest.assigned:
            return {"kafka": "waiting for partitions"}
        return {"kafka": "ok"}

    def _halves(self) -> list[AccountHalf | PopulationHalf]:
        population = self.population.half if self.population else None
        return [*([population] if population else []), *(p.engine.half for p in self._partitions())]

    def _partitions(self) -> list[AccountPartition]:
        return list(self.ingest.partitions.values()) if self.ingest else []


async def _or_crash(app: faust.App, step: Awaitable[None]) -> None:
    """Let an error end the process: Faust would log it and go on with the next record."""
    try:
        await step
    except Exception as error:
        await app.crash(error)
        raise
