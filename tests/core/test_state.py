"""State as bytes: what is damaged, foreign or of another kind is refused, whatever was done to it."""

import pytest
from core_requests import campaign, crowd
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_guard.engine import AccountHalf, Engine, PopulationHalf
from stream_guard.engine.state import MAGIC, seal, unseal
from stream_guard.errors import SnapshotError


def busy():
    engine = Engine()
    engine.process(campaign(8, 4) + crowd(10, 4))
    return engine


STATE = busy().snapshot()
KINDS = {"engine": Engine, "account half": AccountHalf, "population half": PopulationHalf}


def test_what_was_sealed_comes_back():
    assert unseal(seal({"kind": "x", "a": [1, b"2", {"3": None}]}), "x") == {"kind": "x", "a": [1, b"2", {"3": None}]}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(STATE) - 1))
def test_a_cut_state_is_refused(length):
    with pytest.raises(SnapshotError):
        Engine().restore(STATE[:length])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(STATE) - 1), st.integers(1, 255))
def test_a_state_with_any_byte_changed_is_refused(at, flip):
    with pytest.raises(SnapshotError):
        Engine().restore(STATE[:at] + bytes([STATE[at] ^ flip]) + STATE[at + 1 :])


REFUSED = {
    "nothing": (b"", "no state"),
    "something else": (b"PK\3\4" + STATE[4:], "no state"),
    "another version": (MAGIC + b"\0\x63" + STATE[6:], "version 99"),
    "more at the end": (STATE + b"\0", "checksum"),
    "no map": (seal([1]), "not the state of engine"),
    "no kind": (seal({"a": 1}), "not the state of engine"),
    "half of it": (seal({"kind": "engine"}), "accounts"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_state_is_refused_with_a_reason(case):
    raw, reason = REFUSED[case]
    with pytest.raises(SnapshotError, match=reason):
        Engine().restore(raw)


@pytest.mark.parametrize("saved", KINDS)
@pytest.mark.parametrize("read", KINDS)
def test_a_state_is_read_by_its_own_kind_only(saved, read):
    raw = KINDS[saved]().snapshot()
    if saved == read:
        KINDS[read]().restore(raw)
    else:
        with pytest.raises(SnapshotError, match=f"not the state of {read}"):
            KINDS[read]().restore(raw)


def parts(kind):
    return sorted(unseal(KINDS[kind]().snapshot(), kind).keys() - {"kind"})


@pytest.mark.parametrize(("kind", "part"), [(kind, part) for kind in KINDS for part in parts(kind)])
@pytest.mark.parametrize("wrong", ["missing", "None", "a text"])
def test_a_state_with_a_part_that_does_not_fit_is_refused(kind, part, wrong):
    state = unseal(KINDS[kind]().snapshot(), kind)
    del state[part]
    if wrong != "missing":
        state[part] = None if wrong == "None" else "text"
    if part in INDIFFERENT and wrong != "missing":
        return
    with pytest.raises(SnapshotError):
        KINDS[kind]().restore(seal(state))


INDIFFERENT = {
    "clock",
    "step_began",
    "serial",
    "pending_events",
    "fresh",
    "unseen",
    "looked",
    "baseline",
    "allow_orgs",
    "bad_sketches",
    "reports",
    "verdicts",
}
"""Plain values that are taken as they are."""
