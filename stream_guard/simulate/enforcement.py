"""What becomes of a simulated stream when a gateway obeys: who is let through, who is found, who is hurt.

The engine is not told who is who. `Gateway` acts on decisions as a gateway would; `Scorecard` holds the truth beside
what the engine said and what the gateway did.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from stream_guard.events import Campaign, Decision, RequestEvent
from stream_guard.simulate.population import Account, Label

ACTING = ("throttle", "challenge", "degrade", "verify", "suspend")
"""Actions that an account feels."""


class Gateway:
    """Lets requests through or answers 429, as a token bucket by the throttle in force.

    A throttle of `limit_rpm` fills the bucket by that many requests a minute, up to one minute's worth and at least
    one: at 0.01 an account gets one request through, then one in a hundred minutes. A suspended account gets none.
    Other actions change the service, not the count, and let requests through.

    Examples
    --------
    >>> slow = Decision("de_1", 0.0, "a", "throttle", 0.9, (), "1", shadow=False, limit_rpm=0.5)
    >>> gateway = Gateway()
    >>> [gateway.admits("a", ts, slow) for ts in (0.0, 60.0, 121.0)]
    [True, False, True]
    """

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[float, float]] = {}

    def admits(self, account_id: str, ts: float, decision: Decision | None) -> bool:
        """Say whether a request at `ts` goes through under the decision in force."""
        if decision is None or decision.shadow or decision.action not in ("throttle", "suspend"):
            return True
        if decision.action == "suspend" or decision.limit_rpm is None:
            return decision.action != "suspend"
        most = max(1.0, decision.limit_rpm)
        tokens, at = self._buckets.get(account_id, (most, ts))
        tokens = min(most, tokens + (ts - at) * decision.limit_rpm / 60)
        admitted = tokens >= 1
        self._buckets[account_id] = (tokens - admitted, ts)
        return admitted


def refused(event: RequestEvent) -> RequestEvent:
    """Return the event as a gateway reports it that answered 429: nothing was generated."""
    return msgspec.structs.replace(event, status=429, output_tokens=0, finish_reason=None)


@dataclass(slots=True)
class _Member:
    """One account of the campaign, as far as it has been seen."""

    requests: int = 0
    named_after: int | None = None


@dataclass(slots=True)
class Scorecard:
    """The truth beside what was said and done.

    Attributes
    ----------
    harvested, stopped
        Requests of the campaign's harvest that it made, and those of them that did not go through.
    honest_requests, honest_refused
        The same of honest accounts.
    honest_acted_on
        Honest accounts under a decision that they felt, with its action.
    named_at
        Event time at which a campaign first held three hidden accounts and no more than as many others.
    linked
        Hidden accounts that have been members of a true campaign.
    """

    hidden: dict[str, _Member] = field(default_factory=dict)
    honest: set[str] = field(default_factory=set)
    harvested: int = 0
    stopped: int = 0
    honest_requests: int = 0
    honest_refused: int = 0
    honest_acted_on: dict[str, str] = field(default_factory=dict)
    named_at: float | None = None
    harvested_when_named: int = 0
    linked: set[str] = field(default_factory=set)
    _members: dict[str, set[str]] = field(default_factory=dict)
    _hidden_ids: frozenset[str] = frozenset()

    @classmethod
    def of(cls, accounts: Iterable[Account]) -> "Scorecard":
        """Return an empty one for these accounts."""
        return cls(_hidden_ids=frozenset(a.account_id for a in accounts if a.label.campaign))

    def saw(self, event: RequestEvent, label: Label, *, admitted: bool) -> None:
        """Count one request and what the gateway did with it."""
        if label.campaign is None:
            self.honest.add(event.account_id)
            self.honest_requests += 1
            self.honest_refused += not admitted
            return
        self.hidden.setdefault(event.account_id, _Member()).requests += 1
        self.harvested += label.harvest
        self.stopped += label.harvest and not admitted

    def heard(self, decisions: Iterable[Decision], campaigns: Iterable[Campaign]) -> None:
        """Take what the engine said."""
        for decision in decisions:
            felt = decision.action in ACTING and not decision.shadow
            if felt and decision.account_id not in self._hidden_ids:
                self.honest_acted_on[decision.account_id] = decision.action
        for campaign in campaigns:
            members = self._members.setdefault(campaign.campaign_id, set())
            members.update(campaign.accounts)
            members.difference_update(campaign.removed)
            self._named(campaign, members)

    def _named(self, campaign: Campaign, members: set[str]) -> None:
        mine = members & self._hidden_ids
        if len(mine) < 3 or len(mine) * 2 < len(members):
            return
        if self.named_at is None:
            self.named_at, self.harvested_when_named = campaign.ts, self.harvested
        for account_id in mine - self.linked:
            member = self.hidden.setdefault(account_id, _Member())
            member.named_after = member.requests
            self.linked.add(account_id)

    @property
    def true_campaigns(self) -> list[str]:
        """Ids that hold mostly hidden accounts."""
        return [cid for cid, members in self._members.items() if members and self._is_true(members)]

    @property
    def false_campaigns(self) -> list[str]:
        """Ids that hold mostly honest accounts."""
        return [cid for cid, members in self._members.items() if members and not self._is_true(members)]

    def _is_true(self, members: set[str]) -> bool:
        return len(members & self._hidden_ids) * 2 >= len(members)

    @property
    def linked_honest(self) -> set[str]:
        """Honest accounts in any campaign."""
        members: set[str] = set().union(*self._members.values())
        return members - self._hidden_ids

    @property
    def hidden_linked(self) -> int:
        """Hidden accounts that are members of a true campaign now."""
        return len(set().union(*(self._members[cid] for cid in self.true_campaigns)) & self._hidden_ids)

    @property
    def named_after(self) -> float | None:
        """Requests that a linked account had made when it was named, on average."""
        counts = [m.named_after for m in self.hidden.values() if m.named_after is not None]
        return sum(counts) / len(counts) if counts else None
