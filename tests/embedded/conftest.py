"""The traffic that the embedded mode is tested with."""

import pytest

from stream_guard.codecs import encode
from stream_guard.simulate import Scenario, stream


@pytest.fixture(scope="session")
def traffic():
    """Some hours of a small population with a loud campaign in it: one payload an event."""
    return [encode(event) for event, _ in stream(Scenario("surge", accounts=20, days=0.2, volume=0.05))]
