"""What an account half tells the population half: compact, bounded, and no text.

A *sighting* is one request seen from the population: whose, when, its fingerprints and a few small facts. The requests of
a busy account are thinned, so that it costs no more than a quiet one (`SIGHTINGS_A_DAY`).
"""

import math
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_guard.sketch import DIMENSIONS, FINGERPRINTS
from stream_guard.surprise import FEATURES

SIGHTINGS_A_DAY = 48.0
"""Sightings of one account a day that are sent in full; of more requests than that, a fair sample is."""

SINGLE_TURN, REFUSED, CUT, INTERACTIVE = 1, 2, 4, 8
"""Bits of a sighting's `flags`: it opens its conversation, it was refused, its answer ended at the length limit, a person
sent it with a browser."""

SIGHTING = np.dtype(
    [
        ("account", "u4"), ("system", "u4"), ("ts", "u4"), ("prints", "u4", FINGERPRINTS), ("agent", "u4"), ("ip", "u4"),
        ("harness", "u4"), ("limit", "u4"), ("model", "u2"), ("flags", "u1"), ("marks", "u1"), ("standing", "i1", len(FEATURES)),
    ]
)  # fmt: skip
"""One request. In a report `account` and `system` are places in its lists; in the window they are the population's rows.
`ip` is 24 bits of the hash of its network (a /24, of IPv6 a /64) and 8 of the address; 0 of `agent`, `ip`, `harness` and
`limit` is that it did not say; `marks` are those of the prompt and the system text (`sketch`); `standing` is how surprising the
prompt is to this service (`surprise`)."""

FACTS = np.dtype(
    [
        ("created_at", "f8"), ("first_ts", "f8"), ("last_ts", "f8"), ("org", "u4"), ("mail", "u4"), ("payment", "u4"), ("requests", "u4"),
        ("entitlement", "f4"), ("tokens_day", "f4"), ("day", "f4"), ("tier", "u1"), ("pathway", "u1"), ("public_mail", "u1"),
        ("flatness", "u1"), ("head_start", "u1"), ("addresses", "u1"),
    ]
)  # fmt: skip
"""What is known of an account: hashes are 0 where unknown; `day` and `tokens_day` are decayed counts of a day; `flatness` and
`head_start` are those signals in percent, `addresses` the signal as it is, each at most 255."""

TIERS = ("", "free", "pro", "team", "business", "enterprise")
"""Known plans, the small ones first; `tier` is a place in here, 0 for any other."""


class Report(NamedTuple):
    """The news of one account half since its last report."""

    partition: int
    serial: int
    ts: float
    accounts: list[str]
    facts: NDArray[np.void]  # FACTS, one an account
    systems: NDArray[np.uint32]  # hashes of the system texts in the sightings
    system_prints: NDArray[np.uint32]  # [systems, FINGERPRINTS]
    sightings: NDArray[np.void]  # SIGHTING
    twin_accounts: NDArray[np.uint32]  # places in `accounts` whose twin vector is sent along
    twins: NDArray[np.int8]  # [twin_accounts, DIMENSIONS]
    items: list[tuple[int, int, int]]  # reasoning items: place of the account, hashes of item and of talk (0: none)
    models: dict[str, str]  # code of a sighting's model, in decimal -> its name


def pack(report: Report) -> bytes:
    """Return a report as bytes (MessagePack; arrays as raw little-endian records)."""
    return msgspec.msgpack.encode([part.tobytes() if isinstance(part, np.ndarray) else part for part in report])


def unpack(raw: bytes) -> Report:
    """Return the report in `raw`. Raises ValueError if it is none."""
    try:
        p, s, ts, accounts, facts, systems, prints, sightings, twin_accounts, twins, items, models = (
            msgspec.msgpack.decode(raw, type=_Wire)
        )
        report = Report(
            p, s, ts, accounts, np.frombuffer(facts, FACTS), np.frombuffer(systems, np.uint32),
            np.frombuffer(prints, np.uint32).reshape(-1, FINGERPRINTS), np.frombuffer(sightings, SIGHTING),
            np.frombuffer(twin_accounts, np.uint32), np.frombuffer(twins, np.int8).reshape(-1, DIMENSIONS), items, models,
        )  # fmt: skip
    except ValueError as error:  # those of msgspec are of this kind too
        raise ValueError(f"not a report: {error}") from None
    if not _fits(report):
        raise ValueError("not a report: its parts do not fit each other")
    return report


_Wire = tuple[
    int, int, float, list[str], bytes, bytes, bytes, bytes, bytes, bytes, list[tuple[int, int, int]], dict[str, str]
]


def _fits(report: Report) -> bool:
    """Say whether every place in a list is one that the list has."""
    accounts, systems, seen = len(report.accounts), len(report.systems), report.sightings
    return (
        math.isfinite(report.ts)
        and len(report.facts) == accounts
        and len(report.system_prints) == systems
        and len(report.twins) == len(report.twin_accounts)
        and bool((seen["account"] < accounts).all() and (seen["system"] < systems).all())
        and bool((report.twin_accounts < accounts).all())
        and all(0 <= place < accounts for place, _, _ in report.items)
        and all(code.isdecimal() for code in report.models)
    )
