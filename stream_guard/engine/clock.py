"""Event time as far as it can be believed: one clock that is years ahead must not end every decision."""

from collections.abc import Iterable

PATIENCE = 64
"""So many events in a row that are far ahead move the clock after all: traffic has come back after a pause."""


class EventClock:
    """The latest time that events have shown.

    The first event sets it; until a second one agrees with it, the next sets it anew. An event more than `ahead_max_s`
    ahead is *early*: it counts as of now and moves nothing, unless `PATIENCE` of them come in a row; then the clock goes to
    the earliest of these. It never goes back, so that what was decided stays decided.

    Attributes
    ----------
    now
        Seconds since 1970; 0 before the first event.
    early
        Events met that were too far ahead.

    Examples
    --------
    >>> clock = EventClock(ahead_max_s=86_400.0)
    >>> clock.see([1_777_000_000.0, 1_777_000_001.0, 4_000_000_000.0, 1_777_000_002.0])
    [1777000000.0, 1777000001.0, 1777000001.0, 1777000002.0]
    >>> clock.now, clock.early
    (1777000002.0, 1)
    """

    def __init__(self, ahead_max_s: float, patience: int = PATIENCE) -> None:
        self.ahead_max_s, self.patience = ahead_max_s, patience
        self.now, self.early = 0.0, 0
        self._agreed = False
        self._row, self._earliest = 0, 0.0

    def see(self, times: Iterable[float]) -> list[float]:
        """Take the times of some events in order; returns each as it counts: its own, or now if it is early."""
        return [self.see_one(ts) for ts in times]

    def see_one(self, ts: float) -> float:
        """Take the time of one event; returns as of when it counts."""
        if ts <= self.now + self.ahead_max_s:
            self._row = 0
            if not self._agreed:
                self._second(ts)
            elif ts > self.now:
                self.now = ts
            return ts
        if not self._agreed:
            self._second(ts)
            return ts
        self.early += 1
        self._earliest = min(self._earliest, ts) if self._row else ts
        self._row += 1
        if self._row >= self.patience:
            self._row, self.now = 0, self._earliest
        return self.now

    def _second(self, ts: float) -> None:
        self._agreed = self.now > 0 and abs(ts - self.now) <= self.ahead_max_s
        self.now = max(self.now, ts) if self._agreed else ts

    def advance(self, ts: float) -> bool:
        """Say that it is `ts` at least, by other means than an event; returns whether that is news."""
        if ts <= self.now:
            return False
        self.now = ts
        return True

    def dump(self) -> list[float]:
        """Return the state as plain values for a snapshot."""
        return [self.now, self.early, self._agreed, self._row, self._earliest]

    def load(self, saved: list[float]) -> None:
        """Take up what `dump` gave. Raises ValueError, TypeError."""
        now, early, agreed, row, earliest = saved
        self.now, self.early, self._agreed, self._row, self._earliest = (
            now,
            int(early),
            bool(agreed),
            int(row),
            earliest,
        )
