"""Accounts joined by what they run on: means of payment, networks, programs, mail domains. Needs no text.

Sharing one thing accuses nobody: carriers, offices and proxies put strangers behind one network, families and shops pay
with one card. What a campaign cannot avoid without cost is sharing *several* things at once, and being driven by one
program. So each thing that several accounts show is weighed by how rare it is (log2 of all accounts over those that show
it: the surprise at two strangers sharing it, Fellegi and Sunter 1969), the accounts around one rare thing are a
candidate, candidates that share accounts are gathered, and the whole is judged on what else its accounts have in common
and how they behave. The weights are a judge's own, fitted without any text (`benchmarks/fit_infrastructure.py`).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_guard.campaigns import judge
from stream_guard.campaigns.cluster import Cluster
from stream_guard.campaigns.judge import DAY, Look, Pairs
from stream_guard.campaigns.settings import LinkSettings
from stream_guard.campaigns.window import Window

KINDS = ("payment", "network", "program", "mail")
PAYMENT, NETWORK, PROGRAM, MAIL = range(len(KINDS))
JOINING = (PAYMENT, NETWORK)
"""Kinds that make candidates; the others only add to what their accounts have in common: whole nations share them."""
STAR_MIN = 3
"""Accounts around one thing that make a candidate."""
COMMON = 0.25
"""Share of all accounts from which a thing is common: a carrier's network, a prepaid card. It joins nobody."""
STARS_MAX = 4_096
"""Candidates that are judged in a pass; of more, those with the rarest things."""
STAR_MAX = 4_096
"""Accounts of one candidate that are judged, a fair sample of more."""
OVERLAP = 0.4
"""Share of a candidate's accounts in a gathered one from which it joins it."""
BELONGS = 0.4
"""Share of the median of what members have in common that a member has at least: one network shared with a campaign that
shares cards and programs as well makes nobody a member."""
BITS_MAX = 10.0
WEEK = 7.0
HOURS_MIN = 3
SHRINK = 4.0
CLIP = 3.0

PRIORS: dict[str, tuple[float, float, float]] = {
    "bits": (0.6, 8.0, 3.0),
    "cards": (1.38, 1.0, 0.7),
    "same_week": (1.07, 0.3, 0.3),
    "independent": (0.26, 0.9, 0.2),
    "vouched": (-1.76, 0.3, 0.3),
    "interactive": (-2.16, 0.2, 0.3),
    "single_turn": (0.43, 0.6, 0.25),
    "evenness": (1.58, 0.7, 0.2),
    "top_model": (1.15, 0.6, 0.2),
    "volume_spread": (-0.74, 0.6, 0.3),
}
"""Feature -> (weight, centre, scale): the shipped judge of infrastructure. In log odds, each cut at `CLIP` scales."""
BIAS = -1.7

ABOUT: dict[str, str] = {
    "bits": "What an account shares with the rest, the rarest thing of each kind, summed: bits of surprise, at most "
    f"{BITS_MAX:g} a kind.",
    "cards": "Share of accounts that pay by means another one uses too, times log2 of one more than how many such means there "
    "are: a reseller has one card, families few members, a pool several cards for all.",
    "same_week": "Share of accounts that were made within one week of each other.",
    "independent": "Distinct organisations over accounts; one without counts as its own.",
    "vouched": "Share of accounts with a declared organisation and a mail domain of its own.",
    "interactive": "Share of requests from a browser or a console.",
    "single_turn": "Share of requests that open a conversation.",
    "evenness": "Hours in which an account was active, over those that as many requests at random times since its first "
    f"would make; of accounts seen for {HOURS_MIN} hours or more. People come in sessions, programs do not.",
    "top_model": "Share of requests for the most usual model.",
    "volume_spread": "Standard deviation of the log of the accounts' requests: levelled quotas have little.",
}
FEATURES = tuple(PRIORS)
WEIGHTS, CENTRE, SCALE = np.array(list(PRIORS.values())).T


class Things(NamedTuple):
    """What each account in the window shows: sorted by kind, value, account; each once."""

    kind: NDArray[np.int64]
    value: NDArray[np.int64]
    account: NDArray[np.int64]
    starts: NDArray[np.int64]  # where each thing's accounts begin, and the end
    bits: NDArray[np.float64]  # surprise at sharing it, by thing
    accounts: int  # all that are in the window


