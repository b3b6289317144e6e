"""Each question with its answer, and everything that can be wrong with a question."""

import asyncio
import gzip
import json

import pytest
from pydantic import SecretStr, ValidationError

from stream_guard.engine import EngineSettings
from stream_guard.errors import Overloaded, SinkError
from stream_guard.events import Campaign, CampaignView, Decision, Feedback
from stream_guard.gateway.api import create_app
from stream_guard.gateway.settings import ApiSettings
from stream_guard.metrics import CONTENT_TYPE, Metrics
from stream_guard.testing.backend import MemoryBackend

pytestmark = pytest.mark.anyio

NDJSON = {"content-type": "application/x-ndjson"}
JSON = {"content-type": "application/json"}


def decision(number, account="acct_1", **fields):
    fields = {"action": "throttle", "shadow": False} | fields
    return Decision(
        f"de_{number}", 1000.0 + number, account, fields.pop("action"), 0.9, (), "p1", fields.pop("shadow"), **fields
    )


def campaign(number, accounts=("a", "b"), **fields):
    fields = {"risk": 0.9, "shape": "narrow"} | fields
    record = Campaign(
        f"ca_{number}", 1000.0 + number, accounts[:1], len(accounts), exchanges=9, first_seen=1.0, **fields
    )
    return CampaignView(record, accounts)


# --- Events in ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (NDJSON, lambda a, b, c: b"\n".join((a, b, c))),
        (NDJSON, lambda a, b, c: b"\n".join((a, b, c)) + b"\n"),
        (NDJSON, lambda a, b, c: b"\r\n".join((a, b, c)) + b"\r\n"),
        (NDJSON | {"content-type": "application/jsonl; charset=utf-8"}, lambda a, b, c: b"\n".join((a, b, c))),
        (JSON, lambda a, b, c: b"[" + b",".join((a, b, c)) + b"]"),
        (JSON, lambda a, b, c: b" [\n" + b" ,\n".join((a, b, c)) + b"]\n"),
        (NDJSON | {"content-encoding": "gzip"}, lambda a, b, c: gzip.compress(b"\n".join((a, b, c)))),
        (
            NDJSON | {"content-encoding": "gzip"},
            lambda a, b, c: gzip.compress(a) + gzip.compress(b"\n" + b + b"\n" + c),
        ),
        (JSON | {"content-encoding": "gzip"}, lambda a, b, c: gzip.compress(b"[" + b",".join((a, b, c)) + b"]")),
    ],
)
async def test_events_are_taken_in_every_form(client, backend, event, headers, body):
    a, b, c = event(1), b'{"event_id":7}', event(3)
    answer = await client.post("/v1/events", content=body(a, b, c), headers=headers)
    assert answer.status_code == 202
    assert answer.json() == {
        "accepted": 2,
        "refused": [{"index": 1, "reason": "Expected `str`, got `int` - at `$.event_id`"}],
    }
    assert [json.loads(p)["event_id"] for p in backend.taken] == ["e1", "e3"]
    assert [(letter.source, letter.offset, letter.payload.strip()) for letter in backend.refused] == [
        ("http", 1, b.decode())
    ]


async def test_one_object_is_an_array_of_one(client, event):
    pretty = json.dumps(json.loads(event(1)), indent=2)
    assert (await client.post("/v1/events", content=pretty, headers=JSON)).json()["accepted"] == 1


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
@pytest.mark.parametrize("packed", [False, True])
async def test_it_does_not_matter_how_a_body_is_cut(client, backend, event, size, packed):
    lines = [event(i) for i in range(20)]
    lines[5], lines[9] = b"", b"{"
    body = b"\n".join(lines)
    body = gzip.compress(body) if packed else body

    async def pieces():
        for start in range(0, len(body), size):
            yield body[start : start + size]

    headers = NDJSON | ({"content-encoding": "gzip"} if packed else {})
    answer = await client.post("/v1/events", content=pieces(), headers=headers)
    assert answer.json() == {"accepted": 18, "refused": [{"index": 9, "reason": "Input data was truncated"}]}
    assert backend.taken == [line for line in lines if len(line) > 1]


