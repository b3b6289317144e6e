"""What the API answers with, besides the records of `events.py`. JSON by `codecs.encode`."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from stream_guard.events import Action, CampaignView, Decision, Id, Shape, Time


class Refused(msgspec.Struct, frozen=True):
    """An event that was not taken: its place among those sent (from 0; empty lines count), and why."""

    index: int
    reason: str


class Accepted(msgspec.Struct, frozen=True):
    """How many events are now safe, and which were refused: together, all that were sent."""

    accepted: int
    refused: tuple[Refused, ...] = ()


class Check(msgspec.Struct, frozen=True):
    """What a gateway should do with the next request of an account.

    In shadow mode `action` is allow, and `shadow_action` says what it would have been.
    """

    action: Action
    shadow: bool = False
    shadow_action: Action | None = None
    limit_rpm: float | None = None
    expires_at: float | None = None
    decision_id: str | None = None
    campaign_id: str | None = None

    @classmethod
    def of(cls, decision: Decision | None) -> "Check":
        """Return the answer that a decision, or none, makes."""
        if decision is None:
            return ALLOW
        return cls(
            "allow" if decision.shadow else decision.action,
            decision.shadow,
            decision.action if decision.shadow else None,
            decision.limit_rpm,
            decision.expires_at,
            decision.decision_id,
            decision.campaign_id,
        )


ALLOW = Check("allow")


class CampaignSummary(msgspec.Struct, frozen=True):
    """A campaign in a list; `GET /v1/campaigns/{id}` has its accounts and its evidence."""

    campaign_id: str
    ts: float
    size: int
    risk: float
    shape: Shape
    exchanges: int
    first_seen: float
    models: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()

    @classmethod
    def of(cls, view: CampaignView) -> "CampaignSummary":
        """Return the summary of a campaign as it stands; `evidence` is the first of each kind."""
        c = view.campaign
        texts = {e.kind: e.text for e in reversed(c.evidence)}
        return cls(
            c.campaign_id,
            c.ts,
            len(view.accounts),
            c.risk,
            c.shape,
            c.exchanges,
            c.first_seen,
            c.models,
            tuple(reversed(texts.values())),
        )


class CampaignPage(msgspec.Struct, frozen=True):
    """Some campaigns, newest change first; `next_offset` is absent on the last page."""

    campaigns: tuple[CampaignSummary, ...]
    total: int
    next_offset: int | None = None


class DecisionPage(msgspec.Struct, frozen=True):
    """Some decisions, oldest first. `cursor` is the place after the last: pass it as `after` for what comes next."""

    decisions: tuple[Decision, ...]
    cursor: str | None


class Word(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An analyst's word on one account or one campaign; `ts` is now if absent."""

    label: Literal["malicious", "benign"]
    account_id: Id | None = None
    campaign_id: Id | None = None
    analyst: str = ""
    note: str = ""
    ts: Time | None = None


class Readiness(msgspec.Struct, frozen=True):
    """Whether every component is ready; each is "ok" or says why not."""

    ready: bool
    components: Mapping[str, str]


class Problem(msgspec.Struct, frozen=True):
    """Every error: a word to act upon, a sentence to read."""

    error: str
    detail: str


def schemas(*kinds: Any) -> dict[str, Any]:
    """Return the OpenAPI components of these types."""
    return msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")[1]