def things(look: Look) -> Things:
    """Collect what the accounts of a window show. What an account does not say is not in it."""
    held, facts = look.held, look.window.facts
    rows = np.unique(held["account"]).astype(np.int64)
    account = held["account"].astype(np.int64)
    program = held["agent"].astype(np.int64)
    mail = np.where(facts["public_mail"][rows] != 0, 0, facts["mail"][rows])
    columns = [
        (PAYMENT, facts["payment"][rows].astype(np.int64), rows),
        (NETWORK, held["ip"].astype(np.int64) >> 8, account),
        (PROGRAM, program, account),
        (MAIL, mail.astype(np.int64), rows),
    ]
    parts = []
    for kind, value, who in columns:
        known = value != 0
        packed = np.unique(value[known] << 32 | who[known])  # accounts are rows, below 2^32
        parts.append((np.full(len(packed), kind), packed >> 32, packed & 0xFFFFFFFF))
    kinds, values, who = (np.concatenate(column) for column in zip(*parts, strict=True))
    starts = np.flatnonzero(np.r_[kinds[:1] >= 0, (kinds[1:] != kinds[:-1]) | (values[1:] != values[:-1]), True])
    shown = np.diff(starts)
    bits = np.clip(np.log2(np.maximum(len(rows), 1) / np.maximum(shown, 1)), 0.0, BITS_MAX)
    return Things(kinds, values, who, starts, bits, len(rows))


