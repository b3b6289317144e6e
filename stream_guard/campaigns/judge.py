"""Is this cluster of accounts a campaign or an honest crowd? Judged on the cluster as a whole, never on a pair.

Every feature is an average over the *accounts* of the cluster, of what they do on the requests that carry it, so that a
few busy accounts cannot speak for the rest. Features shrink to the usual of all clusters at hand with n / (n + 5): a
small cluster has to be more extreme. The score is a sum of weight times feature (a logistic model), so that each
feature's part in it can be told.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_guard.campaigns.report import INTERACTIVE, REFUSED, SINGLE_TURN, TIERS
from stream_guard.campaigns.window import Window, distinct

SHRINK = 5.0
CLIP = 4.0
"""Scales from the centre beyond which a feature counts no more."""
CLIPS = {"interactive": 1.5}
"""The same, upward, of a feature that anybody can claim and that acquits: what it can weigh is bounded."""
PRIOR_CLUSTERS = 50.0
"""How many clusters the shipped usual values weigh, until the population has its own."""
USUAL_FROM = 3
"""Accounts from which a cluster says what is usual of clusters."""
DAY = 86_400.0

OFTEN, NEVER = 10, 20
"""Requests that carry one text, of an account: people with a viral prompt have at most 11 in the streams, whole classes 25."""

PRIORS: dict[str, tuple[float, float, float, float]] = {
    "accounts_log2": (-0.389, 2.63, 0.777, 2.32),
    "prints_log2": (-0.173, 2.7, 1.31, 2.32),
    "independent": (1.26, 0.942, 0.11, 1),
    "has_org": (0.612, 0.743, 0.211, 0.8),
    "vouched": (-2.13, 0.678, 0.22, 0.75),
    "same_mail": (-1.41, 0.291, 0.165, 0.25),
    "single_turn": (0.297, 0.597, 0.22, 0.658),
    "harness": (-2.26, 0.24, 0.284, 0),
    "top_limit": (0.164, 0.465, 0.114, 0.46),
    "top_model": (0.102, 0.626, 0.107, 0.6),
    "plan_use_log": (0.789, -1.78, 0.486, -1.7),
    "mostly": (-0.126, 0.0567, 0.169, 0),
    "coverage": (-0.114, 0.0961, 0.159, 0.0328),
    "small_plan": (0.485, 0.485, 0.215, 0.5),
    "age_log": (-0.655, 4.39, 0.582, 4.54),
    "volume_spread": (-0.167, 0.614, 0.164, 0.609),
    "systems_log2": (0.154, 0.00667, 0.1, 0),
    "agents_log2": (-0.379, 0.00791, 0.1, 0),
    "education": (-1.01, 0.0613, 0.181, 0),
    "interactive": (-3.57, 0.0859, 0.152, 0.0145),
    "free_plan": (-0.77, 0.0535, 0.1, 0.0145),
    "with_system": (-0.496, 0.659, 0.29, 0.74),
    "tokens_log": (-1.11, 3.1, 0.289, 3.03),
    "addresses_log2": (0.393, 0.142, 0.225, 0),
    "refused": (0.424, 0.00461, 0.1, 0),
    "requests_log": (-1.43, 3.72, 0.795, 3.81),
    "carried_log": (-0.14, 0.955, 0.417, 0.733),
    "age_spread": (0.171, 0.901, 0.328, 0.912),
    "devoted": (1.3, 0.0, 0.2, 0.0),
}
"""Feature -> (weight, centre, scale, usual): the shipped judge. Weights and centres were fitted (docs/detection.md says on
what, and how well they do on scenarios that were left out); `usual` is what clusters of a population mostly are."""

ABOUT: dict[str, str] = {
    "accounts_log2": "Accounts, log2. Size alone accuses nobody: public agents and viral prompts have more.",
    "prints_log2": "Fingerprints that they share, log2: a phrase has few, a template more, a harness's system text many.",
    "independent": "Distinct organisations over accounts; one without counts as its own. Colleagues share prompts.",
    "has_org": "Share of accounts with a declared organisation.",
    "vouched": "Share of accounts with a declared organisation and a mail domain of its own: somebody can be asked.",
    "same_mail": "Share of accounts with the cluster's most usual mail domain, public ones left out: a firm, a class.",
    "single_turn": "Share of the carrying requests that open a conversation.",
    "harness": "Share of the carrying requests from a known agent or tool, whose text thousands of people send.",
    "top_limit": "Share of the carrying requests with the cluster's most usual output limit: one program's setting.",
    "top_model": "Share of the carrying requests for the cluster's most usual model.",
    "plan_use_log": "Tokens of a day over the plan's, log10.",
    "mostly": "Share of accounts of whose requests at least half carry the cluster.",
    "coverage": "Share of an account's requests that carry the cluster.",
    "small_plan": "Share of accounts on a free or small plan, of those whose plan is known.",
    "age_log": "Days from an account's making to its first carrying request, log(1 + days).",
    "volume_spread": "Standard deviation of the log of the accounts' requests: levelled quotas have little.",
    "systems_log2": "Distinct system texts of an account's carrying requests, log2: a relay carries its customers'.",
    "agents_log2": "Distinct user agents of an account's carrying requests, log2.",
    "education": "Share of accounts that are known to be of a school or a university.",
    "interactive": "Share of the carrying requests from a browser: extraction is done by programs. What anybody can claim is "
    f"believed of an account with up to {OFTEN} carrying requests, and not of one with {NEVER}: people do not type one text so often.",
    "free_plan": "Share of accounts on the free plan, of those whose plan is known: it ends where harvesting begins. Believed as "
    "`interactive` is.",
    "with_system": "Share of the carrying requests with a system text.",
    "tokens_log": "Tokens of a request, over all of an account's requests, log10.",
    "addresses_log2": "Distinct addresses of an account's carrying requests, log2.",
    "refused": "Share of the carrying requests that the model refused.",
    "requests_log": "Requests of an account that are looked back on, log(1 + n).",
    "carried_log": "Requests of an account that carry the cluster, log(1 + n).",
    "devoted": "Share of accounts that do little else than carry it, often and in prompts of their own (a tool sends a system text "
    "along), and that no organisation or school explains.",
    "age_spread": "Standard deviation of the accounts' age_log: accounts made to order are of one age.",
}
"""What each feature says; each is a mean over the accounts of a cluster."""

FEATURES = tuple(PRIORS)
WEIGHTS, CENTRE, SCALE, USUAL = np.array(list(PRIORS.values())).T
BIAS = -6.9
HIGHEST = np.array([CLIPS.get(name, CLIP) for name in FEATURES])
OF_TEXT = ("prints_log2", "mostly", "coverage", "devoted")
"""What says how accounts carry a text."""
UNSHRUNK = ("accounts_log2", "prints_log2")


SMALL_PLANS = (TIERS.index("free"), TIERS.index("pro"))


class Pairs(NamedTuple):
    """Which sightings belong to which cluster: sorted by cluster, then account; a sighting at most once a cluster."""

    cluster: NDArray[np.int64]
    account: NDArray[np.int64]
    sighting: NDArray[np.int64]


class Look(NamedTuple):
    """What every judgement of one pass shares."""

    window: Window
    held: NDArray[np.void]  # SIGHTING, in the order of the ring
    totals: NDArray[np.int32]  # by account: its sightings

    @classmethod
    def over(cls, window: Window) -> "Look":
        """Look over a window as it is now."""
        return cls(window, window.held(), window.totals[: len(window.names)])


def vouched(facts: NDArray[np.void]) -> NDArray[np.bool_]:
    """Say which accounts declare an organisation and have a mail domain of their own: somebody can be asked."""
    own: NDArray[np.bool_] = (facts["org"] != 0) & (facts["mail"] != 0) & (facts["public_mail"] == 0)
    return own


def top_value(values: NDArray[np.int64], cluster: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return the most usual value of each cluster, the smallest of those alike; 0 (unknown) only where nothing is known."""
    known = values != 0
    best = np.zeros(count, np.int64)
    if not known.any():
        return best
    v, c = values[known], cluster[known]
    order = np.argsort(c << 32 | v, kind="stable")
    v, c = v[order], c[order]
    starts = np.flatnonzero(np.r_[True, (v[1:] != v[:-1]) | (c[1:] != c[:-1])])
    n = np.diff(np.r_[starts, len(v)])
    order = np.lexsort((-v[starts], n, c[starts]))  # the last of each cluster is its most usual
    starts = starts[order]
    last = starts[np.flatnonzero(np.r_[c[starts][1:] != c[starts][:-1], True])]
    best[c[last]] = v[last]
    return best


