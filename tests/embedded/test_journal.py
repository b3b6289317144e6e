"""The journal: what was synced is read back, whatever the end of the file looks like."""

import asyncio
import shutil
from pathlib import Path

import pytest

from stream_guard.errors import SinkError, SourceError
from stream_guard.testing.faults import CrashingAt
from stream_guard.transports.journal import GroupCommit, Journal, Kind, Record


def events(*payloads):
    return [Record(Kind.HTTP, payload) for payload in payloads]


def contents(journal, offset=0):
    return [(at, record.payload) for at, record in journal.read(offset)]


@pytest.fixture
def opened():
    journals = []

    def open_(*args, **kwargs):
        journals.append(Journal(*args, **kwargs))
        return journals[-1]

    yield open_
    for journal in journals:
        journal.close()


def test_what_was_appended_is_there_after_a_restart(tmp_path, opened):
    journal = opened(tmp_path)
    assert journal.append(events(b"a", b"b"), {"file": 7}) == 0
    assert journal.append(events(b"c")) == 2
    journal.close()

    again = opened(tmp_path)

    assert contents(again) == [(0, b"a"), (1, b"b"), (2, b"c")]
    assert contents(again, 2) == [(2, b"c")]
    assert again.marks == {"file": 7}
    assert again.append(events(b"d")) == 3


def test_an_append_is_there_as_a_whole_or_not_at_all(tmp_path, opened):
    """Whatever byte the last write stopped at."""
    whole = opened(tmp_path / "whole")
    whole.append(events(b"a"), {"n": 1})
    (segment,) = (tmp_path / "whole").glob("*.journal")
    kept = segment.stat().st_size
    whole.append(events(b"b", b"c" * 10), {"n": 2})
    whole.close()
    size = segment.stat().st_size

    for cut in range(kept, size + 1):
        torn = tmp_path / f"torn-{cut}"
        shutil.copytree(tmp_path / "whole", torn)
        with (torn / segment.name).open("r+b") as file:
            file.truncate(cut)
        journal = opened(torn)
        expected = [b"a"] if cut < size else [b"a", b"b", b"c" * 10]
        assert [payload for _, payload in contents(journal)] == expected, cut
        assert journal.marks == {"n": 1 if cut < size else 2}
        assert journal.append(events(b"z")) == len(expected)
        assert contents(journal)[-1] == (len(expected), b"z")
        journal.close()


@pytest.mark.parametrize("tail", [b"\0" * 4096, b"\xff" * 100, b"garbage"], ids=["zeros", "ones", "text"])
def test_what_a_file_system_leaves_at_the_end_is_cut_off(tmp_path, opened, tail):
    journal = opened(tmp_path)
    journal.append(events(b"a"))
    journal.close()
    (segment,) = tmp_path.glob("*.journal")
    with segment.open("ab") as file:
        file.write(tail)

    assert contents(opened(tmp_path)) == [(0, b"a")]


def test_segments_that_are_not_needed_go_and_the_marks_stay(tmp_path, opened):
    journal = opened(tmp_path, segment_bytes=4096)
    for number in range(20):
        journal.append(events(b"%d" % number * 1000), {"n": number})
    before = len(list(tmp_path.glob("*.journal")))
    journal.forget(15)
    left = len(list(tmp_path.glob("*.journal")))

    assert before > left >= 1
    assert [at for at, _ in contents(journal, 15)] == list(range(15, 20))
    with pytest.raises(SourceError, match="wanted 0"):
        contents(journal, 0)

    journal.forget(20)
    journal.close()
    assert opened(tmp_path).marks == {"n": 19}
    assert len(list(tmp_path.glob("*.journal"))) == 1


def test_damage_before_the_end_is_an_error(tmp_path, opened):
    journal = opened(tmp_path, segment_bytes=4096)
    for number in range(20):
        journal.append(events(b"%d" % number * 1000))
    first = min(tmp_path.glob("*.journal"))
    damaged = bytearray(first.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    first.write_bytes(damaged)

    with pytest.raises(SourceError, match="damaged after the record of offset"):
        contents(journal)


def test_a_directory_has_one_owner(tmp_path, opened):
    opened(tmp_path)
    with pytest.raises(SourceError, match="in use by another process"):
        opened(tmp_path)


def test_after_a_failed_write_nothing_more_is_taken(tmp_path, opened):
    journal = opened(tmp_path)
    journal.append(events(b"a"))
    with Path("/dev/full").open("wb", buffering=0) as full:
        journal._file.close()
        journal._file = full
        with pytest.raises(SinkError, match="No space left"):
            journal.append(events(b"b"))
        with pytest.raises(SinkError, match="closed"):
            journal.append(events(b"c"))
    journal.close()
    assert contents(opened(tmp_path)) == [(0, b"a")]


@pytest.mark.anyio
async def test_who_comes_while_the_disk_is_busy_shares_the_next_sync(tmp_path, opened):
    journal = opened(tmp_path)
    syncs, order = [], []

    class Counting:
        def append(self, records, marks):
            syncs.append(len(records))
            return journal.append(records, marks)

    commits = GroupCommit(Counting())
    await asyncio.gather(*(commits.append(events(b"%d" % n), order.append) for n in range(100)))

    assert len(syncs) <= 3
    assert order == list(range(100))
    assert [payload for _, payload in contents(journal)] == [b"%d" % n for n in range(100)]


@pytest.mark.anyio
async def test_what_is_in_the_journal_is_heard_of_although_its_sender_has_gone(tmp_path, opened):
    journal, heard = opened(tmp_path), []
    commits = GroupCommit(journal)
    sender = asyncio.create_task(commits.append(events(b"a"), heard.append))
    await asyncio.sleep(0)
    sender.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sender
    await commits.drain()

    assert heard == [0]


@pytest.mark.anyio
async def test_who_waits_is_told_that_the_disk_is_full(tmp_path, opened):
    journal = opened(tmp_path)
    journal._file.close()
    with pytest.raises(SinkError):
        await GroupCommit(CrashingAt(journal, "nothing")).append(events(b"a"), lambda _: None)
