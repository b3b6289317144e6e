"""The API in front of a service that keeps everything in memory."""

import httpx
import pytest

from stream_guard.codecs import encode
from stream_guard.events import RequestEvent
from stream_guard.gateway.api import create_app
from stream_guard.testing.backend import MemoryBackend


@pytest.fixture
def backend():
    return MemoryBackend()


@pytest.fixture
def make_client():
    """Return a client of an app around a backend; `settings` are those of the API."""

    def make(backend, settings=None, metrics=None):
        transport = httpx.ASGITransport(create_app(backend, settings, metrics), raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://api")

    return make


@pytest.fixture
async def client(backend, make_client):
    async with make_client(backend) as client:
        yield client


@pytest.fixture
def event():
    """Return the payload of an event; the prompt is the same each time."""

    def make(number, account="acct_1", **fields):
        fields = {"prompt": "Explain step by step, with a proof, why " + str(number)} | fields
        return encode(RequestEvent(f"e{number}", 1777000000.0 + number, account, "m", **fields))

    return make
