"""The account half: sees every request of its accounts, and is the only one that decides about them."""

import hashlib
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_guard.accounts import ALLOWLISTED, HAS_FACTS, PUBLIC_MAIL, SUSPECT, Accounts, Columns
from stream_guard.campaigns.report import FACTS, SIGHTING, SIGHTINGS_A_DAY, TIERS, Report, pack, unpack
from stream_guard.engine.baseline import ACCOUNTS_WORTH, PopulationBaseline
from stream_guard.engine.clock import EventClock
from stream_guard.engine.intake import Intake, hash32
from stream_guard.engine.outcome import EngineSettings, Lesson, Outcome
from stream_guard.engine.repeats import Repeats
from stream_guard.engine.solo import Baseline, SoloJudge
from stream_guard.engine.state import seal, unseal
from stream_guard.engine.verdicts import Verdict, unpack_verdict
from stream_guard.errors import SnapshotError
from stream_guard.events import (
    AccountFacts,
    AccountUpdate,
    AccountView,
    Campaign,
    CampaignView,
    Decision,
    Enforcement,
    Evidence,
    Feedback,
    Member,
    Reason,
    RequestEvent,
)
from stream_guard.policy import Alerts, Assessment, Policy, Spending
from stream_guard.signals import BY_NAME
from stream_guard.sketch import FINGERPRINTS, hashes
from stream_guard.surprise import Surprise

STEP_EVENTS, STEP_S = 512, 150.0
LIVE_S = 15.0
"""Seconds after which an open step closes when time goes on without requests."""
DUE_FIRST, DUE_GROWTH = 8, 1.4
NEAR_RISK, DUE_GROWTH_NEAR = 0.3, 1.1
"""Risk from which an account is judged more often: it may be throttled soon."""
SOLO_HELD = 10_000
Membership = tuple[float, float, tuple[Reason, ...]]
"""Of one account in one campaign: risk, chance that it is an honest bystander, reasons."""
TOLD_SIGNALS = {"flatness": 100.0, "head_start": 100.0, "addresses": 1.0}
"""Signals that the population half is told of each account, and by what they are multiplied to fit a byte."""
ITEMS_AN_EVENT = 64
"""Reasoning items of one request that are looked at."""


