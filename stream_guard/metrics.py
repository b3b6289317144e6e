"""Every Prometheus metric, declared once; nothing else may be exported by hand.

The rows below are the table: `docs/metrics.md` is made from it, and a test fails for a row that no code updates or no
document names. A row is named by its constant, so a typo is an error of the type checker; a wrong label is a ValueError
at the first use. Nothing is registered at import: a `Metrics` belongs to one composition and has its own registry.

Counters and histograms are updated once a batch or once a request. A gauge is either set when something happens, or
*watched*: read when Prometheus asks.
"""

import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Protocol, get_args

import prometheus_client as prometheus
from prometheus_client import CollectorRegistry, Metric, ProcessCollector

from stream_guard import __version__
from stream_guard.engine import Baseline, Outcome
from stream_guard.events import Action, CampaignView, DeadLetter, RequestEvent, Severity
from stream_guard.policy import Spending

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""What `Metrics.render` returns, as an HTTP header says it."""

CAMPAIGNS_SHOWN_MAX = 50
"""Campaigns that have series of their own, the largest first: Prometheus keeps each label value for good."""

_FAST_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_SLOW_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass(frozen=True, slots=True)
class Row:
    """One metric. `starts` are label values that are exported as 0 from the start, so that their first rise shows."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    starts: tuple[tuple[str, ...], ...] = ()


class Counter(Row):
    """Only ever grows."""


class Gauge(Row):
    """Goes up and down."""


@dataclass(frozen=True, slots=True)
class Histogram(Row):
    """Counts what it observes in `buckets`, given by their upper ends."""

    buckets: tuple[float, ...] = _SLOW_S


