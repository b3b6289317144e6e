"""Files: whole, packed, followed; what is damaged says so."""

import gzip
import sys

import pytest
import zstandard

from stream_guard.codecs import PAYLOAD_BYTES_MAX, decode_events
from stream_guard.engine import Outcome
from stream_guard.errors import SinkError, SourceError
from stream_guard.events import Alert
from stream_guard.transports.files import FollowedFile, JsonlSink, LineReader, LineSplitter

LINES = [b'{"n":%d,"text":"%s"}' % (n, b"x" * (n * 37 % 500)) for n in range(20_000)]
CONTENT = b"\n".join(LINES) + b"\n"


def read(path, events=1000):
    return [line for batch in LineReader(str(path)).batches(events) for line in batch]


PACKED = {
    "plain": lambda c: c,
    "gzip": gzip.compress,
    "gzip of two members": lambda c: gzip.compress(c[:1000]) + gzip.compress(c[1000:]),
    "gzip with padding": lambda c: gzip.compress(c) + bytes(512),
    "zstd": zstandard.compress,
    "zstd of two frames": lambda c: zstandard.compress(c[:1000]) + zstandard.compress(c[1000:]),
    "zstd without a size": lambda c: zstandard.ZstdCompressor(write_content_size=False).compress(c),
}


@pytest.mark.parametrize("pack", PACKED.values(), ids=PACKED)
@pytest.mark.parametrize("content", [CONTENT, CONTENT[:-1], b"\n" + CONTENT.replace(b"\n", b"\n\n")])
def test_every_packing_gives_the_same_lines(tmp_path, pack, content):
    path = tmp_path / "events"
    path.write_bytes(pack(content))
    assert read(path) == LINES


def test_lines_may_end_as_on_windows(tmp_path):
    path = tmp_path / "events"
    path.write_bytes(b'{"a": 1}\r\n\r\n{"b": 2}\r\n')
    assert [line.strip() for line in read(path)] == [b'{"a": 1}', b'{"b": 2}']


@pytest.mark.parametrize("events", [1, 7, 1000, 30_000])
def test_batches_are_as_long_as_asked(tmp_path, events):
    path = tmp_path / "events"
    path.write_bytes(CONTENT)
    lengths = [len(batch) for batch in LineReader(str(path)).batches(events)]
    assert sum(lengths) == len(LINES)
    assert set(lengths[:-1]) <= {events}


def test_how_far_it_is_is_in_bytes_of_the_file(tmp_path):
    path = tmp_path / "events.gz"
    path.write_bytes(gzip.compress(CONTENT))
    reader = LineReader(str(path))
    list(reader.batches(1000))
    assert reader.bytes_read == reader.bytes_total == path.stat().st_size


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl.gz", gzip.compress(CONTENT)[:-20], "the gzip data is cut off after"),
        ("a.jsonl.zst", zstandard.compress(CONTENT)[:-20], "the zstd data is cut off after"),
        ("a.jsonl.gz", gzip.compress(CONTENT)[:5000] + b"\xff" * 5000, "damaged at about byte"),
        ("a.jsonl.zst", zstandard.compress(CONTENT)[:500] + b"\xff" * 5000, "damaged at about byte"),
        ("a.jsonl.gz", b"{}\n", "named .gz, but it does not hold gzip data"),
        ("a.jsonl.zst", b"", "named .zst, but it does not hold zstd data"),
    ],
)
def test_what_is_damaged_says_so(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SourceError, match=message) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_what_is_not_there_says_so(tmp_path):
    with pytest.raises(SourceError, match="No such file"):
        LineReader(str(tmp_path / "none"))
    with pytest.raises(SourceError, match="Is a directory"):
        read(tmp_path)


def test_standard_input(tmp_path, monkeypatch):
    path = tmp_path / "events"
    path.write_bytes(gzip.compress(CONTENT))
    with path.open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert read("-") == LINES


