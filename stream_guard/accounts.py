"""Bounded state of every account, as arrays: one record of `ACCOUNT` an account, one pass of a kernel a batch.

An account's averages are exponential with a memory of `MEMORY` requests, so that the state has a fixed size. Rates are
decayed counts: a count that forgets with a time constant of one minute, hour or day is, at a steady rate, the number of
requests in that time (Cormode et al. 2009, *Forward decay*). Distinct addresses, programs and system texts are counted by
linear counting in a word (Whang et al. 1990).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from stream_guard.errors import SnapshotError
from stream_guard.sketch import DIMENSIONS, LEXICAL, Sketches

MEMORY = 64
SEEN_BYTES = 64
HEADS = 4
ROOM = 4096
"""Accounts beyond the most that are held that a batch may bring before room is made."""
TWIN_AFTER = 2
"""Requests after which an account gets a twin vector: most accounts of the long tail never need one."""
TWIN_STEP, TWIN_TOP = np.float32(24.0), 120
"""A twin vector is the sum of an account's prompt vectors, each of this length and rounded; halved when it would not fit a
byte, so that older prompts fade. Only its direction counts."""
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0

ACCOUNT = np.dtype(
    [
        ("first_ts", "f8"), ("last_ts", "f8"), ("created_at", "f8"), ("ips", "u8"), ("agents", "u8"), ("systems", "u8"),
        ("requests", "u4"), ("due_at", "u4"), ("org", "u4"), ("mail", "u4"), ("payment", "u4"), ("twin", "i4"), ("heads", "u4", HEADS),
        ("entitlement", "f4"), ("minute", "f4"), ("hour", "f4"), ("day", "f4"), ("peak_hour", "f4"), ("gap_mean", "f4"), ("gap_square", "f4"),
        ("longest_gap", "f4"), ("tokens_day", "f4"), ("output_day", "f4"), ("input_log", "f4"), ("output_log", "f4"), ("words_log", "f4"),
        ("single_turn", "f4"), ("known_text", "f4"), ("near_duplicate", "f4"), ("same_head", "f4"), ("likeness", "f4"),
        ("length_limit", "f4"), ("top_limit", "f4"), ("many_samples", "f4"), ("logprobs", "f4"), ("refused", "f4"), ("harness", "f4"),
        ("reasoning", "f4"), ("format", "f4"), ("judge", "f4"), ("first_hour", "u2"), ("seen_bits", "u2"), ("limit", "u4"),
        ("hours", "u1", 24), ("seen", "u1", SEEN_BYTES), ("tier", "u1"), ("pathway", "u1"), ("flags", "u1"), ("heads_at", "u1"),
    ]
)  # fmt: skip
"""One account. Shares are exponential averages in 0..1; `*_day` are decayed counts; hashes are 0 where unknown."""

HAS_FACTS, SUSPECT, ALLOWLISTED, PUBLIC_MAIL = 1, 2, 4, 8
"""Bits of `flags`. A suspect teaches nothing."""


class Columns(NamedTuple):
    """What the account kernel reads of a batch of n events; hashes are 0 and numbers -1 where the event is silent."""

    rows: NDArray[np.int64]  # row of the account
    ts: NDArray[np.float64]
    turn: NDArray[np.int32]
    input_tokens: NDArray[np.int32]
    output_tokens: NDArray[np.int32]
    limit: NDArray[np.int32]  # max_tokens
    cut: NDArray[np.bool_]  # the answer ended at its length limit
    refused: NDArray[np.bool_]
    many: NDArray[np.bool_]  # n > 1
    logprobs: NDArray[np.bool_]
    harness: NDArray[np.uint32]
    ip: NDArray[np.uint32]
    agent: NDArray[np.uint32]
    system: NDArray[np.uint32]
    marks: NDArray[np.uint8]  # of prompt and system text together


@njit(cache=True, inline="always")
def _toward(value, observed, weight):  # type: ignore[no-untyped-def]
    return np.float32(value + (observed - value) * weight)


@njit(cache=True, nogil=True)
def _update(state, twins, columns, fingerprints, vectors, norms, words, heads, busy):  # type: ignore[no-untyped-def]
    """Take the events in order into `state`; near-duplicate and likeness are measured before the event is learnt."""
    sums = np.empty(DIMENSIONS, np.int64)
    for i in range(len(columns.rows)):
        a = state[columns.rows[i]]
        ts = columns.ts[i]
        n = a.requests + 1
        weight = max(1.0 / n, 1.0 / MEMORY)
        if n == 1:
            a.first_ts = ts
        else:
            gap = max(0.0, ts - a.last_ts)
            a.minute *= np.float32(math.exp(-gap / MINUTE))
            a.hour *= np.float32(math.exp(-gap / HOUR))
            fade = np.float32(math.exp(-gap / DAY))
            a.day *= fade
            a.tokens_day *= fade
            a.output_day *= fade
            a.longest_gap = max(np.float32(gap), a.longest_gap * fade)
            log_gap = math.log1p(gap)
            gaps = max(1.0 / (n - 1), 1.0 / MEMORY)
            a.gap_mean = _toward(a.gap_mean, log_gap, gaps)
            a.gap_square = _toward(a.gap_square, log_gap * log_gap, gaps)
        a.requests = n
        a.last_ts = max(ts, a.last_ts)
        a.minute += np.float32(1.0)
        a.hour += np.float32(1.0)
        a.day += np.float32(1.0)
        busy[i] = a.day
        a.peak_hour = max(a.peak_hour, a.hour)
        if ts - a.first_ts < HOUR and a.first_hour < 65535:
            a.first_hour += 1
        hour = int(ts // HOUR) % 24
        if a.hours[hour] == 255:
            for j in range(24):
                a.hours[j] >>= 1
        a.hours[hour] += 1
        tokens_in, tokens_out = max(0, columns.input_tokens[i]), max(0, columns.output_tokens[i])
        a.tokens_day += np.float32(tokens_in + tokens_out)
        a.output_day += np.float32(tokens_out)
        a.input_log = _toward(a.input_log, math.log1p(tokens_in), weight)
        a.output_log = _toward(a.output_log, math.log1p(tokens_out), weight)
        a.words_log = _toward(a.words_log, math.log1p(words[i]), weight)
        a.single_turn = _toward(a.single_turn, 1.0 if columns.turn[i] == 0 else 0.0, weight)
        a.length_limit = _toward(a.length_limit, 1.0 if columns.cut[i] else 0.0, weight)
        a.refused = _toward(a.refused, 1.0 if columns.refused[i] else 0.0, weight)
        a.many_samples = _toward(a.many_samples, 1.0 if columns.many[i] else 0.0, weight)
        a.logprobs = _toward(a.logprobs, 1.0 if columns.logprobs[i] else 0.0, weight)
        a.harness = _toward(a.harness, 1.0 if columns.harness[i] else 0.0, weight)
        marks = columns.marks[i]
        a.reasoning = _toward(a.reasoning, 1.0 if marks & 1 else 0.0, weight)
        a.format = _toward(a.format, 1.0 if marks & 2 else 0.0, weight)
        a.judge = _toward(a.judge, 1.0 if marks & 4 else 0.0, weight)
        if columns.limit[i] >= 0:
            same = a.limit == np.uint32(columns.limit[i] + 1)
            a.top_limit = _toward(a.top_limit, 1.0 if same else 0.0, weight)
            if not same and a.top_limit < 0.5:
                a.limit = np.uint32(columns.limit[i] + 1)
        if columns.ip[i]:
            a.ips |= np.uint64(1) << np.uint64(columns.ip[i] & 63)
        if columns.agent[i]:
            a.agents |= np.uint64(1) << np.uint64(columns.agent[i] & 63)
        a.systems |= np.uint64(1) << np.uint64(columns.system[i] & 63)

        # Text seen before: a small Bloom filter of the account's own fingerprints, begun anew when half full.
        known = total = 0
        for j in range(LEXICAL):
            print_ = fingerprints[i, j]
            if print_ == 0:
                continue
            total += 1
            bit = (print_ >> np.uint32(3)) % (SEEN_BYTES * 8)
            if a.seen[bit >> 3] >> (bit & 7) & 1:
                known += 1
            else:
                if a.seen_bits > SEEN_BYTES * 4:
                    for k in range(SEEN_BYTES):
                        a.seen[k] = 0
                    a.seen_bits = 0
                a.seen[bit >> 3] |= np.uint8(1 << (bit & 7))
                a.seen_bits += 1
        share = known / total if total else 0.0
        a.known_text = _toward(a.known_text, share, weight)
        a.near_duplicate = _toward(a.near_duplicate, 1.0 if total and share >= 0.8 else 0.0, weight)
        head = heads[i]
        hit = False
        for j in range(HEADS):
            hit |= head != 0 and a.heads[j] == head
        a.same_head = _toward(a.same_head, 1.0 if hit else 0.0, weight)
        if head != 0 and not hit:
            a.heads[a.heads_at] = head
            a.heads_at = (a.heads_at + 1) % HEADS

        if n > TWIN_AFTER and norms[i] > 0:
            twin = twins[a.twin]
            dot = square = np.float32(0.0)
            top = np.int64(0)
            for j in range(DIMENSIONS):
                x, m = np.float32(vectors[i, j]) / norms[i], np.float32(twin[j])
                dot += x * m
                square += m * m
                total_j = np.int64(twin[j]) + np.int64(np.rint(x * TWIN_STEP))
                sums[j] = total_j
                top = max(top, abs(total_j))
            shift = 1 if top > TWIN_TOP else 0
            for j in range(DIMENSIONS):
                twin[j] = np.int8(sums[j] // 2 if shift else sums[j])
            if square > 0:
                a.likeness = _toward(a.likeness, dot / math.sqrt(square), weight)


class Accounts:
    """The accounts of one account half: name -> row of `state`, and twin vectors for those that have one.

    Holds at most `accounts_max`; beyond that the least valuable give way: idle longest, where the idle time of suspects
    and of the allowlisted counts a tenth. Attributes `state` (records of `ACCOUNT`) and `twins` (int8 [k, DIMENSIONS]) may be read by others.
    """

    def __init__(self, accounts_max: int) -> None:
        self.accounts_max = accounts_max
        self.rows: dict[str, int] = {}
        self.names: list[str | None] = []
        # Of its full size at once: pages that nobody has written to take no memory, and nothing is copied to grow.
        self.state = np.zeros(accounts_max + ROOM, ACCOUNT)
        self.twins = np.zeros((accounts_max + ROOM, DIMENSIONS), np.int8)
        self._free: list[int] = []
        self._free_twins: list[int] = []
        self._twins_used = 0
        self.evicted = 0

    def __len__(self) -> int:
        """Return how many accounts are held."""
        return len(self.rows)

    def make_room(self, count: int) -> None:
        """See to it that `count` new accounts fit: not done within a batch, whose rows must stay."""
        while len(self.rows) + count > self.accounts_max and self.rows:
            self._evict()

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
        self.state[row] = 0
        self.state[row]["twin"] = -1
        self.rows[account_id] = row
        return row

    def rows_of(self, account_ids: Sequence[str]) -> NDArray[np.int64]:
        """Return the rows of accounts, made for those that are new."""
        known = [self.rows.get(account_id) for account_id in account_ids]
        rows = (self.row(a) if row is None else row for a, row in zip(account_ids, known, strict=True))
        return np.fromiter(rows, np.int64, len(known))

    def update(self, columns: Columns, sketches: Sketches) -> NDArray[np.float32]:
        """Take a batch of events in order; returns how busy each account was then, in requests a day."""
        rows, counts = np.unique(columns.rows, return_counts=True)
        state = self.state
        for row in rows[(state["requests"][rows] + counts > TWIN_AFTER) & (state["twin"][rows] < 0)].tolist():
            state[row]["twin"] = self._new_twin()
        _update(
            self.state,
            self.twins,
            columns,
            sketches.fingerprints,
            sketches.vectors,
            sketches.norms,
            sketches.words,
            sketches.heads,
            busy := np.empty(len(columns.rows), np.float32),
        )
        return busy

    def _new_twin(self) -> int:
        if self._free_twins:
            slot = self._free_twins.pop()
            self.twins[slot] = 0
            return slot
        slot = self._twins_used
        self._twins_used += 1
        return slot

    def _evict(self) -> None:
        """Drop one in sixteen: those whose state is worth the least."""
        rows = np.fromiter(self.rows.values(), np.int64, len(self.rows))
        state = self.state[rows]
        idle = state["last_ts"].max() - state["last_ts"] + 1.0
        worth = -idle * np.where(state["flags"] & (SUSPECT | ALLOWLISTED), 0.1, 1.0)
        for row in rows[np.argsort(worth, kind="stable")[: max(1, len(rows) // 16)]].tolist():
            name = self.names[row]
            if name is None:
                raise AssertionError(row)
            del self.rows[name]
            self.names[row] = None
            if self.state[row]["twin"] >= 0:
                self._free_twins.append(int(self.state[row]["twin"]))
            self._free.append(row)
            self.evicted += 1

    def dump(self) -> dict[str, object]:
        """Return the state as plain values for a snapshot."""
        return {
            "names": self.names, "free": self._free, "free_twins": self._free_twins, "evicted": self.evicted,
            "state": self.state[: len(self.names)].tobytes(), "twins": self.twins[: self._twins_used].tobytes(),
        }  # fmt: skip

    def load(self, saved: dict[str, object]) -> None:
        """Take up what `dump` gave. Raises SnapshotError."""
        try:
            self.names = list(saved["names"])  # type: ignore[call-overload]
            self._free, self._free_twins = list(saved["free"]), list(saved["free_twins"])  # type: ignore[call-overload]
            self.evicted = int(saved["evicted"])  # type: ignore[call-overload]
            state = np.frombuffer(saved["state"], ACCOUNT)  # type: ignore[call-overload]
            twins = np.frombuffer(saved["twins"], np.int8).reshape(-1, DIMENSIONS)  # type: ignore[call-overload]
        except (KeyError, TypeError, ValueError) as error:
            raise SnapshotError(f"account state does not fit: {error}") from error
        if len(state) != len(self.names) or len(twins) > len(state):
            raise SnapshotError(f"account state does not fit: {len(self.names)} names, {len(state)} rows")
        size = max(self.accounts_max + ROOM, len(state))
        self.state, self.twins = np.zeros(size, ACCOUNT), np.zeros((size, DIMENSIONS), np.int8)
        self.state[: len(state)], self.twins[: len(twins)] = state, twins
        self._twins_used = len(twins)
        self.rows = {name: row for row, name in enumerate(self.names) if name is not None}
