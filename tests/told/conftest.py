"""A running stream_guard with traffic, and a real Prometheus that watches it."""

import base64
import json
import re
import socket
import subprocess
import sys
import threading
from itertools import cycle

import httpx
import numpy as np
import pytest
from deployed import DEPLOY, require_prometheus, until

from stream_guard.accounts import ACCOUNT
from stream_guard.engine import Engine
from stream_guard.testing.webhooks import WebhookReceiver
from stream_guard.transports.base import Snapshot
from stream_guard.transports.snapshots import DirectorySnapshots

SCRAPE_S = 0.5
SECRET = "whsec_" + base64.b64encode(b"x" * 32).decode()


@pytest.fixture(scope="session")
def traffic(tmp_path_factory):
    """A few thousand events with a campaign in them, as lines."""
    out = tmp_path_factory.mktemp("traffic") / "events.jsonl"
    command = ["simulate", "focused", "--accounts", "150", "--days", "1", "--out", str(out)]
    subprocess.run([sys.executable, "-m", "stream_guard", *command], check=True)
    return out.read_bytes().splitlines()


def with_a_baseline():
    """State that has learnt what is usual, which takes a service of this size weeks."""
    engine = Engine()
    judge = engine._accounts._judge
    judge.learn_one(np.zeros(1, ACCOUNT), 0.0)
    judge.freeze()
    return Snapshot(engine.snapshot(), 0)


@pytest.fixture(scope="session")
def running(tmp_path_factory, traffic):
    """The address of `stream-guard run`, with webhooks that are taken, refused and not wanted any more."""
    directory = tmp_path_factory.mktemp("running")
    with (
        WebhookReceiver([SECRET]) as takes,
        WebhookReceiver(replies=cycle([500])) as fails,
        WebhookReceiver(replies=cycle([410])) as gone,
    ):
        endpoints = [
            {"name": name, "url": receiver.url, "secrets": [SECRET], "shadow": True}
            for name, receiver in (("takes", takes), ("fails", fails), ("gone", gone))
        ]
        config = {
            "engine": {"shadow": False},
            "embedded": {"data_dir": str(directory / "data"), "snapshot_interval_s": 1.0},
            "api": {"port": 0},
            "webhooks": {"endpoints": endpoints},
        }
        (directory / "config.yaml").write_text(json.dumps(config))
        DirectorySnapshots(directory / "data" / "snapshots").save(0, with_a_baseline())
        log = directory / "log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-u", "-m", "stream_guard", "run", "--config", str(directory / "config.yaml")],
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            address = until("stream-guard listens", lambda: _address(process, log))
            with _traffic(address, traffic):
                yield address
                until("a message is delivered", lambda: takes.received)
        finally:
            process.terminate()
            assert process.wait(30) == 0, log.read_text()
        assert not takes.refused


def _address(process, log):
    assert process.poll() is None, log.read_text()
    found = re.search(r"listening on (http://\S+?),", log.read_text())
    return found and found[1]


class _traffic:  # noqa: N801 - used as a function
    """Events, things that are none, questions; from a thread, until the block is left."""

    def __init__(self, address, lines):
        self._address, self._lines = address, lines
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send)

    def __enter__(self):
        self._thread.start()

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _send(self):
        with httpx.Client(base_url=self._address, timeout=30) as client:
            for part in cycle([self._lines[at : at + 400] for at in range(0, len(self._lines), 400)]):
                body = b"\n".join([*part, b"no event", b'{"event_id": 7}'])
                client.post("/v1/events", content=body, headers={"content-type": "application/x-ndjson"})
                for line in part[:10]:
                    account = json.loads(line)["account_id"]
                    client.get("/v1/check", params={"account_id": account})
                    client.get(f"/v1/accounts/{account}")
                client.get("/v1/campaigns")
                if self._stop.wait(0.1):
                    return


@pytest.fixture(scope="session")
def prometheus(running, tmp_path_factory):
    """Ask a real Prometheus, which has the rules of `deploy/`: a function from a query to its samples."""
    require_prometheus()
    directory = tmp_path_factory.mktemp("prometheus")
    target = running.removeprefix("http://")
    config = {
        "global": {"scrape_interval": f"{int(SCRAPE_S * 1000)}ms", "evaluation_interval": f"{int(SCRAPE_S * 1000)}ms"},
        "rule_files": [str(DEPLOY / "prometheus/rules.yml")],
        "scrape_configs": [{"job_name": "stream_guard", "static_configs": [{"targets": [target]}]}],
    }
    (directory / "prometheus.yml").write_text(json.dumps(config))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={directory / 'prometheus.yml'}",
                f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            until("Prometheus is ready", lambda: _ready(client, process, directory / "log"))
            yield client
    finally:
        process.terminate()
        process.wait(30)


def _ready(client, process, log):
    assert process.poll() is None, log.read_text()
    try:
        return client.get("/-/ready").status_code == 200
    except httpx.TransportError:
        return False
