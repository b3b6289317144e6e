"""Events in, decisions out: the pure middle. No I/O, no clock (event time only), no Kafka.

Two halves. The *account half* sees every request of its accounts and is the only one that decides about them; the
*population half* sees compact reports of all account halves and links accounts into campaigns. On Kafka two topics lie
between them, embedded (`Engine`) they call each other:

    events ─► AccountHalf ─► decisions, alerts
                 │    ▲
          report ▼    │ verdict
             PopulationHalf ─► campaigns, alerts

The same input in the same order gives the same output, byte for byte, however it is cut into batches.
"""

import hashlib
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from stream_guard.events import (
    AccountUpdate,
    AccountView,
    Alert,
    Campaign,
    CampaignView,
    Decision,
    Enforcement,
    Evidence,
    Feedback,
    Reason,
    Release,
    RequestEvent,
    SignalReading,
)
from stream_guard.settings import Settings

Lesson = Feedback | Release | Enforcement | AccountUpdate
"""What the engine learns from outside, besides requests."""


class EngineSettings(Settings):
    """What the engine can be told."""

    shadow: bool = True
    """Decide, write and count, but act on nobody."""


@dataclass(slots=True)
class Outcome:
    """What came of some input, each list in the order it was made."""

    decisions: list[Decision] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    campaigns: list[Campaign] = field(default_factory=list)

    def extend(self, other: "Outcome") -> None:
        """Append all of `other`."""
        self.decisions += other.decisions
        self.alerts += other.alerts
        self.campaigns += other.campaigns


class AccountHalf:
    """The account half of one partition."""

    def __init__(self, settings: "EngineSettings | None" = None) -> None:
        self.settings = settings or EngineSettings()
        self._n: dict[str, list[Any]] = {}
        self._decisions: dict[str, Decision] = {}
        self._campaigns: dict[str, list[str]] = {}
        self._report: list[tuple[str, str, float]] = []

    def process(self, events: Sequence[RequestEvent]) -> Outcome:
        """Take requests in order; returns decisions and alerts. Never raises for what an event holds."""
        out = Outcome()
        for e in events:
            row = self._n.setdefault(e.account_id, [0, e.ts, e.ts])
            row[0] += 1
            row[2] = e.ts
            self._report.append((e.account_id, (e.prompt or "")[:40], e.ts))
            if row[0] == 200:
                out.decisions.append(self._decide(e.account_id, e.ts, "rate", row[0], None))
                out.alerts.append(
                    Alert(
                        f"al_{e.account_id}", e.ts, "warning", "solo", f"{e.account_id} sends much", account_id=e.account_id
                    )
                )
        return out

    def _decide(self, account_id: str, ts: float, signal: str, seen: float, campaign: str | None) -> Decision:
        d = Decision(
            f"de_{account_id}_{signal}_{campaign}",
            ts,
            account_id,
            "throttle",
            0.9,
            (Reason(signal, seen, 10.0, 1.0, "requests", "far more than usual"),),
            "stub",
            self.settings.shadow,
            limit_rpm=0.01,
            expires_at=ts + 86_400,
            campaign_id=campaign,
            clears_when="a day without it",
        )
        self._decisions[account_id] = d
        return d

    def advance(self, ts: float) -> Outcome:
        """Say that event time has reached `ts` without a request: expiries, day closes."""
        return Outcome()

    def learn(self, lesson: Lesson) -> Outcome:
        """Take one record from outside; may end or make decisions."""
        return Outcome()

    def take_report(self) -> bytes | None:
        """Return what the population half should see since the last call, or None; forgets it."""
        report, self._report = self._report, []
        return pickle.dumps(report) if report else None

    def apply_verdict(self, verdict: bytes) -> Outcome:
        """Take the population half's word; idempotent, and harmless for accounts that live elsewhere."""
        out = Outcome()
        cid, ts, accounts = pickle.loads(verdict)
        for a in accounts:
            if a in self._n and cid not in self._campaigns.setdefault(a, []):
                self._campaigns[a].append(cid)
                out.decisions.append(self._decide(a, ts, "campaign", 1.0, cid))
        return out

    def check(self, account_id: str, ts: float) -> Decision | None:
        """Return the decision in force at `ts`, from memory; None means allow."""
        d = self._decisions.get(account_id)
        return d if d and (d.expires_at or ts + 1) > ts else None

    def account(self, account_id: str) -> AccountView | None:
        """Return what is known of an account, or None if it was never seen (or long forgotten)."""
        row = self._n.get(account_id)
        if row is None:
            return None
        return AccountView(
            account_id,
            0.1,
            row[0],
            row[1],
            row[2],
            (SignalReading("request_rate", row[0], 10.0, 0.5, "1/day"),),
            tuple(self._campaigns.get(account_id, ())),
            self._decisions.get(account_id),
        )

    @property
    def accounts_held(self) -> int:
        """How many accounts have state here."""
        return len(self._n)

    def snapshot(self) -> bytes:
        """Return the whole state; `restore` of it makes an equal half."""
        return pickle.dumps((self._n, self._decisions, self._campaigns, self._report))

    def restore(self, state: bytes) -> None:
        """Take up a snapshot. Raises SnapshotError."""
        self._n, self._decisions, self._campaigns, self._report = pickle.loads(state)


