"""Text to fixed-size sketch, in batch: the hot kernel.

One walk over the bytes of a text gives what the rest of the engine knows of it:

- **lexical fingerprints**: hashes of word 5-grams, the few smallest of each text (a bottom-k sample, Broder 1997: *On the
  resemblance and containment of documents*). The sample is coordinated: two texts that share a run of words tend to
  keep the same hashes of it.
- **skeleton fingerprints**: the same over 9-grams in which every word of more than three letters, and every number, is
  replaced by one mark. They survive rewording of content words (stop-word n-grams, Stamatatos 2011).
- **vector**: the set of word unigrams and bigrams of the first words, signed and hashed into 256 dimensions (feature
  hashing, Weinberger et al. 2009).
- **elicitation marks**: whether the text asks for reasoning, forces a format, or sets up a judge (`LEXICON`).

Words are runs of letters, digits, underscores and bytes beyond ASCII, in lower case; each CJK character is a word of its
own, so that Chinese is sketched as well as English. Of a text longer than `TEXT_HEAD_BYTES + TEXT_TAIL_BYTES` the head and
the tail are read.

A gateway that may not let text out sends what `encode` makes of it instead: the same sketch, in base64.
"""

from base64 import b64encode
from binascii import a2b_base64
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

LEXICAL, SKELETON = 12, 8
"""Fingerprints kept of a text, by channel."""
FINGERPRINTS = LEXICAL + SKELETON
DIMENSIONS = 256
TEXT_HEAD_BYTES, TEXT_TAIL_BYTES = 8192, 2048
VECTOR_WORDS_MAX = 400
SYSTEMS_HELD = 16_384
"""Distinct system texts whose sketch is kept at hand: applications and harnesses send the same one again and again."""

REASONING, FORMAT, JUDGE = 1, 2, 4
"""Elicitation marks, as bits."""

LEXICON: dict[int, tuple[str, ...]] = {
    REASONING: (
        "reasoning", "rationale", "chain of", "by step", "thought process", "think aloud", "out loud", "inner monologue", "scratchpad",
        "thinking", "thoughts", "deliberation", "推理", "思考", "思路", "步骤", "逐步",
    ),
    FORMAT: ("json", "xml", "yaml", "csv", "tags", "fenced", "verbatim", "parser", "output format", "word for", "between the", "格式", "逐字"),
    JUDGE: ("rubric", "grade", "grading", "score", "scores", "evaluate", "judge", "rate the", "criteria", "better response", "评分", "打分", "评价"),
}  # fmt: skip
"""Words and word pairs that mark a kind of elicitation. Honest requests hold them too: a share counts, not a hit."""

SKETCH_VERSION = 1
WORDS_MAX = TEXT_HEAD_BYTES + TEXT_TAIL_BYTES + 1
"""Words that a text can have of which this much is read."""
_PACKED = np.dtype(
    [("version", "u1"), ("marks", "u1"), ("head", "<u4"), ("words", "<i4"), ("prints", "<u4", FINGERPRINTS), ("vector", "i1", DIMENSIONS)]
)  # fmt: skip

_FNV_OFFSET, _FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_STEP = np.uint64(0x9E3779B97F4A7C15)
_STEP_5 = np.uint64(pow(0x9E3779B97F4A7C15, 5, 1 << 64))
_STEP_9 = np.uint64(pow(0x9E3779B97F4A7C15, 9, 1 << 64))
_MARK = np.uint64(0x5851F42D4C957F2D)
_SLOTS = 2048  # of the table that finds a word or pair again within one text; at most 2 * VECTOR_WORDS_MAX are put in
_LEXICON_SLOTS = 1024


class Sketches(NamedTuple):
    """What a batch of n texts is known by. A fingerprint of 0 is an empty place."""

    fingerprints: NDArray[np.uint32]  # [n, FINGERPRINTS]: lexical first, then skeleton
    vectors: NDArray[np.int8]  # [n, DIMENSIONS], not scaled
    norms: NDArray[np.float32]  # [n], length of the vector
    words: NDArray[np.int32]  # [n]
    heads: NDArray[np.uint32]  # [n], hash of the first six words
    marks: NDArray[np.uint8]  # [n], REASONING | FORMAT | JUDGE


