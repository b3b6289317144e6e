"""What the operator can set about webhooks."""

import base64
import binascii
import ipaddress
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from annotated_types import Ge, Gt, Le, MaxLen, MinLen
from pydantic import SecretStr, StringConstraints, field_validator, model_validator

from stream_guard.events import Action, Severity
from stream_guard.settings import Settings

SECRET_PREFIX = "whsec_"  # noqa: S105 - what secrets begin with
SECRET_BYTES = range(24, 65)
"""How long the specification lets a secret be."""


class WebhookEndpoint(Settings):
    """One receiver, and what it wants to know."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
    """What it is called here: in metrics, in logs, and as a part of the ids of its messages."""
    url: str
    """Where messages are posted: `https://...`; `http://...` only to this machine, or with `insecure`."""
    secrets: Annotated[tuple[SecretStr, ...], MinLen(1), MaxLen(4)]
    """Secrets (`whsec_...`, made by `stream-guard webhooks secret`); each signs. To change one: put the new one first,
    give it to the receiver, then take the old one out. Better given as `secrets_file`, one a line."""
    insecure: bool = False
    """Allow plain `http` to another machine: what is sent can then be read on the way."""
    decisions: tuple[Action, ...] = ("throttle", "challenge", "degrade", "verify", "suspend")
    """Decisions with these actions are sent, and whatever ends one that was sent; an empty list: none."""
    shadow: bool = False
    """Send decisions made in shadow mode too. They carry `"shadow": true` and are to be acted on by nobody."""
    alerts: tuple[Severity, ...] = ("info", "warning", "critical")
    """Alerts of these severities are sent; an empty list: none."""
    alert_kinds: tuple[str, ...] = ()
    """Only alerts of these kinds; an empty list: of every kind."""

    @field_validator("secrets")
    @classmethod
    def _are_secrets(cls, secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for secret in secrets:
            text = secret.get_secret_value()
            try:
                size = len(base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True))
            except binascii.Error:
                size = 0
            if not text.startswith(SECRET_PREFIX) or size not in SECRET_BYTES:
                raise ValueError(f"each must be {SECRET_PREFIX} and the base64 of 24 to 64 random bytes")
        return secrets

    @model_validator(mode="after")
    def _can_be_reached(self) -> "WebhookEndpoint":
        try:
            url = urlsplit(self.url)
            host, _ = url.hostname, url.port
        except ValueError as error:
            raise ValueError(f"url: {error}") from None
        if url.scheme not in ("http", "https") or not host:
            raise ValueError("url must be https://HOST/PATH")
        if url.username or url.password or url.fragment:
            raise ValueError("url must have no user, password or fragment in it")
        if url.scheme == "http" and not self.insecure and not _is_here(host):
            raise ValueError("url must be https; plain http to another machine needs insecure: true")
        return self


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class WebhookSettings(Settings):
    """Who is told of decisions and alerts, signed as Standard Webhooks say."""

    endpoints: Annotated[tuple[WebhookEndpoint, ...], MaxLen(32)] = ()
    """The receivers."""
    timeout_s: Annotated[float, Gt(0), Le(60)] = 15.0
    """How long a receiver may take to answer."""
    concurrency: Annotated[int, Ge(1), Le(64)] = 8
    """Messages on the way to one receiver at a time."""
    age_max_hours: Annotated[float, Gt(0), Le(24 * 30)] = 76.0
    """A message that could not be delivered for so long is given up."""
    messages_max: Annotated[int, Ge(1), Le(10_000_000)] = 100_000
    """Messages that may wait for one receiver; beyond it the oldest are given up."""
    proxy: str | None = None
    """A proxy that all deliveries go through (`http://HOST:PORT`), such as one that keeps them off inner addresses."""
    ca_file: Path | None = None
    """Certificates (PEM) that may sign the receivers' certificates, in place of the usual ones."""

    @model_validator(mode="after")
    def _names_differ(self) -> "WebhookSettings":
        names = [endpoint.name for endpoint in self.endpoints]
        if len(set(names)) < len(names):
            raise ValueError("two endpoints have the same name")
        return self
