"""Campaigns as they live: an id that stays as they grow, members that come and go, merges.

The clusters of a pass are matched with the campaigns known by shared members and shared fingerprints. What a campaign
was convicted of is remembered: a later account needs one such request, where the first ones needed many.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_guard.campaigns import judge
from stream_guard.campaigns.linking import Cluster, Linker, Live, campaign_id
from stream_guard.campaigns.reasoning import ReasoningJoin
from stream_guard.campaigns.settings import LinkSettings
from stream_guard.campaigns.teaching import Label, Words
from stream_guard.campaigns.twins import ALIKE, Twins
from stream_guard.campaigns.window import Window
from stream_guard.errors import SnapshotError
from stream_guard.events import Campaign, CampaignView, Evidence, Shape

SAME = 0.3
"""Share of members or fingerprints in common from which a cluster is a known campaign."""
PRINTS_MAX = 4096
GROWTH_MAX = 512
VIEWS_MAX = 10_000
"""Campaigns that are told of; beyond it the oldest that have ended are forgotten."""
EXAMPLES = 5
TELLING = 0.05
"""How far above the usual a share is that is told as evidence."""
TWINS_EVERY = 4
"""Looks at the window for one at the twins, which costs more and changes more slowly."""
JOINED_MIN = 3
"""Accounts that reasoning items join from which they are a campaign."""
BYSTANDER_RISK = 0.6
VOUCHED_MAX = 0.4
"""Share of vouched members from which being vouched for says nothing."""
LITTLE, MUCH = 0.5, 0.8
"""Shares of the median coverage below which a member carries little of a campaign, and little for one vouched for."""
DAY = 86_400.0

FACTS_IN_WORDS = {
    "single_turn": "of their requests open a conversation that is not gone on with",
    "top_limit": "of their requests have the one same output limit",
    "top_model": "of their requests ask for the one same model",
    "small_plan": "of the accounts are on a small plan",
    "independent": "of the accounts share no organisation with another one",
    "mostly": "of the accounts do hardly anything else",
}
"""Features that are shares, as a person reads them in evidence."""


class Registry:
    """All campaigns of the population."""

    def __init__(self, settings: LinkSettings) -> None:
        self.settings = settings
        self.linker = Linker(settings)
        self.live: list[Live] = []
        self.views: dict[str, CampaignView] = {}
        self.passes = 0
        self.words = Words()

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
        return self.words.lesson(campaign_id, label), changes

    def forget(self, rows: Collection[int]) -> None:
        """Forget accounts that the window has forgotten; none of them is a member."""
        self.words.forget(rows)

    def update(self, window: Window, joins: ReasoningJoin, twins: Twins, ts: float) -> list[Campaign]:
        """Look at the whole window and the exact joins; returns what has changed."""
        alive = self.live
        idle_ts = ts - self.settings.idle_days * DAY
        changes: list[Campaign] = []
        taken: dict[str, Live] = {}
        self.passes += 1
        alike = twins if self.passes % TWINS_EVERY == 0 else None
        for cluster in [*self._joined(joins), *self.linker.clusters(window, alive, alike, self.words.taught)]:
            cluster = _awake(cluster, window, idle_ts)  # noqa: PLW2901 - what is left of it
            mine = self._known(cluster, alive)
            enough = JOINED_MIN if cluster.shape == "joined" else self.settings.accounts_min
            if len(cluster.members) < (1 if mine else enough):
                continue
            if not mine and self.words.excuses(cluster.members.tolist(), ts):
                continue
            if mine and mine[0].campaign_id in taken:
                self._join(mine[0], cluster)
                changes += self._record(mine[0], cluster, window, ts, ())
                continue
            if not mine:
                seen = window.held()["ts"][cluster.sightings]
                first = float(seen.min()) if len(seen) else float(window.facts["first_ts"][cluster.members].min())
                campaign = Live(campaign_id(first, [window.names[m] for m in cluster.members.tolist()]), first)
                alive.append(campaign)
            else:
                campaign = mine[0]
            parents = [other for other in mine[1:] if other.campaign_id not in taken]
            for other in parents:
                cluster.prints = np.union1d(cluster.prints, other.prints)
            taken[campaign.campaign_id] = campaign
            if cluster.shape in ("narrow", "twin"):  # the others have judges of their own
                self.words.judged(campaign.campaign_id, cluster.features)
            self._join(campaign, cluster)
            changes += self._record(campaign, cluster, window, ts, parents)
            for other in parents:  # after that, so that nobody is free in between
                changes += self._end(other, window, ts)
                alive.remove(other)
        for campaign in alive:
            gone = [m for m in campaign.members if window.facts["last_ts"][m] < idle_ts]
            if gone:
                changes += self._leave(campaign, gone, window, ts)
        self.live = [campaign for campaign in alive if not campaign.ended]
        self._forget_ended()
        return changes

    def rows(self) -> NDArray[np.int64]:
        """Return the rows of all accounts that are in a campaign."""
        return np.fromiter((m for campaign in self.live for m in campaign.members), np.int64)

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
            prints = np.isin(cluster.prints, campaign.prints).mean() if len(cluster.prints) else 0.0
            if share >= SAME or prints >= SAME:
                found.append((max(share, prints), -campaign.first_seen, campaign))
        return [campaign for _, _, campaign in sorted(found, key=lambda f: f[:2], reverse=True)]

    def _join(self, campaign: Live, cluster: Cluster) -> None:
        fresh = cluster.prints[~np.isin(cluster.prints, campaign.prints)]
        campaign.prints = np.concatenate([campaign.prints, fresh])[-PRINTS_MAX:]
        campaign.score = max(cluster.score, 0.5 * campaign.score)

    def _record(
        self, campaign: Live, cluster: Cluster, window: Window, ts: float, parents: Sequence[Live]
    ) -> list[Campaign]:
        """Note who is new in a campaign and return the record of it, if there is any change."""
        belonging = {m: share for parent in parents for m, share in parent.members.items()}
        belonging.update(zip(cluster.members.tolist(), cluster.coverage.tolist(), strict=True))
        added = [m for m in belonging if m not in campaign.members]
        for m, share in belonging.items():
            campaign.members[m] = share
        if not added and not parents:
            return []
        merged = tuple(parent.campaign_id for parent in parents)
        return [self._write(campaign, added, (), window, ts, merged, self._evidence(cluster, window), cluster)]

    def _leave(self, campaign: Live, gone: list[int], window: Window, ts: float) -> list[Campaign]:
        for m in gone:
            del campaign.members[m]
        campaign.ended = not campaign.members
        return [self._write(campaign, [], tuple(gone), window, ts, (), None, None)]

    def _end(self, campaign: Live, window: Window, ts: float) -> list[Campaign]:
        return self._leave(campaign, list(campaign.members), window, ts)

    def _write(
        self, campaign: Live, added: list[int], removed: tuple[int, ...], window: Window, ts: float, parents: tuple[str, ...],
        evidence: tuple[Evidence, ...] | None, cluster: Cluster | None,
    ) -> Campaign:  # fmt: skip
        before = self.views.get(campaign.campaign_id)
        names = window.names
        members = list(campaign.members)
        shape: Shape = (
            "relay"
            if cluster is not None and cluster.shape == "relay"
            else before.campaign.shape
            if before
            else "narrow"
        )
        record = Campaign(
            campaign_id=campaign.campaign_id,
            ts=ts,
            accounts=tuple(names[m] for m in added),
            size=len(members),
            risk=round(float(1 / (1 + np.exp(-(campaign.score - self.settings.suspect)))), 4),
            shape=shape,
            exchanges=int(window.facts["requests"][members].sum()) if members else 0,
            first_seen=campaign.first_seen,
            evidence=evidence if evidence is not None else before.campaign.evidence if before else (),
            removed=tuple(names[m] for m in removed),
            parent_ids=parents or (before.campaign.parent_ids if before else ()),
            models=self._models(cluster, window) if cluster is not None else before.campaign.models if before else (),
        )
        growth = (*(before.growth if before else ()), (ts, len(members)))[-GROWTH_MAX:]
        self.views[campaign.campaign_id] = CampaignView(record, tuple(names[m] for m in members), growth)
        return record

    def _models(self, cluster: Cluster, window: Window) -> tuple[str, ...]:
        codes, n = np.unique(window.held()["model"][cluster.sightings], return_counts=True)
        return tuple(
            window.models[int(code)] for code in codes[np.argsort(-n)][:EXAMPLES].tolist() if int(code) in window.models
        )

    def _evidence(self, cluster: Cluster, window: Window) -> tuple[Evidence, ...]:
        """Say what joins the accounts: counted facts first, then what the judge concludes."""
        examples = tuple(
            window.names[m] for m in cluster.members[np.argsort(-cluster.carried, kind="stable")][:EXAMPLES].tolist()
        )
        n = len(cluster.members)
        if cluster.shape == "joined":
            text = f"{n} accounts of no common organisation send back reasoning items of each other's conversations"
            return (
                Evidence("reasoning", text, n, float(cluster.carried.mean()), 0.0, example_accounts=examples),
                *self._infrastructure(cluster, window),
            )
        out = [
            Evidence("twin", f"{n} accounts ask alike, though they share no text", n, ALIKE, 0.0, True, examples)
            if cluster.shape == "twin"
            else Evidence(
                "template",
                f"{n} accounts share {len(cluster.prints)} text fingerprints; "
                f"they are in {cluster.coverage.mean():.0%} of these accounts' requests",
                n, round(float(cluster.coverage.mean()), 4), round(float(cluster.usual[judge.FEATURES.index("coverage")]), 4), False, examples,
            )
        ]  # fmt: skip
        parts = judge.contributions(cluster.features, self.words.weights)
        values = dict(zip(judge.FEATURES, cluster.measured.tolist(), strict=True))
        usuals = dict(zip(judge.FEATURES, cluster.usual.tolist(), strict=True))
        telling = [name for name in FACTS_IN_WORDS if parts[name] > 0 and values[name] > usuals[name] + TELLING]
        for name in sorted(telling, key=lambda name: -parts[name])[:4]:
            value, usual = values[name], usuals[name]
            out.append(
                Evidence(
                    "behaviour",
                    f"{value:.0%} {FACTS_IN_WORDS[name]} (usual in crowds: {usual:.0%})",
                    n,
                    round(value, 4),
                    round(usual, 4),
                )
            )
        out += self._infrastructure(cluster, window)
        out.append(
            Evidence(
                "judgement",
                f"as a whole {cluster.score:.1f} in log odds from an honest crowd",
                n,
                round(cluster.score, 3),
                self.settings.convict,
                True,
            )
        )
        return tuple(out)

    def _infrastructure(self, cluster: Cluster, window: Window) -> list[Evidence]:
        """Count members that share a means of payment with another member: severity, never a reason to accuse."""
        payment = window.facts["payment"][cluster.members]
        _, inverse, n = np.unique(payment, return_inverse=True, return_counts=True)
        shared = (n[inverse] > 1) & (payment != 0)
        if not shared.any():
            return []
        who = cluster.members[shared]
        examples = tuple(window.names[m] for m in who[:EXAMPLES].tolist())
        return [
            Evidence(
                "infrastructure",
                f"{len(who)} of them pay by means that another member uses too",
                len(who),
                len(who) / len(payment),
                0.0,
                False,
                examples,
            )
        ]

    def risks(self, campaign: Campaign, window: Window) -> dict[str, float]:
        """Return the risk, 0..1, of each account that a record adds.

        That of the campaign; but a bystander of a campaign is watched, not acted upon: who carries little of it, the
        more so with a declared organisation and a mail domain of its own among many who have none.
        """
        live = next((c for c in self.live if c.campaign_id == campaign.campaign_id), None)
        if live is None or not campaign.accounts:
            return {}
        rows = np.fromiter(live.members, np.int64, len(live.members))
        vouched = judge.vouched(window.facts[rows])
        if vouched.mean() > VOUCHED_MAX:  # an organisation says nothing here
            vouched[:] = False
        coverage = np.fromiter(live.members.values(), np.float64, len(rows))
        little = coverage < np.where(vouched, MUCH, LITTLE) * np.median(coverage)
        bystander = dict(zip(rows.tolist(), little.tolist(), strict=True))
        return {
            account: min(campaign.risk, BYSTANDER_RISK) if bystander[window.rows[account]] else campaign.risk
            for account in campaign.accounts
        }

    def dump(self) -> dict[str, object]:
        """Return the state as plain values for a snapshot."""
        live = [
            [
                c.campaign_id,
                c.first_seen,
                [[int(m), s] for m, s in c.members.items()],
                c.prints.tobytes(),
                c.score,
                c.ended,
            ]
            for c in self.live
        ]
        return {"live": live, "views": list(self.views.values()), "passes": self.passes, "words": self.words.dump()}

    def load(self, live: list[Any], views: list[CampaignView], passes: int, words: dict[str, Any]) -> None:
        """Take up what `dump` gave. Raises SnapshotError."""
        self.passes = passes
        self.words.load(words)
        try:
            self.live = [
                Live(
                    str(i),
                    float(first),
                    {int(m): float(s) for m, s in members},
                    np.frombuffer(prints, np.uint32).copy(),
                    float(score),
                    ended=bool(ended),
                )
                for i, first, members, prints, score, ended in live
            ]
        except (TypeError, ValueError) as error:
            raise SnapshotError(f"campaign state does not fit: {error}") from error
        self.views = {view.campaign.campaign_id: view for view in views}


def _awake(cluster: Cluster, window: Window, idle_ts: float) -> Cluster:
    """Return a cluster without the members that were idle for so long that they have left."""
    awake = window.facts["last_ts"][cluster.members] >= idle_ts
    if awake.all():
        return cluster
    return replace(
        cluster, members=cluster.members[awake], coverage=cluster.coverage[awake], carried=cluster.carried[awake]
    )
