"""A campaign as it lives on between looks at the window, and what is kept of each of its members."""

from bisect import bisect_right
from dataclasses import astuple, dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_guard.events import Evidence, Member


@dataclass(slots=True)
class Membership:
    """When and why an account was linked, and what it has sent of the campaign since.

    Attributes
    ----------
    since, kind
        When it was linked, and the kind of evidence that did it.
    share
        Share of its requests that carry the campaign, when it was last seen to.
    carried, first_ts, last_ts, pause
        Requests that were seen to carry it at one time (the most), the time of the first and of the last, and the longest
        time between two of them, seconds.
    doubtful
        It may be a bystander: linked, watched, not acted upon.
    """

    since: float
    kind: str
    share: float
    carried: int
    first_ts: float
    last_ts: float
    doubtful: bool = False
    pause: float = 0.0


@dataclass(slots=True, eq=False)
class Live:
    """A campaign as it lives on between passes.

    Attributes
    ----------
    members
        By row of the window.
    prints
        What it was convicted of.
    pools
        When each pool began that took over from the one before, in order; most campaigns have none.
    parents
        Campaigns that it came out of.
    last_ts
        When a member was last seen to carry it, as of when somebody left.
    told_ts, told_size, past
        When its evidence was last looked at, and how many members it had; what was said of a date, by kind.
    apart, apart_ts
        How many looks in a row found that it is more than one, and when the last was.
    """

    campaign_id: str
    first_seen: float
    members: dict[int, Membership] = field(default_factory=dict)
    prints: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, np.uint32))
    score: float = 0.0
    pools: list[float] = field(default_factory=list)
    parents: tuple[str, ...] = ()
    last_ts: float = 0.0
    told_ts: float = 0.0
    told_size: int = 0
    past: dict[str, tuple[Evidence, ...]] = field(default_factory=dict)
    apart: int = 0
    apart_ts: float = 0.0

    def rows(self) -> NDArray[np.int64]:
        """Return the rows of the members."""
        return np.fromiter(self.members, np.int64, len(self.members))

    def shares(self) -> NDArray[np.float64]:
        """Return how much each member carries the campaign."""
        return np.array([of.share for of in self.members.values()], np.float64)

    def member(self, row: int, account_id: str) -> Member:
        """Return what is told of one member."""
        of = self.members[row]
        pool = 1 + bisect_right(self.pools, of.first_ts)
        return Member(account_id, of.since, of.kind, round(of.share, 4), of.first_ts, of.last_ts, pool, of.doubtful)

    def dump(self) -> list[object]:
        """Return the state as plain values for a snapshot."""
        members = [[row, *astuple(of)] for row, of in self.members.items()]
        return [
            self.campaign_id, self.first_seen, members, self.prints.tobytes(), self.score, self.pools, self.parents, self.last_ts,
            self.told_ts, self.told_size, self.past, self.apart, self.apart_ts,
        ]  # fmt: skip

    @classmethod
    def load(cls, saved: list[Any]) -> "Live":
        """Return what `dump` gave. Raises TypeError or ValueError for anything else."""
        name, first, members, prints, score, pools, parents, last, told, told_size, past, apart, apart_ts = saved
        kept = {
            int(row): Membership(
                float(since), str(kind), float(share), int(carried), float(begin), float(end), bool(doubt), float(pause)
            )
            for row, since, kind, share, carried, begin, end, doubt, pause in members
        }
        return cls(
            str(name), float(first), kept, np.frombuffer(prints, np.uint32).copy(), float(score), [float(ts) for ts in pools],
            tuple(str(parent) for parent in parents), float(last), float(told), int(told_size),
            msgspec.convert(past, dict[str, tuple[Evidence, ...]]), int(apart), float(apart_ts),
        )  # fmt: skip
