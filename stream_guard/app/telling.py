"""How one process tells the outside what it does: metrics for Prometheus, webhooks for whoever acts on decisions."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from stream_guard.engine import Baseline
from stream_guard.events import CampaignView
from stream_guard.metrics import (
    ACCOUNTS,
    BACKLOG,
    JOURNAL_BYTES,
    Metrics,
    WebhookMetrics,
    WorkerMetrics,
    watch_baselines,
    watch_budgets,
    watch_campaigns,
)
from stream_guard.policy import Spending
from stream_guard.transports.base import Sink
from stream_guard.transports.webhooks.delivery import WebhookDelivery
from stream_guard.transports.webhooks.outbox import WebhookOutbox
from stream_guard.transports.webhooks.settings import WebhookSettings


class Telling:
    """The metrics of a process, and its webhooks if any are configured.

    Parameters
    ----------
    webhooks
        Who is told.
    directory
        Where the outbox is kept, `webhooks.db`.

    Attributes
    ----------
    metrics
        For `/metrics`.
    observer
        For every worker of the process.
    sinks
        For every worker of the process; whoever closes them does so after `deliver` has ended.

    Raises
    ------
    SinkError
        The outbox cannot be opened.
    """

    def __init__(self, webhooks: WebhookSettings, directory: Path) -> None:
        self.metrics = Metrics()
        self.observer = WorkerMetrics(self.metrics)
        self.sinks: tuple[Sink, ...] = ()
        self._delivery: WebhookDelivery | None = None
        if webhooks.endpoints:
            told = WebhookMetrics(self.metrics, [endpoint.name for endpoint in webhooks.endpoints])
            outbox = WebhookOutbox(directory / "webhooks.db", webhooks, observer=told)
            self._delivery = WebhookDelivery(outbox, webhooks, observer=told)
            self.sinks = (outbox,)
            told.watch(outbox.backlog, lambda: self._delivery.disabled if self._delivery else {})

    def watch(
        self,
        *,
        accounts: Callable[[], Mapping[int, int]],
        backlog: Callable[[], Mapping[int, int]],
        campaigns: Callable[[], Sequence[CampaignView]],
        baselines: Callable[[], Mapping[int, Mapping[str, Baseline]]],
        budgets: Callable[[], Mapping[int, Mapping[str, Spending]]],
    ) -> None:
        """Export, by partition, accounts held, events that wait, what is usual, budgets of mistakes; and the campaigns."""
        self.metrics.watch(ACCOUNTS, lambda: {(str(number),): held for number, held in accounts().items()})
        self.metrics.watch(BACKLOG, lambda: {(str(number),): waiting for number, waiting in backlog().items()})
        watch_campaigns(self.metrics, campaigns)
        watch_baselines(self.metrics, baselines)
        watch_budgets(self.metrics, budgets)

    def watch_journal(self, directory: Path) -> None:
        """Export how large the journal in a directory is."""

        def size() -> int:
            return sum(path.stat().st_size for path in directory.glob("*.journal"))

        self.metrics.watch(JOURNAL_BYTES, lambda: {(): size()})

    async def deliver(self) -> None:
        """Deliver webhooks until cancelled. Raises SinkError if the outbox fails."""
        if self._delivery:
            await self._delivery.run()
        else:
            await asyncio.Event().wait()
