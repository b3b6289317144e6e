"""Surprise: where texts stand among a service's normal ones, and what sums of that say of a batch."""

import random

import numpy as np
import pytest

from stream_guard.errors import SnapshotError
from stream_guard.surprise import CUTS, FEATURES, TEXTS_MAX, UNIT, UNKNOWN, Normal, Sums, Surprise

OURS = [f"our{i}" for i in range(300)]
THEIRS = [f"their{i}" for i in range(3000)]


def written(vocabulary, count, seed=1, words=(10, 60)):
    """Texts of a vocabulary whose first words are the usual ones."""
    rng = random.Random(seed)
    weights = [1 / (rank + 2) for rank in range(len(vocabulary))]
    return [" ".join(rng.choices(vocabulary, weights, k=rng.randint(*words))) for _ in range(count)]


def all_of(texts, *, teach):
    return np.full(len(texts), teach)


def taught(count=600, surprise=None):
    """A service that has seen so many normal texts."""
    surprise = surprise or Surprise()
    texts = written(OURS, count)
    for at in range(0, count, 100):
        surprise.see(texts[at : at + 100], all_of(texts[at : at + 100], teach=True))
        surprise.rank()
    return surprise


def standing(surprise, text):
    """One text's standings by name, in standard deviations."""
    (row,) = surprise.see([text], np.array([False]))
    return dict(zip(FEATURES, (row / UNIT).tolist(), strict=True))


def test_the_first_texts_have_no_standing():
    surprise = Surprise()
    assert (surprise.see(["hello there"], np.array([True])) == UNKNOWN).all()
    surprise.rank()
    assert (surprise.see(["hello there"], np.array([True])) == UNKNOWN).all()


@pytest.mark.parametrize("text", ["", "   \n", "?!"])
def test_a_text_without_words_has_no_standing_and_teaches_nothing(text):
    surprise = taught()
    before = surprise.dump()
    assert (surprise.see([text], np.array([True])) == UNKNOWN).all()
    assert surprise.dump() == before


@pytest.mark.parametrize(
    ("text", "feature", "far"),
    [
        (written(THEIRS, 1, seed=5)[0], "words", 2.5),
        (written(THEIRS, 1, seed=5)[0], "words_new", 2.5),
        (
            " ".join(f"our{i}" for i in range(299, 200, -1)),
            "pairs_new",
            2.5,
        ),  # known words, side by side as nowhere else
        ("the of and " * 12 + written(OURS, 1)[0], "glue", 2.5),
        ("i my you " * 12 + written(OURS, 1)[0], "person", 2.5),
        (written(OURS, 1)[0].upper(), "capitals", 2.5),
        (written(OURS, 1)[0].replace(" ", ", "), "punctuation", 2.5),
        ("our1 our2 " * 20, "variety", -1.8),
        (written(OURS, 1, seed=9)[0], "words", None),
        (written(OURS, 1, seed=9)[0], "pairs", None),
    ],
)
def test_where_a_text_stands(text, feature, far):
    found = standing(taught(), text)[feature]
    assert abs(found) < 2.2 if far is None else found * np.sign(far) >= abs(far)


def test_chinese_is_read_by_the_character():
    surprise = Surprise()
    rng = random.Random(1)
    texts = ["".join(chr(0x4E00 + int(rng.random() ** 3 * 400)) for _ in range(30)) for _ in range(300)]
    surprise.see(texts, all_of(texts, teach=True))
    surprise.rank()
    assert abs(standing(surprise, texts[0])["words"]) < 2.5
    assert standing(surprise, "".join(chr(0x6000 + i) for i in range(30)))["words_new"] > 2.5


def test_what_does_not_teach_stays_a_surprise_and_what_teaches_becomes_usual():
    surprise = taught()
    theirs = written(THEIRS[:200], 600, seed=3)
    for teach, usual in ((False, False), (True, True)):
        for at in range(0, 600, 100):
            surprise.see(theirs[at : at + 100], np.full(100, teach))
            surprise.rank()
        assert (standing(surprise, written(THEIRS[:200], 1, seed=4)[0])["words"] < 2) == usual


def test_one_batch_is_as_many_of_one():
    one, many = taught(), taught()
    texts = written(OURS, 20, seed=2) + written(THEIRS, 20, seed=2)
    teach = np.arange(40) % 3 > 0
    single = np.concatenate([one.see([text], teach[i : i + 1]) for i, text in enumerate(texts)])
    assert (single == many.see(texts, teach)).all()
    assert one.dump() == many.dump()


