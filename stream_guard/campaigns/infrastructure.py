"""Accounts joined by what they run on: means of payment, networks, programs, mail domains. Needs no text.

Sharing one thing accuses nobody: carriers, offices and proxies put strangers behind one network, families and shops pay
with one card. What a campaign cannot avoid without cost is sharing *several* things at once, and being driven by one
program. So each thing that several accounts show is weighed by how rare it is (log2 of all accounts over those that show
it: the surprise at two strangers sharing it, Fellegi and Sunter 1969), the accounts around one rare thing are a
candidate, candidates that share accounts are gathered, and the whole is judged on what else its accounts have in common
and how they behave. The weights are a judge's own, fitted without any text (`benchmarks/fit_infrastructure.py`).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_guard.campaigns import judge
from stream_guard.campaigns.bystanders import VOUCHED_MAX
from stream_guard.campaigns.cluster import Cluster
from stream_guard.campaigns.judge import DAY, Look, Pairs
from stream_guard.campaigns.settings import LinkSettings
from stream_guard.campaigns.window import Window, distinct

KINDS = ("payment", "network", "program", "mail")
PAYMENT, NETWORK, PROGRAM, MAIL = range(len(KINDS))
JOINING = (PAYMENT, NETWORK)
"""Kinds that make candidates; the others only add to what their accounts have in common: whole nations share them."""
STAR_MIN = 3
"""Accounts around one thing that make a candidate."""
COMMON = 0.25
"""Share of all accounts from which a thing is common: a carrier's network, a prepaid card. It joins nobody."""
STAR_MAX = 512
"""Accounts of one candidate that are judged, a fair sample of more."""
CANDIDATES_MAX = 100_000
"""Accounts of all candidates of a pass together; of more, those around the rarest things are looked at."""
TOGETHER, OVERLAP = 2, 0.4
"""Accounts that two guilty candidates have in common, or share of the smaller one's, from which they are parts of one."""
NEIGHBOURS = 4
"""How many of the candidates that an account is in are compared with each."""
BELONGS = 0.4
"""Share of the median of what members have in common that a member has at least: one network shared with a campaign that
shares cards and programs as well makes nobody a member."""
BITS_MAX = 7.0
WEEK = 7.0
HOURS_MIN = 3
_NONE = np.zeros(0, np.int64)
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
    """What the accounts of a window show: each thing is a value of a kind. (Account, thing) once, sorted either way."""

    kind: NDArray[np.int64]  # by thing
    bits: NDArray[np.float64]  # by thing: surprise at sharing it
    starts: NDArray[np.int64]  # by thing: where its accounts begin in `accounts`, and the end
    accounts: NDArray[np.int64]
    own_starts: NDArray[np.int64]  # by account: where its things begin in `own`, and the end
    own: NDArray[np.int64]
    request_starts: NDArray[np.int64]  # by account: where its requests begin in `requests`, and the end
    requests: NDArray[np.int64]
    evenness: NDArray[np.float64]  # by account; NaN where it is too early to say
    population: int  # accounts that are in the window


def things(look: Look) -> Things:
    """Collect what the accounts of a window show. What an account does not say is not in it."""
    held, facts = look.held, look.window.facts
    rows = np.flatnonzero(look.totals)
    account = held["account"].astype(np.int64)
    mail = np.where(facts["public_mail"][rows] != 0, 0, facts["mail"][rows])
    columns = [
        (PAYMENT, facts["payment"][rows].astype(np.int64), rows),
        (NETWORK, held["ip"].astype(np.int64) >> 8, account),
        (PROGRAM, held["agent"].astype(np.int64), account),
        (MAIL, mail.astype(np.int64), rows),
    ]
    parts = []
    for kind, value, who in columns:
        known = value != 0
        packed = distinct(value[known] << 32 | who[known])  # accounts are rows, below 2^32
        parts.append((np.full(len(packed), kind), packed >> 32, packed & 0xFFFFFFFF))
    kinds, values, accounts = (np.concatenate(column) for column in zip(*parts, strict=True))
    first = np.r_[kinds[:1] >= 0, (kinds[1:] != kinds[:-1]) | (values[1:] != values[:-1])]
    starts = np.flatnonzero(np.r_[first, True])
    by_account = np.argsort(accounts, kind="stable")
    bits = np.clip(np.log2(max(len(rows), 1) / np.maximum(np.diff(starts), 1)), 0.0, BITS_MAX)
    requests = np.argsort(account, kind="stable")
    everyone = np.arange(len(look.totals) + 1)
    return Things(
        kinds[starts[:-1]], bits, starts, accounts, np.searchsorted(accounts[by_account], everyone), (np.cumsum(first) - 1)[by_account],
        np.searchsorted(account[requests], everyone), requests, _evenness(look), len(rows),
    )  # fmt: skip


