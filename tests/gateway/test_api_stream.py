"""The stream of decisions over a real socket: what comes, from where it goes on, who is cut off, how it ends."""

import asyncio
import json
import socket
from contextlib import asynccontextmanager

import httpx
import pytest

from stream_guard.errors import TransportError
from stream_guard.events import Decision
from stream_guard.gateway.api import create_app
from stream_guard.gateway.serving import serving
from stream_guard.gateway.settings import ApiSettings
from stream_guard.testing.backend import MemoryBackend

pytestmark = pytest.mark.anyio

DEADLINE_S = 20


@asynccontextmanager
async def served(backend, **settings):
    """Serve an API on a free port; gives the app and a client."""
    settings = ApiSettings(port=0, **settings)
    app = create_app(backend, settings)
    async with serving(app, settings) as address, httpx.AsyncClient(base_url=address, timeout=DEADLINE_S) as client:
        yield app, client


@asynccontextmanager
async def following(client, path="/v1/decisions/stream", **headers):
    """Follow a stream; gives an iterator of its messages, (id, event, data) or "heartbeat"."""

    async def messages(lines):
        message = {}
        async for line in lines:
            if line.startswith(":"):
                message = {"heartbeat": True}
            elif line:
                field, _, value = line.partition(": ")
                message[field] = value
            else:
                yield "heartbeat" if message.get("heartbeat") else _parsed(message)
                message = {}

    async with client.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        stream = messages(answer.aiter_lines())
        assert await anext(stream) == "heartbeat", "says at once that it is there"
        yield stream


def _parsed(message):
    return message.get("id"), message["event"], json.loads(message["data"])


async def decisions_of(stream, count):
    """Return the ids of the next decisions, and the last cursor."""
    found, cursor = [], None
    async with asyncio.timeout(DEADLINE_S):
        while len(found) < count:
            message = await anext(stream)
            if message != "heartbeat":
                cursor, event, record = message
                assert event == "decision"
                found.append(record["decision_id"])
    return found, cursor


def decision(number, account="a"):
    return Decision(f"de_{number}", float(number), account, "watch", 0.5, (), "p1", shadow=True)


async def test_decisions_come_as_they_are_made():
    backend = MemoryBackend()
    backend.decisions.add([decision(0)])
    async with served(backend) as (_, client), following(client) as stream:
        backend.decisions.add([decision(1), decision(2)])
        assert (await decisions_of(stream, 2))[0] == ["de_1", "de_2"]
        backend.decisions.add([decision(3)])
        assert (await decisions_of(stream, 1))[0] == ["de_3"]


async def test_a_reader_goes_on_where_it_was():
    backend = MemoryBackend()
    async with served(backend) as (_, client):
        async with following(client) as stream:
            backend.decisions.add([decision(0), decision(1)])
            seen, cursor = await decisions_of(stream, 2)
        backend.decisions.add(decision(i) for i in range(2, 1300))
        async with following(client, **{"last-event-id": cursor}) as stream:
            seen += (await decisions_of(stream, 1298))[0]
        async with following(client, f"/v1/decisions/stream?after={cursor}") as stream:
            assert (await decisions_of(stream, 1))[0] == ["de_2"]
    assert seen == [f"de_{i}" for i in range(1300)]


async def test_only_one_account_if_asked():
    backend = MemoryBackend()
    async with served(backend) as (_, client), following(client, "/v1/decisions/stream?account_id=b") as stream:
        for i in range(0, 30, 3):
            backend.decisions.add([decision(i, "a"), decision(i + 1, "b"), decision(i + 2, "c")])
            assert (await decisions_of(stream, 1))[0] == [f"de_{i + 1}"]


async def test_who_may_have_missed_something_is_told():
    backend = MemoryBackend(ring_size_max=2)
    async with served(backend) as (_, client):
        async with following(client) as stream:
            backend.decisions.add([decision(0)])
            _, cursor = await decisions_of(stream, 1)
        backend.decisions.add(decision(i) for i in range(1, 5))
        for lost in (cursor, "of-another-run-7"):
            async with following(client, **{"last-event-id": lost}) as stream:
                assert await anext(stream) == (None, "gap", {})
                assert (await decisions_of(stream, 2))[0] == ["de_3", "de_4"]


async def test_silence_is_broken_by_heartbeats():
    async with served(MemoryBackend(), heartbeat_s=0.01) as (_, client), following(client) as stream:
        async with asyncio.timeout(DEADLINE_S):
            assert [await anext(stream) for _ in range(3)] == ["heartbeat"] * 3


async def test_who_takes_nothing_is_cut_off():
    backend = MemoryBackend()
    async with served(backend, stall_s=0.05) as (app, client):
        host, port = client.base_url.host, client.base_url.port
        with socket.create_connection((host, port)) as stuck:
            stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stuck.sendall(b"GET /v1/decisions/stream HTTP/1.1\r\nhost: x\r\n\r\n")
            async with asyncio.timeout(DEADLINE_S):
                while not app.state.readers:
                    await asyncio.sleep(0)
                while app.state.readers:
                    backend.decisions.add([decision(i, "x" * 200) for i in range(1000)])
                    await asyncio.sleep(0)
        assert (await client.get("/healthz")).status_code == 200


async def test_there_are_only_so_many_readers():
    async with served(MemoryBackend(), streams_max=1) as (app, client):
        async with following(client):
            refused = await client.get("/v1/decisions/stream")
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        async with asyncio.timeout(DEADLINE_S):
            while app.state.readers:
                await asyncio.sleep(0)
        async with following(client):
            pass


async def test_streams_end_when_the_service_stops():
    async with asyncio.timeout(DEADLINE_S):
        async with served(MemoryBackend()) as (app, client), following(client) as stream:
            app.state.closing.set()
            with pytest.raises(StopAsyncIteration):
                await anext(stream)


async def test_a_port_that_is_taken_is_said_in_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            TransportError, match=rf"^cannot listen on 127\.0\.0\.1 port {port}: Address already in use$"
        ):
            async with serving(create_app(MemoryBackend()), ApiSettings(port=port)):
                pass


async def test_signals_stay_with_whoever_runs_the_loop():
    import signal

    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    async with served(MemoryBackend()):
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


async def test_answers_do_not_wait_for_more_to_send():
    async def app(scope, receive, send):
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    app.state = create_app(MemoryBackend()).state
    async with serving(app, ApiSettings(port=0)) as address, httpx.AsyncClient(base_url=address) as client:
        started = asyncio.get_running_loop().time()
        for _ in range(50):
            assert (await client.get("/")).content == b"ok"
        assert asyncio.get_running_loop().time() - started < 50 * 0.04, "Nagle's algorithm is on"
