"""What was acknowledged, on disk: an append-only journal in segments, synced before anybody is told "accepted".

Everything that the engine is told goes through it, in one order: requests, lessons, and that time went on. So a restart
tells the engine exactly the same again, from the offset in its snapshot.

A segment is a file named after the offset of its first record. A record is a header (length, CRC-32, kind) and its
payload. *Marks* are small facts that must move together with the records, such as how far a followed file has been
read: an append ends with its marks, and each segment begins with all of them. An append that a crash left without them
is cut off at the next start; it was acknowledged to nobody, as that comes after the sync. So an append is there as a
whole or not at all. Damage anywhere else is an error.
"""

import asyncio
import errno
import fcntl
import itertools
import logging
import os
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TextIO

import msgspec
from pydantic import Field

from stream_guard.errors import SinkError, SourceError
from stream_guard.settings import Settings
from stream_guard.transports.snapshots import sync_directory

_HEADER = struct.Struct("<IIB")
_SUFFIX = ".journal"
_RECORD_BYTES_MAX = 64 << 20

_log = logging.getLogger(__name__)


class EmbeddedSettings(Settings):
    """How `stream-guard run` keeps what it was told and what it made of it."""

    data_dir: str = "stream-guard-data"
    """Directory of the journal, the snapshots and the database; for one process at a time."""
    snapshot_interval_s: float = Field(default=30.0, gt=0)
    """Seconds between snapshots. A restart reads the journal again from the last one."""
    advance_interval_s: float = Field(default=5.0, gt=0)
    """Seconds without an event after which the engine is told that time goes on, so that what is due expires."""
    batch_events: int = Field(default=500, ge=1, le=10_000)
    """Events that the engine takes at a time; answers over HTTP wait for as long as that lasts."""
    pending_events_max: int = Field(default=20_000, ge=1)
    """Events that may wait for the engine; beyond it senders are told to come again later."""
    segment_bytes: int = Field(default=64 << 20, ge=4096)
    """Bytes of a file of the journal. Whole files are deleted once two snapshots no longer need them."""
    records_max: int = Field(default=1_000_000, ge=1000)
    """Decisions, alerts, changes of campaigns and dead letters that are kept in the database, of each."""


class Kind(IntEnum):
    """What a record is."""

    HTTP = 1
    FILE = 2
    STDIN = 3
    ADVANCE = 16
    LESSON = 17
    REFUSED = 18
    MARKS = 32

    @property
    def is_event(self) -> bool:
        """Whether the payload is a request event, and the name of the kind its source."""
        return self < Kind.ADVANCE


class Record(NamedTuple):
    """One thing that the engine is told."""

    kind: Kind
    payload: bytes


