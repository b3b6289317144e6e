"""What every half hears, and when."""

import pytest
from aiokafka import TopicPartition

from stream_guard.transports.kafka.broadcast import Inbox, Notice, Reached
from stream_guard.transports.kafka.settings import TopicNames

TOPICS = TopicNames()
VERDICTS = TopicPartition(TOPICS.verdicts, 0)


def verdict(offset, clock=None):
    return Notice(TOPICS.verdicts, 0, offset, b"", clock or {})


def everything(_):
    return True


def heard(inbox, reached=everything):
    return [notice.offset for notice in inbox.due(reached)]


def test_a_record_is_heard_once_however_often_it_is_offered():
    """The reader goes back when another half joins."""
    inbox = Inbox({VERDICTS})
    for offset in (0, 1, 0, 1, 2):
        inbox.offer(verdict(offset))

    assert heard(inbox) == [0, 1, 2]
    assert heard(inbox) == []
    inbox.offer(verdict(2))
    assert heard(inbox) == []


def test_what_was_heard_is_in_the_snapshot_and_what_waits_is_not():
    """A half that starts again is offered what it had only been offered."""
    inbox = Inbox({VERDICTS})
    inbox.offer(verdict(7))

    assert inbox.next_offset(VERDICTS) == 8
    assert inbox.heard == {}
    heard(inbox)
    assert inbox.heard == {f"{TOPICS.verdicts}/0": 8}


def test_it_takes_only_what_it_listens_to():
    """Facts of the accounts of another partition are none of its business."""
    inbox = Inbox({TopicPartition(TOPICS.accounts, 1)})
    inbox.offer(Notice(TOPICS.accounts, 2, 0, b""))
    inbox.offer(Notice(TOPICS.accounts, 1, 0, b""))

    assert [notice.partition for notice in inbox.due(everything)] == [1]


@pytest.mark.parametrize(
    ("notice", "position", "is_heard"),
    [
        (verdict(0, {3: 100}), 99, False),
        (verdict(0, {3: 100}), 100, True),
        (verdict(0, {4: 100}), 0, True),  # stands on other partitions only
        (Notice(TOPICS.accounts, 3, 0, b""), 0, True),  # best known before the first request
        (Notice(TOPICS.feedback, 0, 0, b""), 49, False),  # about accounts that come back by offset 50
        (Notice(TOPICS.feedback, 0, 0, b""), 50, True),
    ],
)
def test_a_half_waits_until_it_has_read_what_a_record_is_about(notice, position, is_heard):
    """Partition 3, taken up when its log ended at offset 50."""
    reached = Reached(TOPICS, 3, next_offset=position, end_at_start=50)

    assert reached(notice) == is_heard


def test_one_that_waits_holds_up_only_its_own_topic():
    """In each topic the order holds."""
    inbox = Inbox({VERDICTS, TopicPartition(TOPICS.releases, 0)})
    inbox.offer(verdict(0, {3: 100}))
    inbox.offer(verdict(1))
    inbox.offer(Notice(TOPICS.releases, 0, 0, b""))
    reached = Reached(TOPICS, 3, next_offset=60, end_at_start=50)

    assert [notice.topic for notice in inbox.due(reached)] == [TOPICS.releases]
