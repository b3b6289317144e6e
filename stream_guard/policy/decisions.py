"""Decisions in force, and how the next one is made."""

import msgspec

from stream_guard.events import Decision, Feedback, Reason
from stream_guard.policy.ladder import PolicySettings


class Assessment(msgspec.Struct, frozen=True):
    """What is thought of one account at `ts`, before anything is decided.

    Risks are 0..1. `campaign_risk` counts only with a `campaign_id`; None says that the account is in no campaign
    (any more). `reasons` need no order and their shares no sum; `clears_when` is a sentence.
    """

    account_id: str
    org_id: str | None
    ts: float
    solo_risk: float
    campaign_id: str | None = None
    campaign_risk: float = 0.0
    reasons: tuple[Reason, ...] = ()
    clears_when: str = ""


class Policy:
    """Decides, and holds what is decided until it expires. Memory is spent on accounts with a decision only."""

    def __init__(self, settings: PolicySettings | None = None) -> None:
        self.settings = settings or PolicySettings()

    def decide(self, assessment: Assessment, accounts_known: int = 0) -> Decision | None:
        """Return a decision if something changes, or if one that is still deserved nears its end."""
        raise NotImplementedError

    def check(self, account_id: str, ts: float, org_id: str | None = None) -> Decision | None:
        """Return the decision in force at `ts`; None means allow."""
        raise NotImplementedError

    def advance(self, ts: float) -> list[Decision]:
        """Drop what has expired by `ts` and return it. These are not news: an expiry needs no new decision."""
        raise NotImplementedError

    def learn(self, feedback: Feedback) -> list[Decision]:
        """Take an analyst's word; returns the decisions that it makes."""
        raise NotImplementedError

    def snapshot(self) -> bytes:
        """Return the whole state."""
        raise NotImplementedError

    def restore(self, state: bytes) -> None:
        """Take up a snapshot. Raises SnapshotError."""
        raise NotImplementedError
