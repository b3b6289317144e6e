"""What the operator can set about the API."""

from pydantic import Field, SecretStr

from stream_guard.settings import Settings


class ApiSettings(Settings):
    """The HTTP API: events in, answers out."""

    host: str = "127.0.0.1"
    """Address to listen on; give `token` before it is anything but the machine itself."""

    port: int = Field(default=8080, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""

    token: SecretStr | None = Field(default=None, min_length=16)
    """Bearer token that every call but `/healthz`, `/readyz` and `/metrics` must carry. Without one, all may ask."""

    body_bytes_max: int = Field(default=16 * 2**20, ge=1024, le=2**30)
    """How long the body of a request may be, as sent."""

    unpacked_bytes_max: int = Field(default=64 * 2**20, ge=1024, le=2**30)
    """How long it may be once gzip is unpacked."""

    events_max: int = Field(default=50_000, ge=1, le=10**6)
    """How many events (lines) a request may have."""

    body_s_max: float = Field(default=60.0, gt=0)
    """How long a caller may take to send a body."""

    uploads_max: int = Field(default=8, ge=1, le=1000)
    """How many requests with events are read at a time; more are told to come again (429)."""

    streams_max: int = Field(default=100, ge=0, le=10_000)
    """How many readers may follow decisions at a time; more are told to come again (503)."""

    heartbeat_s: float = Field(default=15.0, gt=0)
    """A stream with nothing to say says so this often."""

    stall_s: float = Field(default=10.0, gt=0)
    """A reader of a stream that takes nothing for so long is cut off; it can go on with `Last-Event-ID`."""
