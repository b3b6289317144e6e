"""A hundred thousand mutilated lines over HTTP: each is accepted or refused with a reason, and all are counted."""

import gzip
import random

import pytest

from stream_guard.codecs import decode_event
from stream_guard.errors import InvalidEvent
from stream_guard.testing.mutations import MUTATIONS, mutated, valid_events

pytestmark = pytest.mark.anyio

COUNT = 100_000
LINES_A_REQUEST = 1000
NDJSON = {"content-type": "application/x-ndjson"}


def is_event(payload):
    try:
        decode_event(payload)
    except InvalidEvent:
        return False
    return True


async def test_every_line_is_accepted_or_refused(client, backend):
    rng = random.Random(20260424)
    lines = [p.replace(b"\n", b"\r") for p in mutated(rng, COUNT)]
    lines = [line for line in lines if line and not line.isspace()]
    for start in range(0, len(lines), LINES_A_REQUEST):
        batch = lines[start : start + LINES_A_REQUEST]
        body, headers = b"\n".join(batch), NDJSON
        if start % (2 * LINES_A_REQUEST):
            body, headers = gzip.compress(body, 1), NDJSON | {"content-encoding": "gzip"}
        answer = await client.post("/v1/events", content=body, headers=headers)
        assert answer.status_code == 202
        said = answer.json()
        refused = {r["index"] for r in said["refused"]}
        assert said["accepted"] + len(said["refused"]) == len(batch) == said["accepted"] + len(refused)
        assert all(r["reason"] for r in said["refused"])
        assert refused == {i for i, line in enumerate(batch) if not is_event(line)}
    assert len(backend.taken) + len(backend.refused) == len(lines)


async def test_whole_bodies_that_are_mutilated(client, backend):
    """Arrays and gzip that are broken as a whole: every answer is one of those that are documented."""
    rng = random.Random(7)
    valid = valid_events(rng)
    seen = set()
    for i in range(1500):
        events = [next(valid) for _ in range(rng.randrange(4))]
        body = b"\n".join(events) if i % 2 else b"[" + b",".join(events) + b"]"
        kind = rng.choice(("application/json", "application/x-ndjson"))
        headers = {"content-type": kind}
        if rng.random() < 0.5:
            body, headers = gzip.compress(body, 1), headers | {"content-encoding": "gzip"}
        for _ in range(rng.randrange(3)):
            body = rng.choice(MUTATIONS)(rng, body)
        before = len(backend.taken)
        answer = await client.post("/v1/events", content=body, headers=headers)
        seen.add(answer.status_code)
        assert answer.status_code in (202, 400), answer.text
        said = answer.json()
        assert len(backend.taken) - before == said.get("accepted", 0)
        assert answer.status_code == 202 or (said.keys() == {"error", "detail"} and said["detail"])
    assert seen == {202, 400}


@pytest.mark.parametrize("path", ["/v1/check", "/v1/accounts/x", "/v1/campaigns", "/v1/decisions", "/v1/feedback"])
async def test_questions_that_are_mutilated(client, path):
    rng = random.Random(path)
    names = ("account_id", "after", "limit", "offset", "since", "shape", "risk_min", "accounts_max", "x")
    for line in mutated(rng, 300):
        value = line[:300].decode("latin-1")
        if path == "/v1/feedback":
            answer = await client.post(path, content=line)
        else:
            answer = await client.get(path, params={rng.choice(names): value})
        assert answer.status_code in (200, 202, 400, 404), answer.text
        assert answer.status_code in (200, 202) or answer.json().keys() == {"error", "detail"}
