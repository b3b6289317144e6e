"""`stream-guard run`: beside a gateway, without Kafka."""

import asyncio
import logging
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream_guard.cli.options import BaselineOption, ConfigOption, loaded_baseline

if TYPE_CHECKING:
    from stream_guard.config import Config
    from stream_guard.engine import PopulationBaseline

_EVENT = '{"event_id":"ev-1","ts":"\'$(date -u +%FT%TZ)\'","account_id":"acct-1","model":"my-model","prompt":"hello"}'


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(run)


def run(
    config: ConfigOption = None,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Where state is kept (`embedded.data_dir`).")
    ] = None,
    follow: Annotated[
        list[Path] | None,
        typer.Option(
            "--follow", metavar="FILE", help="Read events from a file as it grows, as `tail -F` does; repeatable."
        ),
    ] = None,
    stdin: Annotated[bool, typer.Option("--stdin", help="Read events from standard input.")] = False,
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on (`api.host`).")] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="Port to listen on (`api.port`).")
    ] = None,
    baseline: BaselineOption = None,
) -> None:
    """Take events over HTTP, from files or standard input; decide; answer over HTTP.

    What was acknowledged is kept through restarts and crashes. Ctrl-C or SIGTERM stops it cleanly.
    """
    from stream_guard.config import load

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for noisy in ("uvicorn", "httpx"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    settings = load(config)
    api = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = settings.model_copy(
        update={
            "api": settings.api.model_copy(update=api),
            "embedded": settings.embedded.model_copy(update={"data_dir": str(data)} if data else {}),
        }
    )
    asyncio.run(_run(settings, follow or [], stdin, loaded_baseline(baseline)))


async def _run(settings: "Config", follow: list[Path], stdin: bool, baseline: "PopulationBaseline | None") -> None:
    from stream_guard.app.run import run as run_service

    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def stop_once(number: signal.Signals) -> None:
        typer.echo("stopping: saving the state; once more to stop at once", err=True)
        stop.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop_once, number)

    def say(address: str) -> None:
        typer.echo(f"listening on {address}, state in {settings.embedded.data_dir}/")
        if settings.engine.shadow:
            typer.echo("shadow mode: decisions are made and written, and act on nobody (engine.shadow)")
        token = ' -H "Authorization: Bearer $TOKEN"' if settings.api.token else ""
        typer.echo("try:")
        typer.echo(f"  curl -s{token} -H 'Content-Type: application/x-ndjson' {address}/v1/events -d '{_EVENT}'")
        typer.echo(f"  curl -s{token} {address}/v1/accounts/acct-1")
        typer.echo(f"  curl -s{token} '{address}/v1/check?account_id=acct-1'")

    await run_service(settings, stop, follow=follow, stdin=stdin, baseline=baseline, say=say)