class PopulationHalf:
    """The population half: one active instance over all partitions."""

    def __init__(self, settings: "EngineSettings | None" = None) -> None:
        self.settings = settings or EngineSettings()
        self._by: dict[str, set[str]] = {}
        self._named: dict[str, CampaignView] = {}
        self._verdicts: list[bytes] = []

    def process(self, report: bytes) -> Outcome:
        """Take one report; returns campaigns and alerts. A report seen twice changes nothing."""
        out = Outcome()
        for account, key, ts in pickle.loads(report):
            group = self._by.setdefault(key, set())
            if account in group:
                continue
            group.add(account)
            if len(group) >= 5 and len(key) > 20:
                cid = "ca_" + hashlib.blake2b(key.encode(), digest_size=6).hexdigest()
                old = self._named.get(cid)
                added = tuple(sorted(group)) if old is None else (account,)
                evidence = (Evidence("template", f"all ask {key!r}", len(group), 1.0, 0.0, False, tuple(sorted(group))[:5]),)
                c = Campaign(cid, ts, added, len(group), 0.9, "narrow", len(group), ts, evidence)
                growth = (*(old.growth if old else ()), (ts, len(group)))
                self._named[cid] = CampaignView(c, tuple(sorted(group)), growth)
                out.campaigns.append(c)
                if old is None:
                    out.alerts.append(
                        Alert(f"al_{cid}", ts, "critical", "campaign", f"campaign {cid} of 5 accounts", campaign_id=cid)
                    )
                self._verdicts.append(pickle.dumps((cid, ts, added)))
        return out

    def advance(self, ts: float) -> Outcome:
        """Say that event time has reached `ts`."""
        return Outcome()

    def learn(self, lesson: Lesson) -> Outcome:
        """Take one record from outside."""
        return Outcome()

    def take_verdicts(self) -> list[bytes]:
        """Return the verdicts since the last call, for every account half; forgets them."""
        verdicts, self._verdicts = self._verdicts, []
        return verdicts

    def campaigns(self) -> list[CampaignView]:
        """Return all campaigns held, newest change first."""
        return sorted(self._named.values(), key=lambda v: -v.campaign.ts)

    def campaign(self, campaign_id: str) -> CampaignView | None:
        """Return one campaign, or None."""
        return self._named.get(campaign_id)

    def snapshot(self) -> bytes:
        """Return the whole state."""
        return pickle.dumps((self._by, self._named))

    def restore(self, state: bytes) -> None:
        """Take up a snapshot. Raises SnapshotError."""
        self._by, self._named = pickle.loads(state)


class Engine:
    """Both halves in one process: embedded mode, one partition. Has the methods of both."""

    def __init__(self, settings: "EngineSettings | None" = None) -> None:
        self.settings = settings or EngineSettings()
        self._accounts = AccountHalf(self.settings)
        self._population = PopulationHalf(self.settings)

    def process(self, events: Sequence[RequestEvent]) -> Outcome:
        """Take requests in order; returns everything that came of them."""
        out = self._accounts.process(events)
        report = self._accounts.take_report()
        if report:
            out.extend(self._population.process(report))
            for v in self._population.take_verdicts():
                out.extend(self._accounts.apply_verdict(v))
        return out

    def advance(self, ts: float) -> Outcome:
        """Say that event time has reached `ts` without a request."""
        out = self._accounts.advance(ts)
        out.extend(self._population.advance(ts))
        return out

    def learn(self, lesson: Lesson) -> Outcome:
        """Take one record from outside."""
        out = self._accounts.learn(lesson)
        out.extend(self._population.learn(lesson))
        return out

    def check(self, account_id: str, ts: float) -> Decision | None:
        """Return the decision in force at `ts`; None means allow."""
        return self._accounts.check(account_id, ts)

    def account(self, account_id: str) -> AccountView | None:
        """Return what is known of an account, or None."""
        return self._accounts.account(account_id)

    def campaigns(self) -> list[CampaignView]:
        """Return all campaigns held, newest change first."""
        return self._population.campaigns()

    def campaign(self, campaign_id: str) -> CampaignView | None:
        """Return one campaign, or None."""
        return self._population.campaign(campaign_id)

    @property
    def accounts_held(self) -> int:
        """How many accounts have state here."""
        return self._accounts.accounts_held

    def snapshot(self) -> bytes:
        """Return the whole state of both halves; `restore` of it makes an equal engine."""
        return pickle.dumps((self._accounts.snapshot(), self._population.snapshot()))

    def restore(self, state: bytes) -> None:
        """Take up a snapshot. Raises SnapshotError."""
        a, p = pickle.loads(state)
        self._accounts.restore(a)
        self._population.restore(p)
