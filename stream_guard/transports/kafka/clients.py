"""Connections: what each client library is told, from the same settings; its errors become ours here."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stream_guard.errors import BrokerError
from stream_guard.transports.kafka.settings import KafkaSettings

MESSAGE_BYTES_MAX = 8 << 20
"""The largest record we write: a report or a verdict. The topics between the halves allow it."""


def ssl_context(settings: KafkaSettings) -> ssl.SSLContext | None:
    """Return what TLS stands on, None where the protocol has none. Raises BrokerError for files that do not work."""
    if not settings.security_protocol.endswith("SSL"):
        return None
    try:
        context = ssl.create_default_context(cafile=settings.ssl_ca_file)
        if settings.ssl_certificate_file:
            context.load_cert_chain(settings.ssl_certificate_file, settings.ssl_key_file)
    except OSError as error:  # ssl.SSLError is one
        files = [settings.ssl_ca_file, settings.ssl_certificate_file, settings.ssl_key_file]
        named = ", ".join(str(f) for f in files if f)
        raise BrokerError(f"TLS cannot be set up from {named}: {error.strerror or error}") from error
    return context


def _security(settings: KafkaSettings) -> dict[str, Any]:
    options: dict[str, Any] = {
        "bootstrap_servers": [s.strip() for s in settings.bootstrap_servers.split(",")],
        "security_protocol": settings.security_protocol,
        "ssl_context": ssl_context(settings),
    }
    if settings.sasl_password:
        options["sasl_mechanism"] = settings.sasl_mechanism
        options["sasl_plain_username"] = settings.sasl_username
        options["sasl_plain_password"] = settings.sasl_password.get_secret_value()
    return options


def aiokafka_options(settings: KafkaSettings) -> dict[str, Any]:
    """Options of every aiokafka client."""
    return _security(settings) | {"client_id": settings.instance or "stream-guard"}


def kafka_python_options(settings: KafkaSettings) -> dict[str, Any]:
    """Options of every kafka-python client."""
    return _security(settings) | {
        "client_id": settings.instance or "stream-guard",
        "reconnect_backoff_max_ms": 500,  # with the default of 30 s it needs 15 s to notice that a broker is back
        "bootstrap_timeout_ms": int(settings.connect_timeout_s * 1000),
    }


def faust_options(settings: KafkaSettings) -> dict[str, Any]:
    """Options of the Faust app that say where Kafka is and who we are."""
    import faust  # noqa: PLC0415 - slow to import, and the tools do without

    servers = settings.bootstrap_servers.split(",")
    options: dict[str, Any] = {"broker": [f"kafka://{s.strip()}" for s in servers]}
    context = ssl_context(settings)
    if settings.sasl_password:
        options["broker_credentials"] = faust.SASLCredentials(
            username=settings.sasl_username,
            password=settings.sasl_password.get_secret_value(),
            ssl_context=context,
            mechanism=settings.sasl_mechanism,
        )
    elif context:
        options["broker_credentials"] = faust.SSLCredentials(context)
    return options


def unreachable(settings: KafkaSettings, error: Exception) -> BrokerError:
    """Say in one line why no connection came about; the libraries say the same for many reasons."""
    hints = {
        "PLAINTEXT": "is it running, is the port right, does it expect TLS or a password?",
        "SSL": "is the port the one for TLS, does ssl_ca_file sign its certificate, does it want one of ours?",
        "SASL_PLAINTEXT": "is the port the one for SASL, are user, password and mechanism right?",
        "SASL_SSL": "is the port right, does ssl_ca_file sign its certificate, are user, password and mechanism right?",
    }
    name = type(error).__name__
    hint = hints[settings.security_protocol]
    return BrokerError(f"No Kafka at {settings.bootstrap_servers} ({settings.security_protocol}, {name}): {hint}")


@contextmanager
def kafka_python_errors(settings: KafkaSettings) -> Iterator[None]:
    """Map what kafka-python raises to BrokerError."""
    from kafka import errors  # noqa: PLC0415 - see above

    try:
        yield
    except (errors.KafkaConnectionError, errors.KafkaTimeoutError, errors.NodeNotReadyError) as error:
        raise unreachable(settings, error) from error
    except errors.KafkaError as error:
        raise BrokerError(f"Kafka at {settings.bootstrap_servers}: {error}") from error