SMALL = ApiSettings(body_bytes_max=2000, unpacked_bytes_max=5000, events_max=10)


@pytest.mark.parametrize(
    ("headers", "body", "status", "error"),
    [
        ({"content-type": "text/csv"}, b"{}", 415, "unsupported_media_type"),
        ({}, b"{}", 415, "unsupported_media_type"),
        (NDJSON | {"content-encoding": "br"}, b"{}", 415, "unsupported_media_type"),
        (NDJSON, b"", 400, "unreadable"),
        (NDJSON, b"\n \n\r\n", 400, "unreadable"),
        (JSON, b"[]", 400, "unreadable"),
        (JSON, b'[{"event_id":"e"},', 400, "unreadable"),
        (JSON, b"[" * 1500, 400, "unreadable"),
        (NDJSON | {"content-encoding": "gzip"}, b"{}", 400, "unreadable"),
        (NDJSON | {"content-encoding": "gzip"}, b"", 400, "unreadable"),
        (NDJSON | {"content-encoding": "gzip"}, gzip.compress(b"{}\n" * 9)[:-9], 400, "unreadable"),
        (NDJSON | {"content-encoding": "gzip"}, gzip.compress(b"{}") + b"junk", 400, "unreadable"),
        (NDJSON, b"x" * 2001, 413, "too_large"),
        (NDJSON | {"content-encoding": "gzip"}, gzip.compress(b"x" * 5001), 413, "too_large"),
        (NDJSON | {"content-encoding": "gzip"}, gzip.compress(bytes(10**6)), 413, "too_large"),
        (NDJSON, b"{}\n" * 11, 413, "too_large"),
        (JSON, b"[" + b",".join([b"{}"] * 11) + b"]", 413, "too_large"),
    ],
)
async def test_a_body_that_cannot_be_read_takes_nothing(backend, make_client, headers, body, status, error):
    async with make_client(backend, SMALL) as client:
        answer = await client.post("/v1/events", content=body, headers=headers)
    assert answer.status_code == status
    assert answer.json()["error"] == error
    assert backend.taken == []
    assert answer.json()["detail"]


@pytest.mark.parametrize(
    ("failure", "status", "error", "retry_after"),
    [
        (Overloaded("90000 events wait", retry_after_s=3.2), 429, "overloaded", "3"),
        (Overloaded("90000 events wait", retry_after_s=0.05), 429, "overloaded", "1"),
        (SinkError("no space left on device"), 503, "unavailable", "1"),
    ],
)
async def test_nothing_is_acknowledged_that_is_not_durable(client, backend, event, failure, status, error, retry_after):
    backend.failure = failure
    for path, body, headers in [
        ("/v1/events", event(1), NDJSON),
        ("/v1/feedback", b'{"label":"benign","account_id":"a"}', JSON),
    ]:
        answer = await client.post(path, content=body, headers=headers)
        assert (answer.status_code, answer.headers["retry-after"]) == (status, retry_after)
        assert answer.json() == {"error": error, "detail": str(failure)}
    assert backend.taken == []


async def test_only_so_many_uploads_are_read_at_a_time(backend, make_client, event):
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def slow():
        yield event(1)
        arrived.set()
        await go_on.wait()

    async with make_client(backend, ApiSettings(uploads_max=1)) as client:
        first = asyncio.create_task(client.post("/v1/events", content=slow(), headers=NDJSON))
        await arrived.wait()
        assert (await client.post("/v1/events", content=event(2), headers=NDJSON)).status_code == 429
        go_on.set()
        assert (await first).status_code == 202
        assert (await client.post("/v1/events", content=event(3), headers=NDJSON)).status_code == 202


async def test_a_caller_that_does_not_go_on_is_left(backend, make_client, event):
    async def stuck():
        yield event(1)
        await asyncio.Event().wait()

    async with make_client(backend, ApiSettings(body_s_max=0.01)) as client:
        answer = await client.post("/v1/events", content=stuck(), headers=NDJSON)
    assert (answer.status_code, answer.json()["error"]) == (408, "request_timeout")


