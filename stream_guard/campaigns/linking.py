"""Linking accounts into campaigns: groups are judged, the guilty ones gathered, their members cut to those who belong.

The order matters, each step removed a class of error: judge every group; begin with the most suspicious; a group most of
whose accounts are explained already joins that cluster instead of standing for itself; keep as members those whose
requests the cluster really carries; judge what is left once more. One customer with many accounts (a class, a firm) is
no campaign, whatever it sends.
"""

import hashlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_guard.campaigns import groups, judge, siblings
from stream_guard.campaigns.cluster import Cluster
from stream_guard.campaigns.groups import Carried
from stream_guard.campaigns.judge import Look
from stream_guard.campaigns.live import Live
from stream_guard.campaigns.settings import LinkSettings
from stream_guard.campaigns.teaching import KNOWN, Taught
from stream_guard.campaigns.twins import Twins
from stream_guard.campaigns.window import Window, distinct

JOINS = 0.4
"""Share of a group's accounts in a worse cluster from which it joins that cluster."""
COVERAGE_MIN = 0.4
"""Share of the cluster's median coverage that a member has at least."""
CORE = 0.2
"""Share of the widest group's accounts that another group of the cluster has at least: a text that a few members happen to
share with honest accounts (such as their cover) makes nobody a member."""
CLUSTER_PRINTS_MIN = 4
MANY_GROUPS, MANY_ACCOUNTS = 3, 8
"""Texts that accounts share, each shown by accounts of its own, and accounts from which less has to be odd about each."""
LENIENCE = 2.0
"""Log odds that a group may score below the bar if its text is known from a campaign."""
BROAD = 2
"""Groups of the cluster that a member shows: somebody who shows one of many has that one text in common with it, no more."""
MOST = 0.5
"""Share of the cluster's accounts from which a single group speaks for a member, if members mostly show no more than `FEW`."""
FEW = 2
SOME = 0.25
"""The same for an account that is linked and watched, if it is by itself as the campaign's are."""
UNLIKE = -2.0
"""Log odds, of accounts such as a member is, below which it is linked but not acted upon."""
NEAR, GROWTH_NEAR, GROWTH = 3.0, 0.03, 0.25
"""By how much a group has to grow until a glance judges it again; by less if its score is this near to that of a suspect."""


class Scene(NamedTuple):
    """What one pass has found out about every group."""

    look: Look
    carried: Carried
    starts: NDArray[np.int64]  # where each group's pairs begin in `carried`, and the end
    members: list[NDArray[np.int64]]  # accounts of each group
    accounts: NDArray[np.float64]  # how many those are
    features: NDArray[np.float64]  # not shrunk
    ordinary: NDArray[np.float64]
    score: NDArray[np.float64]
    weights: NDArray[np.float64]


