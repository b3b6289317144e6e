"""Requests that come twice: a client that was not answered sends again, and only the first counts."""

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from stream_guard.errors import SnapshotError
from stream_guard.events import RequestEvent
from stream_guard.sketch import hashes

BUCKETS, WAYS = 1 << 15, 4
"""Places for 131,072 event ids: of those, an id is still known after 10,000 newer ones in all but 0.03 % of cases."""


@njit(cache=True, nogil=True)
def _note(keys, table, fresh):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Say which keys are not in the table, and put them at the front of their bucket."""
    for i in range(len(keys)):
        bucket = table[int(keys[i] >> np.uint64(32)) & (BUCKETS - 1)]
        known = False
        for j in range(WAYS):
            known |= bucket[j] == keys[i]
        fresh[i] = not known
        if not known:
            for j in range(WAYS - 1, 0, -1):
                bucket[j] = bucket[j - 1]
            bucket[0] = keys[i]


class Repeats:
    """A bounded memory of event ids, by account: two gateways that number their requests alike lose nothing.

    Attributes
    ----------
    counted
        Repeats met so far.
    """

    def __init__(self) -> None:
        self.counted = 0
        self._table: NDArray[np.uint64] = np.zeros((BUCKETS, WAYS), np.uint64)

    def drop(self, events: Sequence[RequestEvent]) -> Sequence[RequestEvent]:
        """Return the events without those that came before."""
        keys = hashes([f"{e.account_id}\0{e.event_id}" for e in events])
        fresh = np.empty(len(events), np.bool_)
        _note(keys, self._table, fresh)
        if fresh.all():
            return events
        self.counted += int(len(fresh) - fresh.sum())
        return [events[i] for i in np.flatnonzero(fresh).tolist()]

    def dump(self) -> dict[str, object]:
        """Return the state as plain values for a snapshot."""
        return {"counted": self.counted, "table": self._table.tobytes()}

    def load(self, saved: dict[str, object]) -> None:
        """Take up what `dump` gave. Raises SnapshotError."""
        try:
            self.counted = int(saved["counted"])  # type: ignore[call-overload]
            table = np.frombuffer(saved["table"], np.uint64)  # type: ignore[call-overload]
            self._table = table.reshape(BUCKETS, WAYS).copy()
        except (KeyError, TypeError, ValueError) as error:
            raise SnapshotError(f"the memory of event ids does not fit: {error}") from error
