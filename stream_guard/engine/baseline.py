"""What is usual in one deployment, as a small file that another deployment begins with.

A new deployment judges by what ships with the program until it has seen traffic of its own. Where there is traffic of the
same service already, recorded or in another deployment, what is usual in that is the better beginning. The file holds
quantiles and medians and nothing of any account or text; it is JSON, to be read by people too. Own traffic outweighs it as
it outweighs what ships: it is worth at most `ACCOUNTS_WORTH` accounts and `GROUPS_WORTH` groups.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec

from stream_guard.errors import SnapshotError

FORMAT, VERSION = "stream-guard baseline", 1
ACCOUNTS_WORTH, GROUPS_WORTH = 1_000.0, 200.0
BYTES_MAX = 1 << 20
"""A file that is larger is none of ours."""

Quantiles = tuple[float, float, float, float, float]
_Number = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class PopulationBaseline(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is usual of a population.

    Attributes
    ----------
    signals
        Quantiles of each signal of an account: 1, 10, 50, 90 and 99 %, in its unit.
    accounts
        How many lessons they were learnt from.
    crowds
        Median of each feature of groups of accounts that share text.
    groups
        How many of those there were.
    """

    signals: dict[str, Quantiles] = {}
    accounts: _Number = 0
    crowds: dict[str, float] = {}
    groups: _Number = 0


class _File(msgspec.Struct, forbid_unknown_fields=True):
    format: str
    version: int
    checksum: str
    baseline: msgspec.Raw


def write_baseline(baseline: PopulationBaseline) -> bytes:
    """Return a baseline as the bytes of a file."""
    body = msgspec.json.encode(baseline, order="deterministic")
    file = {"format": FORMAT, "version": VERSION, "checksum": _checksum(body), "baseline": msgspec.Raw(body)}
    return msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n"


def read_baseline(raw: bytes) -> PopulationBaseline:
    """Return the baseline in a file.

    Raises
    ------
    SnapshotError
        For a file that is foreign, damaged, of another version, or holds what cannot be usual of anything.
    """
    if len(raw) > BYTES_MAX:
        raise SnapshotError(f"this is no baseline: it has {len(raw):,} bytes")
    try:
        file = msgspec.json.decode(raw, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SnapshotError(f"this is no baseline: {error}") from None
    if file.format != FORMAT:
        raise SnapshotError(f"this is no baseline: its format is {file.format[:64]!r}")
    if file.version != VERSION:
        raise SnapshotError(f"a baseline of version {file.version}; this program reads version {VERSION}")
    body = msgspec.json.format(bytes(file.baseline), indent=-1)
    if _checksum(body) != file.checksum:
        raise SnapshotError("the baseline is damaged or was changed: its checksum does not fit")
    try:
        baseline = msgspec.json.decode(body, type=PopulationBaseline)
    except msgspec.DecodeError as error:
        raise SnapshotError(f"the baseline does not fit: {error}") from None
    for name, quantiles in baseline.signals.items():
        if list(quantiles) != sorted(quantiles):
            raise SnapshotError(f"the baseline does not fit: the quantiles of {name} do not ascend")
    return baseline


def merged(parts: Sequence[PopulationBaseline]) -> PopulationBaseline:
    """Return one baseline for several parts of a population, each by what it was learnt from."""
    signals = _mean([(p.signals, p.accounts) for p in parts])
    crowds = _mean([({name: (value,) for name, value in p.crowds.items()}, p.groups) for p in parts])
    return PopulationBaseline(
        {name: (p01, p10, p50, p90, p99) for name, (p01, p10, p50, p90, p99) in signals.items()},
        sum(p.accounts for p in parts),
        {name: value for name, (value,) in crowds.items()},
        sum(p.groups for p in parts),
    )


def _mean(parts: Sequence[tuple[Mapping[str, tuple[float, ...]], int]]) -> dict[str, tuple[float, ...]]:
    """Weighted mean of each name's numbers over the parts that have it; parts of weight 0 count where there is no other."""
    found = {}
    for name in dict.fromkeys(name for numbers, _ in parts for name in numbers):
        own = [(numbers[name], weight) for numbers, weight in parts if name in numbers]
        own = [(numbers, weight) for numbers, weight in own if weight] or [(own[0][0], 1)]
        total = sum(weight for _, weight in own)
        found[name] = tuple(
            sum(n * w for n, w in column) / total
            for column in zip(*([(n, w) for n in numbers] for numbers, w in own), strict=True)
        )
    return found


def _checksum(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=16).hexdigest()
