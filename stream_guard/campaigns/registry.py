"""Campaigns as they live: an id that stays as they grow, members that come and go, merges, splits, successors.

The clusters of a pass are matched with the campaigns known by shared members and shared fingerprints. What a campaign
was convicted of is remembered: a later account needs one such request, where the first ones needed many.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_guard.campaigns import infrastructure, judge
from stream_guard.campaigns.bystanders import BYSTANDER, BYSTANDER_RISK, USUAL, chances, distances
from stream_guard.campaigns.cluster import Cluster
from stream_guard.campaigns.evidence import Around, Case, told
from stream_guard.campaigns.linking import Linker, campaign_id
from stream_guard.campaigns.live import Live, Membership
from stream_guard.campaigns.reasoning import ReasoningJoin
from stream_guard.campaigns.settings import LinkSettings
from stream_guard.campaigns.teaching import Label, Words
from stream_guard.campaigns.twins import Twins
from stream_guard.campaigns.window import Window
from stream_guard.codecs import moment
from stream_guard.errors import SnapshotError
from stream_guard.events import Campaign, CampaignView, Evidence, Release, Shape

SAME = 0.3
"""Share of members or fingerprints in common from which a cluster is a known campaign."""
PRINTS_MAX = 4096
GROWTH_MAX = 512
VIEWS_MAX = 10_000
"""Campaigns that are told of; beyond it the oldest that have ended are forgotten."""
ENDED_MAX = 256
"""Campaigns that have ended whose fingerprints are remembered, so that a successor is known as one."""
MODELS_MAX = 5
TWINS_EVERY = 4
"""Looks at the window for one at the twins, which costs more and changes more slowly."""
TELL_EVERY_S, TELL_GROWTH = 600.0, 0.01
"""How often the evidence of a campaign is looked at, unless it has grown by such a share since the last time."""
JOINED_MIN = 3
"""Accounts that reasoning items join from which they are a campaign."""
GONE_REQUESTS = 5.0
"""Requests that would have carried the campaign, at a member's usual share, had it not stopped."""
APART_EVERY_S, APART_LOOKS, APART_OVERLAP = 21_600.0, 3, 0.05
"""How often it is asked whether a campaign is more than one; how many answers in a row split it; what share of accounts its
parts may have in common."""
BY_TEXT = ("narrow", "twin", "relay")
"""Shapes of clusters whose members are to ask alike."""
FAR_SURE, FAR_DOUBTFUL, FAR_LEAVE = 1.7, 1.3, 0.5
"""How far apart from the others (`bystanders.distances`) somebody stands who is no member: of those of whom linking is sure 0.2 %
of the members and half of the bystanders do, of the others 1.2 % and a third; how much farther one who is a member already."""
_NONE = np.zeros(0, np.int64)
RELEASES_MAX, BANS_MAX = 64, 100_000
DAY = 86_400.0

KIND_OF = {
    "narrow": "template",
    "twin": "twin",
    "relay": "injection",
    "joined": "reasoning",
    "infrastructure": "shared",
}
"""The shape of a cluster -> the kind of evidence that links its members."""


