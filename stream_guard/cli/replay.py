"""`stream-guard replay`: recorded traffic through a fresh engine, in event time."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from stream_guard.cli.options import BaselineOption, ConfigOption, loaded_baseline

if TYPE_CHECKING:
    from stream_guard.app.replay import ReplayProgress

_PLAIN_LINE_S = 10.0
"""Seconds between progress lines where there is no terminal."""

_RELEASES_BESIDE = "releases.jsonl"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(replay)


def replay(
    events: Annotated[
        list[str],
        typer.Argument(
            metavar="EVENTS.jsonl...",
            help="Files of request events, one a line; .gz and .zst too; - is standard input.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", metavar="DIR", help="Where decisions, campaigns, alerts and dead letters are written."),
    ],
    config: ConfigOption = None,
    shadow: Annotated[
        bool | None,
        typer.Option(
            "--shadow/--no-shadow", help="Mark decisions as acting on nobody, or not; overrides the settings."
        ),
    ] = None,
    releases: Annotated[
        Path | None,
        typer.Option(
            "--releases",
            metavar="FILE",
            help=f"Models that became available meanwhile; without it `{_RELEASES_BESIDE}` beside the first file.",
        ),
    ] = None,
    baseline: BaselineOption = None,
    save_baseline: Annotated[
        Path | None,
        typer.Option("--save-baseline", metavar="FILE", help="Where what is usual in this traffic is written."),
    ] = None,
    batch: Annotated[
        int, typer.Option("--batch", min=1, help="Events that go to the engine at a time; changes no result.")
    ] = 2000,
) -> None:
    """Say what would have been decided about recorded traffic.

    Writes `decisions.jsonl`, `campaigns.jsonl`, `alerts.jsonl` and `dead-letters.jsonl` into DIR. Time is the time of
    the events; the same input gives the same bytes. Until it is done the files are called `*.jsonl.partial`.
    """
    from stream_guard.app.baseline import save
    from stream_guard.app.replay import read_releases
    from stream_guard.app.replay import replay as run_replay
    from stream_guard.config import load

    settings = load(config).engine
    if shadow is not None:
        settings = settings.model_copy(update={"shadow": shadow})
    releases = releases or _beside(events[0])
    known = read_releases(str(releases)) if releases else []
    console = Console(stderr=True)
    with _Bar(console) if console.is_terminal else _Lines(console) as show:
        begin = loaded_baseline(baseline)
        done = asyncio.run(
            run_replay(events, out, settings, releases=known, baseline=begin, batch_events=batch, watch=show.update)
        )
    if save_baseline is not None:
        save(save_baseline, done.learnt)
    _summarise(done, out, settings.shadow, Console())


def _beside(first: str) -> Path | None:
    path = Path(first).with_name(_RELEASES_BESIDE) if first != "-" else None
    return path if path and path.exists() else None


class _Bar:
    """The progress on a terminal: one line that moves."""

    def __init__(self, console: Console) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            expand=True,
        )
        self._task = self._bar.add_task("reading", total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, progress: "ReplayProgress") -> None:
        self._bar.update(
            self._task, description=_line(progress), completed=progress.bytes_read, total=progress.bytes_total
        )


class _Lines:
    """The progress without a terminal: a plain line now and then."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next_s = _PLAIN_LINE_S

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, progress: "ReplayProgress") -> None:
        if progress.seconds < self._next_s:
            return
        self._next_s = progress.seconds + _PLAIN_LINE_S
        line = _line(progress)
        if progress.bytes_total and progress.bytes_read:
            share = progress.bytes_read / progress.bytes_total
            line += f", {share:.0%}, {progress.seconds * (1 / share - 1):,.0f} s left"
        self._console.print(line, highlight=False)


def _line(progress: "ReplayProgress") -> str:
    rate = progress.events / max(progress.seconds, 1e-9)
    return f"{progress.events:,} events, {rate:,.0f}/s, {len(progress.campaign_ids)} campaigns"


def _summarise(done: "ReplayProgress", out: Path, shadow: bool, console: Console) -> None:
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right")
    table.add_column()
    late = f" ({done.late:,} out of order)" if done.late else ""
    table.add_row(f"{done.events:,}", f"events{late}")
    if done.first_ts is not None and done.last_ts is not None:
        days = (done.last_ts - done.first_ts) / 86_400
        table.add_row(f"{days:.1f}", f"days, from {_date(done.first_ts)} to {_date(done.last_ts)}")
    table.add_row(f"{done.accounts:,}", "accounts held at the end")
    table.add_row(f"{len(done.campaign_ids):,}", "campaigns")
    table.add_row(f"{done.decisions:,}", "decisions" + (" (shadow mode: they act on nobody)" if shadow else ""))
    table.add_row(f"{done.alerts:,}", "alerts")
    table.add_row(f"{done.dead_letters:,}", "dead letters")
    if done.releases:
        table.add_row(f"{done.releases:,}", "releases of models told")
    table.add_row(f"{done.events / max(done.seconds, 1e-9):,.0f}", f"events a second, {done.seconds:.1f} s in all")
    console.print(table)
    console.print(f"written to {out}/", style="bold", soft_wrap=True)


def _date(ts: float) -> str:
    return datetime.fromtimestamp(ts, UTC).strftime("%Y-%m-%d %H:%M")
