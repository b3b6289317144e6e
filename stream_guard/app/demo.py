"""The demo: simulated traffic through the embedded service, and a gateway that obeys it, many times faster than life.

    simulate.Traffic ─► Gateway (admits or 429) ─► EmbeddedService ─► Scorecard
                            ▲                            │
                            └──── decision in force ─────┤
                                                         └──► HTTP API, /metrics

The service is the one of `stream-guard run`, on a temporary directory; only its clock is the simulated one. The engine
is never told who is who: the scorecard is.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from tempfile import TemporaryDirectory

from stream_guard.app.service import EmbeddedService
from stream_guard.codecs import encode
from stream_guard.engine import Engine, EngineSettings, Outcome
from stream_guard.errors import TransportError
from stream_guard.events import CampaignView, DeadLetter, Decision, RequestEvent
from stream_guard.gateway.api import create_app
from stream_guard.gateway.serving import serving
from stream_guard.gateway.settings import ApiSettings
from stream_guard.metrics import ACCOUNTS, Metrics, WorkerMetrics, watch_campaigns
from stream_guard.simulate import Label, Scenario, Traffic
from stream_guard.simulate.enforcement import ACTING, Gateway, Scorecard, refused
from stream_guard.simulate.people import DAY_S
from stream_guard.transports.journal import EmbeddedSettings

TICK_S = 0.05
"""Seconds between two helpings of traffic."""

BATCH_EVENTS_MAX = 500
"""Requests that are sent before the loop is let go, so that answers and the screen do not wait."""

BEHIND_EVENTS_MAX = 1000
"""Requests that may wait for the engine: a gateway must not run ahead of the decisions."""

SHOW_S = 0.2
"""Seconds between two looks at the screen."""

SAMPLES = 240
"""Points of the curves that are kept."""

WARM_UP_EVENTS = 2000


@dataclass(frozen=True)
class Plan:
    """What to show.

    Attributes
    ----------
    scenario
        The traffic; its length in days is what the speed makes of the time.
    seconds
        How long the stream runs, by the clock on the wall.
    port
        Where the API listens; a free port if it is taken, or if it is 0.
    late_s
        How much longer it may run where the machine does not keep up; what is left by then is not streamed.
    """

    scenario: Scenario
    seconds: float
    port: int = 8080
    late_s: float = 2.0

    @property
    def speed(self) -> float:
        """Simulated seconds in a second."""
        return self.scenario.length_days * DAY_S / self.seconds


class Demo:
    """One run of the demo: what a screen may show of it, while it runs and after.

    Attributes
    ----------
    clock
        Simulated time, seconds UTC.
    score
        The truth beside what was said and done.
    campaigns
        What the engine holds, largest first.
    latest
        The newest decisions that an account feels, newest last.
    growth
        (simulated time, hidden accounts linked, hidden accounts seen), a point for each `SAMPLES`-th of the time; the
        last is of now.
    rates
        Requests a second of the last seconds.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.traffic = Traffic(plan.scenario)
        self.score = Scorecard.of(self.traffic.accounts)
        self.clock = plan.scenario.start
        self.events = 0
        self.seconds = 0.0
        self.address = ""
        self.campaigns: Sequence[CampaignView] = ()
        self.latest: deque[Decision] = deque(maxlen=100)
        self.decisions = 0
        self.alerts = 0
        self.growth: list[tuple[float, int, int]] = []
        self.rates: deque[float] = deque(maxlen=SAMPLES)
        self.finished = False
        self._processed = 0
        self._progress = asyncio.Event()
        self._gateway = Gateway()
        self._metrics = Metrics()
        self._source: Iterator[tuple[RequestEvent, Label]] = iter(self.traffic)
        self._held: tuple[RequestEvent, Label] | None = None

    @property
    def speed(self) -> float:
        """Simulated seconds in a second so far."""
        return (self.clock - self.plan.scenario.start) / self.seconds if self.seconds else 0.0

    @property
    def accounts_seen(self) -> int:
        """Accounts that have sent anything."""
        return len(self.score.honest) + sum(1 for member in self.score.hidden.values() if member.requests)

    async def run(self, stop: asyncio.Event, show: Callable[[], None]) -> None:
        """Stream until the end or until `stop` is set, calling `show` a few times a second. Raises StreamGuardError."""
        async with self._service() as service:
            service_stop, started = asyncio.Event(), asyncio.Event()
            running = asyncio.create_task(service.run(started, service_stop))
            try:
                await _first(running, started)
                async with self._serving(service) as self.address:
                    await self._stream(service, stop, running, show)
            finally:
                service_stop.set()
                await running

    @contextlib.asynccontextmanager
    async def _service(self) -> AsyncIterator[EmbeddedService]:
        with TemporaryDirectory(prefix="stream-guard-demo-") as directory:
            settings = EmbeddedSettings(data_dir=directory, snapshot_interval_s=3600.0)
            engine, counts = Engine(EngineSettings(shadow=False)), _Counts(self._metrics, self)
            self._metrics.watch(ACCOUNTS, lambda: {("0",): engine.accounts_held})
            watch_campaigns(self._metrics, engine.campaigns)
            yield EmbeddedService(engine, settings, sinks=[_Told(self)], clock=lambda: self.clock, observer=counts)

    @contextlib.asynccontextmanager
    async def _serving(self, service: EmbeddedService) -> AsyncIterator[str]:
        for port in (self.plan.port, 0):
            settings = ApiSettings(port=port)
            api = serving(create_app(service, settings, self._metrics), settings)
            try:
                address = await api.__aenter__()
            except TransportError:
                if port == 0:
                    raise
                continue
            try:
                yield address
            finally:
                await api.__aexit__(None, None, None)
            return

    async def _stream(
        self, service: EmbeddedService, stop: asyncio.Event, running: "asyncio.Task[None]", show: Callable[[], None]
    ) -> None:
        start, began = self.plan.scenario.start, time.monotonic()
        shown, shown_events = began, 0
        while not stop.is_set() and not running.done():
            now = time.monotonic()
            self.seconds = now - began
            if self.finished or self.seconds >= self.plan.seconds + self.plan.late_s:
                break
            behind = await self._send(service, start + self.seconds * self.plan.speed)
            await self._caught_up(BEHIND_EVENTS_MAX, running)
            if now - shown >= SHOW_S:
                self.rates.append((self.events - shown_events) / (now - shown))
                shown, shown_events = now, self.events
                self._look(service)
                show()
            await asyncio.sleep(0 if behind else TICK_S)
        await self._caught_up(0, running)
        self._look(service)
        show()

    async def _send(self, service: EmbeddedService, until: float) -> bool:
        """Send what is due by the simulated time `until`; returns whether more is due."""
        payloads: list[bytes] = []
        while len(payloads) < BATCH_EVENTS_MAX:
            one, self._held = self._held or next(self._source, None), None
            if one is None:
                self.finished = True
                break
            if one[0].ts > until:
                self._held = one
                break
            payloads.append(self._through_gateway(service, *one))
        behind = len(payloads) == BATCH_EVENTS_MAX
        if not behind:
            self.clock = until
        if payloads:
            await service.accept(payloads)
        return behind

    async def _caught_up(self, behind: int, running: "asyncio.Task[None]") -> None:
        """Wait until the engine is at most so many requests behind, or has failed."""
        while self.events - self._processed > behind and not running.done():
            self._progress.clear()
            await _first(running, self._progress)

    def _through_gateway(self, service: EmbeddedService, event: RequestEvent, label: Label) -> bytes:
        self.clock = event.ts
        self.events += 1
        admitted = self._gateway.admits(event.account_id, event.ts, service.check(event.account_id))
        self.score.saw(event, label, admitted=admitted)
        return encode(event if admitted else refused(event))

    def _look(self, service: EmbeddedService) -> None:
        self.campaigns = sorted(service.campaigns(), key=lambda view: -len(view.accounts))
        step = self.plan.scenario.length_days * DAY_S / SAMPLES
        if len(self.growth) > 1 and self.growth[-1][0] - self.growth[-2][0] < step:
            self.growth.pop()
        active = sum(1 for member in self.score.hidden.values() if member.requests)
        self.growth.append((self.clock, self.score.hidden_linked, active))

    def heard(self, outcome: Outcome) -> None:
        """Take what the engine said."""
        self.score.heard(outcome.decisions, outcome.campaigns)
        self.alerts += len(outcome.alerts)
        self.decisions += len(outcome.decisions)
        self.latest.extend(d for d in outcome.decisions if d.action in ACTING)

    def counted(self, events: int) -> None:
        """Hear that the engine is through with so many more requests."""
        self._processed += events
        self._progress.set()


