"""Text to sketch: what survives, what is told apart, and that nothing breaks it."""

import base64
import struct

import numpy as np
import pytest
from core_requests import prose
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_guard.sketch import (
    DIMENSIONS,
    FINGERPRINTS,
    FORMAT,
    JUDGE,
    LEXICAL,
    LEXICON,
    REASONING,
    TEXT_HEAD_BYTES,
    TEXT_TAIL_BYTES,
    encode,
    hashes,
    pack_sketch,
    sketch,
    unpack_sketch,
)

CHINESE = "请你一步一步地思考下面这道数学题,并且写出完整的推理过程和最后的答案"


def lexical(text):
    return set(sketch([text]).fingerprints[0, :LEXICAL].tolist()) - {0}


def skeleton(text):
    return set(sketch([text]).fingerprints[0, LEXICAL:].tolist()) - {0}


def cosine(one, other):
    found = sketch([one, other])
    a, b = found.vectors.astype(float)
    return float(a @ b / (found.norms[0] * found.norms[1]))


# --- What survives what ---

RUN = prose("a run that both texts have", 60)

SHARED = {
    "the same text": (RUN, RUN, 1.0),
    "other case": (RUN, RUN.upper(), 1.0),
    "other punctuation and white space": (RUN, RUN.replace(" ", ",\n  "), 1.0),
    "something put behind it": (RUN, RUN + " " + prose("tail", 6), 0.7),
    "something put before it": (RUN, prose("head", 6) + " " + RUN, 0.7),
    "one word of sixty changed": (RUN, " ".join("changed" if i == 30 else w for i, w in enumerate(RUN.split())), 0.6),
    "Chinese, another end": (CHINESE, CHINESE[:-4] + "结果是三", 0.6),
}


@pytest.mark.parametrize("case", SHARED)
def test_texts_that_share_a_run_of_words_share_fingerprints(case):
    one, other, share = SHARED[case]
    assert len(lexical(one) & lexical(other)) >= share * len(lexical(one))
    assert len(lexical(one)) >= 8


STRANGERS = {
    "other prose": (RUN, prose("something else", 60)),
    "the same words in another order": (RUN, " ".join(reversed(RUN.split()))),
    "other Chinese": (CHINESE, "今天的天气真好,我们一起去公园散步,然后在湖边吃午饭吧,你觉得怎么样"),
}


@pytest.mark.parametrize("case", STRANGERS)
def test_strangers_share_no_fingerprint(case):
    one, other = STRANGERS[case]
    assert not lexical(one) & lexical(other)


def test_the_skeleton_survives_rewording_of_long_words_and_numbers():
    one = "if you go to the market at 10 then buy for me some apples and as to the price it is up to you or to her"
    other = "if you go to the library at 27 then buy for me three novels and as to the topic it is up to you or to her"
    assert len(skeleton(one) & skeleton(other)) >= 0.9 * len(skeleton(one)) >= 4
    assert len(lexical(one) & lexical(other)) < 0.7 * len(lexical(one))


def test_the_skeleton_does_not_survive_other_short_words():
    one = "if you go to the market at 10 then buy for me some apples and as to the price it is up to you or to her"
    other = (
        "we are in a market by ten so we buy on it no apple but he or she can do it as is if at all he has any of it"
    )
    assert not skeleton(one) & skeleton(other)


def test_a_vector_is_close_to_its_likes():
    assert cosine(RUN, RUN) == pytest.approx(1.0)
    assert cosine(RUN, RUN + " " + prose("tail", 6)) > 0.85
    assert abs(cosine(RUN, prose("something else", 60))) < 0.3


def test_the_first_six_words_are_the_head():
    one, other, third = sketch([f"{RUN} one", f"{RUN} two", f"other {RUN}"]).heads.tolist()
    assert one == other != third
    assert sketch(["only five words are here"]).heads.tolist() == [0]


# --- Marks ---


@pytest.mark.parametrize(
    ("mark", "phrase"), [(mark, phrase) for mark, phrases in LEXICON.items() for phrase in phrases]
)
def test_every_phrase_of_the_lexicon_marks_what_it_is_for(mark, phrase):
    text = f"please {phrase} now" if phrase.isascii() else f"请{phrase}吧"
    assert sketch([text]).marks[0] & mark


MARKS = {
    "nothing": ("what is the capital of france", 0),
    "asks for reasoning": ("think it through step by step", REASONING),
    "in capitals": ("STEP BY STEP", REASONING),
    "across a line": ("step by\nstep", REASONING),
    "forces a format": ("answer in JSON only", FORMAT),
    "sets up a judge": ("use this rubric", JUDGE),
    "all of it": ("write your reasoning as json after the rubric", REASONING | FORMAT | JUDGE),
    "a longer word is another word": ("the jsonify function", 0),
    "in Chinese": (CHINESE, REASONING),
}


@pytest.mark.parametrize("case", MARKS)
def test_marks(case):
    text, marks = MARKS[case]
    assert sketch([text]).marks.tolist() == [marks]


# --- Extremes ---


@pytest.mark.parametrize("text", ["", " ", "...", "\n\n\t", "!?", "-" * 50_000])
def test_a_text_without_words_is_empty(text):
    found = sketch([text])
    assert found.words[0] == found.norms[0] == found.heads[0] == 0
    assert not found.fingerprints.any()


