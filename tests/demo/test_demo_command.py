"""`stream-guard demo` as a person runs it: on a terminal, without one, cut short."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import urllib.request

import pytest

COMMAND = [sys.executable, "-m", "stream_guard", "demo", "--accounts", "150", "--port", "0"]
DEADLINE_S = 120
ESCAPE = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")


def environment(tmp_path, **more):
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
    return kept | {"TERM": "xterm-256color", "TMPDIR": str(tmp_path)} | more


class Terminal:
    """A process on a terminal of its own; `seen` is all that it has written."""

    def __init__(self, words, size, env):
        self.seen = b""
        self.pid, self._screen = pty.fork()
        if not self.pid:
            os.execve(words[0], words, env)  # noqa: S606
        fcntl.ioctl(self._screen, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))

    def read_until(self, pattern):
        """Read until what was written matches; fails at a deadline."""
        deadline = time.monotonic() + DEADLINE_S
        while not re.search(pattern, self.seen):
            assert time.monotonic() < deadline, self.seen[-3000:]
            assert self._more(), self.seen[-3000:]

    def type(self, keys):
        os.write(self._screen, keys)

    def end(self):
        """Read to the end; returns the exit code."""
        while self._more():
            pass
        os.close(self._screen)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _more(self):
        ready, _, _ = select.select([self._screen], [], [], DEADLINE_S)
        assert ready, "nothing was written for long"
        try:
            read = os.read(self._screen, 65536)
        except OSError:  # Linux says so when the other end is closed
            return False
        self.seen += read
        return bool(read)


@pytest.fixture
def terminal(tmp_path):
    return lambda *words, size=(24, 80), **env: Terminal([*COMMAND, *words], size, environment(tmp_path, **env))


def test_on_a_terminal_it_is_one_screen_and_then_a_summary(terminal, tmp_path):
    run = terminal("--seconds", "4")
    code = run.end()
    screen, after = run.seen.split(b"\x1b[?1049l")  # the alternate screen is left
    shown = ESCAPE.sub(b"", screen).decode()

    assert code == 0
    for words in (
        "hydra, seed 1",
        "requests/s",
        "campaigns found",
        "decisions",
        "honest accounts",
        "curl http://127.0.0.1:",
    ):
        assert words in shown
    for words in ("found", "named", "stopped", "honest", "speed", "Next"):
        assert f"\n{words}" in ESCAPE.sub(b"", after).decode().replace("\r", "")
    assert not list(tmp_path.iterdir())


def test_ctrl_c_ends_it_with_the_summary_so_far(terminal, tmp_path):
    run = terminal("--seconds", "300")
    run.read_until(rb"curl http://127.0.0.1:\d+")
    run.type(b"\x03")

    assert run.end() == 0
    assert b"(interrupted)" in run.seen
    assert b"Traceback" not in run.seen
    assert not list(tmp_path.iterdir())


def test_ctrl_c_while_it_gets_ready_ends_it(terminal):
    run = terminal("--seconds", "300")
    run.read_until(rb"Getting ready")
    run.type(b"\x03")

    assert run.end() == 0
    assert b"Traceback" not in run.seen


def test_no_colour_is_respected(terminal):
    run = terminal("--seconds", "2", NO_COLOR="1")

    assert run.end() == 0
    assert not re.search(rb"\x1b\[[0-9;]*3[0-7]m", run.seen)


def test_a_narrow_terminal_gets_lines(terminal):
    run = terminal("--seconds", "2", size=(24, 40))

    assert run.end() == 0
    assert b"\x1b[?1049h" not in run.seen
    assert b"day 1, " in run.seen


def test_without_a_terminal_it_prints_plain_lines_and_the_summary(tmp_path):
    done = subprocess.run(
        [*COMMAND, "--seconds", "4"],
        capture_output=True,
        text=True,
        env=environment(tmp_path),
        timeout=DEADLINE_S,
        check=True,
    )
    lines = done.stdout.splitlines()

    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert sum(re.match(r"day \d, \d\d:\d\d: [\d,]+ requests/s", line) is not None for line in lines) in (2, 3)
    found = next(line for line in lines if line.startswith("found"))
    assert re.search(r"\d+ of \d+ accounts that were at work", found)


def test_the_api_and_the_metrics_answer_while_it_runs(tmp_path):
    command = [*COMMAND, "--seconds", "300", "--plain"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment(tmp_path)) as run:
        said = run.stdout.readline() + run.stdout.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+", said)[0]
        pages = {
            path: ask(address + path)
            for path in ("/readyz", "/v1/campaigns", "/v1/decisions", "/metrics", "/openapi.json")
        }
        run.send_signal(signal.SIGTERM)
        assert run.wait(DEADLINE_S) == 0

    assert '"ready":true' in pages["/readyz"]
    assert '"campaigns":' in pages["/v1/campaigns"]
    assert "stream_guard_events_total" in pages["/metrics"]


def ask(url):
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310
        return answer.read().decode()


def test_a_port_that_is_taken_gives_way_to_a_free_one(tmp_path):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = [*COMMAND[:-1], str(port), "--seconds", "1", "--plain"]
        done = subprocess.run(
            words, capture_output=True, text=True, env=environment(tmp_path), timeout=DEADLINE_S, check=True
        )

    assert f":{port}" not in done.stdout
    assert "http://127.0.0.1:" in done.stdout


@pytest.mark.parametrize("words", [("--scenario", "nessie"), ("--seconds", "0"), ("--speed", "1e9")])
def test_what_cannot_be_shown_is_refused(words):
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, check=False, timeout=DEADLINE_S)

    assert done.returncode == 2
    assert words[0] in done.stderr or words[1] in done.stderr
