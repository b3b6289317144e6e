"""What is usual in a deployment, out of its state into a file, and back out of the file."""

import os
from pathlib import Path

import msgspec

from stream_guard.engine import (
    AccountHalf,
    Engine,
    EngineSettings,
    PopulationBaseline,
    PopulationHalf,
    merged,
    read_baseline,
    write_baseline,
)
from stream_guard.errors import SnapshotError
from stream_guard.transports.kafka.accounts import Kept as KeptAccounts
from stream_guard.transports.kafka.population import Kept as KeptPopulation
from stream_guard.transports.snapshots import DirectorySnapshots


def load(path: Path) -> PopulationBaseline:
    """Read a file. Raises SnapshotError."""
    try:
        return read_baseline(path.read_bytes())
    except OSError as error:
        raise SnapshotError(f"{path}: cannot read the baseline: {error.strerror}") from error
    except SnapshotError as error:
        raise SnapshotError(f"{path}: {error}") from None


def save(path: Path, baseline: PopulationBaseline) -> None:
    """Write a file, whole or not at all. Raises SnapshotError."""
    written = path.with_name(f"{path.name}.writing-{os.getpid()}")
    try:
        written.write_bytes(write_baseline(baseline))
        written.replace(path)
    except OSError as error:
        written.unlink(missing_ok=True)
        raise SnapshotError(f"{path}: cannot write the baseline: {error.strerror}") from error


def of_embedded(data: Path, settings: EngineSettings) -> PopulationBaseline:
    """Return what is usual by the newest snapshot of embedded mode. Raises SnapshotError."""
    engine = Engine(settings)
    engine.restore(_newest(data / "snapshots", "partition", 0))
    return engine.learnt()


def of_kafka(snapshots: Path, settings: EngineSettings) -> PopulationBaseline:
    """Return what is usual by the newest snapshots of all halves on Kafka. Raises SnapshotError."""
    partitions = sorted({int(p.stem.partition("-")[2]) for p in snapshots.glob("accounts-*.snapshot")})
    if not partitions:
        raise SnapshotError(f"{snapshots}: there is no snapshot here")
    parts = []
    for partition in partitions:
        half = AccountHalf(settings, partition)
        half.restore(msgspec.msgpack.decode(_newest(snapshots, "accounts", partition), type=KeptAccounts).state)
        parts.append(half.learnt())
    if list(snapshots.glob("population-*.snapshot")):
        population = PopulationHalf(settings)
        population.restore(msgspec.msgpack.decode(_newest(snapshots, "population", 0), type=KeptPopulation).state)
        parts.append(population.learnt())
    return merged(parts)


def _newest(directory: Path, name: str, partition: int) -> bytes:
    if not directory.is_dir():
        raise SnapshotError(f"{directory}: there is no snapshot here")
    snapshot = DirectorySnapshots(directory, name).load(partition)
    if snapshot is None:
        raise SnapshotError(f"{directory}: there is no snapshot here")
    return snapshot.state
