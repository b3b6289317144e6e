"""What can be said of a campaign, so that a person can check it: what was counted, and apart from it what is concluded.

Each kind of evidence is one function of a `Case` that returns what there is to say, or nothing. All of it is told of
campaigns that were convicted by others (`judge`, `linking`): nothing here accuses anybody. What is compared with "usual"
is compared with the accounts of this moment that are in no campaign.

The kinds are modelled on what was made public of real campaigns (synchronised traffic, shared payment, a pool that goes
on when another is banned, half of the traffic on a new model within a day, a phrase put into strangers' requests,
techniques tried before one is scaled) and on the indicators of the joint advisory AA26-251A.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_guard.campaigns import judge
from stream_guard.campaigns.cluster import Cluster
from stream_guard.campaigns.live import Live
from stream_guard.campaigns.report import REFUSED
from stream_guard.campaigns.twins import ALIKE
from stream_guard.campaigns.window import Window, distinct
from stream_guard.codecs import moment
from stream_guard.events import Evidence, Release
from stream_guard.surprise import UNKNOWN, Normal, Sums

EXAMPLES = 5
TELLING = 0.05
"""How far above the usual a share of the judge's is that is told."""
PLAIN = 0.3
"""How far above the usual a share of accounts is that is told of what they do each by itself."""
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0

FACTS_IN_WORDS = {
    "single_turn": "of their requests open a conversation that is not gone on with",
    "top_limit": "of their requests have the one same output limit",
    "small_plan": "of the accounts are on a small plan",
    "independent": "of the accounts share no organisation with another one",
    "mostly": "of the accounts do hardly anything else",
}
"""Features of the judge that are shares, as a person reads them."""

DATED = ("succession", "pivot", "new_model", "probing")
"""Kinds that are about a date: once told they stay told, though the window forgets what they were counted on."""

JOINING = ("template", "twin", "injection", "reasoning", "shared")
"""Kinds by which accounts are linked: told first."""

Bools = NDArray[np.bool_]
Rows = NDArray[np.int64]
Floats = NDArray[np.float64]