async def test_where_nothing_is_taken_it_says_so(client, backend, event):
    backend.intake = None
    assert (await client.post("/v1/events", content=event(1), headers=NDJSON)).status_code == 404


# --- Check ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("in_force", "answer"),
    [
        (None, {"action": "allow"}),
        (
            decision(1, limit_rpm=0.5, expires_at=9000.0, campaign_id="ca_1"),
            {
                "action": "throttle",
                "limit_rpm": 0.5,
                "expires_at": 9000.0,
                "campaign_id": "ca_1",
                "decision_id": "de_1",
            },
        ),
        (
            decision(1, shadow=True, limit_rpm=0.5),
            {"action": "allow", "shadow": True, "shadow_action": "throttle", "limit_rpm": 0.5, "decision_id": "de_1"},
        ),
        (decision(1, action="watch"), {"action": "watch", "decision_id": "de_1"}),
    ],
)
async def test_check_says_what_to_do(client, backend, monkeypatch, in_force, answer):
    monkeypatch.setattr(backend, "check", lambda _: in_force)
    nothing = dict.fromkeys(("shadow_action", "limit_rpm", "expires_at", "decision_id", "campaign_id"))
    got = await client.get("/v1/check", params={"account_id": "acct_1"})
    assert got.status_code == 200
    assert got.json() == nothing | {"shadow": False} | answer
    assert got.headers["x-stream-guard-action"] == answer["action"]
    limit = "0.5" if answer["action"] == "throttle" else None
    assert got.headers.get("x-stream-guard-limit-rpm") == limit


async def test_check_follows_the_engine(make_client, event):
    backend = MemoryBackend(EngineSettings(shadow=False))
    async with make_client(backend) as client:
        for start in range(0, 400, 100):
            body = b"\n".join(event(i, account=f"acct_{i % 2}") for i in range(start, start + 100))
            await client.post("/v1/events", content=body, headers=NDJSON)
        seen = {d.account_id: d for d in [p.decision for p in await backend.decisions.read(None, 100)]}
        for account in ("acct_0", "acct_1", "never/seen"):
            got = (await client.get("/v1/check", params={"account_id": account})).json()
            expected = seen.get(account)
            assert got["action"] == (expected.action if expected else "allow")
            assert got["decision_id"] == (expected.decision_id if expected else None)


# --- Accounts, campaigns, decisions ---------------------------------------------------------------------------------


async def test_account(client, event):
    await client.post("/v1/events", content=event(1, account="org/7"), headers=NDJSON)
    view = (await client.get("/v1/accounts/org%2F7")).json()
    assert (view["account_id"], view["requests"], view["first_seen"]) == ("org/7", 1, 1777000001.0)
    missing = await client.get("/v1/accounts/nobody")
    assert (missing.status_code, missing.json()) == (
        404,
        {"error": "not_found", "detail": "no account 'nobody' was seen here"},
    )


@pytest.mark.parametrize(
    ("params", "found", "following"),
    [
        ({}, [4, 3, 2, 1, 0], None),
        ({"limit": 2}, [4, 3], 2),
        ({"limit": 2, "offset": 4}, [0], None),
        ({"limit": 5}, [4, 3, 2, 1, 0], None),
        ({"offset": 9}, [], None),
        ({"shape": "relay"}, [3, 1], None),
        ({"risk_min": 0.75}, [4, 3], None),
        ({"since": 1003}, [4, 3], None),
        ({"account_id": "x2"}, [2], None),
    ],
)
async def test_campaigns_are_listed(client, backend, monkeypatch, params, found, following):
    held = [
        campaign(i, ("a", f"x{i}"), shape="relay" if i % 2 else "narrow", risk=0.6 + i / 20) for i in (4, 3, 2, 1, 0)
    ]
    monkeypatch.setattr(backend, "campaigns", lambda: held)
    page = (await client.get("/v1/campaigns", params=params)).json()
    assert [c["campaign_id"] for c in page["campaigns"]] == [f"ca_{i}" for i in found]
    assert page["next_offset"] == following
    assert all(c["size"] == 2 for c in page["campaigns"])


