"""The command line: `stream-guard`, also `python -m stream_guard`.

Each module beside this one holds the commands of one part and a function `register(app)`. A module imports at its top
only what is light: the engine, numba, River and Faust are imported inside the commands, so that `--help` is quick.
"""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from stream_guard import __version__
from stream_guard.cli import baseline, config, demo, kafka, replay, run, simulate, webhooks
from stream_guard.errors import ConfigError, StreamGuardError

MODULES = (demo, simulate, replay, run, kafka, webhooks, baseline, config)
"""In the order of the help."""


class _Commands(TyperGroup):
    """Tells an expected failure in one red line: exit code 2 for a refused configuration, 1 for all else."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except StreamGuardError as error:
            typer.secho(str(error), fg="red", err=True)
            raise typer.Exit(2 if isinstance(error, ConfigError) else 1) from None


app = typer.Typer(
    cls=_Commands,
    name="stream-guard",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # it shows local variables, among them secrets
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"stream-guard {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Find accounts that together extract a model, name the campaign, throttle it.

    stream-guard reads the request events of an LLM gateway and writes campaigns, alerts and rate-limit decisions, each
    with its reasons. It acts on nobody until `engine.shadow` is set to false.

    **Begin here**

    - `stream-guard demo`: live traffic with a hidden campaign, found and throttled before your eyes
    - `stream-guard replay EVENTS.jsonl --out DIR`: what would have been decided about recorded traffic
    - `stream-guard run --config FILE`: beside a gateway, without Kafka: events in and answers out over HTTP
    - `stream-guard topics create`, then `stream-guard worker`: the same on Kafka
    - `stream-guard config default > FILE`: every setting, explained; `stream-guard config check FILE` before use
    """


for _module in MODULES:
    _module.register(app)


def main() -> None:
    """Run the command line and exit."""
    app()