@njit(cache=True, inline="always")
def mix(h):  # type: ignore[no-untyped-def]
    """Finalise a 64-bit hash (the finaliser of MurmurHash3)."""
    h ^= h >> np.uint64(33)
    h *= np.uint64(0xFF51AFD7ED558CCD)
    h ^= h >> np.uint64(33)
    h *= np.uint64(0xC4CEB9FE1A85EC53)
    h ^= h >> np.uint64(33)
    return h


@njit(cache=True, inline="always")
def _keep(gram, orders, values, at, size, kept):  # type: ignore[no-untyped-def]
    """Put a hash into the sample of the `size` smallest at values[at:]; the order is the upper half, the value the lower."""
    order = np.uint32(gram >> np.uint64(32))
    value = np.uint32(gram) | np.uint32(1)
    if kept == size and order >= orders[at + size - 1]:
        return kept
    place = at + kept if kept < size else at + size - 1
    for j in range(at, at + kept):
        if orders[j] == order and values[j] == value:
            return kept
    while place > at and orders[place - 1] > order:  # an insertion into a short sorted run
        orders[place] = orders[place - 1]
        values[place] = values[place - 1]
        place -= 1
    orders[place] = order
    values[place] = value
    return min(kept + 1, size)


@njit(cache=True, nogil=True)
def _walk(text, starts, ends, lexicon, fingerprints, vectors, norms, words, heads, marks):  # type: ignore[no-untyped-def]
    """Fill the arrays of `Sketches` from the texts text[starts[i]:ends[i]]."""
    orders = np.empty(FINGERPRINTS, np.uint32)
    recent, skeleton, short = np.zeros(9, np.uint64), np.zeros(9, np.uint64), np.zeros(9, np.int64)
    seen = np.zeros(_SLOTS, np.uint32)
    for i in range(len(starts)):
        seen[:] = 0
        recent[:] = 0
        skeleton[:] = 0
        short[:] = 0
        values = fingerprints[i]
        lexical = skeletal = count = shorts = place = 0
        five = nine = before = np.uint64(0)
        at, end = starts[i], ends[i]
        while at < end:
            c = text[at]
            h, letters, digits = _FNV_OFFSET, 0, 0
            if 0xE3 <= c <= 0xE9 and at + 2 < end:  # one CJK character (or kana, or a Hangul syllable's neighbour)
                for _ in range(3):
                    h = (h ^ np.uint64(text[at])) * _FNV_PRIME
                    at += 1
                letters = 1
            else:
                while at < end:
                    c = text[at]
                    if 65 <= c <= 90:
                        c += 32
                    if 97 <= c <= 122 or c == 95 or (c >= 0x80 and not (0xE3 <= c <= 0xE9)):
                        letters += 1
                    elif 48 <= c <= 57:
                        letters += 1
                        digits += 1
                    else:
                        break
                    h = (h ^ np.uint64(c)) * _FNV_PRIME
                    at += 1
                if letters == 0:
                    at += 1
                    continue
            word = mix(h)
            count += 1
            mark = _MARK if letters > 3 or digits == letters else word
            brief = 0 if letters > 3 or digits == letters else 1
            five = (
                five * _STEP + word - recent[place - 5] * _STEP_5
            )  # `place - 5` may be negative: from the end, a ring
            nine = nine * _STEP + mark - skeleton[place] * _STEP_9
            shorts += brief - short[place]
            recent[place], skeleton[place], short[place] = word, mark, brief
            place = place + 1 if place < 8 else 0
            if count >= 5:
                lexical = _keep(mix(five), orders, values, 0, LEXICAL, lexical)
            if count >= 9 and shorts >= 4:
                skeletal = _keep(mix(nine ^ _MARK), orders, values, LEXICAL, SKELETON, skeletal)
            if count == 6:
                heads[i] = np.uint32(mix(five + word) >> np.uint64(32)) | np.uint32(1)
            pair = mix(before * _STEP + word)
            before = word
            for gram in (word, pair):
                slot = (gram >> np.uint64(40)) & np.uint64(_LEXICON_SLOTS - 1)
                while lexicon[slot, 0] != 0:
                    if lexicon[slot, 0] == gram:
                        marks[i] |= np.uint8(lexicon[slot, 1])
                        break
                    slot = (slot + np.uint64(1)) & np.uint64(_LEXICON_SLOTS - 1)
                if count > VECTOR_WORDS_MAX:
                    continue
                tag = np.uint32(gram >> np.uint64(32)) | np.uint32(1)
                slot = (gram >> np.uint64(16)) & np.uint64(_SLOTS - 1)
                while seen[slot] != 0 and seen[slot] != tag:
                    slot = (slot + np.uint64(1)) & np.uint64(_SLOTS - 1)
                if seen[slot] == 0:
                    seen[slot] = tag
                    cell = gram & np.uint64(DIMENSIONS - 1)
                    vectors[i, cell] += np.int8(1) if gram & np.uint64(DIMENSIONS) else np.int8(-1)
        words[i] = count
        square = np.int64(0)
        for j in range(DIMENSIONS):
            square += np.int64(vectors[i, j]) * np.int64(vectors[i, j])
        norms[i] = np.sqrt(np.float32(square))