EVENTS = Counter("stream_guard_events_total", "Request events taken by the engine.", ("partition",))
DEAD_LETTERS = Counter(
    "stream_guard_dead_letters_total",
    "Payloads that could not be decoded and were kept with their reason.",
    ("reason",),
    starts=tuple(
        (reason,)
        for reason in ("missing_field", "not_json", "not_text", "other", "too_deep", "too_long", "wrong_value")
    ),
)
EVENT_TIME_LAG = Gauge(
    "stream_guard_event_time_lag_seconds",
    "Age of the newest event of the last batch when it had been processed.",
    ("partition",),
    unit="seconds",
)
BACKLOG = Gauge(
    "stream_guard_backlog_events",
    "Events that wait for the engine: in the journal (embedded), on the topic (Kafka: the lag of the partition).",
    ("partition",),
)
DECODE = Histogram("stream_guard_decode_seconds", "Time to decode one batch.", unit="seconds")
PROCESSING = Histogram("stream_guard_processing_seconds", "Time that the engine took for one batch.", unit="seconds")
CHECKPOINT = Histogram(
    "stream_guard_checkpoint_seconds", "Time to flush the sinks and save a snapshot.", unit="seconds"
)
SNAPSHOT_BYTES = Gauge("stream_guard_snapshot_bytes", "Size of the newest snapshot.", ("partition",), unit="bytes")
SNAPSHOT_TIMESTAMP = Gauge(
    "stream_guard_snapshot_timestamp_seconds",
    "When the newest snapshot was saved, in seconds since 1970.",
    ("partition",),
    unit="seconds",
)
JOURNAL_BYTES = Gauge("stream_guard_journal_bytes", "Size of the journal of embedded mode.", unit="bytes")
ACCOUNTS = Gauge("stream_guard_accounts", "Accounts that have state.", ("partition",))
CAMPAIGNS = Gauge("stream_guard_campaigns", "Campaigns that are held.")
CAMPAIGN_ACCOUNTS = Gauge(
    "stream_guard_campaign_accounts",
    f"Accounts of a campaign; of the {CAMPAIGNS_SHOWN_MAX} largest.",
    ("campaign_id",),
)
DECISIONS = Counter(
    "stream_guard_decisions_total",
    "Decisions made. With shadow=true they were written and counted, and acted on nobody.",
    ("action", "shadow"),
    starts=tuple(product(get_args(Action), ("false", "true"))),
)
DECISION_REASONS = Counter(
    "stream_guard_decision_reasons_total", "Decisions by the signal that weighed most in them.", ("signal",)
)
ALERTS = Counter(
    "stream_guard_alerts_total",
    "Alerts raised: about a campaign, an action on an account, a drift of the population, a spent budget.",
    ("kind", "severity"),
    starts=tuple(product(("budget", "campaign", "drift", *get_args(Action)[1:]), get_args(Severity))),
)
SIGNAL_USUAL = Gauge(
    "stream_guard_signal_usual",
    "What is usual in the population: the median of each signal, in the signal's unit.",
    ("partition", "signal"),
)
BASELINE_SHIFT = Gauge(
    "stream_guard_baseline_shift",
    "How far what is usual has gone from the baseline, in its spreads (median to 10 % tail); absent until there is one.",
    ("partition", "signal"),
)
BUDGET_SPENT = Gauge(
    "stream_guard_budget_spent_accounts",
    "Honest accounts that the budget of mistakes is charged for, in its window.",
    ("partition", "policy"),
    unit="accounts",
)
BUDGET_ALLOWED = Gauge(
    "stream_guard_budget_allowed_accounts",
    "Honest accounts that may be charged; beyond it decisions stop and alerts go on.",
    ("partition", "policy"),
    unit="accounts",
)
HTTP_REQUESTS = Counter(
    "stream_guard_http_requests_total",
    "Requests to the API, by route; what has no route is `other`.",
    ("method", "route", "status"),
)
HTTP_SECONDS = Histogram(
    "stream_guard_http_seconds",
    "Time from the head of a request to the head of its answer.",
    ("route",),
    unit="seconds",
)
CHECK_REQUESTS = Counter(
    "stream_guard_check_requests_total",
    "Answers to gateways: what to do with the next request. In shadow mode the action is allow.",
    ("action",),
    starts=tuple((action,) for action in get_args(Action)),
)
CHECK_SECONDS = Histogram("stream_guard_check_seconds", "Time to answer one check.", unit="seconds", buckets=_FAST_S)
WEBHOOK_DELIVERIES = Counter(
    "stream_guard_webhook_deliveries_total",
    "Messages by what became of them: delivered, failed (tried again later), expired, dropped (the outbox was full).",
    ("endpoint", "outcome"),
)
WEBHOOK_OUTBOX = Gauge("stream_guard_webhook_outbox", "Messages that wait to be delivered.", ("endpoint",))
WEBHOOK_OLDEST = Gauge(
    "stream_guard_webhook_oldest_seconds",
    "How long the oldest message has waited to be delivered; 0 if there is none.",
    ("endpoint",),
    unit="seconds",
)
WEBHOOK_DISABLED = Gauge(
    "stream_guard_webhook_disabled", "1 once the receiver has answered 410 Gone, until the next start.", ("endpoint",)
)
BUILD_INFO = Gauge("stream_guard_build_info", "Always 1; the labels say what runs.", ("version", "python"))

TABLE: tuple[Row, ...] = tuple(row for row in list(globals().values()) if isinstance(row, Row))
"""All rows, in the order of their declaration."""

_REASONS = {
    "Payload of": "too_long",
    "Nested deeper": "too_deep",
    "Not UTF-8": "not_text",
    "Lone surrogate": "not_text",
    "JSON is malformed": "not_json",
    "Input data was truncated": "not_json",
    "Object missing required": "missing_field",
    "Expected": "wrong_value",
    "Invalid": "wrong_value",
}