async def test_campaign_names_as_many_accounts_as_asked_for(client, backend, monkeypatch):
    held = campaign(1, tuple(f"a{i}" for i in range(3000)))
    monkeypatch.setattr(backend, "campaign", {"ca_1": held}.get)
    for asked, named in [({}, 1000), ({"accounts_max": 3}, 3), ({"accounts_max": 100_000}, 3000)]:
        view = (await client.get("/v1/campaigns/ca_1", params=asked)).json()
        assert (view["campaign"]["size"], len(view["accounts"])) == (3000, named)
    assert (await client.get("/v1/campaigns/ca_2")).status_code == 404


async def test_decisions_are_read_page_by_page(client, backend):
    backend.decisions.add(decision(i, account=f"a{i % 3}") for i in range(10))
    seen, cursor = [], None
    while len(seen) < 10:
        page = (await client.get("/v1/decisions", params={"limit": 4} | ({"after": cursor} if cursor else {}))).json()
        seen += [d["decision_id"] for d in page["decisions"]]
        cursor = page["cursor"]
    assert seen == [f"de_{i}" for i in range(10)]
    last = (await client.get("/v1/decisions", params={"after": cursor})).json()
    assert last == {"decisions": [], "cursor": cursor}


async def test_decisions_are_filtered(client, backend):
    backend.decisions.add(decision(i, account=f"a{i % 3}") for i in range(10))
    page = (await client.get("/v1/decisions", params={"account_id": "a1", "since": 1002})).json()
    assert [d["decision_id"] for d in page["decisions"]] == ["de_4", "de_7"]


async def test_a_cursor_of_what_is_forgotten_is_refused(make_client):
    backend = MemoryBackend(ring_size_max=3)
    backend.decisions.add(decision(i) for i in range(3))
    oldest = (await backend.decisions.read(None, 1))[0].cursor
    backend.decisions.add(decision(i) for i in range(3, 6))
    async with make_client(backend) as client:
        for cursor in (oldest, "another-1", "\u0663"):
            answer = await client.get("/v1/decisions", params={"after": cursor})
            assert (answer.status_code, answer.json()["error"]) == (400, "invalid_cursor")


# --- An analyst's word ----------------------------------------------------------------------------------------------


async def test_feedback_is_taken(client, backend):
    word = {"label": "benign", "account_id": "a", "analyst": "mira", "note": "ours", "ts": "2026-04-24T03:06:40Z"}
    answer = await client.post("/v1/feedback", json=word)
    assert answer.status_code == 202
    assert backend.lessons == [Feedback(1777000000.0, "benign", "a", None, "mira", "ours")]
    assert answer.json() == word | {"ts": 1777000000.0}


@pytest.mark.parametrize(
    ("word", "status", "detail"),
    [
        ({"label": "benign"}, 400, "Expected one of `account_id` and `campaign_id`"),
        ({"label": "benign", "account_id": "a", "campaign_id": "c"}, 400, "Expected one of"),
        ({"label": "bad", "account_id": "a"}, 400, "Invalid enum value 'bad' - at `$.label`"),
        ({"account_id": "a"}, 400, "Object missing required field `label`"),
        ({"label": "benign", "account_id": "a", "note": "x" * 70_000}, 413, "the body is longer than 65536 bytes"),
    ],
)
async def test_feedback_that_is_not_understood_is_refused(client, backend, word, status, detail):
    answer = await client.post("/v1/feedback", json=word)
    assert answer.status_code == status
    assert detail in answer.json()["detail"]
    assert backend.lessons == []


# --- Who may ask ----------------------------------------------------------------------------------------------------

TOKEN = "t0ken-of-sixteen-or-more"


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 401),
        ("Bearer wrong", 401),
        ("Bearer " + TOKEN[:-1], 401),
        ("Basic " + TOKEN, 401),
        ("Bearer t\u00f6ken".encode("latin-1"), 401),
        ("Bearer " + TOKEN, 200),
    ],
)
async def test_token(backend, make_client, header, status):
    headers = {"authorization": header} if header else {}
    async with make_client(backend, ApiSettings(token=SecretStr(TOKEN)), Metrics()) as client:
        answer = await client.get("/v1/check", params={"account_id": "a"}, headers=headers)
        assert answer.status_code == status
        assert TOKEN not in answer.text
        if status == 401:
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.json()["error"] == "unauthorized"
        for path in ("/healthz", "/readyz", "/metrics"):
            assert (await client.get(path)).status_code == 200