WORDS = {
    "ascii": ("one two_three f4", 3),
    "a word each character": ("你好世界", 4),
    "mixed": ("say 你好 now", 4),
    "accents are letters": ("naïve café", 2),
    "emoji are a word": ("well 🎉🎉 done", 3),
    "cyrillic": ("привет мир", 2),
    "a lone surrogate": ("\ud800 x", 2),
}


@pytest.mark.parametrize("case", WORDS)
def test_words_are_counted(case):
    text, words = WORDS[case]
    assert sketch([text]).words.tolist() == [words]


def test_of_a_huge_text_head_and_tail_are_read():
    head, tail = prose("head", 40), prose("tail", 40)
    huge = head + " " + "x " * 500_000 + tail
    assert lexical(huge) & lexical(head)
    assert lexical(huge) & lexical(tail)
    assert sketch([huge]).words[0] <= TEXT_HEAD_BYTES + TEXT_TAIL_BYTES


def test_what_lies_between_head_and_tail_has_no_influence():
    head, tail = prose("head", 40).ljust(TEXT_HEAD_BYTES, "."), prose("tail", 40).rjust(TEXT_TAIL_BYTES, ".")
    one, other = sketch([head + prose("middle one", 3000) + tail, head + prose("middle two", 5000) + tail])[:2]
    assert np.array_equal(one[0], one[1])
    assert np.array_equal(other[0], other[1])


def test_a_huge_text_of_wide_characters_is_cut_in_bytes():
    assert sketch(["思" * 100_000]).words[0] <= (TEXT_HEAD_BYTES + TEXT_TAIL_BYTES) // 3 + 4


any_text = st.text(st.characters(codec=None), max_size=400) | st.binary(max_size=400).map(
    lambda raw: raw.decode("utf-8", "replace")
)


@settings(max_examples=150, deadline=None)
@given(st.lists(any_text, max_size=8))
def test_any_texts_in_one_batch_are_as_each_by_itself(texts):
    together = sketch(texts)
    for i, text in enumerate(texts):
        for column, alone in zip(together, sketch([text]), strict=True):
            assert np.array_equal(column[i], alone[0])


def test_the_same_in_every_process():
    # Fingerprints lie in snapshots and in reports: another value is another fingerprint.
    golden = [3889927337, 3671920277, 12]
    found = sketch(["the quick brown fox jumps over the lazy dog and runs away"])
    assert hashes(["stream", "guard"]).tolist()[:1] == hashes(["stream"]).tolist() == [17206100645125907080]
    assert [int(found.fingerprints[0, 0]), int(found.heads[0]), int(found.words[0])] == golden


# --- Sent by a gateway ---


@settings(max_examples=100, deadline=None)
@given(any_text)
def test_what_a_gateway_sends_is_the_sketch(text):
    for sent, made in zip(unpack_sketch(encode(text)), sketch([text]), strict=True):
        assert sent.dtype == made.dtype
        assert np.array_equal(sent, made)


def test_a_packed_sketch_is_laid_out_as_docs_records_says():
    found, raw = sketch([RUN]), base64.b64decode(encode(RUN))
    version, marks, head, words = struct.unpack("<BBIi", raw[:10])
    assert (len(encode(RUN)), len(raw), version) == (464, 346, 1)
    assert (marks, head, words) == (found.marks[0], found.heads[0], found.words[0])
    assert np.array_equal(np.frombuffer(raw[10:90], "<u4"), found.fingerprints[0])
    assert np.array_equal(np.frombuffer(raw[90:], "i1"), found.vectors[0])


def test_any_row_can_be_packed():
    found = sketch(["one text", RUN])
    assert np.array_equal(unpack_sketch(pack_sketch(found, 1)).fingerprints, found.fingerprints[1:])


GOOD = base64.b64decode(encode(RUN))
REFUSED = {
    "nothing": "",
    "not base64": "§" * 464,
    "not base64 either": "a",
    "a line end in it": encode(RUN)[:100] + "\n" + encode(RUN)[100:],
    "cut": encode(RUN)[:-4],
    "longer": base64.b64encode(GOOD + b"\0").decode(),
    "another version": base64.b64encode(b"\2" + GOOD[1:]).decode(),
    "marks that there are not": base64.b64encode(GOOD[:1] + b"\x08" + GOOD[2:]).decode(),
    "negative words": base64.b64encode(GOOD[:6] + struct.pack("<i", -1) + GOOD[10:]).decode(),
    "more words than are read": base64.b64encode(GOOD[:6] + struct.pack("<i", 1 << 30) + GOOD[10:]).decode(),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_sketch_is_refused(case):
    with pytest.raises(ValueError, match="sketch"):
        unpack_sketch(REFUSED[case])


@settings(max_examples=100, deadline=None)
@given(st.binary(min_size=336, max_size=336))
def test_a_forged_sketch_is_finite(rest):
    forged = unpack_sketch(base64.b64encode(b"\1\0" + b"\0" * 4 + b"\7\0\0\0" + rest).decode())
    assert forged.vectors.shape == (1, DIMENSIONS)
    assert forged.fingerprints.shape == (1, FINGERPRINTS)
    assert np.isfinite(forged.norms).all()
