"""The body of `POST /v1/events`: bytes as they arrive, to payloads that decode and those that do not."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec

from stream_guard.codecs import dead_letter, decode_event, decode_events
from stream_guard.errors import InvalidEvent
from stream_guard.events import DeadLetter
from stream_guard.formats import Reader

SOURCE = "http"
_PIECE_BYTES = 1 << 18
_SLICE_EVENTS = 500
_RAW_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])


class UnreadableBody(ValueError):  # noqa: N818 - says what the body is
    """Nothing of the body can be read."""


class BodyTooLarge(ValueError):  # noqa: N818
    """The body, or what it unpacks to, is over a limit."""


class Received:
    """The payloads of one request, sorted into those that decode and the others.

    Parameters
    ----------
    events_max
        How many payloads a request may have.
    reader
        Of the format that they are in; None for ours.
    """

    def __init__(self, events_max: int, reader: Reader | None = None) -> None:
        self.payloads: list[bytes] = []
        self.refused: list[DeadLetter] = []
        self._events_max = events_max
        self._reader = reader
        self._sent = 0

    def add(self, payloads: Sequence[bytes]) -> None:
        """Take the next payloads; empty ones only count. Raises BodyTooLarge."""
        first, self._sent = self._sent, self._sent + len(payloads)
        if self._sent > self._events_max:
            raise BodyTooLarge(f"more than {self._events_max} events in one request")
        if self._reader:
            self._add_foreign(payloads, first, self._reader)
            return
        _, letters = decode_events(payloads, source=SOURCE, first_offset=first)
        out = {letter.offset: letter for letter in letters}
        for index, payload in enumerate(payloads, first):
            if index not in out:
                self.payloads.append(payload)
            elif not _is_blank(payload):
                self.refused.append(out[index])

    def _add_foreign(self, payloads: Sequence[bytes], first: int, reader: Reader) -> None:
        """Take payloads of another format, each with any number of requests; each of those is taken or refused."""
        for index, payload in enumerate(payloads, first):
            if _is_blank(payload):
                continue
            try:
                for fields in reader(payload):
                    self._add_fields(fields, index)
            except InvalidEvent as e:
                self.refused.append(dead_letter(payload, e.reason, source=SOURCE, offset=index))
            if len(self.payloads) + len(self.refused) > self._events_max:
                raise BodyTooLarge(f"more than {self._events_max} events in one request")

    def _add_fields(self, fields: Mapping[str, Any], index: int) -> None:
        payload = msgspec.json.encode({name: value for name, value in fields.items() if value is not None})
        try:
            decode_event(payload)
        except InvalidEvent as e:
            self.refused.append(dead_letter(payload, e.reason, source=SOURCE, offset=index))
        else:
            self.payloads.append(payload)


def _is_blank(line: bytes) -> bool:
    return not line or line.isspace()


async def read_lines(body: AsyncIterator[bytes], received: Received) -> None:
    """Read one JSON object a line. Raises BodyTooLarge."""
    tail: list[bytes] = []
    async for piece in body:
        head, newline, rest = piece.partition(b"\n")
        tail.append(head)
        if newline:
            lines = rest.split(b"\n")
            received.add([b"".join(tail), *lines[:-1]])
            tail = [lines[-1]]
    if last := b"".join(tail):
        received.add([last])


async def read_document(body: AsyncIterator[bytes], received: Received) -> None:
    """Read a JSON array of objects, or one object. Raises UnreadableBody and BodyTooLarge."""
    document = b"".join([piece async for piece in body])
    if document.lstrip()[:1] != b"[":
        received.add([document])
        return
    try:
        payloads = [bytes(raw) for raw in _RAW_ARRAY.decode(document)]
    except (ValueError, RecursionError) as e:
        raise UnreadableBody(f"the JSON array cannot be read: {e}") from None
    for start in range(0, len(payloads), _SLICE_EVENTS):
        received.add(payloads[start : start + _SLICE_EVENTS])
        await asyncio.sleep(0)  # others are served between the slices of a long array


async def limited(body: AsyncIterator[bytes], bytes_max: int) -> AsyncIterator[bytes]:
    """Pass a body through up to a limit. Raises BodyTooLarge."""
    total = 0
    async for piece in body:
        total += len(piece)
        if total > bytes_max:
            raise BodyTooLarge(f"the body is longer than {bytes_max} bytes")
        yield piece


async def gunzipped(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Unpack gzip, of several members too, in small pieces. Raises UnreadableBody."""
    unpacker = zlib.decompressobj(wbits=31)
    fresh = True
    async for piece in body:
        rest = piece
        while rest:
            if unpacker.eof:
                unpacker = zlib.decompressobj(wbits=31)
            try:
                unpacked = unpacker.decompress(rest, _PIECE_BYTES)
            except zlib.error as e:
                raise UnreadableBody(f"the body is not gzip: {e}") from None
            fresh = False
            rest = unpacker.unconsumed_tail or unpacker.unused_data
            if unpacked:
                yield unpacked
    while not unpacker.eof and (unpacked := unpacker.decompress(unpacker.unconsumed_tail, _PIECE_BYTES)):
        yield unpacked
    if fresh or not unpacker.eof:
        raise UnreadableBody("the gzip body ends early")
