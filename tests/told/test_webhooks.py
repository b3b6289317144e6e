"""What receivers of webhooks are promised: a real HTTP server, a real outbox, a clock that is set by hand."""

import asyncio
import base64
import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from stream_guard.engine import Outcome
from stream_guard.errors import SinkError
from stream_guard.events import Alert, Decision, Reason
from stream_guard.metrics import Metrics, WebhookMetrics
from stream_guard.testing.webhooks import WebhookReceiver
from stream_guard.transports.webhooks.delivery import SCHEDULE_S, WebhookDelivery, signed_headers, try_endpoints
from stream_guard.transports.webhooks.outbox import WebhookOutbox, body_of, message_id
from stream_guard.transports.webhooks.settings import WebhookEndpoint, WebhookSettings

pytestmark = pytest.mark.anyio

OLD, NEW, OTHER = ("whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2, 3))
SUSPENSIONS = {"decisions": ("suspend",)}
REASON = Reason("request_rate", 900.0, 10.0, 1.0, "1/day")


class Clock:
    """Stands still until it is moved."""

    def __init__(self):
        self.now = time.time()  # of today, as receivers refuse signatures of other days

    def __call__(self):
        return self.now


def decision(n, action="throttle", *, account="a1", supersedes=None, shadow=False, expires_at=None):
    return Decision(
        f"de_{n}",
        1000.0 + n,
        account,
        action,
        0.9,
        (REASON,),
        "p1",
        shadow,
        supersedes=supersedes,
        expires_at=expires_at,
    )


def alert(n, severity="critical", kind="campaign"):
    return Alert(f"al_{n}", 1000.0 + n, severity, kind, "six accounts share one template", campaign_id="ca_1")


def endpoint(url, name="bans", secrets=(NEW,), **more):
    return WebhookEndpoint(name=name, url=url, secrets=secrets, **more)


class Told:
    """An outbox and its delivery, taken down and built again as a process would be."""

    def __init__(self, directory: Path, *endpoints, **settings):
        self.settings = WebhookSettings(endpoints=endpoints, **settings)
        self.clock = Clock()
        self.metrics = Metrics()
        self._path = directory / "webhooks.db"
        self.start()

    def start(self):
        observer = WebhookMetrics(self.metrics, [e.name for e in self.settings.endpoints])
        self.outbox = WebhookOutbox(self._path, self.settings, clock=self.clock, observer=observer)
        self.delivery = WebhookDelivery(
            self.outbox, self.settings, clock=self.clock, jitter=lambda: 0.5, observer=observer
        )
        observer.watch(self.outbox.backlog, lambda: self.delivery.disabled, self.clock)

    async def make(self, *records):
        await self.outbox.add(
            Outcome(
                decisions=[r for r in records if isinstance(r, Decision)],
                alerts=[r for r in records if isinstance(r, Alert)],
            ),
            (),
        )
        await self.outbox.flush()

    async def crash(self):
        """Die without a word: what was added and not flushed is gone."""
        await self.delivery.close()
        self.start()

    async def deliver(self, *, after_s=0.0, name="bans"):
        self.clock.now += after_s
        while await self.delivery.deliver_due(name):
            pass

    async def delivered(self, count, name):
        while self.count("delivered", name) < count:
            await asyncio.sleep(0.01)

    def count(self, outcome, name="bans"):
        return self.metrics.registry.get_sample_value(
            "stream_guard_webhook_deliveries_total", {"endpoint": name, "outcome": outcome}
        )


@pytest.fixture
async def told(tmp_path):
    made = []

    def make(*endpoints, **settings):
        made.append(Told(tmp_path, *endpoints, **settings))
        return made[-1]

    yield make
    for one in made:
        await one.delivery.close()
        await one.outbox.close()


async def test_a_message_is_signed_and_says_what_was_decided(told):
    with WebhookReceiver([NEW]) as receiver:
        one = told(endpoint(receiver.url))
        await one.make(decision(1, supersedes="de_0"), alert(1))
        await one.deliver()
    by_type = {message.body["type"]: message for message in receiver.received}
    made, raised = by_type["decision.made"], by_type["alert.raised"]
    assert not receiver.refused
    assert made.body["timestamp"] == "1970-01-01T00:16:41.000000Z"
    assert made.body["data"]["decision_id"] == "de_1"
    assert made.body["data"]["supersedes"] == "de_0"
    assert made.body["data"]["reasons"][0]["signal"] == "request_rate"
    assert made.id == message_id("bans", "de_1")
    assert raised.body["data"]["campaign_id"] == "ca_1"
    assert one.count("delivered") == 2


@pytest.mark.parametrize(
    ("signed_by", "known", "taken"),
    [
        ((NEW,), [NEW], True),
        ((NEW, OLD), [OLD], True),  # the receiver has not changed its secret yet
        ((NEW, OLD), [NEW], True),  # the receiver has
        ((NEW,), [OLD, NEW], True),
        ((NEW,), [OLD], False),
    ],
)
async def test_a_secret_can_be_changed_without_a_gap(told, signed_by, known, taken):
    with WebhookReceiver(known) as receiver:
        one = told(endpoint(receiver.url, secrets=signed_by))
        await one.make(decision(1))
        await one.deliver()
    assert len(receiver.received) == taken
    assert len(receiver.refused) == (not taken)
    if taken:
        assert len(receiver.received[0].signature.split()) == len(signed_by)


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("body", lambda headers, body: (headers, body.replace(b"throttle", b"suspend "))),
        ("id", lambda headers, body: (headers | {"webhook-id": "msg_other"}, body)),
        ("time", lambda headers, body: (headers | {"webhook-timestamp": str(int(time.time()) - 400)}, body)),
        ("signature", lambda headers, body: (headers | {"webhook-signature": "v1,AAAA"}, body)),
        ("no signature", lambda headers, body: ({k: v for k, v in headers.items() if k != "webhook-signature"}, body)),
    ],
)
def test_what_was_changed_on_the_way_is_refused(what, change):
    body = body_of(decision(1))
    headers = signed_headers((Webhook(NEW),), "msg_1", body, time.time())
    with WebhookReceiver([NEW]) as receiver, httpx.Client() as client:
        headers_sent, body_sent = change(headers, body)
        assert client.post(receiver.url, content=body_sent, headers=headers_sent).status_code == 401, what
        assert client.post(receiver.url, content=body, headers=headers).status_code == 204
    assert [message.id for message in receiver.received] == ["msg_1"]
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(body, headers)


