"""`stream-guard run` as a process: its sources, its stop, and kill -9 under load."""

import asyncio
import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest

from stream_guard.app.run import run
from stream_guard.codecs import decode_events, encode
from stream_guard.config import Config
from stream_guard.engine import Engine, Outcome
from stream_guard.errors import SourceError, TransportError
from stream_guard.events import RequestEvent
from stream_guard.gateway.settings import ApiSettings
from stream_guard.transports.journal import EmbeddedSettings, Journal, Kind
from stream_guard.transports.sqlite import SqliteStore


class Running:
    """One process of `stream-guard run`, ready to answer."""

    def __init__(self, data, *options, stdin=subprocess.DEVNULL, **environment):
        command = [sys.executable, "-m", "stream_guard", "run", "--data", str(data), "--port", "0", *map(str, options)]
        environment = {**os.environ, "STREAM_GUARD__EMBEDDED__SNAPSHOT_INTERVAL_S": "0.3", **environment}
        with (data.parent / "stderr").open("a") as stderr:
            self.process = subprocess.Popen(
                command, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment
            )
        line = self.process.stdout.readline()
        found = re.match(r"listening on (\S+), state in ", line)
        if not found:
            self.process.communicate()
            pytest.fail(line + (data.parent / "stderr").read_text())
        self.http = httpx.Client(base_url=found[1], timeout=30)

    def account(self, account_id):
        answer = self.http.get(f"/v1/accounts/{account_id}")
        return answer.json() if answer.is_success else {"requests": 0}

    def stop(self, number=signal.SIGTERM):
        self.http.close()
        if self.process.stdin:
            self.process.stdin.close()
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(60)
        with self.process.stdout as stdout:
            return stdout.read()


@pytest.fixture
def start(tmp_path):
    processes = []

    def begin(*options, **environment):
        processes.append(Running(tmp_path / "data", *options, **environment))
        return processes[-1]

    yield begin
    for process in processes:
        if not process.process.stdout.closed:
            process.stop(signal.SIGKILL)


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited for 60 s"
        time.sleep(0.01)


def event(number, account="a"):
    return encode(RequestEvent(f"e{number}", 1000.0 + number, account, "m"))


def send(http, payloads, acknowledged):
    """Send 20 at a time until the connection breaks; puts what was acknowledged into the list."""
    try:
        while some := list(itertools.islice(payloads, 20)):
            answer = http.post("/v1/events", content=b"\n".join(some), headers={"content-type": "application/x-ndjson"})
            if answer.is_success:
                acknowledged += some
    except httpx.TransportError:
        pass


@pytest.mark.anyio
async def test_killed_under_load_it_has_lost_nothing_acknowledged_and_decided_nothing_twice(tmp_path, traffic, start):
    payloads, acknowledged = iter(traffic), []
    for kill_at in (len(traffic) // 4, len(traffic) // 2, len(traffic) * 3 // 4):
        service = start()
        sender = threading.Thread(target=send, args=(service.http, payloads, acknowledged))
        sender.start()
        until(lambda: len(acknowledged) >= kill_at)  # noqa: B023 - called here
        service.process.kill()
        sender.join()
    service = start()
    events, _ = decode_events(acknowledged, source="test")
    seen = {account: service.account(account)["requests"] for account in {e.account_id for e in events}}
    service.stop()
    assert service.process.returncode == 0

    # What the journal holds is all that was acknowledged, and at most what was on its way when it died.
    journal = Journal(tmp_path / "data" / "journal")
    told = [record for _, record in journal.read(0)]
    journal.close()
    kept = [record.payload for record in told if record.kind is Kind.HTTP]
    assert len(kept) == len(set(kept)) <= len(acknowledged) + 3 * 20
    assert set(kept) >= set(acknowledged)

    # And the service knows and decided what an engine does that was told the same without any crash.
    engine, expected = Engine(), Outcome()
    for record in told:
        if record.kind is Kind.HTTP:
            expected.extend(engine.process(decode_events([record.payload], source="http")[0]))
        else:
            expected.extend(engine.advance(float(record.payload)))
    assert seen == {account: engine.account(account).requests for account in seen}
    store = SqliteStore(tmp_path / "data" / "results.db")
    written = [decision for _, decision in store.decisions(limit=100_000)]
    assert written == expected.decisions != []
    assert [campaign for _, campaign in store.campaigns(limit=100_000)] == expected.campaigns
    await store.close()


@pytest.mark.anyio
async def test_a_followed_file_is_read_once_through_rotation_and_restarts(tmp_path, start):
    log = tmp_path / "log"

    def write(*numbers):
        with log.open("ab") as file:
            file.write(b"".join(event(n) + b"\n" for n in numbers))

    write(1, 2)
    service = start("--follow", log)
    until(lambda: service.account("a")["requests"] == 2)
    write(3)
    log.rename(tmp_path / "log.1")
    write(4, 5)
    until(lambda: service.account("a")["requests"] == 5)
    service.stop(signal.SIGKILL)
    write(6)

    service = start("--follow", log)
    until(lambda: service.account("a")["requests"] == 6)
    with log.open("ab") as file:
        file.write(b"poison\n")
    write(7)
    until(lambda: service.account("a")["requests"] == 7)
    service.stop()
    store = SqliteStore(tmp_path / "data" / "results.db")
    ((_, letter),) = store.dead_letters()
    assert (letter.source, letter.payload, letter.offset) == ("file", "poison", 6)
    await store.close()


def test_standard_input_is_read_and_its_end_ends_nothing(start):
    service = start("--stdin", stdin=subprocess.PIPE)
    service.process.stdin.write(event(1).decode() + "\n")
    service.process.stdin.flush()
    until(lambda: service.account("a")["requests"] == 1)
    service.process.stdin.write(event(2).decode())
    service.process.stdin.close()
    until(lambda: service.account("a")["requests"] == 2)
    assert service.http.get("/readyz").is_success


def test_what_it_prints_works_and_it_stops_cleanly(tmp_path, start):
    service = start()
    output = [service.process.stdout.readline() for _ in range(5)]
    assert "shadow mode" in output[0]
    for line in output[2:]:
        done = subprocess.run(line, shell=True, capture_output=True, text=True, check=True)  # noqa: S602 - that is the test
        assert done.stdout.startswith("{"), (line, done.stdout)
    assert '"allow"' in done.stdout

    service.stop(signal.SIGINT)
    assert service.process.returncode == 0
    assert (tmp_path / "data" / "snapshots" / "partition-0.snapshot").exists()
    assert "Traceback" not in (tmp_path / "stderr").read_text()


@pytest.mark.anyio
async def test_what_it_cannot_begin_with_is_told(tmp_path):
    embedded = EmbeddedSettings(data_dir=str(tmp_path / "data"))
    journal = Journal(tmp_path / "data" / "journal")
    with pytest.raises(SourceError, match="in use by another process"):
        await run(Config(embedded=embedded), asyncio.Event())
    journal.close()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = Config(embedded=embedded, api=ApiSettings(port=taken.getsockname()[1]))
        with pytest.raises(TransportError, match="cannot listen on 127"):
            await run(config, asyncio.Event())
    Journal(tmp_path / "data" / "journal").close()  # it has let go of it
