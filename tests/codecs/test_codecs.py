"""What the codec takes, what it refuses and how it says so."""

import json
from datetime import datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_guard import codecs, events
from stream_guard.codecs import decode, decode_event, decode_events, encode
from stream_guard.errors import InvalidEvent
from stream_guard.gateway.examples import EXAMPLES

BASE = b'{"event_id":"e","ts":1777000000,"account_id":"a","model":"m"'
PLAIN = decode_event(BASE + b"}")


def with_field(field):
    return BASE + b"," + (field if isinstance(field, bytes) else field.encode()) + b"}"


# --- What is taken --------------------------------------------------------------------------------------------------

TAKEN = [
    # field, what of the event it makes
    ('"ts":1777000000.25', {"ts": 1777000000.25}),
    ('"ts":"2026-04-24T03:06:40Z"', {"ts": 1777000000.0}),
    ('"ts":"2026-04-24T05:06:40.5+02:00"', {"ts": 1777000000.5}),
    ('"ts":"2026-04-24 03:06:40z"', {"ts": 1777000000.0}),
    ('"ts":0', {"ts": 0.0}),
    ('"ts":1,"ts":2', {"ts": 2.0}),  # the last of a key that comes twice
    ('"n":null,"prompt":null,"client":null', {}),
    ('"reasoning_refs":null', {}),
    ('"reasoning_refs":["r1","r2"]', {"reasoning_refs": ("r1", "r2")}),
    ('"extra":{"deep":[1,{"er":[]}]},"client":{"ip":"192.0.2.1","port":7}', {"client": events.Client(ip="192.0.2.1")}),
    ('"account":{"created_at":"2026-04-24T03:06:40Z"}', {"account": events.AccountFacts(created_at=1777000000.0)}),
    ('"account":{"created_at":1777000000,"new":1}', {"account": events.AccountFacts(created_at=1777000000.0)}),
    ('"prompt":"\\ud83d\\ude00 \\u0000 \\u202e"', {"prompt": "\U0001f600 \0 \u202e"}),
    ('"prompt":"\\\\ud800"', {"prompt": "\\ud800"}),  # an escaped backslash, no surrogate
    ('"prompt":"%s"' % ("{[" * 40_000), {"prompt": "{[" * 40_000}),  # brackets in text are not depth
    ('"x":' + "[" * 63 + "1" + "]" * 63, {}),
    ('"x":[[]' + ",[]" * 500 + "]", {}),  # wide is not deep
    ('"input_tokens":2147483647,"temperature":-1', {"input_tokens": 2**31 - 1, "temperature": -1.0}),
    ('"account_id":"%s"' % ("x" * 256), {"account_id": "x" * 256}),
    ('"account_id":"\u8d26\u6237 1"', {"account_id": "\u8d26\u6237 1"}),
    ('"user_agent_x":1e999', {}),
]


@pytest.mark.parametrize(("field", "makes"), TAKEN, ids=[f[:40] for f, _ in TAKEN])
def test_taken(field, makes):
    assert decode_event(with_field(field)) == msgspec.structs.replace(PLAIN, **makes)


