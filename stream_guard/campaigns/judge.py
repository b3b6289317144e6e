"""Is this cluster of accounts a campaign or an honest crowd? Judged on the cluster as a whole, never on a pair.

Every feature is an average over the *accounts* of the cluster, of what they do on the requests that carry it, so that a
few busy accounts cannot speak for the rest. Features shrink to the usual of all clusters at hand with n / (n + 5): a
small cluster has to be more extreme. The score is a sum of weight times feature (a logistic model), so that each
feature's part in it can be told.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_guard.campaigns.report import SINGLE_TURN, TIERS
from stream_guard.campaigns.window import Window

SHRINK = 5.0
CLIP = 4.0
"""Scales from the centre beyond which a feature counts no more."""
PRIOR_CLUSTERS = 50.0
"""How many clusters the shipped usual values weigh, until the population has its own."""
DAY = 86_400.0

PRIORS: dict[str, tuple[float, float, float, float]] = {
    "accounts_log2": (-0.938, 2.63, 0.777, 2.32),
    "prints_log2": (0.0625, 2.74, 1.33, 2.32),
    "independent": (1.59, 0.942, 0.111, 1),
    "has_org": (1.84, 0.733, 0.214, 0.8),
    "vouched": (-3.41, 0.665, 0.226, 0.75),
    "same_mail": (-2.29, 0.292, 0.166, 0.25),
    "single_turn": (0.791, 0.593, 0.221, 0.637),
    "harness": (-2.17, 0.236, 0.283, 0),
    "top_limit": (0.335, 0.464, 0.115, 0.455),
    "top_model": (0.192, 0.627, 0.109, 0.6),
    "plan_use_log": (-0.591, -1.77, 0.488, -1.68),
    "mostly": (-0.384, 0.0608, 0.175, 0),
    "coverage": (-0.193, 0.0997, 0.163, 0.0324),
    "small_plan": (0.213, 0.494, 0.214, 0.5),
    "age_log": (-1.25, 4.37, 0.605, 4.54),
    "volume_spread": (-0.136, 0.612, 0.165, 0.613),
    "systems_log2": (0.445, 0.00655, 0.1, 0),
    "agents_log2": (-0.546, 0.0078, 0.1, 0),
    "before_log": (-0.286, 2.64, 0.787, 2.86),
    "education": (-1.43, 0.0619, 0.181, 0),
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
    "before_log": "Requests of an account before its first carrying one, log(1 + n): people have a past.",
    "education": "Share of accounts that are known to be of a school or a university.",
}
"""What each feature says; each is a mean over the accounts of a cluster."""

FEATURES = tuple(PRIORS)
WEIGHTS, CENTRE, SCALE, USUAL = np.array(list(PRIORS.values())).T
BIAS = -6.49
UNSHRUNK = ("accounts_log2", "prints_log2")


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


def top_share(
    values: NDArray[np.int64], weights: NDArray[np.float64], cluster: NDArray[np.int64], count: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the weight share of each cluster's heaviest value, and that value; value 0 (unknown) never is the heaviest."""
    known = values != 0
    top, best = np.zeros(count), np.zeros(count, np.int64)
    if not known.any():
        return top, best
    v, w, c = values[known], weights[known], cluster[known]
    order = np.argsort(c << 32 | v, kind="stable")
    v, w, c = v[order], w[order], c[order]
    starts = np.flatnonzero(np.r_[True, (v[1:] != v[:-1]) | (c[1:] != c[:-1])])
    sums = np.add.reduceat(w, starts)
    total = np.bincount(cluster, weights, count)
    order = np.lexsort((-v[starts], sums, c[starts]))  # the last of each cluster is its heaviest
    starts, sums = starts[order], sums[order]
    last = np.flatnonzero(np.r_[c[starts][1:] != c[starts][:-1], True])
    where = c[starts][last]
    top[where] = sums[last] / np.maximum(total[where], 1e-9)
    best[where] = v[starts][last]
    return top, best


