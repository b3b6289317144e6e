"""From shared fingerprints to groups, and which requests carry them."""

import numpy as np
import pytest
from core_reports import report, window

from stream_guard.campaigns.groups import form, overlap
from stream_guard.campaigns.window import KMV

EMPTY = 0xFFFFFFFF
GANG, CLASS = [f"gang{i}" for i in range(6)], [f"class{i}" for i in range(7)]


def sample(*hashes):
    return np.array(sorted(hashes)[:KMV] + [EMPTY] * (KMV - len(hashes)), np.uint32)


OVERLAPS = {
    "the same": ((1, 2, 3, 4), (1, 2, 3, 4), 1.0),
    "nothing in common": ((1, 2), (3, 4), 0.0),
    "half": ((1, 2, 3), (2, 3, 4), 0.5),
    "a part": ((1, 2, 3, 4), (1, 2), 0.5),
    "both empty": ((), (), 0.0),
    "full samples": (range(1, 9), range(1, 9), 1.0),
    "of the eight smallest of both, four": (range(1, 9), (*range(1, 5), *range(100, 104)), 0.5),
}


@pytest.mark.parametrize("case", OVERLAPS)
def test_overlap_is_the_jaccard_index_of_the_samples(case):
    one, other, share = OVERLAPS[case]
    assert overlap(sample(*one), sample(*other)) == pytest.approx(share)
    assert overlap(sample(*other), sample(*one)) == pytest.approx(share)


def found(*reports):
    """Return each group as (number of fingerprints, accounts that carry it)."""
    of = window(*reports)
    carried = form(of)
    return {
        (int(carried.sizes[g]), frozenset(of.names[a] for a in carried.account[carried.group == g]))
        for g in np.unique(carried.group).tolist()
    }  # fmt: skip


GROUPS = {  # sightings: (accounts, fingerprints); the groups with who carries them
    "one template": ([(GANG, [1, 2, 3, 4])], {(4, frozenset(GANG))}),
    "two crowds, two groups": ([(GANG, [1, 2, 3]), (CLASS, [5, 6, 7])], {(3, frozenset(GANG)), (3, frozenset(CLASS))}),
    "one fingerprint is boilerplate": ([(GANG, [1])], set()),
    "three accounts are too few": ([(GANG[:3], [1, 2, 3, 4])], set()),
    "nobody shares anything": ([([name], [100 * i + 1, 100 * i + 2]) for i, name in enumerate(GANG)], set()),
    "who shows one of six carries nothing": ([(GANG, [1, 2, 3, 4, 5, 6]), (["passer-by"], [1])], {(6, frozenset(GANG))}),
    "who shows two of six carries it": ([(GANG, [1, 2, 3, 4, 5, 6]), (["straggler"], [1, 2])], {(6, frozenset([*GANG, "straggler"]))}),
}  # fmt: skip


@pytest.mark.parametrize("case", GROUPS)
def test_groups(case):
    shown, groups = GROUPS[case]
    bystanders = report(*[(f"other{i}", [9000 + i]) for i in range(20)])
    assert found(bystanders, report(*[(name, prints) for who, prints in shown for name in who])) == groups


def test_what_nearly_everybody_shows_says_nothing():
    everybody = [f"a{i}" for i in range(40)]
    boilerplate, template = [1, 2, 3], [11, 12, 13]
    groups = found(
        report(*[(name, boilerplate) for name in everybody]), report(*[(name, template) for name in everybody[:8]])
    )
    assert groups == {(3, frozenset(everybody[:8]))}


def test_the_system_text_is_carried_too():
    texts = {5: [1, 2, 3]}
    quiet = report(*[(f"other{i}", [9000 + i]) for i in range(20)])
    assert found(quiet, report(*[(name, [], {"system": 5}) for name in GANG], systems=texts)) == {(3, frozenset(GANG))}


def test_pairs_are_sorted_by_group_and_account():
    carried = form(
        window(
            report(
                *[(f"other{i}", []) for i in range(30)],
                *[(name, [1, 2, 3]) for _ in range(3) for name in reversed(GANG)],
                *[(name, [7, 8, 9]) for name in CLASS],
            )
        )
    )
    assert np.array_equal(np.lexsort((carried.account, carried.group)), np.arange(len(carried.group)))
    assert len(np.unique(carried.sighting)) == len(carried.sighting) == 3 * len(GANG) + len(CLASS)


def test_an_empty_window_has_no_groups():
    carried = form(window())
    assert len(carried.group) == len(carried.sizes) == 0
