"""What the API asks of whatever runs behind it: the embedded service, a Kafka worker, or a fake.

No method may block the loop: `check`, `account`, `campaigns`, `campaign` and `readiness` answer from memory.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from stream_guard.engine import Lesson
from stream_guard.events import AccountView, CampaignView, DeadLetter, Decision


class Logged(msgspec.Struct, frozen=True):
    """A decision and its place in the log; `cursor` is opaque to callers and survives a restart if the log does."""

    cursor: str
    decision: Decision


class Intake(Protocol):
    """Takes what comes in over HTTP. Both raise Overloaded (come again later) and TransportError."""

    async def accept(self, payloads: Sequence[bytes], refused: Sequence[DeadLetter]) -> None:
        """Take requests that decode; return once they are durable. `refused` are for the dead-letter sink."""
        ...

    async def learn(self, lesson: Lesson) -> None:
        """Take an analyst's word; return once it is durable."""
        ...


class DecisionLog(Protocol):
    """The decisions in the order they were made. May forget the oldest."""

    async def read(
        self, after: str | None, limit: int, *, since: float | None = None, account_id: str | None = None
    ) -> list[Logged]:
        """Return up to `limit` decisions made after the cursor (None: from the oldest kept), oldest first.

        Raises InvalidCursor if the cursor is not one of this log, or of what it has forgotten.
        """
        ...

    async def end(self) -> str | None:
        """Return the cursor of the newest decision, None if there is none."""
        ...

    async def wait(self, after: str | None) -> None:
        """Return once there is a decision after the cursor; at once if there is. May be cancelled."""
        ...


class Backend(Protocol):
    """Everything the API needs. `intake` is None where events do not come in over HTTP (a Kafka worker)."""

    @property
    def intake(self) -> Intake | None:
        """Where events and feedback go."""
        ...

    @property
    def decisions(self) -> DecisionLog:
        """What was decided."""
        ...

    def check(self, account_id: str) -> Decision | None:
        """Return the decision in force now; None (allow) if there is none, if unknown, and while not ready."""
        ...

    def account(self, account_id: str) -> AccountView | None:
        """Return what is known of an account, None if it was never seen here."""
        ...

    def campaigns(self) -> Sequence[CampaignView]:
        """Return all campaigns held, newest change first."""
        ...

    def campaign(self, campaign_id: str) -> CampaignView | None:
        """Return one campaign, or None."""
        ...

    def readiness(self) -> Mapping[str, str]:
        """Return the components by name: "ok", or in one line why not."""
        ...
