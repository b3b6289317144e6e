"""The population's window: recent sightings, the fingerprints that several accounts show, the accounts themselves.

A fingerprint is first kept in a *first-sight table* (its last account; newer ones overwrite older ones that fall on the
same place). When a second account shows it, it is promoted: from then on the window knows which accounts show it, as the
`KMV` accounts with the smallest hashes, which is a sample of the set, an estimate of its size (Bar-Yossef et al. 2002) and
of the overlap of two sets (Beyer et al. 2007).

An account has a row, where its facts are, and a serial number, which is what fingerprints remember of it. A row is given
to another account once its own has no sighting left; a serial number never is. So nothing that the tables of
fingerprints hold has to be found and changed when an account is forgotten.

Sightings are numbered as they come. Chains lead from each fingerprint, system text and account to the sightings that show
it, from the newest backwards (how many sightings back the next one is, 0 at the end): whoever shows one fingerprint is
found without a walk over the whole ring. Of a sighting's fingerprints half are chained, those with the smallest hashes,
which two texts that share a run have in common as well.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from stream_guard.campaigns.report import FACTS, SIGHTING, Report
from stream_guard.campaigns.settings import LinkSettings
from stream_guard.errors import SnapshotError
from stream_guard.sketch import FINGERPRINTS, LEXICAL, SKELETON

KMV = 8
_EMPTY = np.uint32(0xFFFFFFFF)
CHAINED = (LEXICAL + 1) // 2 + (SKELETON + 1) // 2
"""Fingerprints of a sighting that are chained: the first half of each kind, which are sorted by their hashes."""
PATIENCE_MAX = 65_535
APPENDED_MAX = 512
"""Sightings taken at once: fewer than the smallest ring holds."""


class Promoted(NamedTuple):
    """The fingerprints that several accounts show: an open-addressed table."""

    keys: NDArray[np.uint32]  # fingerprint; 0 where free
    kmv: NDArray[np.uint32]  # [slots, KMV]: sample of its accounts
    first_ts: NDArray[np.uint32]  # when it was first shared
    newest: NDArray[np.uint32]  # the newest sighting that shows it, as a number + 1
    systems: NDArray[np.uint32]  # row of a system text that shows it; 0 is none
    patience: NDArray[np.uint16]  # how many more times it is to be shown before it is worth a look

    @classmethod
    def empty(cls, slots: int) -> "Promoted":
        """Return a table with this many places, a power of two."""
        one = np.zeros(slots, np.uint32)
        return cls(
            one,
            np.full((slots, KMV), _EMPTY, np.uint32),
            one.copy(),
            one.copy(),
            one.copy(),
            np.zeros(slots, np.uint16),
        )


class Chains(NamedTuple):
    """What leads from one sighting to the one before that has the same in common; by place in the ring."""

    prints: NDArray[np.uint32]  # [ring, CHAINED]: sightings back to one that shows the same fingerprint; 0 ends it
    system: NDArray[np.uint32]  # ... of the same system text
    account: NDArray[np.uint32]  # ... of the same account
    turn: NDArray[np.uint32]  # how many sightings of its account came before it

    @classmethod
    def empty(cls, places: int) -> "Chains":
        """Return chains for a ring of this size."""
        one = np.zeros(places, np.uint32)
        return cls(np.zeros((places, CHAINED), np.uint32), one, one.copy(), one.copy())


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


@njit(cache=True, inline="always")
def chain_of(j):  # type: ignore[no-untyped-def]
    """Return which chain the j-th fingerprint of a sighting is in, or -1."""
    if j < LEXICAL:
        return j if j < (LEXICAL + 1) // 2 else -1
    j -= LEXICAL
    return (LEXICAL + 1) // 2 + j if j < (SKELETON + 1) // 2 else -1


@njit(cache=True, nogil=True)
def _link_system(slot, fingerprint, row, systems, system_prints, system_older):  # type: ignore[no-untyped-def]
    """Put a system text into the chain of a fingerprint that it shows; the last of a chain leads to itself."""
    for j in range(FINGERPRINTS):
        if system_prints[row, j] == fingerprint:
            if system_older[row, j] == 0:
                system_older[row, j] = systems[slot] if systems[slot] != 0 else row
                systems[slot] = row
            return


@njit(cache=True, nogil=True)
def _see(  # type: ignore[no-untyped-def]
    numbers, prints, ts, own, until, account, system, serials, chain, first_keys, first_seen,
    keys, kmv, first_ts, newest, systems, patience, system_prints, system_older, used,
):  # fmt: skip
    """Take fingerprints [n, k] of sightings by number, their `own` or their system texts'; `until` is the newest's number + 1.

    `account`, `system` and `chain` are columns of the ring. Returns how many places of the promoted table are in use.
    """
    mask, size = len(first_keys) - 1, len(account)
    oldest = max(0, until - size)
    for i in range(len(numbers)):
        number = numbers[i]
        place = number % size
        this, who = np.uint32(number + 1), account[place]
        for j in range(FINGERPRINTS):
            fingerprint = prints[i, j]
            if fingerprint == 0:
                continue
            column = chain_of(j) if own else -1
            slot = find(keys, fingerprint)
            if keys[slot] == fingerprint:
                _admit(kmv[slot], serials[who])
                patience[slot] -= min(patience[slot], 1)
                if column >= 0 and newest[slot] != this:
                    chain[place, column] = this - newest[slot] if newest[slot] != 0 else 0
                    newest[slot] = this
                if not own:
                    _link_system(slot, fingerprint, system[place], systems, system_prints, system_older)
                continue
            first = int(scatter(fingerprint) >> np.uint32(7)) & mask
            back = np.int64(np.int32(this - first_seen[first]))  # negative: by one after it of the same report
            if first_keys[first] != fingerprint or back > number - oldest:
                first_keys[first] = fingerprint
                first_seen[first] = this
                continue
            before = (number - back) % size
            if column >= 0:
                chain[place, column] = back
            if account[before] != who and used * 10 < len(keys) * 7:
                used += 1
                keys[slot] = fingerprint
                first_ts[slot] = ts[i]
                newest[slot] = this if column >= 0 else first_seen[first]
                _admit(kmv[slot], serials[account[before]])
                _admit(kmv[slot], serials[who])
                _link_system(slot, fingerprint, system[before], systems, system_prints, system_older)
                if not own:
                    _link_system(slot, fingerprint, system[place], systems, system_prints, system_older)
            elif column >= 0:
                first_seen[first] = this
    return used


@njit(cache=True, nogil=True)
def _chain(since, account, system, by_account, by_system, turn, totals, turns, newest_of, newest_system):  # type: ignore[no-untyped-def]
    """Chain sightings from number `since` on, given as columns, to those of the same account and system text."""
    size = len(turn)
    for i in range(len(account)):
        place, this, who, text = (since + i) % size, np.uint32(since + i + 1), account[i], system[i]
        by_account[place] = this - newest_of[who] if newest_of[who] != 0 else 0
        newest_of[who] = this
        by_system[place] = this - newest_system[text] if newest_system[text] != 0 else 0
        newest_system[text] = this
        turn[place] = turns[who]
        turns[who] += 1
        totals[who] += 1


@njit(cache=True, nogil=True)
def _of_accounts(rows, taken, chain, totals, newest_of, out):  # type: ignore[no-untyped-def]
    """Write the places of the sightings of some accounts; returns how many there are."""
    n = 0
    for row in rows:
        back = int(np.uint32(np.uint32(taken + 1) - newest_of[row]))
        for _ in range(totals[row]):
            place = (taken - back) % len(chain)
            out[n] = place
            n += 1
            back += int(chain[place])
    return n


@njit(cache=True)
def _places(old, keep, keys):  # type: ignore[no-untyped-def]
    """Put the kept of some fingerprints into an empty table; returns where each of them is."""
    places = np.empty(len(old), np.int64)
    n = 0
    for i in range(len(old)):
        if keep[i]:
            places[n] = find(keys, old[i])
            keys[places[n]] = old[i]
            n += 1
    return places[:n]


@njit(cache=True)
def _link_systems(rows, keys, systems, system_prints, system_older):  # type: ignore[no-untyped-def]
    """Chain the system texts anew, of which there are `rows`."""
    systems[:] = 0
    system_older[:] = 0
    for row in range(1, rows):
        for j in range(FINGERPRINTS):
            fingerprint = system_prints[row, j]
            if fingerprint != 0:
                slot = find(keys, fingerprint)
                if keys[slot] != 0:
                    _link_system(slot, fingerprint, row, systems, system_prints, system_older)


def distinct(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the distinct of some integers, in order: as `numpy.unique`, which hashes (since NumPy 2.3) and takes seven to forty times as long."""
    values = np.sort(values)
    return values[np.r_[values[:1] == values[:1], values[1:] != values[:-1]]]


