"""Snapshots: the newest whole one is found."""

import pytest

from stream_guard.errors import SnapshotError
from stream_guard.transports.base import Snapshot
from stream_guard.transports.snapshots import DirectorySnapshots, MemorySnapshots


@pytest.mark.parametrize("make", [DirectorySnapshots, lambda _: MemorySnapshots()], ids=["directory", "memory"])
def test_each_partition_has_its_newest(tmp_path, make):
    store = make(tmp_path)
    assert store.load(0) is None
    for partition, state, offset in ((0, b"a", 1), (1, b"b" * 100_000, 2), (0, b"", 3)):
        store.save(partition, Snapshot(state, offset))

    assert store.load(0) == Snapshot(b"", 3)
    assert store.load(1) == Snapshot(b"b" * 100_000, 2)


def test_another_process_takes_it_up(tmp_path):
    DirectorySnapshots(tmp_path).save(3, Snapshot(b"state", 42))
    assert DirectorySnapshots(tmp_path).load(3) == Snapshot(b"state", 42)


def flip(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [flip, lambda p: p.write_bytes(p.read_bytes()[:-1]), lambda p: p.write_bytes(b""), lambda p: p.unlink()],
    ids=["a bit", "cut off", "empty", "lost between two renames"],
)
def test_a_damaged_newest_falls_back_to_the_one_before(tmp_path, damage):
    store = DirectorySnapshots(tmp_path)
    store.save(0, Snapshot(b"old", 1))
    store.save(0, Snapshot(b"new", 2))
    damage(tmp_path / "partition-0.snapshot")

    assert store.load(0) == Snapshot(b"old", 1)
    store.save(0, Snapshot(b"next", 3))
    assert store.load(0) == Snapshot(b"next", 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a snapshot"),
        (b"{}" * 100, "not a snapshot"),
        (b"SGsnap\r\n\x63" + bytes(39), "version 99"),
        (b"SGsnap\r\n\x01\0\0\0\x07" + bytes(35), "of partition 7"),
        (b"SGsnap\r\n\x01" + bytes(39), "damaged"),
    ],
)
def test_nothing_whole_is_an_error_and_never_an_empty_state(tmp_path, content, message):
    (tmp_path / "partition-0.snapshot").write_bytes(content)
    with pytest.raises(SnapshotError, match=message):
        DirectorySnapshots(tmp_path).load(0)


def test_a_directory_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SnapshotError, match="cannot keep snapshots"):
        DirectorySnapshots(tmp_path / "file" / "below")
