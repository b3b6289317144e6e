"""Bytes to records and back. What cannot be a record is refused with a reason, never dropped in silence.

One JSON object a payload, its fields those of `events.py`:

- a field that is not known is ignored; a key that comes twice counts as its last value; `null` is an absent field;
- times are seconds since 1970 or RFC 3339 with its zone;
- text is UTF-8; a lone surrogate, like any other byte that is not text, is refused wherever it stands;
- text may be as long as the payload lets it; how much of it is read is the sketch's affair (`docs/records.md`).

Nearly every payload is decoded by one strict decoder that knows exactly the fields of the record and takes numbers for
times. Only what it refuses is looked at again by the full rules above.
"""

import re
from base64 import b64encode
from codecs import getincrementaldecoder
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin

import msgspec
import orjson

from stream_guard.errors import InvalidEvent
from stream_guard.events import TIME_MAX, DeadLetter, RequestEvent, Time

PAYLOAD_BYTES_MAX = 4 * 2**20
"""A longer payload is refused unread."""

DEPTH_MAX = 64
"""Objects and arrays inside each other, in fields that are not known; a record itself needs three."""

DEAD_LETTER_BYTES_MAX = 8192
"""How much of a refused payload its dead letter keeps."""

REASON_CHARS_MAX = 300

Record = TypeVar("Record", bound=msgspec.Struct)

_LONE_SURROGATE = re.compile(rb"\\u[dD](?:[89abAB]..(?!\\u[dD][c-fC-F])|[c-fC-F])")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_STRICT_EVENT = msgspec.json.Decoder(RequestEvent)


def decode_events(
    payloads: Sequence[bytes], *, source: str, partition: int | None = None, first_offset: int | None = None
) -> tuple[list[RequestEvent], list[DeadLetter]]:
    """Decode a batch; each payload becomes an event or a dead letter, both in the order they came.

    Parameters
    ----------
    payloads
        One JSON object each.
    source, partition, first_offset
        Where they came from, for the dead letters; the payloads have consecutive offsets from `first_offset` on.

    Examples
    --------
    >>> good = b'{"event_id": "e1", "ts": 1777000000, "account_id": "a1", "model": "m"}'
    >>> events, dead = decode_events([good, b'{"event_id": 7}'], source="http", first_offset=40)
    >>> events[0].account_id, dead[0].offset, dead[0].reason
    ('a1', 41, 'Expected `str`, got `int` - at `$.event_id`')
    """
    events: list[RequestEvent] = []
    dead_letters: list[DeadLetter] = []
    strict = _STRICT_EVENT.decode
    for i, payload in enumerate(payloads):
        if len(payload) <= PAYLOAD_BYTES_MAX:
            try:
                event = strict(payload)
            except (ValueError, RecursionError):
                pass
            else:
                if event.event_id.isprintable() and event.account_id.isprintable() and event.model.isprintable():
                    events.append(event)
                    continue
        try:
            events.append(decode_event(payload))
        except InvalidEvent as e:
            offset = None if first_offset is None else first_offset + i
            dead_letters.append(dead_letter(payload, e.reason, source=source, partition=partition, offset=offset))
    return events, dead_letters


def decode_event(payload: bytes) -> RequestEvent:
    """Decode one request event. Raises InvalidEvent."""
    event = decode(payload, RequestEvent)
    for name in ("event_id", "account_id", "model"):
        if not getattr(event, name).isprintable():
            raise InvalidEvent(f"Expected printable characters only - at `$.{name}`")
    return event


def decode(payload: bytes, kind: type[Record]) -> Record:
    """Decode one record of `kind`, by the full rules. Raises InvalidEvent.

    Examples
    --------
    >>> from stream_guard.events import Release
    >>> decode(b'{"ts": "2026-04-24T05:06:40+02:00", "model": "large-5", "note": 1}', Release)
    Release(ts=1777000000.0, model='large-5', replaces=None)
    """
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise InvalidEvent(f"Payload of {len(payload)} bytes is longer than {PAYLOAD_BYTES_MAX}")
    try:
        payload.decode()
        if _depth(payload) > DEPTH_MAX:
            raise InvalidEvent(f"Nested deeper than {DEPTH_MAX}")
        return cast("Record", _narrow(_lenient_decoder(kind).decode(payload)))
    except (ValueError, RecursionError, OverflowError) as e:
        raise InvalidEvent(_reason(e, payload)) from None