@pytest.mark.parametrize(
    ("filters", "records", "expected"),
    [
        ({}, [decision(1, "throttle"), decision(2, "watch", account="a2")], ["de_1"]),
        (SUSPENSIONS, [decision(1), decision(2, "suspend", account="a2")], ["de_2"]),
        ({"decisions": ()}, [decision(1), alert(2)], ["al_2"]),
        ({"alerts": ("critical",)}, [alert(1, "warning"), alert(2, "critical")], ["al_2"]),
        ({"alert_kinds": ("drift",)}, [alert(1), alert(2, kind="drift")], ["al_2"]),
        ({"alerts": ()}, [alert(1), decision(2)], ["de_2"]),
        ({}, [decision(1, shadow=True)], []),
        ({"shadow": True}, [decision(1, shadow=True)], ["de_1"]),
        # what ends a decision that was sent is sent, whatever was asked for
        (SUSPENSIONS, [decision(1, "suspend"), decision(2, "allow", supersedes="de_1")], ["de_1", "de_2"]),
        (SUSPENSIONS, [decision(1, "suspend"), decision(2, "throttle"), decision(3, "allow")], ["de_1", "de_2"]),
        ({}, [decision(1), decision(2, shadow=True)], ["de_1", "de_2"]),
        ({}, [decision(1), decision(2, "allow"), decision(3), decision(4, "allow")], ["de_1", "de_2", "de_3", "de_4"]),
        (SUSPENSIONS, [decision(2, "allow", supersedes="de_1")], ["de_2"]),  # another worker may have sent de_1
        # and not if none was sent
        ({}, [decision(1, "watch"), decision(2, "allow")], []),
        ({}, [decision(1), decision(2, "allow", account="a2")], ["de_1"]),
        ({"decisions": ()}, [decision(2, "allow", supersedes="de_1")], []),
    ],
)  # fmt: skip
async def test_each_endpoint_hears_what_it_asked_for_and_what_ends_it(told, filters, records, expected):
    with WebhookReceiver() as receiver:
        one = told(endpoint(receiver.url, **filters))
        for record in records:
            await one.make(record)
        await one.deliver()
    told_of = [m.body["data"].get("decision_id") or m.body["data"]["alert_id"] for m in receiver.received]
    assert sorted(told_of) == expected  # no order is promised


