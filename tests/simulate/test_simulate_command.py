"""`stream-guard simulate`."""

import subprocess
import sys

import orjson
import pytest
from typer.testing import CliRunner

from stream_guard.app.replay import read_releases
from stream_guard.cli import app
from stream_guard.codecs import decode_events
from stream_guard.simulate import SCENARIOS


@pytest.fixture
def run():
    return lambda *words: CliRunner().invoke(app, ["simulate", *words])


def test_it_writes_events_and_the_truth_apart(run, tmp_path):
    out, labels, releases = tmp_path / "events.jsonl", tmp_path / "labels.json", tmp_path / "releases.jsonl"
    files = ("--out", str(out), "--labels", str(labels), "--releases", str(releases))
    result = run("relay", "--accounts", "100", "--days", "0.5", "--seed", "5", *files)
    events, dead = decode_events(out.read_bytes().splitlines(), source="file")
    truth = orjson.loads(labels.read_bytes())

    assert result.exit_code == 0, result.output
    assert result.stderr == f"{len(events):,} events of {len(truth['accounts']):,} accounts\n"
    assert not dead
    assert [release.model for release in read_releases(str(releases))] == ["large-5"]
    assert (truth["scenario"], truth["seed"], truth["events"]) == ("relay", 5, len(events))
    assert sum(account["requests"] for account in truth["accounts"].values()) == len(events)
    hidden = {key for key, account in truth["accounts"].items() if account["label"] == "campaign_0"}
    kept = truth["campaigns"]["campaign_0"]["harvest"]
    assert truth["campaigns"]["campaign_0"]["accounts"] == len(hidden)
    assert kept
    assert {events[number].account_id for number in kept} <= hidden


def test_standard_output_has_the_same_bytes(run, tmp_path):
    out = tmp_path / "events.jsonl"
    words = ("hydra", "--accounts", "60", "--days", "0.3")

    assert run(*words, "--out", str(out)).exit_code == 0
    assert run(*words).stdout_bytes == out.read_bytes()


def test_it_says_what_the_scenarios_are(run):
    result = run("--list")

    assert result.exit_code == 0
    for name, plan in SCENARIOS.items():
        assert f"{name:<12}{plan.summary}" in result.output
        assert plan.published in result.output


@pytest.mark.parametrize(
    ("words", "says", "code"),
    [
        (["nessie"], "no scenario 'nessie'", 2),
        (["hydra", "--days", "-1"], "days: -1.0", 2),
        (["hydra", "--accounts", "0"], "--accounts", 2),
        (
            ["calm", "--accounts", "20", "--out", "/nonexistent/x.jsonl"],
            "cannot write /nonexistent/x.jsonl: No such",
            1,
        ),
    ],
)
def test_what_cannot_be_is_refused(run, words, says, code):
    result = run(*words)

    assert result.exit_code == code
    assert says in result.output


def test_whoever_has_read_enough_may_leave():
    command = f"{sys.executable} -m stream_guard simulate calm --accounts 200 | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, check=False)

    assert done.stdout.count(b"\n") == 1
    assert done.stderr == b""
