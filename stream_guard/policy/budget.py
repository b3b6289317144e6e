"""The budget of mistakes: honest accounts that may be acted on within a window, and what is spent of it.

There are two policies, each with a budget of its own: accounts that are acted on for what they do by themselves (*solo*)
and members of campaigns (*campaign*). Nobody can see which of them are honest; each is *charged* the chance that it is:

- An account by itself is charged 1. That is the worst case, and it makes the budget hold whatever the judge does.
- A member of a campaign is charged the estimate that it is a bystander. That the campaign as a whole might be none is
  not charged by member: it is right or wrong as one.
- An analyst's word settles it: `malicious` gives the charge back, `benign` makes it 1.

An account is charged once within a window, however often it is acted on.
"""

from typing import Literal

import msgspec

Kind = Literal["solo", "campaign"]
KINDS: tuple[Kind, ...] = ("solo", "campaign")
MILLIONTHS = 1_000_000
"""Charges are whole millionths of an account, so that sums of them are the same in any order."""
BYSTANDER_MIN = 0.001
"""Least charge of a member: no estimate is surer. So a budget of 1 in 10,000 never pays for more than a tenth of all."""

CHARGES_MAX = 1_000_000
"""Accounts charged at a time; beyond it nobody more can be."""


class Charge(msgspec.Struct, gc=False):
    """What one account costs; `campaign_id` is None for what it does by itself."""

    campaign_id: str | None
    ts: float
    millionths: int


class Ledger:
    """What is charged within the window, by account, the oldest first.

    Parameters
    ----------
    window_s
        Seconds for which a charge counts.
    charges
        As a snapshot kept them.

    Examples
    --------
    >>> ledger = Ledger(86_400.0)
    >>> [ledger.take(name, None, 1.0, 0.0, allowed=2.0) for name in ("a", "b", "a", "c")]
    [True, True, True, False]
    >>> ledger.settle("a", honest=False)
    >>> ledger.spent("solo"), ledger.take("c", None, 1.0, 60.0, allowed=2.0)
    (1.0, True)
    """

    def __init__(self, window_s: float, charges: dict[str, Charge] | None = None) -> None:
        self.window_s = window_s
        self.charges = charges if charges is not None else {}
        self._spent = dict.fromkeys(KINDS, 0)
        for charge in self.charges.values():
            self._spent[_kind(charge.campaign_id)] += charge.millionths

    def spent(self, kind: Kind) -> float:
        """Return how many honest accounts are charged, in accounts."""
        return self._spent[kind] / MILLIONTHS

    def take(self, account_id: str, campaign_id: str | None, honest: float, ts: float, *, allowed: float) -> bool:
        """Charge an account the chance `honest` that it is honest; False, and nothing is charged, if that is too much."""
        self.expire(ts)
        known, kind, millionths = self.charges.get(account_id), _kind(campaign_id), _millionths(honest, campaign_id)
        if known is not None and _kind(known.campaign_id) == kind:
            return True
        if self._spent[kind] + millionths > allowed * MILLIONTHS or len(self.charges) >= CHARGES_MAX:
            return False
        self._drop(account_id)
        self.charges[account_id] = Charge(campaign_id, ts, millionths)
        self._spent[kind] += millionths
        return True

    def move(self, account_id: str, campaign_id: str, honest: float) -> None:
        """Charge to a campaign what an account was charged by itself: it turned out to be a member."""
        known = self.charges.get(account_id)
        if known is not None and known.campaign_id is None:
            self._spent["solo"] -= known.millionths
            known.campaign_id, known.millionths = campaign_id, _millionths(honest, campaign_id)
            self._spent["campaign"] += known.millionths

    def settle(self, account_id: str, *, honest: bool) -> None:
        """Take a word that an account is honest, or that it is not, if it is charged at all."""
        known = self.charges.get(account_id)
        if known is not None and honest:
            self._spent[_kind(known.campaign_id)] += MILLIONTHS - known.millionths
            known.millionths = MILLIONTHS
        elif known is not None:
            self._drop(account_id)

    def settle_campaign(self, campaign_id: str, *, honest: bool) -> None:
        """Do as `settle` for all that are charged to a campaign."""
        for account_id in [name for name, charge in self.charges.items() if charge.campaign_id == campaign_id]:
            self.settle(account_id, honest=honest)

    def expire(self, ts: float) -> None:
        """Forget the charges that are older than the window at `ts`."""
        while self.charges:
            oldest = next(iter(self.charges))
            if self.charges[oldest].ts > ts - self.window_s:
                break
            self._drop(oldest)

    def _drop(self, account_id: str) -> None:
        known = self.charges.pop(account_id, None)
        if known is not None:
            self._spent[_kind(known.campaign_id)] -= known.millionths


def _kind(campaign_id: str | None) -> Kind:
    return "solo" if campaign_id is None else "campaign"


def _millionths(honest: float, campaign_id: str | None) -> int:
    least = BYSTANDER_MIN if campaign_id is not None else 0.0
    return round(MILLIONTHS * min(1.0, max(honest, least)))
