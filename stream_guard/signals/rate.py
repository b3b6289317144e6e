"""Query rate: how much, how evenly, from the first hour on."""

import numpy as np
from numpy.typing import NDArray

from stream_guard.accounts import PUBLIC_MAIL
from stream_guard.signals.base import Rows, Signal, bits, field

HOUR, DAY = 3600.0, 86_400.0
UNKNOWN_MAIL, ONE_OF_TWO = 0.1, 0.7
"""How unvouched an account is whose organisation is declared and whose mail domain is not known, and one that has only one
of the two: anybody can write an organisation's name into a form."""

FREE, SMALLEST = 1, 2
"""`tier` of an account on a free plan and on the smallest that is paid for."""


def _flatness(rows: Rows) -> NDArray[np.float64]:
    """Entropy of the hours of the day in which requests came, as a share of the largest possible."""
    hours = rows["hours"].astype(np.float64)
    total = hours.sum(axis=1)
    share = hours / np.maximum(total, 1.0)[:, None]
    entropy = -(share * np.log(np.where(share > 0, share, 1.0))).sum(axis=1)
    return np.asarray(entropy / np.log(np.clip(total, 2.0, 24.0)))


def _irregularity(rows: Rows) -> NDArray[np.float64]:
    """Return the standard deviation of the logarithm of the gaps."""
    square, mean = rows["gap_square"].astype(np.float64), rows["gap_mean"].astype(np.float64)
    return np.sqrt(np.maximum(square - mean * mean, 0.0))


def _age(rows: Rows) -> NDArray[np.float64]:
    """Days since the account was made; a year where that is not known."""
    return np.where(rows["created_at"] > 0, np.maximum(rows["last_ts"] - rows["created_at"], 0.0) / DAY, 365.0)


def _unvouched(rows: Rows) -> NDArray[np.float64]:
    """Return how little anybody vouches for an account: an organisation, a mail domain of its own, both, neither.

    On the smallest plans both count as one: a name and a domain cost next to nothing, a firm's plan does not.
    """
    org, mail = rows["org"] != 0, rows["mail"] != 0
    own = mail & ((rows["flags"] & PUBLIC_MAIL) == 0)
    small = (rows["tier"] == FREE) | (rows["tier"] == SMALLEST)
    return np.select([org & own & ~small, org & ~mail, org | own], [0.0, UNKNOWN_MAIL, ONE_OF_TWO], 1.0)


def _peak_for_plan(rows: Rows) -> NDArray[np.float64]:
    """Return the busiest hour's requests for each million tokens a day of the plan; of a million where that is unknown."""
    plan = np.where(rows["entitlement"] > 0, rows["entitlement"] / 1e6, 1.0)
    return np.asarray(np.log10(np.maximum(rows["peak_hour"], 1.0) / np.maximum(plan, 1e-6)).astype(np.float64))


def _head_volume(rows: Rows) -> NDArray[np.float64]:
    return rows["day"].astype(np.float64) / np.maximum(_age(rows), 1.0)


def _head_start(rows: Rows) -> NDArray[np.float64]:
    """Return the first hour's requests over the busiest hour's."""
    return np.asarray(rows["first_hour"] / np.maximum(rows["peak_hour"].astype(np.float64), 1.0))


SIGNALS = (
    Signal(
        "request_rate",
        "1/d",
        "high",
        (2, 4, 17, 68, 300),
        "Requests of the last day, with exponential forgetting. Heavy honest machines are many: severity more than detection.",
        field("day"),
    ),
    Signal(
        "burst",
        "1/min",
        "high",
        (1, 1, 1.1, 2, 4),
        "Requests of the last minute, with exponential forgetting. A person's console stays below ten; batch jobs do not.",
        field("minute"),
    ),
    Signal("hourly_peak", "1/h", "high", (2, 4, 7, 16, 90), "The busiest hour so far.", field("peak_hour")),
    Signal(
        "flatness",
        "share",
        "high",
        (0, 0.2, 0.5, 0.87, 0.98),
        "Entropy of the hours of the day over its maximum: 1 is the same at every hour. Round-the-clock use is the first indicator of "
        "AA26-251A; cron jobs and applications with users everywhere are flat too.",
        _flatness,
    ),
    Signal(
        "longest_gap",
        "h",
        "low",
        (0.05, 0.25, 2.4, 12.6, 21),
        "The longest silence of the last days, fading. People sleep; an account that never pauses for more than an hour is a machine.",
        lambda rows: rows["longest_gap"].astype(np.float64) / HOUR,
    ),
    Signal(
        "irregularity",
        "log",
        "low",
        (0.55, 1, 1.4, 1.8, 2.1),
        "Standard deviation of the log of the gaps between requests. Sessions of people are bursty (Barabasi 2005), timers are not.",
        _irregularity,
    ),
    Signal(
        "head_start",
        "ratio",
        "high",
        (0.1, 0.35, 0.95, 1.45, 1.6),
        "First hour's requests over the busiest hour's: 1 is straight to the maximum without a ramp (AA26-251A). A migrated "
        "application does the same.",
        _head_start,
    ),
    Signal(
        "account_age",
        "d",
        "low",
        (1, 19, 126, 450, 920),
        "Days since the account was made: accounts made for a purpose are used at once. So are those of every honest newcomer.",
        _age,
    ),
    Signal(
        "head_volume",
        "1/d per day of age",
        "high",
        (0, 0.02, 0.15, 1.5, 30),
        "Requests of the last day for each day of the account's age: much, and at once. The key that an application moves to looks the "
        "same on its first day.",
        _head_volume,
    ),
    Signal(
        "unvouched",
        "share",
        "high",
        (0, 0, 0.5, 1, 1),
        "How little anybody vouches for the account: 0 with a declared organisation and a mail domain of its own, as heavy honest "
        "machines mostly have, 1 with neither, as most people. It weighs what the next two count.",
        _unvouched,
    ),
    Signal(
        "unvouched_peak",
        "1/h",
        "high",
        (0, 0, 0, 8.2, 19.4),
        "The busiest hour, times how unvouched the account is: a machine that nobody answers for.",
        lambda rows: rows["peak_hour"].astype(np.float64) * _unvouched(rows),
    ),
    Signal(
        "unvouched_head",
        "1/d per day of age",
        "high",
        (0, 0, 0, 0.31, 2.8),
        "Requests of the last day for each day of the account's age, times how unvouched it is.",
        lambda rows: _head_volume(rows) * _unvouched(rows),
    ),
    Signal(
        "peak_for_plan",
        "log10",
        "high",
        (-2, -0.7, 0.7, 2, 2.3),
        "Requests of the busiest hour for each million tokens a day of the plan, log10: machines are on plans for machines "
        "(AA26-251A: plan-to-use ratio). People on a free plan have busy hours too.",
        _peak_for_plan,
    ),
    Signal(
        "addresses",
        "count",
        "high",
        (1, 1, 2, 3, 5),
        "Distinct client addresses (linear counting, saturates near 250).",
        lambda rows: bits(rows["ips"]),
    ),
    Signal(
        "programs",
        "count",
        "high",
        (0, 1, 1, 1.5, 9),
        "Distinct user agents (linear counting).",
        lambda rows: bits(rows["agents"]),
    ),
)
