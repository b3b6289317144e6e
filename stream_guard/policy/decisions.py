"""Decisions in force, and how the next one is made. `docs/decisions.md` tells the same for people."""

import heapq
import math
from typing import Literal, NamedTuple

import msgspec

from stream_guard.errors import SnapshotError
from stream_guard.events import Decision, Feedback, Reason
from stream_guard.policy.budget import KINDS, Charge, Kind, Ledger
from stream_guard.policy.ladder import PolicySettings, Rung, ladder
from stream_guard.policy.rarity import Peaks, Rarity
from stream_guard.policy.wording import (
    BUDGET,
    clearing,
    decision_id,
    fallback_reason,
    rarity_reason,
    spent_reason,
    weightiest,
)

STATE_VERSION = 2
DAY_S = 86_400.0
WATCH = 1
"""Level of the rung that acts on nobody; 0 is `allow`."""
EVERYBODY = 10_000.0
"""The budget that is none: honest accounts in 10,000."""
WORDS_MAX = 100_000
"""Analysts' words remembered; beyond it the oldest are forgotten."""
ROOM_SHARE = 0.01
"""Share of the decisions that gives way at a time when there is no room."""


class Assessment(msgspec.Struct, frozen=True):
    """What is thought of one account at `ts`, before anything is decided.

    Risks are 0..1. `campaign_risk` counts only with a `campaign_id`; None says that the account is in no campaign
    (any more); `bystander` is the chance that it is an honest one of those. `reasons` need no order and their shares no
    sum; `clears_when` is a sentence. `allowlisted` is for callers who have looked up the organisation themselves; else
    `org_id` is compared with the allowlist.
    """

    account_id: str
    org_id: str | None
    ts: float
    solo_risk: float
    campaign_id: str | None = None
    campaign_risk: float = 0.0
    reasons: tuple[Reason, ...] = ()
    clears_when: str = ""
    allowlisted: bool = False
    bystander: float = 0.0


class Spending(NamedTuple):
    """One budget of mistakes: honest accounts that are charged within the window, and how many may be."""

    spent: float
    allowed: float


class _Held(msgspec.Struct, gc=False):
    """The last decision about an account, and what the next one needs to know."""

    decision: Decision
    level: int
    org_id: str | None
    campaign_id: str | None
    solo: float
    campaign: float
    risk_ts: float
    changed_ts: float
    held_back: str | None


class _Word(msgspec.Struct, gc=False):
    """An analyst's word, and how long it counts."""

    label: Literal["malicious", "benign"]
    until: float


class _State(msgspec.Struct):
    """All of a policy's state."""

    version: int
    held: dict[str, _Held] = {}
    accounts: dict[str, _Word] = {}
    campaigns: dict[str, _Word] = {}
    advanced_to: float = 0.0
    charges: dict[str, Charge] = {}
    peaks: Peaks = msgspec.field(default_factory=Peaks)
    full_until: float = 0.0


class _Judgement(msgspec.Struct, gc=False):
    """The risks that count, after analysts and the past had their say."""

    ts: float
    solo: float
    campaign: float
    campaign_id: str | None
    malicious: bool
    benign: bool