class Registry:
    """All campaigns of the population.

    `describe` says of a record what is said of every campaign (indicators, a text for people) before it goes out.
    """

    def __init__(
        self, settings: LinkSettings, describe: Callable[[Campaign], Campaign] = lambda campaign: campaign
    ) -> None:
        self.settings = settings
        self.linker = Linker(settings)
        self.live: list[Live] = []
        self.ended: list[Live] = []
        self.views: dict[str, CampaignView] = {}
        self.passes = 0
        self.words = Words()
        self._describe = describe
        self._releases: list[Release] = []
        self._bans: dict[str, float] = {}

    def hear(
        self, campaign_id: str, label: Label, window: Window, ts: float
    ) -> tuple[NDArray[np.float64] | None, list[Campaign]]:
        """Take an analyst's word on a campaign; returns the features to learn it by, if there are any, and what changes.

        One that is called benign ends at once, and does not come again.
        """
        changes: list[Campaign] = []
        if label == "malicious":
            self.words.withdraw(campaign_id)
        for campaign in [c for c in self.live if c.campaign_id == campaign_id and label == "benign"]:
            self.words.clear(campaign_id, campaign.prints, campaign.members, ts)
            changes += self._end(campaign, window, ts)
            self.live.remove(campaign)
        if label == "benign":
            self.ended = [campaign for campaign in self.ended if campaign.campaign_id != campaign_id]
        return self.words.lesson(campaign_id, label), changes

    def released(self, release: Release) -> None:
        """Take note of a new model."""
        self._releases = [*self._releases, release][-RELEASES_MAX:]

    def acted_on(self, account_id: str, ts: float) -> None:
        """Take note that somebody else has acted on an account."""
        self._bans.setdefault(account_id, ts)
        if len(self._bans) > BANS_MAX:
            del self._bans[next(iter(self._bans))]

    def forget(self, rows: Collection[int]) -> None:
        """Forget accounts that the window has forgotten; none of them is a member."""
        self.words.forget(rows)

    def glance(self, window: Window, since: int, ts: float) -> tuple[list[Campaign], bool]:
        """Link who begins to carry a known campaign with the sightings from number `since` on.

        Returns what has changed, and whether a campaign has begun that is not known: then all of the window is worth a look.
        """
        # Campaigns of another shape have rules of their own for who joins.
        narrow = [c for c in self.live if self.views[c.campaign_id].campaign.shape == "narrow"]
        changes = []
        for campaign, joining in self.linker.joining(window, narrow, since, self.words.taught):
            cluster, _ = _alike(joining, campaign.rows(), window)
            added = self._join(campaign, cluster, window, ts, known=True)
            if added:
                changes.append(self._write(campaign, added, (), window, ts, None, None))
        begun = self.linker.begun(window, self.live, since, self.words.taught)
        return changes, any(not self._known(cluster, self.live) for cluster in begun)

    def update(self, window: Window, joins: ReasoningJoin, twins: Twins, ts: float) -> list[Campaign]:
        """Look at the whole window and the exact joins; returns what has changed."""
        alive = self.live
        idle_ts = ts - self.settings.idle_days * DAY
        changes: list[Campaign] = []
        taken: dict[str, tuple[Live, list[Cluster]]] = {}
        news: dict[str, tuple[list[int], list[Live]]] = {}
        strangers: dict[str, list[int]] = {}
        self.passes += 1
        alike = twins if self.passes % TWINS_EVERY == 0 else None
        by_text = self.linker.clusters(window, alive, alike, self.words.taught)
        by_infrastructure = infrastructure.clusters(window, self.settings, self.linker.one_customer)
        for cluster in [*self._joined(joins), *by_text, *by_infrastructure]:
            cluster = cluster.only(window.facts["last_ts"][cluster.members] >= idle_ts)  # noqa: PLW2901 - what is left of it
            mine = self._known(cluster, alive)
            cluster, far = _alike(cluster, mine[0].rows() if mine else _NONE, window)  # noqa: PLW2901
            enough = JOINED_MIN if cluster.shape == "joined" else self.settings.accounts_min
            if len(cluster.members) < (1 if mine else enough):
                continue
            if not mine and self.words.excuses(cluster.members.tolist(), ts):
                continue
            campaign = mine[0] if mine else self._begun(cluster, window)
            if not mine:
                alive.append(campaign)
            if campaign.campaign_id not in taken:
                taken[campaign.campaign_id] = campaign, []
                news[campaign.campaign_id] = [], []
                parents = [other for other in mine[1:] if other.campaign_id not in taken]
                for other in parents:
                    cluster.prints = np.union1d(cluster.prints, other.prints)
                    news[campaign.campaign_id][0].extend(self._inherit(campaign, other))
                    alive.remove(other)
                news[campaign.campaign_id][1].extend(parents)
                if cluster.shape in ("narrow", "twin"):  # the others have judges of their own
                    self.words.judged(campaign.campaign_id, cluster.features)
            taken[campaign.campaign_id][1].append(cluster)
            strangers.setdefault(campaign.campaign_id, []).extend(far)
            news[campaign.campaign_id][0].extend(self._join(campaign, cluster, window, ts, known=bool(mine)))
        around = Around(window, self.rows(), ts, self._releases, self._bans, joins.crossings)
        for campaign, clusters in taken.values():
            added, parents = list(dict.fromkeys(news[campaign.campaign_id][0])), news[campaign.campaign_id][1]
            changes += self._tell(campaign, clusters, added, parents, around)
            for other in parents:  # after that, so that nobody is free in between
                changes += self._end(other, window, ts)
        changes += self._split(alive, window, ts)
        for campaign in alive:
            gone = self._gone(campaign, campaign.campaign_id in taken, window, ts)
            if unlike := set(strangers.get(campaign.campaign_id, ())) & campaign.members.keys():
                stay = {m for cluster in taken[campaign.campaign_id][1] for m in cluster.members.tolist()}
                gone = sorted({*gone, *(unlike - stay)})
            if gone:
                changes += self._leave(campaign, gone, window, ts)
        self.ended = [*self.ended, *(campaign for campaign in alive if not campaign.members)][-ENDED_MAX:]
        self.live = [campaign for campaign in alive if campaign.members]
        self._forget_ended()
        return changes

    def rows(self) -> NDArray[np.int64]:
        """Return the rows of all accounts that are in a campaign."""
        return np.concatenate([np.zeros(0, np.int64), *(campaign.rows() for campaign in self.live)])

    def _forget_ended(self) -> None:
        if len(self.views) > VIEWS_MAX:
            live = {campaign.campaign_id for campaign in self.live}
            ended = [name for name in self.views if name not in live]
            for name in ended[: len(self.views) - VIEWS_MAX]:
                del self.views[name]

    def _joined(self, joins: ReasoningJoin) -> list[Cluster]:
        """Return the sets of accounts that reasoning items have joined, as clusters."""
        none, found = np.zeros(0, np.uint32), []
        for accounts in joins.sets(JOINED_MIN):
            members, ones = np.array(accounts), np.ones(len(accounts))
            crossings = np.array([joins.crossings[account] for account in accounts])
            score = self.settings.convict + 2.0 + np.log2(crossings.mean())
            found.append(
                Cluster(
                    none,
                    members,
                    ones,
                    crossings,
                    float(score),
                    judge.CENTRE,
                    judge.USUAL,
                    none.astype(np.int64),
                    np.zeros(len(members), np.bool_),
                    "joined",
                )
            )
        return found

    def _known(self, cluster: Cluster, alive: list[Live]) -> list[Live]:
        """Return the live campaigns that this cluster is, the likest (then oldest) first."""
        members, found = set(cluster.members.tolist()), []
        for campaign in alive:
            both = len(members & campaign.members.keys())
            share = both / max(1, min(len(members), len(campaign.members)))
            prints = _shared(cluster.prints, campaign.prints)
            if share >= SAME or prints >= SAME:
                found.append((max(share, prints), -campaign.first_seen, campaign))
        return [campaign for _, _, campaign in sorted(found, key=lambda f: f[:2], reverse=True)]

    def _begun(self, cluster: Cluster, window: Window) -> Live:
        """Return a new campaign: the successor of one that has ended, if it has that one's text."""
        seen = window.held()["ts"][cluster.sightings]
        first = float(seen.min()) if len(seen) else float(window.facts["first_ts"][cluster.members].min())
        campaign = Live(campaign_id(first, [window.names[m] for m in cluster.members.tolist()]), first)
        like = [(_shared(cluster.prints, other.prints), other.last_ts, other) for other in self.ended]
        best = max(like, key=lambda found: found[:2], default=None)
        if best is not None and best[0] >= SAME:
            campaign.parents = (best[2].campaign_id,)
            name, silent = best[2].campaign_id, moment(best[2].last_ts)
            said = (
                f"its text is that of {name}, not seen since {silent}; it comes from other accounts since {moment(first)}",
                f"it is the successor of {name}",
            )
            campaign.past["succession"] = tuple(
                Evidence("succession", text, len(cluster.members), round(best[0], 4), inference=concluded, since=first)
                for text, concluded in zip(said, (False, True), strict=True)
            )
        return campaign

    def _join(self, campaign: Live, cluster: Cluster, window: Window, ts: float, *, known: bool) -> list[int]:
        """Take up what a cluster says of a campaign; returns who is new in it, or no longer in doubt."""
        fresh = cluster.prints[~np.isin(cluster.prints, campaign.prints)]
        campaign.prints = np.concatenate([campaign.prints, fresh])[-PRINTS_MAX:]
        campaign.score = max(cluster.score, 0.5 * campaign.score)
        first, last, pauses = _course(cluster, window)
        kind, added = KIND_OF.get(cluster.shape, cluster.shape), []
        rows, shares, counts = cluster.members.tolist(), cluster.coverage.tolist(), cluster.carried.tolist()
        for m, share, carried, begin, end, pause, doubtful in zip(
            rows, shares, counts, first, last, pauses, cluster.doubtful.tolist(), strict=True
        ):
            member = campaign.members.get(m)
            if member is None:
                why = "payment" if kind == "template" and carried == 1 and not known else kind
                campaign.members[m] = Membership(ts, why, share, carried, begin, end, doubtful, pause)
                added.append(m)
            else:
                if member.doubtful and not doubtful:
                    member.doubtful = False
                    added.append(m)
                if carried >= member.carried:  # the fullest look so far
                    member.carried, member.pause = carried, pause
                member.share = share
                member.first_ts, member.last_ts = min(member.first_ts, begin), max(member.last_ts, end)
        return added

    def _inherit(self, campaign: Live, other: Live) -> list[int]:
        """Take over the members of a campaign that turns out to be this one; returns who is new in it."""
        added = [m for m in other.members if m not in campaign.members]
        campaign.members.update((m, replace(other.members[m])) for m in added)
        return added

    def _tell(
        self, campaign: Live, clusters: list[Cluster], added: list[int], parents: list[Live], around: Around
    ) -> list[Campaign]:
        """Return the record of a campaign, if its members or what can be said of it have changed."""
        old = around.ts - campaign.told_ts >= TELL_EVERY_S
        grown = len(campaign.members) - campaign.told_size >= max(1.0, TELL_GROWTH * campaign.told_size)
        if not (added or parents or old):
            return []
        campaign.parents = tuple(dict.fromkeys((*campaign.parents, *(parent.campaign_id for parent in parents))))
        before = self.views.get(campaign.campaign_id)
        if before and not (parents or old or grown):
            return [self._write(campaign, added, (), around.window, around.ts, None, clusters)]
        campaign.told_ts, campaign.told_size = around.ts, len(campaign.members)
        pools = len(campaign.pools)
        evidence = told(Case(campaign, clusters, around, self.words.weights, self.settings.convict))
        if len(campaign.pools) > pools:  # who was taken for a member of the old pool is of the new one
            moved = (m for m, of in campaign.members.items() if of.first_ts >= campaign.pools[-1])
            added = list(dict.fromkeys((*added, *moved)))
        known = {e.kind for e in before.campaign.evidence} if before else set()
        news = added or parents or any(e.kind not in known for e in evidence)
        record = self._write(campaign, added, (), around.window, around.ts, evidence, clusters)
        return [record] if news else []

    def _split(self, alive: list[Live], window: Window, ts: float) -> list[Campaign]:
        """Make two campaigns of one that, as if nothing were known, would be found as two again and again."""
        due = [
            c for c in alive if ts - c.apart_ts >= APART_EVERY_S and len(c.members) >= 2 * self.settings.accounts_min
        ]
        changes: list[Campaign] = []
        if not due:
            return changes
        anew = self.linker.clusters(window, [], None, self.words.taught)
        for campaign in due:
            campaign.apart_ts = ts
            parts = _parts(campaign, anew, window, self.settings.accounts_min)
            campaign.apart = campaign.apart + 1 if len(parts) > 1 else 0
            if campaign.apart < APART_LOOKS:
                continue
            campaign.apart = 0
            for part in parts[1:]:
                changes += self._part(campaign, part, alive, window, ts)
        return changes

    def _part(self, campaign: Live, part: Cluster, alive: list[Live], window: Window, ts: float) -> list[Campaign]:
        """Let a part of a campaign go on under an id of its own."""
        members = [m for m in part.members.tolist() if m in campaign.members]
        first = min(campaign.members[m].first_ts for m in members)
        own = Live(campaign_id(first, [window.names[m] for m in members]), first, parents=(campaign.campaign_id,))
        own.members = {m: campaign.members[m] for m in members}
        own.prints, own.score, own.apart_ts = part.prints, part.score, ts
        campaign.prints = campaign.prints[~np.isin(campaign.prints, part.prints)]
        alive.append(own)
        around = Around(window, self.rows(), ts, self._releases, self._bans)
        return [*self._tell(own, [part], members, [], around), *self._leave(campaign, members, window, ts)]

    def _gone(self, campaign: Live, carried: bool, window: Window, ts: float) -> list[int]:
        """Return the members that leave: not seen for long, or seen for long without what they were linked by.

        The second only while the campaign itself is seen (`carried`): else it may be the window that has forgotten.
        """
        rows = np.fromiter(campaign.members, np.int64, len(campaign.members))
        active = window.facts["last_ts"][rows]
        idle = active < ts - self.settings.idle_days * DAY
        gone: list[int] = rows[idle].tolist()
        if not carried:
            return gone
        last = np.array([campaign.members[row].last_ts for row in rows.tolist()])
        quiet = rows[~idle & (active - last >= self.settings.gone_days * DAY)]
        if not len(quiet):
            return gone
        held = window.held()
        for row in quiet.tolist():
            member = campaign.members[row]
            own = np.flatnonzero((held["account"] == row) & (held["ts"] > member.last_ts))
            shown = np.isin(held["prints"][own], campaign.prints).sum(axis=1)
            shown += np.isin(window.system_prints[held["system"][own]], campaign.prints).sum(axis=1)
            carrying = held["ts"][own[shown >= 2]]
            if len(carrying):
                member.last_ts = float(carrying.max())
            elif len(own) * member.share >= GONE_REQUESTS:
                gone.append(row)
        return gone

    def _leave(self, campaign: Live, gone: list[int], window: Window, ts: float) -> list[Campaign]:
        """Let members go and return the record of it."""
        campaign.last_ts = max(campaign.members[m].last_ts for m in campaign.members)
        for m in gone:
            del campaign.members[m]
        return [self._write(campaign, [], tuple(gone), window, ts, None, None)]

    def _end(self, campaign: Live, window: Window, ts: float) -> list[Campaign]:
        return self._leave(campaign, list(campaign.members), window, ts)

    def _write(
        self, campaign: Live, added: list[int], removed: tuple[int, ...], window: Window, ts: float,
        evidence: tuple[Evidence, ...] | None, clusters: list[Cluster] | None,
    ) -> Campaign:  # fmt: skip
        before = self.views.get(campaign.campaign_id)
        names, rows = window.names, campaign.rows()
        requests = window.facts["requests"][rows].astype(float)
        carried = float(requests @ campaign.shares()) if len(rows) else 0.0
        shape: Shape = before.campaign.shape if before else "narrow"
        if any(cluster.shape == "relay" for cluster in clusters or ()):
            shape = "relay"
        record = Campaign(
            campaign_id=campaign.campaign_id,
            ts=ts,
            accounts=tuple(names[m] for m in added),
            size=len(rows),
            risk=round(float(1 / (1 + np.exp(-(campaign.score - self.settings.suspect)))), 4),
            shape=shape,
            exchanges=round(carried),
            first_seen=campaign.first_seen,
            evidence=evidence if evidence is not None else before.campaign.evidence if before else (),
            removed=tuple(names[m] for m in removed),
            parent_ids=campaign.parents,
            models=_models(clusters, window) if clusters else before.campaign.models if before else (),
            share=round(carried / float(requests.sum()), 4) if carried else 0.0,
            members=tuple(campaign.member(m, names[m]) for m in added),
        )
        record = self._describe(record)
        growth = before.growth if before else ()
        if not growth or growth[-1][1] != len(rows):
            growth = (*growth, (ts, len(rows)))[-GROWTH_MAX:]
        if (
            before and clusters is None and len(before.members) + len(added) == len(rows)
        ):  # between looks some join, no more
            accounts, members = before.accounts + record.accounts, before.members + record.members
        else:
            members = tuple(campaign.member(m, names[m]) for m in campaign.members)
            accounts = tuple(member.account_id for member in members)
        self.views[campaign.campaign_id] = CampaignView(record, accounts, growth, members)
        return record

    def risks(self, campaign: Campaign, window: Window) -> dict[str, tuple[float, float]]:
        """Return the risk, 0..1, of each account that a record adds, and the chance that it is an honest bystander.

        The surest members come first. The risk is that of the campaign; but a bystander is watched, not acted upon.
        """
        live = next((c for c in self.live if c.campaign_id == campaign.campaign_id), None)
        if live is None or not campaign.accounts:
            return {}
        rows = live.rows()
        at = np.flatnonzero(np.isin(rows, [window.rows[account] for account in campaign.accounts]))
        distance = np.full(len(rows), USUAL)
        distance[at] = distances(window, rows[at], rows)
        honest = np.round(chances(window.facts[rows], live.shares(), live.score, distance), 6)
        added = sorted(
            (max(of, BYSTANDER) if live.members[row].doubtful else of, window.names[row])
            for row, of in zip(rows[at].tolist(), honest[at].tolist(), strict=True)
        )
        most = min(campaign.risk, BYSTANDER_RISK)
        return {account: (most if of >= BYSTANDER else campaign.risk, of) for of, account in added}

    def dump(self) -> dict[str, object]:
        """Return the state as plain values for a snapshot."""
        return {
            "live": [campaign.dump() for campaign in self.live],
            "ended": [campaign.dump() for campaign in self.ended],
            "views": list(self.views.values()),
            "passes": self.passes,
            "words": self.words.dump(),
            "usual": [[of.features.tolist(), of.worth] for of in (self.linker.before, self.linker.now)],
            "releases": self._releases,
            "bans": self._bans,
        }

    def load(self, saved: dict[str, Any]) -> None:
        """Take up what `dump` gave. Raises SnapshotError."""
        try:
            self.passes = int(saved["passes"])
            self.live = [Live.load(one) for one in saved["live"]]
            self.ended = [Live.load(one) for one in saved["ended"]]
            views = msgspec.convert(saved["views"], list[CampaignView])
            self._releases = msgspec.convert(saved["releases"], list[Release])
            self._bans = msgspec.convert(saved["bans"], dict[str, float])
            self.words.load(saved["words"])
            usual = [judge.Ordinary(np.array(features, float), float(worth)) for features, worth in saved["usual"]]
            if any(of.features.shape != judge.USUAL.shape for of in usual):
                usual = [judge.SHIPPED, judge.Ordinary(judge.USUAL, 0.0)]  # features of another version of the program
            self.linker.before, self.linker.now = usual
        except (KeyError, TypeError, ValueError) as error:
            raise SnapshotError(f"campaign state does not fit: {error}") from error
        self.views = {view.campaign.campaign_id: view for view in views}


