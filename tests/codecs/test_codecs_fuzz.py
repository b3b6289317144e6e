"""A hundred thousand mutilated payloads: each is taken or refused with a reason, none crashes, none is lost."""

import json
import math
import random

from stream_guard.codecs import DEAD_LETTER_BYTES_MAX, REASON_CHARS_MAX, decode_event, decode_events, encode
from stream_guard.errors import InvalidEvent
from stream_guard.testing.mutations import mutated

COUNT = 100_000


def test_every_payload_is_taken_or_refused_with_a_reason():
    payloads = list(mutated(random.Random(20260424), COUNT))
    taken, dead = decode_events(payloads, source="fuzz", first_offset=0)

    assert len(taken) + len(dead) == COUNT
    assert COUNT // 5 < len(taken) < COUNT // 2, "the mutations have become too mild or too wild to say anything"
    refused = {letter.offset for letter in dead}
    assert len(refused) == len(dead)
    for letter in dead:
        assert 0 < len(letter.reason) <= REASON_CHARS_MAX
        assert letter.payload_bytes == len(payloads[letter.offset])
        assert len(letter.payload) <= DEAD_LETTER_BYTES_MAX * 4 / 3 + 4
        assert encode(letter)
    for payload, event in zip((p for i, p in enumerate(payloads) if i not in refused), taken, strict=True):
        assert json.loads(payload)["event_id"] == event.event_id, "another reader of JSON reads the same"
        assert event.account_id.isprintable()
        assert 0 <= event.ts < math.inf
        assert decode_event(encode(event)) == event


def test_alone_and_in_a_batch_are_the_same():
    for payload in mutated(random.Random(7), 5_000):
        taken, dead = decode_events([payload], source="fuzz")
        assert (taken, [letter.reason for letter in dead]) == alone(payload)


def alone(payload):
    try:
        return [decode_event(payload)], []
    except InvalidEvent as refusal:
        return [], [refusal.reason]
