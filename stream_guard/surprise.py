"""How surprising texts are to this service, and sums of that which tell a batch of texts from the usual.

A query is compared with what the service has seen before: in how many texts each of its words and pairs of neighbours
stood (`Surprise`, learned online, of normal traffic only). That gives a few numbers a query (`FEATURES`), each told as a
*standing*: the normal score of its rank among recent normal queries, in 1/32, one byte. A standing is 0 for the usual
query and beyond 2.3 for one in a hundred, in every service and at any time, so standings need no more than adding up
(`Sums`): over queries, accounts, shards. `Normal` says how far such sums are from what they would be of normal queries:

- **shift**: the mean of the whitened standings (Hotelling 1931), scaled as Wilson and Hilferty (1931) do;
- **tails**: how many queries lie far out, by feature and side (Berk and Jones 1979), which finds the few odd ones among many;
- **fresh**: the mean along one direction that is known beforehand (`FRESH`): words and pairs that nobody here uses, in
  written rather than personal language. Prompts that were made, or taken from elsewhere, differ so from what people ask.

Texts in which everything is unknown, such as the first ones, have no standing (`UNKNOWN`).
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from stream_guard.errors import SnapshotError
from stream_guard.sketch import WORDS_MAX, Texts, hashes, join, mix

FEATURES = (
    "words", "words_new", "pairs", "pairs_new", "association", "words_spread", "pairs_spread",
    "digits", "capitals", "punctuation", "variety", "glue", "person",
)  # fmt: skip
"""Mean surprise of the words, share of words never seen, the same of pairs of neighbours, mean association of neighbours,
spread of the surprise of words and of pairs; shares of the bytes; distinct words over words; shares of function words and
of the first and second person (Biber 1988: written and personal language differ most in these)."""
WEIGHTED = 5
"""The first features are means over words. Their distance from the usual is told in standard errors: a long query says more."""
FRESH = {"words": 1, "words_new": 0.5, "pairs": 1, "pairs_new": 1, "words_spread": 0.5, "glue": 0.7, "person": -0.7}
"""The direction of texts from elsewhere, before whitening."""
TYPOGRAPHY = ("digits", "capitals", "punctuation")
"""Features whose tails do not count: every service has its tables and its shouting."""

UNIT = 32
"""Parts of one standard deviation that a standing is told in; it ends at just under four."""
UNKNOWN = -128
CUTS = (1.881, 2.326, 2.748)
"""Standings beyond which 3, 1 and 0.3 in a hundred normal queries lie."""
TOP = 6
"""Tails that count, the farthest ones."""
PAIR_BITS = 20
WORD_SLOTS, PAIR_SLOTS = 1 << 17, 1 << PAIR_BITS
"""Counters of texts by hash of a word, of a pair: 2.3 MB together, of a fixed size."""
TEXTS_MAX = 1 << 14
"""Texts after which all counts are halved: what is not said any more is forgotten."""
RECENT = 2048
"""Normal queries that standings are ranked among: 0.1 MB."""
RANK_FIRST = 64
"""Normal queries before the first ranking, which is done anew when they have doubled, then every half of `RECENT`."""

GLUE, PERSON = 1, 2
STYLE: dict[int, str] = {
    GLUE: (
        "the of and a an in to for on with at by from as or but that which who whose this these those is are was were be been being has "
        "have had not no its his her their than then also into between during after before over under about such"
    ),
    PERSON: "i me my mine we us our you your yours im ive dont id ill ya u myself yourself lets",
}  # fmt: skip
_STYLE_SLOTS = 1024  # by the upper ten bits of a word's hash; the lower two say the kind
_MARKS = 1 << 16  # places that find a word or pair again within one text: one in 200 of a long text is taken for seen

_COLUMNS = len(FEATURES) + 1
"""Of raw numbers: the features, and the square root of the words; 0 words for a text without any."""
_FNV_OFFSET, _FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_STEP = np.uint64(0x9E3779B97F4A7C15)
_LOGS = np.log(np.arange(1 << 16) + 0.5).astype(np.float32)
_TOP_COUNT = np.uint16(0xFFFF)
_CUTS = np.array([round(cut * UNIT) for cut in CUTS])


@njit(cache=True, nogil=True)
def _measure(text, starts, ends, teach, word_texts, pair_texts, logs, style, seen_by, texts, raw):  # type: ignore[no-untyped-def]
    """Fill `raw` for the texts text[starts[i]:ends[i]]; those that teach are counted then. Returns how many were counted.

    With `seen_by` 1 the texts are among those counted, and each is measured against the others.
    """
    own = np.int64(seen_by)
    known_words, known_pairs = np.zeros(_MARKS >> 6, np.uint64), np.zeros(_MARKS >> 6, np.uint64)
    word_at, pair_at = np.empty(WORDS_MAX, np.int32), np.empty(WORDS_MAX, np.int32)
    word_slots, pair_slots = np.empty(WORDS_MAX, np.int32), np.empty(WORDS_MAX, np.int32)
    word_shown, pair_shown = np.empty(WORDS_MAX, np.uint16), np.empty(WORDS_MAX, np.uint16)
    for i in range(len(starts)):
        at, end = starts[i], ends[i]
        size = end - at
        count = words = pairs = digits = capitals = marks = glue = person = 0
        word_sum = word_square = pair_sum = pair_square = bond = np.float32(0.0)
        words_new = pairs_new = 0
        before, log_before = np.uint64(0), np.float32(0.0)
        # First the words, then what is known of them all, then the sums: so the memory is asked for many at a time.
        while at < end:
            c = text[at]
            h, letters = _FNV_OFFSET, 0
            if 0xE3 <= c <= 0xE9 and at + 2 < end:  # one CJK character, as in `sketch`
                for _ in range(3):
                    h = (h ^ np.uint64(text[at])) * _FNV_PRIME
                    at += 1
            else:
                while at < end:
                    c = text[at]
                    if 97 <= c <= 122 or c == 95 or (c >= 0x80 and not (0xE3 <= c <= 0xE9)):
                        pass
                    elif 65 <= c <= 90:
                        capitals += 1
                        c += 32
                    elif 48 <= c <= 57:
                        digits += 1
                    else:
                        break
                    h = (h ^ np.uint64(c)) * _FNV_PRIME
                    letters += 1
                    at += 1
                if letters == 0:
                    if c > 32:
                        marks += 1
                    at += 1
                    continue
            if count == WORDS_MAX:
                break
            word = mix(h)
            word_slots[count] = word & np.uint64(WORD_SLOTS - 1)
            pair_slots[count] = ((before * _STEP) ^ word) * _STEP >> np.uint64(64 - PAIR_BITS)
            before = word
            count += 1
            place = word >> np.uint64(54)
            while style[place] != 0:
                if style[place] | np.uint64(3) == word | np.uint64(3):
                    glue += style[place] & np.uint64(3) == GLUE
                    person += style[place] & np.uint64(3) == PERSON
                    break
                place = (place + np.uint64(1)) & np.uint64(_STYLE_SLOTS - 1)
        for k in range(count):
            word_shown[k] = word_texts[word_slots[k]]
            pair_shown[k] = pair_texts[pair_slots[k]]
        for k in range(count):
            slot, shown = np.int64(word_slots[k]), np.int64(word_shown[k])
            log_here = logs[max(shown - own, 0)]
            bit = np.uint64(1) << np.uint64(slot & 63)
            mark = (slot & (_MARKS - 1)) >> 6
            if not known_words[mark] & bit:
                known_words[mark] |= bit
                word_at[words] = slot
                words += 1
                word_sum += log_here
                word_square += log_here * log_here
                if shown <= own:
                    words_new += 1
            if k > 0:
                slot, shown = np.int64(pair_slots[k]), np.int64(pair_shown[k])
                bit = np.uint64(1) << np.uint64(slot & 63)
                mark = (slot & (_MARKS - 1)) >> 6
                if not known_pairs[mark] & bit:
                    known_pairs[mark] |= bit
                    pair_at[pairs] = slot
                    pairs += 1
                    log_pair = logs[max(shown - own, 0)]
                    pair_sum += log_pair
                    pair_square += log_pair * log_pair
                    bond += log_pair - log_here - log_before
                    if shown <= own:
                        pairs_new += 1
            log_before = log_here
        for j in range(words):
            known_words[(word_at[j] & (_MARKS - 1)) >> 6] = 0
        for j in range(pairs):
            known_pairs[(pair_at[j] & (_MARKS - 1)) >> 6] = 0
        for j in range(_COLUMNS):
            raw[i, j] = 0.0
        if count:
            log_texts = np.float32(math.log(texts - own + 1.0))
            w, p = np.float32(words), np.float32(max(pairs, 1))
            mean, pair_mean = word_sum / w, pair_sum / p
            raw[i, 0], raw[i, 1] = log_texts - mean, words_new / w
            raw[i, 2], raw[i, 3] = log_texts - pair_mean, pairs_new / p
            raw[i, 4] = log_texts + bond / p
            raw[i, 5] = math.sqrt(max(np.float32(0.0), word_square / w - mean * mean))
            raw[i, 6] = math.sqrt(max(np.float32(0.0), pair_square / p - pair_mean * pair_mean))
            raw[i, 7], raw[i, 8], raw[i, 9] = digits / size, capitals / size, marks / size
            raw[i, 10], raw[i, 11], raw[i, 12] = w / count, glue / count, person / count
            raw[i, 13] = math.sqrt(count)
        if teach[i] and count:
            texts += 1
            for j in range(words):
                if word_texts[word_at[j]] < _TOP_COUNT:
                    word_texts[word_at[j]] += np.uint16(1)
            for j in range(pairs):
                if pair_texts[pair_at[j]] < _TOP_COUNT:
                    pair_texts[pair_at[j]] += np.uint16(1)
            if texts >= TEXTS_MAX:
                texts >>= 1
                for j in range(WORD_SLOTS):
                    word_texts[j] >>= np.uint16(1)
                for j in range(PAIR_SLOTS):
                    pair_texts[j] >>= np.uint16(1)
    return texts


@njit(cache=True, nogil=True)
def _rank(raw, centre, ranked, scores, standings):  # type: ignore[no-untyped-def]
    """Fill `standings` with the scores of the places of raw numbers among those in `ranked`, halfway between equal ones."""
    for i in range(len(raw)):
        if raw[i, -1] == 0:
            standings[i] = UNKNOWN
            continue
        for j in range(len(ranked)):
            x = raw[i, j]
            if j < WEIGHTED:
                x = (x - centre[j]) * raw[i, -1]
            below = above = np.searchsorted(ranked[j], x)
            if below < len(ranked[j]) and ranked[j, below] == x:
                above = np.searchsorted(ranked[j], x, side="right")
            standings[i, j] = scores[below + above]


def _style_table() -> NDArray[np.uint64]:
    table = np.zeros(_STYLE_SLOTS, np.uint64)
    for kind, words in STYLE.items():
        for code in hashes(words.split()).tolist():
            place = code >> 54
            while table[place]:
                place = (place + 1) % _STYLE_SLOTS
            table[place] = code & ~3 | kind
    return table


_STYLE = _style_table()


class Surprise:
    """What a service has seen of texts, and where a text stands among its normal queries.

    Score, then learn: `see` measures each text before it is counted. `rank` is to be called between batches, at moments
    that do not depend on how the texts were cut into batches. Holds no text.
    """

    def __init__(self) -> None:
        self._words, self._pairs = np.zeros(WORD_SLOTS, np.uint16), np.zeros(PAIR_SLOTS, np.uint16)
        self.texts = 0
        self._recent = np.zeros((RECENT, _COLUMNS), np.float32)
        self._taught = 0
        self._rank_at = RANK_FIRST
        self._order(np.zeros((0, _COLUMNS), np.float32))

    def see(self, texts: Sequence[str] | Texts, teach: NDArray[np.bool_]) -> NDArray[np.int8]:
        """Return the standings [n, FEATURES] of texts (or as `join` has read them), in order, and learn those that `teach`."""
        raw = self._measured(texts if isinstance(texts, Texts) else join(texts), teach, 0)
        taught = raw[teach & (raw[:, -1] > 0)]
        self._recent[(self._taught + np.arange(len(taught)))[-RECENT:] % RECENT] = taught[-RECENT:]
        self._taught += len(taught)
        return self._standings(raw)

    def rank(self) -> None:
        """Rank anew among the recent normal queries, if enough of them came since the last time."""
        if self._taught >= self._rank_at:
            self._rank_at = self._taught + min(self._taught, RECENT // 2)
            self._order(self._recent[: self._taught])

    def rank_among(self, texts: Sequence[str]) -> NDArray[np.int8]:
        """Rank among texts that have all been learned, each measured against the others; returns their standings."""
        raw = self._measured(join(texts), np.zeros(len(texts), np.bool_), 1)
        self._order(raw[raw[:, -1] > 0])
        return self._standings(raw)

    def _measured(self, texts: Texts, teach: NDArray[np.bool_], own: int) -> NDArray[np.float32]:
        raw = np.empty((len(texts.starts), _COLUMNS), np.float32)
        self.texts = _measure(*texts, teach, self._words, self._pairs, _LOGS, _STYLE, own, self.texts, raw)
        return raw

    def _order(self, raw: NDArray[np.float32]) -> None:
        self._centre = raw[:, :WEIGHTED].mean(axis=0) if len(raw) else np.zeros(WEIGHTED, np.float32)
        weighed = raw[:, :-1].T.copy()  # each feature a run of its own: sorted in a third of the time
        weighed[:WEIGHTED] = (weighed[:WEIGHTED] - self._centre[:, None]) * raw[:, -1]
        self._ranked = np.sort(weighed, axis=1)
        self._scores = _scores(len(raw))

    def _standings(self, raw: NDArray[np.float32]) -> NDArray[np.int8]:
        standings = np.full((len(raw), len(FEATURES)), UNKNOWN, np.int8)
        if self._ranked.shape[1] >= RANK_FIRST:
            _rank(raw, self._centre, self._ranked, self._scores, standings)
        return standings

    def dump(self) -> dict[str, Any]:
        """Return the state as plain values for a snapshot."""
        return {
            "words": self._words.tobytes(), "pairs": self._pairs.tobytes(), "texts": self.texts, "recent": self._recent.tobytes(),
            "taught": self._taught, "rank_at": self._rank_at, "centre": self._centre.tobytes(), "ranked": self._ranked.tobytes(),
        }  # fmt: skip

    def load(self, saved: dict[str, Any]) -> None:
        """Take up what `dump` gave. Raises SnapshotError."""
        try:
            words, pairs = np.frombuffer(saved["words"], np.uint16), np.frombuffer(saved["pairs"], np.uint16)
            recent = np.frombuffer(saved["recent"], np.float32).reshape(RECENT, _COLUMNS)
            centre, ranked = np.frombuffer(saved["centre"], np.float32), np.frombuffer(saved["ranked"], np.float32)
            self.texts, self._taught, self._rank_at = int(saved["texts"]), int(saved["taught"]), int(saved["rank_at"])
            ranked = ranked.reshape(len(FEATURES), -1)
        except (KeyError, TypeError, ValueError) as error:
            raise SnapshotError(f"what is known of words does not fit: {error}") from error
        if len(words) != WORD_SLOTS or len(pairs) != PAIR_SLOTS or len(centre) != WEIGHTED:
            raise SnapshotError("what is known of words does not fit: tables of another size")
        self._words, self._pairs, self._recent = words.copy(), pairs.copy(), recent.copy()
        self._centre, self._ranked, self._scores = centre, ranked, _scores(ranked.shape[1])


@lru_cache(16)
def _scores(count: int) -> NDArray[np.int8]:
    """Return the normal scores of the 2 * count + 1 places among so many: before, at and after each."""
    places = 2 * count + 1
    scores = np.array([NormalDist().inv_cdf((place + 0.5) / places) for place in range(places)])
    rounded: NDArray[np.int8] = np.rint(np.clip(scores * UNIT, -127, 127)).astype(np.int8)
    return rounded


class Sums(NamedTuple):
    """Sums over the standings of some batches of queries, first axis: batch. They add up."""

    queries: NDArray[np.int64]  # [batches]
    total: NDArray[np.int64]  # [batches, FEATURES], in `UNIT`
    beyond: NDArray[np.int64]  # [batches, 2, len(CUTS), FEATURES]: how many lie above, below each cut

    @classmethod
    def of(cls, standings: NDArray[np.int8], batch: NDArray[np.int64], batches: int) -> "Sums":
        """Sum standings by the batch that each is in; those that are not known count for nothing."""
        sums = cls(
            np.zeros(batches, np.int64),
            np.zeros((batches, len(FEATURES)), np.int64),
            np.zeros((batches, 2, len(CUTS), len(FEATURES)), np.int64),
        )
        _sum(standings, batch, _CUTS, *sums)
        return sums

    def merged(self, other: "Sums") -> "Sums":
        """Return the sums over both."""
        return Sums(self.queries + other.queries, self.total + other.total, self.beyond + other.beyond)


@njit(cache=True, nogil=True)
def _sum(standings, batch, cuts, queries, total, beyond):  # type: ignore[no-untyped-def]
    """Fill the arrays of `Sums`."""
    for i in range(len(standings)):
        if standings[i, 0] == UNKNOWN:
            continue
        b = batch[i]
        queries[b] += 1
        for j in range(standings.shape[1]):
            x = np.int64(standings[i, j])
            total[b, j] += x
            side = 0 if x > 0 else 1
            for k in range(len(cuts)):
                if abs(x) >= cuts[k]:
                    beyond[b, side, k, j] += 1


class Normal:
    """What sums over normal queries are like, learned from the standings of some: at least a few hundred.

    Parameters
    ----------
    standings
        As `Surprise` gives them, [n, FEATURES], of normal queries; those not known are left out.
    """

    PARTS = ("shift", "tails", "fresh")
    USUAL, SPREAD = (-0.3, 1.95, 0.0), (1.0, 0.28, 1.0)
    """Of the parts of batches of normal queries, whatever their size."""

    def __init__(self, standings: NDArray[np.int8]) -> None:
        z = standings[standings[:, 0] != UNKNOWN] / UNIT
        self._count, many = z.shape
        self._mean = z.mean(axis=0)
        spread = np.cov(z.T)
        self._whiten = np.linalg.inv(np.linalg.cholesky(spread + 0.05 * np.eye(many)))
        one = Sums.of(standings, np.zeros(len(standings), np.int64), 1)
        self._share = np.maximum(one.beyond[0] / len(z), 1 / 2000)
        direction = np.linalg.solve(spread + np.eye(many), [FRESH.get(name, 0.0) for name in FEATURES])
        self._fresh = direction / math.sqrt(max(float(direction @ spread @ direction), 1e-6))  # 0 where all ask alike

    def parts(self, sums: Sums) -> NDArray[np.float64]:
        """Return how far each batch is from the usual, by part [batches, PARTS]; 0 for an empty one."""
        n = np.maximum(sums.queries, 1).astype(float)
        weight = n / (1 + n / self._count)  # what is normal is known from so many queries only
        away = sums.total / UNIT / n[:, None] - self._mean
        many = away.shape[1]
        square = weight * ((away @ self._whiten.T) ** 2).sum(axis=1)
        spread = 2 / (9 * many)
        shift = ((square / many) ** (1 / 3) - (1 - spread)) / math.sqrt(spread)
        counted = [j for j, name in enumerate(FEATURES) if name not in TYPOGRAPHY]
        found = sums.beyond[..., counted] / n[:, None, None, None]
        deviance = (weight[:, None, None, None] * _divergence(found, self._share[..., counted])).max(axis=2)
        tails = np.cbrt(np.sort(deviance.reshape(len(n), -1), axis=1)[:, -TOP:].sum(axis=1))  # as above
        fresh = away @ self._fresh * np.sqrt(weight)
        return np.where(sums.queries[:, None] > 0, np.stack([shift, tails, fresh], axis=1), 0.0)

    def score(self, sums: Sums) -> NDArray[np.float64]:
        """Return one number a batch, of any size: the farther from the usual, the higher."""
        z = (self.parts(sums) - self.USUAL) / self.SPREAD
        return np.asarray((np.maximum(z, 0) ** 2).sum(axis=1))


def _divergence(found: NDArray[np.float64], share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how unlikely a share is where another is usual (Kullback and Leibler), 0 where it is no higher."""
    with np.errstate(divide="ignore", invalid="ignore"):
        much = np.where(found > 0, found * np.log(found / share), 0.0)
        less = np.where(found < 1, (1 - found) * np.log((1 - found) / (1 - share)), 0.0)
    return np.where(found > share, much + less, 0.0)
