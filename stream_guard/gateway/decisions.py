"""The newest decisions in memory, for whoever has no better log of them: a Kafka worker, a fake."""

import asyncio
import uuid
from collections import deque
from collections.abc import Iterable
from itertools import islice

from stream_guard.errors import InvalidCursor
from stream_guard.events import Decision
from stream_guard.gateway.backend import Logged


class DecisionRing:
    """A `DecisionLog` that keeps the last `size_max` decisions and forgets them with the process.

    A cursor of an earlier process is refused, so that a reader learns that it may have missed something.

    Parameters
    ----------
    size_max
        How many decisions are kept; at about 1 KB each.
    """

    def __init__(self, size_max: int = 10_000) -> None:
        self._run = uuid.uuid4().hex[:8]
        self._kept: deque[Decision] = deque(maxlen=size_max)
        self._count = 0
        self._more = asyncio.Event()

    def add(self, decisions: Iterable[Decision]) -> None:
        """Append decisions; wakes who waits."""
        before = self._count
        for decision in decisions:
            self._kept.append(decision)
            self._count += 1
        if self._count > before:
            self._more.set()
            self._more = asyncio.Event()

    async def read(
        self, after: str | None, limit: int, *, since: float | None = None, account_id: str | None = None
    ) -> list[Logged]:
        """Return decisions after the cursor, oldest first. Raises InvalidCursor."""
        oldest = self._count - len(self._kept)
        start = oldest if after is None else self._number(after)
        if start < oldest:
            raise InvalidCursor(f"decisions after {after!r} are no longer kept; begin without a cursor")
        found = (
            Logged(f"{self._run}-{number}", decision)
            for number, decision in enumerate(islice(self._kept, start - oldest, None), start=start + 1)
            if (since is None or decision.ts >= since) and (account_id is None or decision.account_id == account_id)
        )
        return list(islice(found, limit))

    async def end(self) -> str | None:
        """Return the cursor of the newest decision."""
        return f"{self._run}-{self._count}" if self._count else None

    async def wait(self, after: str | None) -> None:
        """Return once there is a decision after the cursor."""
        number = 0 if after is None else self._number(after)
        while self._count <= number:
            await self._more.wait()

    def _number(self, cursor: str) -> int:
        run, _, number = cursor.partition("-")
        if run != self._run or not number.isdecimal() or int(number) > self._count:
            raise InvalidCursor(f"{cursor!r} is not a place in this log; begin without a cursor")
        return int(number)
