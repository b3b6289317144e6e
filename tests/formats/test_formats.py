"""What other programs log, read as request events: a sample of each, variations of it, and mutilations."""

import json
import random
from pathlib import Path

import httpx
import pytest

from stream_guard.codecs import decode_event, encode
from stream_guard.errors import InvalidEvent
from stream_guard.events import AccountFacts, Client, RequestEvent
from stream_guard.formats import FORMATS
from stream_guard.gateway.api import create_app
from stream_guard.testing.backend import MemoryBackend
from stream_guard.testing.mutations import MUTATIONS

SAMPLES = {name: (Path(__file__).parent / "samples" / f"{name}.json").read_bytes() for name in FORMATS}
KEY = "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b"

EVENTS = {
    "litellm": [
        RequestEvent(
            "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
            1777000000.25,
            "u-5d1e",
            "large-4",
            org_id="team-7",
            api_key_id=KEY,
            operation="acompletion",
            turn=1,
            status=200,
            finish_reason="length",
            stream=True,
            system="You are a careful tutor.",
            prompt="Explain step by step\nwhy.",
            input_tokens=31,
            output_tokens=412,
            max_tokens=2048,
            temperature=1.0,
            n=2,
            logprobs=True,
            tools=True,
            client=Client(ip="192.0.2.7"),
            account=AccountFacts(email_domain="firm.example"),
        )
    ],
    "otel": [
        RequestEvent(
            "5b8efff798038103d269b633813fc60c-eee19b7ec3c1b174",
            1777000000.25,
            "acct_5d1e",
            "large-4",
            operation="chat",
            conversation_id="conv_5j66",
            turn=0,
            status=200,
            finish_reason="stop",
            system="You are a careful tutor.",
            prompt="Explain step by step why.",
            input_tokens=31,
            output_tokens=412,
            max_tokens=2048,
            temperature=0.5,
            n=3,
            client=Client(ip="192.0.2.7", user_agent="python-requests/2.32"),
        ),
        RequestEvent(
            "5b8efff798038103d269b633813fc60d-bbb19b7ec3c1b176",
            1777000002.0,
            "the-process-itself",
            "large-4",
            operation="chat",
            status=429,
        ),
    ],
}


def read(name, payload):
    return [
        decode_event(encode({k: v for k, v in fields.items() if v is not None})) for fields in FORMATS[name](payload)
    ]


@pytest.mark.parametrize("name", FORMATS)
def test_sample(name):
    assert read(name, SAMPLES[name]) == EVENTS[name]


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ({"metadata": {"user_api_key_hash": KEY}}, "account_id", KEY),
        ({"metadata": {"user_api_key_hash": KEY, "user_api_key_org_id": "o"}}, "org_id", "o"),
        ({"model_group": None}, "model", "large-4-2026"),
        ({"messages": "redacted-by-litellm"}, "prompt", "redacted-by-litellm"),
        ({"messages": None}, "prompt", None),
        ({"messages": {"role": "user"}}, "prompt", None),
        ({"messages": [{"role": "developer", "content": "x"}]}, "system", "x"),
        ({"messages": [{"role": "user", "content": ["a", {"text": "b"}]}]}, "prompt", "a\nb"),
        ({"response": "redacted"}, "finish_reason", None),
        ({"response": {"choices": []}}, "finish_reason", None),
        ({"status": "failure", "error_information": {"error_code": "429"}}, "status", 429),
        ({"status": "failure", "error_information": {"error_code": 500}}, "status", 500),
        ({"status": "failure", "error_information": {"error_code": "timeout"}}, "status", None),
        ({"model_parameters": {"logprobs": 5, "max_completion_tokens": 9}}, "logprobs", True),
        ({"model_parameters": {"max_tokens": 1, "max_completion_tokens": 9}}, "max_tokens", 9),
    ],
)
def test_litellm_varies(change, field, value):
    [event] = read("litellm", json.dumps(json.loads(SAMPLES["litellm"]) | change).encode())
    assert getattr(event, field) == value


