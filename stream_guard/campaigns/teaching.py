"""What analysts have said about campaigns, as far as linking goes by it.

A campaign that was called benign is a known template from then on: its fingerprints speak for nothing, whoever shows
them, and accounts that were cleared together are not accused together again for a while, whatever joins them. The last
word about a campaign counts. The weights of the judge are taught elsewhere (`engine.teaching`), with the features that
are kept here as the campaign was judged on them.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_guard.campaigns import judge
from stream_guard.errors import SnapshotError

JUDGED_MAX = 10_000
"""Campaigns, newest first, of which it is kept what they were judged on."""
CLEARED_MAX = 1_000
"""Campaigns whose clearance is remembered; beyond it the oldest words are forgotten."""
CLEARED_S = 30 * 86_400.0
"""How long accounts that were cleared together are not accused together again. Their template stays known."""
KNOWN = 0.5
"""Share of a group's fingerprints, and of a cluster's accounts, beyond which what was cleared excuses it."""

_NO_PRINTS = np.zeros(0, np.uint32)
Label = Literal["malicious", "benign"]


class Taught(NamedTuple):
    """What linking goes by that analysts have a say in."""

    weights: NDArray[np.float64] = judge.WEIGHTS
    templates: NDArray[np.uint32] = _NO_PRINTS
    """Fingerprints of campaigns that were called benign, sorted."""


class _Judged(NamedTuple):
    features: NDArray[np.float64]
    said: Label | None


@dataclass(slots=True)
class _Clearance:
    ts: float
    prints: NDArray[np.uint32]
    members: set[int]


@dataclass(slots=True)
class Words:
    """What was said about which campaign. Bounded, and part of a registry's state."""

    weights: NDArray[np.float64] = field(default_factory=lambda: judge.WEIGHTS)
    _judged: dict[str, _Judged] = field(default_factory=dict)
    _cleared: dict[str, _Clearance] = field(default_factory=dict)
    _templates: NDArray[np.uint32] = field(default_factory=lambda: _NO_PRINTS)

    @property
    def taught(self) -> Taught:
        """What the next look at the window goes by."""
        return Taught(self.weights, self._templates)

    def judged(self, campaign_id: str, features: NDArray[np.float64]) -> None:
        """Keep what a campaign was judged on last, for a word about it to teach with."""
        before = self._judged.pop(campaign_id, None)
        self._judged[campaign_id] = _Judged(features, before.said if before else None)
        if len(self._judged) > JUDGED_MAX:
            del self._judged[next(iter(self._judged))]

    def lesson(self, campaign_id: str, label: Label) -> NDArray[np.float64] | None:
        """Return the features that a word teaches with; None if there are none, or it says what was said before."""
        known = self._judged.get(campaign_id)
        if known is None or known.said == label:
            return None
        self._judged[campaign_id] = known._replace(said=label)
        return known.features

    def clear(self, campaign_id: str, prints: NDArray[np.uint32], members: Collection[int], ts: float) -> None:
        """Take a campaign's template and its accounts as honest."""
        before = self._cleared.pop(campaign_id, None)
        if before is not None:
            prints, members = np.union1d(prints, before.prints), {*members, *before.members}
        self._cleared[campaign_id] = _Clearance(ts, prints, set(members))
        if len(self._cleared) > CLEARED_MAX:
            del self._cleared[next(iter(self._cleared))]
        self._collect()

    def withdraw(self, campaign_id: str) -> None:
        """Take back that a campaign is honest."""
        if self._cleared.pop(campaign_id, None) is not None:
            self._collect()

    def excuses(self, members: Collection[int], ts: float) -> bool:
        """Say whether these accounts are mostly some that were cleared together, not too long ago."""
        return any(
            ts - word.ts < CLEARED_S and len(word.members.intersection(members)) > KNOWN * len(members)
            for word in self._cleared.values()
        )

    def forget(self, rows: Collection[int]) -> None:
        """Forget accounts: their rows will be others'."""
        for word in self._cleared.values():
            word.members.difference_update(rows)

    def _collect(self) -> None:
        """Put the templates of all clearances together."""
        cleared = [word.prints for word in self._cleared.values()]
        self._templates = np.unique(np.concatenate(cleared)) if cleared else _NO_PRINTS

    def dump(self) -> dict[str, object]:
        """Return the state as plain values; the weights are the teacher's to keep."""
        return {
            "features": list(judge.FEATURES),
            "judged": [[name, of.features.tolist(), of.said] for name, of in self._judged.items()],
            "cleared": [[n, w.ts, w.prints.tobytes(), sorted(w.members)] for n, w in self._cleared.items()],
        }

    def load(self, saved: dict[str, Any]) -> None:
        """Take up what `dump` gave; what was judged on other features is forgotten. Raises SnapshotError."""
        try:
            same = saved["features"] == list(judge.FEATURES)
            self._judged = {
                str(name): _Judged(np.array(features, np.float64), said)
                for name, features, said in (saved["judged"] if same else ())
            }
            self._cleared = {
                str(name): _Clearance(float(ts), np.frombuffer(prints, np.uint32).copy(), {int(m) for m in members})
                for name, ts, prints, members in saved["cleared"]
            }
        except (KeyError, TypeError, ValueError) as error:
            raise SnapshotError(f"the words of analysts do not fit: {error}") from error
        self._collect()
