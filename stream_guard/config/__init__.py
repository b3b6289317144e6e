"""One file for all settings, read strictly: what is not understood is refused, with file, line and key.

The models live beside the code that they set; here they are composed. A value comes from, the later the stronger:

1. the default of its model;
2. the YAML file;
3. the environment: `STREAM_GUARD__ENGINE__SHADOW=false` sets `engine.shadow`.

A secret can be given by the name of a file that holds it: `secret_file` for `secret`, in the YAML file (relative to it)
and in the environment alike. Secrets are never printed, not even by the message that refuses one.
"""

from collections.abc import Mapping
from pathlib import Path

from stream_guard.config.loading import Loaded, read_settings
from stream_guard.engine import EngineSettings
from stream_guard.gateway.settings import ApiSettings
from stream_guard.settings import Settings
from stream_guard.transports.journal import EmbeddedSettings
from stream_guard.transports.kafka.settings import KafkaSettings
from stream_guard.transports.webhooks.settings import WebhookSettings


class Config(Settings):
    """Every setting of stream_guard, one section per part."""

    engine: EngineSettings = EngineSettings()
    """What is measured, what is judged and what is decided."""
    embedded: EmbeddedSettings = EmbeddedSettings()
    """How `stream-guard run` keeps what it was told and what it made of it."""
    api: ApiSettings = ApiSettings()
    """The HTTP API: events in, answers out, `/metrics`."""
    kafka: KafkaSettings = KafkaSettings()
    """How to reach Kafka and how to work with it: `stream-guard worker`, `topics`, `produce` and `tail`."""
    webhooks: WebhookSettings = WebhookSettings()
    """Who is told of decisions and alerts, signed as Standard Webhooks say."""


def load(file: Path | None = None, environ: Mapping[str, str] | None = None) -> Config:
    """Return what `file` says, overridden by the environment (`os.environ` if not given), over the defaults.

    Raises
    ------
    ConfigError
        With one line for each thing that is wrong: `FILE:LINE: KEY: message`.
    """
    return load_with_origins(file, environ).settings


def load_with_origins(file: Path | None = None, environ: Mapping[str, str] | None = None) -> Loaded[Config]:
    """Like `load`, and say of each value where it was set."""
    return read_settings(Config, file, environ)
