"""What a decision says: its id, its reasons, what would clear it."""

import hashlib
import math
from collections.abc import Sequence

import msgspec

from stream_guard.events import Decision, Reason
from stream_guard.policy.budget import Kind
from stream_guard.policy.ladder import Rung

BUDGET = "budget"
"""Name of the reason that says that a harder action was held back because the budget of mistakes is spent."""
RARITY = "rarity"
"""Name of the reason that says how many honest accounts would reach a risk; too many hold an action back."""


def digest(prefix: str, *parts: object) -> str:
    """Return a short stable id of `parts`: equal in every process, and only for equal parts.

    Examples
    --------
    >>> digest("de", "acct-1", "throttle")
    'de_9b98e9fcdab0e6e9b842b8ab'
    """
    key = msgspec.json.encode([str(part) for part in parts])
    return f"{prefix}_{hashlib.blake2b(key, digest_size=12).hexdigest()}"


def decision_id(d: Decision, period_s: float) -> str:
    """Return the id of a decision: a hash of what it is about, with the time rounded down to the period.

    What it supersedes is part of it, so that the same action twice in a period has two ids.
    """
    period = int(d.ts // period_s)
    return digest(
        "de", d.account_id, d.action, d.limit_rpm, d.campaign_id, d.policy_version, d.shadow, period, d.supersedes
    )


def spent_reason(kind: Kind, spent: float, allowed: float) -> Reason:
    """Return the reason of a decision that stops at the budget."""
    whom = "for what they do by themselves" if kind == "solo" else "as bystanders of campaigns"
    text = f"would be acted on, but of {allowed:,.3g} honest accounts that may be {whom}, {spent:,.3g} are spent"
    return Reason(BUDGET, round(spent, 6), round(allowed, 6), 0.0, "accounts", text, inference=True)


def rarity_reason(in_10k: float, budget: float) -> Reason:
    """Return the reason that says how rare a solo risk is; above the budget it is the reason not to act."""
    text = f"{in_10k:.2g} honest accounts in 10,000 are expected to reach this risk by themselves"
    if in_10k > budget:
        text = f"would be acted on, but {text}, and {budget:g} may be acted on"
    return Reason(RARITY, round(in_10k, 6), budget, 0.0, "accounts in 10,000", text, inference=True)


def weightiest(reasons: Sequence[Reason], most: int, also: Reason | None = None) -> tuple[Reason, ...]:
    """Return the `most` weightiest reasons, heaviest first, with shares that sum to 1.

    What speaks against the decision (a share below 0) is not told. `also` is told beside them, without a share.
    """
    heaviest = sorted((r for r in reasons if r.share > 0), key=lambda r: (-r.share, r.signal))[:most]
    if not heaviest:
        heaviest = [msgspec.structs.replace(r, share=1.0) for r in reasons[:most]]
    total = math.fsum(r.share for r in heaviest)
    told = tuple(msgspec.structs.replace(r, share=r.share / total) for r in heaviest)
    return (*told, also) if also else told


def fallback_reason(solo: float, campaign: float) -> tuple[Reason, ...]:
    """Return the reason of a decision whose assessment gave none: the risk itself."""
    signal, risk = ("campaign_risk", campaign) if campaign > solo else ("solo_risk", solo)
    return (Reason(signal, risk, 0.0, 1.0, "risk", "the risk in all", inference=True),)


def clearing(rung: Rung, campaign_id: str | None, half_life_s: float) -> str:
    """Return a sentence that says what would clear a decision."""
    left = f"it is no longer part of {campaign_id}, or " if campaign_id else ""
    fades = f"what is not seen again halves every {half_life_s / 3600:g} h"
    return f"Clears when {left}its risk stays below {rung.leave:g} ({fades}), or an analyst says benign."