class AccountHalf:
    """The account half of one partition.

    Requests are measured as they come. What is dearer is done at *steps*, which the events themselves set (every
    `STEP_EVENTS` events, or `STEP_S` of event time): accounts that are due are judged, and a report is made for the
    population half. So the outcome does not depend on how the events were cut into batches.
    """

    def __init__(self, settings: EngineSettings | None = None, partition: int = 0) -> None:
        self.settings = settings or EngineSettings()
        self.partition = partition
        self._accounts = Accounts(self.settings.accounts_max)
        self._intake = Intake()
        self._policy = Policy(self.settings.policy, shadow=self.settings.shadow)
        self._alerts = Alerts(self.settings.alerts)
        self._judge = SoloJudge()
        self._surprise = Surprise()
        self._public_mail = frozenset(self.settings.public_mail)
        self._members: dict[str, dict[str, Membership]] = {}
        self._solo: dict[str, CampaignView] = {}
        self._time = EventClock(self.settings.ahead_max_s)
        self._repeats = Repeats()
        self._clock = 0.0
        self._step_began = 0.0
        self._serial = 0
        self._pending: list[NDArray[np.void]] = []
        self._pending_events = 0
        self._pending_systems: dict[int, NDArray[np.uint32]] = {}
        self._pending_items: list[tuple[int, int, int]] = []
        self._reports: list[Report] = []
        self.on_step: Callable[[Outcome], None] | None = None

    @property
    def accounts_held(self) -> int:
        """How many accounts have state here."""
        return len(self._accounts)

    @property
    def now(self) -> float:
        """Event time, as far as it can be believed; 0 before the first event."""
        return self._time.now

    @property
    def oddities(self) -> dict[str, int]:
        """Requests that were not as they should be: `repeated`, `early` (far ahead in time), with a `bad_sketch`."""
        return {"repeated": self._repeats.counted, "early": self._time.early, "bad_sketch": self._intake.bad_sketches}

    def process(self, events: Sequence[RequestEvent]) -> Outcome:
        """Take requests in order; returns what came of them. Never raises for what an event holds."""
        out = Outcome()
        events = self._repeats.drop(events)
        start = 0
        times: list[float] = []
        for i, event in enumerate(events):
            ts = self._time.see_one(event.ts)
            if ts >= self._step_began + STEP_S and self._pending_events + len(times):
                self._measure(events[start:i], times)
                out.extend(self._step())
                start, times = i, []
            self._clock = self._time.now
            if not self._pending_events + len(times):
                self._step_began = self._clock
            self._step_began = min(self._step_began, self._clock)
            times.append(ts)
            if self._pending_events + len(times) >= STEP_EVENTS:
                self._measure(events[start : i + 1], times)
                out.extend(self._step())
                start, times = i + 1, []
        self._measure(events[start:], times)
        return out

    def _measure(self, events: Sequence[RequestEvent], times: Sequence[float]) -> None:
        """Take events between two steps into the state of their accounts; `times` are as of when they count."""
        if not events:
            return
        taken = self._intake.take(events, times)
        accounts = self._accounts
        rows = accounts.rows_of([e.account_id for e in events])
        self._note_news(rows, events)
        seen = taken.sightings
        busy = accounts.update(
            Columns(
                rows, taken.ts, taken.turn, taken.input_tokens, taken.output_tokens, taken.limit, (seen["flags"] & 4) > 0,
                (seen["flags"] & 2) > 0, taken.many, taken.logprobs, seen["harness"], seen["ip"], seen["agent"], seen["system"], seen["marks"],
            ),
            taken.sketches,
        )  # fmt: skip
        keep = taken.lot < np.minimum(SIGHTINGS_A_DAY / np.maximum(busy, 1.0), 1.0) * 4294967296.0
        seen["account"] = rows
        innocent = accounts.state["flags"][rows[keep]] & SUSPECT == 0
        seen["standing"][keep] = self._surprise.see(taken.prompts.only(keep), innocent)
        self._pending.append(seen[keep])
        self._pending_events += len(events)
        for system in {s.hash: s for s in taken.systems}.values():
            self._pending_systems[system.hash] = system.prints
        self._note_items(rows, events)

    def _note_items(self, rows: NDArray[np.int64], events: Sequence[RequestEvent]) -> None:
        """Keep the reasoning items that requests carry, and the conversation they are carried in, as hashes."""
        carrying = [(row, e) for row, e in zip(rows.tolist(), events, strict=True) if e.reasoning_refs]
        talks = hashes([e.conversation_id or "" for _, e in carrying]).tolist()
        items = iter(hashes([item for _, e in carrying for item in e.reasoning_refs[:ITEMS_AN_EVENT]]).tolist())
        for (row, e), talk in zip(carrying, talks, strict=True):
            count = len(e.reasoning_refs[:ITEMS_AN_EVENT])
            self._pending_items += [(row, item, talk if e.conversation_id else 0) for item in islice(items, count)]

    def _note_news(self, rows: NDArray[np.int64], events: Sequence[RequestEvent]) -> None:
        """Note what the first event with facts, and the first with an organisation, say of their account."""
        state = self._accounts.state
        unknown = (state["flags"][rows] & HAS_FACTS == 0) | (state["org"][rows] == 0)
        for i in np.flatnonzero(unknown).tolist():
            event, row = events[i], int(rows[i])
            org_id = event.org_id if event.org_id and not state["org"][row] else None
            facts = event.account if event.account is not None and not state["flags"][row] & HAS_FACTS else None
            if org_id is not None or facts is not None:
                self._note_facts(row, facts, org_id)

    def _note_facts(self, row: int, facts: AccountFacts | None, org_id: str | None) -> None:
        state = self._accounts.state
        flags = int(state["flags"][row])
        if org_id is not None:
            flags = flags | ALLOWLISTED if org_id in self.settings.policy.allow_orgs else flags & ~ALLOWLISTED
            state["org"][row] = hash32(org_id)
        if facts is not None:
            domain = (facts.email_domain or "").lower()
            flags |= HAS_FACTS
            flags = flags | PUBLIC_MAIL if domain in self._public_mail else flags & ~PUBLIC_MAIL
            state["mail"][row], state["payment"][row] = hash32(domain), hash32(facts.payment_id)
            state["created_at"][row], state["entitlement"][row] = facts.created_at or 0.0, facts.entitlement or 0.0
            state["tier"][row] = TIERS.index(facts.tier) if facts.tier in TIERS else 0
            state["pathway"][row] = {None: 0, "education": 1}.get(facts.pathway, 2)
        state["flags"][row] = flags

    def _is_allowlisted(self, row: int) -> bool:
        by_org = bool(self._accounts.state["flags"][row] & ALLOWLISTED)
        return by_org or self._accounts.names[row] in self.settings.policy.allow_accounts

    def _step(self) -> Outcome:
        """Judge who is due and report to the population half."""
        out = Outcome()
        if not self._pending_events:
            return out
        ts = self._clock
        seen = np.concatenate(self._pending)
        touched = np.union1d(seen["account"], np.array([row for row, _, _ in self._pending_items], np.uint32)).astype(
            np.int64
        )
        state = self._accounts.state
        due = touched[state["requests"][touched] >= state["due_at"][touched]]
        state["due_at"][due] = np.maximum(DUE_FIRST, (state["requests"][due] * DUE_GROWTH).astype(np.uint32) + 1)
        self._reports.append(self._report(seen, touched, due, ts))
        self._surprise.rank()
        quiet = max(0.0, 1.0 - self._pending_events / STEP_EVENTS)
        self._pending, self._pending_events, self._pending_systems, self._pending_items = [], 0, {}, []
        for decision in self._policy.advance(ts):
            self._acquit(decision.account_id)
        # Who is suspected is judged at each step, or a decision would end before the heavy are due again.
        pressed = self._suspects_alone(touched)
        due = np.union1d(due, pressed) if len(pressed) else due
        measured = self._judge.measure(state[due])
        risks = self._judge.assess(state[due], measured)
        near = due[np.array(risks[0]) >= NEAR_RISK]
        state["due_at"][near] = (state["requests"][near] * DUE_GROWTH_NEAR).astype(np.uint32) + 1
        for row, risk, reasons in zip(due.tolist(), *risks, strict=True):
            self._decide(str(self._accounts.names[row]), risk, reasons, ts, out)
        judged = set(due.tolist())
        if self._members:
            for row in touched.tolist():
                name = str(self._accounts.names[row])
                if row not in judged and name in self._members:
                    self._decide(name, 0.0, (), ts, out)
        drifts = self._judge.learn_one(state[due], ts, quiet, measured)
        out.alerts += [
            alert for d in drifts if (alert := self._alerts.of_drift(d.signal, d.ts, d.before, d.after)) is not None
        ]
        self._accounts.make_room(STEP_EVENTS)
        if self.on_step is not None:
            self.on_step(out)
        return out

    def _suspects_alone(self, touched: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the suspects among some accounts that are in no campaign."""
        names = self._accounts.names
        suspects = touched[(self._accounts.state["flags"][touched] & SUSPECT) > 0].tolist()
        return np.array([row for row in suspects if names[row] not in self._members], np.int64)

    def _report(self, seen: NDArray[np.void], touched: NDArray[np.int64], due: NDArray[np.int64], ts: float) -> Report:
        state, names = self._accounts.state[touched], self._accounts.names
        facts = np.zeros(len(touched), FACTS)
        for name in (
            "created_at",
            "first_ts",
            "last_ts",
            "org",
            "mail",
            "payment",
            "requests",
            "entitlement",
            "tokens_day",
            "day",
            "tier",
            "pathway",
        ):
            facts[name] = state[name]
        facts["public_mail"] = (state["flags"] & PUBLIC_MAIL) > 0
        for name, scale in TOLD_SIGNALS.items():
            facts[name] = np.clip(np.rint(scale * BY_NAME[name].read(state)), 0, 255)
        systems, local = np.unique(seen["system"], return_inverse=True)
        prints = (
            np.stack([self._pending_systems[h] for h in systems.tolist()])
            if len(systems)
            else np.zeros((0, FINGERPRINTS), np.uint32)
        )
        sightings = seen.copy()
        sightings["account"], sightings["system"] = np.searchsorted(touched, seen["account"]), local
        places = np.searchsorted(touched, [row for row, _, _ in self._pending_items]).tolist()
        items = [(place, item, talk) for place, (_, item, talk) in zip(places, self._pending_items, strict=True)]
        models = {str(code): self._intake.models[code] for code in np.unique(seen["model"]).tolist()}
        twin_rows = due[self._accounts.state["twin"][due] >= 0]
        self._serial += 1
        return Report(
            self.partition, self._serial, ts, [str(names[row]) for row in touched.tolist()], facts, systems, prints, sightings,
            np.searchsorted(touched, twin_rows).astype(np.uint32), self._accounts.twins[self._accounts.state["twin"][twin_rows]], items,
            models,
        )  # fmt: skip

    def _decide(self, name: str, solo: float, reasons: tuple[Reason, ...], ts: float, out: Outcome) -> None:
        """Ask the policy about one account, and tell what it says."""
        row = self._accounts.rows.get(name)
        if row is None:
            return
        campaign_id, campaign_risk, bystander = None, 0.0, 0.0
        for cid, (risk, honest, why) in self._members.get(name, {}).items():
            if risk > campaign_risk:
                campaign_id, campaign_risk, bystander = cid, risk, honest
                reasons = (*why, *reasons) if solo >= 0.3 else why
        clears = (
            "no further request that carries the campaign's text"
            if campaign_id
            else "use as usual for the plan until the decision expires"
        )
        allowed = self._is_allowlisted(row)
        assessment = Assessment(name, None, ts, solo, campaign_id, campaign_risk, reasons, clears, allowed, bystander)
        decision = self._policy.decide(assessment, len(self._accounts))
        if max(solo, campaign_risk) >= 0.5:
            self._accounts.state["flags"][row] |= SUSPECT
        if decision is None:
            return
        if decision.action == "allow" and max(solo, campaign_risk) < 0.5:
            self._acquit(name)
        out.decisions.append(decision)
        if decision.campaign_id is None and decision.action not in ("allow", "watch"):
            out.campaigns.append(self._campaign_of_one(decision))
        alert = self._alerts.of_decision(decision)
        if alert is not None:
            out.alerts.append(alert)

    def _campaign_of_one(self, decision: Decision) -> Campaign:
        """Name an account that harvests by itself."""
        name, state = decision.account_id, self._accounts.state[self._accounts.rows[decision.account_id]]
        evidence = tuple(
            Evidence(r.signal, r.text, 1, r.observed, r.usual, r.inference, (name,)) for r in decision.reasons
        )
        campaign = Campaign(
            "ca_" + hashlib.blake2b(f"solo {name}".encode(), digest_size=8).hexdigest(), decision.ts, (name,), 1, decision.risk, "solo",
            int(state["requests"]), float(state["first_ts"]), evidence,
            members=(Member(name, decision.ts, "solo", 1.0, float(state["first_ts"]), float(state["last_ts"])),),
        )  # fmt: skip
        campaign = self._alerts.describe(campaign)
        if len(self._solo) >= SOLO_HELD:
            del self._solo[next(iter(self._solo))]
        self._solo[campaign.campaign_id] = CampaignView(campaign, (name,), ((decision.ts, 1),), campaign.members)
        return campaign

    def _acquit(self, name: str) -> None:
        """Let an account teach again, unless it is in a campaign; its next request is judged."""
        row = self._accounts.rows.get(name)
        if row is not None and name not in self._members:
            self._accounts.state["flags"][row] &= ~np.uint8(SUSPECT)
            self._accounts.state["due_at"][row] = 0

    def advance(self, ts: float) -> Outcome:
        """Say that event time has reached `ts` without a request: an open step closes, decisions expire."""
        out = Outcome()
        if self._time.advance(ts):
            self._clock = ts
            if self._pending_events and ts >= self._step_began + LIVE_S:
                out.extend(self._step())
            for decision in self._policy.advance(ts):
                self._acquit(decision.account_id)
        return out

    def learn(self, lesson: Lesson) -> Outcome:
        """Take one record from outside; may end or make decisions."""
        out = Outcome()
        if isinstance(lesson, Feedback):
            alone = self._solo.get(lesson.campaign_id or "")
            if alone is not None:  # the campaign is one account: a word on either is a word on it
                lesson = msgspec.structs.replace(lesson, campaign_id=None, account_id=alone.accounts[0])
            row = self._accounts.rows.get(lesson.account_id or "")
            state = None if row is None else self._accounts.state[row]
            if state is not None:
                malicious = lesson.label == "malicious"
                self._judge.learn(state, malicious=malicious)
                state["flags"] = state["flags"] | SUSPECT if malicious else state["flags"] & ~np.uint8(SUSPECT)
            out.decisions += self._policy.learn(lesson, allowlisted=row is not None and self._is_allowlisted(row))
        elif isinstance(lesson, AccountUpdate):
            if lesson.account_id in self._accounts.rows or len(self._accounts) < self._accounts.accounts_max:
                self._note_facts(self._accounts.row(lesson.account_id), lesson.facts, lesson.org_id)
        elif isinstance(lesson, Enforcement) and lesson.account_id in self._accounts.rows:
            self._accounts.state["flags"][self._accounts.rows[lesson.account_id]] |= SUSPECT
        return out

    def take_report(self) -> bytes | None:
        """Return what the population half should see since the last call, or None; forgets it."""
        reports = self.take_reports()
        return msgspec.msgpack.encode([pack(report) for report in reports]) if reports else None

    def take_reports(self) -> list[Report]:
        """Do as `take_report` for a population half in the same process."""
        reports, self._reports = self._reports, []
        return reports

    def apply_verdict(self, verdict: bytes) -> Outcome:
        """Take the population half's word; idempotent, and harmless for accounts that live elsewhere."""
        out = Outcome()
        word: Verdict = unpack_verdict(verdict)
        for name in word.removed:
            if self._members.get(name, {}).pop(word.campaign_id, None) is not None:
                if not self._members[name]:
                    del self._members[name]
                    self._acquit(name)
                self._decide(name, 0.0, (), max(word.ts, self._clock), out)
        for name, risk, honest in word.members:
            known = self._members.get(name, {}).get(word.campaign_id)
            if name in self._accounts.rows and known != (risk, honest, word.reasons):
                self._members.setdefault(name, {})[word.campaign_id] = (risk, honest, word.reasons)
                self._decide(name, 0.0, (), max(word.ts, self._clock), out)
        return out

    def check(self, account_id: str, ts: float) -> Decision | None:
        """Return the decision in force at `ts`, from memory; None means allow."""
        return self._policy.check(account_id, ts)

    def account(self, account_id: str) -> AccountView | None:
        """Return what is known of an account, or None if it was never seen (or long forgotten)."""
        row = self._accounts.rows.get(account_id)
        if row is None:
            return None
        state = self._accounts.state[row : row + 1]
        risks, _ = self._judge.assess(state)
        campaigns = self._members.get(account_id, {})
        (readings,) = self._judge.readings(state)
        return AccountView(
            account_id, max([risks[0], *(risk for risk, *_ in campaigns.values())]), int(state["requests"][0]), float(state["first_ts"][0]),
            float(state["last_ts"][0]), readings, tuple(campaigns), self._policy.check(account_id, max(self._clock, float(state["last_ts"][0]))),
            self._is_allowlisted(row),
        )  # fmt: skip

    def baseline(self) -> dict[str, Baseline]:
        """Return for each signal what is usual here, and how far that has gone from the baseline."""
        return self._judge.baseline()

    def learnt(self) -> PopulationBaseline:
        """Return what is usual of accounts here."""
        signals, accounts = self._judge.learnt()
        return PopulationBaseline(signals, accounts)

    def begin_with(self, baseline: PopulationBaseline) -> None:
        """Begin with what is usual elsewhere, before the first request; a snapshot taken up later knows better."""
        if baseline.accounts:
            self._judge.begin_with(baseline.signals, min(ACCOUNTS_WORTH, baseline.accounts))

    def budgets(self) -> dict[str, Spending]:
        """Return what is spent of each budget of mistakes, and what may be."""
        return self._policy.budgets(len(self._accounts))

    def campaigns(self) -> list[CampaignView]:
        """Return the campaigns of one account, newest first; those of several are the population half's."""
        return sorted(self._solo.values(), key=lambda view: -view.campaign.ts)

    def campaign(self, campaign_id: str) -> CampaignView | None:
        """Return one campaign of one account, or None."""
        return self._solo.get(campaign_id)

    def snapshot(self) -> bytes:
        """Return the whole state; `restore` of it makes an equal half."""
        pending = np.concatenate(self._pending) if self._pending else np.zeros(0, SIGHTING)
        state: dict[str, Any] = {
            "kind": "account half", "accounts": self._accounts.dump(), "policy": self._policy.snapshot(), "alerts": self._alerts.snapshot(),
            "judge": self._judge.snapshot(), "baseline": self.settings.baseline, "members": self._members, "solo": list(self._solo.values()), "clock": self._clock,
            "step_began": self._step_began, "serial": self._serial, "pending": pending.tobytes(), "pending_events": self._pending_events,
            "systems": {str(h): p.tobytes() for h, p in self._pending_systems.items()}, "items": self._pending_items,
            "reports": [pack(report) for report in self._reports],
            "time": self._time.dump(), "repeats": self._repeats.dump(), "bad_sketches": self._intake.bad_sketches,
            "surprise": self._surprise.dump(), "allow_orgs": sorted(self.settings.policy.allow_orgs),
            "models": {str(code): name for code, name in self._intake.models.items()},
        }  # fmt: skip
        return seal(state)

    def restore(self, state: bytes) -> None:
        """Take up a snapshot. Raises SnapshotError."""
        saved = unseal(state, "account half")
        try:
            self._accounts.load(saved["accounts"])
            self._policy.restore(saved["policy"])
            self._alerts.restore(saved["alerts"])
            self._judge.restore(saved["judge"])
            if saved["baseline"] != self.settings.baseline:
                self._judge.freeze()
            self._members = msgspec.convert(saved["members"], dict[str, dict[str, Membership]])
            self._solo = {
                view.campaign.campaign_id: view for view in msgspec.convert(saved["solo"], list[CampaignView])
            }
            self._clock, self._step_began, self._serial = saved["clock"], saved["step_began"], saved["serial"]
            pending = np.frombuffer(saved["pending"], SIGHTING)
            self._pending, self._pending_events = ([pending] if len(pending) else []), saved["pending_events"]
            self._pending_systems = {int(h): np.frombuffer(p, np.uint32) for h, p in saved["systems"].items()}
            self._pending_items = [(row, item, talk) for row, item, talk in saved["items"]]
            self._time.load(saved["time"])
            self._surprise.load(saved["surprise"])
            self._repeats.load(saved["repeats"])
            self._intake.bad_sketches = saved["bad_sketches"]
            if saved["allow_orgs"] != sorted(self.settings.policy.allow_orgs):
                self._note_anew()
            self._reports = [unpack(raw) for raw in saved["reports"]]
            self._intake.models = {int(code): name for code, name in saved["models"].items()}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise SnapshotError(f"the state of the account half does not fit: {error}") from error

    def _note_anew(self) -> None:
        """Ask the next request of each account for its organisation again: the allowlist is another one."""
        state = self._accounts.state
        state["org"] = 0
        state["flags"] &= ~np.uint8(HAS_FACTS)
