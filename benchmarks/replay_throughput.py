"""Events a second of `replay`, and what of it is spent around decode and engine.

    python benchmarks/replay_throughput.py EVENTS.jsonl [--repeat 3]

In one run, over the same file: a bare loop of `orjson.loads` over its lines, the typed decode of the codec, a replay
whose engine does nothing, and a replay with the engine. Prints events a second, microseconds an event, and the ratio to
the bare loop: the figure to compare between machines. Time is that of the processor, so that a busy machine disturbs
less; the best of the repeats counts.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest.mock import patch

import orjson

from stream_guard.app.replay import replay
from stream_guard.codecs import decode_events
from stream_guard.engine import Engine, EngineSettings, Outcome
from stream_guard.events import RequestEvent


class _Idle(Engine):
    """What is left of a replay without its engine."""

    def process(self, events: Sequence[RequestEvent]) -> Outcome:  # noqa: ARG002
        return Outcome()


def _bare(lines: list[bytes]) -> None:
    for line in lines:
        orjson.loads(line)


def _replay(path: Path, engine: type[Engine]) -> None:
    with tempfile.TemporaryDirectory() as out, patch("stream_guard.app.replay.Engine", engine):
        asyncio.run(replay([str(path)], Path(out), EngineSettings()))


def _best_s(work: Callable[[], object], repeat: int) -> float:
    def once() -> float:
        started = time.process_time()
        work()
        return time.process_time() - started

    return min(once() for _ in range(repeat))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("events", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    lines = arguments.events.read_bytes().splitlines()
    print(f"{len(lines):,} events of {sum(map(len, lines)) / len(lines):,.0f} bytes")
    works: dict[str, Callable[[], object]] = {
        "orjson.loads, bare loop": lambda: _bare(lines),
        "codecs.decode_events": lambda: decode_events(lines, source="benchmark"),
        "replay, idle engine": lambda: _replay(arguments.events, _Idle),
        "replay": lambda: _replay(arguments.events, Engine),
    }
    _replay(arguments.events, Engine)  # compiles the kernels
    taken = {name: _best_s(work, arguments.repeat) for name, work in works.items()}
    bare = taken["orjson.loads, bare loop"]
    for name, seconds in taken.items():
        rate, each = len(lines) / seconds, seconds / len(lines) * 1e6
        print(f"{name:24} {rate:10,.0f} events/s {each:8.2f} us/event {bare / seconds:8.3f} of bare")
    around = (taken["replay, idle engine"] - taken["codecs.decode_events"]) / len(lines) * 1e6
    print(f"around decode and engine: {around:.2f} us/event")


if __name__ == "__main__":
    main()
