"""The API in front of the real embedded service: journal, database, restart."""

import asyncio
import json
from contextlib import asynccontextmanager

import httpx
import pytest

from stream_guard.app.service import EmbeddedService
from stream_guard.engine import Engine
from stream_guard.events import Decision
from stream_guard.gateway.api import create_app
from stream_guard.gateway.serving import serving
from stream_guard.gateway.settings import ApiSettings
from stream_guard.transports.journal import EmbeddedSettings

pytestmark = pytest.mark.anyio

DEADLINE_S = 30


class Suspicious(Engine):
    """The engine, and a decision about every request for the model `bad`, so that there are some to look at."""

    def process(self, events):
        out = super().process(events)
        out.decisions += [
            Decision(f"de_{e.event_id}", e.ts, e.account_id, "watch", 0.5, (), "p", shadow=True)
            for e in events
            if e.model == "bad"
        ]
        return out


@asynccontextmanager
async def running(directory):
    """Run the service and its API; gives a client."""
    service = EmbeddedService(Suspicious(), EmbeddedSettings(data_dir=directory))
    started, stop = asyncio.Event(), asyncio.Event()
    settings = ApiSettings(port=0)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(service.run(started, stop))
        async with serving(create_app(service, settings), settings) as address:
            await started.wait()
            async with httpx.AsyncClient(base_url=address, timeout=DEADLINE_S) as client:
                yield client
        stop.set()


async def send(client, *events):
    body = "\n".join(
        json.dumps({"event_id": name, "ts": 1777000000.0 + i, "account_id": f"acct_{name}", "model": model})
        for i, (name, model) in enumerate(events)
    )
    answer = await client.post("/v1/events", content=body + "\n{", headers={"content-type": "application/x-ndjson"})
    assert (answer.status_code, answer.json()["accepted"], len(answer.json()["refused"])) == (202, len(events), 1)


async def follow(client, count, cursor=None):
    """Return the ids of the next decisions, and the cursor after them."""
    found = []
    headers = {"last-event-id": cursor} if cursor else {}
    path = "/v1/decisions/stream"
    async with asyncio.timeout(DEADLINE_S), client.stream("GET", path, headers=headers) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("id: "):
                cursor = line.removeprefix("id: ")
            if line.startswith("data: "):
                found.append(json.loads(line.removeprefix("data: "))["decision_id"])
            if len(found) == count:
                break
    return found, cursor


async def decided(client, count):
    """Return the decisions once there are so many."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            page = (await client.get("/v1/decisions")).json()
            if len(page["decisions"]) >= count:
                return [d["decision_id"] for d in page["decisions"]]
            await asyncio.sleep(0.01)


async def test_a_reader_goes_on_across_a_restart(tmp_path):
    async with running(str(tmp_path)) as client:
        assert (await client.get("/readyz")).json()["ready"]
        reader = asyncio.create_task(follow(client, 2))
        await send(client, ("a", "good"))
        sent = 0
        while not reader.done():  # decisions count from when the reader is there
            sent += 1
            await send(client, (f"b{sent}", "bad"), (f"c{sent}", "good"))
            await asyncio.wait([reader], timeout=0.05)
        seen, cursor = await reader
        before = await decided(client, sent)
        assert before == [f"de_b{i + 1}" for i in range(sent)]
        at = before.index(seen[0])
        assert before[at : at + 2] == seen
    async with running(str(tmp_path)) as client:
        assert await decided(client, sent) == before
        await send(client, ("d", "bad"))
        rest = [*before[at + 2 :], "de_d"]
        assert (await follow(client, len(rest), cursor))[0] == rest
        account = (await client.get("/v1/accounts/acct_a")).json()
        assert account["requests"] == 1
        assert (await client.get("/v1/check", params={"account_id": "acct_a"})).json()["action"] == "allow"
