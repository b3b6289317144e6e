"""What is usual in the population, per signal, and how far from it a value is."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stream_guard.detectors.base import Features, refuse_non_finite, shares
from stream_guard.detectors.quantiles import FadingQuantiles

Direction = Literal["high", "low", "both"]

PROBABILITIES = (0.01, 0.1, 0.5, 0.9, 0.99)
KNOTS = (0.0, 0.5, 0.9)
"""Unusualness at the median, at the 10 % tail and at the 1 % tail; what is further out comes ever nearer to 1."""
TOP = 3
"""Signals that make the score: an account is as unusual as its three most unusual signals together."""
SPREAD_MIN = 0.05
"""Least distance between neighbouring quantiles, in spreads of the prior: a signal that nearly nobody shows (p50 = p99)
would else make every value of it an extreme one."""


STRETCH = 2.0
"""How many times as far from the baseline's median as there a tail may come to lie (or as far as what ships, if that is
more), and how many times nearer."""
READ_EVERY = 16
"""Observations of a signal after which its quantiles are read anew: reading costs ten times what learning does."""


@dataclass(frozen=True, slots=True)
class Prior:
    """What is usual before traffic has said so, and which way is suspicious.

    Parameters
    ----------
    p50, p90, p99
        Quantiles of the population, in the signal's unit; p50 <= p90 <= p99, p50 < p99.
    direction
        Which side is suspicious. For `low` and `both`, `p10` and `p01` count; they mirror p90 and p99 if not given.
    """

    p50: float
    p90: float
    p99: float
    direction: Direction = "high"
    p10: float | None = None
    p01: float | None = None

    def __post_init__(self) -> None:
        quantiles = self.quantiles()
        if not all(map(math.isfinite, quantiles)) or list(quantiles) != sorted(quantiles) or self.spread() <= 0:
            raise ValueError(f"quantiles must be finite and ascend: {quantiles}")

    def quantiles(self) -> tuple[float, float, float, float, float]:
        """Return p01, p10, p50, p90, p99."""
        p10 = 2 * self.p50 - self.p90 if self.p10 is None else self.p10
        p01 = 2 * self.p50 - self.p99 if self.p01 is None else self.p01
        return (p01, p10, self.p50, self.p90, self.p99)

    def spread(self) -> float:
        """Return how far the tail of the suspicious side lies from the median."""
        p01, _, p50, _, p99 = self.quantiles()
        return {"high": p99 - p50, "low": p50 - p01, "both": max(p99 - p50, p50 - p01)}[self.direction]


class Usual:
    """Online quantiles of every signal, over a prior that traffic outweighs.

    Traffic is forgotten after one to two windows, so the usual follows slow, honest change. So would it follow somebody
    who raises it on purpose, bit by bit: the quantiles as they were when the first window was full are kept (*frozen*),
    `shifts` says how far the live ones have gone from them, and what values are measured against goes no further than
    `STRETCH` allows. Only `freeze`, on somebody's word, takes them anew.

    Signals without a prior are ignored.

    Parameters
    ----------
    priors
        The signals.
    prior_weight
        Observations that a prior is worth: after as many from traffic, both count alike.
    grace_period
        Observations of a signal before traffic counts at all.
    window_size
        Observations after which the older half of the traffic is forgotten.

    Examples
    --------
    >>> usual = Usual({"rate": Prior(20, 200, 1000)})
    >>> usual.usual("rate"), usual.unusualness("rate", 200), round(usual.unusualness("rate", 5000), 3)
    (20.0, 0.5, 0.98)
    >>> for _ in range(5000):
    ...     usual.learn_one({"rate": 400.0})
    >>> round(usual.usual("rate")), usual.unusualness("rate", 200)
    (396, 0.0)
    """

    def __init__(
        self,
        priors: Mapping[str, Prior],
        *,
        prior_weight: float = 50.0,
        grace_period: int = 50,
        window_size: int = 10_000,
    ) -> None:
        self.priors = dict(priors)
        self.prior_weight = prior_weight
        self.grace_period = max(5, grace_period)
        self.window_size = window_size
        self._live = {signal: FadingQuantiles(PROBABILITIES, window_size) for signal in self.priors}
        self._frozen: dict[str, tuple[float, ...]] = {}
        self._begun: dict[str, tuple[float, ...]] = {}
        self._now: dict[str, tuple[float, ...]] = {}
        self._allowed: dict[str, tuple[float, ...]] = {}
        for signal in self.priors:
            self._refresh(signal)

    def adopt(self, priors: Mapping[str, Prior]) -> None:
        """Take the signals of this version of the program: learnt ones stay, new ones begin, vanished ones go."""
        same = {s for s, prior in priors.items() if self.priors.get(s) == prior}
        self.priors = dict(priors)
        self._live = {s: self._live.get(s) or FadingQuantiles(PROBABILITIES, self.window_size) for s in self.priors}
        self._frozen = {s: frozen for s, frozen in self._frozen.items() if s in self.priors}
        # What is the same is not read anew: after a restart the outcome must be what it would have been without one.
        self._now = {s: self._now[s] if s in same else self._read(s) for s in self.priors}
        self._allowed = {s: self._allowed[s] if s in same else self._within(self._now[s], s) for s in self.priors}

    def begin_with(self, quantiles: Mapping[str, tuple[float, ...]], weight: float) -> None:
        """Take what was usual elsewhere in place of the priors, worth `weight` observations; unknown signals are ignored."""
        self._begun = {s: tuple(map(float, q)) for s, q in quantiles.items() if s in self.priors}
        self.prior_weight = weight
        for signal in self._begun:
            self._refresh(signal)

    def quantiles(self) -> dict[str, tuple[float, float, float, float, float]]:
        """Return p01, p10, p50, p90 and p99 of every signal, as traffic has them now."""
        found = {}
        for signal in self.priors:
            p01, p10, p50, p90, p99 = self._read(signal)
            found[signal] = (p01, p10, p50, p90, p99)
        return found

    def usual(self, signal: str) -> float:
        """Return the median, in the signal's unit. Raises KeyError."""
        return self._now[signal][2]

    def unusualness(self, signal: str, value: float) -> float:
        """Return 0..1: 0 up to the median, 0.5 and 0.9 at the 10 % and 1 % tails of the suspicious side.

        Raises KeyError for a signal without a prior.
        """
        prior = self.priors[signal]
        p01, p10, p50, p90, p99 = self._allowed[signal]
        gap = SPREAD_MIN * prior.spread()
        above = _beyond(value - p50, p90 - p50, p99 - p50, gap) if prior.direction != "low" else 0.0
        below = _beyond(p50 - value, p50 - p10, p50 - p01, gap) if prior.direction != "high" else 0.0
        return max(above, below)

    def unusualness_many(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return `unusualness` of many accounts at once, [accounts, signals], both in the order of the priors."""
        p01, p10, p50, p90, p99 = np.array([self._allowed[signal] for signal in self.priors]).T
        gap = SPREAD_MIN * np.array([prior.spread() for prior in self.priors.values()])
        high = np.array([prior.direction != "low" for prior in self.priors.values()])
        low = np.array([prior.direction != "high" for prior in self.priors.values()])
        above = np.where(high, _beyond_many(values - p50, p90 - p50, p99 - p50, gap), 0.0)
        below = np.where(low, _beyond_many(p50 - values, p50 - p10, p50 - p01, gap), 0.0)
        return np.maximum(above, below)

    def transform_one(self, x: Features) -> dict[str, float]:
        """Return how unusual each known signal of `x` is, 0..1: what the other detectors take. Raises ValueError."""
        refuse_non_finite(x)
        return {signal: self.unusualness(signal, x[signal]) for signal in self.priors if signal in x}

    def score_one(self, x: Features) -> float:
        """Return how unusual the most unusual signals of `x` are together. Raises ValueError."""
        return sum(self._top(x).values()) / TOP

    def learn_one(self, x: Features) -> None:
        """Learn one account that is not under suspicion. Raises ValueError, and then has learnt nothing."""
        refuse_non_finite(x)
        for signal, live in self._live.items():
            if signal in x:
                live.update(x[signal])
                if live.seen % READ_EVERY == 0 or live.seen == self.grace_period:
                    self._refresh(signal)
                if live.seen == self.window_size and signal not in self._frozen:
                    self._frozen[signal] = self._read(signal)

    def explain_one(self, x: Features) -> dict[str, float]:
        """Return the parts of the signals that make the score; they sum to 1. Raises ValueError."""
        return shares(self._top(x))

    def freeze(self) -> None:
        """Take the present quantiles as the ones to measure shifts from."""
        self._frozen = {signal: self._read(signal) for signal in self.priors}
        self._allowed = {signal: self._within(live, signal) for signal, live in self._now.items()}

    def shifts(self) -> dict[str, float]:
        """Return how far each live median is from its frozen one, in frozen spreads (median to 10 % tail), signed.

        A signal that has not seen a whole window yet is not in it.
        """
        moved = {}
        for signal, frozen in self._frozen.items():
            gap = SPREAD_MIN * self.priors[signal].spread()
            spread = max(frozen[3] - frozen[2], frozen[2] - frozen[1], gap)
            moved[signal] = (self._now[signal][2] - frozen[2]) / spread
        return moved

    def _top(self, x: Features) -> dict[str, float]:
        unusual = self.transform_one(x)
        top = sorted(unusual, key=lambda signal: (-unusual[signal], signal))[:TOP]
        return {signal: unusual[signal] for signal in top}

    def _refresh(self, signal: str) -> None:
        self._now[signal] = live = self._read(signal)
        self._allowed[signal] = self._within(live, signal)

    def _within(self, live: tuple[float, ...], signal: str) -> tuple[float, ...]:
        """Return the live quantiles as far as the frozen ones let them go."""
        frozen = self._frozen.get(signal)
        if frozen is None:
            return live
        p50, shipped = frozen[2], self.priors[signal].quantiles()

        def tail(at: int, side: int) -> float:
            was, ships = side * (frozen[at] - p50), side * (shipped[at] - shipped[2])
            return p50 + side * min(max(STRETCH * was, ships), max(was / STRETCH, side * (live[at] - p50)))

        p01, p10, p90, p99 = tail(0, -1), tail(1, -1), tail(3, 1), tail(4, 1)
        return (min(p01, p10), p10, min(p90, max(p10, live[2])), p90, max(p90, p99))

    def _read(self, signal: str) -> tuple[float, ...]:
        """Return the prior's and the live quantiles, each weighted by what it is worth."""
        prior, live = self._begun.get(signal) or self.priors[signal].quantiles(), self._live[signal]
        if live.seen < self.grace_period:
            return tuple(float(p) for p in prior)
        weight = self.prior_weight / (self.prior_weight + live.seen)
        return tuple(weight * p + (1.0 - weight) * q for p, q in zip(prior, live.get(), strict=True))


def _beyond(distance: float, near: float, far: float, gap: float) -> float:
    """Map a distance from the median to 0..1, by its distances of the 10 % and the 1 % tail."""
    if distance <= 0.0:
        return 0.0
    near = max(near, gap)
    far = max(far, near + gap)
    if distance <= near:
        return KNOTS[1] * distance / near
    if distance <= far:
        return KNOTS[1] + (KNOTS[2] - KNOTS[1]) * (distance - near) / (far - near)
    return 1.0 - (1.0 - KNOTS[2]) * (far / distance)


def _beyond_many(
    distance: NDArray[np.float64], near: NDArray[np.float64], far: NDArray[np.float64], gap: NDArray[np.float64]
) -> NDArray[np.float64]:
    """`_beyond` over arrays."""
    near = np.maximum(near, gap)
    far = np.maximum(far, near + gap)
    middle = KNOTS[1] + (KNOTS[2] - KNOTS[1]) * (distance - near) / (far - near)
    outer = 1.0 - (1.0 - KNOTS[2]) * (far / np.maximum(distance, far))  # read beyond `far` only
    inner = KNOTS[1] * distance / near
    return np.where(distance <= 0, 0.0, np.where(distance <= near, inner, np.where(distance <= far, middle, outer)))
