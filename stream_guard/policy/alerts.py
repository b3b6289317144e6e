"""Notices for people: few, with a sentence that says what happens and why."""

from collections.abc import Iterable
from types import MappingProxyType
from typing import Annotated

import msgspec
from pydantic import Field

from stream_guard.codecs import moment
from stream_guard.errors import SnapshotError
from stream_guard.events import Alert, Campaign, Decision, Reason, Severity
from stream_guard.policy.wording import BUDGET, digest
from stream_guard.settings import Settings

ATLAS = MappingProxyType(
    {
        "AML.T0024.002": "Extract AI Model",
        "AML.T0040": "AI Model Inference API Access",
        "AML.T0021": "Establish Accounts",
        "AML.T0048.004": "AI Intellectual Property Theft",
    }
)
"""MITRE ATLAS techniques that alerts name."""

ATLAS_ONE = ("AML.T0024.002", "AML.T0040")
ATLAS_FEW = (*ATLAS_ONE, "AML.T0021")

INDICATORS = MappingProxyType(
    {
        "AA26-251A.1": "round-the-clock use",
        "AA26-251A.2": "straight to the maximum, without a ramp",
        "AA26-251A.3": "one credential over many addresses",
        "AA26-251A.4": "use that does not fit the plan",
        "AA26-251A.5": "routed through aggregators",
        "AA26-251A.6": "metadata sanitised",
        "AA26-251A.7": "reasoning elicitation",
        "AA26-251A.8": "failover when blocked",
        "AA26-251A.9": "a new model within 24 hours",
        "AA26-251A.10": "a fixed probe set",
    }
)
"""Indicators of the joint advisory AA26-251A that alerts name; numbered here in the order of its list."""

SPEAKING = MappingProxyType(
    {
        "flatness": "AA26-251A.1",
        "longest_gap": "AA26-251A.1",
        "head_start": "AA26-251A.2",
        "addresses": "AA26-251A.3",
        "plan_use": "AA26-251A.4",
        "relay": "AA26-251A.5",
        "injection": "AA26-251A.5",
        "metadata": "AA26-251A.6",
        "reasoning_elicitation": "AA26-251A.7",
        "reasoning": "AA26-251A.7",
        "succession": "AA26-251A.8",
        "new_model": "AA26-251A.9",
        "refusals": "AA26-251A.10",
        "probing": "AA26-251A.10",
        "probe_set": "AA26-251A.10",
    }
)
"""Which indicator a signal or a kind of evidence speaks of."""

ACCUSING = frozenset(("template", "twin", "injection", "reasoning", "shared", "behaviour", "judgement"))
"""Kinds of evidence by which accounts are linked and judged; the others tell what a campaign is like."""

STATE_VERSION = 1
RANK: dict[Severity, int] = {"info": 0, "warning": 1, "critical": 2}
TOLD_REASONS, TOLD_FACTS, EXAMPLES = 3, 6, 5
DONE = MappingProxyType(
    {
        "watch": "is watched",
        "throttle": "is throttled",
        "challenge": "is challenged",
        "degrade": "is served degraded",
        "verify": "must verify itself",
        "suspend": "is suspended",
    }
)


class AlertSettings(Settings):
    """How often people are told, and when it is urgent."""

    period_s: Annotated[float, Field(ge=60.0, le=366 * 86_400.0)] = 86_400.0
    """Seconds (UTC days, by default) in which a subject is alerted about once, unless the severity grows."""
    max_subjects: Annotated[int, Field(ge=1, le=10_000_000)] = 100_000
    """Subjects remembered within a period; beyond it the oldest are forgotten and could be told again."""
    critical_risk: Annotated[float, Field(gt=0.0, le=1.0)] = 0.95
    """Risk from which an acting decision about a single account is critical."""
    critical_accounts: Annotated[int, Field(ge=2)] = 25
    """Accounts from which a campaign is critical."""


class _State(msgspec.Struct):
    version: int
    period: int = 0
    told: dict[str, int] = {}


