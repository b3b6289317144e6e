"""The population's window: recent sightings, the fingerprints that several accounts show, the accounts themselves.

A fingerprint is first kept in a *first-sight table* (its last account; newer ones overwrite older ones that fall on the
same place). When a second account shows it, it is promoted: from then on the window knows which accounts show it, as the
`KMV` accounts with the smallest hashes, which is a sample of the set, an estimate of its size (Bar-Yossef et al. 2002) and
of the overlap of two sets (Beyer et al. 2007).

An account has a row, where its facts are, and a serial number, which is what fingerprints remember of it. A row is given
to another account once its own has no sighting left; a serial number never is. So nothing that the tables of
fingerprints hold has to be found and changed when an account is forgotten.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from stream_guard.campaigns.report import FACTS, SIGHTING, Report
from stream_guard.campaigns.settings import LinkSettings
from stream_guard.errors import SnapshotError
from stream_guard.sketch import FINGERPRINTS

KMV = 8
_EMPTY = np.uint32(0xFFFFFFFF)


@njit(cache=True, inline="always")
def scatter(x):  # type: ignore[no-untyped-def]
    """Return a 32-bit number scattered over its range; one to one (the finaliser of MurmurHash3)."""
    x = np.uint32(x)
    x = np.uint32((x ^ (x >> np.uint32(16))) * np.uint32(0x85EBCA6B))
    x = np.uint32((x ^ (x >> np.uint32(13))) * np.uint32(0xC2B2AE35))
    return np.uint32(x ^ (x >> np.uint32(16)))


@njit(cache=True, inline="always")
def find(keys, fingerprint):  # type: ignore[no-untyped-def]
    """Return the slot of a fingerprint in an open-addressed table, or the free slot where it belongs."""
    mask = len(keys) - 1
    slot = int(scatter(fingerprint)) & mask
    while keys[slot] != 0 and keys[slot] != fingerprint:
        slot = (slot + 1) & mask
    return slot


@njit(cache=True, inline="always")
def _admit(accounts, account):  # type: ignore[no-untyped-def]
    """Put an account into a KMV sample, a sorted run of hashes."""
    h = scatter(account)
    if h >= accounts[KMV - 1]:
        return
    place = 0
    while accounts[place] < h:
        place += 1
    if accounts[place] == h:
        return
    for j in range(KMV - 1, place, -1):
        accounts[j] = accounts[j - 1]
    accounts[place] = h


@njit(cache=True, nogil=True)
def _see(prints, accounts, ts, first_keys, first_accounts, keys, kmv, first_ts, used):  # type: ignore[no-untyped-def]
    """Take fingerprints [n, k] of accounts [n]; returns how many slots of the promoted table are in use."""
    mask = len(first_keys) - 1
    for i in range(len(prints)):
        account = accounts[i]
        for j in range(prints.shape[1]):
            fingerprint = prints[i, j]
            if fingerprint == 0:
                continue
            slot = find(keys, fingerprint)
            if keys[slot] == fingerprint:
                _admit(kmv[slot], account)
                continue
            place = int(scatter(fingerprint) >> np.uint32(7)) & mask
            if first_keys[place] != fingerprint:
                first_keys[place] = fingerprint
                first_accounts[place] = account
            elif first_accounts[place] != account and used * 10 < len(keys) * 7:
                keys[slot] = fingerprint
                first_ts[slot] = ts[i]
                used += 1
                _admit(kmv[slot], first_accounts[place])
                _admit(kmv[slot], account)
    return used


@njit(cache=True)
def _rehash(old_keys, keep, old_kmv, old_first_ts, keys, kmv, first_ts):  # type: ignore[no-untyped-def]
    for i in range(len(old_keys)):
        if keep[i]:
            slot = find(keys, old_keys[i])
            keys[slot] = old_keys[i]
            for j in range(KMV):  # element by element: a row's assignment takes four seconds to compile
                kmv[slot, j] = old_kmv[i, j]
            first_ts[slot] = old_first_ts[i]


def spread(kmv: NDArray[np.uint32]) -> NDArray[np.float64]:
    """Return how many accounts show each fingerprint, of samples [..., KMV]: exact below `KMV`, else an estimate."""
    shown = np.count_nonzero(kmv != _EMPTY, axis=-1)
    estimate = (KMV - 1) / (np.maximum(kmv[..., KMV - 1], 1) / 2.0**32)
    return np.where(shown < KMV, shown, estimate)


class Window:
    """Recent sightings of the whole population, bounded by the `*_max` of the settings.

    Attributes
    ----------
    sightings
        Ring of `SIGHTING` records; `valid()` says which are in use.
    keys, kmv, first_ts
        The promoted fingerprints: open-addressed table, sample of accounts [slots, KMV], when it was first shared.
    facts, names, serials
        By row: what is known of an account, its id ("" for a free row), its serial number.
    """

    def __init__(self, settings: LinkSettings) -> None:
        self.sightings_max, self.promoted_max = settings.sightings_max, settings.promoted_max
        self.accounts_max, self.systems_max = settings.accounts_max, settings.systems_max
        # Of their full size at once: pages that nobody has written to take no memory, and nothing is copied to grow.
        self.sightings = np.zeros(self.sightings_max, SIGHTING)
        self.taken = 0
        self.first_keys, self.first_accounts = (
            np.zeros(settings.first_sights, np.uint32),
            np.zeros(settings.first_sights, np.uint32),
        )
        self.models: dict[int, str] = {}
        self._new_table(1 << 12)
        self.rows: dict[str, int] = {}
        self.names: list[str] = []
        self.facts, self.serials = np.zeros(0, FACTS), np.zeros(0, np.uint32)
        self._size_for(self.accounts_max)
        self._free: list[int] = []
        self._next_serial = 0
        self.system_rows: dict[int, int] = {0: 0}  # row 0 is no system text
        self.system_prints = np.zeros((1, FINGERPRINTS), np.uint32)
        # (account, system) seen lately: a system text is counted once an account
        self._pairs = np.zeros(1 << 16, np.uint64)

    def _new_table(self, slots: int) -> None:
        self.keys, self.kmv, self.first_ts = (
            np.zeros(slots, np.uint32),
            np.full((slots, KMV), _EMPTY, np.uint32),
            np.zeros(slots, np.uint32),
        )
        self.used = 0

    def row(self, account_id: str) -> int:
        """Return the row of an account, made if it is new."""
        row = self.rows.get(account_id)
        if row is not None:
            return row
        if self._free:
            row = self._free.pop()
            self.names[row] = account_id
        else:
            row = len(self.names)
            self.names.append(account_id)
            if row >= len(self.facts):  # more accounts in the ring than are to be held
                self._size_for(2 * row)
        self.rows[account_id] = row
        self.serials[row] = self._next_serial
        self._next_serial = (self._next_serial + 1) & 0xFFFFFFFF
        return row

    def is_full(self, count: int) -> bool:
        """Say whether `count` more accounts are too many."""
        return len(self.rows) + count > self.accounts_max

    def forget(self, count: int, keep: NDArray[np.int64]) -> NDArray[np.int64]:
        """Make room for `count` accounts and some more; returns the rows that are free now.

        The idlest go. Accounts with a sighting in the window, and those in the rows `keep`, stay in any case.
        """
        stay = np.zeros(len(self.names), np.bool_)
        stay[self.held()["account"]] = True
        stay[keep] = True
        stay[self._free] = True
        idle = np.flatnonzero(~stay)
        idle = idle[np.argsort(self.facts["last_ts"][idle], kind="stable")][: max(count, self.accounts_max // 16)]
        for row in idle.tolist():
            del self.rows[self.names[row]]
            self.names[row] = ""
        self.facts[idle] = np.zeros((), FACTS)
        self._free += idle.tolist()
        return idle

    def take(self, report: Report) -> None:
        """Take the accounts, system texts and sightings of a report."""
        rows = np.fromiter((self.row(name) for name in report.accounts), np.uint32, len(report.accounts))
        self.facts[rows] = report.facts
        self.models.update({int(code): name for code, name in report.models.items()})
        if len(self.system_rows) + len(report.systems) > self.systems_max:
            self._forget_systems(len(report.systems))
        systems = np.fromiter(
            (self._system(int(h), p) for h, p in zip(report.systems, report.system_prints, strict=True)),
            np.uint32,
            len(report.systems),
        )
        fresh = report.sightings.copy()
        hashes = report.systems[fresh["system"]]
        fresh["account"], fresh["system"] = rows[fresh["account"]], systems[fresh["system"]]
        serials = self.serials[fresh["account"]]
        self._see(fresh["prints"], serials, fresh["ts"])
        pair = serials.astype(np.uint64) << np.uint64(32) | hashes
        place = (pair * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(48)).astype(np.int64)
        new = self._pairs[place] != pair
        self._pairs[place] = pair
        self._see(self.system_prints[fresh["system"][new]], serials[new], fresh["ts"][new])
        self._append(fresh)

    def _system(self, text_hash: int, prints: NDArray[np.uint32]) -> int:
        row = self.system_rows.get(text_hash)
        if row is None:
            row = self.system_rows[text_hash] = len(self.system_rows)
            if row >= len(self.system_prints):
                grown = np.zeros((max(256, 2 * len(self.system_prints)), FINGERPRINTS), np.uint32)
                grown[: len(self.system_prints)] = self.system_prints
                self.system_prints = grown
            self.system_prints[row] = prints
        return row

    def _forget_systems(self, count: int) -> None:
        """Keep the system texts seen last, at most three quarters; sightings of the others lose theirs."""
        rows = len(self.system_rows)
        last = np.full(rows, -1, np.int64)
        held = self.held()
        age = (np.arange(len(held)) - self.taken) % self.sightings_max  # the newest are the highest
        np.maximum.at(last, held["system"], age)
        last[0] = self.sightings_max
        kept = np.sort(
            np.argsort(-last, kind="stable")[: max(1, min(self.systems_max * 3 // 4, self.systems_max - count))]
        )
        moved = np.zeros(rows, np.uint32)
        moved[kept] = np.arange(len(kept))
        held["system"] = moved[held["system"]]
        hashes = np.fromiter(self.system_rows, np.uint32, rows)
        self.system_rows = {h: row for row, h in enumerate(hashes[kept].tolist())}
        self.system_prints = self.system_prints[kept]

    def _see(self, prints: NDArray[np.uint32], accounts: NDArray[np.uint32], ts: NDArray[np.uint32]) -> None:
        step = max(1, len(self.keys) // (FINGERPRINTS * 4))  # in steps that cannot overfill the table before it grows
        for at in range(0, len(prints), step):
            part = slice(at, at + step)
            self.used = _see(
                prints[part],
                accounts[part],
                ts[part],
                self.first_keys,
                self.first_accounts,
                self.keys,
                self.kmv,
                self.first_ts,
                self.used,
            )
            if self.used * 2 > len(self.keys):
                self._make_room()

    def _make_room(self) -> None:
        """Grow the promoted table; at its largest, drop the older half of those of two accounts, or else of all."""
        keys, kmv, first_ts = self.keys, self.kmv, self.first_ts
        keep = keys != 0
        slots = len(keys)
        if slots < self.promoted_max:
            slots *= 2
        else:
            rare = keep & (kmv[:, 2] == _EMPTY)
            if rare.any():
                keep &= ~(rare & (first_ts <= np.median(first_ts[rare])))
            if keep.sum() * 5 > slots * 2:
                keep &= first_ts > np.median(first_ts[keep])
        self._new_table(slots)
        _rehash(keys, keep, kmv, first_ts, self.keys, self.kmv, self.first_ts)
        self.used = int(keep.sum())

    def _size_for(self, accounts: int) -> None:
        facts, serials = self.facts, self.serials
        self.facts, self.serials = np.zeros(accounts, FACTS), np.zeros(accounts, np.uint32)
        self.facts[: len(facts)], self.serials[: len(serials)] = facts, serials

    def _append(self, fresh: NDArray[np.void]) -> None:
        places = (self.taken + np.arange(len(fresh))) % self.sightings_max
        self.sightings[places] = fresh
        self.taken += len(fresh)

    def held(self) -> NDArray[np.void]:
        """Return the sightings in use (a view; order is that of the ring)."""
        return self.sightings[: min(self.taken, self.sightings_max)]

    def dump(self) -> dict[str, object]:
        """Return the state as plain values for a snapshot."""
        used = np.flatnonzero(self.keys)
        systems = len(self.system_rows)
        return {
            "sightings": self.held().tobytes(), "taken": self.taken, "names": self.names, "facts": self.facts[: len(self.names)].tobytes(),
            "serials": self.serials[: len(self.names)].tobytes(), "free": self._free, "next_serial": self._next_serial,
            "first_keys": self.first_keys.tobytes(), "first_accounts": self.first_accounts.tobytes(), "slots": len(self.keys),
            "keys": self.keys[used].tobytes(), "kmv": self.kmv[used].tobytes(), "first_ts": self.first_ts[used].tobytes(),
            "systems": list(self.system_rows), "system_prints": self.system_prints[:systems].tobytes(), "pairs": self._pairs.tobytes(),
            "models": {str(code): name for code, name in self.models.items()},
        }  # fmt: skip

    def load(self, saved: dict[str, Any]) -> None:
        """Take up what `dump` gave. Raises SnapshotError."""
        try:
            self._load_ring(np.frombuffer(saved["sightings"], SIGHTING), int(saved["taken"]))
            self.names, facts = list(saved["names"]), np.frombuffer(saved["facts"], FACTS)
            self.facts, self.serials = facts, np.frombuffer(saved["serials"], np.uint32)
            self._size_for(max(self.accounts_max, len(facts)))
            self._free, self._next_serial = list(saved["free"]), int(saved["next_serial"])
            self.first_keys = np.frombuffer(saved["first_keys"], np.uint32).copy()
            self.first_accounts = np.frombuffer(saved["first_accounts"], np.uint32).copy()
            self._new_table(int(saved["slots"]))
            keys, first_ts = np.frombuffer(saved["keys"], np.uint32), np.frombuffer(saved["first_ts"], np.uint32)
            kmv = np.frombuffer(saved["kmv"], np.uint32).reshape(-1, KMV)
            self.system_prints = np.frombuffer(saved["system_prints"], np.uint32).reshape(-1, FINGERPRINTS).copy()
            self._pairs = np.frombuffer(saved["pairs"], np.uint64).copy()
            self.system_rows = {int(h): row for row, h in enumerate(saved["systems"])}
            self.models = {int(code): name for code, name in saved["models"].items()}
        except (KeyError, TypeError, ValueError) as error:
            raise SnapshotError(f"the state of the window does not fit: {error}") from error
        _rehash(keys, np.ones(len(keys), np.bool_), kmv, first_ts, self.keys, self.kmv, self.first_ts)
        self.used = len(keys)
        self.rows = {name: row for row, name in enumerate(self.names) if name}

    def _load_ring(self, ring: NDArray[np.void], taken: int) -> None:
        """Take up a ring; one of another size than the present settings' keeps its newest sightings."""
        if taken > len(ring) and len(ring) != self.sightings_max:
            ring = np.roll(ring, -(taken % len(ring)))
        if len(ring) != min(taken, self.sightings_max):
            ring = ring[-self.sightings_max :]
            taken = len(ring)
        self.sightings, self.taken = np.zeros(self.sightings_max, SIGHTING), taken
        self.sightings[: len(ring)] = ring
