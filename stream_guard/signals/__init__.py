"""What is measured of an account: query rate, prompt diversity, output harvesting.

Each signal is declared once, in the file of its kind; `read` gives all of them for some accounts at once.
"""

import numpy as np
from numpy.typing import NDArray

from stream_guard.signals import diversity, harvest, rate
from stream_guard.signals.base import Rows, Signal

SIGNALS: tuple[Signal, ...] = (*rate.SIGNALS, *diversity.SIGNALS, *harvest.SIGNALS)
BY_NAME = {signal.name: signal for signal in SIGNALS}


def read(rows: Rows) -> dict[str, NDArray[np.float64]]:
    """Return every signal of some accounts: name -> values in the order of `rows`."""
    return {signal.name: signal.read(rows) for signal in SIGNALS}


__all__ = ["BY_NAME", "SIGNALS", "Rows", "Signal", "read"]
