"""Every error that stream_guard raises on purpose.

    StreamGuardError
    ├── InvalidEvent             one payload that cannot be a request event; carries `reason`; goes to the dead letters
    ├── ConfigError              a configuration that is refused; carries file, line and key where they are known
    ├── SnapshotError            a snapshot that is damaged, foreign or of another version
    ├── InvalidCursor            a place in the log of decisions that is not there, or no longer
    └── TransportError           the outside world failed
        ├── SourceError          events cannot be read
        ├── SinkError            what we decided cannot be written
        ├── Overloaded           more comes in than is taken; carries after how many seconds to come again
        └── BrokerError          Kafka: no broker, a missing topic, a wrong setting of a topic

Errors of libraries are mapped to these where they enter (`transports/`, `codecs.py`, `config.py`). A programmer's
mistake stays an `AssertionError`, `TypeError` or `ValueError`.
"""


class StreamGuardError(Exception):
    """Base of all of them: what the command line prints in one line, without a traceback."""


class InvalidEvent(StreamGuardError):  # noqa: N818 - the field says "invalid message", and it is a value more than a failure
    """One payload that cannot be a request event.

    Attributes
    ----------
    reason
        Why, in one line; names the field where there is one (`Expected str, got int - at $.event_id`).
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ConfigError(StreamGuardError):
    """A configuration that is refused; the message starts with `FILE:LINE: KEY:` where they are known."""


class SnapshotError(StreamGuardError):
    """A snapshot that is damaged, foreign, or written by another version."""


class InvalidCursor(StreamGuardError):  # noqa: N818 - as InvalidEvent
    """A place in the log of decisions that is not there, or no longer."""


class TransportError(StreamGuardError):
    """The outside world failed."""


class SourceError(TransportError):
    """Events cannot be read."""


class SinkError(TransportError):
    """What we decided cannot be written."""


class Overloaded(TransportError):  # noqa: N818 - as InvalidEvent
    """More comes in than is taken: nothing of it was taken, come again after `retry_after_s` seconds."""

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class BrokerError(TransportError):
    """Kafka: no broker, a missing topic, a wrong setting of a topic."""
