"""An engine of a hundred lines with the contract of the real one: for tests of what is around it.

It decides about an account at every tenth request, and names a campaign once three accounts have begun a prompt with
the same words. What it says depends on the order of events and on nothing else.
"""

from collections.abc import Sequence

import msgspec

from stream_guard.codecs import encode
from stream_guard.engine import Lesson, Outcome
from stream_guard.events import AccountView, Alert, Campaign, CampaignView, Decision, Reason, RequestEvent

EVERY = 10
ACCOUNTS = 3
WORDS_CHARS = 24


class _Account(msgspec.Struct):
    requests: int
    first_seen: float
    last_seen: float
    decision: Decision | None = None


class _State(msgspec.Struct):
    accounts: dict[str, _Account] = {}
    words: dict[str, list[str]] = {}
    campaigns: dict[str, CampaignView] = {}
    lessons: int = 0


class CountingEngine:
    """Counts, and has the methods of `Engine`."""

    def __init__(self) -> None:
        self._state = _State()

    def process(self, events: Sequence[RequestEvent]) -> Outcome:
        """Take requests in order."""
        outcome = Outcome()
        for event in events:
            account = self._state.accounts.setdefault(event.account_id, _Account(0, event.ts, event.ts))
            account.requests += 1
            account.last_seen = event.ts
            if account.requests % EVERY == 0:
                account.decision = _decision(event, account.requests)
                outcome.decisions.append(account.decision)
            self._link(event, outcome)
        return outcome

    def _link(self, event: RequestEvent, outcome: Outcome) -> None:
        words = (event.prompt or "")[:WORDS_CHARS]
        sharing = self._state.words.setdefault(words, [])
        if not words or event.account_id in sharing:
            return
        sharing.append(event.account_id)
        if len(sharing) < ACCOUNTS:
            return
        name = f"ca_{words}"
        added = tuple(sharing) if len(sharing) == ACCOUNTS else (event.account_id,)
        campaign = Campaign(name, event.ts, added, len(sharing), 0.9, "narrow", len(sharing), event.ts)
        self._state.campaigns[name] = CampaignView(campaign, tuple(sharing))
        outcome.campaigns.append(campaign)
        if len(sharing) == ACCOUNTS:
            outcome.alerts.append(Alert(f"al_{name}", event.ts, "critical", "campaign", words, campaign_id=name))

    def advance(self, ts: float) -> Outcome:  # noqa: ARG002 - nothing expires here
        """Take no notice of time."""
        return Outcome()

    def learn(self, lesson: Lesson) -> Outcome:
        """Count a lesson."""
        self._state.lessons += 1
        return Outcome(alerts=[Alert(f"al_lesson_{self._state.lessons}", 0.0, "info", "lesson", type(lesson).__name__)])

    def check(self, account_id: str, ts: float) -> Decision | None:
        """Return the decision in force."""
        account = self._state.accounts.get(account_id)
        decision = account.decision if account else None
        return decision if decision and (decision.expires_at or ts) >= ts else None

    def account(self, account_id: str) -> AccountView | None:
        """Return what was counted."""
        if (found := self._state.accounts.get(account_id)) is None:
            return None
        return AccountView(
            account_id, 0.1, found.requests, found.first_seen, found.last_seen, (), decision=found.decision
        )

    def campaigns(self) -> list[CampaignView]:
        """Return all campaigns, newest change first."""
        return sorted(self._state.campaigns.values(), key=lambda view: -view.campaign.ts)

    def campaign(self, campaign_id: str) -> CampaignView | None:
        """Return one campaign."""
        return self._state.campaigns.get(campaign_id)

    @property
    def accounts_held(self) -> int:
        """How many accounts were seen."""
        return len(self._state.accounts)

    def snapshot(self) -> bytes:
        """Return the whole state."""
        return encode(self._state)

    def restore(self, state: bytes) -> None:
        """Take up a snapshot."""
        self._state = msgspec.json.decode(state, type=_State)


def _decision(event: RequestEvent, requests: int) -> Decision:
    return Decision(
        f"de_{event.account_id}_{requests}",
        event.ts,
        event.account_id,
        "throttle",
        0.5,
        (Reason("requests", requests, EVERY, 1.0, "requests"),),
        "counting",
        shadow=True,
        limit_rpm=1.0,
        expires_at=event.ts + 3600,
    )
