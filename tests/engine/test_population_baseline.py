"""A baseline: what is usual in one place, as a file, and another engine that begins with it."""

import pytest
from typer.testing import CliRunner

from stream_guard import signals
from stream_guard.app import baseline as files
from stream_guard.cli import app
from stream_guard.engine import (
    AccountHalf,
    Engine,
    EngineSettings,
    PopulationBaseline,
    PopulationHalf,
    merged,
    read_baseline,
    write_baseline,
)
from stream_guard.errors import SnapshotError
from stream_guard.events import AccountFacts, RequestEvent
from stream_guard.transports.base import Snapshot
from stream_guard.transports.snapshots import DirectorySnapshots

T0 = 1.78e9
BASELINE = PopulationBaseline(
    {"request_rate": (1.0, 2.5, 400.0, 4000.0, 40_000.0), "a signal of tomorrow": (0.0, 0.0, 0.0, 0.0, 1.0)},
    accounts=5_000,
    crowds={"independent": 0.125, "a feature of tomorrow": 1.0},
    groups=900,
)
FILE = write_baseline(BASELINE)


def busy(accounts=40, each=60):
    """Requests of people who ask all day, every other minute: more than what ships takes for usual."""
    facts = AccountFacts(created_at=T0 - 4e7, tier="pro", entitlement=1e6)
    return [
        RequestEvent(f"e{k}-{a}", T0 + 120.0 * k + a / accounts, f"acct-{a}", "m", turn=k % 3, input_tokens=50, output_tokens=80, account=facts)
        for k in range(each) for a in range(accounts)
    ]  # fmt: skip


def test_a_file_comes_back_as_it_was():
    assert read_baseline(FILE) == BASELINE


