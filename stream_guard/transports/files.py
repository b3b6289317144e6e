"""Files of one JSON record a line: read whole (plain, gzip, zstd, standard input), followed as they grow, written.

Compression is told by a file's first bytes. A line longer than the limit is cut one byte beyond it, so that the codec
refuses it by its length and the rest of it takes no memory.
"""

import os
import stat
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec
import zstandard

from stream_guard.codecs import PAYLOAD_BYTES_MAX, encode
from stream_guard.engine import Outcome
from stream_guard.errors import SinkError, SourceError
from stream_guard.events import DeadLetter
from stream_guard.transports.snapshots import sync_directory

STDIN = "-"
_CHUNK_BYTES = 1 << 20
_COMPRESSED_CHUNK_BYTES = 16 << 10
"""Of compressed input at a time: bounds what one step can unpack to."""

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_FORMATS = {".gz": (_GZIP, "gzip"), ".zst": (_ZSTD, "zstd")}


class LineSplitter:
    r"""Chunks of bytes in, whole lines out; blank lines are left out.

    Examples
    --------
    >>> lines = LineSplitter()
    >>> lines.feed(b'{"a":1}\n\n{"b"'), lines.feed(b':2}\n{}'), lines.end()
    ([b'{"a":1}'], [b'{"b":2}'], [b'{}'])
    """

    def __init__(self, line_bytes_max: int = PAYLOAD_BYTES_MAX) -> None:
        self._cut = line_bytes_max + 1
        self._rest = b""

    @property
    def rest(self) -> bytes:
        """The beginning of the line that has not ended yet."""
        return self._rest

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the lines that this chunk ends."""
        end = chunk.rfind(b"\n")
        if end < 0:
            self._rest = (self._rest + chunk)[: self._cut]
            return []
        lines = chunk[:end].split(b"\n")
        lines[0] = (self._rest + lines[0])[: self._cut]
        self._rest = chunk[end + 1 :]
        return [line for line in lines if line and line != b"\r"]

    def end(self) -> list[bytes]:
        """Return the last line if nothing ended it."""
        rest, self._rest = self._rest, b""
        return [rest] if rest.strip() else []


class LineReader:
    """The lines of one file, or of standard input (`-`), in batches.

    Parameters
    ----------
    path
        As the user gave it.

    Attributes
    ----------
    bytes_read
        How much of the file has been read, as it is on disk.
    bytes_total
        Its size; None where that is not known.

    Raises
    ------
    SourceError
        On iteration: the file is not there, or what is compressed in it is damaged or cut off.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.bytes_read = 0
        self.bytes_total: int | None = None
        if path != STDIN:
            try:
                status = Path(path).stat()
            except OSError as error:
                raise SourceError(f"{path}: {error.strerror}") from error
            self.bytes_total = status.st_size if stat.S_ISREG(status.st_mode) else None

    def batches(self, events: int) -> Iterator[list[bytes]]:
        """Yield lists of this many lines; the last may be shorter."""
        pending: list[bytes] = []
        for lines in self.lines():
            pending += lines
            whole = len(pending) - len(pending) % events
            for start in range(0, whole, events):
                yield pending[start : start + events]
            del pending[:whole]
        if pending:
            yield pending

    def lines(self) -> Iterator[list[bytes]]:
        """Yield lists of lines as they come."""
        splitter = LineSplitter()
        try:
            with self._open() as file:
                for chunk in self._unpacked(file):
                    yield splitter.feed(chunk)
        except OSError as error:
            raise SourceError(f"{self.path}: {error.strerror or error}") from error
        except (zlib.error, zstandard.ZstdError) as error:
            raise SourceError(f"{self.path}: damaged at about byte {self.bytes_read}: {error}") from error
        yield splitter.end()

    def _open(self) -> BinaryIO:
        if self.path == STDIN:
            return os.fdopen(os.dup(sys.stdin.fileno()), "rb", buffering=0)
        return Path(self.path).open("rb", buffering=0)

    def _unpacked(self, file: BinaryIO) -> Iterator[bytes]:
        first = file.read(_COMPRESSED_CHUNK_BYTES)
        wanted = _FORMATS.get(Path(self.path).suffix)
        if wanted and not first.startswith(wanted[0]):
            raise SourceError(f"{self.path}: named {Path(self.path).suffix}, but it does not hold {wanted[1]} data")
        if first.startswith(_GZIP):
            return self._unzip(self._chunks(file, first, _COMPRESSED_CHUNK_BYTES))
        if first.startswith(_ZSTD):
            return self._unzstd(self._chunks(file, first, _COMPRESSED_CHUNK_BYTES))
        return self._chunks(file, first, _CHUNK_BYTES)

    def _chunks(self, file: BinaryIO, first: bytes, size: int) -> Iterator[bytes]:
        chunk = first
        while chunk:
            self.bytes_read += len(chunk)
            yield chunk
            chunk = file.read(size)

    def _unzip(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        for chunk in chunks:
            rest = chunk
            while rest:
                if member.eof:
                    rest = rest.lstrip(b"\0")  # some writers pad
                    if not rest:
                        break
                    member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
                yield member.decompress(rest)
                rest = member.unused_data
        if not member.eof:
            raise SourceError(f"{self.path}: the gzip data is cut off after {self.bytes_read} bytes")

    def _unzstd(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        frame = zstandard.ZstdDecompressor().decompressobj()
        for chunk in chunks:
            rest = chunk
            while rest:
                if frame.eof:
                    frame = zstandard.ZstdDecompressor().decompressobj()
                yield frame.decompress(rest)
                rest = frame.unused_data
        if not frame.eof:
            raise SourceError(f"{self.path}: the zstd data is cut off after {self.bytes_read} bytes")


class Position(msgspec.Struct, frozen=True):
    """How far a followed file has been read: which file it was, the next byte, and what its beginning looked like."""

    inode: int
    offset: int
    signature: int


_SIGNED_BYTES = 256


class FollowedFile:
    """A file read as it grows, as `tail -F` does: by name, through rotation and truncation.

    A file renamed away is read to its end before the new one of that name is begun. If it shrinks it is read from its
    beginning. As with `tail`, a file that is cut and refilled beyond the old position between two looks, with the same
    first bytes, is not noticed.

    Parameters
    ----------
    path
        May not exist yet.
    position
        Where an earlier run stopped; if that file was renamed meanwhile it is looked for under `path*`. None: from the
        beginning.
    """

    def __init__(self, path: Path, position: Position | None = None) -> None:
        self.path = path
        self._splitter = LineSplitter()
        self._file: BinaryIO | None = None
        self._read = 0
        self._head = b""
        if position is not None:
            self._resume(position)

    @property
    def position(self) -> Position | None:
        """Where to go on after a restart: the start of the first line that was not returned."""
        if self._file is None:
            return None
        inode, offset = os.fstat(self._file.fileno()).st_ino, self._read - len(self._splitter.rest)
        return Position(inode, offset, zlib.crc32(self._head[:offset]))

    def read(self) -> list[bytes]:
        """Return the lines that have come since; empty if none. Never waits. Raises SourceError."""
        try:
            if self._file is None and not self._open():
                return []
            return self._more() or self._after_the_end()
        except OSError as error:
            raise SourceError(f"{self.path}: {error.strerror or error}") from error

    def close(self) -> None:
        """Let go of the file."""
        if self._file:
            self._file.close()
            self._file = None

    def _more(self) -> list[bytes]:
        assert self._file is not None
        if os.fstat(self._file.fileno()).st_size < self._read:
            self._begin(self._file)
        while chunk := self._file.read(_CHUNK_BYTES):
            self._read += len(chunk)
            if len(self._head) < _SIGNED_BYTES:
                self._head = (self._head + chunk)[:_SIGNED_BYTES]
            if lines := self._splitter.feed(chunk):
                return lines
        return []

    def _after_the_end(self) -> list[bytes]:
        """At the end of the open file: if another has its name now, go on with that one."""
        assert self._file is not None
        try:
            renamed = self.path.stat().st_ino != os.fstat(self._file.fileno()).st_ino
        except FileNotFoundError:
            return []
        if not renamed:
            return []
        if lines := self._more():  # written between the last look and the rename
            return lines
        last = self._splitter.end()
        self.close()
        return last or (self._more() if self._open() else [])

    def _open(self) -> bool:
        try:
            self._begin(self.path.open("rb", buffering=0))
        except FileNotFoundError:
            return False
        return True

    def _begin(self, file: BinaryIO, offset: int = 0) -> None:
        file.seek(0)
        self._head = file.read(min(offset, _SIGNED_BYTES))
        file.seek(offset)
        self._file, self._read, self._splitter = file, offset, LineSplitter()

    def _resume(self, position: Position) -> None:
        for path in [self.path, *sorted(self.path.parent.glob(self.path.name + "?*"))]:
            with suppress(OSError):
                file = path.open("rb", buffering=0)
                status = os.fstat(file.fileno())
                if status.st_ino == position.inode and status.st_size >= position.offset:
                    self._begin(file, position.offset)
                    if zlib.crc32(self._head) == position.signature:
                        return
                file.close()
        self._file = None


@dataclass(frozen=True)
class _Output:
    path: Path
    file: BinaryIO

    @property
    def partial(self) -> Path:
        return Path(self.file.name)


class JsonlSink:
    """Results as files in a directory: decisions, campaigns, alerts and dead-letters, each `.jsonl`.

    They are written as `NAME.jsonl.partial` and get their names in `finish`, so that what looks finished is. Earlier
    files of these names stay until then.

    Parameters
    ----------
    directory
        Made if it is not there.

    Raises
    ------
    SinkError
        The directory cannot be written.
    """

    NAMES = ("decisions", "campaigns", "alerts", "dead-letters")

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._outputs = {
                name: _Output(directory / f"{name}.jsonl", (directory / f"{name}.jsonl.partial").open("wb"))
                for name in self.NAMES
            }
        except OSError as error:
            raise SinkError(f"{error.filename or directory}: {error.strerror}") from error

    async def add(self, outcome: Outcome, dead_letters: Sequence[DeadLetter]) -> None:
        """Write results. Raises SinkError."""
        self._write("decisions", outcome.decisions)
        self._write("campaigns", outcome.campaigns)
        self._write("alerts", outcome.alerts)
        self._write("dead-letters", dead_letters)

    async def flush(self) -> None:
        """Return once it is on disk. Raises SinkError."""
        try:
            for output in self._outputs.values():
                output.file.flush()
                os.fsync(output.file.fileno())
        except OSError as error:
            raise SinkError(f"{self._directory}: {error.strerror}") from error

    async def finish(self) -> None:
        """Flush, and give the files their names. Raises SinkError."""
        await self.close()
        try:
            for output in self._outputs.values():
                output.partial.replace(output.path)
            sync_directory(self._directory)
        except OSError as error:
            raise SinkError(f"{self._directory}: {error.strerror}") from error

    async def close(self) -> None:
        """Flush and let go; what was not finished stays `.partial`."""
        await self.flush()
        for output in self._outputs.values():
            output.file.close()

    def _write(self, name: str, records: Sequence[msgspec.Struct]) -> None:
        if records:
            try:
                self._outputs[name].file.writelines(encode(record) + b"\n" for record in records)
            except OSError as error:
                raise SinkError(f"{self._outputs[name].partial}: {error.strerror}") from error
