"""From shared fingerprints to groups, and which requests carry them."""

import numpy as np
import pytest
from core_reports import report, window

from stream_guard.campaigns.groups import carrying, form, form_fresh, overlap, rest
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
    return told(of, form(of))


def told(of, carried):
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
    for carried in (form(window()), form_fresh(window(), 0)):
        assert len(carried.group) == len(carried.sizes) == 0


# --- A glance at what is new ---


def crowds(times=1):
    """A window in which a template, a system text and boilerplate are shown, and the ring has gone round since `times` > 1."""
    quiet = [report(*[(f"other{i}", [9000 + i + 50 * k]) for i in range(20)]) for k in range(50 * (times - 1) + 1)]
    shown = report(
        *[(name, [1, 2, 3, 4], {"system": 5}) for _ in range(2) for name in GANG],
        *[(name, [11, 12, 13]) for name in CLASS],
        systems={5: [21, 22, 23]},
    )
    return window(*quiet, shown)


@pytest.mark.parametrize("times", [1, 2])
def test_what_is_due_is_grouped_as_in_a_look_at_everything(times):
    of = crowds(times)
    whole, fresh = form(of), form_fresh(of, of.taken - 19)
    assert told(of, fresh) == told(of, whole) == {(7, frozenset(GANG)), (3, frozenset(CLASS))}
    assert sorted(zip(fresh.account.tolist(), fresh.sighting.tolist(), strict=True)) == sorted(
        zip(whole.account.tolist(), whole.sighting.tolist(), strict=True)
    )


NEWS = {  # what comes after a look: the groups that are worth another one
    "nothing": ([], set()),
    "others": ([("other1", [31, 32])], set()),
    "less than the group is to grow by": ([("gang0", [1, 2, 3, 4])], set()),
    "as much as it is to grow by": ([("gang0", [1, 2, 3, 4])] * 3, {(4, frozenset(GANG))}),
    "the class grows": (
        [(f"new{i}", [11, 12, 13]) for i in range(3)],
        {(3, frozenset([*CLASS, "new0", "new1", "new2"]))},
    ),
}


@pytest.mark.parametrize("case", NEWS)
def test_a_group_is_due_again_once_it_has_grown(case):
    news, groups = NEWS[case]
    of = window(
        report(*[(f"other{i}", [9000 + i]) for i in range(20)]),
        report(*[(name, [1, 2, 3, 4]) for name in GANG], *[(name, [11, 12, 13]) for name in CLASS]),
    )
    rest(of, form(of).slots, np.full(7, 3.0))
    since = of.taken
    of.take(report(*news))
    assert told(of, form_fresh(of, since)) == groups


def test_who_carries_known_templates_is_found_among_some_sightings():
    of = crowds()
    prints, whose = np.array([1, 2, 3, 4, 11, 12, 13], np.uint32), np.array([0] * 4 + [1] * 3, np.int32)
    gang = carrying(of, prints, whose, of.shown_by(np.array([of.rows["gang0"], of.rows["class3"]])))
    assert [(g, of.names[a]) for g, a in zip(gang.group, gang.account, strict=True)] == [(0, "gang0")] * 2 + [
        (1, "class3")
    ]
    assert len(carrying(of, prints, whose, of.places(of.taken)).group) == 0
