"""`stream-guard config`: look at settings before they are used."""

from pathlib import Path
from typing import Annotated

import typer

commands = typer.Typer(
    name="config",
    no_args_is_help=True,
    help="Check, show and explain settings.",
)

FileOption = Annotated[
    Path | None,
    typer.Argument(metavar="FILE", envvar="STREAM_GUARD_CONFIG", help="Settings in YAML; without it the defaults."),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(commands)


@commands.command()
def check(file: Annotated[Path, typer.Argument(metavar="FILE", help="Settings in YAML.")]) -> None:
    """Say whether FILE, with the environment over it, would be taken; exit code 2 and every mistake if not.

    Each mistake is one line, `FILE:LINE: KEY: message`. Files that hold secrets are read too.
    """
    from stream_guard.config import load

    load(file)
    typer.echo(f"{file}: ok")


@commands.command()
def show(file: FileOption = None) -> None:
    """Print every setting that is in force, and where it was set. Secrets are masked."""
    from stream_guard.config import load_with_origins
    from stream_guard.config.writing import effective_yaml

    typer.echo(effective_yaml(load_with_origins(file)), nl=False)


@commands.command()
def default() -> None:
    """Print every setting with its default and its meaning: a file to begin with."""
    from stream_guard.config import Config
    from stream_guard.config.writing import default_yaml

    typer.echo(default_yaml(Config), nl=False)
