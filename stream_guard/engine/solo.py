"""One account by itself: how unusual it is, how likely it harvests, and why. The detectors, put together.

Signals are first made comparable (`Usual`: how far in the population's tail, 0..1); a linear model that analysts teach
says how bad that is. Suspects teach neither.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_guard import signals
from stream_guard.accounts import SUSPECT
from stream_guard.detectors import Drift, FeedbackModel, PopulationDrift, Prior, Usual
from stream_guard.detectors.state import dump, load
from stream_guard.engine.baseline import Quantiles
from stream_guard.events import Reason, SignalReading
from stream_guard.signals import SIGNALS, Rows, Signal

WEIGHTS = {
    "longest_gap": 3.5, "unvouched_peak": 2.7, "hourly_peak": 2.5, "head_volume": 2.4, "peak_for_plan": 1.4, "account_age": 1.4,
    "burst": 1.0, "unvouched_head": 1.0, "many_samples": 0.7, "logprobs": 0.7, "output_ratio": 0.2, "reasoning_elicitation": 0.2,
    "length_limit": 0.2,
}  # fmt: skip
"""Log-odds at unusualness 1: no two signals together make a throttle. Fitted on heavy accounts among honest machines, with
weights kept at 0 or above; those of signals that no data spoke for are small and set by hand (docs/detection.md)."""
INTERCEPT = -10.1
REASONS_MAX = 6
REASONS_FROM = 0.3
"""Risk from which an account is worth explaining."""
LEARN_MAX = 16
"""Accounts that a step without a request would learn from; a whole step learns from one. A busy service has steps enough, a
quiet one has time: a sample is enough for quantiles, and learning stays off the hot path."""
LEARN_FROM = 8
"""Requests from which an account teaches what is usual: of fewer, most signals say nothing yet."""
BASELINE_MIN, BASELINE_S = 1_000, 2 * 86_400.0
"""Accounts learnt, over at least so much time, from which what is usual is the baseline: nights and days are in it, and
a poisoner has had no more time than that."""


class Baseline(NamedTuple):
    """What is usual of one signal, and how far that has gone from what was usual when it was frozen.

    `shift` is in spreads of that time (median to 10 % tail), signed; None until there is something to measure from.
    """

    usual: float
    shift: float | None


class Measured(NamedTuple):
    """The signals of some accounts, and how unusual each is: [accounts, signals]."""

    values: NDArray[np.float64]
    unusual: NDArray[np.float64]


class SoloJudge:
    """Judges single accounts and keeps what is usual."""

    def __init__(self) -> None:
        self._usual = Usual(_priors())
        self._model = FeedbackModel(WEIGHTS, intercept=INTERCEPT)
        self._drift = PopulationDrift(list(signals.BY_NAME))
        self._began, self._learnt, self._has_baseline = 0.0, 0, False

    def measure(self, rows: Rows) -> Measured:
        """Measure some accounts against what is usual now."""
        values = _matrix(rows)
        return Measured(values, self._usual.unusualness_many(values))

    def assess(self, rows: Rows, measured: Measured | None = None) -> tuple[list[float], list[tuple[Reason, ...]]]:
        """Return the risk of each account, 0..1, and its reasons (only where there is some risk).

        `measured` is what `measure` says of them, if that is known.
        """
        values, unusual = measured or self.measure(rows)
        weights = self._model.weights
        odds = unusual @ np.array([weights.get(s.name, 0.0) for s in SIGNALS]) + INTERCEPT
        risks = np.round(1.0 / (1.0 + np.exp(-odds)), 4).tolist()
        return risks, [
            self._reasons(v, u) if r >= REASONS_FROM else () for r, v, u in zip(risks, values, unusual, strict=True)
        ]

    def _reasons(self, values: NDArray[np.float64], unusual: NDArray[np.float64]) -> tuple[Reason, ...]:
        x, how = _named(values), _named(unusual)
        parts = {name: part for name, part in self._model.explain_one(how).items() if part > 0}
        total = sum(parts.values()) or 1.0
        out = []
        for name in sorted(parts, key=lambda name: -parts[name])[:REASONS_MAX]:
            signal = signals.BY_NAME[name]
            value, usual = x[name], self._usual.usual(name)
            text = f"{name.replace('_', ' ')} is {_number(value)} {signal.unit}, usual is {_number(usual)}"
            out.append(Reason(name, round(value, 6), round(usual, 6), round(parts[name] / total, 4), signal.unit, text))
        return tuple(out)

    def learn_one(self, rows: Rows, ts: float, quiet: float = 0.0, measured: Measured | None = None) -> list[Drift]:
        """Learn from a few of these accounts, never from suspects; returns drifts from the baseline, once there is one.

        `measured` is what `measure` says of these rows, if that is known.
        `quiet` is the share of the step that no request has filled: so much more time there is to learn.
        """
        drifts: list[Drift] = []
        innocent = np.flatnonzero(((rows["flags"] & SUSPECT) == 0) & (rows["requests"] >= LEARN_FROM))
        lessons = min(len(innocent), 1 + int(quiet * (LEARN_MAX - 1)))
        if not lessons:
            return drifts
        # A fair sample: rows are in the order in which accounts came, and old ones must not speak for all.
        chosen = (self._learnt + np.arange(lessons) * len(innocent) // lessons) % len(innocent)
        for v, u in zip(*(of[innocent[chosen]] for of in measured or self.measure(rows)), strict=True):
            self._usual.learn_one(_named(v))
            drifts += self._drift.learn_one(_named(u), ts)
        self._began = self._began or ts
        self._learnt += lessons
        if not self._has_baseline and self._learnt >= BASELINE_MIN and ts - self._began >= BASELINE_S:
            self.freeze()
        # Before there is a baseline, what moves is what is learnt, and with it the hour of the day.
        return drifts if self._has_baseline else []

    def learn(self, row: Any, *, malicious: bool) -> None:
        """Take an analyst's word on one account (a record of `ACCOUNT`)."""
        self._model.learn_one(_named(self.measure(np.array([row])).unusual[0]), malicious)

    def readings(self, rows: Rows) -> list[tuple[SignalReading, ...]]:
        """Return every signal of some accounts beside what is usual."""
        values, unusual = self.measure(rows)
        return [
            tuple(self._reading(s, x, u) for s, x, u in zip(SIGNALS, v.tolist(), how.tolist(), strict=True))
            for v, how in zip(values, unusual, strict=True)
        ]

    def _reading(self, signal: Signal, value: float, unusual: float) -> SignalReading:
        return SignalReading(
            signal.name, round(value, 6), round(self._usual.usual(signal.name), 6), round(unusual, 4), signal.unit
        )

    def baseline(self) -> dict[str, Baseline]:
        """Return what is usual of each signal, and how far it has gone from the baseline."""
        shifts = self._usual.shifts()
        return {name: Baseline(self._usual.usual(name), shifts.get(name)) for name in signals.BY_NAME}

    def learnt(self) -> tuple[dict[str, Quantiles], int]:
        """Return the quantiles of every signal, and from how many lessons they were learnt."""
        return self._usual.quantiles(), self._learnt

    def begin_with(self, quantiles: Mapping[str, Quantiles], worth: float) -> None:
        """Take what was usual elsewhere in place of what ships, worth so many lessons."""
        self._usual.begin_with(quantiles, worth)

    def freeze(self) -> None:
        """Take what is usual now as the baseline that shifts are measured from."""
        self._usual.freeze()
        self._has_baseline = True

    def snapshot(self) -> bytes:
        """Return the whole state."""
        return dump((self._usual, self._model, self._drift, (self._began, self._learnt, self._has_baseline)))

    def restore(self, state: bytes) -> None:
        """Take up a snapshot, under the signals and weights of this program. Raises SnapshotError.

        What cannot be told apart by signal begins anew if the signals are not those of the program that wrote it.
        """
        self._usual, self._model, self._drift, learnt = load(state)
        self._began, self._learnt, self._has_baseline = learnt
        self._usual.adopt(_priors())
        self._model.adopt(WEIGHTS, INTERCEPT)
        names = sorted(signals.BY_NAME)
        if sorted(self._drift.features) != names:
            self._drift = PopulationDrift(names)


def _priors() -> dict[str, Prior]:
    """Return what ships as usual, signal by signal."""
    priors = {}
    for s in SIGNALS:
        p01, p10, p50, p90, p99 = s.quantiles
        priors[s.name] = Prior(p50, p90, p99, s.unusual, p10, p01)
    return priors


def _matrix(rows: Rows) -> NDArray[np.float64]:
    """Return the signals of each account, [accounts, signals]."""
    return np.stack(list(signals.read(rows).values()), axis=1)


def _named(values: NDArray[np.float64]) -> dict[str, float]:
    return dict(zip(signals.BY_NAME, values.tolist(), strict=True))


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