async def test_every_path_of_v1_needs_the_token(backend, make_client):
    settings = ApiSettings(token=SecretStr(TOKEN))
    paths = create_app(backend, settings).openapi()["paths"]
    async with make_client(backend, settings) as client:
        asked = [(m, p) for p, methods in paths.items() for m in methods if p.startswith("/v1/")]
        assert len(asked) >= 8
        for method, path in asked:
            answer = await client.request(method, path.format(account_id="a", campaign_id="c"))
            assert answer.status_code == 401, path


def test_the_token_is_not_printed_and_not_short():
    assert TOKEN not in repr(ApiSettings(token=SecretStr(TOKEN)))
    with pytest.raises(ValidationError) as refusal:
        ApiSettings(token=SecretStr("short"))
    assert "short'" not in str(refusal.value)


# --- Is it there, and what does it say of itself --------------------------------------------------------------------


async def test_readiness_names_the_components(client, backend):
    assert (await client.get("/readyz")).json() == {"ready": True, "components": {"engine": "ok"}}
    backend.components = {"engine": "replaying, 60 % done", "journal": "ok"}
    answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "components": backend.components}
    assert (await client.get("/healthz")).status_code == 200


async def test_metrics_are_there_if_given(backend, make_client, client):
    assert (await client.get("/metrics")).status_code == 404
    async with make_client(backend, metrics=Metrics()) as other:
        await other.get("/v1/check", params={"account_id": "a"})
        answer = await other.get("/metrics")
    assert answer.headers["content-type"] == CONTENT_TYPE
    assert 'route="/v1/check"' in answer.text


@pytest.mark.parametrize(
    ("path", "status", "error", "detail"),
    [
        ("/v1/nothing", 404, "not_found", "Not Found"),
        ("/v1/check", 400, "invalid_parameter", "query.account_id: Field required"),
        (
            "/v1/check?account_id=",
            400,
            "invalid_parameter",
            "query.account_id: String should have at least 1 character",
        ),
        ("/v1/check?account_id=" + "x" * 257, 400, "invalid_parameter", "query.account_id: String should have at most"),
        ("/v1/decisions?limit=0", 400, "invalid_parameter", "query.limit: Input should be greater than or equal to 1"),
        ("/v1/decisions?limit=1001", 400, "invalid_parameter", "query.limit: Input should be less than or equal to"),
        (
            "/v1/campaigns?shape=round",
            400,
            "invalid_parameter",
            "query.shape: Input should be 'narrow', 'relay' or 'solo'",
        ),
        ("/v1/events", 405, "method_not_allowed", "Method Not Allowed"),
    ],
)
async def test_every_error_has_one_form(client, path, status, error, detail):
    answer = await client.get(path)
    assert answer.status_code == status
    assert answer.json().keys() == {"error", "detail"}
    assert answer.json()["error"] == error
    assert answer.json()["detail"].startswith(detail)


async def test_a_defect_of_ours_is_an_error_too_and_tells_nothing(client, backend, monkeypatch):
    def broken(_):
        raise RuntimeError("secret inside")

    monkeypatch.setattr(backend, "check", broken)
    answer = await client.get("/v1/check", params={"account_id": "a"})
    assert (answer.status_code, answer.json()["error"]) == (500, "internal")
    assert "secret" not in answer.text


def test_openapi_has_an_example_and_a_schema_everywhere(backend):
    document = create_app(backend).openapi()
    defined = document["components"]["schemas"]
    text = json.dumps(document)
    for name in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert name in defined
    for path, methods in document["paths"].items():
        for route in methods.values():
            assert route["summary"], path
            for content in [a for answer in route["responses"].values() for a in answer.get("content", {}).values()]:
                assert content.get("schema"), path


async def test_openapi_is_served(client):
    assert (await client.get("/openapi.json")).json()["info"]["title"] == "stream_guard"