class Journal:
    """The journal in one directory, for one process at a time.

    Parameters
    ----------
    directory
        Made if it is not there; locked for as long as this lives.
    segment_bytes
        A segment is closed once it has this many.

    Attributes
    ----------
    next_offset
        The offset of the next record.
    marks
        The facts that were appended last, by name.

    Raises
    ------
    SourceError
        The directory is in use by another process, or what is in it is damaged beyond a torn end.
    """

    def __init__(self, directory: Path, *, segment_bytes: int = 64 << 20) -> None:
        self._directory = directory
        self._segment_bytes = segment_bytes
        self.next_offset = 0
        self.marks: dict[str, Any] = {}
        self._lock = _locked(directory)
        self._file = self._recover()

    @property
    def first_offset(self) -> int:
        """The offset of the oldest record that is still here."""
        return self._segments()[0][0]

    def append(self, records: Sequence[Record], marks: Mapping[str, Any] | None = None) -> int:
        """Write records and marks and sync them; returns the offset of the first record. Raises SinkError.

        After it has raised, the journal takes no more: what is on disk is then found out by opening it again.
        """
        if self._file.closed:
            raise SinkError(f"{self._directory}: the journal is closed")
        first = self.next_offset
        try:
            if self._file.tell() >= self._segment_bytes:
                self._file = self._new_segment(self._file)
            self.marks.update(marks or {})
            _write(self._file, b"".join([*map(_framed, records), _marked(marks or {})]))
        except OSError as error:
            self._file.close()
            raise SinkError(f"{self._directory}: cannot write the journal: {error.strerror}") from error
        self.next_offset += len(records)
        return first

    def read(self, offset: int) -> Iterator[tuple[int, Record]]:
        """Yield (offset, record) from this offset on. Raises SourceError if they are not all there."""
        segments = self._segments()
        starts = [start for start, _ in segments]
        if offset > self.next_offset or offset < starts[0]:
            raise SourceError(f"{self._directory}: holds {starts[0]} to {self.next_offset}, wanted {offset}")
        for (start, path), end in zip(segments, [*starts[1:], self.next_offset], strict=True):
            if end <= offset:
                continue
            at = start
            for record in _whole(path):
                if record.kind is not Kind.MARKS:
                    if at >= offset:
                        yield at, record
                    at += 1
            if at != end:
                raise SourceError(f"{path}: damaged after the record of offset {at}")

    def forget(self, offset: int) -> None:
        """Delete the segments that hold nothing from this offset on. The newest is kept, for its marks."""
        segments = self._segments()
        for (_, path), (following, _) in itertools.pairwise(segments):
            if following <= offset:
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the directory."""
        self._file.close()
        self._lock.close()

    def _segments(self) -> list[tuple[int, Path]]:
        return sorted((int(path.stem), path) for path in self._directory.glob(f"*{_SUFFIX}"))

    def _recover(self) -> BinaryIO:
        segments = self._segments()
        if not segments:
            return self._new_segment(None)
        self.next_offset, path = segments[-1]
        read = kept = records = 0
        for record in _whole(path):
            read += _HEADER.size + len(record.payload)
            records += 1
            if record.kind is Kind.MARKS:
                self.marks.update(msgspec.json.decode(record.payload))
                self.next_offset += records - 1
                kept, records = read, 0
        file = path.open("r+b", buffering=0)
        torn = file.seek(0, os.SEEK_END) - kept
        if torn:
            _log.warning("%s: cut %d bytes that a crash left half written", path, torn)
            file.truncate(kept)
            file.seek(kept)
            os.fsync(file.fileno())
        return file

    def _new_segment(self, last: BinaryIO | None) -> BinaryIO:
        if last is not None:
            last.close()
        path = self._directory / f"{self.next_offset:020}{_SUFFIX}"
        file = path.with_suffix(".beginning").open("wb", buffering=0)
        _write(file, _marked(self.marks))
        Path(file.name).replace(path)  # so that no segment is without its marks
        sync_directory(self._directory)
        return file


class GroupCommit:
    """Appends of many callers, synced together: whoever comes while the disk is busy shares the next sync.

    Parameters
    ----------
    journal
        Nobody else appends to it meanwhile.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._waiting: list[_Append] = []
        self._task: asyncio.Task[None] | None = None

    async def append(
        self, records: Sequence[Record], then: Callable[[int], None], marks: Mapping[str, Any] | None = None
    ) -> None:
        """Return once the records are safe. Raises SinkError.

        `then` is called with the offset of the first of them, in the order of the journal, and also if the caller has
        been cancelled meanwhile: what is in the journal has to be processed.
        """
        append = _Append(records, marks or {}, then, asyncio.get_running_loop().create_future())
        self._waiting.append(append)
        if self._task is None:
            self._task = asyncio.create_task(self._sync())
        await asyncio.shield(append.done)

    async def drain(self) -> None:
        """Return once nobody waits."""
        if self._task is not None:
            await self._task

    async def _sync(self) -> None:
        while group := self._waiting:
            self._waiting = []
            records = [record for append in group for record in append.records]
            marks = {name: mark for append in group for name, mark in append.marks.items()}
            try:
                offset = await asyncio.to_thread(self._journal.append, records, marks)
            except Exception as error:  # noqa: BLE001 - it belongs to those who wait
                for append in group:
                    append.done.set_exception(error)
                    append.done.exception()  # its waiter may have gone
                continue
            for append in group:
                append.then(offset)
                append.done.set_result(None)
                offset += len(append.records)
        self._task = None


@dataclass(frozen=True)
class _Append:
    records: Sequence[Record]
    marks: Mapping[str, Any]
    then: Callable[[int], None]
    done: asyncio.Future[None]


def _locked(directory: Path) -> TextIO:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / "lock").open("w")
    except OSError as error:
        raise SourceError(f"{directory}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise SourceError(f"{directory}: in use by another process") from error
    return lock


def _write(file: BinaryIO, framed: bytes) -> None:
    if file.write(framed) != len(framed):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.fsync(file.fileno())


def _framed(record: Record) -> bytes:
    kind, payload = record
    return _HEADER.pack(len(payload), _checksum(kind, payload), kind) + payload


def _checksum(kind: int, payload: bytes) -> int:
    return zlib.crc32(payload, ~kind & 0xFFFFFFFF)  # never 0 for a file system's zeros


def _marked(marks: Mapping[str, Any]) -> bytes:
    return _framed(Record(Kind.MARKS, msgspec.json.encode(marks)))


def _whole(path: Path) -> Iterator[Record]:
    """Yield the whole records from the beginning of a segment, up to the first that is not."""
    with path.open("rb") as file:
        while len(header := file.read(_HEADER.size)) == _HEADER.size:
            length, checksum, kind = _HEADER.unpack(header)
            if length > _RECORD_BYTES_MAX:
                return
            payload = file.read(length)
            if len(payload) < length or _checksum(kind, payload) != checksum:
                return
            yield Record(Kind(kind), payload)
