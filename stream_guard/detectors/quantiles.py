"""Quantiles of a stream that forget: two generations of River's P² estimators, swapped every window."""

from collections.abc import Sequence
from typing import Any

from river import stats


class FadingQuantiles:
    """Quantiles of the last one to two windows of a stream.

    The older generation answers together with the younger one, each weighted by what it has seen, and is dropped when
    the younger one has seen a whole window. P² (River's `stats.Quantile`) takes five numbers a quantile; its estimates
    of different quantiles may cross, so they are sorted when read.

    Parameters
    ----------
    probabilities
        Which quantiles, ascending, each within 0..1.
    window_size
        Observations of one generation.

    Examples
    --------
    >>> quantiles = FadingQuantiles((0.5, 0.9), window_size=1000)
    >>> for i in range(5000):
    ...     quantiles.update(i % 100)
    >>> [round(q) for q in quantiles.get()]
    [51, 90]
    >>> for i in range(2000):
    ...     quantiles.update(1000 + i % 100)
    >>> [round(q) for q in quantiles.get()]
    [1051, 1090]

    References
    ----------
    Jain and Chlamtac 1985, The P² algorithm for dynamic calculation of quantiles without storing observations.
    """

    def __init__(self, probabilities: Sequence[float], window_size: int) -> None:
        if window_size < 1:
            raise ValueError(f"window_size is {window_size}: must be at least 1")
        self.probabilities = tuple(probabilities)
        self.window_size = window_size
        self.seen = 0
        self._old_n = 0
        self._new_n = 0
        self._old: list[Any] = []
        self._new = self._generation()

    @property
    def n(self) -> int:
        """How many observations answer."""
        return self._old_n + self._new_n

    def update(self, value: float) -> None:
        """Take one observation."""
        for quantile in self._new:
            quantile.update(value)
        self.seen += 1
        self._new_n += 1
        if self._new_n == self.window_size:
            self._old, self._old_n = self._new, self._new_n
            self._new, self._new_n = self._generation(), 0

    def get(self) -> tuple[float, ...]:
        """Return the quantiles, ascending. Raises ValueError before the first observation."""
        if not self.n:
            raise ValueError("no observation yet")
        # P² answers with its middle marker before it has five observations: no quantile in the tail.
        new_n = self._new_n if self._new_n >= 5 or not self._old_n else 0
        sums = [0.0] * len(self.probabilities)
        for generation, n in ((self._old, self._old_n), (self._new, new_n)):
            if n:
                for i, value in enumerate(sorted(quantile.get() for quantile in generation)):
                    sums[i] += n * value
        return tuple(total / (self._old_n + new_n) for total in sums)

    def _generation(self) -> list[Any]:
        return [stats.Quantile(p) for p in self.probabilities]
