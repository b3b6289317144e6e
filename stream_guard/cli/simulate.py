"""`stream-guard simulate`: traffic with a hidden campaign, as request events."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from stream_guard.errors import SinkError

if TYPE_CHECKING:
    from stream_guard.simulate import Traffic


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(simulate)


def _scenarios() -> list[str]:
    from stream_guard.simulate import SCENARIOS

    return list(SCENARIOS)


def known(name: str) -> str:
    """Return the name of a scenario, or refuse it."""
    if name not in _scenarios():
        raise typer.BadParameter(f"no scenario {name!r}; there are {', '.join(_scenarios())}")
    return name


def _show(wanted: bool) -> None:
    if wanted:
        from stream_guard.simulate import SCENARIOS

        for name, plan in SCENARIOS.items():
            typer.echo(f"{name:<12}{plan.summary}\n{'':<12}after: {plan.published}")
        raise typer.Exit


def simulate(
    scenario: Annotated[str, typer.Argument(callback=known, metavar="SCENARIO", help="What is hidden; see `--list`.")],
    accounts: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Honest accounts; the campaign's come on top.")
    ] = 2000,
    days: Annotated[
        float | None, typer.Option(max=366, help="Length of the stream; without it what suits the scenario.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same stream.")] = 1,
    volume: Annotated[float, typer.Option(max=100, help="Scales what machines send.")] = 1.0,
    out: Annotated[str, typer.Option(metavar="FILE", help="Where the events go; - is standard output.")] = "-",
    labels: Annotated[Path | None, typer.Option(metavar="FILE", help="Where the truth goes: who is what.")] = None,
    releases: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where releases of models go; `replay --releases` reads them.")
    ] = None,
    show: Annotated[  # noqa: ARG001 - taken by its callback
        bool, typer.Option("--list", callback=_show, is_eager=True, help="Say what the scenarios are.")
    ] = False,
) -> None:
    """Write simulated traffic with a hidden campaign: one request event a line, in time order.

    Replay it (`stream-guard simulate hydra | stream-guard replay - --out DIR`), feed it to a topic with
    `stream-guard produce`, or send it to a running stream-guard. Nothing in it is about real people.
    """
    from stream_guard.simulate import Scenario, Traffic

    try:
        traffic = Traffic(Scenario(scenario, accounts, days, seed, volume))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    try:
        with ExitStack() as stack:
            sink = sys.stdout.buffer if out == "-" else stack.enter_context(Path(out).open("wb"))
            written, kept = _write(traffic, sink)
        if releases:
            from stream_guard.codecs import encode

            releases.write_bytes(b"".join(encode(release) + b"\n" for release in traffic.releases))
        if labels:
            labels.write_bytes(_truth(traffic, written, kept))
    except BrokenPipeError:
        raise typer.Exit from None  # whoever read has seen enough
    except OSError as error:
        raise SinkError(f"cannot write {error.filename}: {error.strerror}") from None
    typer.echo(f"{written:,} events of {len(traffic.accounts):,} accounts", err=True)


def _write(traffic: "Traffic", sink: BinaryIO) -> tuple[int, list[int]]:
    """Write all events; returns how many, and the numbers of those that are part of the harvest."""
    from stream_guard.codecs import encode

    kept: list[int] = []
    written = 0
    for event, label in traffic:
        if label.harvest:
            kept.append(written)
        sink.write(encode(event) + b"\n")
        written += 1
    sink.flush()
    return written, kept


def _truth(traffic: "Traffic", written: int, kept: list[int]) -> bytes:
    """Return the labels: what each account is, and each campaign with its own requests by number."""
    import orjson

    scenario, plan = traffic.scenario, traffic.scenario.plan
    hidden = [a for a in traffic.accounts if a.label.campaign]
    about = {"accounts": len(hidden), "plan": {"shape": plan.shape}, "summary": plan.summary, "harvest": kept}
    return orjson.dumps(
        {
            "scenario": scenario.name,
            "seed": scenario.seed,
            "days": scenario.length_days,
            "start": scenario.start,
            "events": written,
            "campaigns": {traffic.CAMPAIGN: about} if hidden else {},
            "accounts": {
                a.account_id: {
                    "label": a.label.campaign or "benign",
                    "kind": "campaign" if a.label.campaign else a.label.kind,
                    "requests": a.requests,
                    "pool": a.label.pool,
                }
                for a in traffic.accounts
            },
        }
    )
