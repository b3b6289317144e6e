"""A real Apache Kafka for all tests of this folder; topics and groups of its own for each test."""

from pathlib import Path

import pytest
from staging import WAIT_S, Stage, numbers

from stream_guard.testing.broker import Broker
from stream_guard.transports.kafka import topics
from stream_guard.transports.kafka.settings import KafkaSettings, TopicNames


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("kafka")
            item.add_marker(pytest.mark.timeout(4 * WAIT_S))


@pytest.fixture(scope="session")
def broker():
    with Broker(start_timeout_s=WAIT_S) as running:
        yield running


@pytest.fixture
def names():
    """Topic names that no other test has."""
    prefix = f"test-{next(numbers)}."
    return TopicNames(**{field: prefix + name for field, name in TopicNames().model_dump().items()})


@pytest.fixture
def settings(broker, names, tmp_path):
    """Settings of a test's own: topics, group, snapshots. The topics are not made yet."""
    return KafkaSettings(
        bootstrap_servers=broker.bootstrap_servers,
        topics=names,
        group=names.requests,
        partitions=3,
        connect_timeout_s=WAIT_S / 2,
        snapshots_dir=tmp_path / "snapshots",
        snapshot_interval_s=0.5,
        flush_interval_s=0.1,
        session_timeout_s=6.0,
    )


@pytest.fixture
def stage(settings, tmp_path):
    """Topics that are made, and processes that end with the test."""
    topics.create(settings)
    with Stage(settings, tmp_path) as ready:
        yield ready