class Policy:
    """Decides, and holds what is decided until it expires. Memory is spent on accounts with a decision only.

    The same assessments in the same order make the same decisions with the same ids.
    """

    def __init__(self, settings: PolicySettings | None = None, *, shadow: bool = True) -> None:
        self.settings = settings or PolicySettings()
        self.shadow = shadow
        self.version = self.settings.policy_version
        self._ladder = ladder(self.settings)
        self._watch = next((rung for rung in self._ladder if rung.level == WATCH), None)
        self._use(_State(STATE_VERSION))
        self._expiries: list[tuple[float, str]] = []

    def __len__(self) -> int:
        """Return how many decisions are held."""
        return len(self._state.held)

    def decide(self, assessment: Assessment, accounts_known: int = 0) -> Decision | None:
        """Return a decision if something changes, or if one that is still deserved nears its end.

        `accounts_known` is how many accounts there are to go wrong with: the budgets are shares of it. Raises
        ValueError for a risk that is not within 0..1.
        """
        return self._decide(assessment, accounts_known, budgeted=True)

    def check(self, account_id: str, ts: float) -> Decision | None:
        """Return the decision in force at `ts`; None means allow."""
        held = self._in_force(account_id, ts)
        if held is None or held.level == 0 or self._allowlisted(account_id, held.org_id):
            return None
        return held.decision

    def advance(self, ts: float) -> list[Decision]:
        """Drop what has expired by `ts` and return it. These are not news: an expiry needs no new decision."""
        state = self._state
        if ts // DAY_S > state.advanced_to // DAY_S:
            self._forget_words(ts)
        state.advanced_to = max(state.advanced_to, ts)
        self._ledger.expire(state.advanced_to)
        self._rarity.expire(state.advanced_to)
        ended = []
        while self._expiries and self._expiries[0][0] <= ts:
            expires_at, account_id = heapq.heappop(self._expiries)
            held = state.held.get(account_id)
            if held is not None and held.decision.expires_at == expires_at:
                ended.append(state.held.pop(account_id).decision)
        return ended

    def learn(self, feedback: Feedback, org_id: str | None = None, *, allowlisted: bool = False) -> list[Decision]:
        """Take an analyst's word; returns the decisions that it makes at once, outside of the budgets.

        `org_id` is the organisation of the account, if the caller knows it, and `allowlisted` whether the caller knows
        that the account is on the allowlist: it wins over the analyst too.
        """
        out = []
        if feedback.campaign_id is not None:
            self._note(self._state.campaigns, feedback.campaign_id, feedback)
            self._ledger.settle_campaign(feedback.campaign_id, honest=feedback.label == "benign")
            members = [a for a, held in self._state.held.items() if held.campaign_id == feedback.campaign_id]
            out += [self._reconsider(account_id, feedback, None, allowlisted=False) for account_id in members]
        if feedback.account_id is not None:
            self._note(self._state.accounts, feedback.account_id, feedback)
            self._ledger.settle(feedback.account_id, honest=feedback.label == "benign")
            out.append(self._reconsider(feedback.account_id, feedback, org_id, allowlisted=allowlisted))
        return [decision for decision in out if decision is not None]

    def snapshot(self) -> bytes:
        """Return the whole state; `restore` of it makes an equal policy."""
        return msgspec.msgpack.encode(self._state)

    def restore(self, state: bytes) -> None:
        """Take up a snapshot, under the settings of this policy. Raises SnapshotError and then has changed nothing."""
        try:
            restored = msgspec.msgpack.decode(state, type=_State)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise SnapshotError(f"not the state of a policy: {error}") from None
        if restored.version != STATE_VERSION:
            raise SnapshotError(f"state of a policy in version {restored.version}, this reads {STATE_VERSION}")
        self._use(restored)
        self._index()

    def _use(self, state: _State) -> None:
        self._state = state
        self._ledger = Ledger(self.settings.budget_s, state.charges)
        self._rarity = Rarity(self.settings.budget_s, state.peaks)

    def budgets(self, accounts_known: int) -> dict[str, Spending]:
        """Return what is spent of each budget of mistakes, and what may be with so many accounts known."""
        return {kind: Spending(self._ledger.spent(kind), self._allowed(kind, accounts_known)) for kind in KINDS}

    def honest_in_10k(self, solo_risk: float, accounts_known: int) -> float:
        """Return how many honest accounts in 10,000 are expected to reach a risk by themselves within the window."""
        return self._rarity.in_10k(solo_risk, accounts_known)

    def _decide(self, a: Assessment, accounts_known: int, *, budgeted: bool) -> Decision | None:
        _refuse(a)
        last = self._state.held.get(a.account_id)
        ts = max(a.ts, self._state.advanced_to, last.risk_ts if last else a.ts)
        held = last if last is not None and _lasts(last, ts) else None
        if a.allowlisted or self._allowlisted(a.account_id, a.org_id):
            return self._lift(a, ts, held, "it is on the allowlist") if held else None
        judged = self._judge(a, ts, held)
        enters = budgeted and (held is None or held.level <= WATCH)
        rarity = self._rarity_of(judged, accounts_known) if enters else None
        held_back = rarity if rarity and rarity.observed > rarity.usual else None
        target = self._target(held, judged, solo_acts=held_back is None)
        if budgeted:
            self._teach(a, judged, held, ts)
        stays = held is not None and _level(target) < held.level and not self._may_lower(held, judged)
        if last is not None:
            _see(last, a, judged)
        if stays or (held is None and target is not None and not self._has_room(a.account_id, ts)):
            return None
        if enters and target is not None and target.level > WATCH:
            held_back = self._spend(a, judged, target, accounts_known)
            target = self._watch if held_back else target
        elif judged.campaign_id is not None:
            self._ledger.move(a.account_id, judged.campaign_id, a.bystander)
        if not self._changes(held, target, ts, held_back.signal if held_back else None):
            return None
        if target is None:
            return self._lift(a, ts, held, "") if held else None
        return self._make(a, judged, held, target, held_back, rarity)

    def _judge(self, a: Assessment, ts: float, held: _Held | None) -> _Judgement:
        """Weigh what is seen now against what was seen before and what analysts said."""
        solo, campaign, campaign_id = a.solo_risk, a.campaign_risk, a.campaign_id
        account_word = _said(self._state.accounts, a.account_id, ts)
        campaign_word = _said(self._state.campaigns, campaign_id, ts)
        if campaign_id is None or campaign_word == "benign":
            campaign, campaign_id = 0.0, None
        elif campaign_word == "malicious":
            campaign = 1.0
        if held is not None:
            fade = 0.5 ** ((ts - held.risk_ts) / self.settings.half_life_s)
            solo = max(solo, held.solo * fade)
            if campaign_id is not None and campaign_id == held.campaign_id:
                campaign = max(campaign, held.campaign * fade)
        malicious, benign = account_word == "malicious", account_word == "benign"
        return _Judgement(ts, 1.0 if malicious else solo, campaign, campaign_id, malicious, benign)

    def _target(self, held: _Held | None, judged: _Judgement, *, solo_acts: bool = True) -> Rung | None:
        """Return the hardest rung that the risk deserves; to stay on one takes less than to enter it."""
        level = held.level if held else 0
        strong = 1.0 if judged.malicious else judged.campaign
        for rung in self._ladder:
            alone = rung.basis == "any" and (solo_acts or rung.level <= WATCH)
            risk = max(judged.solo, judged.campaign) if alone else strong
            if judged.benign and rung.level > WATCH:
                continue
            if risk >= (rung.leave if level >= rung.level else rung.enter):
                return rung
        return None

    def _may_lower(self, held: _Held, judged: _Judgement) -> bool:
        """Let a withdrawn accusation end at once, and a risk that falls only after a period."""
        withdrawn = judged.benign or (held.decision.campaign_id is not None and judged.campaign_id is None)
        return withdrawn or judged.ts - held.changed_ts >= self.settings.period_s

    def _changes(self, held: _Held | None, target: Rung | None, ts: float, held_back: str | None) -> bool:
        if held is None or held.level != _level(target):
            return target is not None or held is not None
        if target is None:
            return False
        renewal = (held.decision.expires_at or ts) - ts < target.duration_s / 2
        other_settings = held.decision.policy_version != self.version or held.decision.shadow != self.shadow
        return renewal or other_settings or (held_back is not None and held.held_back not in (held_back, BUDGET))

    def _rarity_of(self, judged: _Judgement, accounts_known: int) -> Reason | None:
        """Say how many honest accounts reach a risk that an account has by itself, if it is one to act on."""
        entering = min((rung.enter for rung in self._ladder if rung.level > WATCH and rung.basis == "any"), default=2.0)
        if judged.malicious or judged.solo < entering or self.settings.solo_budget >= EVERYBODY:
            return None
        return rarity_reason(self._rarity.in_10k(judged.solo, accounts_known), self.settings.solo_budget)

    def _teach(self, a: Assessment, judged: _Judgement, held: _Held | None, ts: float) -> None:
        """Let the tail of the solo risk learn from who is not under suspicion, or is known to be honest."""
        if judged.benign:
            self._rarity.learn_honest(a.account_id, a.solo_risk, ts)
        elif judged.malicious or judged.campaign_id is not None or (held is not None and held.level >= WATCH):
            self._rarity.forget(a.account_id)
        else:
            self._rarity.learn_one(a.account_id, a.solo_risk, ts)

    def _allowed(self, kind: Kind, accounts_known: int) -> float:
        per_10k = self.settings.solo_budget if kind == "solo" else self.settings.campaign_budget
        return max(self.settings.min_budget, per_10k * accounts_known / EVERYBODY)

    def _spend(self, a: Assessment, judged: _Judgement, target: Rung, accounts_known: int) -> Reason | None:
        """Charge a new action to the budget of its kind; if that is spent, return the reason not to act."""
        if judged.malicious:
            return None
        for_campaign = judged.campaign_id is not None and judged.campaign >= target.enter
        kind: Kind = "campaign" if for_campaign else "solo"
        allowed = self._allowed(kind, accounts_known)
        campaign_id, honest = (judged.campaign_id, a.bystander) if for_campaign else (None, 1.0)
        if self._ledger.take(a.account_id, campaign_id, honest, judged.ts, allowed=allowed):
            return None
        return spent_reason(kind, self._ledger.spent(kind), allowed)

    def _make(
        self, a: Assessment, judged: _Judgement, held: _Held | None, rung: Rung, held_back: Reason | None, rarity: Reason | None
    ) -> Decision:  # fmt: skip
        reasons = a.reasons or fallback_reason(judged.solo, judged.campaign)
        decision = Decision(
            decision_id="",
            ts=judged.ts,
            account_id=a.account_id,
            action=rung.action,
            risk=max(judged.solo, judged.campaign),
            reasons=weightiest(reasons, self.settings.max_reasons, held_back or rarity),
            policy_version=self.version,
            shadow=self.shadow,
            limit_rpm=rung.limit_rpm,
            expires_at=judged.ts + rung.duration_s,
            campaign_id=judged.campaign_id,
            supersedes=held.decision.decision_id if held else None,
            clears_when=a.clears_when or clearing(rung, judged.campaign_id, self.settings.half_life_s),
        )
        return self._hold(
            decision, rung.level, a.org_id, judged, held, held_back=held_back.signal if held_back else None
        )

    def _lift(self, a: Assessment, ts: float, held: _Held | None, why: str) -> Decision | None:
        """Take back what is in force. The `allow` is held for a period, so that what comes next supersedes it."""
        if held is None or held.level == 0:
            return None
        why = why or (
            "it left the campaign" if held.campaign_id is None and held.decision.campaign_id else "the risk fell"
        )
        judged = _Judgement(ts, a.solo_risk, a.campaign_risk if a.campaign_id else 0.0, a.campaign_id, False, False)
        risk = max(judged.solo, judged.campaign)
        lifted = Decision(
            decision_id="",
            ts=ts,
            account_id=a.account_id,
            action="allow",
            risk=risk,
            reasons=(Reason("lifted", risk, held.decision.risk, 1.0, "risk", why, inference=True),),
            policy_version=self.version,
            shadow=self.shadow,
            expires_at=ts + self.settings.period_s,
            campaign_id=held.decision.campaign_id,
            supersedes=held.decision.decision_id,
        )
        return self._hold(lifted, 0, a.org_id, judged, held, held_back=None)

    def _hold(
        self,
        draft: Decision,
        level: int,
        org_id: str | None,
        judged: _Judgement,
        held: _Held | None,
        *,
        held_back: str | None,
    ) -> Decision:
        decision = msgspec.structs.replace(draft, decision_id=decision_id(draft, self.settings.period_s))
        renewed = held is not None and held.level == level
        changed_ts = held.changed_ts if held is not None and renewed else judged.ts
        if org_id is None and held is not None:
            org_id = held.org_id
        self._state.held[decision.account_id] = _Held(
            decision, level, org_id, judged.campaign_id, judged.solo, judged.campaign, judged.ts, changed_ts, held_back
        )
        heapq.heappush(self._expiries, (decision.expires_at or judged.ts, decision.account_id))
        if len(self._expiries) > 2 * len(self._state.held) + 1_000:
            self._index()
        return decision

    def _reconsider(
        self, account_id: str, feedback: Feedback, org_id: str | None, *, allowlisted: bool
    ) -> Decision | None:
        """Decide anew about an account that an analyst spoke of."""
        held = self._state.held.get(account_id)
        ts = max(feedback.ts, self._state.advanced_to, held.risk_ts if held else feedback.ts)
        org_id = org_id or (held.org_id if held else None)
        if feedback.label == "benign":
            clean = Assessment(account_id, org_id, ts, 0.0)
            return self._lift(clean, ts, self._in_force(account_id, ts), "an analyst said benign")
        reason = Reason(
            "analyst", 1.0, 0.0, 1.0, "word", f"{feedback.analyst or 'an analyst'} said malicious", inference=True
        )
        campaign_id = held.campaign_id if held else None
        word = Assessment(
            account_id, org_id, ts, held.solo if held else 0.0, campaign_id, 0.0, (reason,), "", allowlisted
        )
        return self._decide(word, 0, budgeted=False)

    def _note(self, words: dict[str, _Word], name: str, feedback: Feedback) -> None:
        lasts_s = self.settings.benign_s if feedback.label == "benign" else self.settings.malicious_s
        words.pop(name, None)
        words[name] = _Word(feedback.label, feedback.ts + lasts_s)
        if len(words) > WORDS_MAX:
            del words[next(iter(words))]

    def _forget_words(self, ts: float) -> None:
        for words in (self._state.accounts, self._state.campaigns):
            for name in [name for name, word in words.items() if word.until <= ts]:
                del words[name]

    def _has_room(self, account_id: str, ts: float) -> bool:
        """Make room for one more decision: what is over goes first, then the watches nearest to their end."""
        state, limit = self._state, self.settings.max_decisions
        if account_id in state.held or len(state.held) < limit:
            return True
        if ts < state.full_until:
            return False
        settled = ts - self.settings.period_s
        idle = [
            (held.decision.expires_at or 0.0, name)
            for name, held in state.held.items()
            if not _lasts(held, ts) or (held.level <= WATCH and held.decision.ts <= settled)
        ]
        for _, name in heapq.nsmallest(max(1, int(limit * ROOM_SHARE)), idle):
            del state.held[name]
        if not idle:
            state.full_until = ts + 60.0
        self._index()
        return bool(idle)

    def _index(self) -> None:
        self._expiries = [(held.decision.expires_at or 0.0, name) for name, held in self._state.held.items()]
        heapq.heapify(self._expiries)

    def _in_force(self, account_id: str, ts: float) -> _Held | None:
        held = self._state.held.get(account_id)
        return held if held is not None and _lasts(held, ts) else None

    def _allowlisted(self, account_id: str, org_id: str | None) -> bool:
        return account_id in self.settings.allow_accounts or org_id in self.settings.allow_orgs


def _lasts(held: _Held, ts: float) -> bool:
    return held.decision.expires_at is None or ts < held.decision.expires_at


def _level(rung: Rung | None) -> int:
    return rung.level if rung else 0


def _said(words: dict[str, _Word], name: str | None, ts: float) -> str | None:
    word = words.get(name) if name is not None else None
    return word.label if word is not None and ts < word.until else None


def _see(last: _Held, a: Assessment, judged: _Judgement) -> None:
    """Remember the risks, whether or not they change anything."""
    last.org_id = a.org_id or last.org_id
    last.solo, last.campaign, last.risk_ts = judged.solo, judged.campaign, judged.ts
    last.campaign_id = judged.campaign_id


def _refuse(a: Assessment) -> None:
    for name in ("solo_risk", "campaign_risk"):
        if not 0.0 <= getattr(a, name) <= 1.0:
            raise ValueError(f"{name} of {a.account_id} is {getattr(a, name)}: risks are within 0..1")
    if not math.isfinite(a.ts):
        raise ValueError(f"ts of {a.account_id} is {a.ts}: must be finite")
