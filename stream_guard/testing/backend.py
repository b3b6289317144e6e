"""A service behind the API that keeps everything in memory: the real engine, no disk."""

from collections.abc import Mapping, Sequence

from stream_guard.codecs import decode_events
from stream_guard.engine import Engine, EngineSettings, Lesson, Outcome
from stream_guard.errors import TransportError
from stream_guard.events import AccountView, CampaignView, DeadLetter, Decision
from stream_guard.gateway.backend import Intake
from stream_guard.gateway.decisions import DecisionRing


class MemoryBackend:
    """A `Backend` and its own `Intake`.

    Attributes
    ----------
    taken, refused, lessons
        What came in, in order.
    failure
        Set it, and taking anything raises it.
    components
        What `readiness` says.
    """

    def __init__(self, settings: EngineSettings | None = None, *, ring_size_max: int = 10_000) -> None:
        self.engine = Engine(settings)
        self.decisions = DecisionRing(ring_size_max)
        self.taken: list[bytes] = []
        self.refused: list[DeadLetter] = []
        self.lessons: list[Lesson] = []
        self.failure: TransportError | None = None
        self.components = {"engine": "ok"}
        self.intake: Intake | None = self
        self._now = 0.0

    async def accept(self, payloads: Sequence[bytes], refused: Sequence[DeadLetter]) -> None:
        """Put requests through the engine."""
        self._fail()
        events, dead_letters = decode_events(payloads, source="memory")
        if dead_letters:
            raise AssertionError(f"what is accepted decodes: {dead_letters[0].reason}")
        self.taken += payloads
        self.refused += refused
        self._now = max([self._now, *(event.ts for event in events)])
        self._made(self.engine.process(events))

    async def learn(self, lesson: Lesson) -> None:
        """Tell the engine."""
        self._fail()
        self.lessons.append(lesson)
        self._made(self.engine.learn(lesson))

    def check(self, account_id: str) -> Decision | None:
        """Return the decision in force at the newest event."""
        return self.engine.check(account_id, self._now)

    def account(self, account_id: str) -> AccountView | None:
        """Return what the engine knows."""
        return self.engine.account(account_id)

    def campaigns(self) -> Sequence[CampaignView]:
        """Return what the engine holds."""
        return self.engine.campaigns()

    def campaign(self, campaign_id: str) -> CampaignView | None:
        """Return one of them."""
        return self.engine.campaign(campaign_id)

    def readiness(self) -> Mapping[str, str]:
        """Return `components`."""
        return self.components

    def _made(self, outcome: Outcome) -> None:
        self.decisions.add(outcome.decisions)

    def _fail(self) -> None:
        if self.failure:
            raise self.failure
