"""LiteLLM's standard logging payload, as its `generic_api` callback posts it.

The account is the user that a virtual key belongs to, or the key where it belongs to nobody. Field names are those of
`StandardLoggingPayload` (https://docs.litellm.ai/docs/proxy/logging_spec).
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from stream_guard.errors import InvalidEvent
from stream_guard.formats.conversation import fields_of


class Part(msgspec.Struct):
    """A part of a message; only text is read."""

    text: str | None = None


class Message(msgspec.Struct):
    """One message of a chat."""

    role: str = ""
    content: str | list[Part | str] | None = None

    def said(self) -> tuple[str, str]:
        """Return who said what."""
        if isinstance(self.content, list):
            parts = (part if isinstance(part, str) else part.text for part in self.content)
            return self.role, "\n".join(part for part in parts if part)
        return self.role, self.content or ""


class Metadata(msgspec.Struct):
    """Whose key it was."""

    user_api_key_hash: str | None = None
    user_api_key_user_id: str | None = None
    user_api_key_team_id: str | None = None
    user_api_key_org_id: str | None = None
    user_api_key_user_email: str | None = None
    requester_ip_address: str | None = None


class Parameters(msgspec.Struct):
    """What was asked of the model. `logprobs` is a flag for chats and a number for completions."""

    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    logprobs: bool | int | None = None
    tools: list[Any] | None = None


class Failure(msgspec.Struct):
    """Why a request failed."""

    error_code: str | int | None = None


class Choice(msgspec.Struct):
    """One answer."""

    finish_reason: str | None = None


class Answer(msgspec.Struct):
    """What came back."""

    choices: list[Choice] = []


class Payload(msgspec.Struct):
    """The fields that are read."""

    id: str
    startTime: float  # noqa: N815 - theirs
    model: str
    metadata: Metadata
    call_type: str | None = None
    model_group: str | None = None
    stream: bool | None = None
    status: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    requester_ip_address: str | None = None
    messages: list[Message] | str | dict[str, Any] | None = None
    response: Answer | str | list[Any] | None = None
    model_parameters: Parameters | None = None
    error_information: Failure | None = None


_DECODER = msgspec.json.Decoder(Payload)


def read(payload: bytes) -> Iterator[dict[str, Any]]:
    """Yield the fields of the one request of a payload. Raises InvalidEvent."""
    try:
        log = _DECODER.decode(payload)
    except (ValueError, RecursionError) as e:
        raise InvalidEvent(f"Not a LiteLLM standard logging payload: {e}") from None
    asked, key = log.model_parameters or Parameters(), log.metadata
    account = key.user_api_key_user_id or key.user_api_key_hash
    if not account:
        raise InvalidEvent("Expected `user_api_key_user_id` or `user_api_key_hash` - at `$.metadata`")
    said: dict[str, Any] = {}
    if isinstance(log.messages, str):
        said = {"prompt": log.messages}
    elif isinstance(log.messages, list):
        said = fields_of(message.said() for message in log.messages)
    answers = log.response.choices if isinstance(log.response, Answer) else []
    ip = log.requester_ip_address or key.requester_ip_address
    email = (key.user_api_key_user_email or "").rpartition("@")[2]
    yield {
        "event_id": log.id,
        "ts": log.startTime,
        "account_id": account,
        "model": log.model_group or log.model,
        "org_id": key.user_api_key_org_id or key.user_api_key_team_id,
        "api_key_id": key.user_api_key_hash,
        "operation": log.call_type,
        "status": _status(log),
        "finish_reason": answers[0].finish_reason if answers else None,
        "stream": log.stream,
        "input_tokens": log.prompt_tokens,
        "output_tokens": log.completion_tokens,
        "max_tokens": asked.max_completion_tokens or asked.max_tokens,
        "temperature": asked.temperature,
        "top_p": asked.top_p,
        "n": asked.n,
        "logprobs": None if asked.logprobs is None else bool(asked.logprobs),
        "tools": None if asked.tools is None else bool(asked.tools),
        "client": {"ip": ip} if ip else None,
        "account": {"email_domain": email} if email else None,
        **said,
    }


def _status(log: Payload) -> int | None:
    if log.status == "success":
        return 200
    code = str(log.error_information.error_code) if log.error_information else ""
    return int(code) if len(code) == 3 and code.isdecimal() else None
