"""Decisions as they are made, as Server-Sent Events.

A stream reads the log from its own place, so nothing queues up for a slow reader: who does not read for a while is cut
off, comes back with `Last-Event-ID` and goes on where it was.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from stream_guard.codecs import encode
from stream_guard.errors import InvalidCursor
from stream_guard.gateway.backend import DecisionLog, Logged

PAGE = 500
HEARTBEAT = b":\n\n"
GAP = b"event: gap\ndata: {}\n\n"
"""Said where decisions between the reader's place and the oldest kept may have been missed."""


class DecisionStream(Response):
    """The answer that goes on.

    Parameters
    ----------
    log
        Where decisions are read from.
    after
        The place to go on from; None begins with the oldest kept.
    account_id
        Of whom; None of everybody.
    heartbeat_s
        How long nothing is said at most.
    stall_s
        How long a reader may leave the connection full before it is cut off.
    closing
        Set when the service stops: ends the stream.
    readers
        Has this stream in it while somebody reads.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        log: DecisionLog,
        after: str | None,
        *,
        account_id: str | None,
        heartbeat_s: float,
        stall_s: float,
        closing: asyncio.Event,
        readers: "set[DecisionStream]",
    ) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._log = log
        self._after = after
        self._account_id = account_id
        self._heartbeat_s = heartbeat_s
        self._stall_s = stall_s
        self._closing = closing
        self._readers = readers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Speak until the reader is gone, stalls, or the service stops."""
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        end = asyncio.ensure_future(_first_of(_gone(receive), self._closing.wait()))
        self._readers.add(self)
        try:
            async for piece in self._pieces(end):
                await self._send(send, {"type": "http.response.body", "body": piece, "more_body": True})
            await self._send(send, {"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            return  # the server closes a connection whose answer was not finished
        finally:
            self._readers.discard(self)
            end.cancel()

    async def _send(self, send: Send, message: Message) -> None:
        async with asyncio.timeout(self._stall_s):
            await send(message)

    async def _pieces(self, end: "asyncio.Future[None]") -> AsyncIterator[bytes]:
        yield HEARTBEAT
        while not end.done():
            newest = await self._log.end()  # before the read: what comes in between is not skipped
            try:
                page = await self._log.read(self._after, PAGE, account_id=self._account_id)
            except InvalidCursor:
                self._after = None
                yield GAP
                continue
            self._after = page[-1].cursor if page else newest or self._after
            if page:
                yield b"".join(map(_event, page))
            elif not await self._more(end):
                yield HEARTBEAT

    async def _more(self, end: "asyncio.Future[None]") -> bool:
        """Wait for decisions, the end, or the time of a heartbeat; says whether it was one of the former."""
        more = asyncio.ensure_future(self._log.wait(self._after))
        try:
            done, _ = await asyncio.wait({more, end}, timeout=self._heartbeat_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            more.cancel()
        if more in done:
            with contextlib.suppress(InvalidCursor):  # the next read says so
                more.result()
        return bool(done)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _first_of(*waits: Coroutine[Any, Any, Any]) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def _event(logged: Logged) -> bytes:
    return b"id: %b\nevent: decision\ndata: %b\n\n" % (logged.cursor.encode(), encode(logged.decision))
