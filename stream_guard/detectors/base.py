"""The contract of detectors, in River's verbs.

A detector sees one account when it is due: `x` holds named signals, finite floats. Signals may be missing and new ones
may come up. Score first, then learn; and learn only from accounts that are not under suspicion (the caller withholds).
"""

import math
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

Features = Mapping[str, float]
"""Named signals of one account."""


@runtime_checkable
class Detector(Protocol):
    """Scores accounts, and learns from them without being told what they are."""

    def score_one(self, x: Features) -> float:
        """Return 0..1, high = anomalous; works before anything was learnt and changes nothing. Raises ValueError."""
        ...

    def learn_one(self, x: Features) -> None:
        """Learn from one account. Raises ValueError, and then has learnt nothing."""
        ...

    def explain_one(self, x: Features) -> dict[str, float]:
        """Return each signal's part in the score: signed (above 0 raises it), absolute values sum to 1; {} if none."""
        ...


@runtime_checkable
class SupervisedDetector(Protocol):
    """Scores accounts, and learns from what an analyst says they are."""

    def score_one(self, x: Features) -> float:
        """Return 0..1, high = malicious; works before anything was learnt and changes nothing. Raises ValueError."""
        ...

    def learn_one(self, x: Features, y: bool) -> None:
        """Learn that the account is malicious (True) or benign. Raises ValueError, and then has learnt nothing."""
        ...

    def explain_one(self, x: Features) -> dict[str, float]:
        """Return each signal's part in the score: signed (above 0 raises it), absolute values sum to 1; {} if none."""
        ...


def refuse_non_finite(x: Features) -> None:
    """Raise ValueError that names the first signal that is not a finite number."""
    for signal, value in x.items():
        if not math.isfinite(value):
            raise ValueError(f"{signal} is {value}: signals must be finite")


def shares(parts: Mapping[str, float]) -> dict[str, float]:
    """Return `parts` scaled so that their absolute values sum to 1, without those that are 0.

    Examples
    --------
    >>> shares({"a": 3.0, "b": -1.0, "c": 0.0})
    {'a': 0.75, 'b': -0.25}
    >>> shares({"a": 0.0})
    {}
    """
    total = sum(abs(v) for v in parts.values())
    return {signal: v / total for signal, v in parts.items() if v} if total > 0 else {}