class Metrics:
    """The metrics of one running stream_guard.

    Parameters
    ----------
    registry
        Where they are registered; without it a registry of their own.

    Examples
    --------
    >>> metrics = Metrics()
    >>> metrics.inc(DECISIONS, 3, action="throttle", shadow=True)
    >>> metrics.watch(ACCOUNTS, lambda: {("0",): 1200})
    >>> [line for line in metrics.render().decode().splitlines() if line.endswith((" 3.0", " 1200.0"))]
    ['stream_guard_accounts{partition="0"} 1200.0', 'stream_guard_decisions_total{action="throttle",shadow="true"} 3.0']
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry if registry is not None else CollectorRegistry()
        self._counters: dict[Row, prometheus.Counter] = {}
        self._gauges: dict[Row, prometheus.Gauge] = {}
        self._histograms: dict[Row, prometheus.Histogram] = {}
        self._watched: dict[Gauge, Callable[[], Mapping[tuple[str, ...], float]]] = {}
        for row in TABLE:
            self._register(row)
        ProcessCollector(registry=self.registry)
        self.set(BUILD_INFO, 1, version=__version__, python=platform.python_version())

    def inc(self, row: Counter, amount: float = 1.0, /, **labels: object) -> None:
        """Add to a counter. Raises ValueError if the labels are not those of the row."""
        counter = self._counters[row]
        (counter.labels(**_texts(labels)) if row.labels or labels else counter).inc(amount)

    def set(self, row: Gauge, value: float, /, **labels: object) -> None:
        """Set a gauge. Raises ValueError if the labels are not those of the row."""
        gauge = self._gauges[row]
        (gauge.labels(**_texts(labels)) if row.labels or labels else gauge).set(value)

    def observe(self, row: Histogram, value: float, /, **labels: object) -> None:
        """Count a value in a histogram. Raises ValueError if the labels are not those of the row."""
        histogram = self._histograms[row]
        (histogram.labels(**_texts(labels)) if row.labels or labels else histogram).observe(value)

    def watch(self, row: Gauge, read: Callable[[], Mapping[tuple[str, ...], float]]) -> None:
        """Let a gauge be what `read` returns whenever it is asked: values by their labels, in the order of the row.

        Takes the place of an earlier `read`. It is called in the thread that renders and must not block.
        """
        self._watched[row] = read

    def render(self) -> bytes:
        """Return everything in Prometheus' text format."""
        for row, read in self._watched.items():
            gauge = self._gauges[row]
            if row.labels:
                gauge.clear()
            for labels, value in read().items():
                (gauge.labels(*labels) if row.labels else gauge).set(value)
        return prometheus.generate_latest(_WithoutCreated(self.registry))

    def _register(self, row: Row) -> None:
        match row:
            case Counter():
                counter = self._counters[row] = prometheus.Counter(
                    row.name, row.help, row.labels, registry=self.registry
                )
                for values in row.starts:
                    counter.labels(*values)
            case Gauge():
                self._gauges[row] = prometheus.Gauge(row.name, row.help, row.labels, registry=self.registry)
            case Histogram():
                self._histograms[row] = prometheus.Histogram(
                    row.name, row.help, row.labels, registry=self.registry, buckets=row.buckets
                )


class _WithoutCreated:
    """A registry without the series that say when each of its series began: they would double the counters."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[Metric]:
        for family in self._registry.collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family


class Saved(Protocol):
    """What is asked of a snapshot."""

    @property
    def state(self) -> bytes:
        """The engine's state."""
        ...


class WorkerMetrics:
    """Tells the metrics what workers do: an observer for every `PartitionWorker` of a process.

    Parameters
    ----------
    metrics
        Where it is counted.
    clock
        Seconds since 1970, for the age of events and snapshots.
    """

    def __init__(self, metrics: Metrics, *, clock: Callable[[], float] = time.time) -> None:
        self._metrics = metrics
        self._clock = clock

    def took(
        self,
        partition: int,
        events: Sequence[RequestEvent],
        dead_letters: Sequence[DeadLetter],
        outcome: Outcome,
        *,
        decode_s: float,
        process_s: float,
    ) -> None:
        """Count one call of the worker."""
        metrics = self._metrics
        if events:
            metrics.inc(EVENTS, len(events), partition=partition)
            metrics.set(EVENT_TIME_LAG, self._clock() - max(e.ts for e in events), partition=partition)
            metrics.observe(DECODE, decode_s)
            metrics.observe(PROCESSING, process_s)
        for letter in dead_letters:
            metrics.inc(DEAD_LETTERS, reason=reason_class(letter.reason))
        count_outcome(metrics, outcome)

    def saved(self, partition: int, snapshot: Saved, *, seconds: float) -> None:
        """Count one snapshot."""
        self._metrics.observe(CHECKPOINT, seconds)
        self._metrics.set(SNAPSHOT_BYTES, len(snapshot.state), partition=partition)
        self._metrics.set(SNAPSHOT_TIMESTAMP, self._clock(), partition=partition)


def count_outcome(metrics: Metrics, outcome: Outcome) -> None:
    """Count decisions and alerts, for whoever has no worker (the population half)."""
    for decision in outcome.decisions:
        metrics.inc(DECISIONS, action=decision.action, shadow=decision.shadow)
        if decision.reasons:
            metrics.inc(DECISION_REASONS, signal=max(decision.reasons, key=lambda reason: reason.share).signal)
    for alert in outcome.alerts:
        metrics.inc(ALERTS, kind=alert.kind, severity=alert.severity)


