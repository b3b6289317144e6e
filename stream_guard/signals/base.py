"""The contract of signals: account state in, one named feature out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.void]
"""Records of `accounts.ACCOUNT`."""


@dataclass(frozen=True, slots=True)
class Signal:
    """One measurement of an account.

    Attributes
    ----------
    name
        What it is called in reasons, the API and the metrics.
    unit
        Of its value: `1/d`, `share` (0..1), `h`, `tokens/d`, `log10`, `ratio`, `count`.
    unusual
        Which side of the usual is suspicious.
    quantiles
        1, 10, 50, 90 and 99 % quantile of honest accounts before any was seen; traffic outweighs them.
    about
        What it says, when it misleads, and where it comes from.
    read
        Records of accounts -> their values, float64, finite.
    """

    name: str
    unit: str
    unusual: Literal["high", "low", "both"]
    quantiles: tuple[float, float, float, float, float]
    about: str
    read: Callable[[Rows], NDArray[np.float64]]


def bits(word: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Estimate how many distinct values set the bits of a 64-bit linear counter.

    Examples
    --------
    >>> bits(np.array([0, 1, 0b1011], np.uint64)).round(1).tolist()
    [0.0, 1.0, 3.1]
    """
    ones = np.bitwise_count(word).astype(float)
    return np.asarray(-64.0 * np.log1p(-np.minimum(ones, 63.0) / 64.0))


def field(name: str) -> Callable[[Rows], NDArray[np.float64]]:
    """Return a reader of one field as it is."""
    return lambda rows: rows[name].astype(np.float64)