async def test_a_lift_is_sent_although_the_process_died_since(told):
    with WebhookReceiver() as receiver:
        one = told(endpoint(receiver.url, decisions=("suspend",)))
        await one.make(decision(1, "suspend"))
        await one.crash()
        await one.make(decision(2, "allow", supersedes="de_1"))
        await one.deliver()
    assert {m.body["data"]["action"] for m in receiver.received} == {"suspend", "allow"}


async def test_a_failed_message_is_tried_again_on_the_schedule_with_the_same_id(told):
    with WebhookReceiver([], replies=[500, 503, 404]) as receiver:
        one = told(endpoint(receiver.url))
        await one.make(decision(1))
        await one.deliver()
        tries = []
        for wait in SCHEDULE_S[:4]:
            await one.deliver(after_s=wait - 1)  # jitter only ever waits longer
            tries.append(len(receiver.received))
            await one.deliver(after_s=1 + wait * 0.2)
    assert tries == [1, 2, 3, 4]
    assert len(receiver.received) == 4
    assert len({message.id for message in receiver.received}) == 1
    assert [m.timestamp for m in receiver.received] == sorted({m.timestamp for m in receiver.received})
    assert (one.count("failed"), one.count("delivered")) == (3, 1)


@pytest.mark.parametrize(
    ("reply", "waits_s"),
    [
        ((429, {"retry-after": "120"}), 120),
        ((503, {"retry-after": "900"}), 900),
        ((503, {"retry-after": "soon"}), SCHEDULE_S[0]),
        ((302, {"location": "http://127.0.0.1:9/"}), SCHEDULE_S[0]),  # not followed
    ],
)
async def test_a_receiver_says_when_to_come_again(told, reply, waits_s):
    with WebhookReceiver(replies=[reply]) as receiver:
        one = told(endpoint(receiver.url))
        await one.make(decision(1))
        await one.deliver()
        await one.make(decision(2, account="a2"))  # waits with the first
        await one.deliver(after_s=waits_s - 1)
        before = len(receiver.received)
        await one.deliver(after_s=1 + waits_s * 0.2)
    assert before == 1
    assert len(receiver.received) == 3


async def test_gone_ends_deliveries_until_the_next_start(told):
    with WebhookReceiver(replies=[410]) as receiver:
        one = told(endpoint(receiver.url))
        await one.make(decision(1))
        await one.deliver()
        await one.make(decision(2, account="a2"))
        await one.deliver(after_s=86_400)
        assert len(receiver.received) == 1
        assert b'webhook_disabled{endpoint="bans"} 1.0' in one.metrics.render()
        assert b'webhook_outbox{endpoint="bans"} 2.0' in one.metrics.render()
        await one.crash()
        await one.deliver()
    assert sorted(m.body["data"]["decision_id"] for m in receiver.received) == ["de_1", "de_1", "de_2"]


