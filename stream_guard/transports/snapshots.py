"""Where snapshots are kept: a directory with two files a partition, the newest and the one before it.

A directory that all workers share (a network file system) lets whichever owns a partition next take it up.
"""

import hashlib
import logging
import os
import struct
from pathlib import Path

from stream_guard.errors import SnapshotError
from stream_guard.transports.base import Snapshot

_HEADER = struct.Struct("<8sIIQQ16s")
_MAGIC = b"SGsnap\r\n"
_VERSION = 1

_log = logging.getLogger(__name__)


class DirectorySnapshots:
    """Snapshots as files `partition-N.snapshot` and `partition-N.previous` in one directory.

    A snapshot is written beside the newest, synced and renamed over it, so that a crash leaves a whole one. If the
    newest turns out to be damaged, the one before it is loaded and the log says so: whoever deletes the input of a
    partition must keep what came after that one (`transports/journal.py` does; Kafka's retention does).

    Parameters
    ----------
    directory
        Made if it is not there.
    name
        What comes before the partition's number; several engines may share a directory under different names.

    Examples
    --------
    >>> import tempfile
    >>> store = DirectorySnapshots(Path(tempfile.mkdtemp()))
    >>> store.load(0) is None
    True
    >>> store.save(0, Snapshot(b"state", next_offset=42))
    >>> store.load(0)
    Snapshot(state=b'state', next_offset=42)
    """

    def __init__(self, directory: Path, name: str = "partition") -> None:
        self._directory = directory
        self._name = name
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SnapshotError(f"{directory}: cannot keep snapshots here: {error.strerror}") from error

    def load(self, partition: int) -> Snapshot | None:
        """Return the newest whole snapshot, None if there never was one. Raises SnapshotError if all are damaged."""
        damage: SnapshotError | None = None
        for path in (self._path(partition, "snapshot"), self._path(partition, "previous")):
            try:
                snapshot = _read(path, partition)
            except FileNotFoundError:
                continue
            except SnapshotError as error:
                _log.warning("%s", error)
                damage = error
                continue
            if damage:
                _log.warning("%s: fell back to the snapshot before the damaged one", path)
            return snapshot
        if damage:
            raise damage
        return None

    def save(self, partition: int, snapshot: Snapshot) -> None:
        """Replace the snapshot atomically and keep the last one as the previous. Raises SnapshotError."""
        newest = self._path(partition, "snapshot")
        written = newest.with_suffix(f".writing-{os.getpid()}")
        try:
            with written.open("wb") as file:
                file.write(_header(partition, snapshot))
                file.write(snapshot.state)
                file.flush()
                os.fsync(file.fileno())
            if newest.exists():
                newest.replace(self._path(partition, "previous"))
            written.replace(newest)
            sync_directory(self._directory)
        except OSError as error:
            written.unlink(missing_ok=True)
            raise SnapshotError(f"{newest}: cannot save the snapshot: {error.strerror}") from error

    def _path(self, partition: int, suffix: str) -> Path:
        return self._directory / f"{self._name}-{partition}.{suffix}"


class MemorySnapshots:
    """Snapshots that live as long as the process: for replays and tests."""

    def __init__(self) -> None:
        self._snapshots: dict[int, Snapshot] = {}

    def load(self, partition: int) -> Snapshot | None:
        """Return the newest snapshot, or None."""
        return self._snapshots.get(partition)

    def save(self, partition: int, snapshot: Snapshot) -> None:
        """Replace the snapshot."""
        self._snapshots[partition] = snapshot


def sync_directory(directory: Path) -> None:
    """Make renames and new files in a directory outlive a loss of power."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _header(partition: int, snapshot: Snapshot) -> bytes:
    offset, size = snapshot.next_offset, len(snapshot.state)
    checksum = _checksum(partition, offset, snapshot.state)
    return _HEADER.pack(_MAGIC, _VERSION, partition, offset, size, checksum)


def _checksum(partition: int, next_offset: int, state: bytes) -> bytes:
    checksum = hashlib.blake2b(struct.pack("<IQ", partition, next_offset), digest_size=16)
    checksum.update(state)
    return checksum.digest()


def _read(path: Path, partition: int) -> Snapshot:
    try:
        with path.open("rb") as file:
            header, state = file.read(_HEADER.size), file.read()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise SnapshotError(f"{path}: cannot read the snapshot: {error.strerror}") from error
    if len(header) < _HEADER.size or not header.startswith(_MAGIC):
        raise SnapshotError(f"{path}: not a snapshot of stream_guard")
    _, version, of_partition, next_offset, size, checksum = _HEADER.unpack(header)
    if version != _VERSION:
        raise SnapshotError(f"{path}: written in version {version} of the format, this is version {_VERSION}")
    if of_partition != partition:
        raise SnapshotError(f"{path}: of partition {of_partition}, wanted {partition}")
    if len(state) != size or checksum != _checksum(partition, next_offset, state):
        raise SnapshotError(f"{path}: damaged (the checksum does not fit)")
    return Snapshot(state, next_offset)