def watch_campaigns(metrics: Metrics, campaigns: Callable[[], Sequence[CampaignView]]) -> None:
    """Export how many campaigns there are and how large the largest are."""

    def sizes() -> dict[tuple[str, ...], float]:
        largest = sorted(campaigns(), key=lambda view: -view.campaign.size)[:CAMPAIGNS_SHOWN_MAX]
        return {(view.campaign.campaign_id,): view.campaign.size for view in largest}

    metrics.watch(CAMPAIGNS, lambda: {(): len(campaigns())})
    metrics.watch(CAMPAIGN_ACCOUNTS, sizes)


def watch_baselines(metrics: Metrics, baselines: Callable[[], Mapping[int, Mapping[str, Baseline]]]) -> None:
    """Export, by partition and signal, what is usual and how far it has gone from the baseline."""

    def usual() -> dict[tuple[str, ...], float]:
        return {(str(p), signal): of.usual for p, signals in baselines().items() for signal, of in signals.items()}

    def shift() -> dict[tuple[str, ...], float]:
        signals = ((str(p), signal, of.shift) for p, signals in baselines().items() for signal, of in signals.items())
        return {(partition, signal): moved for partition, signal, moved in signals if moved is not None}

    metrics.watch(SIGNAL_USUAL, usual)
    metrics.watch(BASELINE_SHIFT, shift)


def watch_budgets(metrics: Metrics, budgets: Callable[[], Mapping[int, Mapping[str, Spending]]]) -> None:
    """Export, by partition and policy, what is spent of the budgets of mistakes and what may be."""

    def read(amount: Callable[[Spending], float]) -> dict[tuple[str, ...], float]:
        return {(str(p), kind): amount(of) for p, kinds in budgets().items() for kind, of in kinds.items()}

    metrics.watch(BUDGET_SPENT, lambda: read(lambda of: of.spent))
    metrics.watch(BUDGET_ALLOWED, lambda: read(lambda of: of.allowed))


class WebhookMetrics:
    """Tells the metrics what becomes of webhooks: an observer for outbox and delivery.

    Parameters
    ----------
    metrics
        Where it is counted.
    endpoints
        The names of the receivers.
    """

    def __init__(self, metrics: Metrics, endpoints: Iterable[str]) -> None:
        self._metrics = metrics
        for endpoint, outcome in product(endpoints, ("delivered", "failed", "expired", "dropped")):
            metrics.inc(WEBHOOK_DELIVERIES, 0, endpoint=endpoint, outcome=outcome)

    def settled(self, endpoint: str, outcome: str, count: int) -> None:
        """Count messages by what became of them."""
        self._metrics.inc(WEBHOOK_DELIVERIES, count, endpoint=endpoint, outcome=outcome)

    def watch(
        self,
        backlog: Callable[[], Mapping[str, "Waiting"]],
        disabled: Callable[[], Mapping[str, bool]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Export what waits for each receiver, and which of them want nothing any more."""

        def oldest() -> dict[tuple[str, ...], float]:
            now = clock()
            return {(name,): now - of.oldest if of.oldest is not None else 0.0 for name, of in backlog().items()}

        self._metrics.watch(WEBHOOK_OUTBOX, lambda: {(name,): of.waiting for name, of in backlog().items()})
        self._metrics.watch(WEBHOOK_OLDEST, oldest)
        self._metrics.watch(WEBHOOK_DISABLED, lambda: {(name,): float(off) for name, off in disabled().items()})


class Waiting(Protocol):
    """What is asked of a receiver's backlog."""

    @property
    def waiting(self) -> int:
        """How many messages wait."""
        ...

    @property
    def oldest(self) -> float | None:
        """When the oldest was made, in seconds since 1970."""
        ...


def reason_class(reason: str) -> str:
    """Return the kind of a dead letter's reason: few, so that they can be a label.

    Examples
    --------
    >>> reason_class("Expected `str`, got `int` - at `$.event_id`"), reason_class("no such thing")
    ('wrong_value', 'other')
    """
    return next((kind for start, kind in _REASONS.items() if reason.startswith(start)), "other")


def _texts(labels: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in labels.items()}
