"""`stream-guard topics`: made as the table says; every difference is told."""

import pytest
from kafka.admin import KafkaAdminClient
from staging import STREAM_GUARD, WAIT_S, eventually

from stream_guard.transports.kafka import topics


@pytest.fixture
def admin(settings):
    client = KafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    yield client
    client.close()


def test_create_makes_every_topic_and_check_agrees(settings, stage):
    """Once made, nothing differs, and making them again makes nothing."""
    done = stage.run("topics", "check")

    assert topics.create(settings) == []
    assert (done.returncode, done.stdout) == (0, "all topics are as they should be\n")


def test_create_says_what_it_made(settings, names):
    """One at a time, in the order of the table."""
    assert (
        topics.create(settings) == list(names.model_dump().values())[:1] + [t.name for t in topics.table(settings)][1:]
    )


def test_check_tells_every_difference(settings, names, admin):
    """Missing, too few partitions, too many, another policy."""
    admin.create_topics(
        {
            names.requests: {"num_partitions": 2, "configs": {"retention.ms": "60000"}},
            names.accounts: {"num_partitions": 4, "configs": {"cleanup.policy": "compact"}},
            names.summaries: {"num_partitions": 2},
        },
        wait_for_metadata=True,
    )

    differences = topics.check(settings)

    assert f"{names.requests}: has 2 partitions, wants 3" in differences
    assert f"{names.requests}: retention.ms is 60000, should be 604800000" in differences
    assert f"{names.accounts}: has 4 partitions, needs as many as {names.requests}, 2" in differences
    assert f"{names.summaries}: has 2 partitions, needs exactly 1" in differences
    assert f"{names.summaries}: max.message.bytes is 1048588, should be 8388608" in differences
    assert {d.split(":")[0] for d in differences if d.endswith("is missing")} == set(names.model_dump().values()) - {
        names.requests,
        names.accounts,
        names.summaries,
    }


def test_check_ends_with_an_error_if_there_is_a_difference(settings, stage, admin):
    """For scripts."""
    admin.delete_topics([settings.topics.alerts])
    eventually(lambda: settings.topics.alerts not in admin.list_topics())
    done = stage.run("topics", "check")

    assert (done.returncode, done.stdout) == (1, f"{settings.topics.alerts}: is missing\n")


def test_no_broker_is_one_line(tmp_path):
    """What a user sees who has the port wrong."""
    import subprocess

    command = [*STREAM_GUARD, "topics", "check", "--bootstrap", "127.0.0.1:1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)

    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("No Kafka at 127.0.0.1:1 (PLAINTEXT, ")
    assert "Traceback" not in done.stderr