def test_longest_text_that_fits_is_taken_whole():
    text = "\u91cf" * ((codecs.PAYLOAD_BYTES_MAX - len(with_field('"prompt":""'))) // 3)
    assert decode_event(with_field(f'"prompt":"{text}"')).prompt == text


# --- What is refused ------------------------------------------------------------------------------------------------

REFUSED = [
    (b"", "Input data was truncated"),
    (b"null", "Expected `object`, got `null`"),
    (b"[]", "Expected `object`, got `array`"),
    (BASE + b"}}", "JSON is malformed: trailing characters (byte 62)"),
    (BASE, "Input data was truncated"),
    (b"\xef\xbb\xbf" + BASE + b"}", "JSON is malformed: invalid character (byte 0)"),
    (BASE[:-11] + b"}", "JSON is malformed: trailing comma in object (byte 49)"),
    (BASE[:-12] + b"}", "Object missing required field `model`"),
    (with_field('"account_id":""'), "Expected `str` of length >= 1 - at `$.account_id`"),
    (with_field('"account_id":"%s"' % ("x" * 257)), "Expected `str` of length <= 256 - at `$.account_id`"),
    (with_field('"account_id":"a\\u0000"'), "Expected printable characters only - at `$.account_id`"),
    (with_field('"event_id":"\\u001b[2J"'), "Expected printable characters only - at `$.event_id`"),
    (with_field('"model":7'), "Expected `str`, got `int` - at `$.model`"),
    (with_field('"ts":NaN'), "JSON is malformed: invalid character (byte 66)"),
    (with_field('"ts":1e400'), "Number out of range - at `$.ts`"),
    (with_field('"ts":-1'), "Expected `float` >= 0.0 - at `$.ts`"),
    (with_field('"ts":1777000000000'), "Expected `float` <= 4102444800.0 - at `$.ts`"),  # milliseconds
    (with_field('"ts":null'), "Expected `float | datetime`, got `null` - at `$.ts`"),
    (with_field('"ts":"1777000000"'), "Invalid RFC3339 encoded datetime - at `$.ts`"),
    (with_field('"ts":"2026-04-24T03:06:40"'), "Expected `datetime` with a timezone component - at `$.ts`"),
    (with_field('"ts":"1969-12-31T23:59:59Z"'), "Expected a time from 1970 to 2100 - at `$.ts`"),
    (with_field('"ts":"0001-01-01T00:00:00+23:00"'), "Expected a time from 1970 to 2100 - at `$.ts`"),
    (
        with_field('"account":{"created_at":"2226-01-01T00:00:00Z"}'),
        "Expected a time from 1970 to 2100 - at `$.account.created_at`",
    ),
    (with_field('"input_tokens":-1'), "Expected `int` >= 0 - at `$.input_tokens`"),
    (with_field('"output_tokens":2147483648'), "Expected `int` <= 2147483647 - at `$.output_tokens`"),
    (with_field('"turn":%s' % ("9" * 400)), "Expected `int` <= 2147483647 - at `$.turn`"),
    (with_field('"temperature":1e300'), "Expected `float` <= 1000000000000000.0 - at `$.temperature`"),
    (with_field('"stream":1'), "Expected `bool | null`, got `int` - at `$.stream`"),
    (with_field('"reasoning_refs":["a",1]'), "Expected `str`, got `int` - at `$.reasoning_refs[1]`"),
    (with_field('"client":{"asn":-1}'), "Expected `int` >= 0 - at `$.client.asn`"),
    (with_field('"prompt":"\\ud800"'), "Lone surrogate (byte 71)"),
    (with_field('"prompt":"\\ud800\\ud800"'), "Lone surrogate (byte 71)"),
    (with_field('"extra":"\\udc00"'), "Lone surrogate (byte 70)"),
    (with_field(b'"prompt":"\xff"'), "Not UTF-8: invalid start byte (byte 71)"),
    (with_field(b'"extra":"\xed\xa0\x80"'), "Not UTF-8: invalid continuation byte (byte 70)"),
    (with_field('"x":' + "[" * 64 + "1" + "]" * 64), "Nested deeper than 64"),
    (with_field('"x":%s' % ("[" * 100_000)), "Nested deeper than 64"),
    (with_field('"x":%s' % ('{"a" : [' * 40)), "Nested deeper than 64"),
    (with_field('"prompt":"%s"' % ("x" * codecs.PAYLOAD_BYTES_MAX)), "Payload of 4194377 bytes is longer than 4194304"),
]


@pytest.mark.parametrize(("payload", "reason"), REFUSED, ids=[r[:60] for _, r in REFUSED])
def test_refused(payload, reason):
    with pytest.raises(InvalidEvent) as refusal:
        decode_event(payload)
    assert refusal.value.reason == reason
    assert [d.reason for d in decode_events([payload], source="t")[1]] == [reason]


# --- A batch --------------------------------------------------------------------------------------------------------


def test_batch_keeps_order_and_says_where_the_dead_letters_were():
    good = [encode(msgspec.structs.replace(PLAIN, event_id=f"e{i}")) for i in range(3)]
    batch = [good[0], b"{", good[1], with_field(b'"prompt":"\xff"'), good[2]]
    taken, dead = decode_events(batch, source="llm.requests", partition=3, first_offset=100)
    assert [e.event_id for e in taken] == ["e0", "e1", "e2"]
    assert [(d.source, d.partition, d.offset, d.encoding) for d in dead] == [
        ("llm.requests", 3, 101, "utf8"),
        ("llm.requests", 3, 103, "base64"),
    ]


def test_long_payload_is_cut_in_its_dead_letter_at_a_character():
    payload = b"x" + "\u91cf".encode() * 5000
    [letter] = decode_events([payload], source="t")[1]
    assert letter.payload_bytes == 15001
    assert letter.payload == "x" + "\u91cf" * ((codecs.DEAD_LETTER_BYTES_MAX - 1) // 3)


def test_a_batch_needs_no_first_offset():
    assert decode_events([b"{"], source="t")[1][0].offset is None


# --- There and back -------------------------------------------------------------------------------------------------

_TEXT = st.text(st.characters(codec="utf-8"), max_size=40)
_ID = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40).filter(str.isprintable)
_OF_TYPE = {
    events.Id: _ID,
    events.Time: st.floats(0, events.TIME_MAX),
    events.Count: st.integers(0, 2**31 - 1),
    events.Number: st.floats(-1e15, 1e15),
    str: _TEXT,
    bool: st.booleans(),
}


def records(kind):
    """All records of a kind that are within the bounds of their types."""
    fields = {}
    for f in msgspec.structs.fields(kind):
        alternatives = getattr(f.type, "__args__", ()) if "|" in str(f.type) or "Optional" in str(f.type) else (f.type,)
        fields[f.name] = st.one_of([_values(t) for t in alternatives])
    return st.builds(kind, **fields)


def _values(kind):
    if kind is type(None):
        return st.none()
    if kind in _OF_TYPE:
        return _OF_TYPE[kind]
    if kind == tuple[str, ...]:
        return st.lists(_TEXT, max_size=3).map(tuple)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return records(kind)
    if getattr(kind, "__metadata__", None):  # the number of a network
        return st.integers(0, 2**32 - 1)
    return st.sampled_from(kind.__args__)


INPUTS = [events.RequestEvent, events.Feedback, events.Release, events.Enforcement, events.AccountUpdate]


@pytest.mark.parametrize("kind", INPUTS)
def test_encoding_then_decoding_gives_the_record_back(kind):
    @given(record=records(kind))
    def check(record):
        line = encode(record)
        assert b"\n" not in line
        assert decode(line, kind) == record
        assert json.loads(line) == json.loads(msgspec.json.encode(record))

    check()


@given(record=records(events.RequestEvent))
def test_both_looks_see_the_same(record):
    line = encode(record)
    assert decode_events([line], source="t")[0] == [decode_event(line)] == [decode_event(line[:-1] + b',"extra":[]}')]


@given(st.datetimes(datetime(1971, 1, 1), datetime(2099, 1, 1)), st.integers(-14 * 60, 14 * 60))  # noqa: DTZ001
def test_every_zone_is_understood(moment, minutes):
    moment = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert decode_event(with_field(f'"ts":"{moment.isoformat()}"')).ts == moment.timestamp()


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=lambda e: type(e).__name__)
def test_what_goes_out_can_be_read_back(example):
    assert decode(encode(example), type(example)) == example
