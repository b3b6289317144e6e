"""A cluster: accounts that one look at the window has found to belong together."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from stream_guard.campaigns import judge


@dataclass(slots=True)
class Cluster:
    """Accounts that belong together in this pass. Arrays of members are in the same order."""

    prints: NDArray[np.uint32]
    members: NDArray[np.int64]
    coverage: NDArray[np.float64]
    carried: NDArray[np.int64]
    score: float
    features: NDArray[np.float64]  # shrunk: what was judged
    usual: NDArray[np.float64]
    sightings: NDArray[np.int64]
    doubtful: NDArray[np.bool_]  # members that are linked and watched, but not acted upon: perhaps bystanders
    shape: str = "narrow"
    measured: NDArray[np.float64] = field(default_factory=lambda: judge.USUAL)  # not shrunk: what is told
    groups: int = 1  # of fingerprints that it was found by

    def only(self, kept: NDArray[np.bool_]) -> "Cluster":
        """Return the cluster with these members only."""
        if kept.all():
            return self
        return replace(
            self,
            members=self.members[kept],
            coverage=self.coverage[kept],
            carried=self.carried[kept],
            doubtful=self.doubtful[kept],
        )