class Alerts:
    """Builds alerts and keeps from repeating them: one a subject and period, unless the severity grows."""

    def __init__(self, settings: AlertSettings | None = None) -> None:
        self.settings = settings or AlertSettings()
        self._state = _State(STATE_VERSION)

    def of_decision(self, decision: Decision, indicators: Iterable[str] = ()) -> Alert | None:
        """Return the alert that a decision deserves, or None if there is none or it was told already.

        Members of a campaign are told of by the alert of the campaign, unless more than a throttle is done to them.
        """
        spent = next((reason for reason in decision.reasons if reason.signal == BUDGET), None)
        if spent is not None and (alert := self._budget(decision, spent)) is not None:
            return alert
        if decision.action == "allow" or (decision.campaign_id and decision.action in ("watch", "throttle")):
            return None
        return self._tell(
            kind=decision.action,
            subject=decision.account_id,
            severity=self._severity(decision),
            ts=decision.ts,
            summary=_sentence(decision),
            reasons=decision.reasons,
            account_id=decision.account_id,
            campaign_id=decision.campaign_id,
            atlas=ATLAS_ONE,
            indicators=spoken_of((r.signal for r in decision.reasons), indicators),
            clears_when=decision.clears_when,
        )

    def of_campaign(self, campaign: Campaign) -> Alert | None:
        """Return the alert that a campaign deserves, or None if it was told already."""
        if not campaign.size:
            return None
        succeeds = any(e.kind == "succession" for e in campaign.evidence)
        campaign = self.describe(campaign)
        return self._tell(
            kind="succession" if succeeds else "campaign",
            subject=f"{campaign.campaign_id}{' and its successors' if succeeds else ''}",
            severity="critical" if campaign.size >= self.settings.critical_accounts else "warning",
            ts=campaign.ts,
            summary=campaign.summary,
            reasons=reasons_of(campaign),
            campaign_id=campaign.campaign_id,
            atlas=campaign.atlas,
            indicators=campaign.indicators,
            clears_when=campaign.clears_when,
            example_accounts=_examples(campaign),
        )

    def describe(self, campaign: Campaign) -> Campaign:
        """Return the record with what is said of every campaign: ATLAS and AA26-251A ids, a text, what would clear it."""
        many = campaign.size >= self.settings.critical_accounts
        atlas = tuple(ATLAS) if many else ATLAS_FEW if campaign.size > 1 else ATLAS_ONE
        indicators = spoken_of((campaign.shape, *(e.kind for e in campaign.evidence)), campaign.indicators)
        told = msgspec.structs.replace(campaign, atlas=atlas, indicators=indicators, clears_when=_clearing(campaign))
        return msgspec.structs.replace(told, summary=_account_of(told))

    def of_drift(self, signal: str, ts: float, before: float, after: float, unit: str = "") -> Alert | None:
        """Return the alert that a drift of the population deserves, or None if it was told already."""
        text = f"mean of {signal} went from {before:.3g} to {after:.3g} {unit}".rstrip()
        return self._tell(
            kind="drift",
            subject=f"drift of {signal}",
            severity="info",
            ts=ts,
            summary=f"The population has changed: {text}. What is usual follows; thresholds may need a look.",
            reasons=(Reason(signal, after, before, 1.0, unit, text),),
        )

    def snapshot(self) -> bytes:
        """Return the whole state."""
        return msgspec.msgpack.encode(self._state)

    def restore(self, state: bytes) -> None:
        """Take up a snapshot. Raises SnapshotError and then has changed nothing."""
        try:
            restored = msgspec.msgpack.decode(state, type=_State)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise SnapshotError(f"not the state of alerts: {error}") from None
        if restored.version != STATE_VERSION:
            raise SnapshotError(f"state of alerts in version {restored.version}, this reads {STATE_VERSION}")
        self._state = restored

    def _budget(self, decision: Decision, spent: Reason) -> Alert | None:
        policy, whom = ("campaign", "members of campaigns") if decision.campaign_id else ("solo", "single accounts")
        return self._tell(
            kind="budget",
            subject=f"{policy} budget",
            severity="warning",
            ts=decision.ts,
            summary=f"The budget of mistakes for {whom} is spent ({spent.observed:,.3g} honest accounts of "
            f"{spent.usual:,.3g}): {decision.account_id} and whoever follows are only watched. Say malicious or benign of "
            f"those acted on: who is malicious is given back. Or raise {policy}_budget.",
            reasons=decision.reasons,
            account_id=decision.account_id,
            campaign_id=decision.campaign_id,
        )

    def _severity(self, decision: Decision) -> Severity:
        if decision.action == "watch":
            return "warning" if any(reason.signal == BUDGET for reason in decision.reasons) else "info"
        urgent = decision.action == "suspend" or decision.risk >= self.settings.critical_risk
        return "critical" if urgent else "warning"

    def _tell(
        self,
        *,
        kind: str,
        subject: str,
        severity: Severity,
        ts: float,
        summary: str,
        reasons: tuple[Reason, ...],
        account_id: str | None = None,
        campaign_id: str | None = None,
        atlas: tuple[str, ...] = (),
        indicators: tuple[str, ...] = (),
        clears_when: str = "",
        example_accounts: tuple[str, ...] = (),
    ) -> Alert | None:
        if not self._is_news(subject, severity, ts):
            return None
        return Alert(
            alert_id=digest("al", kind, subject, self._state.period, severity),
            ts=ts,
            severity=severity,
            kind=kind,
            summary=summary,
            reasons=reasons,
            account_id=account_id,
            campaign_id=campaign_id,
            atlas=atlas,
            indicators=indicators,
            clears_when=clears_when,
            links=tuple(
                f"/v1/{path}/{name}" for path, name in (("accounts", account_id), ("campaigns", campaign_id)) if name
            ),
            example_accounts=example_accounts or ((account_id,) if account_id else ()),
        )

    def _is_news(self, subject: str, severity: Severity, ts: float) -> bool:
        state = self._state
        if (period := int(ts // self.settings.period_s)) > state.period:
            state.period, state.told = period, {}
        if RANK[severity] <= state.told.get(subject, -1):
            return False
        state.told.pop(subject, None)
        state.told[subject] = RANK[severity]
        if len(state.told) > self.settings.max_subjects:
            del state.told[next(iter(state.told))]
        return True


def spoken_of(names: Iterable[str], more: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the indicators that signals or kinds of evidence speak of, and `more`, in the order of the advisory.

    Examples
    --------
    >>> spoken_of(["burst", "reasoning", "flatness"], ["AA26-251A.9"])
    ('AA26-251A.1', 'AA26-251A.7', 'AA26-251A.9')
    """
    found = {SPEAKING[name] for name in names if name in SPEAKING} | set(more)
    return tuple(indicator for indicator in INDICATORS if indicator in found)


def _sentence(decision: Decision) -> str:
    done = DONE[decision.action]
    if decision.limit_rpm is not None:
        done += f" to {decision.limit_rpm:g} requests a minute"
    if decision.shadow:
        done += " in shadow (nothing is done)"
    counted = "; ".join(_phrase(reason) for reason in decision.reasons[:TOLD_REASONS] if not reason.inference)
    concluded = "; ".join(_phrase(reason) for reason in decision.reasons[:TOLD_REASONS] if reason.inference)
    why = ". Concluded: ".join(part for part in (counted, concluded) if part) if counted else f"concluded: {concluded}"
    return f"Account {decision.account_id} {done}, risk {decision.risk:.2f}: {why}."


def _account_of(campaign: Campaign) -> str:
    """Return a campaign as an analyst would read it aloud: what it is, what was counted, what is concluded from it."""
    c = campaign
    who = f"{c.size:,} accounts act as one" if c.size != 1 else "One account harvests by itself"
    known = f"{c.campaign_id}, {c.shape}, risk {c.risk:.2f}, first seen {moment(c.first_seen)}"
    sent = (
        f"At least {c.exchanges:,} requests carry it" if c.shape != "solo" else f"It has sent {c.exchanges:,} requests"
    )
    sent += f", {c.share:.0%} of what they send" if c.size > 1 else ""
    sent += f", to {', '.join(c.models)}" if c.models else ""
    out = [f"{who} ({known}).", f"{sent}."]
    for intro, concluded, most in (("Counted", False, TOLD_FACTS), ("Concluded", True, TOLD_REASONS)):
        texts = [e.text for e in c.evidence if e.inference is concluded and e.text]
        more = f"; and {len(texts) - most} more" if len(texts) > most else ""
        if texts:
            out.append(f"{intro}: {'; '.join(texts[:most])}{more}.")
    if c.indicators:
        out.append(f"Speaks of: {', '.join(f'{INDICATORS[i]} ({i})' for i in c.indicators)}.")
    if c.size > 1 and (examples := _examples(c)):
        out.append(f"For example {', '.join(examples)}.")
    return " ".join(out)


def _examples(campaign: Campaign) -> tuple[str, ...]:
    """Return a handful of its accounts: those that its evidence names first."""
    named = [name for e in campaign.evidence for name in e.example_accounts]
    return tuple(dict.fromkeys((*named, *campaign.accounts)))[:EXAMPLES]


def _clearing(campaign: Campaign) -> str:
    """Return a sentence that says what would end a campaign."""
    if campaign.shape == "solo":
        return "Clears when its use is usual for its plan until the decision expires, or an analyst says that it is benign."
    kinds = {e.kind for e in campaign.evidence}
    if "reasoning" in kinds:
        what = "sends neither its text nor reasoning items of the others' conversations"
    elif "twin" in kinds and not kinds & {"template", "injection"}:
        what = "no longer asks as the others do"
    else:
        what = "goes on without its text"
    return (
        f"An account leaves when it {what} for days, or is not seen for weeks; the campaign ends with its last account, or when an "
        "analyst says that it is benign."
    )


def _phrase(reason: Reason) -> str:
    said = f" ({reason.text})" if reason.text else ""
    unit = f" {reason.unit}" if reason.unit else ""
    return f"{reason.signal} {reason.observed:.3g}{unit} where {reason.usual:.3g} is usual, {reason.share:.0%}{said}"


def reasons_of(campaign: Campaign) -> tuple[Reason, ...]:
    """Return the evidence of a campaign as reasons.

    What it was convicted by carries the risk in equal shares; what is told besides has none.
    """
    accusing = sum(e.kind in ACCUSING for e in campaign.evidence)
    return tuple(
        Reason(e.kind, e.value, e.usual, 1.0 / accusing if e.kind in ACCUSING else 0.0, "", e.text, e.inference)
        for e in campaign.evidence
    )
