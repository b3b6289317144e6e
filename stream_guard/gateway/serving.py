"""Serves the API inside a loop that runs already, beside the engine."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from fastapi import FastAPI

from stream_guard.errors import TransportError
from stream_guard.gateway.settings import ApiSettings

GRACE_S = 5
"""How long running answers may take once the service stops."""

BACKLOG = 2048


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Say when it is up."""
        await super().startup(sockets)
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to whoever runs the loop."""
        yield


@contextlib.asynccontextmanager
async def serving(app: FastAPI, settings: ApiSettings) -> AsyncIterator[str]:
    """Serve until the block is left, then let running answers finish; yields the address, `http://HOST:PORT`.

    Raises TransportError if the port is taken.
    """
    with _listening(settings) as listener:
        host, port = listener.getsockname()[:2]
        server = _Server(
            uvicorn.Config(
                app, lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=GRACE_S, ws="none"
            )
        )
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await server.up.wait()
            yield f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        finally:
            app.state.closing.set()
            server.should_exit = True
            await task


def _listening(settings: ApiSettings) -> socket.socket:
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )[0]
        # With the protocol named, asyncio turns Nagle's algorithm off; without, each answer takes 40 ms.
        listener = socket.socket(family, kind, proto)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
        except BaseException:
            listener.close()
            raise
    except OSError as e:
        why = e.strerror or str(e)
        raise TransportError(f"cannot listen on {settings.host} port {settings.port}: {why}") from e
    return listener
