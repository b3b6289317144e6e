"""How many accounts in 10,000 would reach a risk: the solo risk, calibrated on the operator's own traffic.

A risk is a judge's opinion; what it means for a population is how many honest accounts come to have it. That is learnt
online from the highest risk that each account reaches within a window, so that an account that is judged a hundred times
counts once. Three things keep it honest:

- *Who is suspected teaches nothing.* Accounts at or above `SUSPECT_RISK` are left out, and the honest ones among them are
  put back by the shape of the tail below (a truncated fit: an empirical null, Efron 2004). So attackers nobody has named
  do not make themselves usual, unless they keep below `SUSPECT_RISK`, which is what they are then held to.
- *The tail has a shape.* Beyond `FROM_RISK` the share of honest accounts falls as a generalised Pareto tail in log odds,
  with an end that no account can reach (`CEILING`) as the sum of weights is bounded; fitted on 34,684 honest accounts
  (docs/detection.md). So 1 in 10,000 can be told with fewer than 10,000 accounts (peaks over threshold, Siffer 2017).
- *What ships rules first, and within bounds for good.* The shipped tail is worth `PRIOR_PEAKS` accounts beyond
  `FROM_RISK`; traffic can make a risk rarer only after a whole window, and never more than `FAR` times rarer or more
  common than what ships. So nobody can teach that the most blatant account is usual.

An analyst's `benign` is a known honest account: it counts at whatever risk it has.

References
----------
Siffer, Fouque, Termier and Largouët 2017, Anomaly detection in streams with extreme value theory. Efron 2004, Large-scale
simultaneous hypothesis testing: the choice of a null hypothesis. Vovk, Gammerman and Shafer 2005, Algorithmic learning in
a random world (a score's rank among honest ones as the measure of how strange it is).
"""

import math
from functools import lru_cache

import msgspec

FROM_LOG_ODDS = -4.0
FROM_RISK = 1 / (1 + math.exp(-FROM_LOG_ODDS))
"""Risk from which accounts are the tail: about one honest account in 25 gets there."""
SUSPECT_RISK = 0.5
"""Risk from which an account teaches nothing."""
CEILING = 20.0
"""Log odds at which the tail ends: the likeliest end on labelled streams."""
RISK_MIN, RISK_MAX = 1e-4, 1 - 1e-4
SHARE = 0.0398
"""Share of honest accounts that peak between `FROM_RISK` and `SUSPECT_RISK`, as shipped."""
DEPTH = 0.0432
"""Their mean depth in the tail (see `depth_of`), as shipped."""
PRIOR_PEAKS = 100
"""Accounts in the tail that the shipped shape is worth: so many come from 2,500 accounts."""
FAR = 10.0
PEAKS_MAX = 200_000
"""Peaks remembered; beyond it the oldest are forgotten."""
MILLIONTHS = 1_000_000


def depth_of(risk: float) -> float:
    """Return how deep in the tail a risk is: 0 at `FROM_RISK`. Depths of a generalised Pareto tail are exponential."""
    risk = min(max(risk, RISK_MIN), RISK_MAX)
    log_odds = math.log(risk / (1 - risk))
    return math.log((CEILING - FROM_LOG_ODDS) / (CEILING - log_odds))


END = depth_of(SUSPECT_RISK)
"""Depth from which accounts teach nothing."""


class Peak(msgspec.Struct, gc=False):
    """The highest risk of one account within the window, and when it was seen."""

    risk: float
    ts: float


class Peaks(msgspec.Struct):
    """All that is learnt: who peaked in the tail, oldest first, and accounts known to be honest, at any risk."""

    tail: dict[str, Peak] = {}
    honest: dict[str, Peak] = {}
    since: float | None = None
    until: float = 0.0


