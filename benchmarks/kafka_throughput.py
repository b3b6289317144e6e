"""How fast is the same engine behind Kafka? As a ratio to itself without Kafka, and to a bare decode loop.

    python benchmarks/kafka_throughput.py EVENTS.jsonl... [--limit 50000] [--partitions 1]

All in one run, on a real broker on this machine: (1) a bare orjson loop over the payloads; (2) decode and
`Engine.process`, in batches of 2,000; (3) `stream-guard worker`, both halves, from the moment it has read its first
event to the moment it has read the last, all of them waiting on the topic.

Processor time of this process (1, 2) and of the worker (3) is what to compare on a busy machine: the broker and the
worker share the cores, and whoever else runs takes from both. Wall time is shown beside it. Time to start (imports,
compiled kernels) is left out of all three.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import orjson
from rich.console import Console
from rich.table import Table

from stream_guard.codecs import decode_events
from stream_guard.config import Config
from stream_guard.engine import Engine
from stream_guard.testing.broker import Broker
from stream_guard.transports.files import LineReader
from stream_guard.transports.kafka import tools, topics
from stream_guard.transports.kafka.settings import KafkaSettings

BATCH = 2_000
"""As the worker's `batch_events_max`."""


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("events", nargs="+", metavar="EVENTS.jsonl")
    parser.add_argument("--limit", type=int, default=50_000, help="how many events")
    parser.add_argument("--partitions", type=int, default=1, help="an engine each; embedded mode is one")
    given = parser.parse_args()
    payloads = read(given.events, given.limit)
    mean = sum(map(len, payloads)) / len(payloads)
    bare = timed(lambda: [orjson.loads(payload) for payload in payloads])
    embedded = run_embedded(payloads)
    behind = run_kafka(payloads, given.partitions)
    table = Table(title=f"{len(payloads):,} events of {mean:,.0f} bytes")
    for column in ("", "events/s (processor)", "events/s (wall)", "of embedded", "of bare decode"):
        table.add_column(column, justify="left" if not column else "right")
    for name, (cpu, wall) in {"bare orjson": bare, "embedded engine": embedded, "behind Kafka": behind}.items():
        rates = (f"{len(payloads) / seconds:,.0f}" for seconds in (cpu, wall))
        table.add_row(name, *rates, f"{embedded[0] / cpu:.2f}", f"{bare[0] / cpu:.3f}")
    Console(width=100).print(table)


def read(paths: list[str], count: int) -> list[bytes]:
    """Return so many payloads of all files in time order; the accounts of each file are its own."""
    timed = []
    for number, path in enumerate(paths):
        for lines in LineReader(path).lines():
            for line in lines:
                event = orjson.loads(line)
                event["account_id"] = f"{number}-{event['account_id']}"
                timed.append((event["ts"], len(timed), orjson.dumps(event)))
    return [payload for _, _, payload in sorted(timed)[:count]]


def timed(work) -> tuple[float, float]:  # noqa: ANN001 - a function without arguments
    """Return processor seconds and wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def warm_up(payloads: list[bytes]) -> None:
    """Have the kernels of the engine loaded before the clock starts."""
    Engine().process(decode_events(payloads, source="")[0])


def run_embedded(payloads: list[bytes]) -> tuple[float, float]:
    """Decode and process in this process."""
    warm_up(payloads[:BATCH])
    engine = Engine()

    def work() -> None:
        for start in range(0, len(payloads), BATCH):
            engine.process(decode_events(payloads[start : start + BATCH], source="")[0])

    return timed(work)


def run_kafka(payloads: list[bytes], partitions: int) -> tuple[float, float]:
    """Put all on the topic, then let a worker read it; the time is taken inside the worker."""
    with tempfile.TemporaryDirectory() as folder, Broker(Path(folder, "broker")) as broker:
        settings = KafkaSettings(
            bootstrap_servers=broker.bootstrap_servers, partitions=partitions, snapshots_dir=Path(folder, "snapshots")
        )
        topics.create(settings)
        file = Path(folder, "events.jsonl")
        file.write_bytes(b"\n".join(payloads))
        tools.produce(settings, [str(file)])
        command = [sys.executable, __file__, "--as-worker", settings.model_dump_json(), str(file), str(len(payloads))]
        done = subprocess.run(command, check=False, stdout=subprocess.PIPE, timeout=600)
        if done.returncode:
            raise SystemExit("the worker failed")
        cpu, wall = map(float, done.stdout.split())
        return cpu, wall


def work_as_worker(settings: KafkaSettings, file: str, count: int) -> None:
    """Be the worker; print processor and wall seconds from before the first batch to after the last."""
    from stream_guard.app.kafka import make_service  # noqa: PLC0415 - only in this process

    warm_up(read([file], BATCH))
    worker = make_service(Config(kafka=settings), api=False)
    seen, first, began = 0, 0, (0.0, 0.0)

    async def watch() -> None:
        nonlocal seen, first, began
        while seen < count:
            await asyncio.sleep(0.002)
            read = sum(p.next_offset for p in worker.ingest.partitions.values()) if worker.ingest else 0
            if read and not seen:
                began, first = (time.process_time(), time.perf_counter()), read
                seen = read
            elif read:
                seen = read
        share = count / (count - first)  # what was read before the clock started
        cpu, wall = time.process_time() - began[0], time.perf_counter() - began[1]
        print(cpu * share, wall * share, flush=True)
        os._exit(0)

    @worker.app.task
    async def start_watching() -> None:
        await watch()

    worker.run()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--as-worker"]:
        work_as_worker(KafkaSettings.model_validate_json(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
    else:
        main()
