"""The ladder: which risk leads to which action, with a higher risk to enter a rung than to stay on it."""

import hashlib
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, model_validator

from stream_guard.events import Action
from stream_guard.settings import Settings

Risk = Annotated[float, Field(gt=0.0, le=1.0)]
Seconds = Annotated[float, Field(gt=0.0, le=366 * 86_400.0)]
Basis = Literal["any", "campaign"]


class Step(Settings):
    """One rung of the ladder."""

    enabled: bool = False
    """Whether this step is taken at all."""
    enter: Risk = 0.95
    """Risk (0..1) at which an account enters this step."""
    leave: Risk = 0.7
    """Risk (0..1) below which an account on this step leaves it; not above `enter`."""
    duration_s: Seconds = 86_400.0
    """Seconds until the decision expires unless the risk persists; at least `period_s` of the policy."""

    @model_validator(mode="after")
    def _leave_below_enter(self) -> "Step":
        if self.leave > self.enter:
            raise ValueError(f"leave ({self.leave}) must not be above enter ({self.enter})")
        return self


class PolicySettings(Settings):
    """How risk becomes action. All that a gateway could feel is in shadow until `engine.shadow` is turned off."""

    watch: Step = Step(enabled=True, enter=0.5, leave=0.3)
    """Nothing is done to the account; people and the next decision know of it."""
    throttle: Step = Step(enabled=True, enter=0.8, leave=0.5, duration_s=21_600.0)
    """Slow the account down to `limit_rpm`, for what it does by itself."""
    campaign_throttle: Step = Step(enabled=True, enter=0.7, leave=0.4)
    """Slow the members of a campaign down to `campaign_limit_rpm`."""
    challenge: Step = Step(enter=0.9, leave=0.6)
    """Ask the caller to prove that it is who it says (such as a proof of work or a captcha)."""
    degrade: Step = Step(enter=0.93, leave=0.65)
    """Tell the gateway to serve something of lower value (such as no reasoning, no logprobs)."""
    verify: Step = Step(enter=0.96, leave=0.7)
    """Ask the account's owner to verify identity or payment before it goes on."""
    suspend: Step = Step(enter=0.99, leave=0.8)
    """Stop the account. Only members of a campaign, or those an analyst called malicious."""
    limit_rpm: Annotated[float, Field(gt=0.0, le=1e6)] = 0.2
    """Requests a minute that a throttled account keeps."""
    campaign_limit_rpm: Annotated[float, Field(gt=0.0, le=1e6)] = 0.01
    """Requests a minute that a throttled member of a campaign keeps (0.01: one in a hundred minutes)."""
    period_s: Annotated[float, Field(ge=60.0, le=7 * 86_400.0)] = 3_600.0
    """Seconds for which an account stays at least where a decision has put it, however the risk falls."""
    half_life_s: Seconds = 21_600.0
    """Seconds in which a risk that is no longer seen counts half."""
    benign_s: Seconds = 30 * 86_400.0
    """Seconds for which an analyst's `benign` keeps an account or a campaign from more than being watched."""
    malicious_s: Seconds = 7 * 86_400.0
    """Seconds for which an analyst's `malicious` counts as the highest risk."""
    allow_accounts: frozenset[str] = frozenset()
    """Accounts that are never acted upon, whatever is seen. They are still measured."""
    allow_orgs: frozenset[str] = frozenset()
    """Organisations whose accounts are never acted upon."""
    solo_budget: Annotated[float, Field(ge=0.0, le=10_000.0)] = 0.5
    """Honest accounts in 10,000 known ones that may be acted on within `budget_s` for what they do by themselves: a risk
    that more would reach is only watched, and so is whoever comes when so many were acted on. 10000 turns it off."""
    campaign_budget: Annotated[float, Field(ge=0.0, le=10_000.0)] = 1.0
    """Honest accounts in 10,000 known ones that may be acted on within `budget_s` as bystanders of campaigns, as far as
    can be estimated; what is beyond is only watched."""
    budget_s: Annotated[float, Field(ge=3_600.0, le=366 * 86_400.0)] = 7 * 86_400.0
    """Seconds for which an account counts as spent, and over which its highest risk counts."""
    min_budget: Annotated[float, Field(ge=0.0, le=1_000_000.0)] = 1.0
    """Accounts that are always within each budget, however few are known."""
    max_reasons: Annotated[int, Field(ge=1, le=32)] = 6
    """Reasons on one decision, the weightiest first."""
    max_decisions: Annotated[int, Field(ge=1, le=10_000_000)] = 200_000
    """Decisions held in force at a time. Beyond it watches give way; without any, no further account is acted on."""

    @model_validator(mode="after")
    def _outlives_the_period(self) -> "PolicySettings":
        for rung in ladder(self):
            if rung.duration_s < self.period_s:
                raise ValueError(
                    f"{rung.name}.duration_s ({rung.duration_s}) must not be below period_s ({self.period_s})"
                )
        return self

    @property
    def policy_version(self) -> str:
        """What these settings are called on decisions: equal settings have equal names, in every process."""
        dumped = self.model_dump()
        lines = (f"{key}={sorted(v) if isinstance(v, frozenset) else v!r}" for key, v in sorted(dumped.items()))
        return "po_" + hashlib.blake2b("\n".join(lines).encode(), digest_size=6).hexdigest()


@dataclass(frozen=True, slots=True)
class Rung:
    """One enabled step; the higher `level`, the harder."""

    level: int
    name: str
    action: Action
    enter: float
    leave: float
    duration_s: float
    limit_rpm: float | None = None
    basis: Basis = "any"


def ladder(settings: PolicySettings) -> tuple[Rung, ...]:
    """Return the enabled steps, the hardest first."""
    steps: tuple[tuple[str, Action, float | None, Basis], ...] = (
        ("watch", "watch", None, "any"),
        ("throttle", "throttle", settings.limit_rpm, "any"),
        ("campaign_throttle", "throttle", settings.campaign_limit_rpm, "campaign"),
        ("challenge", "challenge", None, "any"),
        ("degrade", "degrade", None, "any"),
        ("verify", "verify", None, "any"),
        ("suspend", "suspend", None, "campaign"),
    )
    rungs = []
    for level, (name, action, limit_rpm, basis) in enumerate(steps, start=1):
        step: Step = getattr(settings, name)
        if step.enabled:
            rungs.append(Rung(level, name, action, step.enter, step.leave, step.duration_s, limit_rpm, basis))
    return tuple(reversed(rungs))
