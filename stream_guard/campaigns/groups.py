"""From shared fingerprints to groups, and which requests carry which group.

Fingerprints that the same accounts show belong together, whatever their text: a template shows up as many fingerprints
with one set of accounts. So fingerprints are grouped by *who shows them* (overlap of the account samples), not by what
they say.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from stream_guard.campaigns.window import KMV, Window, find, spread
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


class Carried(NamedTuple):
    """Which sightings carry which group: pairs (group, sighting), sorted by group and then account."""

    group: NDArray[np.int32]
    sighting: NDArray[np.int64]
    account: NDArray[np.uint32]
    sizes: NDArray[np.int32]  # fingerprints of each group
    group_of: NDArray[np.int32]  # slot of the promoted table -> group, or -1


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
def _form(slots, kmv, group_of, sizes, leaders):  # type: ignore[no-untyped-def]
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
        group_of[slots[i]] = best
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
def _carry(sightings, system_prints, keys, group_of, needs, out_group, out_sighting):  # type: ignore[no-untyped-def]
    """Write the pairs (group, sighting) that are carried; returns how many, or minus what would be needed."""
    n = 0
    gids, counts = np.empty(2 * FINGERPRINTS, np.int64), np.empty(2 * FINGERPRINTS, np.int64)
    for i in range(len(sightings)):
        k = _hits(sightings[i].prints, keys, group_of, gids, counts, 0)
        k = _hits(system_prints[sightings[i].system], keys, group_of, gids, counts, k)
        for j in range(k):
            if counts[j] >= needs[gids[j]]:
                if n < len(out_group):
                    out_group[n] = gids[j]
                    out_sighting[n] = i
                n += 1
    return n


def form(window: Window, accounts_min: int = ACCOUNTS_MIN) -> Carried:
    """Group the promoted fingerprints and find out which sightings carry which group."""
    keys, kmv = window.keys, window.kmv
    slots = np.flatnonzero((keys != 0) & (kmv[:, accounts_min - 1] != _EMPTY))
    slots = slots[spread(kmv[slots]) <= max(EVERYBODY * len(window.rows), KMV)]
    slots = slots[np.lexsort((window.promoted.first_ts[slots], kmv[slots, 1], kmv[slots, 0]))]
    group_of, sizes, leaders = (
        np.full(len(keys), -1, np.int32),
        np.zeros(len(slots), np.int32),
        np.zeros(len(slots), np.int64),
    )
    groups = _form(slots, kmv, group_of, sizes, leaders)
    sizes = sizes[:groups]
    group_of[slots[sizes[group_of[slots]] < PRINTS_MIN]] = -1
    needs = np.clip((sizes + 2) // 3, 2, 4)
    held = window.held()
    room = 4 * len(held) + 1024
    while True:
        out_group, out_sighting = np.empty(room, np.int32), np.empty(room, np.int64)
        n = _carry(held, window.system_prints, keys, group_of, needs, out_group, out_sighting)
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
    return Carried(group.astype(np.int32), sighting, account.astype(np.uint32), sizes, group_of)
