"""Slow, legitimate change of the population, noticed."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from river import drift

from stream_guard.detectors.base import Features, refuse_non_finite


class Drift(NamedTuple):
    """One signal of the population changed about `since`, which is told at `ts`: its mean was `before`, is `after`."""

    signal: str
    ts: float
    since: float
    before: float
    after: float


class PopulationDrift:
    """One ADWIN a signal over the accounts as they become due.

    Drift is news for people and a hint that what is usual is about to move; it accuses nobody. A change is told once in
    `quiet_s` a signal, and only if the mean moved by `change_min`: with enough accounts every change is significant.

    Parameters
    ----------
    features
        Names of the features, each within 0..1 (`Usual.transform_one`). Others are ignored; a missing one is not seen.
    delta
        Significance of ADWIN: how likely a change is seen where there is none, at each check of each window.
    change_min
        Least change of the mean that is told.
    quiet_s
        Seconds of event time for which a signal is not told of again.
    grace_period
        Accounts that show a signal before its mean counts, at first and after a change.

    Examples
    --------
    >>> import random
    >>> rng, drifts = random.Random(1), PopulationDrift(["rate"])
    >>> told = []
    >>> for ts in range(4000):
    ...     told += drifts.learn_one({"rate": rng.random() * (0.4 if ts < 2000 else 0.8)}, float(ts))
    >>> [(d.signal, 2000 < d.since < d.ts < 2500, round(d.before, 1), round(d.after, 1)) for d in told]
    [('rate', True, 0.2, 0.4)]

    References
    ----------
    Bifet and Gavaldà 2007, Learning from time-changing data with adaptive windowing; River's `drift.ADWIN`.
    """

    def __init__(
        self,
        features: Sequence[str],
        *,
        delta: float = 1e-4,
        change_min: float = 0.03,
        quiet_s: float = 86_400.0,
        grace_period: int = 200,
    ) -> None:
        self.grace_period = grace_period
        self.change_min = change_min
        self.quiet_s = quiet_s
        adwin: Any = drift.ADWIN
        self._windows: dict[str, Any] = {name: adwin(delta=delta) for name in sorted(features)}
        self._told_ts: dict[str, float] = {}
        self._since: dict[str, float] = {}
        self._means: dict[str, float] = {}

    @property
    def features(self) -> tuple[str, ...]:
        """The features that are watched, sorted."""
        return tuple(self._windows)

    def learn_one(self, x: Features, ts: float) -> list[Drift]:
        """Learn one account at event time `ts`; return the drifts to tell. Raises ValueError, having learnt nothing."""
        refuse_non_finite({**x, "ts": ts})
        told = [self._learn(name, min(1.0, max(0.0, x[name])), ts) for name in self._windows if name in x]
        return [drifted for drifted in told if drifted is not None]

    def drifted(self) -> dict[str, float]:
        """Return when each signal was last told to have drifted."""
        return dict(self._told_ts)

    def _learn(self, name: str, value: float, ts: float) -> Drift | None:
        window = self._windows[name]
        window.update(value)
        if window.drift_detected:
            # River's ADWIN starts anew after a detection: what the mean has become is known a grace period later.
            self._since.setdefault(name, ts)
            return None
        if window.width < self.grace_period:
            return None
        after = float(window.estimation)
        before = self._means.setdefault(name, after)
        if name not in self._since or ts - self._told_ts.get(name, float("-inf")) < self.quiet_s:
            return None
        since = self._since.pop(name)
        if abs(after - before) < self.change_min:
            return None
        self._means[name], self._told_ts[name] = after, ts
        return Drift(name, ts, since, before, after)
