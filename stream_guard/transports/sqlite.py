"""What embedded mode wrote, in SQLite: decisions, alerts, campaigns, dead letters, and the questions about them.

Every record has an id that follows from what it is about, so that writing it again changes nothing. `seq` counts
records as they came, and is the cursor of those who read on from where they stopped.
"""

import asyncio
import hashlib
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import msgspec

from stream_guard.codecs import encode
from stream_guard.engine import Outcome
from stream_guard.errors import SinkError
from stream_guard.events import Alert, Campaign, DeadLetter, Decision

SCHEMA_VERSION = 1

_TABLES = ("decisions", "alerts", "campaigns", "dead_letters")
_SCHEMA = "".join(
    f"""
    CREATE TABLE {table} (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        ts REAL,
        account_id TEXT,
        campaign_id TEXT,
        record BLOB NOT NULL
    );
    CREATE INDEX {table}_by_account ON {table} (account_id, seq) WHERE account_id IS NOT NULL;
    CREATE INDEX {table}_by_campaign ON {table} (campaign_id, seq) WHERE campaign_id IS NOT NULL;
    """
    for table in _TABLES
)
_LOG = "CREATE TABLE log (log_id TEXT NOT NULL); INSERT INTO log VALUES (lower(hex(randomblob(4))));"
_PRUNE_EVERY = 64
"""Flushes between two looks at how much is kept."""

_Row = tuple[str, float | None, str | None, str | None, bytes]
_R = TypeVar("_R", Decision, Alert, Campaign, DeadLetter)


class Numbered(NamedTuple, Generic[_R]):
    """A record and its place in the order of writing."""

    seq: int
    record: _R


