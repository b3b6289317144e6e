"""`stream-guard replay`: the same input gives the same bytes, and says what it was given."""

import gzip
import json
import subprocess
import sys

import pytest
import zstandard
from typer.testing import CliRunner

from stream_guard.app.replay import replay
from stream_guard.cli import app
from stream_guard.codecs import encode
from stream_guard.engine import LIVE_S, Engine, EngineSettings, Outcome
from stream_guard.events import Release, RequestEvent

NAMES = ["alerts.jsonl", "campaigns.jsonl", "dead-letters.jsonl", "decisions.jsonl"]


def run(*arguments, code=0):
    result = CliRunner().invoke(app, ["replay", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


def results(out):
    assert sorted(path.name for path in out.iterdir()) == NAMES
    return {name: (out / name).read_bytes() for name in NAMES}


@pytest.fixture(scope="module")
def events(tmp_path_factory, traffic):
    path = tmp_path_factory.mktemp("events") / "events.jsonl"
    path.write_bytes(b"\n".join([*traffic[:700], b"poison", *traffic[700:], b""]))
    return path


@pytest.fixture(scope="module")
def expected(tmp_path_factory, events):
    out = tmp_path_factory.mktemp("expected")
    run(events, "--out", out)
    found = results(out)
    assert found["decisions.jsonl"]
    assert found["campaigns.jsonl"]
    return found


def test_the_same_input_gives_the_same_bytes(tmp_path, events, expected):
    run(events, "--out", tmp_path)
    assert results(tmp_path) == expected


@pytest.mark.parametrize("batch", [1, 7, 333, 100_000])
def test_the_size_of_batches_changes_nothing(tmp_path, events, expected, batch):
    run(events, "--out", tmp_path, "--batch", batch)
    assert results(tmp_path) == expected


@pytest.mark.parametrize(
    ("name", "pack"), [("e.gz", gzip.compress), ("e.zst", zstandard.compress), ("e", gzip.compress)]
)
def test_packing_changes_nothing_but_the_name_in_dead_letters(tmp_path, events, expected, name, pack):
    (tmp_path / name).write_bytes(pack(events.read_bytes()))
    run(tmp_path / name, "--out", tmp_path / "out")
    found = results(tmp_path / "out")
    found["dead-letters.jsonl"] = found["dead-letters.jsonl"].replace(
        str(tmp_path / name).encode(), str(events).encode()
    )
    assert found == expected


def test_several_files_are_one_stream(tmp_path, events, expected):
    lines = events.read_bytes().splitlines(keepends=True)
    (tmp_path / "1.jsonl").write_bytes(b"".join(lines[:501]))
    (tmp_path / "2.jsonl").write_bytes(b"".join(lines[501:]))
    run(tmp_path / "1.jsonl", tmp_path / "2.jsonl", "--out", tmp_path / "out")
    found = results(tmp_path / "out")

    assert found["decisions.jsonl"] == expected["decisions.jsonl"]
    assert found["campaigns.jsonl"] == expected["campaigns.jsonl"]
    (letter,) = found["dead-letters.jsonl"].splitlines()
    assert json.loads(letter)["source"] == str(tmp_path / "2.jsonl")
    assert json.loads(letter)["offset"] == 700 - 501


def test_standard_input_and_another_process_give_the_same_decisions(tmp_path, events, expected):
    command = [sys.executable, "-m", "stream_guard", "replay", "-", "--out", tmp_path]
    with events.open() as file:
        done = subprocess.run(command, stdin=file, capture_output=True, text=True, check=True)

    assert results(tmp_path)["decisions.jsonl"] == expected["decisions.jsonl"]
    assert json.loads(results(tmp_path)["dead-letters.jsonl"])["source"] == "stdin"
    assert "decisions (shadow mode: they act on nobody)" in done.stdout


@pytest.mark.parametrize(("option", "shadow"), [("--shadow", True), ("--no-shadow", False)])
def test_shadow_is_a_field_of_the_decision(tmp_path, events, expected, option, shadow):
    run(events, "--out", tmp_path, option)
    decisions = [json.loads(line) for line in results(tmp_path)["decisions.jsonl"].splitlines()]
    assert {d["shadow"] for d in decisions} == {shadow}
    assert len(decisions) == len(expected["decisions.jsonl"].splitlines())


def test_the_summary_counts(tmp_path, traffic, events):
    output = run(events, "--out", tmp_path).stdout
    for words in (f"{len(traffic):,}  events", "1  dead letters", "events a second", f"written to {tmp_path}"):
        assert words in output.replace("\n", "")


# --- What may go wrong ---


def test_what_was_not_finished_does_not_look_finished(tmp_path, events):
    (tmp_path / "cut.gz").write_bytes(gzip.compress(events.read_bytes())[:-100])
    result = run(tmp_path / "cut.gz", "--out", tmp_path / "out", code=1)
    assert "cut.gz: the gzip data is cut off after" in result.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{name}.partial" for name in NAMES]


def test_a_missing_file_is_told_before_anything_is_begun(tmp_path, events):
    result = run(events, tmp_path / "none.jsonl", "--out", tmp_path / "out", code=1)
    assert f"{tmp_path / 'none.jsonl'}: No such file or directory" in result.output.replace("\n", "")
    assert not (tmp_path / "out").exists()


def test_a_release_that_is_none_is_told(tmp_path, events):
    (tmp_path / "r.jsonl").write_text('{"ts": 1}\n')
    result = run(events, "--out", tmp_path / "out", "--releases", tmp_path / "r.jsonl", code=1)
    assert "line 1 is not a release" in result.output.replace("\n", " ")


# --- Order ---


class Listening(Engine):
    """An engine that writes down what it is told, in order."""

    told = []  # noqa: RUF012 - reset by the fixture

    def process(self, events):
        self.told += [event.event_id for event in events]
        return Outcome()

    def learn(self, lesson):
        self.told.append(lesson.model)
        return Outcome()

    def advance(self, ts):
        self.told.append(ts)
        return Outcome()


@pytest.fixture
def told(monkeypatch):
    monkeypatch.setattr("stream_guard.app.replay.Engine", Listening)
    monkeypatch.setattr(Listening, "told", [])
    return Listening.told


@pytest.mark.anyio
@pytest.mark.parametrize("batch", [1, 2, 3, 100])
async def test_releases_are_told_in_event_time_and_late_events_as_they_come(tmp_path, told, batch):
    times = [10, 20, 15, 30, 30, 40]
    lines = [encode(RequestEvent(f"e{ts}", ts, "a", "m")) for ts in times]
    (tmp_path / "events").write_bytes(b"\n".join(lines))
    releases = [Release(50, "never"), Release(15, "m2"), Release(30, "m3"), Release(5, "m1"), Release(30, "m4")]
    done = await replay(
        [str(tmp_path / "events")], tmp_path / "out", EngineSettings(), releases=releases, batch_events=batch
    )

    assert told == ["m1", "e10", "m2", "e20", "e15", "m3", "m4", "e30", "e30", "e40", LIVE_S]
    assert (done.events, done.late, done.releases) == (6, 1, 4)
    assert (done.first_ts, done.last_ts) == (10, 40)


def test_releases_beside_the_events_are_read_by_themselves(tmp_path, told):
    (tmp_path / "events.jsonl").write_bytes(encode(RequestEvent("e1", 10, "a", "m")))
    (tmp_path / "releases.jsonl").write_text('{"ts": 5, "model": "m2", "replaces": "m"}\n')
    run(tmp_path / "events.jsonl", "--out", tmp_path / "out")
    assert told == ["m2", "e1", LIVE_S]


def test_nothing_in_nothing_out(tmp_path):
    (tmp_path / "empty.jsonl").write_bytes(b"")
    run(tmp_path / "empty.jsonl", "--out", tmp_path / "out")
    assert set(results(tmp_path / "out").values()) == {b""}
