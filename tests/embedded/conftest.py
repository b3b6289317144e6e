"""The traffic that the embedded mode is tested with."""

import pytest

from stream_guard.codecs import encode
from stream_guard.simulate import Scenario, stream


@pytest.fixture(scope="session")
def traffic():
    """Half a day of a small population with a campaign in it: one payload an event."""
    return [encode(event) for event, _ in stream(Scenario("hydra", accounts=60, days=0.5, volume=0.3))]