class Around:
    """The population around the campaigns at one moment: what is usual, counted once for all of them."""

    def __init__(
        self,
        window: Window,
        members: Rows,
        ts: float,
        releases: Sequence[Release] = (),
        bans: Mapping[str, float] | None = None,
        crossings: Mapping[int, int] | None = None,
    ) -> None:
        self.window, self.ts, self.releases = window, ts, releases
        self.bans, self.crossings = bans or {}, crossings or {}
        self.held = window.held()
        self.account = self.held["account"].astype(np.int64)
        self.member = np.zeros(len(window.names), np.bool_)
        self.member[members] = True

    @cached_property
    def others(self) -> Rows:
        """Rows of accounts with a sighting that are in no campaign."""
        seen = np.flatnonzero(self.window.totals[: len(self.member)])
        return seen[~self.member[seen]]

    @cached_property
    def foreign(self) -> Rows:
        """Sightings of those."""
        return np.flatnonzero(~self.member[self.account])

    @cached_property
    def networks(self) -> NDArray[np.int64]:
        """(account, network) of all sightings, each once."""
        return _pairs(self.account, self.held["ip"] >> np.uint32(8))

    @cached_property
    def programs(self) -> NDArray[np.int64]:
        """(account, client program) of all sightings, each once."""
        return _pairs(self.account, self.held["agent"])

    @cached_property
    def normal(self) -> Normal | None:
        """What sums over usual prompts are like here; None while there are too few."""
        standings = self.held["standing"][self.foreign]
        standings = standings[standings[:, 0] != UNKNOWN]
        return Normal(standings[:: len(standings) // NORMAL_MAX + 1]) if len(standings) >= NORMAL_MIN else None

    def fact(self, name: str) -> NDArray[np.int64]:
        """(account, value) of a fact where it is known, of accounts that are held."""
        facts = self.window.facts[: len(self.window.names)]
        values = np.where(facts["public_mail"] > 0, 0, facts["mail"]) if name == "mail" else facts[name]
        return _pairs(np.arange(len(facts)), values)

    def of(self, name: str, rows: Rows) -> Floats:
        """Return one fact of some accounts."""
        return np.asarray(self.window.facts[name][rows])

    def usual(self, values: Bools) -> float:
        """Mean over the accounts that are in no campaign; `values` are of all sightings."""
        own = self.mean(values[self.foreign], self.foreign)
        return float(own.mean()) if len(own) else 0.0

    def mean(self, values: Floats | Bools, sightings: Rows) -> Floats:
        """Mean of a value an account, over these sightings (both in the same order): one number for each account seen."""
        account = self.account[sightings]
        n = np.bincount(account, minlength=1)
        seen = n > 0
        return np.asarray(np.bincount(account, values.astype(float), len(n))[seen] / n[seen])


@dataclass
class Case:
    """One campaign at one moment: who is in it, by what it was seen in this pass, and the population around it."""

    campaign: Live
    clusters: list[Cluster]
    around: Around
    weights: Floats = field(default_factory=lambda: judge.WEIGHTS)
    convict: float = 0.0

    @cached_property
    def rows(self) -> Rows:
        """Rows of the members."""
        return np.fromiter(self.campaign.members, np.int64, len(self.campaign.members))

    @cached_property
    def carrying(self) -> Rows:
        """Sightings that carry it, of members."""
        found = np.unique(np.concatenate([cluster.sightings for cluster in self.clusters])).astype(np.int64)
        mine = np.zeros(len(self.around.member), np.bool_)
        mine[self.rows] = True
        return found[mine[self.around.account[found]]]

    @cached_property
    def first(self) -> Floats:
        """When each member was first seen to carry it."""
        return np.array([of.first_ts for of in self.campaign.members.values()])

    @cached_property
    def last(self) -> Floats:
        """When each member was last seen to carry it."""
        return np.array([of.last_ts for of in self.campaign.members.values()])

    def named(self, rows: Rows) -> tuple[str, ...]:
        """Return the ids of a handful."""
        return tuple(self.around.window.names[row] for row in rows[:EXAMPLES].tolist())


def told(case: Case) -> tuple[Evidence, ...]:
    """Return all that can be said of a campaign: what joins it, then what it does, then what is concluded.

    What is said of a date is kept in the campaign (`Live.past`).
    """
    past = case.campaign.past
    found = [evidence for kind in KINDS for evidence in kind(case)]
    past.update(
        {kind: tuple(e for e in found if e.kind == kind) for kind in DATED if any(e.kind == kind for e in found)}
    )
    dated = [evidence for kind in DATED for evidence in past.get(kind, ())]
    now = [evidence for evidence in found if evidence.kind not in past]
    return tuple(
        sorted((*dated, *now), key=lambda evidence: (evidence.inference, evidence.kind not in JOINING))
    )  # stable


# --- What joins it ---


def _text(case: Case) -> list[Evidence]:
    """Text that the accounts share, or that they ask alike without one."""
    out = []
    for cluster in case.clusters:
        n = len(cluster.members)
        examples = case.named(cluster.members[np.argsort(-cluster.carried, kind="stable")])
        share, x = float(cluster.coverage.mean()), dict(zip(judge.FEATURES, cluster.measured.tolist(), strict=True))
        usual = dict(zip(judge.FEATURES, cluster.usual.tolist(), strict=True))
        if cluster.shape == "twin":
            text = f"{n} accounts ask alike, though they share no text"
            out.append(Evidence("twin", text, n, ALIKE, 0.0, inference=True, example_accounts=examples))
        elif cluster.shape == "narrow":
            text = f"{n} accounts share {len(cluster.prints)} text fingerprints; they are in {share:.0%} of these accounts' requests"
            out.append(
                Evidence("template", text, n, round(share, 4), round(usual["coverage"], 4), example_accounts=examples)
            )
        elif cluster.shape == "infrastructure":
            text = f"{n} accounts have several rare means of payment, networks or programs in common, whatever they ask"
            out.append(Evidence("shared", text, n, round(cluster.score, 3), example_accounts=examples))
        elif cluster.shape == "relay":
            systems, programs = 2 ** x["systems_log2"], 2 ** x["agents_log2"]
            text = (
                f"{len(cluster.prints)} text fingerprints run through {share:.0%} of the requests of {n} accounts, in each under "
                f"{systems:.1f} system texts and from {programs:.1f} client programs on average "
                f"(usual: {2 ** usual['systems_log2']:.1f} and {2 ** usual['agents_log2']:.1f})"
            )
            out.append(
                Evidence("injection", text, n, round(share, 4), round(usual["coverage"], 4), example_accounts=examples)
            )
    return out[:EXAMPLES]


def _reasoning(case: Case) -> list[Evidence]:
    """Reasoning items that were sent back by another account than the one whose conversation they are of."""
    crossings = case.around.crossings
    who = np.array([row for row in case.rows.tolist() if row in crossings], np.int64)
    if not len(who):
        return []
    times = np.array([crossings[row] for row in who.tolist()])
    text = f"{len(who)} accounts of no common organisation send back reasoning items of each other's conversations"
    return [Evidence("reasoning", text, len(who), round(float(times.mean()), 4), example_accounts=case.named(who))]


SHARED: dict[str, tuple[str, Callable[[Around], NDArray[np.int64]]]] = {
    "payment": ("pay by means", lambda around: around.fact("payment")),
    "mail": ("have their mail at domains", lambda around: around.fact("mail")),
    "network": ("send from networks (/24)", lambda around: around.networks),
    "program": ("send with client programs", lambda around: around.programs),
}
"""Infrastructure that accounts can have in common: how it is told, and where it is read."""
OUTSIDE = 0.25
"""Accounts outside that use something, over the members that do, up to which it counts as the campaign's own."""


def _infrastructure(case: Case) -> list[Evidence]:
    """Infrastructure that members share and hardly anybody else has: severity, never a reason to accuse.

    A value counts by how rare it is (log of one over its share of accounts): everybody's mail host weighs nothing.
    """
    out = []
    population = max(2, len(case.around.window.rows))
    for words, read in SHARED.values():
        account, value = read(case.around).T
        mine = np.isin(account, case.rows)
        values, members = np.unique(value[mine], return_counts=True)
        holders = value[np.isin(value, values)]
        held = np.bincount(np.searchsorted(values, holders), minlength=len(values))
        own = (members > 1) & (held - members <= OUTSIDE * members)
        values, held, outside = values[own], held[own], int((held - members)[own].sum())
        shown = mine & np.isin(value, values)
        account, value = account[shown], value[shown]
        who = np.unique(account)
        if len(who) < max(2, 0.1 * len(case.rows)):
            continue
        weight = (np.log(population / held) / np.log(population))[np.searchsorted(values, value)]
        best = np.zeros(len(who))
        np.maximum.at(best, np.searchsorted(who, account), weight)
        text = (
            f"{len(who)} of them {words} that another member uses too ({len(values)} in all, used by {outside or 'no'} other "
            f"account{'s' if outside > 1 else ''})"
        )
        rare = round(float(best.sum() / len(case.rows)), 4)
        out.append(Evidence("infrastructure", text, len(who), rare, example_accounts=case.named(who)))
    return out


SYNCHRONOUS, PAIRS_MIN = 3.0, 20


def _synchrony(case: Case) -> list[Evidence]:
    """Members that send within the same minute, against what the hour's rate makes by chance."""
    held, at = case.around.held, case.carrying
    minute = np.unique(held["account"][at].astype(np.int64) << 32 | held["ts"][at].astype(np.int64) // 60) & 0xFFFFFFFF
    _, hour = np.unique(minute // 60, return_counts=True)
    _, same = np.unique(minute, return_counts=True)
    pairs, chance = float((same * (same - 1)).sum()), float((hour * (hour - 1) / 60).sum())
    if pairs < 2 * PAIRS_MIN or pairs < SYNCHRONOUS * chance:
        return []
    times = pairs / max(chance, 1.0)
    text = f"they send within the same minute {times:.1f} times as often as their hourly numbers make by chance"
    return [Evidence("synchrony", text, len(np.unique(case.around.account[at])), round(times, 4), 1.0)]


LEVEL_MAX, LEVEL_ACCOUNTS = 0.5, 5


def _levelled(case: Case) -> list[Evidence]:
    """Say that requests a day are nearly the same in every member, as a quota makes them."""

    def spread(rows: Rows) -> tuple[float, Floats]:
        days = case.around.of("last_ts", rows) - case.around.of("first_ts", rows)
        a_day = case.around.of("day", rows)
        a_day = a_day[(days >= DAY) & (a_day >= 3)].astype(float)
        return (float(np.log(a_day).std()) if len(a_day) else np.nan), a_day

    mine, a_day = spread(case.rows)
    usual, others = spread(case.around.others)
    if len(a_day) < LEVEL_ACCOUNTS or len(others) < LEVEL_ACCOUNTS or mine >= min(LEVEL_MAX, usual / 2):
        return []
    low, high = np.quantile(a_day, (0.1, 0.9))
    text = f"most of them send between {low:.0f} and {high:.0f} requests a day: their volumes differ by a factor of {np.exp(mine):.1f} (usual: {np.exp(usual):.1f})"
    return [Evidence("quota", text, len(a_day), round(mine, 4), round(usual, 4))]


# --- How it changes ---


SILENT_S, SILENT_GAPS, SILENT_PAUSES = 8 * HOUR, 6.0, 2.0
"""How long a member has sent nothing that carries the campaign to be silent: in seconds, in its usual gaps, in its longest
pauses before."""
KNOWN_MIN, KNOWN_S = 3, 6 * HOUR
"""Requests that carry it, and over what time, from which a member's silence says something."""
NIGHT_S, EDGE_S, EDGE_GAPS = 24 * HOUR, HOUR, 3.0
"""A night's silence is none: one that is shorter counts where most fell silent within `EDGE_S`, or so many usual gaps, as who is
cut off does and people who go to bed do not."""
POOL_MIN, POOL_SHARE, POOL_SILENT, TOGETHER_S = 5, 0.25, 0.8, DAY
"""Accounts of a pool, and how many they are over those of the other; share of the older ones that must be silent; within what
time most of them fell silent."""
CUTS_MAX, POOLS_MAX = 256, 100


class Course(NamedTuple):
    """How some members have sent what carries the campaign; times in seconds.

    When each was first and last seen to, how often, its longest pause; when somebody acted on it, infinite if nobody did.
    """

    first: Floats
    last: Floats
    carried: Floats
    pause: Floats
    banned: Floats

    @property
    def gap(self) -> Floats:
        """Mean time between two requests."""
        return np.maximum((self.last - self.first) / np.maximum(self.carried - 1, 1), MINUTE)

    @property
    def known(self) -> Bools:
        """Say whose silence says something."""
        seen = (self.carried >= KNOWN_MIN) & (self.last - self.first >= KNOWN_S)
        return np.asarray(seen | np.isfinite(self.banned))

    def silent(self, ts: float) -> Bools:
        """Say who has fallen silent by `ts`."""
        long = np.maximum(np.maximum(SILENT_S, SILENT_GAPS * self.gap), SILENT_PAUSES * self.pause)
        return np.asarray(self.known & (ts - self.last >= long) | (self.banned <= self.last + HOUR))


def takeover(course: Course, ts: float) -> float | None:
    """Return when some members began after others had fallen silent together, or None; `ts` is now."""
    first, last = course.first, course.last
    if len(first) < 2 * POOL_MIN:
        return None
    silent, known, gap = course.silent(ts), course.known, course.gap
    begins = np.sort(first)[POOL_MIN : -POOL_MIN + 1]
    begins = np.unique(begins[:: max(1, len(begins) // CUTS_MAX)])
    best, since = 0.0, None
    for cut in begins.tolist():
        early = (first < cut) & known
        old, new = int((silent & early).sum()), int((~silent & (first >= cut)).sum())
        if min(old, new) < max(POOL_MIN, POOL_SHARE * max(old, new)) or old < POOL_SILENT * early.sum():
            continue
        low, middle, high = np.quantile(last[silent & early], (0.1, 0.5, 0.9))
        edge = max(EDGE_S, EDGE_GAPS * float(np.median(gap[silent & early])))
        night = ts - middle < NIGHT_S and not np.isfinite(course.banned[silent & early]).mean() > POOL_SILENT
        fit = float(new + 2 * old - early.sum())
        if high - low <= (edge if night else TOGETHER_S) and middle <= cut + HOUR and fit > best:
            best, since = fit, cut
    return since


def _succession(case: Case) -> list[Evidence]:
    """Name a pool that fell silent, and the one that goes on with its text.

    Notes when each pool began in the campaign (`Live.pools`), which is what its members are told by.
    """
    pools, around = case.campaign.pools, case.around
    seen = list(case.campaign.members.values())
    course = Course(
        case.first,
        case.last,
        np.array([of.carried for of in seen], float),
        np.array([of.pause for of in seen]),
        np.array([around.bans.get(around.window.names[row], np.inf) for row in case.rows.tolist()]),
    )
    newest = case.first >= (pools[-1] if pools else -np.inf)
    since = takeover(Course(*(values[newest] for values in course)), around.ts)
    if since is not None and len(pools) < POOLS_MAX:
        pools.append(since)
    if not pools:
        return []
    begun, before = pools[-1], pools[-2] if len(pools) > 1 else -np.inf
    before_that = (case.first >= before) & (case.first < begun) & course.known
    old = before_that & course.silent(around.ts)
    if old.sum() < POOL_SILENT / 2 * before_that.sum():  # they came back: it was none
        pools.pop()
        case.campaign.past.pop("succession", None)
        return []
    new = case.rows[case.first >= begun]
    if not old.any() or not len(new):
        return []  # what was said before stays said
    acted = int(np.isfinite(course.banned[old]).sum())
    low, middle, high = np.quantile(case.last[old], (0.1, 0.5, 0.9))
    text = (
        f"{old.sum()} accounts fell silent about {moment(float(middle))}, most within {max(1.0, np.ceil((high - low) / HOUR)):.0f} h"
        f"{f' ({acted} of them after others had acted on them)' if acted else ''}; the same text comes from {len(new)} other "
        f"accounts since {moment(begun)}"
    )
    k, share = len(pools) + 1, round(len(new) / len(case.rows), 4)
    concluded = f"the {len(new)} accounts of pool {k} are the successors of pool {k - 1}, since {moment(begun)}"
    return [
        Evidence("succession", text, len(new), share, 0.0, False, case.named(new), begun),
        Evidence("succession", concluded, len(new), share, 0.0, True, case.named(new), begun),
    ]


RELEASE_S = 14 * DAY
"""How long after its release a model is new."""
PIVOT_LIFT = 2.0


def _pivot(case: Case) -> list[Evidence]:
    """Compare the share of its requests for a new model with all others', and say how fast its accounts changed."""
    around = case.around
    codes = {name: code for code, name in around.window.models.items()}
    out: list[Evidence] = []
    for release in sorted(around.releases, key=lambda release: -release.ts):
        if release.model not in codes or not 0 <= around.ts - release.ts < RELEASE_S:
            continue
        model, at = around.held["model"] == codes[release.model], around.held["ts"] >= release.ts
        mine, foreign = case.carrying[at[case.carrying]], around.foreign[at[around.foreign]]
        own, usual = around.mean(model[mine], mine), around.mean(model[foreign], foreign)
        if len(own) < 5 or len(usual) < 5:
            continue
        share, others = float(own.mean()), float(usual.mean())
        taken = np.unique(around.account[mine[model[mine]]])
        if (own > 0).sum() >= 5 and share >= max(PIVOT_LIFT * others, others + 0.1):
            text = f"since {release.model} was released ({moment(release.ts)}), {share:.0%} of its requests ask for it, of all others' {others:.0%}"
            out.append(
                Evidence(
                    "pivot", text, len(taken), round(share, 4), round(others, 4), False, case.named(taken), release.ts
                )
            )
        at = around.held["ts"] < release.ts + DAY
        early = np.unique(around.account[mine[model[mine] & at[mine]]])
        usual_early = len(np.unique(around.account[foreign[model[foreign] & at[foreign]]])) / len(usual)
        if len(early) >= 5 and len(early) / len(own) >= max(0.5, usual_early + PLAIN):
            text = f"{len(early)} of {len(own)} accounts asked for {release.model} within 24 hours of its release (usual: {usual_early:.0%})"
            value = round(len(early) / len(own), 4)
            out.append(
                Evidence(
                    "new_model", text, len(early), value, round(usual_early, 4), False, case.named(early), release.ts
                )
            )
        if out:
            break
    return out


PROBES_MIN, PROBES_REFUSED = 10, 0.3
PROBES_SEEN, PROBES_VARIETY = 30, 0.15
"""Distinct fingerprints over all, of so many requests, that are ever other wording."""
SCALED_REFUSED = 0.5
"""Share of the probers' refusals that the scaled technique has at most."""


def _probing(case: Case) -> list[Evidence]:
    """Find accounts with many refusals and ever other wording, before the one wording that the campaign then sent.

    They need be no members: who has sent the campaign's text at all is looked at.
    """
    around = case.around
    held, account = around.held, around.account
    refused = (held["flags"] & REFUSED) > 0
    begun = float(np.median(case.first))
    before = np.flatnonzero(held["ts"] < begun)
    n = np.bincount(account[before], minlength=len(around.member))
    no = np.bincount(account[before], refused[before], len(n))
    suspects = np.flatnonzero((n >= PROBES_MIN) & (no >= PROBES_REFUSED * n))
    found = []
    for row in suspects.tolist():
        own = np.flatnonzero(account == row)
        shows = np.isin(held["prints"][own], case.campaign.prints).sum(axis=1) >= 2
        prints = held["prints"][own[held["ts"][own] < begun][:PROBES_SEEN]]
        prints = prints[prints != 0]
        varied = len(np.unique(prints)) >= PROBES_VARIETY * len(prints)
        if varied and (row in case.campaign.members or shows.any()):
            found.append(row)
    later = case.carrying[held["ts"][case.carrying] >= begun]
    if not found or not len(later):
        return []
    who = np.array(found, np.int64)
    share, scaled = float(no[who].sum() / n[who].sum()), float(around.mean(refused[later], later).mean())
    if scaled > SCALED_REFUSED * share:
        return []
    usual = around.usual(refused)
    since = float(held["ts"][before[np.isin(account[before], who)]].min())
    one = len(who) == 1
    text = (
        f"{len(who)} account{'' if one else 's'} that {'has' if one else 'have'} sent its text had {share:.0%} of {int(n[who].sum())} "
        f"requests seen before {moment(begun)} refused (usual: {usual:.1%}), in ever other wording; of its own since then "
        f"{scaled:.0%} are refused"
    )
    concluded = f"techniques were tried out from {moment(since)} on, until one got through that was then sent by {len(case.rows)} accounts"
    return [
        Evidence("probing", text, len(who), round(share, 4), round(usual, 4), False, case.named(who), since),
        Evidence(
            "probing", concluded, len(case.rows), round(scaled, 4), round(usual, 4), True, case.named(case.rows), begun
        ),
    ]


# --- What its accounts do, each by itself ---


def _with(around: Around, rows: Rows, column: str) -> tuple[Floats, Bools]:
    """Return the share of each account's requests that leave a field out, and where that is known."""
    account = around.account
    n = np.bincount(account, minlength=len(around.member))[rows]
    silent = np.bincount(account, around.held[column] == 0, len(around.member))[rows]
    return silent / np.maximum(n, 1), n > 1


class Habit(NamedTuple):
    """What single accounts do: its kind, its words, and (what they do: yes or no, where that is known)."""

    kind: str
    words: str
    shown: Callable[[Around, Rows], tuple[Bools, Bools]]


def _flat(around: Around, rows: Rows) -> tuple[Bools, Bools]:
    requests, days = around.of("requests", rows), around.of("last_ts", rows) - around.of("first_ts", rows)
    return around.of("flatness", rows) >= 90, (requests >= 24) & (days >= DAY)


def _at_once(around: Around, rows: Rows) -> tuple[Bools, Bools]:
    return around.of("head_start", rows) >= 80, around.of("day", rows) >= 48


def _spread_out(around: Around, rows: Rows) -> tuple[Bools, Bools]:
    return around.of("addresses", rows) >= 4, around.of("requests", rows) >= 8


def _used_up(around: Around, rows: Rows) -> tuple[Bools, Bools]:
    plan = around.of("entitlement", rows)
    return around.of("tokens_day", rows) >= 0.5 * plan, plan > 0


def _sanitised(around: Around, rows: Rows) -> tuple[Bools, Bools]:
    share, known = _with(around, rows, "agent")
    return share >= 0.5, known


HABITS = (
    Habit("flatness", "send at all hours of the day alike", _flat),
    Habit("head_start", "were at their busiest in their first hour already", _at_once),
    Habit("addresses", "came from four addresses or more", _spread_out),
    Habit("plan_use", "use half of a day's plan or more", _used_up),
    Habit("metadata", "do not say what client program sends half of their requests or more", _sanitised),
)


def _habits(case: Case) -> list[Evidence]:
    """Say what most members do each by itself, and most others do not."""
    out = []
    for habit in HABITS:
        shown, known = habit.shown(case.around, case.rows)
        theirs, known_of = habit.shown(case.around, case.around.others)
        n, share = int(known.sum()), float(shown[known].mean()) if known.any() else 0.0
        usual = float(theirs[known_of].mean()) if known_of.any() else 0.0
        if n < 5 or share < max(0.5, usual + PLAIN):
            continue
        who = case.rows[shown & known]
        text = f"{len(who)} of {n} accounts {habit.words} (usual: {usual:.0%})"
        out.append(
            Evidence(habit.kind, text, len(who), round(share, 4), round(usual, 4), example_accounts=case.named(who))
        )
    return out


NORMAL_MIN, NORMAL_MAX = 300, 4096
"""Prompts of accounts in no campaign from which what is normal is known, and of which it is told at most."""
SURPRISING = 25.0
"""Squared standard deviations from the normal: a batch of normal prompts hardly ever lies beyond (docs/detection.md, windows)."""


def _surprise(case: Case) -> list[Evidence]:
    """Say how far its prompts, as one batch, lie from what this service is usually asked: a second opinion at any size."""
    if case.around.normal is None:
        return []
    sums = Sums.of(case.around.held["standing"][case.carrying], np.zeros(len(case.carrying), np.int64), 1)
    score = float(case.around.normal.score(sums)[0])
    if score < SURPRISING:
        return []
    text = (
        f"its prompts, {int(sums.queries[0])} taken together, lie {score**0.5:.0f} standard deviations from what this service is "
        f"usually asked (a batch of usual prompts: below {SURPRISING**0.5:.0f})"
    )
    return [Evidence("surprise", text, len(case.rows), round(score**0.5, 4), SURPRISING**0.5)]


def _elicitation(case: Case) -> list[Evidence]:
    """Count requests that ask for written-out reasoning."""
    around, at = case.around, case.carrying
    asks = (around.held["marks"] & 1) > 0
    own, usual = around.mean(asks[at], at), around.usual(asks)
    if not len(own) or float(own.mean()) < max(0.5, usual + PLAIN):
        return []
    share = float(own.mean())
    text = f"{share:.0%} of its requests ask for written-out reasoning (usual: {usual:.0%})"
    return [Evidence("reasoning_elicitation", text, int((own > 0).sum()), round(share, 4), round(usual, 4))]


SET_MIN, SENDERS_MIN, SET_SHARE = 5, 3, 0.2


def _probe_set(case: Case) -> list[Evidence]:
    """Prompts that several members send word for word: a fixed set."""
    prints = case.around.held["prints"][case.carrying].astype(np.uint64)
    odd = (np.arange(prints.shape[1], dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)) | np.uint64(1)
    prompt = (prints * odd).sum(axis=1, dtype=np.uint64)
    known = prompt != 0
    account = case.around.account[case.carrying][known]
    prompts, place = np.unique(prompt[known], return_inverse=True)
    pairs = distinct(place.astype(np.int64) << 32 | account)
    often = np.bincount(pairs >> 32, minlength=len(prompts)) >= SENDERS_MIN
    share = float(often[place].mean()) if len(place) else 0.0
    if often.sum() < SET_MIN or share < SET_SHARE:
        return []
    who = np.unique(account[often[place]])
    text = f"{int(often.sum())} prompts came word for word from {SENDERS_MIN} members or more each; they are {share:.0%} of its requests"
    return [Evidence("probe_set", text, len(who), round(share, 4), example_accounts=case.named(who))]


def _behaviour(case: Case) -> list[Evidence]:
    """Shares that the judge went by, where they speak against the cluster."""
    cluster = _judged(case)
    if cluster is None:
        return []
    parts = judge.contributions(cluster.features, case.weights)
    values = dict(zip(judge.FEATURES, cluster.measured.tolist(), strict=True))
    usuals = dict(zip(judge.FEATURES, cluster.usual.tolist(), strict=True))
    telling = [name for name in FACTS_IN_WORDS if parts[name] > 0 and values[name] > usuals[name] + TELLING]
    return [
        Evidence(
            "behaviour", f"{values[name]:.0%} {FACTS_IN_WORDS[name]} (usual in crowds: {usuals[name]:.0%})", len(cluster.members),
            round(values[name], 4), round(usuals[name], 4),
        )
        for name in sorted(telling, key=lambda name: -parts[name])[:4]
    ]  # fmt: skip


def _judgement(case: Case) -> list[Evidence]:
    """Say what the judge makes of it as a whole."""
    cluster = _judged(case)
    if cluster is not None:
        text = f"as a whole {cluster.score:.1f} in log odds from an honest crowd"
        return [
            Evidence("judgement", text, len(cluster.members), round(cluster.score, 3), case.convict, inference=True)
        ]
    for cluster in case.clusters:
        if cluster.shape == "infrastructure":
            text = f"judged without their text, {cluster.score:.1f} in log odds from strangers who share a network or a card"
            return [
                Evidence("judgement", text, len(cluster.members), round(cluster.score, 3), case.convict, inference=True)
            ]
        if cluster.shape == "relay":
            text = "one phrase under strangers' texts and programs, in accounts that nobody vouches for: the shape of a relay"
            return [
                Evidence("judgement", text, len(cluster.members), round(cluster.score, 3), case.convict, inference=True)
            ]
    return []


def _judged(case: Case) -> Cluster | None:
    """Return the surest cluster that the judge of crowds decided about."""
    judged = [cluster for cluster in case.clusters if cluster.shape in ("narrow", "twin")]
    return max(judged, key=lambda cluster: cluster.score, default=None)


def _pairs(accounts: NDArray[np.integer], values: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return (account, value), each once, where the value is known: [pairs, 2]."""
    known = values != 0
    packed = np.sort(accounts[known].astype(np.int64) << 32 | values[known].astype(np.int64))  # faster than np.unique
    packed = packed[np.diff(packed, prepend=-1) != 0]
    return np.stack([packed >> 32, packed & 0xFFFFFFFF], axis=1)


KINDS: tuple[Callable[[Case], list[Evidence]], ...] = (
    _text, _reasoning, _succession, _pivot, _probing, _infrastructure, _synchrony, _levelled, _habits, _surprise, _elicitation, _probe_set,
    _behaviour, _judgement,
)  # fmt: skip
"""Every kind, in the order in which they are told."""