def _word_hash(word: str) -> int:
    h = 0xCBF29CE484222325
    for c in word.encode():
        h = (h ^ c) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return _mixed(h)


def _mixed(h: int) -> int:
    h ^= h >> 33
    h = h * 0xFF51AFD7ED558CCD & 0xFFFFFFFFFFFFFFFF
    h ^= h >> 33
    h = h * 0xC4CEB9FE1A85EC53 & 0xFFFFFFFFFFFFFFFF
    return h ^ h >> 33


def _lexicon_table() -> NDArray[np.uint64]:
    """Return the open-addressed table of `LEXICON`: [slots, (gram, bits)]."""
    table = np.zeros((_LEXICON_SLOTS, 2), np.uint64)
    for bit, phrases in LEXICON.items():
        for phrase in phrases:
            parts = phrase.split() if phrase.isascii() else list(phrase)
            gram = _word_hash(parts[0])
            if len(parts) == 2:
                gram = _mixed((gram * 0x9E3779B97F4A7C15 + _word_hash(parts[1])) & 0xFFFFFFFFFFFFFFFF)
            slot = gram >> 40 & _LEXICON_SLOTS - 1
            while table[slot, 0] not in (0, gram):
                slot = (slot + 1) & _LEXICON_SLOTS - 1
            table[slot] = gram, int(table[slot, 1]) | bit
    return table


_LEXICON = _lexicon_table()


def _read(text: str) -> bytes:
    """Return the bytes of a text that are looked at."""
    if len(text) > TEXT_HEAD_BYTES // 4:
        text = (
            text
            if len(text) <= TEXT_HEAD_BYTES + TEXT_TAIL_BYTES
            else text[:TEXT_HEAD_BYTES] + "\n" + text[-TEXT_TAIL_BYTES:]
        )
        raw = text.encode("utf-8", "surrogatepass")
        if len(raw) > TEXT_HEAD_BYTES + TEXT_TAIL_BYTES:
            return raw[:TEXT_HEAD_BYTES] + b"\n" + raw[-TEXT_TAIL_BYTES:]
        return raw
    return text.encode("utf-8", "surrogatepass")


class Texts(NamedTuple):
    """What is read of some texts: one run of bytes, and where in it each begins and ends."""

    raw: NDArray[np.uint8]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    def only(self, rows: NDArray[np.bool_]) -> "Texts":
        """Return some of them."""
        return Texts(self.raw, self.starts[rows], self.ends[rows])


def join(texts: Sequence[str]) -> Texts:
    """Read some texts."""
    pieces = [_read(text) for text in texts]
    ends = np.cumsum(np.fromiter(map(len, pieces), np.int64, len(pieces)))
    starts = np.empty(len(pieces), np.int64)
    starts[:1] = 0
    starts[1:] = ends[:-1]
    return Texts(np.frombuffer(b"".join(pieces) or b"\0", np.uint8), starts, ends)