def _distinct(of: NDArray[np.int64], values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return `of` once for each distinct value that comes with it."""
    width = int(values.max()) + 1 if len(values) else 1
    if (int(of.max()) + 1 if len(of) else 1) * width < 1 << 63:
        return np.unique(of * width + values) // width
    order = np.lexsort((values, of))
    o, v = of[order], values[order]
    return o[np.r_[True, (o[1:] != o[:-1]) | (v[1:] != v[:-1])]]


def measure(look: Look, pairs: Pairs, prints: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Return the features [count, len(FEATURES)] of `count` clusters, not yet shrunk; NaN where nothing is known.

    `prints` says how many fingerprints each cluster has.
    """
    held, facts = look.held, look.window.facts

    def seen(name: str) -> NDArray[np.int64]:
        """One field of the carrying sightings."""
        return held[name][pairs.sighting].astype(np.int64)

    starts = np.flatnonzero(
        np.r_[True, (pairs.account[1:] != pairs.account[:-1]) | (pairs.cluster[1:] != pairs.cluster[:-1])]
    )
    member = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(pairs.account)]))  # pair -> (cluster, account)
    cluster, account = pairs.cluster[starts], pairs.account[starts]
    carried = np.bincount(member, minlength=len(starts)).astype(float)
    totals = look.totals[account]
    n = np.maximum(np.bincount(cluster, minlength=count), 1).astype(float)
    one = np.ones(len(starts))

    def mean(values: NDArray[np.float64], known: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        """Mean over the accounts of a cluster."""
        if known is None:
            return np.asarray(np.bincount(cluster, values, count) / n)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.bincount(cluster[known], values[known], count) / np.bincount(cluster[known], minlength=count)

    def over_requests(values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean over the carrying requests of an account, then over the accounts."""
        return mean(np.bincount(member, values, len(starts)) / carried)

    def top(values: NDArray[np.int64]) -> NDArray[np.float64]:
        """Share of requests with the cluster's most usual value, averaged over accounts."""
        _, best = top_share(values[starts], one, cluster, count)
        return over_requests(((values == best[pairs.cluster]) & (values != 0)).astype(float))

    def variety(values: NDArray[np.int64]) -> NDArray[np.float64]:
        """Distinct values an account, log2 and averaged."""
        return mean(np.log2(np.bincount(_distinct(member, values), minlength=len(starts))))

    f = facts[account]
    org, mail = f["org"].astype(np.int64), np.where(f["public_mail"], 0, f["mail"]).astype(np.int64)
    identity = np.where(org != 0, org, account + (1 << 32))  # one without an organisation is its own
    independent = np.bincount(_distinct(cluster, identity), minlength=count) / n
    created = f["created_at"] > 0
    first_ts = np.minimum.reduceat(seen("ts"), starts).astype(float)
    age = np.maximum(first_ts - f["created_at"], 0) / DAY
    earlier = np.minimum.reduceat(look.window.rank(pairs.sighting), starts)
    volume = np.log1p(totals.astype(float))
    volume_mean = mean(volume)[cluster]
    entitled = (f["entitlement"] > 0) & (f["tokens_day"] > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        plan_use = np.log10(np.where(entitled, f["tokens_day"] / np.maximum(f["entitlement"], 1), 1.0))
    small = (f["tier"] == TIERS.index("free")) | (f["tier"] == TIERS.index("pro"))
    columns = {
        "accounts_log2": np.log2(n),
        "prints_log2": np.log2(np.maximum(prints, 1)),
        "independent": independent,
        "has_org": mean((org != 0).astype(float)),
        "vouched": mean(vouched(f).astype(float)),
        "same_mail": top_share(mail, one, cluster, count)[0],
        "single_turn": over_requests(((seen("flags") & SINGLE_TURN) > 0).astype(float)),
        "harness": over_requests((seen("harness") != 0).astype(float)),
        "top_limit": top(seen("limit")),
        "top_model": top(seen("model")),
        "plan_use_log": mean(plan_use, entitled),
        "mostly": mean((carried >= 0.5 * totals).astype(float)),
        "coverage": mean(carried / np.maximum(totals, 1)),
        "small_plan": mean(small.astype(float), f["tier"] > 0),
        "age_log": mean(np.log1p(age), created),
        "volume_spread": np.sqrt(mean((volume - volume_mean) ** 2)),
        "systems_log2": variety(seen("system")),
        "agents_log2": variety(seen("agent")),
        "before_log": mean(np.log1p(earlier.astype(float))),
        "education": mean((f["pathway"] == 1).astype(float)),
    }
    return np.stack([columns[name] for name in FEATURES], axis=1)


class Verdicts(NamedTuple):
    """What the judge says of some clusters."""

    score: NDArray[np.float64]  # log odds; a campaign above `LinkSettings.convict`
    features: NDArray[np.float64]  # shrunk, [clusters, FEATURES]
    usual: NDArray[np.float64]  # of all clusters at hand, [FEATURES]


def usual(features: NDArray[np.float64], accounts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of the clusters at hand, mixed with the shipped one while they are few."""
    known = features[accounts >= 3]
    count = np.isfinite(known).sum(axis=0)
    here = (
        np.array([np.median(c[np.isfinite(c)]) if n else 0.0 for c, n in zip(known.T, count, strict=True)])
        if len(known)
        else USUAL
    )
    trust = count / (count + PRIOR_CLUSTERS)
    return np.asarray(trust * here + (1 - trust) * USUAL)


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


def contributions(features: NDArray[np.float64], weights: NDArray[np.float64] = WEIGHTS) -> dict[str, float]:
    """Return each feature's part in the score of one cluster; they sum to the score less `BIAS`."""
    return dict(zip(FEATURES, (scaled(features) * weights).tolist(), strict=True))


def scaled(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return shrunk features as the score counts them: in scales from the centre, at most `CLIP`."""
    return np.asarray(np.clip((features - CENTRE) / SCALE, -CLIP, CLIP))


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
