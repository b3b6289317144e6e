"""Accounts that ask alike, without a text in common: behavioural twins.

Each account has the sum of its prompts' signed hash vectors. Less the population's mean, two accounts of one campaign
point the same way, two strangers do not. Groups are found with leaders: an account joins the group whose mean it is
closest to, from a cosine of `ALIKE` on, else it leads one of its own. (Mutual neighbours shatter the same data: any two
members are not much alike, but each is like the mean of all.) Honest crowds are twins too: groups are candidates for the
judge, never a verdict.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from stream_guard.errors import SnapshotError
from stream_guard.sketch import DIMENSIONS

ALIKE = 0.4
LEADERS_MAX = 1024
ROUNDS = 2


@njit(cache=True, nogil=True, fastmath=True)  # sums in any order: eight times as fast
def _lead(vectors, alike, leaders_max, rounds):  # type: ignore[no-untyped-def]
    """Return the group of each vector (length 1); -1 where no leader is close and none more may be made."""
    n, d = vectors.shape
    group = np.full(n, -1, np.int64)
    sums = np.zeros((leaders_max, d), np.float32)
    lengths = np.zeros(leaders_max, np.float32)
    leaders = 0
    for turn in range(rounds):
        for i in range(n):
            own = group[i]
            if own >= 0:  # leave, to choose again
                for j in range(d):
                    sums[own, j] -= vectors[i, j]
            best, best_cosine = -1, np.float32(alike)
            for g in range(leaders):
                if g == own:
                    length = np.float32(0.0)
                    for j in range(d):
                        length += sums[g, j] * sums[g, j]
                    lengths[g] = np.sqrt(length)
                if lengths[g] <= 1e-6:
                    continue
                dot = np.float32(0.0)
                for j in range(d):
                    dot += sums[g, j] * vectors[i, j]
                if dot >= best_cosine * lengths[g]:
                    best, best_cosine = g, dot / lengths[g]
            if best < 0 and turn == 0 and leaders < leaders_max:
                best = leaders
                leaders += 1
            if best < 0:
                best = own
            group[i] = best
            if best >= 0:
                length = np.float32(0.0)
                for j in range(d):
                    sums[best, j] += vectors[i, j]
                    length += sums[best, j] * sums[best, j]
                lengths[best] = np.sqrt(length)
    return group


class Twins:
    """The twin vectors of the population's accounts, by row of the window.

    Parameters
    ----------
    accounts_max
        Rows there is room for at once; pages that nobody has written to take no memory.
    """

    def __init__(self, accounts_max: int) -> None:
        self.vectors = np.zeros((accounts_max, DIMENSIONS), np.int8)
        self.known = np.zeros(accounts_max, np.bool_)

    def take(self, rows: NDArray[np.int64], vectors: NDArray[np.int8]) -> None:
        """Take the newest vectors of some accounts."""
        if len(rows):
            self._make_room(int(rows.max()) + 1)
            self.vectors[rows], self.known[rows] = vectors, True

    def _make_room(self, rows: int) -> None:
        if rows > len(self.known):
            vectors, known = self.vectors, self.known
            self.vectors, self.known = np.zeros((2 * rows, DIMENSIONS), np.int8), np.zeros(2 * rows, np.bool_)
            self.vectors[: len(known)], self.known[: len(known)] = vectors, known

    def forget(self, rows: list[int]) -> None:
        """Drop accounts, those that are here."""
        self.known[[row for row in rows if row < len(self.known)]] = False

    def groups(self, accounts_min: int) -> list[NDArray[np.int64]]:
        """Return the groups of twins of at least this size, as sorted rows."""
        rows = np.flatnonzero(self.known)
        if len(rows) < accounts_min:
            return []
        raw = self.vectors[rows].astype(np.float32)
        raw /= np.maximum(np.linalg.norm(raw, axis=1), 1e-6)[:, None]
        raw -= raw.mean(axis=0)
        raw /= np.maximum(np.linalg.norm(raw, axis=1), 1e-6)[:, None]
        group = _lead(raw, ALIKE, LEADERS_MAX, ROUNDS)
        rows, group = rows[group >= 0], group[group >= 0]  # -1: no leader is close, and no more may be made
        order = np.argsort(group, kind="stable")
        found = np.split(rows[order], np.flatnonzero(np.diff(group[order])) + 1)
        return [members for members in found if len(members) >= accounts_min]

    def dump(self) -> dict[str, object]:
        """Return the state as plain values for a snapshot."""
        rows = np.flatnonzero(self.known)
        return {"rows": rows.tobytes(), "vectors": self.vectors[rows].tobytes()}

    def load(self, saved: dict[str, Any]) -> None:
        """Take up what `dump` gave. Raises SnapshotError."""
        try:
            rows = np.frombuffer(saved["rows"], np.int64)
            vectors = np.frombuffer(saved["vectors"], np.int8).reshape(-1, DIMENSIONS)
        except (KeyError, TypeError, ValueError) as error:
            raise SnapshotError(f"the state of the twins does not fit: {error}") from error
        if len(rows) != len(vectors) or (len(rows) and rows.min() < 0):
            raise SnapshotError(f"the state of the twins does not fit: {len(rows)} rows, {len(vectors)} vectors")
        # Not `zeros_like`, which writes to every page: pages that nobody has written to take no memory.
        self.vectors, self.known = np.zeros(self.vectors.shape, np.int8), np.zeros(len(self.known), np.bool_)
        self.take(rows, vectors)
