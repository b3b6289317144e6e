"""What other programs log about requests, as the fields of a `RequestEvent`.

A reader takes one payload and yields the fields of each request in it; the codec then checks them as any other. What a
format does not say is absent; nothing is guessed. Payloads that are not of the format raise InvalidEvent.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from stream_guard.formats import litellm, otel

Reader = Callable[[bytes], Iterator[dict[str, Any]]]

FORMATS: Mapping[str, Reader] = {"litellm": litellm.read, "otel": otel.read}
"""By the name that `POST /v1/events?format=` takes."""