class SqliteStore:
    """A sink that can be asked what it holds.

    Writes go to the disk in one transaction a flush, beside the event loop; reads have a connection of their own and
    see what was flushed.

    Parameters
    ----------
    path
        The database; made if it is not there.
    records_max
        How many of each kind are kept; the oldest go first.

    Raises
    ------
    SinkError
        It cannot be opened, is not a database, or was written by another version.

    Attributes
    ----------
    log_id
        Tells this database from another in whose place it may come.
    """

    def __init__(self, path: Path, *, records_max: int = 1_000_000) -> None:
        self._path = path
        self._records_max = records_max
        self._pending: dict[str, list[_Row]] = {table: [] for table in _TABLES}
        self._flushes = 0
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        try:
            self._writer = self._connect()
            self._prepare()
            self._kept = self._count()
            self._reader = self._connect()
            self._reader.execute("PRAGMA query_only = ON")
            self.log_id: str = self._reader.execute("SELECT log_id FROM log").fetchone()[0]
        except sqlite3.Error as error:
            raise SinkError(f"{path}: {error}") from error

    async def add(self, outcome: Outcome, dead_letters: Sequence[DeadLetter]) -> None:
        """Take results; they are written by the next `flush`."""
        pending = self._pending
        pending["decisions"] += [
            (d.decision_id, d.ts, d.account_id, d.campaign_id, encode(d)) for d in outcome.decisions
        ]
        pending["alerts"] += [(a.alert_id, a.ts, a.account_id, a.campaign_id, encode(a)) for a in outcome.alerts]
        for campaign in outcome.campaigns:
            row = encode(campaign)
            pending["campaigns"].append((_hash(row), campaign.ts, None, campaign.campaign_id, row))
        for letter in dead_letters:
            row = encode(letter)
            pending["dead_letters"].append((_hash(row), None, None, None, row))

    async def flush(self) -> None:
        """Return once what was added is on disk. Raises SinkError; it is then still pending."""
        pending = {table: rows for table, rows in self._pending.items() if rows}
        if pending:
            self._pending = {table: [] for table in _TABLES}
            try:
                await asyncio.to_thread(self._write, pending)
            except BaseException as error:
                for table, rows in pending.items():
                    self._pending[table] = rows + self._pending[table]
                if isinstance(error, sqlite3.Error):
                    raise SinkError(f"{self._path}: {error}") from error
                raise

    async def close(self) -> None:
        """Flush and let go."""
        await self.flush()
        with self._writing:  # a write whose waiter was cancelled goes on in its thread
            self._writer.close()
        with self._reading:
            self._reader.close()

    def kept(self) -> tuple[int, int]:
        """Return the `seq` of the oldest decision that is kept and of the newest; 0 if there was none."""
        return self._kept

    def decisions(
        self,
        *,
        after: int = 0,
        since: float | None = None,
        account_id: str | None = None,
        campaign_id: str | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> list[Numbered[Decision]]:
        """Return decisions written after the one of `seq` `after`, made at `since` (event time) or later."""
        wanted = {"account_id": account_id, "campaign_id": campaign_id}
        return self._select(Decision, "decisions", after, since, wanted, limit, newest_first=newest_first)

    def alerts(self, *, after: int = 0, campaign_id: str | None = None, limit: int = 100) -> list[Numbered[Alert]]:
        """Return alerts written after `after`, oldest first."""
        return self._select(Alert, "alerts", after, None, {"campaign_id": campaign_id}, limit)

    def campaigns(
        self, *, after: int = 0, campaign_id: str | None = None, limit: int = 100
    ) -> list[Numbered[Campaign]]:
        """Return changes of campaigns written after `after`, oldest first."""
        return self._select(Campaign, "campaigns", after, None, {"campaign_id": campaign_id}, limit)

    def dead_letters(self, *, after: int = 0, limit: int = 100) -> list[Numbered[DeadLetter]]:
        """Return dead letters written after `after`, oldest first."""
        return self._select(DeadLetter, "dead_letters", after, None, {}, limit)

    def _select(
        self,
        kind: type[_R],
        table: str,
        after: int,
        since: float | None,
        wanted: Mapping[str, str | None],
        limit: int,
        *,
        newest_first: bool = False,
    ) -> list[Numbered[_R]]:
        where = "".join(f" AND {column} = :{column}" for column, value in wanted.items() if value is not None)
        where += " AND ts >= :since" if since is not None else ""
        order = "DESC" if newest_first else "ASC"
        query = f"SELECT seq, record FROM {table} WHERE seq > :after{where} ORDER BY seq {order} LIMIT :limit"  # noqa: S608 - names of ours
        try:
            with self._reading:
                rows = self._reader.execute(
                    query, {"after": after, "since": since, "limit": limit, **wanted}
                ).fetchall()
        except sqlite3.Error as error:
            raise SinkError(f"{self._path}: {error}") from error
        return [Numbered(seq, msgspec.json.decode(record, type=kind)) for seq, record in rows]

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None, timeout=10.0)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    def _prepare(self) -> None:
        version = self._writer.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            self._writer.executescript(f"BEGIN; {_SCHEMA} {_LOG} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        elif version != SCHEMA_VERSION:
            raise SinkError(f"{self._path}: written with schema {version}, this version reads schema {SCHEMA_VERSION}")

    def _write(self, pending: dict[str, list[_Row]]) -> None:
        with self._writing, self._transaction():
            for table, rows in pending.items():
                self._writer.executemany(
                    f"INSERT OR IGNORE INTO {table} (id, ts, account_id, campaign_id, record) VALUES (?, ?, ?, ?, ?)",  # noqa: S608
                    rows,
                )
                if self._flushes % _PRUNE_EVERY == 0:
                    self._prune(table)
            self._flushes += 1
            kept = self._count()
        self._kept = kept

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._writer.execute("ROLLBACK")
            raise
        self._writer.execute("COMMIT")

    def _count(self) -> tuple[int, int]:
        oldest, newest = self._writer.execute("SELECT min(seq), max(seq) FROM decisions").fetchone()
        return oldest or 0, newest or 0

    def _prune(self, table: str) -> None:
        self._writer.execute(
            f"DELETE FROM {table} WHERE seq <= (SELECT max(seq) FROM {table}) - ?",  # noqa: S608
            (self._records_max,),
        )


def _hash(record: bytes) -> str:
    return hashlib.blake2b(record, digest_size=16).hexdigest()