def sketch(texts: Sequence[str] | Texts) -> Sketches:
    """Sketch a batch of texts.

    Parameters
    ----------
    texts
        Any number of texts, empty ones included; or as `join` has read them.

    Examples
    --------
    >>> one, other = "please write a short poem about the sea and " + "its waves", "please write a short poem about the sea and the moon"
    >>> found = sketch([one, other, ""])
    >>> len(set(found.fingerprints[0]) & set(found.fingerprints[1]) - {0}) >= 4
    True
    >>> found.words.tolist()
    [11, 11, 0]
    """
    read = texts if isinstance(texts, Texts) else join(texts)
    n = len(read.starts)
    found = Sketches(
        np.zeros((n, FINGERPRINTS), np.uint32), np.zeros((n, DIMENSIONS), np.int8), np.zeros(n, np.float32),
        np.zeros(n, np.int32), np.zeros(n, np.uint32), np.zeros(n, np.uint8),
    )  # fmt: skip
    _walk(*read, _LEXICON, *found)
    return found


def encode(text: str) -> str:
    """Return the sketch of one text as a gateway sends it (field `sketch` of an event): 464 characters of base64.

    Examples
    --------
    >>> sent = encode("please write a short poem about the sea and its waves")
    >>> len(sent), unpack_sketch(sent).words.tolist()
    (464, [11])
    """
    return pack_sketch(sketch([text]))


def pack_sketch(found: Sketches, row: int = 0) -> str:
    """Return one row of some sketches as base64.

    A packed sketch is 346 bytes, little-endian: version (1 byte), marks (1), head (4), words (4), the fingerprints (20
    of 4, lexical first) and the vector (256 of 1, signed). The norm is not sent: it follows from the vector.
    """
    packed = np.zeros((), _PACKED)
    packed["version"], packed["marks"], packed["head"] = SKETCH_VERSION, found.marks[row], found.heads[row]
    packed["words"], packed["prints"], packed["vector"] = found.words[row], found.fingerprints[row], found.vectors[row]
    return b64encode(packed.tobytes()).decode()


def unpack_sketch(packed: str) -> Sketches:
    """Return the sketch in `packed`, as sketches of one text. Raises ValueError if it is none, or of another version."""
    try:
        raw = a2b_base64(packed, strict_mode=True)
    except ValueError as error:  # binascii's own error is one
        raise ValueError(f"a sketch is base64: {error}") from None
    if len(raw) != _PACKED.itemsize:
        raise ValueError(f"a sketch is {_PACKED.itemsize} bytes long, not {len(raw)}")
    (one,) = np.frombuffer(raw, _PACKED)
    if one["version"] != SKETCH_VERSION:
        raise ValueError(f"a sketch of version {one['version']}; this program reads version {SKETCH_VERSION}")
    if not 0 <= one["words"] <= WORDS_MAX or one["marks"] > REASONING | FORMAT | JUDGE:
        raise ValueError("a sketch that no text has")
    vector = one["vector"].astype(np.int8)
    norm = np.sqrt(np.float32(np.square(vector, dtype=np.int64).sum()))
    return Sketches(
        one["prints"].astype(np.uint32)[None], vector[None], np.array([norm], np.float32), np.array([one["words"]], np.int32),
        np.array([one["head"]], np.uint32), np.array([one["marks"]], np.uint8),
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _hash_all(raw, ends, hashes):  # type: ignore[no-untyped-def]
    at = 0
    for i in range(len(ends)):
        h = _FNV_OFFSET
        while at < ends[i]:
            h = (h ^ np.uint64(raw[at])) * _FNV_PRIME
            at += 1
        hashes[i] = mix(h)


def hashes(names: Sequence[str]) -> NDArray[np.uint64]:
    """Return a 64-bit hash of each name, the same in every process (FNV-1a, finalised as the words of a text are).

    Examples
    --------
    >>> hashes(["a", "b", "a"]).tolist() == [9413272369427828315, 7955382828454826704, 9413272369427828315]
    True
    """
    raw = [name.encode("utf-8", "surrogatepass") for name in names]
    found = np.empty(len(raw), np.uint64)
    ends = np.cumsum(np.fromiter(map(len, raw), np.int64, len(raw)))
    _hash_all(np.frombuffer(b"".join(raw) or b"\0", np.uint8), ends, found)
    return found
