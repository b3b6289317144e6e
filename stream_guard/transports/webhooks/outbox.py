"""The outbox: messages on disk from the flush that made them until a receiver has them."""

import asyncio
import hashlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from stream_guard.codecs import encode
from stream_guard.engine import Outcome
from stream_guard.errors import SinkError
from stream_guard.events import Alert, DeadLetter, Decision
from stream_guard.transports.webhooks.settings import WebhookEndpoint, WebhookSettings

SCHEMA_VERSION = 1
REMEMBERED_S = 7 * 86_400.0
"""How long the id of a delivered message is kept, so that the same record, decided again after a crash, is no news."""

_SCHEMA = """
CREATE TABLE messages (
    id TEXT PRIMARY KEY,
    endpoint TEXT NOT NULL,
    created REAL NOT NULL,
    due REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    body BLOB
);
CREATE INDEX waiting ON messages (endpoint, due) WHERE body IS NOT NULL;
CREATE INDEX done ON messages (due) WHERE body IS NULL;
CREATE TABLE standing (
    endpoint TEXT NOT NULL,
    account_id TEXT NOT NULL,
    expires_at REAL,
    PRIMARY KEY (endpoint, account_id)
);
"""

Result = Literal["delivered", "failed", "expired", "dropped"]


class DeliveryObserver(Protocol):
    """Who wants to know what becomes of messages, such as the metrics. Must be quick and must not raise."""

    def settled(self, endpoint: str, outcome: Result, count: int) -> None:
        """See that an attempt at so many messages ended so."""
        ...


class Message(NamedTuple):
    """One message to one receiver; `body` is what is signed and sent, byte for byte."""

    id: str
    body: bytes
    attempts: int


class Backlog(NamedTuple):
    """What waits for one receiver; `oldest` is when the oldest was made, in seconds since 1970."""

    waiting: int
    oldest: float | None