def _distinct(of: NDArray[np.int64], values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return `of` once for each distinct value that comes with it."""
    width = int(values.max()) + 1 if len(values) else 1
    if (int(of.max()) + 1 if len(of) else 1) * width < 1 << 63:
        return distinct(of * width + values) // width
    order = np.lexsort((values, of))
    o, v = of[order], values[order]
    return o[np.r_[True, (o[1:] != o[:-1]) | (v[1:] != v[:-1])]]


class Measured(NamedTuple):
    """What some clusters are like, not yet shrunk; NaN where nothing is known."""

    features: NDArray[np.float64]  # [clusters, FEATURES]: means over the accounts of a cluster
    own: NDArray[np.float64]  # [members, FEATURES]: what each account adds to them; NaN for what only a cluster has
    cluster: NDArray[np.int64]  # of each member, sorted
    account: NDArray[np.int64]  # of each member, sorted within its cluster


def measure(look: Look, pairs: Pairs, prints: NDArray[np.int64], count: int, *, text: bool = True) -> Measured:
    """Measure `count` clusters, of which each has so many fingerprints as `prints` says, and their members.

    Where the pairs are not what carries a text but all requests of the accounts (`text` is false), nothing is said of how
    they carry it.
    """
    held = look.held

    def seen(name: str) -> NDArray[np.int64]:
        """One field of the carrying sightings."""
        return held[name][pairs.sighting].astype(np.int64)

    starts = np.flatnonzero(
        np.r_[True, (pairs.account[1:] != pairs.account[:-1]) | (pairs.cluster[1:] != pairs.cluster[:-1])]
    )
    member = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(pairs.account)]))  # pair -> (cluster, account)
    cluster, account = pairs.cluster[starts], pairs.account[starts]
    carried = np.bincount(member, minlength=len(starts)).astype(float)
    n = np.bincount(cluster, minlength=count)

    def share(of: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Share of an account's carrying requests."""
        return np.asarray(np.bincount(member, of, len(starts)) / carried)

    def top(values: NDArray[np.int64]) -> NDArray[np.float64]:
        """Share of an account's carrying requests with the cluster's most usual value."""
        best = top_value(values[starts], cluster, count)
        return share((values == best[pairs.cluster]) & (values != 0))

    def variety(values: NDArray[np.int64]) -> NDArray[np.float64]:
        """Distinct values in an account's carrying requests, log2."""
        return np.asarray(np.log2(np.bincount(_distinct(member, values), minlength=len(starts))))

    f = look.window.facts[account]
    org, mail = f["org"].astype(np.int64), np.where(f["public_mail"], 0, f["mail"]).astype(np.int64)
    identity = np.where(org != 0, org, account + (1 << 32))  # one without an organisation is its own
    age = np.maximum(np.minimum.reduceat(seen("ts"), starts) - f["created_at"], 0.0) / DAY
    volume = np.log1p(look.totals[account].astype(float))
    entitlement = f["entitlement"].astype(float)
    now_and_then = np.clip((NEVER - carried) / (NEVER - OFTEN), 0.0, 1.0) if text else 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        own = {
            "independent": _distinct_share(cluster, identity),
            "has_org": (org != 0).astype(float),
            "vouched": vouched(f).astype(float),
            "same_mail": ((mail == top_value(mail, cluster, count)[cluster]) & (mail != 0)).astype(float),
            "single_turn": share((seen("flags") & SINGLE_TURN) > 0),
            "harness": share(seen("harness") != 0),
            "interactive": share((seen("flags") & INTERACTIVE) > 0) * now_and_then,
            "with_system": share(seen("system") != 0),
            "refused": share((seen("flags") & REFUSED) > 0),
            "top_limit": top(seen("limit")),
            "top_model": top(seen("model")),
            "plan_use_log": np.where(
                (entitlement > 0) & (f["tokens_day"] > 0), np.log10(f["tokens_day"] / entitlement), np.nan
            ),
            "tokens_log": np.log10(np.maximum(f["tokens_day"], 1.0) / np.maximum(f["day"], 1.0)),
            "mostly": (2.0 * carried >= look.totals[account]).astype(float),
            "coverage": carried / np.maximum(look.totals[account], 1),
            "small_plan": np.where(f["tier"] > 0, np.isin(f["tier"], SMALL_PLANS), np.nan),
            "free_plan": np.where(f["tier"] > 0, (f["tier"] == TIERS.index("free")) * now_and_then, np.nan),
            "age_log": np.where(f["created_at"] > 0, np.log1p(age), np.nan),
            "systems_log2": variety(seen("system")),
            "agents_log2": variety(seen("agent")),
            "addresses_log2": variety(seen("ip")),
            "education": (f["pathway"] == 1).astype(float),
            "devoted": (
                (carried >= OFTEN)
                & (2.0 * carried >= look.totals[account])
                & ~vouched(f)
                & (f["pathway"] != 1)
                & (2.0 * share((seen("harness") != 0) | (seen("system") != 0)) < 1.0)
            ).astype(float),
            "carried_log": np.log1p(carried),
            "requests_log": volume,
        }
    whole = {
        "accounts_log2": np.log2(np.maximum(n, 1)),
        "prints_log2": np.log2(np.maximum(prints, 1)),
        "volume_spread": _spread(volume, cluster, count),
        "age_spread": _spread(own["age_log"], cluster, count),
    }
    features = [whole[name] if name in whole else _mean(own[name], cluster, count) for name in FEATURES]
    unknown = np.full(len(starts), np.nan)
    members = [own.get(name, unknown) for name in FEATURES]
    measured = Measured(np.stack(features, axis=1), np.stack(members, axis=1), cluster, account)
    if not text:
        for name in OF_TEXT:
            measured.features[:, FEATURES.index(name)] = measured.own[:, FEATURES.index(name)] = np.nan
    return measured


def _mean(values: NDArray[np.float64], cluster: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Return the mean over the known values of each cluster; NaN where none is."""
    known = np.isfinite(values)
    if not known.all():
        values, cluster = values[known], cluster[known]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.bincount(cluster, values, count) / np.bincount(cluster, minlength=count))


def _spread(values: NDArray[np.float64], cluster: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Return the standard deviation of the known values of each cluster."""
    return np.sqrt(_mean((values - _mean(values, cluster, count)[cluster]) ** 2, cluster, count))


def _distinct_share(cluster: NDArray[np.int64], values: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return for each member one over how many of its cluster have its value: the mean is distinct values over members."""
    order = np.lexsort((values, cluster))
    c, v = cluster[order], values[order]
    run = np.cumsum(np.r_[False, (c[1:] != c[:-1]) | (v[1:] != v[:-1])])
    shares = np.empty(len(cluster))
    shares[order] = 1.0 / np.bincount(run)[run]
    return shares


class Verdicts(NamedTuple):
    """What the judge says of some clusters."""

    score: NDArray[np.float64]  # log odds; a campaign above `LinkSettings.convict`
    features: NDArray[np.float64]  # shrunk, [clusters, FEATURES]
    usual: NDArray[np.float64]  # of all clusters at hand, [FEATURES]


class Ordinary(NamedTuple):
    """What is usual of clusters before there are any: shipped, or learnt elsewhere, and how many clusters that is worth."""

    features: NDArray[np.float64]  # [FEATURES]
    worth: float


SHIPPED = Ordinary(USUAL, PRIOR_CLUSTERS)


def usual(
    features: NDArray[np.float64], accounts: NDArray[np.float64], before: Ordinary = SHIPPED
) -> NDArray[np.float64]:
    """Return the median of the clusters at hand, mixed with what was usual `before` while they are few."""
    known = features[accounts >= USUAL_FROM]
    count = np.isfinite(known).sum(axis=0)
    here = (
        np.array([np.median(c[np.isfinite(c)]) if n else 0.0 for c, n in zip(known.T, count, strict=True)])
        if len(known)
        else before.features
    )
    trust = count / (count + before.worth)
    return np.asarray(trust * here + (1 - trust) * before.features)


def judge(
    features: NDArray[np.float64],
    accounts: NDArray[np.float64],
    ordinary: NDArray[np.float64],
    weights: NDArray[np.float64] = WEIGHTS,
) -> Verdicts:
    """Shrink features towards what is ordinary and score them.

    Parameters
    ----------
    features
        As `measure` returns them, [n, FEATURES].
    accounts
        Accounts of each cluster, [n].
    ordinary
        As `usual` returns it.
    weights
        What analysts have made of `WEIGHTS`.
    """
    trust = (accounts / (accounts + SHRINK))[:, None]
    filled = np.where(np.isfinite(features), features, ordinary)
    shrunk = filled * trust + ordinary * (1 - trust)
    for name in UNSHRUNK:
        shrunk[:, FEATURES.index(name)] = filled[:, FEATURES.index(name)]
    return Verdicts(scaled(shrunk) @ weights + BIAS, shrunk, ordinary)


def each(
    measured: Measured, ordinary: NDArray[np.float64], weights: NDArray[np.float64] = WEIGHTS
) -> NDArray[np.float64]:
    """Score every member as a cluster of its like would be: by what it does itself, where it is known."""
    own = np.where(np.isfinite(measured.own), measured.own, measured.features[measured.cluster])
    return np.asarray(scaled(np.where(np.isfinite(own), own, ordinary)) @ weights + BIAS)


def contributions(features: NDArray[np.float64], weights: NDArray[np.float64] = WEIGHTS) -> dict[str, float]:
    """Return each feature's part in the score of one cluster; they sum to the score less `BIAS`."""
    return dict(zip(FEATURES, (scaled(features) * weights).tolist(), strict=True))


def scaled(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return shrunk features as the score counts them: in scales from the centre, at most `CLIP`."""
    return np.asarray(np.clip((features - CENTRE) / SCALE, -CLIP, HIGHEST))


def relays(features: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Say which clusters have the shape of a relay: one phrase under many system texts and programs in each account.

    A judge of its own, on raw features: what is suspicious here is ordinary in a narrow campaign, and the other way
    round. Its honest twins (house rules of firms, batches, aggregators) declare an organisation nearly always.
    """
    x = dict(zip(FEATURES, features.T, strict=True))
    with np.errstate(invalid="ignore"):
        return np.asarray(
            (x["accounts_log2"] >= np.log2(5))
            & (x["prints_log2"] >= np.log2(3))
            & (x["systems_log2"] >= 0.8)
            & (x["agents_log2"] >= 1.5)
            & (x["independent"] >= 0.75)
            & (x["has_org"] <= 0.85)
            & (x["small_plan"] >= 0.4)
            & (x["plan_use_log"] > -1.3)
        )
