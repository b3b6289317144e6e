"""Reports and verdicts as bytes: what comes out is what went in, and what is none is refused."""

from contextlib import suppress

import msgspec
import numpy as np
import pytest
from core_reports import report
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_guard.campaigns.report import pack, unpack
from stream_guard.engine import AccountHalf, PopulationHalf
from stream_guard.engine.verdicts import Verdict, pack_verdict, unpack_verdict
from stream_guard.events import Reason

FULL = report(
    ("a", [1, 2, 3]), ("b", [2, 3], {"system": 4}), items=[("a", 11, 0), ("b", 11, 12)], systems={4: [9]}, twins={"b": [3] * 256}
)  # fmt: skip


def test_a_report_comes_back_as_it_was():
    for one, other in zip(unpack(pack(FULL)), FULL, strict=True):
        assert np.array_equal(one, other) if isinstance(other, np.ndarray) else one == other


SIGHTINGS = FULL.sightings.copy()
SIGHTINGS["account"] = 2
SYSTEMS = FULL.sightings.copy()
SYSTEMS["system"] = 7
REFUSED = {
    "nothing": b"",
    "not MessagePack": b"\xc1",
    "something else": msgspec.msgpack.encode({"a": 1}),
    "cut": pack(FULL)[:-3],
    "too few parts": msgspec.msgpack.encode([0, 1, 2.0]),
    "a sighting of nobody": pack(FULL._replace(sightings=SIGHTINGS)),
    "a sighting of a system text that is not there": pack(FULL._replace(sightings=SYSTEMS)),
    "facts for fewer": pack(FULL._replace(facts=FULL.facts[:1])),
    "a twin of nobody": pack(FULL._replace(twin_accounts=np.array([5], np.uint32))),
    "more twins than vectors": pack(FULL._replace(twin_accounts=np.array([0, 1], np.uint32))),
    "an item of nobody": pack(FULL._replace(items=[(2, 1, 1)])),
    "an item before the first": pack(FULL._replace(items=[(-1, 1, 1)])),
    "a model without a code": pack(FULL._replace(models={"x": "large"})),
    "no time": pack(FULL._replace(ts=float("nan"))),
    "half a record": pack(FULL._replace(facts=np.zeros(3, np.uint8))),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_report_is_refused_and_changes_nothing(case):
    with pytest.raises(ValueError, match="not a report"):
        unpack(REFUSED[case])
    half = PopulationHalf()
    before = half.snapshot()
    with pytest.raises(ValueError, match="not a report"):
        half.process(msgspec.msgpack.encode([REFUSED[case]]))
    assert half.snapshot() == before


PACKED = pack(FULL)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(PACKED) - 1), st.integers(0, 255))
def test_a_report_with_any_byte_changed_is_taken_or_refused(at, byte):
    changed = PACKED[:at] + bytes([byte]) + PACKED[at + 1 :]
    with suppress(ValueError):
        PopulationHalf().process(msgspec.msgpack.encode([changed]))


VERDICT = Verdict("ca_1", 1.0, (("a", 0.9, 0.01), ("b", 0.6, 0.2)), ("c",), (Reason("template", 0.5, 0.1, 1.0),))


def test_a_verdict_comes_back_as_it_was():
    assert unpack_verdict(pack_verdict(VERDICT)) == VERDICT


@pytest.mark.parametrize(
    "raw", [b"", b"\xc1", pack_verdict(VERDICT)[:-2], msgspec.msgpack.encode(["ca_1", "now", [], [], []])]
)
def test_what_is_no_verdict_is_refused(raw):
    with pytest.raises(ValueError):  # noqa: PT011 - whatever the decoder says
        AccountHalf().apply_verdict(raw)
