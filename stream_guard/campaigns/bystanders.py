"""Who in a campaign may be an honest bystander: somebody who asks what the campaign asks.

Honest accounts inside true campaigns are most of the harm that is left once no honest crowd is taken for one. Each member
gets the chance that it is one: the policy charges it to its budget of mistakes, and acts on nobody above `BYSTANDER`.
"""

import numpy as np
from numpy.typing import NDArray

from stream_guard.campaigns import judge

BYSTANDER = 0.1
"""Chance from which a member is only watched."""
BYSTANDER_RISK = 0.6
"""The most that it is a risk then: watched."""
WEIGHTS = {"little": 0.95, "vouched": 1.5, "older": 0.33, "score": -1.15}
BIAS = -0.55
"""Log odds. Logistic regression over the 7,601 members of the campaigns of 59 labelled streams that linking had no doubt of,
14 of them honest; left-one-stream-out its chances come to 14.5 (docs/detection.md). None of them was vouched for: that weight
is set by hand."""
LITTLE_MIN = 0.01
MUCH = 0.8
"""Share of the median coverage below which one that is vouched for is only watched, whatever the odds."""
VOUCHED_MAX = 0.4
"""Share of vouched members from which being vouched for says nothing."""
DAY = 86_400.0


def chances(facts: NDArray[np.void], coverage: NDArray[np.float64], score: float) -> NDArray[np.float64]:
    """Return the chance of each member that it is an honest bystander, 0..1.

    It is one the likelier, the less of its requests carry the campaign, measured against what is usual in it; if somebody
    vouches for it where few members have anybody; the older it is where the others are young; and the weaker the campaign.

    Parameters
    ----------
    facts
        Of the members, `report.FACTS`.
    coverage
        Share of each member's requests that carry the campaign, 0..1.
    score
        Log odds of the campaign.
    """
    vouched = judge.vouched(facts).astype(float)
    known = facts["created_at"] > 0
    age = np.where(known, np.maximum(facts["first_ts"] - facts["created_at"], 0.0) / DAY, np.nan)
    usual = np.log1p(np.median(age[known])) if known.any() else 0.0
    columns = {
        "little": -np.log(np.maximum(coverage / max(float(np.median(coverage)), 1e-9), LITTLE_MIN)).clip(max=0.0),
        "vouched": np.maximum(vouched - vouched.mean(), 0.0),
        "older": np.where(known, np.maximum(np.log1p(np.nan_to_num(age)) - usual, 0.0), 0.0),
        "score": np.full(len(facts), score),
    }
    odds = sum((WEIGHTS[name] * column for name, column in columns.items()), np.full(len(facts), BIAS))
    found = 1.0 / (1.0 + np.exp(-odds))
    little = (vouched > 0) & (vouched.mean() <= VOUCHED_MAX) & (coverage < MUCH * np.median(coverage))
    return np.asarray(np.where(little, np.maximum(found, BYSTANDER), found))