def _shared(prints: NDArray[np.uint32], known: NDArray[np.uint32]) -> float:
    """Return the share of `prints` that is among `known`."""
    return float(np.isin(prints, known).mean()) if len(prints) else 0.0


def _alike(cluster: Cluster, known: NDArray[np.int64], window: Window) -> tuple[Cluster, list[int]]:
    """Return a cluster without who asks too unlike the others, and who of the `known` members does, who leave for it."""
    if cluster.shape not in BY_TEXT:
        return cluster, []
    sure = cluster.members[~cluster.doubtful]
    distance = distances(window, cluster.members, np.union1d(sure if len(sure) else cluster.members, known))
    of_old = np.isin(cluster.members, known)
    far = distance > np.where(cluster.doubtful, FAR_DOUBTFUL, FAR_SURE) + FAR_LEAVE * of_old
    return cluster.only(~far), cluster.members[far & of_old].tolist()


def _course(cluster: Cluster, window: Window) -> tuple[list[float], list[float], list[float]]:
    """Return when each member was first and last seen to carry a cluster, and its longest pause, as far as the window reaches."""
    facts, size = window.facts[cluster.members], len(window.names)
    if not len(cluster.sightings):  # reasoning items join for good
        return facts["first_ts"].tolist(), facts["last_ts"].tolist(), [0.0] * len(facts)
    seen = window.held()[cluster.sightings]
    account, ts = seen["account"].astype(np.int64), seen["ts"].astype(float)
    order = np.lexsort((ts, account))
    account, ts = account[order], ts[order]
    begins = np.flatnonzero(np.diff(account, prepend=-1))
    first, last, pause = facts["first_ts"].copy(), facts["last_ts"].copy(), np.zeros(size)
    np.maximum.at(pause, account[1:], np.where(account[1:] == account[:-1], np.diff(ts), 0.0))
    place = np.full(size, -1, np.int64)
    place[cluster.members] = np.arange(len(cluster.members))
    mine = place[account[begins]] >= 0
    first[place[account[begins]][mine]] = ts[begins][mine]
    last[place[account[begins]][mine]] = ts[np.r_[begins[1:], len(ts)] - 1][mine]
    return first.tolist(), last.tolist(), pause[cluster.members].tolist()


