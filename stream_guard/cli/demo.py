"""`stream-guard demo`: a hidden campaign found in live traffic, before your eyes."""

import asyncio
import signal
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.live import Live

from stream_guard.cli.simulate import known

if TYPE_CHECKING:
    from collections.abc import Callable

    from stream_guard.app.demo import Demo

_PLAIN_LINE_S = 3.0
"""Seconds between lines where there is no terminal."""

_NARROWEST = 50
"""Below so many columns a screen says less than lines do."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    seconds: Annotated[float, typer.Option(min=1, max=86_400, help="How long it runs.")] = 50.0,
    accounts: Annotated[int, typer.Option(min=20, max=100_000, help="Honest accounts.")] = 2000,
    seed: Annotated[int, typer.Option(help="Another seed: other accounts, other texts.")] = 1,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Of the API; a free one if it is taken.")] = 8080,
    speed: Annotated[
        float | None,
        typer.Option(min=1, max=1e6, help="Simulated seconds in a second; without it the whole scenario passes."),
    ] = None,
    scenario: Annotated[
        str, typer.Option(callback=known, help="What is hidden; `stream-guard simulate --list` says what there is.")
    ] = "hydra",
    plain: Annotated[bool, typer.Option("--plain", help="Lines instead of a screen, as without a terminal.")] = False,
) -> None:
    """Watch a hidden campaign being found in live traffic, named, explained and throttled.

    A simulated population is streamed through the same service as `stream-guard run`, many times faster than life, with
    shadow mode off; a simulated gateway obeys its decisions. The API and `/metrics` answer while it runs. Nothing is
    left behind. Ctrl-C ends it with the summary so far, and exit code 0.
    """
    from stream_guard.app.demo import Demo, Plan, warm_up
    from stream_guard.cli.demo_view import NEXT, summary
    from stream_guard.simulate import SCENARIOS, Scenario

    console = Console()
    plain = plain or not console.is_terminal or console.width < _NARROWEST
    days = seconds * speed / 86_400 if speed else SCENARIOS[scenario].days
    try:
        traffic = Scenario(scenario, accounts, days, seed, volume=0.4, start=_start(days))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    with suppress(KeyboardInterrupt):
        with ExitStack() as getting_ready:
            if plain:
                console.print("Getting ready")
            else:
                getting_ready.enter_context(console.status("Getting ready", spinner="line"))
            warm_up()
            shown = Demo(Plan(traffic, seconds, port))
        interrupted = asyncio.run(_show(shown, console, plain=plain))
        console.print(summary(shown, interrupted=interrupted))
        console.print(f"\n{NEXT}", highlight=False, soft_wrap=True)


def _start(days: float) -> float:
    """Begin at a midnight, so that the stream ends about now."""
    return (time.time() // 86_400 - int(days)) * 86_400


async def _show(shown: "Demo", console: Console, *, plain: bool) -> bool:
    """Run the demo on a screen or as lines; returns whether it was interrupted."""
    from stream_guard.cli.demo_view import Screen

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with ExitStack() as stack:
        if plain:
            show = _lines(shown, console)
        else:
            live = stack.enter_context(Live(Screen(shown), console=console, screen=True, auto_refresh=False))
            show = live.refresh
        await shown.run(stop, show)
    return stop.is_set()


def _lines(shown: "Demo", console: Console) -> "Callable[[], None]":
    """Return what prints a line now and then."""
    from stream_guard.cli.demo_view import progress

    next_s = -1.0

    def show() -> None:
        nonlocal next_s
        if next_s < 0:
            console.print(f"Ask it while it runs: curl {shown.address}/v1/campaigns", highlight=False, soft_wrap=True)
        if shown.seconds >= next_s:
            next_s = shown.seconds + _PLAIN_LINE_S
            console.print(progress(shown), highlight=False, soft_wrap=True)

    return show
