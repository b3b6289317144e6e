"""Who in a campaign may be an honest bystander: somebody who asks what the campaign asks.

Honest accounts inside true campaigns are most of the harm that is left once no honest crowd is taken for one. Each member
gets the chance that it is one: the policy charges it to its budget of mistakes, and acts on nobody above `BYSTANDER`.
"""

import numpy as np
from numpy.typing import NDArray

from stream_guard.campaigns import judge
from stream_guard.campaigns.window import Window
from stream_guard.surprise import UNIT, Sums

BYSTANDER = 0.1
"""Chance from which a member is only watched."""
BYSTANDER_RISK = 0.6
"""The most that it is a risk then: watched."""
WEIGHTS = {"apart": 4.9, "vouched": 1.5, "older": 0.58, "score": -0.26}
BIAS = -4.43
"""Log odds. Logistic regression over the 6,815 members of the campaigns of 109 labelled streams that linking had no doubt of,
12 of them honest; left-one-stream-out its chances come to 11.3 (docs/detection.md). None of them was vouched for: that weight
is set by hand."""
APART_MIN = 0.5
"""A member that stands no farther apart says nothing by it; half of them do not."""
AMONG_MAX, AMONG_MIN = 512, 3
"""Members that one is compared with: a fair sample of more. Of fewer nothing can be said."""
FLOOR = 0.02
"""Variance between accounts that there is at least, in squared standings."""
USUAL = 0.8
"""How far apart a member is taken to stand of which it is not known."""
MUCH = 0.8
"""Share of the median coverage below which one that is vouched for is only watched, whatever the odds."""
VOUCHED_MAX = 0.4
"""Share of vouched members from which being vouched for says nothing."""
DAY = 86_400.0


def distances(window: Window, rows: NDArray[np.int64], members: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return how far each of `rows` stands apart from the members of a campaign by all the prompts that it sends.

    One is the usual distance. Each account's standings (`surprise`) are summed up; its mean is compared with the median of
    the other members', feature by feature, in standard deviations: of the members among each other, and of a mean over so
    few queries (a standing has a variance of one). The root mean square over the features is returned.
    """
    among = members[:: len(members) // AMONG_MAX + 1]
    who = np.union1d(rows, among)
    places = window.shown_by(who)
    member = np.searchsorted(who, window.sightings["account"][places])
    sums = Sums.of(window.sightings["standing"][places], member, len(who))
    mean = sums.total / UNIT / np.maximum(sums.queries, 1)[:, None]
    compared = np.isin(who, among) & (sums.queries > 0)
    if compared.sum() <= AMONG_MIN:
        return np.full(len(rows), USUAL)
    off = (mean - np.median(mean[compared], axis=0)) ** 2
    others = off[compared].sum(axis=0) - off * compared[:, None]
    between = others / (compared.sum() - compared[:, None])
    far = np.sqrt((off / (between + 1.0 / np.maximum(sums.queries, 1)[:, None] + FLOOR)).mean(axis=1))
    found: NDArray[np.float64] = np.where(sums.queries > 0, far, USUAL)[np.searchsorted(who, rows)]
    return found


def chances(
    facts: NDArray[np.void], coverage: NDArray[np.float64], score: float, distance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the chance of each member that it is an honest bystander, 0..1.

    It is one the likelier, the farther apart it stands from the others in what it asks; if somebody vouches for it where few
    members have anybody; the older it is where the others are young; and the weaker the campaign.

    Parameters
    ----------
    facts
        Of the members, `report.FACTS`.
    coverage
        Share of each member's requests that carry the campaign, 0..1.
    score
        Log odds of the campaign.
    distance
        How far each stands apart, as `distances` says.
    """
    vouched = judge.vouched(facts).astype(float)
    known = facts["created_at"] > 0
    age = np.where(known, np.maximum(facts["first_ts"] - facts["created_at"], 0.0) / DAY, np.nan)
    usual = np.log1p(np.median(age[known])) if known.any() else 0.0
    columns = {
        "apart": np.log(np.maximum(distance, APART_MIN)),
        "vouched": np.maximum(vouched - vouched.mean(), 0.0),
        "older": np.where(known, np.maximum(np.log1p(np.nan_to_num(age)) - usual, 0.0), 0.0),
        "score": np.full(len(facts), score),
    }
    odds = sum((WEIGHTS[name] * column for name, column in columns.items()), np.full(len(facts), BIAS))
    found = 1.0 / (1.0 + np.exp(-odds))
    little = (vouched > 0) & (vouched.mean() <= VOUCHED_MAX) & (coverage < MUCH * np.median(coverage))
    return np.asarray(np.where(little, np.maximum(found, BYSTANDER), found))