def encode(record: object) -> bytes:
    """Encode a record, or anything made of records, as one line of JSON without its end; absent fields are left out.

    Examples
    --------
    >>> from stream_guard.events import Release
    >>> encode(Release(ts=1777000000.5, model="large-5"))
    b'{"ts":1777000000.5,"model":"large-5"}'
    """
    return orjson.dumps(record, default=msgspec.to_builtins)


def dead_letter(
    payload: bytes, reason: str, *, source: str, partition: int | None = None, offset: int | None = None
) -> DeadLetter:
    """Make the dead letter of a payload: its text, or base64 where it is not UTF-8, cut at a limit."""
    kept, size = payload[:DEAD_LETTER_BYTES_MAX], len(payload)
    try:
        # A character that the cut went through is left out.
        text = getincrementaldecoder("utf-8")().decode(kept, final=len(kept) == size)
    except UnicodeDecodeError:
        return DeadLetter(reason, source, b64encode(kept).decode(), partition, offset, "base64", size)
    return DeadLetter(reason, source, text, partition, offset, "utf8", size)


def moment(ts: float) -> str:
    """Return a time, in seconds since 1970, as people read it.

    Examples
    --------
    >>> moment(1_780_272_061.5)
    '2026-06-01 00:01 UTC'
    """
    return f"{datetime.fromtimestamp(ts, UTC):%Y-%m-%d %H:%M} UTC"


def _depth(payload: bytes) -> int:
    """How deep a payload is nested, at least as far as DEPTH_MAX is concerned."""
    if payload.count(b"[") + payload.count(b"{") <= DEPTH_MAX:
        return 0
    depth = deepest = 0
    for byte in _STRING.sub(b"", payload):
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


def _reason(error: Exception, payload: bytes) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"Not UTF-8: {error.reason} (byte {error.start})"
    if isinstance(error, RecursionError):
        return f"Nested deeper than {DEPTH_MAX}"
    if not isinstance(error, msgspec.ValidationError) and (found := _LONE_SURROGATE.search(payload)):
        return f"Lone surrogate (byte {found.start()})"
    return str(error)[:REASON_CHARS_MAX]


_Instant = Annotated[datetime, msgspec.Meta(tz=True)]


def _widen(kind: Any) -> Any:
    """Return the type that takes what `kind` takes, and RFC 3339 for a time and null for an empty tuple."""
    if kind == Time:
        return Union[Time, _Instant]  # noqa: UP007 - `|` would resolve the annotations
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _lenient(kind)
    if get_origin(kind) in (Union, UnionType):
        return Union[tuple(_widen(a) for a in get_args(kind))]  # noqa: UP007
    if get_origin(kind) is tuple:
        return Union[kind, None]  # noqa: UP007
    return kind


@cache
def _lenient(kind: type[msgspec.Struct]) -> type[msgspec.Struct]:
    fields, widened = [], []
    for f in msgspec.structs.fields(kind):
        wide = _widen(f.type)
        fields.append((f.name, wide) if f.required else (f.name, wide, None if f.default == () else f.default))
        if wide != f.type:
            widened.append(f.name)
    return msgspec.defstruct(f"{kind.__name__}OnTheWire", fields, namespace={"record": kind, "widened": tuple(widened)})


@cache
def _lenient_decoder(kind: type[msgspec.Struct]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(_lenient(kind))


def _narrow(wide: Any, path: str = "$") -> Any:
    """Return the record of what came over the wire. Raises ValueError."""
    fields = {name: value for name, value in msgspec.structs.asdict(wide).items() if value is not None}
    for name in wide.widened:
        value = fields.get(name)
        if isinstance(value, datetime):
            fields[name] = value.timestamp()
            if not 0 <= fields[name] <= TIME_MAX:
                raise ValueError(f"Expected a time from 1970 to 2100 - at `{path}.{name}`")
        elif isinstance(value, msgspec.Struct):
            fields[name] = _narrow(value, f"{path}.{name}")
    return wide.record(**fields)
