"""Accounts that are unlike all others, in whatever combination of signals."""

import bisect
from collections.abc import Sequence
from typing import Any

from river import anomaly

from stream_guard.detectors.base import Features, refuse_non_finite, shares
from stream_guard.detectors.quantiles import FadingQuantiles

RANKS = (0.5, 0.9, 0.99)
NEUTRAL = 0.5


class AccountAnomaly:
    """Half-space trees over how unusual each signal is; the score is its rank among the scores of learnt accounts.

    A raw score of half-space trees has no meaning of its own: it moves with the number of features and with the
    window. Ranked, 0.99 says that one learnt account in a hundred is as odd. Within the grace period every score is
    0.5 (nothing is known). Weak against many alike outliers that are learnt in one window: that is what withholding
    suspects is for, and finding groups is not this detector's work.

    Parameters
    ----------
    features
        Names of the features, each within 0..1, 0 being usual (`Usual.transform_one`). A missing one counts as 0, an
        unknown one is ignored.
    n_trees, height, window_size
        As in River. `window_size` is also what a generation of ranks lasts, times ten.
    grace_period
        Accounts to learn before scores mean anything; not below `window_size`.

    Examples
    --------
    >>> import random
    >>> rng = random.Random(1)
    >>> detector = AccountAnomaly(["rate", "template"], window_size=100, grace_period=200)
    >>> for _ in range(1000):
    ...     detector.learn_one({"rate": rng.random() * 0.4, "template": rng.random() * 0.4})
    >>> detector.score_one({"rate": 0.2, "template": 0.2}) < 0.9 < detector.score_one({"rate": 0.95, "template": 0.9})
    True

    References
    ----------
    Tan, Ting and Liu 2011, Fast anomaly detection for streaming data (IJCAI); River's `anomaly.HalfSpaceTrees`.
    """

    def __init__(
        self,
        features: Sequence[str],
        *,
        n_trees: int = 15,
        height: int = 6,
        window_size: int = 250,
        grace_period: int = 500,
        seed: int = 1,
    ) -> None:
        if not features:
            raise ValueError("features must name at least one")
        self.features = tuple(sorted(features))
        self.grace_period = max(grace_period, window_size)
        self._trees: Any = anomaly.HalfSpaceTrees(n_trees=n_trees, height=height, window_size=window_size, seed=seed)
        self._ranks = FadingQuantiles(RANKS, window_size * 10)
        self._seen = 0

    def score_one(self, x: Features) -> float:
        """Return the rank of `x`, 0..1. Raises ValueError."""
        raw = self._raw(self._row(x))
        if self._seen < self.grace_period or not self._ranks.n:
            return NEUTRAL
        return _rank(raw, self._ranks.get())

    def learn_one(self, x: Features) -> None:
        """Learn one account that is not under suspicion. Raises ValueError, and then has learnt nothing."""
        row = self._row(x)
        # The first window scores everything 0: no score to rank by.
        if self._seen >= self._trees.window_size:
            self._ranks.update(self._raw(row))
        self._trees.learn_one(row)
        self._seen += 1

    def explain_one(self, x: Features) -> dict[str, float]:
        """Return how much lower the raw score would be if the feature were usual, as parts of 1. Raises ValueError.

        As many scorings as there are features: for decisions, not for every account.
        """
        row = self._row(x)
        raw = self._raw(row)
        return shares({name: raw - self._raw({**row, name: 0.0}) for name in self.features if row[name]})

    def _row(self, x: Features) -> dict[str, float]:
        refuse_non_finite(x)
        return {name: min(1.0, max(0.0, x.get(name, 0.0))) for name in self.features}

    def _raw(self, row: dict[str, float]) -> float:
        return float(self._trees.score_one(row))


def _rank(raw: float, quantiles: Sequence[float]) -> float:
    """Return the rank of `raw` between the quantiles, straight lines between; 1 is the score of what was never seen."""
    heights = (0.0, *quantiles, 1.0)
    ranks = (0.0, *RANKS, 1.0)
    i = min(bisect.bisect_right(heights, raw), len(heights) - 1)
    low, high = heights[i - 1], heights[i]
    if high <= low:
        return ranks[i]
    return ranks[i - 1] + (ranks[i] - ranks[i - 1]) * min(1.0, (raw - low) / (high - low))
