"""Clusters that share no account and no text but are run as one, each pool of accounts with a topic of its own.

Nobody is accused here: every cluster is a campaign by its own evidence already. It is asked whether two are the same one.
Whoever runs many accounts runs them alike: the same setting, the same quota for each account, begun at the same time,
with the same share of other traffic around it. Two campaigns that happen to be alike in all of that would be taken for
one; that costs a name, not an accusation.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_guard.campaigns.cluster import Cluster
from stream_guard.campaigns.judge import top_value
from stream_guard.campaigns.window import Window

SETTING_MIN = 0.5
"""Share of a cluster's requests with one output limit, and for one model, from which that is its setting."""
LEVEL = 0.6
"""Standard deviation of the log of its accounts' daily requests up to which a cluster has a quota for each account."""
RATE_APART, START_APART_S, COVERAGE_APART = 0.3, 1.5 * 3600.0, 0.45
"""How far apart two clusters of one campaign are at most: mean log of daily requests, median start, mean coverage."""
RATE_MIN = math.log(4.0)
"""Log of the requests a day of an account from which its quota shows."""


class Profile(NamedTuple):
    """How a cluster is run. `limit` and `model` are 0 where it has no setting of its own."""

    limit: int
    model: int
    rate: float  # mean log of the daily requests of an account
    spread: float  # standard deviation of the same
    start: float  # median over its accounts of the first carrying request, s
    coverage: float


def profile(window: Window, cluster: Cluster) -> Profile:
    """Return how a cluster is run."""
    held = window.held()[cluster.sightings]
    one = np.zeros(len(held), np.int64)

    def setting(name: str) -> int:
        values = held[name].astype(np.int64)
        best = int(top_value(values, one, 1)[0])
        return best if (values == best).mean() >= SETTING_MIN else 0

    rate = np.log(np.maximum(window.facts["day"][cluster.members], 1.0))
    first = np.full(len(cluster.members), np.inf)
    np.minimum.at(first, np.searchsorted(cluster.members, held["account"]), held["ts"])
    return Profile(
        setting("limit"), setting("model"), float(rate.mean()), float(rate.std()), float(np.median(first)),
        float(cluster.coverage.mean()),
    )  # fmt: skip


def alike(a: Profile, b: Profile) -> bool:
    """Say whether two clusters are run as one."""
    return (
        a.limit == b.limit != 0
        and a.model == b.model != 0
        and max(a.spread, b.spread) <= LEVEL
        and min(a.rate, b.rate) >= RATE_MIN
        and abs(a.rate - b.rate) <= RATE_APART
        and abs(a.start - b.start) <= START_APART_S
        and abs(a.coverage - b.coverage) <= COVERAGE_APART
    )


def gather(window: Window, clusters: list[Cluster]) -> list[Cluster]:
    """Return the clusters, the surest first, with those put together that are run as one."""
    out: list[Cluster] = []
    profiles: list[Profile] = []
    for cluster in clusters:
        if cluster.shape != "narrow":
            out.append(cluster)
            continue
        mine = profile(window, cluster)
        same = next((i for i, other in enumerate(profiles) if alike(mine, other)), None)
        narrow = [i for i, other in enumerate(out) if other.shape == "narrow"]
        if same is None:
            out.append(cluster)
            profiles.append(mine)
        else:
            out[narrow[same]] = together(out[narrow[same]], cluster)
    return out


def together(one: Cluster, other: Cluster) -> Cluster:
    """Return two clusters as one; what was judged, and is told, is that of the first."""
    new = ~np.isin(other.members, one.members)
    members = np.concatenate([one.members, other.members[new]])
    order = np.argsort(members)

    def both(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate([a, b[new]])[order]

    return Cluster(
        np.union1d(one.prints, other.prints),
        members[order],
        both(one.coverage, other.coverage),
        both(one.carried, other.carried),
        one.score,
        one.features,
        one.usual,
        np.union1d(one.sightings, other.sightings),
        both(one.doubtful, other.doubtful),
        one.shape,
        one.measured,
        one.groups + other.groups,
    )
