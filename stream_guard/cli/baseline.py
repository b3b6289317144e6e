"""`stream-guard baseline`: what is usual in one deployment, for another to begin with."""

from pathlib import Path
from typing import Annotated

import typer

from stream_guard.cli.options import ConfigOption

commands = typer.Typer(
    name="baseline",
    no_args_is_help=True,
    help="Take what is usual from one deployment to another.",
)

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A baseline.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(commands)


@commands.command()
def export(
    file: FileArgument,
    config: ConfigOption = None,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Where `run` keeps its state (`embedded.data_dir`).")
    ] = None,
    kafka: Annotated[
        bool, typer.Option("--kafka", help="Read the snapshots of all halves on Kafka (`kafka.snapshots_dir`) instead.")
    ] = False,
) -> None:
    """Write what is usual in a deployment to FILE, from its newest snapshots. It may be running.

    Begin another one with it: `stream-guard run --baseline FILE`, `worker --baseline FILE`, `replay --baseline FILE`.
    Without a deployment, `stream-guard replay PAST.jsonl --out DIR --save-baseline FILE` learns it from recorded traffic.
    The file holds quantiles and medians, and nothing of any account or text.
    """
    from stream_guard.app.baseline import of_embedded, of_kafka, save
    from stream_guard.config import load

    settings = load(config)
    embedded = data or Path(settings.embedded.data_dir)
    found = of_kafka(settings.kafka.snapshots_dir, settings.engine) if kafka else of_embedded(embedded, settings.engine)
    save(file, found)
    typer.echo(f"{file}: what is usual of {found.accounts:,} lessons from accounts and {found.groups:,} groups")


@commands.command()
def show(file: FileArgument) -> None:
    """Print what is usual by FILE, beside the median that ships; exit code 1 if it is none, or damaged."""
    from stream_guard.app.baseline import load
    from stream_guard.signals import BY_NAME

    baseline = load(file)
    typer.echo(f"{'signal':<24}{'p01':>10}{'p10':>10}{'p50':>10}{'p90':>10}{'p99':>10}{'shipped':>10}  unit")
    for name, quantiles in baseline.signals.items():
        signal = BY_NAME.get(name)
        shipped, unit = (f"{signal.quantiles[2]:.4g}", signal.unit) if signal else ("", "not known to this program")
        typer.echo(f"{name:<24}" + "".join(f"{q:>10.4g}" for q in quantiles) + f"{shipped:>10}  {unit}")
    typer.echo(f"from {baseline.accounts:,} lessons; what crowds are like from {baseline.groups:,} groups")