def candidates(seen: Things) -> list[NDArray[np.int64]]:
    """Return the accounts around each rare thing that several show, those around the rarest first."""
    shown = np.diff(seen.starts)
    joins = np.isin(seen.kind[seen.starts[:-1]], JOINING)
    most = max(COMMON * seen.accounts, 8.0)
    star = np.flatnonzero(joins & (shown >= STAR_MIN) & (shown <= most))
    star = star[np.argsort(-seen.bits[star], kind="stable")][:STARS_MAX]
    found = []
    for s in star.tolist():
        who = seen.account[seen.starts[s] : seen.starts[s + 1]]
        found.append(who[:: len(who) // STAR_MAX + 1])
    return found


def in_common(seen: Things, who: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return by kind [len(who), KINDS] the bits of the rarest thing that each of `who` (sorted) shares with another."""
    place = np.searchsorted(who, seen.account)
    inside = np.flatnonzero(who[np.minimum(place, len(who) - 1)] == seen.account)
    thing = np.searchsorted(seen.starts, inside, side="right") - 1
    _, inverse, n = np.unique(thing, return_inverse=True, return_counts=True)
    shared = n[inverse] > 1
    inside, thing = inside[shared], thing[shared]
    bits = np.zeros((len(who), len(KINDS)))
    np.maximum.at(bits, (place[inside], seen.kind[inside]), seen.bits[thing])
    return bits


def measure(look: Look, seen: Things, groups: list[NDArray[np.int64]]) -> NDArray[np.float64]:
    """Return the features [len(groups), len(FEATURES)] of sets of accounts, sorted; NaN where nothing is known."""
    pairs = _requests(look, groups)
    behaviour = dict(
        zip(
            judge.FEATURES,
            judge.measure(look, pairs, np.ones(len(groups), np.int64), len(groups)).features.T,
            strict=True,
        )
    )
    facts, out = look.window.facts, np.full((len(groups), len(FEATURES)), np.nan)
    even = _evenness(look)
    for g, who in enumerate(groups):
        bits = in_common(seen, who)
        made = np.sort(facts["created_at"][who])
        made = made[made > 0] / DAY
        week = (np.searchsorted(made, made + WEEK, side="right") - np.arange(len(made))).max() if len(made) else np.nan
        own = {
            "bits": bits.sum(axis=1).mean(),
            "cards": (bits[:, PAYMENT] > 0).mean() * np.log2(1.0 + _shared_cards(facts["payment"][who])),
            "same_week": week / max(len(made), 1),
            "evenness": float(np.nanmean(even[who])) if np.isfinite(even[who]).any() else np.nan,
        }
        out[g] = [own.get(name, behaviour[name][g] if name in behaviour else np.nan) for name in FEATURES]
    return out


def _shared_cards(payment: NDArray[np.uint32]) -> int:
    """Count the means of payment that more than one of these accounts uses."""
    _, n = np.unique(payment[payment != 0], return_counts=True)
    return int((n > 1).sum())


def _evenness(look: Look) -> NDArray[np.float64]:
    """Return by account how evenly its requests come; NaN where it is too early to say."""
    account, hour = look.held["account"].astype(np.int64), look.held["ts"].astype(np.int64) // 3600
    shown = np.unique(account << 32 | hour)
    who, hour = shown >> 32, shown & 0xFFFFFFFF
    active = np.bincount(who, minlength=len(look.totals))
    first = np.full(len(look.totals), 1 << 32)
    np.minimum.at(first, who, hour)
    hours = np.maximum(look.held["ts"].max() // 3600 - first + 1.0, 1.0)
    chance = hours * -np.expm1(look.totals * np.log1p(-1.0 / np.maximum(hours, 1.5)))
    known = (hours >= HOURS_MIN) & (look.totals >= HOURS_MIN)
    return np.where(known, active / np.maximum(chance, 1.0), np.nan)


def _requests(look: Look, groups: list[NDArray[np.int64]]) -> Pairs:
    """Return all requests of the accounts of each group."""
    order = np.argsort(look.held["account"], kind="stable")
    account = look.held["account"][order].astype(np.int64)
    who = np.concatenate([np.zeros(0, np.int64), *groups])
    begin, end = np.searchsorted(account, who), np.searchsorted(account, who, side="right")
    n = end - begin
    places = np.arange(n.sum()) + np.repeat(begin - np.r_[0, np.cumsum(n)[:-1]], n)
    group = np.repeat(np.arange(len(groups)), [len(w) for w in groups])
    return Pairs(np.repeat(group, n), np.repeat(who, n), order[places])


def scores(features: NDArray[np.float64], accounts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log odds of sets of so many accounts."""
    return np.asarray(scaled(features, accounts) @ WEIGHTS + BIAS)


def scaled(features: NDArray[np.float64], accounts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the features as the score counts them: in scales from the centre, at most `CLIP`, less while accounts are few."""
    x = np.clip((np.where(np.isfinite(features), features, CENTRE) - CENTRE) / SCALE, -CLIP, CLIP)
    return np.asarray(x * (accounts / (accounts + SHRINK))[:, None])


def gather(
    seen: Things, stars: list[NDArray[np.int64]], score: NDArray[np.float64], suspect: float
) -> list[NDArray[np.int64]]:
    """Put the suspicious candidates that share accounts together, the worst first, and cut them to those who belong."""
    gathered: list[set[int]] = []
    for s in np.argsort(-score, kind="stable").tolist():
        if score[s] < suspect:
            break
        who = set(stars[s].tolist())
        best = max(gathered, key=lambda known: len(known & who), default=None)
        if best is not None and len(best & who) >= OVERLAP * len(who):
            best |= who
        else:
            gathered.append(who)
    found = []
    for group in gathered:
        members = np.array(sorted(group))
        bits = in_common(seen, members).sum(axis=1)
        found.append(members[bits >= BELONGS * np.median(bits)])
    return found


def clusters(
    window: Window, settings: LinkSettings, is_customer: Callable[[Window, NDArray[np.int64]], bool]
) -> list[Cluster]:
    """Return the campaigns that infrastructure gives away, the surest first.

    `is_customer` says whether accounts are those of one customer, who may share whatever he likes.
    """
    look = Look.over(window)
    if not len(look.held):
        return []
    seen = things(look)
    stars = [who for who in candidates(seen) if not is_customer(window, who)]
    if not stars:
        return []
    score = scores(measure(look, seen, stars), np.array([len(who) for who in stars], float))
    found = [who for who in gather(seen, stars, score, settings.suspect) if len(who) >= settings.accounts_min]
    found = [who for who in found if not is_customer(window, who)]
    if not found:
        return []
    pairs = _requests(look, found)
    score = scores(measure(look, seen, found), np.array([len(who) for who in found], float))
    out = []
    for g in np.flatnonzero(score >= settings.convict).tolist():
        who, ones, none = found[g], np.ones(len(found[g])), np.zeros(0, np.uint32)
        out.append(
            Cluster(
                none, who, ones, look.totals[who].astype(np.int64), float(score[g]), judge.CENTRE, judge.USUAL,
                pairs.sighting[pairs.cluster == g], np.zeros(len(who), np.bool_), "infrastructure",
            )
        )  # fmt: skip
    return sorted(out, key=lambda cluster: -cluster.score)