@pytest.mark.parametrize(
    ("name", "payload", "reason"),
    [
        ("litellm", b"{", "Not a LiteLLM standard logging payload: Input data was truncated"),
        ("litellm", b'{"id":1}', "Not a LiteLLM standard logging payload: Expected `str`, got `int` - at `$.id`"),
        (
            "litellm",
            b'{"id":"1","startTime":1,"model":"m","metadata":{}}',
            "Expected `user_api_key_user_id` or `user_api_key_hash` - at `$.metadata`",
        ),
        ("otel", b"[]", "Not an OTLP export of spans: Expected `object`, got `array`"),
        ("otel", b"{}", "Not an OTLP export of spans: Object missing required field `resourceSpans`"),
        (
            "otel",
            SAMPLES["otel"].replace(b'"1777000000250000000"', b'"soon"'),
            "Not an OTLP export of spans: invalid lit",
        ),
        (
            "otel",
            SAMPLES["otel"].replace(b'"[{\\"type', b'"[{\\"typ\\u0065'[:4] + b"{"),
            "Not an OTLP export of spans: ",
        ),
    ],
)
def test_what_is_not_of_the_format_is_refused(name, payload, reason):
    with pytest.raises(InvalidEvent) as refusal:
        read(name, payload)
    assert refusal.value.reason.startswith(reason)


@pytest.fixture
async def backend_and_client():
    backend = MemoryBackend()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app(backend)), base_url="http://api") as client:
        yield backend, client


@pytest.mark.anyio
@pytest.mark.parametrize("name", FORMATS)
async def test_over_http(name, backend_and_client):
    backend, client = backend_and_client
    lines = b"\n".join(json.dumps(json.loads(SAMPLES[name])).encode() for _ in range(2)) + b"\n{}"
    for body, kind in [(SAMPLES[name], "application/json"), (lines, "application/x-ndjson")]:
        answer = await client.post(f"/v1/events?format={name}", content=body, headers={"content-type": kind})
        assert answer.status_code == 202
    assert answer.json()["accepted"] == 2 * len(EVENTS[name])
    assert [r["index"] for r in answer.json()["refused"]] == [2]
    assert [decode_event(payload) for payload in backend.taken] == 3 * EVENTS[name]
    unknown = await client.post("/v1/events?format=csv", content=b"{}", headers={"content-type": "application/json"})
    assert (unknown.status_code, unknown.json()["error"]) == (400, "invalid_parameter")


@pytest.mark.anyio
async def test_a_span_without_an_account_is_refused_and_the_others_are_taken(backend_and_client):
    backend, client = backend_and_client
    body = SAMPLES["otel"].replace(b'"the-process-itself"', b'""')
    answer = await client.post("/v1/events?format=otel", content=body, headers={"content-type": "application/json"})
    assert answer.json() == {
        "accepted": 1,
        "refused": [{"index": 0, "reason": "Expected `str` of length >= 1 - at `$.account_id`"}],
    }
    assert len(backend.taken) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("name", FORMATS)
async def test_mutilated(name, backend_and_client):
    backend, client = backend_and_client
    rng = random.Random(name)
    sample = json.dumps(json.loads(SAMPLES[name])).encode()
    lines = []
    for _ in range(2000):
        line = sample
        for _ in range(rng.randrange(3)):
            line = rng.choice(MUTATIONS)(rng, line)
        lines.append(line.replace(b"\n", b"\r"))
    for start in range(0, len(lines), 500):
        batch = [line for line in lines[start : start + 500] if line and not line.isspace()]
        before = len(backend.taken), len(backend.refused)
        answer = await client.post(
            f"/v1/events?format={name}",
            content=b"\n".join(batch),
            headers={"content-type": "application/x-ndjson"},
        )
        assert answer.status_code == 202
        said = answer.json()
        assert said["accepted"] == len(backend.taken) - before[0]
        assert len(said["refused"]) == len(backend.refused) - before[1]
        assert {r["index"] for r in said["refused"]} <= set(range(len(batch)))
        if name == "litellm":  # one request a payload
            assert said["accepted"] + len(said["refused"]) == len(batch)
