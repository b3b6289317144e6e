"""A receiver of webhooks that checks signatures: for tests, and for trying out (`stream-guard webhooks listen`)."""

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from standardwebhooks import Webhook, WebhookVerificationError

BODY_BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Received:
    """One request: its three headers and what was told. `repeat` is true if a message of this id was taken before."""

    id: str
    timestamp: int
    signature: str
    body: Any
    repeat: bool


@dataclass
class WebhookReceiver:
    """A real HTTP server in a thread, on this machine; use it as a context manager.

    Parameters
    ----------
    secrets
        Messages that none of them has signed in the last five minutes are answered 401 and not taken. Without
        secrets nothing is checked.
    port
        0 takes a free one.
    replies
        Statuses, or statuses with headers, to answer the next messages with in place of 204.
    told
        Called with each message that was taken, in the thread of the server.
    """

    secrets: Sequence[str] = ()
    port: int = 0
    replies: Iterable[int | tuple[int, dict[str, str]]] = ()
    told: Callable[[Received], None] = lambda _: None
    received: list[Received] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._replies = iter(self.replies)
        self._ids: set[str] = set()
        self._turn = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), self._requests())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Where to post to."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def take(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str]]:
        """Check one message and say how to answer it."""
        with self._turn:
            try:
                self._check(headers, body)
            except (WebhookVerificationError, ValueError) as error:
                self.refused.append(str(error))
                return HTTPStatus.UNAUTHORIZED, {}
            reply = next(self._replies, HTTPStatus.NO_CONTENT)
            status, more = reply if isinstance(reply, tuple) else (reply, {})
            id_ = headers.get("webhook-id", "")
            message = Received(
                id_,
                int(headers.get("webhook-timestamp", 0)),
                headers.get("webhook-signature", ""),
                json.loads(body),
                id_ in self._ids,
            )
            self.received.append(message)
            if status < HTTPStatus.MULTIPLE_CHOICES:
                self._ids.add(id_)
                self.told(message)
            return status, more

    def _check(self, headers: dict[str, str], body: bytes) -> None:
        """Raise unless one of the secrets has signed it: a receiver that changes its secret knows both for a while."""
        for number, secret in enumerate(self.secrets, start=1):
            try:
                Webhook(secret).verify(body, headers)
            except WebhookVerificationError:
                if number == len(self.secrets):
                    raise
            else:
                return

    def _requests(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Request(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def do_POST(self) -> None:
                """Answer one message."""
                size = int(self.headers.get("content-length", 0))
                if size > BODY_BYTES_MAX:
                    self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
                    return
                body = self.rfile.read(size)
                status, more = receiver.take({k.lower(): v for k, v in self.headers.items()}, body)
                self.send_response(status)
                for name, value in more.items():
                    self.send_header(name, value)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing: who listens prints."""

        return Request
