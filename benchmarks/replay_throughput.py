"""Events a second of `replay`, and what of it is spent around decode and engine.

    python benchmarks/replay_throughput.py EVENTS.jsonl [--repeat 3] [--limit 60000]

In one run, over the same file: a bare loop of `orjson.loads` over its lines, the typed decode of the codec, the account
half alone (events that are decoded already, in batches of 500; its reports are taken, and nobody reads them), the same
with eight such streams at once, a replay whose engine does nothing, and a replay with the engine. What a step of the
account half costs is shared by its events: in a quiet stream it closes after 150 s with few of them, and learns from more
accounts as there is time; where processor time matters, it is full. Prints events a second, microseconds an event, and the ratio to
the bare loop: the figure to compare between machines. Time is that of the processor, so that a busy machine disturbs
less; the best of the repeats counts.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from unittest.mock import patch

import msgspec
import orjson

from stream_guard.app.replay import replay
from stream_guard.codecs import decode_events
from stream_guard.engine import AccountHalf, Engine, EngineSettings, Outcome
from stream_guard.events import RequestEvent

BATCH_EVENTS, STREAMS = 500, 8
BUSY = "account half, 8 at once"


class _Idle(Engine):
    """What is left of a replay without its engine."""

    def process(self, events: Sequence[RequestEvent]) -> Outcome:  # noqa: ARG002
        return Outcome()


def _bare(lines: list[bytes]) -> None:
    for line in lines:
        orjson.loads(line)


def _account_half(events: Sequence[RequestEvent]) -> None:
    half = AccountHalf()
    for at in range(0, len(events), BATCH_EVENTS):
        half.process(events[at : at + BATCH_EVENTS])
        half.take_reports()


def _at_once(events: Sequence[RequestEvent]) -> list[RequestEvent]:
    """Return as many streams of other accounts, event by event."""
    return [
        msgspec.structs.replace(e, event_id=f"{e.event_id}-{n}", account_id=f"{e.account_id}-{n}")
        for e in events
        for n in range(STREAMS)
    ]


def _replay(path: Path, engine: type[Engine]) -> None:
    with tempfile.TemporaryDirectory() as out, patch("stream_guard.app.replay.Engine", engine):
        asyncio.run(replay([str(path)], Path(out), EngineSettings()))


def _best_s(work: Callable[[], object], repeat: int) -> float:
    def once() -> float:
        started = time.process_time()
        work()
        return time.process_time() - started

    return min(once() for _ in range(repeat))


def _measured(lines: list[bytes], events: Sequence[RequestEvent], folder: Path, repeat: int) -> dict[str, float]:
    """Return the seconds that each kind of work takes."""
    path = folder / "events.jsonl"
    path.write_bytes(b"\n".join(lines))
    print(f"{len(lines):,} events of {sum(map(len, lines)) / len(lines):,.0f} bytes")
    busy = _at_once(events)
    works: dict[str, Callable[[], object]] = {
        "orjson.loads, bare loop": lambda: _bare(lines),
        "codecs.decode_events": lambda: decode_events(lines, source="benchmark"),
        "account half": lambda: _account_half(events),
        BUSY: lambda: _account_half(busy),
        "replay, idle engine": lambda: _replay(path, _Idle),
        "replay": lambda: _replay(path, Engine),
    }
    _replay(path, Engine)  # compiles the kernels
    taken = {name: _best_s(work, repeat) for name, work in works.items()}
    taken[BUSY] /= STREAMS
    return taken


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("events", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--limit", type=int, help="take so many events of the file")
    arguments = parser.parse_args()
    with arguments.events.open("rb") as file:
        lines = [line.rstrip() for line in islice(file, arguments.limit)]
    events, _ = decode_events(lines, source="benchmark")
    with tempfile.TemporaryDirectory() as folder:
        taken = _measured(lines, events, Path(folder), arguments.repeat)
    bare = taken["orjson.loads, bare loop"]
    for name, seconds in taken.items():
        rate, each = len(lines) / seconds, seconds / len(lines) * 1e6
        print(f"{name:24} {rate:10,.0f} events/s {each:8.2f} us/event {bare / seconds:8.3f} of bare")
    around = (taken["replay, idle engine"] - taken["codecs.decode_events"]) / len(lines) * 1e6
    print(f"around decode and engine: {around:.2f} us/event")


if __name__ == "__main__":
    main()