class WebhookOutbox:
    """A sink for decisions and alerts; what it took stays on disk until it is settled.

    Several workers of one process may share it.

    Parameters
    ----------
    path
        The database; made if it is not there.
    settings
        Who is told what, and how much is kept.
    clock
        Seconds since 1970.
    observer
        Told of messages that are given up.

    Raises
    ------
    SinkError
        It cannot be opened, or was written by another version.
    """

    def __init__(
        self,
        path: Path,
        settings: WebhookSettings,
        *,
        clock: Callable[[], float] = time.time,
        observer: DeliveryObserver | None = None,
    ) -> None:
        self.settings = settings
        self.arrived = asyncio.Event()
        """Set, and replaced, when there may be more to deliver."""
        self._path = path
        self._clock = clock
        self._observer = observer
        self._added: list[Decision | Alert] = []
        self._turn = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db, self._reader = (
                sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10.0) for _ in range(2)
            )
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
            elif version != SCHEMA_VERSION:
                raise SinkError(f"{path}: written with schema {version}, this version reads schema {SCHEMA_VERSION}")
        except (OSError, sqlite3.Error) as error:
            raise SinkError(f"{path}: {error}") from error

    # The sink

    async def add(self, outcome: Outcome, dead_letters: Sequence[DeadLetter]) -> None:  # noqa: ARG002 - nobody asks
        """Take results; messages are made of them by the next `flush`."""
        self._added += outcome.decisions
        self._added += outcome.alerts

    async def flush(self) -> None:
        """Return once the messages are on disk. Raises SinkError."""
        added, self._added = self._added, []
        if added:
            try:
                dropped = await asyncio.to_thread(self._write, added)
            except BaseException:
                self._added = added + self._added
                raise
            self._tell(dropped)
            self.arrived.set()
            self.arrived = asyncio.Event()

    async def close(self) -> None:
        """Flush and let go."""
        await self.flush()
        with self._turn:
            self._db.close()
            self._reader.close()

    # What the delivery asks

    def due(self, endpoint: str, now: float, limit: int) -> list[Message]:
        """Return messages that should be on their way by now, those that are due the longest first."""
        with self._transaction() as db:
            rows = db.execute(
                "SELECT id, body, attempts FROM messages WHERE endpoint = ? AND body IS NOT NULL AND due <= ?"
                " ORDER BY due, rowid LIMIT ?",
                (endpoint, now, limit),
            )
            return [Message(*row) for row in rows]

    def next_due(self, endpoint: str) -> float | None:
        """Return when the next message is due, or None if none waits."""
        with self._transaction() as db:
            query = "SELECT min(due) FROM messages WHERE endpoint = ? AND body IS NOT NULL"
            due: float | None = db.execute(query, (endpoint,)).fetchone()[0]
            return due

    def settle(self, delivered: Iterable[str], failed: Iterable[tuple[str, float]]) -> None:
        """Note the ids that were delivered, and those that were not with the time of their next attempt."""
        now = self._clock()
        with self._transaction() as db:
            db.executemany("UPDATE messages SET body = NULL, due = ? WHERE id = ?", [(now, id_) for id_ in delivered])
            db.executemany(
                "UPDATE messages SET attempts = attempts + 1, due = ? WHERE id = ?", [(due, id_) for id_, due in failed]
            )

    def expire(self, endpoint: str) -> int:
        """Give up messages that are too old; returns how many."""
        now = self._clock()
        with self._transaction() as db:
            old = "UPDATE messages SET body = NULL, due = ? WHERE endpoint = ? AND body IS NOT NULL AND created < ?"
            count = db.execute(old, (now, endpoint, now - self.settings.age_max_hours * 3600)).rowcount
            db.execute("DELETE FROM messages WHERE body IS NULL AND due < ?", (now - REMEMBERED_S,))
            db.execute("DELETE FROM standing WHERE expires_at < ?", (now - REMEMBERED_S,))
        self._tell({endpoint: count} if count else {}, "expired")
        return count

    def backlog(self) -> dict[str, Backlog]:
        """Return what waits, by endpoint: each that is set, and each that something waits for."""
        query = "SELECT endpoint, count(*), min(created) FROM messages WHERE body IS NOT NULL GROUP BY endpoint"
        found = {name: Backlog(count, oldest) for name, count, oldest in self._reader.execute(query)}
        return {endpoint.name: Backlog(0, None) for endpoint in self.settings.endpoints} | found

    # Writing

    def _write(self, added: Sequence[Decision | Alert]) -> dict[str, int]:
        """Make messages of records; returns how many others gave way, by endpoint."""
        now = self._clock()
        dropped = {}
        with self._transaction() as db:
            for endpoint in self.settings.endpoints:
                db.executemany(
                    "INSERT OR IGNORE INTO messages (id, endpoint, created, due, body) VALUES (?, ?, ?, ?, ?)",
                    [
                        (message_id(endpoint.name, _id(record)), endpoint.name, now, now, body_of(record))
                        for record in added
                        if self._wanted(db, endpoint, record)
                    ],
                )
                if count := self._make_room(db, endpoint.name):
                    dropped[endpoint.name] = count
        return dropped

    def _wanted(self, db: sqlite3.Connection, endpoint: WebhookEndpoint, record: Decision | Alert) -> bool:
        if isinstance(record, Alert):
            return record.severity in endpoint.alerts and record.kind in (endpoint.alert_kinds or (record.kind,))
        about = (endpoint.name, record.account_id)
        if record.action in endpoint.decisions and (endpoint.shadow or not record.shadow):
            db.execute("INSERT OR REPLACE INTO standing VALUES (?, ?, ?)", (*about, record.expires_at))
            return True
        # It is not asked for, but ends what was. Which worker sent that may have changed, so `allow` is sent on trust.
        sent = db.execute("DELETE FROM standing WHERE endpoint = ? AND account_id = ?", about).rowcount > 0
        return sent or (record.action == "allow" and record.supersedes is not None and bool(endpoint.decisions))

    def _make_room(self, db: sqlite3.Connection, endpoint: str) -> int:
        query = "SELECT count(*) FROM messages WHERE endpoint = ? AND body IS NOT NULL"
        excess: int = db.execute(query, (endpoint,)).fetchone()[0] - self.settings.messages_max
        if excess > 0:
            oldest = (
                "SELECT rowid FROM messages WHERE endpoint = ? AND body IS NOT NULL ORDER BY created, rowid LIMIT ?"
            )
            db.execute(f"DELETE FROM messages WHERE rowid IN ({oldest})", (endpoint, excess))  # noqa: S608 - ours
        return max(0, excess)

    def _tell(self, counts: dict[str, int], outcome: Result = "dropped") -> None:
        if self._observer:
            for endpoint, count in counts.items():
                self._observer.settled(endpoint, outcome, count)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._turn:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield self._db
                except BaseException:
                    self._db.execute("ROLLBACK")
                    raise
                self._db.execute("COMMIT")
            except sqlite3.Error as error:
                raise SinkError(f"{self._path}: {error}") from error


def message_id(endpoint: str, record_id: str) -> str:
    """Return the `webhook-id` of a record for an endpoint: the same whenever it is asked.

    Examples
    --------
    >>> message_id("bans", "de_1") == message_id("bans", "de_1") != message_id("pager", "de_1")
    True
    """
    return "msg_" + hashlib.blake2b(f"{endpoint}\0{record_id}".encode(), digest_size=16).hexdigest()


def body_of(record: Decision | Alert) -> bytes:
    """Return the body that tells of a record."""
    kind = "decision.made" if isinstance(record, Decision) else "alert.raised"
    return encode({"type": kind, "timestamp": iso(record.ts), "data": record})


def iso(ts: float) -> str:
    """Write a time as RFC 3339.

    Examples
    --------
    >>> iso(1777000000.5)
    '2026-04-24T03:06:40.500000Z'
    """
    return datetime.fromtimestamp(ts, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _id(record: Decision | Alert) -> str:
    return record.decision_id if isinstance(record, Decision) else record.alert_id
