"""Counts what the API answers, and how fast."""

import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stream_guard.metrics import CHECK_REQUESTS, CHECK_SECONDS, HTTP_REQUESTS, HTTP_SECONDS, Metrics

METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
"""Others are counted as `other`, so that callers cannot make series at will."""


class Measured:
    """An ASGI middleware that counts requests by route and status.

    A route that puts the action it answered into `request.state.action` is a check and is counted as one too.

    Parameters
    ----------
    app
        What answers.
    metrics
        Where it is counted.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and count its answer when it begins, so that streams count too."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()

        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._count(scope, message["status"], time.perf_counter() - started)
            await send(message)

        await self._app(scope, receive, counting)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        metrics, route = self._metrics, _route(scope)
        method = scope["method"] if scope["method"] in METHODS else "other"
        metrics.inc(HTTP_REQUESTS, method=method, route=route, status=status)
        metrics.observe(HTTP_SECONDS, seconds, route=route)
        action: Any = scope.get("state", {}).get("action")
        if action:
            metrics.inc(CHECK_REQUESTS, action=action)
            metrics.observe(CHECK_SECONDS, seconds)


def _route(scope: Scope) -> str:
    return str(getattr(scope.get("route"), "path", "other"))