def test_a_line_that_is_too_long_is_cut_and_refused_as_too_long():
    splitter, lines = LineSplitter(), []
    for chunk in [b"x" * 2**20] * 9 + [b"x\n{}\n", b"{}\n"]:
        lines += splitter.feed(chunk)
        assert len(splitter.rest) <= PAYLOAD_BYTES_MAX + 1

    assert [len(line) for line in lines] == [PAYLOAD_BYTES_MAX + 1, 2, 2]
    _, (letter, *_) = decode_events(lines, source="file")
    assert "longer than" in letter.reason


def test_a_line_that_is_not_text_is_a_dead_letter():
    _, (letter,) = decode_events([b'{"event_id":"\xff"}'], source="file", first_offset=3)
    assert (letter.reason, letter.encoding, letter.offset) == ("Not UTF-8: invalid start byte (byte 13)", "base64", 3)


# --- Followed ---


def write(path, text, mode="a"):
    with path.open(mode) as file:
        file.write(text)


def drained(file):
    lines = []
    while more := file.read():
        lines += more
    return lines


@pytest.fixture
def follow(tmp_path):
    files = []

    def start(position=None):
        files.append(FollowedFile(tmp_path / "log", position))
        return files[-1]

    yield start
    for file in files:
        file.close()


def test_a_file_is_followed_as_it_grows(tmp_path, follow):
    file = follow()
    assert file.read() == []
    write(tmp_path / "log", "a\nb")
    assert file.read() == [b"a"]
    write(tmp_path / "log", "b\n\nc\n")
    assert drained(file) == [b"bb", b"c"]
    assert file.read() == []


def test_rotation_loses_nothing(tmp_path, follow):
    file, log = follow(), tmp_path / "log"
    write(log, "a\n")
    assert drained(file) == [b"a"]
    write(log, "b\nlast")
    log.rename(tmp_path / "log.1")
    assert drained(file) == [b"b"]
    write(tmp_path / "log.1", " word")
    write(log, "c\n")
    assert drained(file) == [b"last word", b"c"]


def test_truncation_begins_anew(tmp_path, follow):
    file, log = follow(), tmp_path / "log"
    write(log, "aaaa\nbbbb\ncc")
    assert drained(file) == [b"aaaa", b"bbbb"]
    write(log, "d\n", "w")
    assert drained(file) == [b"d"]


@pytest.mark.parametrize(
    ("meanwhile", "lines"),
    [
        (lambda _: None, []),
        (lambda log: write(log, "b\n"), [b"xb"]),
        (lambda log: (write(log, "b\n"), log.rename(f"{log}.1"), write(log, "c\n")), [b"xb", b"c"]),
        (lambda log: (log.unlink(), write(log, "another\n")), [b"another"]),
        (lambda log: write(log, "z\n", "w"), [b"z"]),
        (lambda log: write(log, "refilled, and longer\n", "w"), [b"refilled, and longer"]),
    ],
    ids=["nothing", "grew", "rotated", "replaced", "truncated", "truncated and refilled"],
)
def test_a_restart_goes_on_where_it_was(tmp_path, follow, meanwhile, lines):
    log = tmp_path / "log"
    write(log, "aaaaaa\nx")
    first = follow()
    assert drained(first) == [b"aaaaaa"]
    position = first.position
    meanwhile(log)

    assert drained(follow(position)) == lines


# --- Written ---


@pytest.mark.anyio
async def test_results_have_their_names_only_when_finished(tmp_path):
    names = {f"{name}.jsonl" for name in JsonlSink.NAMES}
    sink = JsonlSink(tmp_path / "out")
    await sink.add(Outcome(alerts=[Alert("al_1", 1.0, "info", "test", "words")]), [])
    await sink.flush()
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"{name}.partial" for name in names}

    await sink.finish()
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    assert (tmp_path / "out" / "alerts.jsonl").read_bytes().count(b"\n") == 1
    assert (tmp_path / "out" / "decisions.jsonl").read_bytes() == b""


def test_a_directory_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match=r"Not a directory|File exists"):
        JsonlSink(tmp_path / "file")