def _models(clusters: Sequence[Cluster], window: Window) -> tuple[str, ...]:
    """Return the names of the models that a campaign asks most."""
    seen = np.concatenate([cluster.sightings for cluster in clusters]).astype(np.int64)
    codes, n = np.unique(window.held()["model"][seen], return_counts=True)
    codes = codes[np.argsort(-n, kind="stable")][:MODELS_MAX]
    return tuple(window.models[code] for code in codes.tolist() if code in window.models)


def _parts(campaign: Live, anew: Iterable[Cluster], window: Window, accounts_min: int) -> list[Cluster]:
    """Return the clusters that a campaign would be if nothing were known of it, the largest first, each apart from all others."""
    mine = campaign.members.keys()
    inside = [c for c in anew if len(mine & set(c.members.tolist())) >= max(accounts_min, 0.8 * len(c.members))]
    parts: list[Cluster] = []
    for cluster in sorted(inside, key=lambda c: -len(c.members)):
        joins = [part for part in parts if not _apart(part, cluster, window)]
        if len(joins) > 1:
            return []  # it holds the others together
        if not joins:
            parts.append(cluster)
    return parts


def _apart(one: Cluster, two: Cluster, window: Window) -> bool:
    """Say whether two clusters have next to no account, no text and no means of payment in common."""
    both = np.intersect1d(one.members, two.members)
    if len(both) > APART_OVERLAP * min(len(one.members), len(two.members)) or np.isin(one.prints, two.prints).any():
        return False
    paid = [window.facts["payment"][c.members[~np.isin(c.members, both)]] for c in (one, two)]
    return not np.isin(paid[0][paid[0] != 0], paid[1]).any()
