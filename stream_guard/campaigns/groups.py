"""From shared fingerprints to groups, and which requests carry which group.

Fingerprints that the same accounts show belong together, whatever their text: a template shows up as many fingerprints
with one set of accounts. So fingerprints are grouped by *who shows them* (overlap of the account samples), not by what
they say.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from stream_guard.campaigns.window import KMV, PATIENCE_MAX, Window, chain_of, distinct, find, spread
from stream_guard.sketch import FINGERPRINTS

OVERLAP = 0.55
"""Jaccard index from which two fingerprints belong to one group."""
ACCOUNTS_MIN = 4
PRINTS_MIN = 2
"""One fingerprint alone is boilerplate."""
EVERYBODY = 0.6
"""A fingerprint that more than this share of all accounts shows says nothing."""
LEADERS_MAX = 64
_EMPTY = np.uint32(0xFFFFFFFF)
_NONE = np.zeros(0, np.int64)


class Carried(NamedTuple):
    """Which sightings carry which group: pairs (group, sighting), sorted by group and then account."""

    group: NDArray[np.int32]
    sighting: NDArray[np.int64]
    account: NDArray[np.uint32]
    sizes: NDArray[np.int32]  # fingerprints of each group
    prints: NDArray[np.uint32]  # the fingerprints of all groups
    of: NDArray[np.int32]  # and the group of each
    slots: NDArray[np.int64]  # and its place in the promoted table


@njit(cache=True, inline="always")
def overlap(a, b):  # type: ignore[no-untyped-def]
    """Estimate the Jaccard index of two account sets from their KMV samples."""
    i = j = same = total = 0
    while total < KMV and (i < KMV or j < KMV):
        x = a[i] if i < KMV else _EMPTY
        y = b[j] if j < KMV else _EMPTY
        if x == _EMPTY and y == _EMPTY:
            break
        if x == y:
            same += 1
            i += 1
            j += 1
        elif x < y:
            i += 1
        else:
            j += 1
        total += 1
    return same / total if total else 0.0


@njit(cache=True)
def _form(slots, kmv, of, sizes, leaders):  # type: ignore[no-untyped-def]
    """Group the fingerprints in `slots` (sorted by their smallest account) with leaders of the same smallest account."""
    groups = 0
    run_start = 0
    first_leader = 0
    for i in range(len(slots)):
        if i == 0 or kmv[slots[i], 0] != kmv[slots[run_start], 0]:
            run_start = i
            first_leader = groups
        best, best_overlap = -1, OVERLAP
        for g in range(max(first_leader, groups - LEADERS_MAX), groups):
            o = overlap(kmv[slots[i]], kmv[leaders[g]])
            if o >= best_overlap:
                best, best_overlap = g, o
        if best < 0:
            best = groups
            leaders[groups] = slots[i]
            groups += 1
        of[i] = best
        sizes[best] += 1
    return groups


@njit(cache=True, nogil=True)
def _hits(prints, keys, group_of, gids, counts, n):  # type: ignore[no-untyped-def]
    """Add the groups of some fingerprints to (gids, counts), of which n are in use; returns n."""
    for j in range(len(prints)):
        if prints[j] == 0:
            continue
        slot = find(keys, prints[j])
        if keys[slot] == 0:
            continue
        g = group_of[slot]
        if g < 0:
            continue
        k = 0
        while k < n and gids[k] != g:
            k += 1
        if k == n:
            gids[n] = g
            counts[n] = 0
            n += 1
        counts[k] += 1
    return n


@njit(cache=True, nogil=True)
def _carry(places, prints, system, system_prints, keys, group_of, needs, out_group, out_sighting):  # type: ignore[no-untyped-def]
    """Write the pairs (group, sighting) that are carried by the sightings in `places`; returns how many there are."""
    n = 0
    gids, counts = np.empty(2 * FINGERPRINTS, np.int64), np.empty(2 * FINGERPRINTS, np.int64)
    for i in places:
        k = _hits(prints[i], keys, group_of, gids, counts, 0)
        k = _hits(system_prints[system[i]], keys, group_of, gids, counts, k)
        for j in range(k):
            if counts[j] >= needs[gids[j]]:
                if n < len(out_group):
                    out_group[n] = gids[j]
                    out_sighting[n] = i
                n += 1
    return n


@njit(cache=True)
def _table(prints, of, keys, group_of):  # type: ignore[no-untyped-def]
    """Fill an open-addressed table: fingerprint -> its group."""
    for i in range(len(prints)):
        slot = find(keys, prints[i])
        keys[slot] = prints[i]
        group_of[slot] = of[i]


@njit(cache=True, nogil=True)
def _due(since, taken, prints, system, system_prints, keys, kmv, patience, accounts_min, out):  # type: ignore[no-untyped-def]
    """Write the places of the fingerprints that are worth a look, and of those beside them with the same accounts.

    Those are looked for in the sightings since..taken. Returns how many there are, with repetitions.
    """
    n = 0
    slots, due = np.empty(2 * FINGERPRINTS, np.int64), np.empty(2 * FINGERPRINTS, np.int64)
    for number in range(since, taken):
        i = number % len(prints)
        found = ready = 0
        for j in range(2 * FINGERPRINTS):
            fingerprint = prints[i, j] if j < FINGERPRINTS else system_prints[system[i], j - FINGERPRINTS]
            if fingerprint == 0:
                continue
            slot = find(keys, fingerprint)
            if keys[slot] == 0 or kmv[slot, accounts_min - 1] == _EMPTY:
                continue
            slots[found] = slot
            found += 1
            if patience[slot] == 0:
                due[ready] = slot
                ready += 1
        for j in range(found):
            for k in range(ready):
                if slots[j] == due[k] or (
                    kmv[slots[j], 0] == kmv[due[k], 0] and overlap(kmv[slots[j]], kmv[due[k]]) >= OVERLAP
                ):
                    out[n] = slots[j]
                    n += 1
                    break
    return n


@njit(cache=True, nogil=True)
def _walk(  # type: ignore[no-untyped-def]
    slots, taken, prints, chain, system_chain, keys, newest, systems, system_prints, system_older, newest_system, visited, seen, out
):  # fmt: skip
    """Write the places of the sightings that show some fingerprints, each once; returns how many there are."""
    n, size = 0, len(prints)
    held = min(taken, size)
    for slot in slots:
        fingerprint = keys[slot]
        back = np.int64(np.uint32(np.uint32(taken + 1) - newest[slot])) if newest[slot] != 0 else held + 1
        while 0 < back <= held:
            place = (taken - back) % size
            if not visited[place]:
                visited[place] = True
                if n < len(out):
                    out[n] = place
                n += 1
            step = 0
            for j in range(FINGERPRINTS):
                if prints[place, j] == fingerprint and chain_of(j) >= 0:
                    step = int(chain[place, chain_of(j)])
            if step == 0:
                break
            back += step
        row = int(systems[slot])
        while row != 0:
            if not seen[row]:
                seen[row] = True
                back = (
                    np.int64(np.uint32(np.uint32(taken + 1) - newest_system[row]))
                    if newest_system[row] != 0
                    else held + 1
                )
                while 0 < back <= held:
                    place = (taken - back) % size
                    if not visited[place]:
                        visited[place] = True
                        if n < len(out):
                            out[n] = place
                        n += 1
                    if system_chain[place] == 0:
                        break
                    back += int(system_chain[place])
            older = row
            for j in range(FINGERPRINTS):
                if system_prints[row, j] == fingerprint:
                    older = int(system_older[row, j])
            row = older if older != row else 0
    return n


def form(window: Window, accounts_min: int = ACCOUNTS_MIN) -> Carried:
    """Group the promoted fingerprints and find out which sightings carry which group."""
    slots = np.flatnonzero((window.keys != 0) & (window.kmv[:, accounts_min - 1] != _EMPTY))
    slots, of, sizes = _grouped(window, slots)
    return _carried(window, window.keys[slots], of, sizes, np.arange(len(window.held())), slots)


def form_fresh(window: Window, since: int, accounts_min: int = ACCOUNTS_MIN) -> Carried:
    """Do as `form` for the groups that the sightings from number `since` on show and that are due for a look.

    It costs what those groups have in sightings, not what the window has.
    """
    promoted, held = window.promoted, window.held()
    since = max(since, window.taken - len(held))
    out = np.empty(2 * FINGERPRINTS * (window.taken - since), np.int64)
    columns = window.sightings["prints"], window.sightings["system"], window.system_prints
    n = _due(since, window.taken, *columns, promoted.keys, promoted.kmv, promoted.patience, accounts_min, out)
    due = distinct(out[:n])
    slots, of, sizes = _grouped(window, due)
    alone = np.setdiff1d(due, slots, assume_unique=True)
    rest(window, alone, spread(promoted.kmv[alone]))
    places = np.empty(1024, np.int64)
    while True:
        n = _walk(
            slots, window.taken, window.sightings["prints"], window.chains.prints, window.chains.system, promoted.keys, promoted.newest,
            promoted.systems, window.system_prints, window.system_older, window.newest_system,
            np.zeros(len(held), np.bool_), np.zeros(len(window.system_rows), np.bool_), places,
        )  # fmt: skip
        if n <= len(places):
            break
        places = np.empty(n, np.int64)
    return _carried(window, window.keys[slots], of, sizes, places[:n], slots)


def carrying(window: Window, prints: NDArray[np.uint32], of: NDArray[np.int32], places: NDArray[np.int64]) -> Carried:
    """Find out which of the sightings in `places` carry which of some templates; `of` says whose each fingerprint is."""
    sizes = np.bincount(of).astype(np.int32)
    return _carried(window, prints, of, sizes, places)


def rest(window: Window, slots: NDArray[np.int64], times: NDArray[np.float64]) -> None:
    """Say how many more times some fingerprints are to be shown before they are worth another look."""
    window.promoted.patience[slots] = np.clip(times, 1, PATIENCE_MAX).astype(np.uint16)


def _grouped(
    window: Window, slots: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
    """Group fingerprints by their places; returns those that are in a group, in order, their groups, and the sizes of all."""
    kmv = window.kmv
    slots = slots[spread(kmv[slots]) <= max(EVERYBODY * len(window.rows), KMV)]
    slots = slots[np.lexsort((window.promoted.first_ts[slots], kmv[slots, 1], kmv[slots, 0]))]
    of, sizes = np.empty(len(slots), np.int32), np.zeros(len(slots), np.int32)
    groups = _form(slots, kmv, of, sizes, np.zeros(len(slots), np.int64))
    sizes = sizes[:groups]
    known = sizes[of] >= PRINTS_MIN
    slots, of = slots[known], of[known]
    order = np.argsort(slots)
    return slots[order], of[order], sizes


def _carried(
    window: Window,
    prints: NDArray[np.uint32],
    of: NDArray[np.int32],
    sizes: NDArray[np.int32],
    places: NDArray[np.int64],
    slots: NDArray[np.int64] = _NONE,
) -> Carried:
    """Find out which of the sightings in `places` carry which group."""
    keys = np.zeros(1 << (4 * len(prints) + 1).bit_length(), np.uint32)
    group_of = np.full(len(keys), -1, np.int32)
    _table(prints, of, keys, group_of)
    needs = np.clip((sizes + 2) // 3, 2, 4)
    held = window.held()
    room = 4 * len(places) + 1024
    while True:
        out_group, out_sighting = np.empty(room, np.int32), np.empty(room, np.int64)
        n = _carry(
            places, held["prints"], held["system"], window.system_prints, keys, group_of, needs, out_group, out_sighting
        )
        if n <= room:
            break
        room = n
    group, sighting = out_group[:n], out_sighting[:n]
    account = held["account"][sighting]
    # By group, account, sighting, in one number that is sorted: 20 to 30 bits each fit for any window that is held.
    accounts, sightings = len(window.names) + 1, len(held) + 1
    packed = np.sort((group.astype(np.int64) * accounts + account) * sightings + sighting)
    packed, sighting = np.divmod(packed, sightings)
    group, account = np.divmod(packed, accounts)
    return Carried(group.astype(np.int32), sighting, account.astype(np.uint32), sizes, prints, of, slots)