def test_learned_texts_stand_among_the_others_as_new_ones_of_their_kind_do():
    surprise = Surprise()
    known, fresh = written(OURS, 1500), written(OURS, 1500, seed=2)
    surprise.see(known, all_of(known, teach=True))
    for texts in (surprise.rank_among(known), surprise.see(fresh, all_of(fresh, teach=False))):
        z = texts / UNIT
        assert (abs(z.mean(axis=0)) < 0.15).all()
    assert surprise.texts == 1500


def test_counts_are_halved_so_that_what_nobody_says_any_more_is_forgotten():
    surprise = Surprise()
    surprise.see(["gone away"], np.array([True]))
    texts = ["still here"] * TEXTS_MAX
    surprise.see(texts[:-1], all_of(texts[:-1], teach=True))
    assert surprise.texts == TEXTS_MAX // 2
    surprise.rank_among(["still here"] * 100)
    assert standing(surprise, "gone away")["words_new"] > standing(surprise, "still here")["words_new"]


def test_a_snapshot_goes_on_where_it_was():
    surprise, other = taught(), Surprise()
    other.load(surprise.dump())
    texts = written(THEIRS, 50) + written(OURS, 50, seed=7)
    for both in (surprise, other):
        both.rank()
    assert (surprise.see(texts, all_of(texts, teach=True)) == other.see(texts, all_of(texts, teach=True))).all()
    assert surprise.dump() == other.dump()


@pytest.mark.parametrize("change", [{"words": b""}, {"recent": b"123"}, {"texts": "many"}, {"ranked": b"\0" * 4}])
def test_a_foreign_snapshot_is_refused(change):
    with pytest.raises(SnapshotError):
        Surprise().load(taught(100).dump() | change)


def test_sums_add_up_over_shards():
    z = np.random.default_rng(1).integers(-127, 128, (300, len(FEATURES))).astype(np.int8)
    z[5] = UNKNOWN
    batch = np.arange(300) % 4
    whole, first, second = Sums.of(z, batch, 4), Sums.of(z[:130], batch[:130], 4), Sums.of(z[130:], batch[130:], 4)
    for a, b in zip(whole, first.merged(second), strict=True):
        assert (a == b).all()
    assert whole.queries.sum() == 299


@pytest.mark.parametrize(
    ("foreign", "size", "above"),
    [(0.0, 50, False), (0.0, 400, False), (0.1, 50, True), (0.05, 400, True), (1.0, 50, True)],
    ids=str,
)
def test_a_batch_that_holds_foreign_texts_is_told_from_normal_ones_at_any_size(foreign, size, above):
    surprise = Surprise()
    known = written(OURS, 2000)
    surprise.see(known, all_of(known, teach=True))
    normal = Normal(surprise.rank_among(known))
    rng = np.random.default_rng(3)

    def scores(share, seed):
        texts = written(OURS, 2000, seed=seed) + written(THEIRS, 500, seed=seed)
        z = surprise.see(texts, all_of(texts, teach=False))
        odd = round(size * share)
        drawn = [np.r_[rng.integers(0, 2000, size - odd), rng.integers(2000, 2500, odd)] for _ in range(40)]
        return normal.score(Sums.of(z[np.concatenate(drawn)], np.repeat(np.arange(40), size), 40))

    bar = np.quantile(scores(0.0, 11), 0.97)
    assert (np.mean(scores(foreign, 12) > bar) > 0.9) == above


def test_an_empty_batch_is_as_usual_as_can_be():
    surprise = taught()
    normal = Normal(surprise.see(written(OURS, 300, seed=2), np.zeros(300, np.bool_)))
    nothing = Sums.of(np.zeros((0, len(FEATURES)), np.int8), np.zeros(0, np.int64), 1)
    assert (normal.parts(nothing) == 0).all()


def test_standings_beyond_the_cuts_are_as_rare_as_they_say():
    surprise = Surprise()
    known = written(OURS, 2000)
    surprise.see(known, all_of(known, teach=True))
    z = surprise.rank_among(known)[:, FEATURES.index("pairs")] / UNIT
    assert [round(float((z >= cut).mean()), 3) for cut in CUTS] == pytest.approx([0.03, 0.01, 0.003], abs=0.003)