class _Told:
    """The sink through which the demo hears what the engine said."""

    def __init__(self, demo: Demo) -> None:
        self._demo = demo

    async def add(self, outcome: Outcome, dead_letters: Sequence[DeadLetter]) -> None:
        assert not dead_letters, "what the demo makes can be decoded"
        self._demo.heard(outcome)

    async def flush(self) -> None:
        pass

    async def close(self) -> None:
        pass


class _Counts(WorkerMetrics):
    """The metrics, and from the same source how far the engine is."""

    def __init__(self, metrics: Metrics, demo: Demo) -> None:
        super().__init__(metrics, clock=lambda: demo.clock)
        self._demo = demo

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
        super().took(partition, events, dead_letters, outcome, decode_s=decode_s, process_s=process_s)
        self._demo.counted(len(events))


def warm_up() -> None:
    """Compile the kernels before the clock runs: the first time on a machine this takes some ten seconds.

    A small stream goes through an engine of its own for long enough that a campaign is found in it.
    """
    engine = Engine(EngineSettings(shadow=False))
    source = iter(Traffic(Scenario("hydra", accounts=150, volume=0.4)))
    for _ in range(WARM_UP_EVENTS // BATCH_EVENTS_MAX):
        engine.process([event for event, _ in islice(source, BATCH_EVENTS_MAX)])


async def _first(running: "asyncio.Task[None]", event: asyncio.Event) -> None:
    """Wait for an event; raises what made the service fail meanwhile."""
    waiting = asyncio.create_task(event.wait())
    await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if running.done():
        await running
