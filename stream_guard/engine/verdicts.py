"""What the population half tells the account halves: who belongs to a campaign, and why."""

import msgspec

from stream_guard.events import Reason


class Verdict(msgspec.Struct, frozen=True, array_like=True):
    """A change of one campaign: `members` from now on, the surest first, and `removed`, those that left.

    A member is (account, risk, chance that it is an honest bystander), both 0..1.
    """

    campaign_id: str
    ts: float
    members: tuple[tuple[str, float, float], ...]
    removed: tuple[str, ...]
    reasons: tuple[Reason, ...]


def pack_verdict(verdict: Verdict) -> bytes:
    """Return a verdict as bytes."""
    return msgspec.msgpack.encode(verdict)


def unpack_verdict(raw: bytes) -> Verdict:
    """Return the verdict in `raw`. Raises ValueError if it is none."""
    return msgspec.msgpack.decode(raw, type=Verdict)
