"""What the engine finds in labelled streams: `python benchmarks/arena.py ROOT OUT [NAME ...] [--jobs 2]`.

ROOT holds a folder a stream, with `events.jsonl` (or `.gz`) in it; each is replayed with shadow mode off, and what was
decided is written to OUT/NAME, as `stream-guard replay EVENTS --out OUT --no-shadow` does. The scorer that comes with
the streams compares it with their labels, which are never read here.
"""

import argparse
import asyncio
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from stream_guard.app.replay import read_releases, replay
from stream_guard.engine import EngineSettings


def run(stream: Path, out: Path) -> str:
    """Replay one stream; returns a line about it."""
    events = next(path for path in (stream / "events.jsonl", stream / "events.jsonl.gz") if path.exists())
    releases = stream / "releases.jsonl"
    told = read_releases(str(releases)) if releases.exists() else []
    started = time.process_time()
    done = asyncio.run(replay([str(events)], out, EngineSettings(shadow=False), releases=told))
    spent_us = (time.process_time() - started) / max(1, done.events) * 1e6
    return (
        f"{stream.name}: {done.events:,} events, {spent_us:.0f} us each, "
        f"{len(done.campaign_ids)} campaigns, {done.decisions} decisions"
    )


def main() -> None:
    """Replay all streams below ROOT, or those named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("names", nargs="*", help="folders of ROOT; all if none is named")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    names = args.names or sorted(path.parent.name for path in args.root.glob("*/events.jsonl*"))
    with ProcessPoolExecutor(args.jobs) as pool:
        for line in pool.map(run, [args.root / name for name in names], [args.out / name for name in names]):
            print(line, flush=True)


if __name__ == "__main__":
    main()
