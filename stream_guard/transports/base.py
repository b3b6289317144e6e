"""The contracts between the one loop (`worker.py`) and the outside world."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from stream_guard.engine import Outcome
from stream_guard.events import DeadLetter


@dataclass(frozen=True, slots=True)
class Batch:
    """Payloads of one partition in order. `next_offset` is the offset of the NEXT payload to read after this batch."""

    partition: int
    payloads: Sequence[bytes]
    next_offset: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of one partition's engine and the next offset to read: together, so that they cannot disagree."""

    state: bytes
    next_offset: int


class Source(Protocol):
    """Where events come from."""

    async def poll(self) -> list[Batch]:
        """Return what is there, waiting a short while for it; empty if nothing came. Raises EOFError at the end."""
        ...

    async def commit(self, offsets: dict[int, int]) -> None:
        """Say that everything before these offsets (partition -> next) is safe. May be lost: snapshots decide."""
        ...

    async def close(self) -> None:
        """Let go of what is held."""
        ...


class Sink(Protocol):
    """Where results go. A record written twice has the same id both times."""

    async def add(self, outcome: Outcome, dead_letters: Sequence[DeadLetter]) -> None:
        """Take results; they are not safe until `flush` has returned."""
        ...

    async def flush(self) -> None:
        """Return once everything added is safe outside. Raises SinkError: the batch will be processed again."""
        ...

    async def close(self) -> None:
        """Flush and let go."""
        ...


class SnapshotStore(Protocol):
    """Where snapshots are kept: reachable by whichever worker owns the partition next."""

    def load(self, partition: int) -> Snapshot | None:
        """Return the newest whole snapshot, or None. Raises SnapshotError if it is damaged."""
        ...

    def save(self, partition: int, snapshot: Snapshot) -> None:
        """Replace the snapshot atomically."""
        ...