async def test_what_was_flushed_outlives_a_crash_and_what_was_delivered_is_not_sent_again(told):
    with WebhookReceiver() as receiver:
        one = told(endpoint(receiver.url))
        await one.make(decision(1))
        await one.outbox.add(Outcome(decisions=[decision(2)]), ())  # not flushed: the worker will decide it again
        await one.crash()
        await one.deliver()
        await one.make(decision(1), decision(2))
        await one.deliver()
        await one.crash()
        await one.make(decision(1), decision(2))
        await one.deliver()
    assert sorted(m.id for m in receiver.received) == sorted(message_id("bans", de) for de in ("de_1", "de_2"))


_KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from stream_guard.engine import Outcome
from stream_guard.events import Decision
from stream_guard.transports.webhooks.outbox import WebhookOutbox
from stream_guard.transports.webhooks.settings import WebhookSettings

async def main():
    outbox = WebhookOutbox(Path(sys.argv[1]), WebhookSettings.model_validate_json(sys.argv[2]))
    await outbox.add(Outcome(decisions=[Decision("de_1", 1.0, "a1", "throttle", 0.9, (), "p1", False)]), ())
    await outbox.flush()
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_a_process_killed_between_flush_and_delivery_loses_nothing(told, tmp_path):
    with WebhookReceiver([NEW]) as receiver:
        settings = json.dumps({"endpoints": [{"name": "bans", "url": receiver.url, "secrets": [NEW]}]})
        killed = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", _KILLED, tmp_path / "webhooks.db", settings], check=False
        )
        assert killed.returncode == -signal.SIGKILL
        assert not receiver.received
        await told(endpoint(receiver.url)).deliver()
    assert [message.id for message in receiver.received] == [message_id("bans", "de_1")]


async def test_a_crash_after_the_answer_repeats_the_message_recognisably(told):
    with WebhookReceiver([NEW]) as receiver:
        one = told(endpoint(receiver.url))
        await one.make(decision(1))

        async def crash(*_):
            raise SinkError("the process dies here")

        one.delivery._settle = crash
        with pytest.raises(SinkError):
            await one.deliver()
        await one.crash()
        await one.deliver()
    assert [message.repeat for message in receiver.received] == [False, True]


async def test_what_is_too_old_or_too_much_is_given_up_and_counted(told):
    with WebhookReceiver(replies=[500] * 100) as receiver:
        one = told(endpoint(receiver.url), messages_max=3, age_max_hours=1.0)
        for n in range(5):
            await one.make(decision(n, account=f"a{n}"))
        assert one.count("dropped") == 2
        await one.deliver(after_s=3599)
        await one.deliver(after_s=2)
    assert one.count("expired") == 3
    assert {m.body["data"]["decision_id"] for m in receiver.received} <= {"de_2", "de_3", "de_4"}
    assert one.outbox.backlog()["bans"].waiting == 0


async def test_a_receiver_that_is_down_is_left_alone_for_longer_and_longer(told):
    with WebhookReceiver() as receiver:
        url = receiver.url
        one = told(endpoint(url), concurrency=4)
    for n in range(20):
        await one.make(decision(n, account=f"a{n}"))
    tried = []
    for _ in range(4):
        before = one.count("failed")
        await one.deliver()
        tried.append(one.count("failed") - before)
        one.clock.now += 5
    assert tried == [4, 1, 0, 1]  # at 0, 5 and 15 seconds
    with WebhookReceiver(port=httpx.URL(url).port) as receiver:
        await one.deliver(after_s=300)
        await one.deliver(after_s=600)
    assert len({m.id for m in receiver.received}) == 20


