"""Kafka: `worker`, `topics`, `produce`, `tail`, `broker`."""

import logging
import signal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from stream_guard.cli.options import BaselineOption, ConfigOption, loaded_baseline

if TYPE_CHECKING:
    from stream_guard.config import Config
    from stream_guard.transports.kafka.tools import Produced

BootstrapOption = Annotated[
    str | None,
    typer.Option("--bootstrap", "-b", metavar="HOST:PORT", help="Where Kafka is; overrides `kafka.bootstrap_servers`."),
]

topics_app = typer.Typer(no_args_is_help=True, help="Make the topics that stream_guard reads and writes; compare them.")


class Stream(StrEnum):
    """What `tail` shows."""

    decisions = "decisions"
    alerts = "alerts"
    campaigns = "campaigns"
    dead_letters = "dead-letters"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(worker)
    app.add_typer(topics_app, name="topics")
    app.command()(produce)
    app.command()(tail)
    app.command()(broker)


def worker(
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    halves: Annotated[
        str,
        typer.Option(
            "--halves",
            metavar="accounts,population",
            help="Which halves work here: one, or both. One population half is active, others stand by.",
        ),
    ] = "accounts,population",
    instance: Annotated[
        str | None,
        typer.Option(
            "--instance",
            metavar="NAME",
            help="This worker's own lasting name: a restart takes up the same partitions at once.",
        ),
    ] = None,
    api: Annotated[bool, typer.Option("--api/--no-api", help="Whether to answer over HTTP.")] = True,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="Port to listen on (`api.port`); 0 takes a free one.")
    ] = None,
    baseline: BaselineOption = None,
    log_level: Annotated[str, typer.Option("--log-level", help="debug, info, warning or error.")] = "info",
) -> None:
    """Read requests from Kafka; write decisions, alerts and campaigns.

    Start as many as there are partitions; they share them. Stops on Ctrl-C or SIGTERM with everything saved; after a
    crash it goes on from the last snapshots.

    **Example**: `stream-guard topics create -b kafka:9092 && stream-guard worker -b kafka:9092 --instance w1`
    """
    from stream_guard.app.kafka import make_service
    from stream_guard.transports.kafka.settings import Half

    chosen = [half for half in get_args(Half) if half in halves.split(",")]
    if ",".join(chosen) != halves:
        raise typer.BadParameter("must be accounts, population or accounts,population", param_hint="--halves")
    _log_to_stderr(log_level)
    settings = _load(config, bootstrap, instance)
    if port is not None:
        settings = settings.model_copy(update={"api": settings.api.model_copy(update={"port": port})})
    make_service(settings, halves=chosen, api=api, baseline=loaded_baseline(baseline)).run()


@topics_app.command("create")
def create_topics(config: ConfigOption = None, bootstrap: BootstrapOption = None) -> None:
    """Make the topics that are missing; leaves those that exist as they are.

    **Example**: `stream-guard topics create -b kafka:9092`
    """
    from stream_guard.transports.kafka import topics

    settings = _load(config, bootstrap).kafka
    made = set(topics.create(settings))
    table = Table("topic", "partitions", "key", "kept", "", box=None, pad_edge=False)
    for topic in topics.table(settings):
        table.add_row(
            topic.name, str(topic.partitions), topic.key, topic.kept, "made" if topic.name in made else "there"
        )
    Console().print(table)


@topics_app.command("check")
def check_topics(config: ConfigOption = None, bootstrap: BootstrapOption = None) -> None:
    """Compare the topics with what they should be; exit code 1 and one line for each difference.

    **Example**: `stream-guard topics check -b kafka:9092`
    """
    from stream_guard.transports.kafka import topics

    differences = topics.check(_load(config, bootstrap).kafka)
    for difference in differences:
        typer.secho(difference, fg="red")
    if differences:
        raise typer.Exit(1)
    typer.echo("all topics are as they should be")


def produce(
    events: Annotated[
        list[str],
        typer.Argument(
            metavar="EVENTS.jsonl...",
            help="Files of request events, one a line; .gz and .zst too; - is standard input.",
        ),
    ],
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    rate: Annotated[
        float | None,
        typer.Option("--rate", min=0.1, metavar="EVENTS/S", help="No faster than this; else as fast as can be."),
    ] = None,
) -> None:
    """Feed recorded request events to Kafka, keyed by account.

    Lines go as they are; what is no request event goes too, and the worker puts it among the dead letters.

    **Example**: `stream-guard produce EVENTS.jsonl.zst -b kafka:9092 --rate 500`
    """
    from stream_guard.transports.kafka.tools import produce as run

    settings = _load(config, bootstrap).kafka
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        TimeRemainingColumn(compact=True),
        console=console,
        disable=not console.is_terminal,
        expand=True,
    ) as bar:
        task = bar.add_task("sending", total=None)

        def show(done: "Produced") -> None:
            text = f"{done.events:,} events, {done.events / max(done.seconds, 1e-9):,.0f}/s"
            bar.update(task, description=text, completed=done.bytes_read, total=done.bytes_total)

        done = run(settings, events, rate=rate, watch=show)
    pace = done.events / max(done.seconds, 1e-9)
    console.print(f"{done.events:,} events in {done.seconds:.1f} s ({pace:,.0f} a second)", highlight=False)


def tail(
    stream: Annotated[Stream, typer.Argument(help="What to show.")],
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    from_beginning: Annotated[bool, typer.Option("--from-beginning", help="Show what is there already, too.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Records as they are, one a line.")] = False,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="Stop after so many.")] = None,
) -> None:
    """Show decisions, alerts, campaigns or dead letters as they are made, each with its reasons; Ctrl-C stops.

    **Example**: `stream-guard tail decisions -b kafka:9092 --from-beginning`
    """
    from stream_guard.transports.kafka.tools import follow, readable

    settings = _load(config, bootstrap).kafka
    topic = getattr(settings.topics, stream.value.replace("-", "_"))
    try:
        for value in follow(settings, topic, from_beginning=from_beginning, limit=limit):
            typer.echo(value if json else readable(stream.value, value))
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def broker(
    folder: Annotated[
        Path | None, typer.Option("--folder", metavar="DIR", help="Keep records here; else they go when it stops.")
    ] = None,
) -> None:
    """Start a real Kafka broker on this machine, with the topics made, to try things out; Ctrl-C stops it.

    Needs nothing but Python (`pip install stream-guard[test]`); not for production.

    **Example**: `stream-guard broker`, then with the address it prints, `stream-guard worker -b 127.0.0.1:PORT`
    """
    from stream_guard.testing.broker import Broker
    from stream_guard.transports.kafka import topics
    from stream_guard.transports.kafka.settings import KafkaSettings

    with Broker(folder) as running:
        topics.create(KafkaSettings(bootstrap_servers=running.bootstrap_servers))
        typer.echo(running.bootstrap_servers)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            signal.pause()
        except KeyboardInterrupt:
            typer.echo("stopped", err=True)


def _load(config: Path | None, bootstrap: str | None, instance: str | None = None) -> "Config":
    from stream_guard.config import load

    settings = load(config)
    said = {"bootstrap_servers": bootstrap, "instance": instance}
    kafka = settings.kafka.model_copy(update={key: value for key, value in said.items() if value is not None})
    return settings.model_copy(update={"kafka": kafka})


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    logging.getLogger("stream_guard").setLevel(level.upper())
