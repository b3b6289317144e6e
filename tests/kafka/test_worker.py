"""A worker on a real broker: what goes in comes out, through stops and kills."""

import pytest
from conftest import event, eventually, kill, stop, tenths
from stream_guard.testing.broker import Broker  # noqa: F401 - named in the fixtures


def traffic(count, accounts=12, first=0):
    """Requests of some accounts in turn, each with a prompt that it shares with every fourth."""
    return [event(n, f"a{n % accounts}", prompt=f"p{n % 4}") for n in range(first, first + count)]


def joined(accounts=12):
    """The decisions about members of campaigns that `traffic` leads to."""
    return {f"campaign-p{n % 4}-a{n}" for n in range(accounts)}


def test_events_in_decisions_campaigns_and_alerts_out(stage):
    """Account half, population half and back: every decision arrives, keyed by account, once each."""
    events = traffic(1_000)
    stage.produce(events)
    worker = stage.worker()

    decisions = stage.until_decided(tenths(events) | joined())

    stop(worker)
    topics = stage.settings.topics
    assert set(decisions) == tenths(events) | joined()
    assert len(stage.read(topics.decisions)) == len(decisions)
    assert all(r.key.decode() == f"{decisions_account(r)}" for r in stage.records(topics.decisions))
    assert {c["campaign_id"] for c in stage.read(topics.campaigns)} == {f"campaign-p{n}" for n in range(4)}
    assert sorted(a["alert_id"] for a in stage.read(topics.alerts)) == [f"campaign-p{n}" for n in range(4)]
    assert stage.read(topics.dead_letters) == []


def decisions_account(record):
    import json

    return json.loads(record.value)["account_id"]
