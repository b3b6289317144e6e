"""Spans of OpenTelemetry's generative AI conventions, as a collector posts them (OTLP, encoded as JSON).

The account is the attribute `user.id` (or `enduser.id`) of the span or of its resource. Spans of other operations than
inference are not requests and are passed over; so are spans that are not about generative AI. Names are those of
https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/ (version 1.37 and later).
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from stream_guard.errors import InvalidEvent
from stream_guard.formats.conversation import fields_of

OPERATIONS = frozenset({"chat", "generate_content", "text_completion"})
_ERROR = 2


class AnyValue(msgspec.Struct):
    """OTLP's value of any type."""

    stringValue: str | None = None  # noqa: N815 - theirs, here and below
    boolValue: bool | None = None  # noqa: N815
    intValue: str | int | None = None  # noqa: N815
    doubleValue: float | None = None  # noqa: N815
    arrayValue: "Values | None" = None  # noqa: N815
    kvlistValue: "Attributes | None" = None  # noqa: N815

    def plain(self) -> Any:
        """Return it as Python has it."""
        if self.arrayValue is not None:
            return [value.plain() for value in self.arrayValue.values]
        if self.kvlistValue is not None:
            return {pair.key: pair.value.plain() for pair in self.kvlistValue.values}
        if self.intValue is not None:
            return int(self.intValue)
        return next((v for v in (self.stringValue, self.boolValue, self.doubleValue) if v is not None), None)


class Attribute(msgspec.Struct):
    """A name and its value."""

    key: str
    value: AnyValue


class Values(msgspec.Struct):
    """OTLP's array."""

    values: list[AnyValue] = []


class Attributes(msgspec.Struct):
    """OTLP's map."""

    values: list[Attribute] = []


class Status(msgspec.Struct):
    """How a span ended."""

    code: int = 0


class Span(msgspec.Struct):
    """One operation."""

    traceId: str  # noqa: N815
    spanId: str  # noqa: N815
    startTimeUnixNano: str | int  # noqa: N815
    attributes: list[Attribute] = []
    status: Status | None = None


class ScopeSpans(msgspec.Struct):
    """Spans of one library."""

    spans: list[Span] = []


class Resource(msgspec.Struct):
    """Where spans come from."""

    attributes: list[Attribute] = []


class ResourceSpans(msgspec.Struct):
    """Spans of one process."""

    resource: Resource | None = None
    scopeSpans: list[ScopeSpans] = []  # noqa: N815


class Export(msgspec.Struct):
    """What a collector posts."""

    resourceSpans: list[ResourceSpans]  # noqa: N815


class Part(msgspec.Struct):
    """A part of a message; only text is read."""

    type: str = ""
    content: Any = None

    def text(self) -> str:
        """Return its text."""
        return self.content if self.type == "text" and isinstance(self.content, str) else ""


class Message(msgspec.Struct):
    """One message."""

    role: str = ""
    parts: list[Part] = []


_DECODER = msgspec.json.Decoder(Export)


def read(payload: bytes) -> Iterator[dict[str, Any]]:
    """Yield the fields of each inference in an export. Raises InvalidEvent."""
    try:
        export = _DECODER.decode(payload)
        for process in export.resourceSpans:
            shared = _plain(process.resource.attributes) if process.resource else {}
            for span in (span for scope in process.scopeSpans for span in scope.spans):
                attributes = _plain(span.attributes)
                if attributes.get("gen_ai.operation.name") in OPERATIONS:
                    yield _fields(span, shared | attributes)
    except (ValueError, OverflowError, RecursionError) as e:
        raise InvalidEvent(f"Not an OTLP export of spans: {e}") from None


def _plain(attributes: list[Attribute]) -> dict[str, Any]:
    return {attribute.key: attribute.value.plain() for attribute in attributes}


def _fields(span: Span, said: Mapping[str, Any]) -> dict[str, Any]:
    reasons = said.get("gen_ai.response.finish_reasons")
    client = {"ip": said.get("client.address"), "user_agent": said.get("user_agent.original")}
    return {
        "event_id": f"{span.traceId}-{span.spanId}",
        "ts": int(span.startTimeUnixNano) // 1000 / 1e6,  # whole microseconds are exact
        "account_id": said.get("user.id", said.get("enduser.id")),
        "model": said.get("gen_ai.request.model", said.get("gen_ai.response.model")),
        "operation": said["gen_ai.operation.name"],
        "conversation_id": said.get("gen_ai.conversation.id"),
        "status": _status(span, said),
        "finish_reason": reasons[0] if isinstance(reasons, list) and reasons else None,
        "input_tokens": said.get("gen_ai.usage.input_tokens"),
        "output_tokens": said.get("gen_ai.usage.output_tokens"),
        "max_tokens": said.get("gen_ai.request.max_tokens"),
        "temperature": said.get("gen_ai.request.temperature"),
        "top_p": said.get("gen_ai.request.top_p"),
        "n": said.get("gen_ai.request.choice.count"),
        "tools": bool(said["gen_ai.tool.definitions"]) if "gen_ai.tool.definitions" in said else None,
        "client": client if any(client.values()) else None,
        **_conversation(said),
    }


def _status(span: Span, said: Mapping[str, Any]) -> int | None:
    if span.status is None or span.status.code != _ERROR:
        return 200
    kind = str(said.get("error.type", ""))
    return int(kind) if len(kind) == 3 and kind.isdecimal() else None


def _conversation(said: Mapping[str, Any]) -> dict[str, Any]:
    if "gen_ai.input.messages" not in said and "gen_ai.system_instructions" not in said:
        return {}
    messages = _parsed(said.get("gen_ai.input.messages", []), list[Message])
    instructions = _parsed(said.get("gen_ai.system_instructions", []), list[Part])
    pairs = [(message.role, "\n".join(filter(None, (part.text() for part in message.parts)))) for message in messages]
    return fields_of([("system", part.text()) for part in instructions if part.text()] + pairs)


def _parsed(value: Any, kind: Any) -> Any:
    """Return what an attribute holds that is structured, or JSON in a string."""
    return msgspec.json.decode(value, type=kind) if isinstance(value, str) else msgspec.convert(value, kind)
