"""Payloads as they should not be: valid events, mutilated in every way that was ever seen, and some that were not."""

import random
from collections.abc import Callable, Iterator, Sequence

from stream_guard.codecs import encode
from stream_guard.events import AccountFacts, Client, RequestEvent

Mutation = Callable[[random.Random, bytes], bytes]

_NUMBERS = b"null true false 0 -0 -1 1.5 1e2 1e-400 1e308 1e309 -1e400 NaN Infinity -Infinity 01 1. .5 0x10 +1 \
    2147483647 2147483648 4294967296 9007199254740993 18446744073709551616"
_STRINGS = rb'"" "\u0000" "\ud800" "\udc00\ud800" "\ud83d\ude00" "\x" "\u12" "a\nb" "\u202e" "nan" "1777000000"'
_TIMES = b'"2026-04-24T05:06:40Z" "2026-04-24T05:06:40" "2026-04-24" "0001-01-01T00:00:00Z" "9999-12-31T23:59:59Z" \
    "2026-04-24T05:06:60Z" "2026-13-41T25:61:61Z" "2026-04-24T05:06:40+99:00" "2026-04-24T05:06:40.123456789-07:30"'
_SHAPES = b'[] {} [[]] [1,"a",null] {"":{}} ["r1","r2"] {"ip":7} {"created_at":"2026-01-01T00:00:00Z"} {"asn":-1}'
_VALUES = (
    *(value for values in (_NUMBERS, _STRINGS, _TIMES, _SHAPES) for value in values.split()),
    b"9" * 400,
    b'"' + b"x" * 300 + b'"',
    '"\u540d\u524d"'.encode(),
    b'"\xff\xfe"',
    b'"\xed\xa0\x80"',
    b'"\x00"',
)
_KEYS = (*map(str.encode, RequestEvent.__struct_fields__), b"", b"extra", b"TS", b"__class__", rb"ts\u0000")
_PIECES = (
    b"\x00",
    b"\xff",
    b"\xc3",
    b"\xef\xbb\xbf",
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\\ud800",
    b" ",
    b"\x1f",
    b"\xe2\x80\xa8",
    b"//",
    b"'",
)


def valid_events(rng: random.Random) -> Iterator[bytes]:
    """Yield payloads of events that are as they should be, without end."""
    number = 0
    while True:
        number += 1
        yield encode(
            RequestEvent(
                f"e{number}",
                1777000000 + number * 0.25,
                f"acct_{rng.randrange(50)}",
                rng.choice(("large-4", "small-4")),
                status=200,
                system=rng.choice((None, "You are [a] {careful} tutor.")),
                prompt=rng.choice(("Explain \u91cf\u5b50 to me.", 'Say "hi" \\ \U0001f600\n', "")) * rng.randrange(4),
                input_tokens=rng.randrange(10**6),
                temperature=rng.choice((None, 0.0, 1.0)),
                reasoning_refs=tuple("ab"[: rng.randrange(3)]),
                client=rng.choice((None, Client(ip="192.0.2.7", asn=64496))),
                account=rng.choice((None, AccountFacts(created_at=1.7e9, tier="team"))),
            )
        )


def mutated(rng: random.Random, count: int) -> Iterator[bytes]:
    """Yield `count` payloads, most of them mutilated, some up to three times. The same seed yields the same."""
    valid = valid_events(rng)
    for _ in range(count):
        payload = next(valid)
        for _ in range(rng.choice((0, 1, 1, 1, 1, 2, 3))):
            payload = rng.choice(MUTATIONS)(rng, payload)
        yield payload


def flip_bit(rng: random.Random, payload: bytes) -> bytes:
    """Flip one bit."""
    at = _place(rng, payload)
    return payload[:at] + bytes(b ^ 1 << rng.randrange(8) for b in payload[at : at + 1]) + payload[at + 1 :]


def truncate(rng: random.Random, payload: bytes) -> bytes:
    """Lose one end."""
    at = _place(rng, payload)
    return rng.choice((payload[:at], payload[at:]))


def insert(rng: random.Random, payload: bytes) -> bytes:
    """Put something in that has no place there."""
    at = _place(rng, payload)
    return payload[:at] + rng.choice((rng.choice(_PIECES), rng.randbytes(3))) + payload[at:]


def drop(rng: random.Random, payload: bytes) -> bytes:
    """Lose a few bytes from the middle."""
    at = _place(rng, payload)
    return payload[:at] + payload[at + rng.randrange(1, 9) :]


def repeat(rng: random.Random, payload: bytes) -> bytes:
    """Say a part twice."""
    at, to = sorted((_place(rng, payload), _place(rng, payload)))
    return payload[:to] + payload[at:]


def add_field(rng: random.Random, payload: bytes) -> bytes:
    """Put a field in front, which may be there already, with any value."""
    return b'{"%b":%b,' % (rng.choice(_KEYS), rng.choice(_VALUES)) + payload[1:]


def append_field(rng: random.Random, payload: bytes) -> bytes:
    """Put a field at the end: what comes last counts."""
    return payload[:-1] + b',"%b":%b}' % (rng.choice(_KEYS), rng.choice(_VALUES))


def replace_value(rng: random.Random, payload: bytes) -> bytes:
    """Give a field that is there another value."""
    fields = payload.split(b',"')
    at = rng.randrange(len(fields))
    fields[at] = fields[at].partition(b":")[0] + b":" + rng.choice(_VALUES)
    return b',"'.join(fields)


def nest(rng: random.Random, payload: bytes) -> bytes:
    """Put a deep field in."""
    depth = rng.choice((3, 60, 61, 62, 63, 64, 65, 66, 500, 3000))
    opening, closing = rng.choice(((b"[", b"]"), (b'{"a":', b"}"), (b'[{"a": ', b"}]"), (b"[ ", b"")))
    return payload[:-1] + b',"%b":' % rng.choice(_KEYS) + opening * depth + b"1" + closing * depth + b"}"


def wrap(rng: random.Random, payload: bytes) -> bytes:
    """Send something around it, or something else altogether."""
    before, after = rng.choice(
        (
            (b"[", b"]"),
            (b" ", b" "),
            (b"\xef\xbb\xbf", b""),
            (b"", payload),
            (b'"', b'"'),
            (b"", b","),
            (b"\x1f\x8b", b""),
        )
    )
    return before + payload + after


def other(rng: random.Random, payload: bytes) -> bytes:
    """Send what is no event at all."""
    return rng.choice(
        (
            *_VALUES,
            b"{",
            b"[",
            b"hello",
            b'{"a":',
            rng.randbytes(rng.randrange(1, 60)),
            payload.decode("latin-1").encode("utf-16"),
        )
    )


MUTATIONS: Sequence[Mutation] = (
    flip_bit,
    truncate,
    insert,
    drop,
    repeat,
    add_field,
    append_field,
    replace_value,
    nest,
    wrap,
    other,
)


def _place(rng: random.Random, payload: bytes) -> int:
    return rng.randrange(len(payload) + 1)
