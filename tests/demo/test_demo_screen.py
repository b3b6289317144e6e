"""The screen at every size, and the words of it."""

import asyncio
import math
from io import StringIO

import pytest
from rich.cells import cell_len
from rich.console import Console

from stream_guard.app.demo import Demo, Plan
from stream_guard.cli.demo_view import Screen, action, progress, share, summary, why
from stream_guard.events import Decision, Reason
from stream_guard.simulate import Scenario


@pytest.fixture(scope="module")
def ended():
    """A demo that has run to its end, however long the machine takes for it."""
    demo = Demo(Plan(Scenario("hydra", 150, volume=0.4), seconds=3, port=0, late_s=math.inf))
    asyncio.run(demo.run(asyncio.Event(), lambda: None))
    return demo


@pytest.fixture
def fresh():
    """A demo that has not begun."""
    return Demo(Plan(Scenario("hydra", 50), seconds=3, port=0))


def drawn(demo, width, height):
    console = Console(file=StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    console.print(Screen(demo), end="")
    return console.file.getvalue().rstrip("\n").split("\n")


@pytest.mark.parametrize(("width", "height"), [(50, 16), (80, 24), (100, 30), (120, 40), (250, 80)])
@pytest.mark.parametrize("state", ["fresh", "ended"])
def test_it_fits_the_screen(request, state, width, height):
    lines = drawn(request.getfixturevalue(state), width, height)

    assert len(lines) <= height
    assert max(cell_len(line) for line in lines) <= width


def test_a_demo_streams_everything_it_was_to_stream(ended):
    assert ended.finished
    assert ended.events == sum(account.requests for account in ended.traffic.accounts)
    assert ended.score.harvested + ended.score.honest_requests == ended.events
    assert ended.accounts_seen == sum(1 for account in ended.traffic.accounts if account.requests)


def test_the_hidden_campaign_is_found_and_its_harvest_is_stopped(ended):
    active = sum(1 for member in ended.score.hidden.values() if member.requests)

    assert ended.score.hidden_linked >= 0.6 * active
    assert ended.score.stopped > 0.2 * ended.score.harvested
    assert ended.growth[-1][1:] == (ended.score.hidden_linked, active)


def test_the_same_traffic_gives_the_same_line_of_progress_and_summary(ended):
    console = Console(file=StringIO(), width=100)
    console.print(summary(ended, interrupted=False))
    text = console.file.getvalue()

    assert f"{ended.score.hidden_linked} of" in text
    assert f"{len(ended.score.honest_acted_on)} of {len(ended.score.honest)} accounts acted upon" in text
    assert f"{ended.score.hidden_linked} of" in progress(ended)


@pytest.mark.parametrize(
    ("name", "limit_rpm", "words"),
    [
        ("throttle", 30.0, "throttle 30/min"),
        ("throttle", 0.5, "throttle 30/h"),
        ("throttle", 0.01, "throttle 14/day"),
        ("suspend", None, "suspend"),
    ],
)
def test_an_action_in_words(name, limit_rpm, words):
    assert action(Decision("d", 0.0, "a", name, 0.9, (), "1", shadow=False, limit_rpm=limit_rpm)) == words


def test_the_weightiest_reason_comes_first():
    small = Reason("request_rate", 90.0, 10.0, 0.2, "1/day")
    large = Reason("template", 40.0, 0.0, 0.8, text="40 accounts send one template")
    made = Decision("d", 0.0, "a", "throttle", 0.9, (small, large), "1", shadow=False)

    assert why(made) == "40 accounts send one template; request rate 90 1/day, usual 10"


def test_shares_say_small_things():
    assert [share(*pair) for pair in ((0, 5), (1, 2), (1, 30), (1, 10_000))] == ["0 %", "50 %", "3.3 %", "0.01 %"]