class Linker:
    """Finds the clusters of a window that are campaigns: campaigns in, clusters out.

    Its only state is what is usual of groups: `before` any were seen here, and at the last look, `now`.
    """

    def __init__(self, settings: LinkSettings) -> None:
        self.settings = settings
        self.before = judge.SHIPPED
        self.now = judge.Ordinary(judge.USUAL, 0.0)

    def clusters(
        self, window: Window, live: list[Live], twins: Twins | None = None, taught: Taught | None = None
    ) -> list[Cluster]:
        """Return the campaigns of this moment, the surest first; `twins` are looked at too where they are given.

        `taught` is what analysts have said, if they have.
        """
        carried, taught = groups.form(window), taught or Taught()
        if not len(carried.group):
            return []
        scene = self._judged(window, carried, taught.weights)
        self.now = judge.Ordinary(scene.ordinary, float((scene.accounts >= judge.USUAL_FROM).sum()))
        return self._found(scene, live, twins, taught)

    def begun(self, window: Window, live: list[Live], since: int, taught: Taught | None = None) -> list[Cluster]:
        """Return the campaigns among the groups that the sightings from number `since` on show.

        Only groups that have grown since they were judged last are judged: it costs what those have, not what the window
        has. Of a campaign that is not known, other groups may be found by a look at everything.
        """
        carried, taught = groups.form_fresh(window, since), taught or Taught()
        if not len(carried.group):
            return []
        return self._found(self._judged(window, carried, taught.weights, self.now.features), live, None, taught)

    def joining(
        self, window: Window, live: list[Live], since: int, taught: Taught | None = None
    ) -> list[tuple[Live, Cluster]]:
        """Return who begins to carry one of these campaigns with the sightings from number `since` on.

        One request is enough that carries what the campaign was convicted of, if the account's others carry it as much as
        those of the members do, and if it is by itself as the campaign's are. Whether it is a member for sure, a look at
        the whole window says.
        """
        told = [campaign for campaign in live if len(campaign.prints) >= CLUSTER_PRINTS_MIN]
        if not told:
            return []
        whose = np.repeat(np.arange(len(told), dtype=np.int32), [len(campaign.prints) for campaign in told])
        prints, first = np.unique(np.concatenate([campaign.prints for campaign in told]), return_index=True)
        fresh = groups.carrying(window, prints, whose[first], window.places(since)).account
        account = np.setdiff1d(fresh.astype(np.int64), _members(live))
        if not len(account):
            return []
        carried = groups.carrying(window, prints, whose[first], window.shown_by(account))
        pairs = judge.Pairs(carried.group.astype(np.int64), carried.account.astype(np.int64), carried.sighting)
        measured = judge.measure(Look.over(window), pairs, carried.sizes.astype(np.int64), len(told))
        own = judge.each(measured, self.now.features, (taught or Taught()).weights)
        found = []
        for k, campaign in enumerate(told):
            mine = measured.cluster == k
            who, n = np.unique(pairs.account[pairs.cluster == k], return_counts=True)
            coverage = n / np.maximum(window.totals[who], 1)
            kept = (coverage >= COVERAGE_MIN * np.median(campaign.shares())) & (own[mine] >= self.settings.suspect)
            if kept.any():
                cluster = Cluster(
                    np.zeros(0, np.uint32), who[kept], coverage[kept], n[kept], campaign.score, judge.USUAL, self.now.features,
                    pairs.sighting[(pairs.cluster == k) & np.isin(pairs.account, who[kept])], np.ones(int(kept.sum()), np.bool_),
                )  # fmt: skip
                found.append((campaign, cluster))
        return found

    def _found(self, scene: Scene, live: list[Live], twins: Twins | None, taught: Taught) -> list[Cluster]:
        window, carried = scene.look.window, scene.carried
        convicted = self._convicted(carried, live)
        near = (scene.score > self.settings.suspect - NEAR) & (convicted < 0)
        growth = np.diff(scene.starts) * np.where(near, GROWTH_NEAR, GROWTH)
        groups.rest(window, carried.slots, growth[carried.of])
        honest = self._known_from(carried, taught.templates) > KNOWN * carried.sizes
        enough = scene.accounts >= groups.ACCOUNTS_MIN
        relay = judge.relays(scene.features)
        known = (convicted >= 0) & (scene.score > self.settings.suspect - LENIENCE)
        guilty = ((scene.score > self.settings.suspect) & enough | known | relay) & ~honest
        for g in np.flatnonzero(guilty).tolist():
            guilty[g] = not self.one_customer(window, scene.members[g])
        relay &= guilty
        found = [self._relay(scene, part) for part, _ in self._gather(scene, relay, np.full(len(relay), -1))]
        guilty &= ~relay & ~self._passed_on(scene, guilty, [cluster.members for cluster in found if cluster])
        found += [self._trim(scene, part, known=known) for part, known in self._gather(scene, guilty, convicted)]
        if twins is not None:
            found += self._alike(scene, twins, self._carriers(scene, honest))
        sure = sorted((cluster for cluster in found if cluster is not None), key=lambda c: -c.score)
        return siblings.gather(window, sure)

    def _carriers(self, scene: Scene, honest: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the accounts most of whose requests carry templates that are known to be honest."""
        carrying = distinct(scene.carried.sighting[honest[scene.carried.group]])
        account = scene.look.held["account"][carrying].astype(np.int64)
        n = np.bincount(account, minlength=len(scene.look.totals))
        return np.flatnonzero(n > KNOWN * scene.look.totals)

    def _alike(self, scene: Scene, twins: Twins, honest: NDArray[np.int64]) -> list[Cluster]:
        """Judge the groups of behavioural twins: by all their requests, as no text says which are the campaign's."""
        look = scene.look
        found = [np.setdiff1d(who, honest) for who in twins.groups(self.settings.accounts_min)]
        found = [
            who for who in found if len(who) >= self.settings.accounts_min and not self.one_customer(look.window, who)
        ]
        if not found:
            return []
        group_of = np.full(len(look.totals), -1, np.int64)
        for g, who in enumerate(found):
            group_of[who[who < len(group_of)]] = g
        account = look.held["account"].astype(np.int64)
        sightings = np.flatnonzero(group_of[account] >= 0)
        sightings = sightings[np.lexsort((account[sightings], group_of[account[sightings]]))]
        pairs = judge.Pairs(group_of[account[sightings]], account[sightings], sightings)
        measured = judge.measure(look, pairs, np.ones(len(found), np.int64), len(found), text=False)
        n = np.bincount(measured.cluster, minlength=len(found)).astype(float)
        verdict = judge.judge(measured.features, n, scene.ordinary, scene.weights)
        own = judge.each(measured, scene.ordinary, scene.weights)
        clusters = []
        for g in np.flatnonzero(verdict.score >= self.settings.convict_twins).tolist():
            kept = (measured.cluster == g) & (own >= self.settings.suspect)
            who = measured.account[kept]
            if len(who) < self.settings.accounts_min:
                continue
            mine = sightings[(pairs.cluster == g) & np.isin(pairs.account, who)]
            clusters.append(
                Cluster(
                    np.zeros(0, np.uint32),
                    who,
                    np.ones(len(who)),
                    np.bincount(np.searchsorted(who, account[mine]), minlength=len(who)),
                    float(verdict.score[g]),
                    verdict.features[g],
                    scene.ordinary,
                    mine,
                    np.ones(len(who), np.bool_),  # who shares no text is not acted upon for asking alike
                    "twin",
                    measured.features[g],
                )
            )
        return clusters

    def _judged(
        self,
        window: Window,
        carried: Carried,
        weights: NDArray[np.float64],
        ordinary: NDArray[np.float64] | None = None,
    ) -> Scene:
        """Measure and score every group by itself."""
        count, look = len(carried.sizes), Look.over(window)
        pairs = judge.Pairs(carried.group.astype(np.int64), carried.account.astype(np.int64), carried.sighting)
        shown = pairs.cluster << 32 | pairs.account  # sorted already
        shown = shown[np.r_[True, shown[1:] != shown[:-1]]]
        accounts = np.bincount(shown >> 32, minlength=count).astype(np.float64)
        features = judge.measure(look, pairs, carried.sizes.astype(np.int64), count).features
        if ordinary is None:
            ordinary = judge.usual(features, accounts, self.before)
        members = np.split(shown & 0xFFFFFFFF, np.cumsum(accounts.astype(np.int64))[:-1])
        score = judge.judge(features, accounts, ordinary, weights).score
        starts = np.searchsorted(carried.group, np.arange(count + 1))
        return Scene(look, carried, starts, members, accounts, features, ordinary, score, weights)

    def _convicted(self, carried: Carried, live: list[Live]) -> NDArray[np.int64]:
        """Return for each group the place in `live` of the campaign that half of its fingerprints are known from, or -1."""
        known = np.full(len(carried.sizes), -1, np.int64)
        for k, campaign in enumerate(live):
            hits = self._known_from(carried, campaign.prints)
            known[(2 * hits > carried.sizes) & (carried.sizes >= groups.PRINTS_MIN)] = k
        return known

    def _known_from(self, carried: Carried, prints: NDArray[np.uint32]) -> NDArray[np.int64]:
        """Count the fingerprints of each group that are among `prints`."""
        known = np.isin(carried.prints, prints) if len(prints) else np.zeros(len(carried.prints), np.bool_)
        return np.bincount(carried.of[known], minlength=len(carried.sizes))

    def one_customer(self, window: Window, who: NDArray[np.int64]) -> bool:
        """Say whether nearly all of these accounts are of one organisation or one mail domain of its own.

        Of the mail domains only those that are known count, if they are most: some accounts come without any facts.
        """
        facts = window.facts[who]
        mail = facts["mail"][facts["mail"] != 0]
        own = facts["mail"][(facts["mail"] != 0) & (facts["public_mail"] == 0)]
        of = max(len(mail), len(who) / 2)
        for values, n in ((facts["org"][facts["org"] != 0], len(who)), (own, of)):
            if len(values) and np.unique(values, return_counts=True)[1].max() >= self.settings.one_customer * n:
                return True
        return False

    def _gather(
        self, scene: Scene, guilty: NDArray[np.bool_], convicted: NDArray[np.int64]
    ) -> list[tuple[list[int], bool]]:
        """Put guilty groups together: by the campaign they are known from, else by shared accounts, the worst first."""
        gathered: list[tuple[set[int], list[int], bool]] = []
        for k in np.unique(convicted[guilty]).tolist():
            if k >= 0:
                own = np.flatnonzero(guilty & (convicted == k)).tolist()
                gathered.append(({a for g in own for a in scene.members[g].tolist()}, own, True))
        rest = np.flatnonzero(guilty & (convicted < 0))
        for g in rest[np.argsort(-scene.score[rest], kind="stable")].tolist():
            who = set(scene.members[g].tolist())
            best = max(gathered, key=lambda c: len(c[0] & who), default=None)
            if best is not None and len(best[0] & who) >= JOINS * len(who):
                best[0].update(who)
                best[1].append(g)
            else:
                gathered.append((who, [g], False))
        return [(part, known) for _, part, known in gathered]

    def _trim(self, scene: Scene, part: list[int], *, known: bool) -> Cluster | None:
        """Cut a cluster to those who belong and judge it again; None if nothing guilty is left."""
        cluster = self._cut(scene, part, requests_min=1 if known else 2)
        if (
            cluster is None
            or len(cluster.prints) < CLUSTER_PRINTS_MIN
            or self.one_customer(scene.look.window, cluster.members)
        ):
            return None
        broad = cluster.groups >= MANY_GROUPS and len(cluster.members) >= MANY_ACCOUNTS
        bar = self.settings.suspect if known else self.settings.convict_broad if broad else self.settings.convict
        return cluster if cluster.score >= bar else None

    def _relay(self, scene: Scene, part: list[int]) -> Cluster | None:
        """Let a relay's members stay as the rule finds them: its text is in a part of their requests only."""
        cluster = self._cut(scene, part, requests_min=2)
        if cluster is None or self.one_customer(scene.look.window, cluster.members):
            return None
        cluster.shape, cluster.score = "relay", max(cluster.score, self.settings.convict + 1.0)
        return cluster

    def _passed_on(self, scene: Scene, guilty: NDArray[np.bool_], relays: list[NDArray[np.int64]]) -> NDArray[np.bool_]:
        """Say which groups relays explain: what their customers send is no evidence, and other people send it too."""
        passed = np.zeros(len(guilty), np.bool_)
        if relays:
            known = np.concatenate(relays)
            for g in np.flatnonzero(guilty).tolist():
                passed[g] = np.isin(scene.members[g], known).mean() >= CORE
        return passed

    def _pays_alike(self, window: Window, who: NDArray[np.int64], keep: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Say who pays by means that one of those kept uses too: for them one request is enough.

        Colleagues share a card as well: an account that is vouched for is not joined by that.
        """
        facts = window.facts[who]
        joined: NDArray[np.bool_] = np.isin(facts["payment"], facts["payment"][keep]) & (facts["payment"] != 0)
        return joined & ~judge.vouched(facts)

    def _cut(self, scene: Scene, part: list[int], requests_min: int) -> Cluster | None:
        """Keep the accounts that the groups in `part` cover well enough; None if those are too few."""
        look, weights = scene.look, scene.weights
        widest = max(scene.accounts[g] for g in part)
        part = [g for g in part if scene.accounts[g] >= CORE * widest]
        sightings = distinct(
            np.concatenate([scene.carried.sighting[scene.starts[g] : scene.starts[g + 1]] for g in part])
        )
        if not len(sightings):  # of a group that is known from a campaign, and that none in the window carries
            return None
        account = look.held["account"][sightings].astype(np.int64)
        sightings, account = sightings[order := np.argsort(account, kind="stable")], account[order]
        who, n = np.unique(account, return_counts=True)
        coverage = n / np.maximum(look.totals[who], 1)
        carries = (coverage >= COVERAGE_MIN * np.median(coverage)) & (n >= requests_min)
        carries |= self._pays_alike(look.window, who, carries)
        firm, likely = self._shown(scene, part, who, carries)
        if firm.sum() < self.settings.accounts_min:
            return None
        prints = scene.carried.prints[np.isin(scene.carried.of, part)]

        def measured(kept: NDArray[np.bool_]) -> judge.Measured:
            inside = np.isin(account, who[kept])
            one = np.zeros(int(inside.sum()), np.int64)
            pairs = judge.Pairs(one, account[inside], sightings[inside])
            return judge.measure(look, pairs, np.array([len(prints)]), 1)

        core = measured(firm)
        verdict = judge.judge(core.features, np.array([firm.sum()], float), scene.ordinary, weights)
        own = np.full(len(who), -np.inf)
        own[firm | likely] = judge.each(measured(firm | likely), scene.ordinary, weights)
        kept = firm | likely & (own >= self.settings.suspect)
        doubtful = ~firm | (own < UNLIKE)
        return Cluster(
            prints,
            who[kept],
            coverage[kept],
            n[kept],
            float(verdict.score[0]),
            verdict.features[0],
            scene.ordinary,
            sightings[np.isin(account, who[kept])],
            doubtful[kept],
            measured=core.features[0],
            groups=len(part),
        )

    def _shown(
        self, scene: Scene, part: list[int], who: NDArray[np.int64], carries: NDArray[np.bool_]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Say who shows enough of the groups in `part` to be a member for sure, and who by what is like one else."""
        places = np.concatenate([np.searchsorted(who, scene.members[g]) for g in part])
        widths = np.repeat(scene.accounts[part], [len(scene.members[g]) for g in part])
        breadth, widest = np.bincount(places, minlength=len(who)), np.zeros(len(who))
        np.maximum.at(widest, places, widths)
        few = np.median(breadth[carries]) <= FEW if carries.any() else True
        firm = carries & ((breadth >= BROAD) | (widest > MOST * len(who)) & few)
        return firm, carries & ~firm & (widest >= SOME * len(who))


def _members(live: list[Live]) -> NDArray[np.int64]:
    """Return the rows of the members of these campaigns."""
    return np.concatenate([np.zeros(0, np.int64), *(campaign.rows() for campaign in live)])


def campaign_id(first_seen: float, accounts: list[str]) -> str:
    """Return the id of a campaign: a hash of when it was first seen and the accounts it was found with."""
    about = f"{first_seen:.3f} {' '.join(sorted(accounts))}"
    return "ca_" + hashlib.blake2b(about.encode(), digest_size=8).hexdigest()