def spread(kmv: NDArray[np.uint32]) -> NDArray[np.float64]:
    """Return how many accounts show each fingerprint, of samples [..., KMV]: exact below `KMV`, else an estimate."""
    shown = np.count_nonzero(kmv != _EMPTY, axis=-1)
    estimate = (KMV - 1) / (np.maximum(kmv[..., KMV - 1], 1) / 2.0**32)
    return np.where(shown < KMV, shown, estimate)


class Window:
    """Recent sightings of the whole population, bounded by the `*_max` of the settings.

    Attributes
    ----------
    sightings, chains
        Ring of `SIGHTING` records, of which `held()` are in use, and what leads from one to another.
    taken
        How many sightings have come; the newest has the number `taken - 1`.
    promoted
        The fingerprints that several accounts show.
    facts, names, serials, totals
        By row: what is known of an account, its id ("" for a free row), its serial number, its sightings in the ring.
    """

    def __init__(self, settings: LinkSettings) -> None:
        self.sightings_max, self.promoted_max = settings.sightings_max, settings.promoted_max
        self.accounts_max, self.systems_max = settings.accounts_max, settings.systems_max
        # Of their full size at once: pages that nobody has written to take no memory, and nothing is copied to grow.
        self.sightings, self.chains = np.zeros(self.sightings_max, SIGHTING), Chains.empty(self.sightings_max)
        self.taken = 0
        self.first_keys, self.first_seen = (
            np.zeros(settings.first_sights, np.uint32),
            np.zeros(settings.first_sights, np.uint32),
        )
        self.models: dict[int, str] = {}
        self.promoted, self.used = Promoted.empty(1 << 12), 0
        self.rows: dict[str, int] = {}
        self.names: list[str] = []
        self.facts, self.serials = np.zeros(0, FACTS), np.zeros(0, np.uint32)
        self.totals, self._turns, self._newest_of = (
            np.zeros(0, np.int32),
            np.zeros(0, np.uint32),
            np.zeros(0, np.uint32),
        )
        self._size_for(self.accounts_max)
        self._free: list[int] = []
        self._next_serial = 0
        self.system_rows: dict[int, int] = {0: 0}  # row 0 is no system text
        self.system_prints, self.system_older = np.zeros((2, 1, FINGERPRINTS), np.uint32)
        self.newest_system = np.zeros(1, np.uint32)
        # (account, system) seen lately: a system text is counted once an account
        self._pairs = np.zeros(1 << 16, np.uint64)

    @property
    def keys(self) -> NDArray[np.uint32]:
        """The promoted fingerprints, by place."""
        return self.promoted.keys

    @property
    def kmv(self) -> NDArray[np.uint32]:
        """The samples of the accounts that show them, by place."""
        return self.promoted.kmv

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
        for at in range(0, len(fresh), APPENDED_MAX):
            self._append(fresh[at : at + APPENDED_MAX], hashes[at : at + APPENDED_MAX])

    def _append(self, fresh: NDArray[np.void], hashes: NDArray[np.uint32]) -> None:
        since, until = self.taken, self.taken + len(fresh)
        places = np.arange(since, until) % self.sightings_max
        over = self.sightings["account"][places[max(0, self.sightings_max - since) :]]  # those that give way
        np.subtract.at(self.totals, over, 1)
        self.sightings[places] = fresh
        self.chains.prints[places] = 0
        self._chain(since, fresh)
        self.taken = until
        self._see(np.arange(since, until), fresh["prints"], fresh["ts"], own=True)
        pair = self.serials[fresh["account"]].astype(np.uint64) << np.uint64(32) | hashes
        place = (pair * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(48)).astype(np.int64)
        new = np.flatnonzero(self._pairs[place] != pair)
        self._pairs[place] = pair
        self._see(since + new, self.system_prints[fresh["system"][new]], fresh["ts"][new], own=False)

    def _chain(self, since: int, fresh: NDArray[np.void]) -> None:
        _chain(
            since, fresh["account"], fresh["system"], self.chains.account, self.chains.system, self.chains.turn,
            self.totals, self._turns, self._newest_of, self.newest_system,
        )  # fmt: skip

    def _see(
        self, numbers: NDArray[np.int64], prints: NDArray[np.uint32], ts: NDArray[np.uint32], *, own: bool
    ) -> None:
        at = 0
        while at < len(numbers):  # in parts that cannot overfill the table before it grows
            part = slice(at, at + max(1, len(self.keys) // (FINGERPRINTS * 4)))
            at = part.stop
            self.used = _see(
                numbers[part], np.ascontiguousarray(prints[part]), np.ascontiguousarray(ts[part]), own, self.taken,
                self.sightings["account"], self.sightings["system"], self.serials, self.chains.prints, self.first_keys, self.first_seen, *self.promoted,
                self.system_prints, self.system_older, self.used,
            )  # fmt: skip
            if self.used * 2 > len(self.keys):
                self._make_room()

    def _system(self, text_hash: int, prints: NDArray[np.uint32]) -> int:
        row = self.system_rows.get(text_hash)
        if row is None:
            row = self.system_rows[text_hash] = len(self.system_rows)
            if row >= len(self.system_prints):
                self._size_systems_for(max(256, 2 * row))
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
        self.system_prints, self.system_older = self.system_prints[kept], self.system_older[kept]
        self.newest_system = self.newest_system[kept]
        self._link_systems()

    def _link_systems(self) -> None:
        _link_systems(len(self.system_rows), self.keys, self.promoted.systems, self.system_prints, self.system_older)

    def _make_room(self) -> None:
        """Grow the promoted table; at its largest, drop the older half of those of two accounts, or else of all."""
        old = self.promoted
        keep = old.keys != 0
        slots = len(old.keys)
        if slots < self.promoted_max:
            slots *= 2
        else:
            rare = keep & (old.kmv[:, 2] == _EMPTY)
            if rare.any():
                keep &= ~(rare & (old.first_ts <= np.median(old.first_ts[rare])))
            if keep.sum() * 5 > slots * 2:
                keep &= old.first_ts > np.median(old.first_ts[keep])
        self._promote(old, keep, slots)
        if slots == len(old.keys):  # chains lead to those that are gone
            self._link_systems()

    def _promote(self, old: Promoted, keep: NDArray[np.bool_], slots: int) -> None:
        """Make a table of this size with the kept of another one's fingerprints."""
        self.promoted, self.used = Promoted.empty(slots), int(keep.sum())
        places = _places(old.keys, keep, self.keys)
        columns: Iterable[tuple[NDArray[Any], NDArray[Any]]] = zip(self.promoted[1:], old[1:], strict=True)
        for column, before in columns:
            column[places] = before[keep]

    def _size_for(self, accounts: int) -> None:
        for name in ("facts", "serials", "totals", "_turns", "_newest_of"):
            setattr(self, name, _sized(getattr(self, name), accounts))

    def _size_systems_for(self, rows: int) -> None:
        for name in ("system_prints", "system_older", "newest_system"):
            setattr(self, name, _sized(getattr(self, name), rows))

    def held(self) -> NDArray[np.void]:
        """Return the sightings in use (a view; order is that of the ring)."""
        return self.sightings[: min(self.taken, self.sightings_max)]

    def rank(self, sightings: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how many held sightings of its account came before each of these, which are places in the ring."""
        account = self.sightings["account"][sightings]
        gone = self._turns[account] - self.totals[account].astype(np.uint32)
        before: NDArray[np.int64] = (self.chains.turn[sightings] - gone).astype(np.int64)
        return before

    def places(self, since: int) -> NDArray[np.int64]:
        """Return the places in the ring of the sightings from number `since` on, the oldest first."""
        return np.arange(max(since, self.taken - len(self.held())), self.taken) % self.sightings_max

    def shown_by(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the places in the ring of all sightings of some accounts, account by account."""
        places = np.empty(int(self.totals[rows].sum()), np.int64)
        n = _of_accounts(rows, self.taken, self.chains.account, self.totals, self._newest_of, places)
        return places[:n]

    def dump(self) -> dict[str, object]:
        """Return the state as plain values for a snapshot."""
        used, held = np.flatnonzero(self.keys), slice(min(self.taken, self.sightings_max))
        rows, systems = slice(len(self.names)), slice(len(self.system_rows))
        return {
            "sightings": self.held().tobytes(), "taken": self.taken, "chains": [chain[held].tobytes() for chain in self.chains],
            "names": self.names, "free": self._free, "next_serial": self._next_serial,
            "by_row": {name: getattr(self, name)[rows].tobytes() for name in _BY_ROW},
            "first_keys": self.first_keys.tobytes(), "first_seen": self.first_seen.tobytes(), "slots": len(self.keys),
            "promoted": [column[used].tobytes() for column in self.promoted],
            "systems": list(self.system_rows), "by_system": {name: getattr(self, name)[systems].tobytes() for name in _BY_SYSTEM},
            "pairs": self._pairs.tobytes(), "models": {str(code): name for code, name in self.models.items()},
        }  # fmt: skip

    def load(self, saved: dict[str, Any]) -> None:
        """Take up what `dump` gave. Raises SnapshotError."""
        try:
            self.names = list(saved["names"])
            for name in _BY_ROW:
                setattr(self, name, _like(saved["by_row"][name], getattr(self, name)))
            self._size_for(max(self.accounts_max, len(self.names)))
            self._free, self._next_serial = list(saved["free"]), int(saved["next_serial"])
            self.first_keys = np.frombuffer(saved["first_keys"], np.uint32).copy()
            self.first_seen = np.frombuffer(saved["first_seen"], np.uint32).copy()
            columns: tuple[NDArray[Any], ...] = Promoted.empty(1)
            promoted = Promoted(*map(_like, saved["promoted"], columns))
            self._promote(promoted, np.ones(len(promoted.keys), np.bool_), int(saved["slots"]))
            self.system_rows = {int(h): row for row, h in enumerate(saved["systems"])}
            for name in _BY_SYSTEM:
                setattr(self, name, _like(saved["by_system"][name], getattr(self, name)).copy())
            self._pairs = np.frombuffer(saved["pairs"], np.uint64).copy()
            self.models = {int(code): name for code, name in saved["models"].items()}
            self._load_ring(np.frombuffer(saved["sightings"], SIGHTING), int(saved["taken"]), saved["chains"])
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise SnapshotError(f"the state of the window does not fit: {error}") from error
        self.rows = {name: row for row, name in enumerate(self.names) if name}

    def _load_ring(self, ring: NDArray[np.void], taken: int, chains: list[bytes]) -> None:
        """Take up a ring; one of another size than the present settings' keeps its newest sightings."""
        self.sightings, self.chains = np.zeros(self.sightings_max, SIGHTING), Chains.empty(self.sightings_max)
        self.taken = taken
        if len(ring) == min(taken, self.sightings_max):
            self.sightings[: len(ring)] = ring
            for chain, raw in zip(self.chains, chains, strict=True):
                chain[: len(ring)] = _like(raw, chain)
            return
        if taken > len(ring):
            ring = np.roll(ring, -(taken % len(ring)))
        ring = ring[-self.sightings_max :]
        self.taken = taken = len(ring)
        self.sightings[:taken] = ring
        # Numbers have changed, so what is chained begins anew; what is in the ring is found by a look at all of it.
        for column in (
            self.totals,
            self._turns,
            self._newest_of,
            self.newest_system,
            self.first_keys,
            self.promoted.newest,
        ):
            column[:] = 0
        self._chain(0, self.held())


_BY_ROW = ("facts", "serials", "totals", "_turns", "_newest_of")
_BY_SYSTEM = ("system_prints", "system_older", "newest_system")


def _like(raw: bytes, column: NDArray[Any]) -> NDArray[Any]:
    """Return bytes as a column of the same type and width as this one."""
    return np.frombuffer(raw, column.dtype).reshape(-1, *column.shape[1:])


def _sized(column: NDArray[Any], rows: int) -> NDArray[Any]:
    """Return a copy with room for so many rows."""
    sized = np.zeros((rows, *column.shape[1:]), column.dtype)
    sized[: len(column)] = column
    return sized