def _evenness(look: Look) -> NDArray[np.float64]:
    account, hour = look.held["account"].astype(np.int64), look.held["ts"].astype(np.int64) // 3600
    shown = distinct(account << 32 | hour)
    who, hour = shown >> 32, shown & 0xFFFFFFFF
    active = np.bincount(who, minlength=len(look.totals))
    first = np.full(len(look.totals), 1 << 32)
    np.minimum.at(first, who, hour)
    hours = np.maximum(look.held["ts"].max() // 3600 - first + 1.0, 1.0)
    chance = hours * -np.expm1(look.totals * np.log1p(-1.0 / np.maximum(hours, 1.5)))
    known = (hours >= HOURS_MIN) & (look.totals >= HOURS_MIN)
    return np.where(known, active / np.maximum(chance, 1.0), np.nan)


def candidates(seen: Things) -> list[NDArray[np.int64]]:
    """Return the accounts around each rare thing that several show, the rarest and then the most first."""
    shown = np.diff(seen.starts)
    most = max(COMMON * seen.population, 8.0)
    star = np.flatnonzero(np.isin(seen.kind, JOINING) & (shown >= STAR_MIN) & (shown <= most))
    star = star[np.lexsort((-shown[star], -seen.bits[star]))]
    star = star[np.cumsum(np.minimum(shown[star], STAR_MAX)) <= CANDIDATES_MAX]
    return [
        seen.accounts[begin : begin + n : n // STAR_MAX + 1]
        for begin, n in zip(seen.starts[star].tolist(), shown[star].tolist(), strict=True)
    ]


class Sets(NamedTuple):
    """Sets of accounts, one after the other."""

    number: int
    group: NDArray[np.int64]  # of each member
    who: NDArray[np.int64]  # each member, sorted within its group

    @classmethod
    def of(cls, groups: Sequence[NDArray[np.int64]]) -> "Sets":
        """Put sets together."""
        sizes = [len(who) for who in groups]
        return cls(len(groups), np.repeat(np.arange(len(groups)), sizes), np.concatenate([_NONE, *groups]))

    @property
    def sizes(self) -> NDArray[np.float64]:
        """How many accounts each has."""
        return np.bincount(self.group, minlength=self.number).astype(float)


def in_common(seen: Things, sets: Sets) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return what members share with another member of their set.

    By member and kind [members, KINDS], the bits of the rarest such thing; and by set, how many means of payment are shared.
    """
    place, at = _expand(seen.own_starts, sets.who)
    thing = seen.own[at]
    key = sets.group[place] * len(seen.kind) + thing
    keys, inverse, shown = np.unique(key, return_inverse=True, return_counts=True)
    shared = shown[inverse] > 1
    bits = np.zeros((len(sets.who), len(KINDS)))
    np.maximum.at(bits, (place[shared], seen.kind[thing[shared]]), seen.bits[thing[shared]])
    group, thing = np.divmod(keys[shown > 1], max(1, len(seen.kind)))
    return bits, np.bincount(group[seen.kind[thing] == PAYMENT], minlength=sets.number)


def _expand(starts: NDArray[np.int64], who: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return all places of each of `who` in what `starts` indexes: (place in `who`, place there)."""
    begin, n = starts[who], starts[who + 1] - starts[who]
    return np.repeat(np.arange(len(who)), n), np.arange(n.sum()) + np.repeat(begin - np.r_[0, np.cumsum(n)[:-1]], n)


def measure(look: Look, seen: Things, sets: Sets) -> NDArray[np.float64]:
    """Return the features [sets, len(FEATURES)]; NaN where nothing is known."""
    pairs, n = requests(seen, sets), np.maximum(sets.sizes, 1.0)
    behaviour = judge.measure(look, pairs, np.ones(sets.number, np.int64), sets.number, text=False).features
    columns = dict(zip(judge.FEATURES, behaviour.T, strict=True))
    bits, cards = in_common(seen, sets)
    payers = np.bincount(sets.group, bits[:, PAYMENT] > 0, sets.number) / n
    columns |= {
        "bits": np.bincount(sets.group, bits.sum(axis=1), sets.number) / n,
        "cards": payers * np.log2(1.0 + cards),
        "same_week": _same_week(look.window.facts["created_at"][sets.who] / DAY, sets),
        "evenness": _mean(seen.evenness[sets.who], sets),
    }
    return np.stack([columns[name] for name in FEATURES], axis=1)


def _same_week(made: NDArray[np.float64], sets: Sets) -> NDArray[np.float64]:
    """Return the share of each set that was made within the fullest week; NaN where no day is known."""
    known = made > 0
    group, made = sets.group[known], made[known]
    ages = 1e6  # days: sets apart in one sorted line
    line = np.sort(group * ages + made)
    within = np.searchsorted(line, line + WEEK, side="right") - np.arange(len(line))
    most = np.zeros(sets.number)
    np.maximum.at(most, (line // ages).astype(np.int64), within)
    n = np.bincount(group, minlength=sets.number)
    return np.where(n > 0, most / np.maximum(n, 1), np.nan)


def _mean(values: NDArray[np.float64], sets: Sets) -> NDArray[np.float64]:
    """Mean over the members of whom it is known; NaN where it is of none."""
    known = np.isfinite(values)
    n = np.bincount(sets.group[known], minlength=sets.number)
    return np.where(n > 0, np.bincount(sets.group[known], values[known], sets.number) / np.maximum(n, 1), np.nan)


def requests(seen: Things, sets: Sets) -> Pairs:
    """Return all requests of the accounts of each set."""
    place, at = _expand(seen.request_starts, sets.who)
    return Pairs(sets.group[place], sets.who[place], seen.requests[at])


def scores(features: NDArray[np.float64], accounts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log odds of sets of so many accounts."""
    return np.asarray(scaled(features, accounts) @ WEIGHTS + BIAS)


def scaled(features: NDArray[np.float64], accounts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the features as the score counts them: in scales from the centre, at most `CLIP`, less while accounts are few."""
    x = np.clip((np.where(np.isfinite(features), features, CENTRE) - CENTRE) / SCALE, -CLIP, CLIP)
    return np.asarray(x * (accounts / (accounts + SHRINK))[:, None])


def gather(
    seen: Things, stars: Sets, guilty: NDArray[np.bool_], accounts_min: int = STAR_MIN
) -> list[NDArray[np.int64]]:
    """Put the guilty candidates that share accounts together, and cut each whole of some size to those who belong."""
    mine = guilty[stars.group]
    star, who = stars.group[mine], stars.who[mine]
    order = np.lexsort((star, who))
    star, who = star[order], who[order]
    sizes, root = stars.sizes, list(range(stars.number))

    def find(s: int) -> int:
        while root[s] != s:
            root[s] = root[root[s]]
            s = root[s]
        return s

    # Candidates that an account is in, each with the one before it: enough of the pairs to connect what belongs together.
    for step in range(1, NEIGHBOURS + 1):
        same = np.flatnonzero(who[step:] == who[:-step])
        pair, both = np.unique(star[same] << 32 | star[same + step], return_counts=True)
        first, second = pair >> 32, pair & 0xFFFFFFFF
        joined = (both >= TOGETHER) | (both >= OVERLAP * np.minimum(sizes[first], sizes[second]))
        for one, other in zip(first[joined].tolist(), second[joined].tolist(), strict=True):
            root[find(one)] = find(other)
    whole = np.array([find(s) for s in range(stars.number)])
    packed = distinct(whole[star] << 32 | who)
    members = packed & 0xFFFFFFFF
    parts = [part for part in np.split(members, np.flatnonzero(np.diff(packed >> 32)) + 1) if len(part) >= accounts_min]
    if not parts:
        return []
    common = in_common(seen, Sets.of(parts))[0].sum(axis=1)
    own = np.split(common, np.cumsum([len(part) for part in parts])[:-1])
    return [part[bits >= BELONGS * np.median(bits)] for part, bits in zip(parts, own, strict=True)]


def _without_vouched(window: Window, who: NDArray[np.int64]) -> NDArray[np.int64]:
    """Leave out whom somebody vouches for where few have anybody: sharing alone makes no member of a firm's account."""
    vouched = judge.vouched(window.facts[who])
    return who[~vouched] if vouched.mean() <= VOUCHED_MAX else who


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
    stars = Sets.of([who for who in candidates(seen) if not is_customer(window, who)])
    if not stars.number:
        return []
    guilty = scores(measure(look, seen, stars), stars.sizes) >= settings.suspect
    whole = [_without_vouched(window, who) for who in gather(seen, stars, guilty, settings.accounts_min)]
    whole = [who for who in whole if len(who) >= settings.accounts_min]
    found = Sets.of([who for who in whole if not is_customer(window, who)])
    if not found.number:
        return []
    score = scores(measure(look, seen, found), found.sizes)
    pairs = requests(seen, found)
    out = []
    for g in np.flatnonzero(score >= settings.convict).tolist():
        who = found.who[found.group == g]
        out.append(
            Cluster(
                np.zeros(0, np.uint32), who, np.ones(len(who)), look.totals[who].astype(np.int64), float(score[g]), judge.CENTRE,
                judge.USUAL, pairs.sighting[pairs.cluster == g], np.zeros(len(who), np.bool_), "infrastructure",
            )
        )  # fmt: skip
    return sorted(out, key=lambda cluster: -cluster.score)
