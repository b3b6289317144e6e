"""The command line as a whole; the commands have tests of their own."""

import os
import signal
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

import stream_guard
from stream_guard.cli import app
from stream_guard.errors import BrokerError, ConfigError, StreamGuardError

HEAVY = {"aiokafka", "fastapi", "faust", "kafka", "numba", "numpy", "pydantic", "river", "uvicorn", "yaml"}


@pytest.fixture
def run():
    return lambda *words, **environ: CliRunner().invoke(app, words, env=environ)


def test_it_says_its_version(run):
    result = run("--version")

    assert result.output == f"stream-guard {stream_guard.__version__}\n"
    assert result.exit_code == 0


def test_the_module_is_the_command():
    said = subprocess.run(
        [sys.executable, "-m", "stream_guard", "--version"], capture_output=True, text=True, check=True
    )

    assert said.stdout == f"stream-guard {stream_guard.__version__}\n"


def test_the_help_names_the_commands_to_begin_with(run):
    text = run("--help").output

    for words in ("stream-guard demo", "replay EVENTS.jsonl", "run --config FILE", "config check FILE"):
        assert words in text


def test_an_unknown_command_is_refused(run):
    result = run("watch")

    assert result.exit_code == 2
    assert "No such command 'watch'" in result.output


def test_starting_it_imports_nothing_heavy():
    code = "import sys, stream_guard.cli; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert not HEAVY & set(said.stdout.split())


@pytest.mark.parametrize(
    ("error", "code"),
    [(ConfigError("a.yaml:3: engine.x: is wrong"), 2), (BrokerError("no broker at x"), 1), (StreamGuardError("no"), 1)],
    ids=lambda value: type(value).__name__,
)
def test_an_expected_failure_is_told_in_one_line(error, code):
    failing = typer.Typer(cls=app.info.cls)
    failing.callback()(lambda: None)

    @failing.command()
    def fail():
        raise error

    result = CliRunner().invoke(failing, ["fail"], color=True)

    assert result.stderr == f"\x1b[31m{error}\x1b[0m\n"
    assert result.stdout == ""
    assert result.exit_code == code


def test_control_c_ends_it_without_a_trace():
    code = """if True:
        import signal, stream_guard.cli as cli
        @cli.app.command()
        def wait():
            print("waiting", flush=True)
            signal.pause()
        cli.main()"""
    with subprocess.Popen(
        [sys.executable, "-c", code, "wait"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "waiting\n"
        os.kill(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=30)

    assert (process.returncode, errors) == (130, "")


def test_config_check_says_ok(run, tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("engine: {shadow: false}\n")
    result = run("config", "check", str(file))

    assert (result.exit_code, result.output) == (0, f"{file}: ok\n")


def test_config_check_tells_every_mistake(run, tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("engine: {shadow: 1}\nkafk: {}\n")
    result = run("config", "check", str(file), STREAM_GUARD__ENGINE__SHADO="1")

    assert result.exit_code == 2
    assert [line.partition(": ")[0] for line in result.stderr.splitlines()] == [
        f"{file}:1",
        f"{file}:2",
        "STREAM_GUARD__ENGINE__SHADO",
    ]


def test_config_show_masks_secrets_and_says_where_values_are_from(run, tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("kafka: {security_protocol: SASL_SSL, sasl_username: me}\n")
    result = run("config", "show", str(file), STREAM_GUARD__KAFKA__SASL_PASSWORD="hush")

    assert "hush" not in result.output
    assert f"  sasl_username: me  # {file}:1\n" in result.output
    assert '  sasl_password: "***"  # STREAM_GUARD__KAFKA__SASL_PASSWORD\n' in result.output


def test_config_default_is_a_file_that_config_check_takes(run, tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(run("config", "default").output)

    assert run("config", "check", str(file)).exit_code == 0