async def test_a_slow_receiver_delays_no_other(told):
    with WebhookReceiver() as quick, socket.create_server(("127.0.0.1", 0)) as slow:  # takes calls, never answers
        url = f"http://127.0.0.1:{slow.getsockname()[1]}/"
        one = told(endpoint(url, name="slow"), endpoint(quick.url, name="quick"), timeout_s=60.0)
        await one.make(decision(1))
        running = asyncio.create_task(one.delivery.run())
        async with asyncio.timeout(10):
            await one.delivered(1, "quick")
            await one.make(decision(2))  # wakes the lane
            await one.delivered(2, "quick")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert one.outbox.backlog()["quick"].waiting == 0
    assert one.outbox.backlog()["slow"].waiting == 2


async def test_an_answer_that_never_ends_is_cut_off(told):
    cut_off = asyncio.Event()

    async def drip(_, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nx: ")
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"y")
                await writer.drain()
                await asyncio.sleep(0.02)
        writer.close()
        cut_off.set()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    one = told(endpoint(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"), timeout_s=0.3)
    await one.make(decision(1))
    await one.deliver()
    async with asyncio.timeout(10):
        await cut_off.wait()
    server.close()
    assert (one.count("failed"), one.count("delivered")) == (1, 0)


async def test_a_trial_message_needs_no_outbox():
    with WebhookReceiver([NEW]) as receiver:
        good, bad = endpoint(receiver.url), endpoint(receiver.url, name="bad", secrets=(OLD,))
        answers = await try_endpoints(WebhookSettings(endpoints=(good, bad)), (good, bad))
    assert {name: answer.why for name, answer in answers.items()} == {"bans": "answered 204", "bad": "answered 401"}
    assert receiver.received[0].body["type"] == "webhook.test"


async def test_a_database_of_somebody_else_is_refused(tmp_path):
    (tmp_path / "webhooks.db").write_bytes(b"not a database, but long enough to look like one" * 20)
    with pytest.raises(SinkError, match=r"webhooks\.db"):
        WebhookOutbox(tmp_path / "webhooks.db", WebhookSettings())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"url": "http://example.com/hook"}, "needs insecure: true"),
        ({"url": "ftp://example.com/hook"}, "must be https"),
        ({"url": "https:///hook"}, "must be https"),
        ({"url": "https://u:p@example.com/"}, "no user"),
        ({"url": "https://example.com:port/"}, "url"),
        ({"secrets": ("hunter2",)}, "base64 of 24 to 64"),
        ({"secrets": ("whsec_c2hvcnQ=",)}, "base64 of 24 to 64"),
        ({"secrets": ()}, "at least 1"),
        ({"name": "Two Words"}, "pattern"),
    ],
)
def test_an_endpoint_that_cannot_work_is_refused_without_its_secret(change, message):
    fields = {"name": "bans", "url": "https://example.com/", "secrets": (NEW,)} | change
    with pytest.raises(ValueError, match=message) as refused:
        WebhookEndpoint(**fields)
    assert "base64 of 24" not in message or "c2hvcnQ" not in str(refused.value.errors(include_input=False))


async def test_the_receiver_of_the_documents_works(told, monkeypatch):
    monkeypatch.setenv("STREAM_GUARD_SECRET", NEW)
    text = (Path(__file__).parents[2] / "docs/alerting.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    receiver = {}
    exec(code, receiver)  # noqa: S102 - ours
    at = time.time()

    async def send(record, *, secret=NEW):
        body = body_of(record)
        headers = signed_headers((Webhook(secret),), message_id("bans", record.decision_id), body, at)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(receiver["app"]), base_url="http://here") as client:
            return (await client.post("/stream-guard", content=body, headers=headers)).status_code

    suspend, lift = decision(1, "suspend"), decision(2, "allow", supersedes="de_1")
    assert await send(suspend, secret=OLD) == 401
    assert receiver["suspended"] == set()
    assert await send(suspend) == 204
    assert receiver["suspended"] == {"a1"}
    assert await send(lift) == 204
    assert receiver["suspended"] == set()
    assert await send(suspend) == 204  # a repeat that comes late
    assert receiver["suspended"] == set()
    assert await send(decision(3, "suspend", shadow=True)) == 204
    assert receiver["suspended"] == set()