REFUSED = {
    "nothing": (b"", "this is no baseline"),
    "a picture": (b"\x89PNG\r\n\x1a\n\xff", "this is no baseline"),
    "another document": (b'{"engine": {"shadow": true}}', "this is no baseline"),
    "a list": (b"[]", "this is no baseline"),
    "one that was cut": (FILE[:-20], "this is no baseline"),
    "more than it can be": (FILE + b" " * (1 << 20), "1,049,"),
    "another format": (FILE.replace(b"stream-guard baseline", b"somebody's baseline"), "its format is \"somebody's baseline\""),
    "a later version": (FILE.replace(b'"version": 1', b'"version": 9'), "version 9; this program reads version 1"),
    "a changed number": (FILE.replace(b"4000.0", b"9000.0"), "its checksum does not fit"),
    "quantiles upside down": (write_baseline(PopulationBaseline({"burst": (5.0, 4.0, 3.0, 2.0, 1.0)}, 9)), "quantiles of burst"),
    "four quantiles": (write_baseline(PopulationBaseline({"burst": (1.0, 2.0, 3.0, 4.0)}, 9)), "does not fit"),
    "a negative count": (write_baseline(PopulationBaseline(accounts=-1)), "does not fit"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_is_refused(case):
    raw, why = REFUSED[case]
    with pytest.raises(SnapshotError, match=why):
        read_baseline(raw)


def test_parts_count_by_what_they_were_learnt_from():
    one = PopulationBaseline({"burst": (1.0, 1.0, 1.0, 1.0, 1.0)}, 300, {"independent": 1.0}, 10)
    three = PopulationBaseline({"burst": (5.0, 5.0, 5.0, 5.0, 9.0), "refusals": (0.0,) * 5}, 100)
    untaught = PopulationBaseline({"burst": (7.0,) * 5}, 0)

    both = merged([one, three, untaught])

    assert both.signals == {"burst": (2.0, 2.0, 2.0, 2.0, 3.0), "refusals": (0.0,) * 5}
    assert (both.accounts, both.crowds, both.groups) == (400, {"independent": 1.0}, 10)


def test_an_engine_that_has_learnt_nothing_says_what_ships():
    learnt = Engine().learnt()

    assert learnt.signals == {s.name: tuple(map(float, s.quantiles)) for s in signals.SIGNALS}
    assert (learnt.accounts, learnt.groups) == (0, 0)


def test_another_engine_begins_with_what_one_has_learnt():
    experienced, fresh = Engine(), Engine()
    experienced.process(busy())
    learnt = experienced.learnt()
    fresh.begin_with(read_baseline(write_baseline(learnt)))

    shipped = signals.BY_NAME["hourly_peak"].quantiles[2]
    assert learnt.accounts > 50
    assert learnt.signals["hourly_peak"][2] > 1.5 * shipped
    assert {name: of.usual for name, of in fresh.baseline().items()} == pytest.approx(
        {name: quantiles[2] for name, quantiles in learnt.signals.items()}
    )


def test_own_traffic_outweighs_it_in_time():
    engine = Engine()
    engine.begin_with(BASELINE)
    before = engine.baseline()["request_rate"].usual
    engine.process(busy())
    after = engine.baseline()["request_rate"].usual

    assert before == 400.0
    assert 17.0 < after < 395.0


def test_what_nothing_was_learnt_for_changes_nothing():
    engine = Engine()
    engine.begin_with(PopulationBaseline({"request_rate": BASELINE.signals["request_rate"]}, accounts=0))

    assert engine.baseline() == Engine().baseline()


def test_it_is_part_of_a_snapshot_and_gives_way_to_one():
    begun, restored, later = Engine(), Engine(), Engine()
    begun.begin_with(BASELINE)
    restored.restore(begun.snapshot())
    later.begin_with(BASELINE)
    later.restore(Engine().snapshot())

    assert restored.learnt() == begun.learnt()
    assert later.baseline() == Engine().baseline()


def test_crowds_are_judged_by_what_is_usual_elsewhere_first():
    half = PopulationHalf()
    half.begin_with(BASELINE)

    assert half._registry.linker.before.worth == 200.0
    assert min(half._registry.linker.before.features) <= 0.125


def test_it_is_taken_out_of_the_state_of_a_deployment(tmp_path):
    engine = Engine()
    engine.process(busy())
    DirectorySnapshots(tmp_path / "data" / "snapshots").save(0, Snapshot(engine.snapshot(), 1))
    runner, file = CliRunner(), tmp_path / "usual.json"

    done = runner.invoke(app, ["baseline", "export", str(file), "--data", str(tmp_path / "data")])
    shown = runner.invoke(app, ["baseline", "show", str(file)])

    assert (done.exit_code, shown.exit_code) == (0, 0), done.output + shown.output
    assert files.load(file) == engine.learnt()
    assert "hourly_peak" in shown.output


def test_it_is_taken_out_of_the_snapshots_of_halves_on_kafka(tmp_path):
    import msgspec

    from stream_guard.transports.kafka.accounts import Kept

    halves = [AccountHalf(EngineSettings(), partition) for partition in (0, 3)]
    for half, share in zip(halves, (busy(), busy(each=20)), strict=True):
        half.process(share)
        kept = msgspec.msgpack.encode(Kept({}, half.snapshot()))
        DirectorySnapshots(tmp_path, "accounts").save(half.partition, Snapshot(kept, 1))

    assert files.of_kafka(tmp_path, EngineSettings()) == merged([half.learnt() for half in halves])


NO_STATE = {"no directory": "nowhere", "an empty directory": "."}


@pytest.mark.parametrize("case", NO_STATE)
def test_where_there_is_no_state_it_says_so(case, tmp_path):
    done = CliRunner().invoke(
        app, ["baseline", "export", str(tmp_path / "b.json"), "--data", str(tmp_path / NO_STATE[case])]
    )

    assert done.exit_code == 1
    assert "there is no snapshot here" in done.output
    assert not (tmp_path / "b.json").exists()


@pytest.mark.parametrize(
    "command", [["run"], ["replay", "events.jsonl", "--out", "out"], ["worker"], ["baseline", "show"]]
)
def test_a_foreign_file_stops_every_command_that_is_given_one(command, tmp_path):
    foreign = tmp_path / "foreign.json"
    foreign.write_bytes(b"{}")
    given = ["--baseline", str(foreign)] if command[0] != "baseline" else [str(foreign)]

    done = CliRunner().invoke(app, [*command, *given])

    assert done.exit_code == 1
    assert "foreign.json: this is no baseline" in done.output
