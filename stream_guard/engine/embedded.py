"""Both halves in one process: embedded mode, one partition."""

from collections.abc import Sequence

from stream_guard.engine.account_half import AccountHalf
from stream_guard.engine.baseline import PopulationBaseline, merged
from stream_guard.engine.outcome import EngineSettings, Lesson, Outcome
from stream_guard.engine.population_half import PopulationHalf
from stream_guard.engine.solo import Baseline
from stream_guard.engine.state import seal, unseal
from stream_guard.errors import SnapshotError
from stream_guard.events import AccountView, CampaignView, Decision, RequestEvent
from stream_guard.policy import Spending


class Engine:
    """Both halves; has the methods of both. The population half is asked at each step of the account half."""

    def __init__(self, settings: EngineSettings | None = None) -> None:
        self.settings = settings or EngineSettings()
        self._accounts = AccountHalf(self.settings)
        self._accounts.on_step = self._exchange
        self._population = PopulationHalf(self.settings)

    def _exchange(self, out: Outcome) -> None:
        """Carry the report of a step over and the verdicts back, before the next request is looked at."""
        out.extend(self._population.process_reports(self._accounts.take_reports()))
        for verdict in self._population.take_verdicts():
            out.extend(self._accounts.apply_verdict(verdict))

    def process(self, events: Sequence[RequestEvent]) -> Outcome:
        """Take requests in order; returns everything that came of them. Never raises for what an event holds."""
        return self._accounts.process(events)

    def advance(self, ts: float) -> Outcome:
        """Say that event time has reached `ts` without a request."""
        out = self._accounts.advance(ts)
        out.extend(self._population.advance(ts))
        self._exchange(out)
        return out

    def learn(self, lesson: Lesson) -> Outcome:
        """Take one record from outside."""
        out = self._accounts.learn(lesson)
        out.extend(self._population.learn(lesson))
        return out

    def check(self, account_id: str, ts: float) -> Decision | None:
        """Return the decision in force at `ts`, from memory; None means allow."""
        return self._accounts.check(account_id, ts)

    def account(self, account_id: str) -> AccountView | None:
        """Return what is known of an account, or None."""
        return self._accounts.account(account_id)

    def baseline(self) -> dict[str, Baseline]:
        """Return for each signal what is usual, and how far that has gone from the baseline."""
        return self._accounts.baseline()

    def budgets(self) -> dict[str, Spending]:
        """Return what is spent of each budget of mistakes, and what may be."""
        return self._accounts.budgets()

    def learnt(self) -> PopulationBaseline:
        """Return what is usual here, for another deployment to begin with."""
        return merged([self._accounts.learnt(), self._population.learnt()])

    def begin_with(self, baseline: PopulationBaseline) -> None:
        """Begin with what is usual elsewhere, before the first request; a snapshot taken up later knows better."""
        self._accounts.begin_with(baseline)
        self._population.begin_with(baseline)

    def campaigns(self) -> list[CampaignView]:
        """Return all campaigns held, newest change first."""
        return sorted([*self._population.campaigns(), *self._accounts.campaigns()], key=lambda view: -view.campaign.ts)

    def campaign(self, campaign_id: str) -> CampaignView | None:
        """Return one campaign, or None."""
        return self._population.campaign(campaign_id) or self._accounts.campaign(campaign_id)

    @property
    def now(self) -> float:
        """Event time, as far as it can be believed; 0 before the first event."""
        return self._accounts.now

    @property
    def oddities(self) -> dict[str, int]:
        """Requests that were not as they should be, by what they were; see `AccountHalf`."""
        return self._accounts.oddities

    @property
    def accounts_held(self) -> int:
        """How many accounts have state here."""
        return self._accounts.accounts_held

    def snapshot(self) -> bytes:
        """Return the whole state of both halves; `restore` of it makes an equal engine."""
        return seal(
            {"kind": "engine", "accounts": self._accounts.snapshot(), "population": self._population.snapshot()}
        )

    def restore(self, state: bytes) -> None:
        """Take up a snapshot. Raises SnapshotError."""
        saved = unseal(state, "engine")
        try:
            self._accounts.restore(saved["accounts"])
            self._population.restore(saved["population"])
        except (KeyError, TypeError) as error:
            raise SnapshotError(f"the state of the engine does not fit: {error}") from error