class Rarity:
    """Learns the tail of the solo risk, and says how rare a risk is.

    Parameters
    ----------
    window_s
        Seconds over which an account's highest risk counts.

    Examples
    --------
    >>> rarity = Rarity(7 * 86_400.0)
    >>> [round(rarity.in_10k(risk, accounts=0), 2) for risk in (0.5, 0.8, 0.9, 0.99)]
    [8.45, 1.84, 0.71, 0.03]
    """

    def __init__(self, window_s: float, peaks: Peaks | None = None) -> None:
        self.window_s = window_s
        self.peaks = peaks or Peaks()
        self._depths = 0
        for peak in self.peaks.tail.values():
            self._depths += _millionths(peak.risk)

    def learn_one(self, account_id: str, risk: float, ts: float) -> None:
        """Learn the risk of one account that is under no suspicion. Risks of `SUSPECT_RISK` or more forget it instead."""
        peaks = self.peaks
        peaks.since = ts if peaks.since is None else peaks.since
        peaks.until = max(peaks.until, ts)
        if risk >= SUSPECT_RISK:
            self.forget(account_id)
        elif risk >= FROM_RISK:
            known = peaks.tail.get(account_id)
            if known is None or risk >= known.risk or known.ts <= ts - self.window_s:
                self._drop(account_id)
                peaks.tail[account_id] = Peak(risk, ts)
                self._depths += _millionths(risk)
        self.expire(ts)

    def learn_honest(self, account_id: str, risk: float, ts: float) -> None:
        """Learn the risk of an account of which an analyst says that it is benign."""
        self._drop(account_id)
        known = self.peaks.honest.pop(account_id, None)
        self.peaks.honest[account_id] = Peak(max(risk, known.risk) if known else risk, ts)
        self.expire(ts)

    def forget(self, account_id: str) -> None:
        """Forget an account that has come under suspicion: it was none to learn from."""
        self._drop(account_id)
        self.peaks.honest.pop(account_id, None)

    def in_10k(self, risk: float, accounts: int) -> float:
        """Return how many honest accounts in 10,000 are expected to reach `risk` within the window.

        `accounts` is how many are known in all.
        """
        depth, shipped = depth_of(risk), _tail(depth_of(risk), SHARE, DEPTH)
        n = len(self.peaks.tail)
        share = (n + PRIOR_PEAKS) / (accounts + PRIOR_PEAKS / SHARE)
        learnt = _tail(depth, share, (self._depths / MILLIONTHS + PRIOR_PEAKS * DEPTH) / (n + PRIOR_PEAKS))
        honest = sum(peak.risk >= risk for peak in self.peaks.honest.values()) / (accounts + PRIOR_PEAKS / SHARE)
        least = shipped / FAR if self._whole_window() else shipped
        return 10_000 * min(1.0, min(max(learnt, least), FAR * shipped) + honest)

    def _whole_window(self) -> bool:
        """Say whether accounts had a whole window to reach their highest risk."""
        since = self.peaks.since
        return since is not None and self.peaks.until - since >= self.window_s

    def _drop(self, account_id: str) -> None:
        known = self.peaks.tail.pop(account_id, None)
        if known is not None:
            self._depths -= _millionths(known.risk)

    def expire(self, ts: float) -> None:
        """Forget what is older than the window at `ts`."""
        for peaks, drop in ((self.peaks.tail, self._drop), (self.peaks.honest, self.forget)):
            while peaks:
                oldest = next(iter(peaks))
                if peaks[oldest].ts > ts - self.window_s and len(peaks) <= PEAKS_MAX:
                    break
                drop(oldest)


def _millionths(risk: float) -> int:
    """Return a depth as a whole number, so that sums of them are the same in any order."""
    return round(MILLIONTHS * depth_of(risk))


def _tail(depth: float, share: float, mean: float) -> float:
    """Return the share of accounts beyond `depth`, where `share` of all lie in 0..END with this mean depth."""
    rate = _rate(mean)
    return share * math.exp(-rate * max(depth, 0.0)) / -math.expm1(-rate * END)


@lru_cache(maxsize=64)
def _rate(mean: float) -> float:
    """Return the rate of the exponential distribution that, cut off at END, has this mean."""
    low, high = 0.1, 1_000.0
    for _ in range(50):
        rate = math.sqrt(low * high)
        low, high = (rate, high) if 1 / rate - END / math.expm1(rate * END) > mean else (low, rate)
    return low
