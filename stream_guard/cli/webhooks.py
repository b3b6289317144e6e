"""`stream-guard webhooks`: make secrets, listen, send a trial message, see what waits."""

import base64
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream_guard.cli.options import ConfigOption

if TYPE_CHECKING:
    from stream_guard.testing.webhooks import Received

commands = typer.Typer(
    name="webhooks",
    no_args_is_help=True,
    help="Try out and look after the webhooks that tell of decisions and alerts.",
)


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(commands)


@commands.command()
def secret() -> None:
    """Print a new secret, for a file that `secrets_file` names and for the receiver."""
    typer.echo(f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}")


@commands.command()
def listen(
    secret_file: Annotated[Path, typer.Option(help="The secrets that may have signed, one a line.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine; 0 takes a free one.")] = 8090,
) -> None:
    """Receive webhooks on this machine, check their signatures and print them, until Ctrl-C.

    A message that is not signed by one of the secrets is answered 401. Point an endpoint's `url` here to try out what
    a receiver would see.
    """
    import threading

    from stream_guard.errors import TransportError
    from stream_guard.testing.webhooks import WebhookReceiver

    known = tuple(_secrets(secret_file))
    try:
        receiver = WebhookReceiver(known, port=port, told=_print)
    except OSError as error:
        raise TransportError(f"cannot listen on port {port}: {error.strerror}") from error
    with receiver:
        typer.echo(f"listening on {receiver.url}")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            typer.echo(f"{len(receiver.received)} received, {len(receiver.refused)} refused")


@commands.command("test")
def send_test(
    config: ConfigOption = None,
    endpoint: Annotated[str | None, typer.Option(help="Only the endpoint of this name.")] = None,
) -> None:
    """Send a signed message of type `webhook.test` to each endpoint, once; exit code 1 if one did not take it."""
    import asyncio

    from stream_guard.config import load
    from stream_guard.errors import TransportError
    from stream_guard.transports.webhooks.delivery import try_endpoints

    settings = load(config).webhooks
    chosen = [one for one in settings.endpoints if endpoint in (None, one.name)]
    if not chosen:
        raise TransportError(f"no endpoint {endpoint!r} is configured" if endpoint else "no endpoint is configured")
    answers = asyncio.run(try_endpoints(settings, chosen))
    for name, answer in answers.items():
        typer.secho(f"{name}: {answer.why}", fg="green" if answer.delivered else "red")
    if not all(answer.delivered for answer in answers.values()):
        raise typer.Exit(1)


def _secrets(file: Path) -> list[str]:
    from stream_guard.errors import ConfigError
    from stream_guard.transports.webhooks.settings import SECRET_PREFIX

    try:
        found = file.read_text().split()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: {getattr(error, 'strerror', None) or 'is not text'}") from None
    if not found or not all(one.startswith(SECRET_PREFIX) for one in found):
        raise ConfigError(f"{file}: must hold secrets, `{SECRET_PREFIX}...`, one a line")
    return found


def _print(message: "Received") -> None:
    from rich.console import Console
    from rich.json import JSON

    console = Console(soft_wrap=True)
    console.print(
        f"[bold]{message.body.get('type')}[/] {message.id}{' (a repeat)' if message.repeat else ''}", highlight=False
    )
    console.print(JSON.from_data(message.body.get("data")))
