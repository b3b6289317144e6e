"""What every test stands on.

Tests of coroutines are marked `@pytest.mark.anyio` (or `pytestmark = pytest.mark.anyio` for a file) and run on asyncio;
async fixtures work in them. No other plugin for asyncio is used.
"""

import os
import signal

import pytest

# A shell that starts the tests in the background has them ignore Ctrl-C, and what they start inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def anyio_backend():
    return "asyncio"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    """No setting of the machine reaches a test."""
    for name in list(os.environ):
        if name.startswith("STREAM_GUARD_"):
            monkeypatch.delenv(name)
