"""`stream-guard produce` and `stream-guard tail`."""

import gzip
import json

import pytest
import zstandard
from staging import event

from stream_guard.errors import BrokerError
from stream_guard.transports.kafka import tools


@pytest.fixture
def lines():
    return [json.dumps(event(n, f"a{n % 7}")).encode() for n in range(100)]


def test_produce_reads_plain_packed_and_piped_lines(stage, lines, tmp_path):
    """All of them arrive as they were; an account's go to one partition, in order."""
    text = b"\n".join(lines) + b"\n"
    (tmp_path / "plain.jsonl").write_bytes(text)
    (tmp_path / "packed.jsonl.gz").write_bytes(gzip.compress(text))
    (tmp_path / "packed.jsonl.zst").write_bytes(zstandard.compress(text))
    with (tmp_path / "plain.jsonl").open("rb") as piped:
        paths = [str(tmp_path / name) for name in ("plain.jsonl", "packed.jsonl.gz", "packed.jsonl.zst")]
        done = stage.run("produce", *paths, "-", stdin=piped)

    assert done.returncode == 0, done.stderr
    assert "400 events in" in done.stderr
    records = stage.records(stage.settings.topics.requests)
    assert sorted(r.value for r in records) == sorted(lines * 4)
    places = {(r.key.decode(), json.loads(r.value)["account_id"], r.partition) for r in records}
    assert len(places) == 7
    assert all(key == account for key, account, _ in places)


def test_produce_keeps_to_a_rate(stage, lines, tmp_path):
    """At 200 a second, 100 events take about half a second."""
    (tmp_path / "plain.jsonl").write_bytes(b"\n".join(lines))
    done = tools.produce(stage.settings, [str(tmp_path / "plain.jsonl")], rate=200)

    assert done.events == 100
    assert done.seconds >= 0.4


def test_produce_says_that_the_topic_is_missing(settings):
    """Before anything is read."""
    with pytest.raises(BrokerError, match="no such topic; see `stream-guard topics create`"):
        tools.produce(settings, ["-"])


DECISION = {
    "decision_id": "d1",
    "ts": 1_777_000_000,
    "account_id": "a1",
    "action": "throttle",
    "risk": 0.91,
    "reasons": [
        {"signal": "prompt_diversity", "observed": 0.1, "usual": 0.8, "share": 0.3},
        {
            "signal": "request_rate",
            "observed": 900,
            "usual": 12,
            "share": 0.7,
            "unit": "1/day",
            "text": "day and night",
        },
    ],
    "policy_version": "p1",
    "shadow": True,
    "limit_rpm": 0.5,
    "expires_at": 1_777_086_400,
    "campaign_id": "c1",
    "clears_when": "a day at the usual rate",
}
READABLE = """\
2026-04-24 03:06:40 throttle to 0.5 a minute a1 until 2026-04-25 03:06:40, risk 0.91 (shadow mode: acts on nobody)
    of campaign c1
     70% request_rate 900 1/day, usual 12: day and night
     30% prompt_diversity 0.1, usual 0.8
    clears: a day at the usual rate
"""


def test_tail_shows_a_decision_with_its_reasons(stage):
    """The heaviest reason first."""
    stage.tell(stage.settings.topics.decisions, "a1", DECISION)
    done = stage.run("tail", "decisions", "--from-beginning", "--limit", "1")

    assert (done.returncode, done.stdout) == (0, READABLE)


def test_tail_shows_records_as_they_are(stage):
    """For other programs."""
    stage.tell(stage.settings.topics.decisions, "a1", DECISION)
    done = stage.run("tail", "decisions", "--from-beginning", "--json", "-n", "1")

    assert json.loads(done.stdout) == DECISION


@pytest.mark.parametrize(
    ("stream", "record", "lines"),
    [
        (
            "alerts",
            {
                "alert_id": "x",
                "ts": 0,
                "severity": "info",
                "kind": "campaign",
                "summary": "s",
                "atlas": ["AML.T0040"],
            },
            ["1970-01-01 00:00:00 info campaign: s", "    ATLAS AML.T0040"],
        ),
        (
            "campaigns",
            {
                "campaign_id": "c1",
                "ts": 0,
                "accounts": ["a1", "a2"],
                "size": 9,
                "risk": 0.9,
                "shape": "narrow",
                "exchanges": 1234,
                "first_seen": 0,
                "evidence": [{"kind": "twin", "text": "alike", "accounts": 9, "value": 1, "example_accounts": ["a1"]}],
            },
            [
                (
                    "1970-01-01 00:00:00 c1 (narrow): 9 accounts, 2 new, "
                    "1,234 exchanges since 1970-01-01 00:00:00, risk 0.90"
                ),
                "    twin: alike (9 accounts, such as a1)",
            ],
        ),
        (
            "dead-letters",
            {"reason": "r", "source": "t", "payload": "x" * 200, "payload_bytes": 4000, "partition": 1, "offset": 2},
            ["t/1 offset 2: r", "    " + "x" * 160 + "… (4,000 bytes)"],
        ),
        ("alerts", {"alert_id": 1}, ["not a record of alerts: Expected `str`, got `int` - at `$.alert_id`"]),
    ],
)
def test_what_people_read(stream, record, lines):
    """Each kind of record as lines."""
    assert tools.readable(stream, json.dumps(record).encode()).splitlines() == lines
