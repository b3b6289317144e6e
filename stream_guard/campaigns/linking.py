"""Linking accounts into campaigns: groups are judged, the guilty ones gathered, their members cut to those who belong.

The order matters, each step removed a class of error: judge every group; begin with the most suspicious; a group most of
whose accounts are explained already joins that cluster instead of standing for itself; keep as members those whose
requests the cluster really carries; judge what is left once more. One customer with many accounts (a class, a firm) is
no campaign, whatever it sends.
"""

import hashlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stream_guard.campaigns import groups, judge
from stream_guard.campaigns.groups import Carried
from stream_guard.campaigns.settings import LinkSettings
from stream_guard.campaigns.window import Window


@dataclass(slots=True)
class Cluster:
    """Accounts that belong together in this pass. Arrays of members are in the same order."""

    prints: NDArray[np.uint32]
    members: NDArray[np.int64]
    coverage: NDArray[np.float64]
    carried: NDArray[np.int64]
    score: float
    features: NDArray[np.float64]
    usual: NDArray[np.float64]
    sightings: NDArray[np.int64]
    shape: str = "narrow"


@dataclass(slots=True)
class Live:
    """A campaign as it lives on between passes."""

    campaign_id: str
    first_seen: float
    members: dict[int, float] = field(default_factory=dict)
    prints: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, np.uint32))
    score: float = 0.0
    growth: list[tuple[float, int]] = field(default_factory=list)
    ended: bool = False


def _rows_of(sorted_keys: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return where each of `count` keys begins in a sorted array, and its end."""
    return np.searchsorted(sorted_keys, np.arange(count + 1))


class Linker:
    """Finds the clusters of a window that are campaigns. Holds no state of its own: campaigns in, clusters out."""

    def __init__(self, settings: LinkSettings) -> None:
        self.settings = settings

    def clusters(self, window: Window, live: list[Live]) -> list[Cluster]:
        """Return the campaigns of this moment, the surest first."""
        carried = groups.form(window)
        count = len(carried.sizes)
        if not len(carried.group):
            return []
        starts = _rows_of(carried.group, count)
        pairs = judge.Pairs(carried.group.astype(np.int64), carried.account.astype(np.int64), carried.sighting)
        shown = np.unique(pairs.cluster << 32 | pairs.account)
        accounts = np.bincount(shown >> 32, minlength=count)
        features = judge.measure(window, pairs, carried.sizes.astype(np.int64), count)
        ordinary = judge.usual(features, accounts)
        score = judge.judge(features, accounts, ordinary).score
        members_at = np.searchsorted(shown >> 32, np.arange(count + 1))
        members = (shown & 0xFFFFFFFF).astype(np.int64)

        convicted = self._convicted(window, carried, live, count)
        customer = self._one_customer(window, shown >> 32, members, count)
        guilty = np.flatnonzero(((score > self.settings.suspect) & (accounts >= 4) | (convicted >= 0)) & ~customer)
        gathered: list[tuple[set[int], list[int], int]] = []  # members, groups, convicted as
        for k, _ in enumerate(live):
            own = guilty[convicted[guilty] == k]
            if len(own):
                gathered.append(
                    ({int(a) for g in own for a in members[members_at[g] : members_at[g + 1]]}, own.tolist(), k)
                )
        for g in guilty[np.argsort(-score[guilty], kind="stable")].tolist():
            if convicted[g] >= 0:
                continue
            who = set(members[members_at[g] : members_at[g + 1]].tolist())
            best = max(gathered, key=lambda c: len(c[0] & who), default=None)
            if best is not None and len(best[0] & who) >= 0.4 * len(who):
                best[0].update(who)
                best[1].append(g)
            else:
                gathered.append((who, [g], -1))
        totals = np.bincount(window.held()["account"], minlength=len(window.names))
        found = [self._trim(window, carried, starts, part, totals, ordinary, known >= 0) for _, part, known in gathered]
        kept = [cluster for cluster in found if cluster is not None]
        return sorted(kept, key=lambda c: -c.score)

    def _convicted(self, window: Window, carried: Carried, live: list[Live], count: int) -> NDArray[np.int64]:
        """Return for each group the place in `live` of the campaign that half of its fingerprints are known from, or -1."""
        known = np.full(count, -1, np.int64)
        slots = np.flatnonzero(carried.group_of >= 0)
        of, keys = carried.group_of[slots], window.keys[slots]
        for k, campaign in enumerate(live):
            hits = np.bincount(of[np.isin(keys, campaign.prints)], minlength=count)
            known[(2 * hits > carried.sizes) & (carried.sizes >= 2)] = k
        return known

    def _one_customer(
        self, window: Window, cluster: NDArray[np.int64], account: NDArray[np.int64], count: int
    ) -> NDArray[np.bool_]:
        facts, one = window.facts[account], np.ones(len(account))
        mail = np.where(facts["public_mail"], 0, facts["mail"]).astype(np.int64)
        same = np.maximum(
            judge.top_share(facts["org"].astype(np.int64), one, cluster, count)[0],
            judge.top_share(mail, one, cluster, count)[0],
        )
        return same >= self.settings.one_customer

    def _trim(
        self, window: Window, carried: Carried, starts: NDArray[np.int64], part: list[int], totals: NDArray[np.int64],
        ordinary: NDArray[np.float64], known: bool,
    ) -> Cluster | None:  # fmt: skip
        """Cut a cluster to those who belong and judge it again; None if nothing guilty is left."""
        sightings = np.unique(np.concatenate([carried.sighting[starts[g] : starts[g + 1]] for g in part]))
        account = window.held()["account"][sightings].astype(np.int64)
        who, inverse, n = np.unique(account, return_inverse=True, return_counts=True)
        coverage = n / np.maximum(totals[who], 1)
        keep = (coverage >= 0.4 * np.median(coverage)) & (n >= (1 if known else 2))
        if keep.sum() < self.settings.accounts_min:
            return None
        inside = keep[inverse]
        sightings, account = sightings[inside], account[inside]
        order = np.argsort(account, kind="stable")
        pairs = judge.Pairs(np.zeros(len(order), np.int64), account[order], sightings[order])
        slots = np.flatnonzero(np.isin(carried.group_of, part))
        features = judge.measure(window, pairs, np.array([len(slots)]), 1)
        verdict = judge.judge(features, np.array([keep.sum()], float), ordinary)
        who = who[keep]
        if self._one_customer(window, np.zeros(len(who), np.int64), who, 1)[0]:
            return None
        if verdict.score[0] < (self.settings.suspect if known else self.settings.convict) or len(slots) < 4:
            return None
        return Cluster(
            window.keys[slots],
            who,
            coverage[keep],
            n[keep],
            float(verdict.score[0]),
            verdict.features[0],
            verdict.usual,
            sightings,
        )


def campaign_id(first_seen: float, accounts: list[str]) -> str:
    """Return the id of a campaign: a hash of when it was first seen and the accounts it was found with."""
    about = f"{first_seen:.3f} {' '.join(sorted(accounts))}"
    return "ca_" + hashlib.blake2b(about.encode(), digest_size=8).hexdigest()
