"""Requests to columns: everything the kernels need of a batch, with one pass over the events."""

import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_guard import sketch
from stream_guard.campaigns.report import CUT, INTERACTIVE, REFUSED, SIGHTING, SINGLE_TURN
from stream_guard.events import Client, RequestEvent
from stream_guard.sketch import FINGERPRINTS, SYSTEMS_HELD, Sketches, Texts

HASHES_HELD = 4096
ENDS: dict[str | None, int] = {
    "refusal": REFUSED,
    "content_filter": REFUSED,
    "safety": REFUSED,
    "length": CUT,
    "max_tokens": CUT,
}
"""What a finish reason says, as flags of a sighting."""
BROWSER = "Mozilla/"
"""How the user agent of every browser begins (RFC 9110, 10.1.5, and habit)."""
_NOWHERE = Client()


def hash32(text: str | None) -> int:
    """Return a 32-bit hash of a string: 0 for an absent one, never 0 for one that is there."""
    return zlib.crc32(text.encode("utf-8", "surrogatepass")) | 1 if text else 0


def network32(ip: str | None) -> int:
    """Return an address as 24 bits of the hash of its network (a /24, of IPv6 a /64) and 8 of its own; 0 for none.

    Examples
    --------
    >>> [f"{network32(ip):08x}" for ip in ("198.51.100.7", "198.51.100.8", "203.0.113.7", "2001:db8:1:2::7", "2001:db8:1:2::8")]
    ['7baeabe5', '7baeabf8', '7ac6fd75', '12cc1133', '12cc112e']
    """
    if not ip:
        return 0
    raw = ip.encode("utf-8", "surrogatepass")
    cut = raw.rfind(b".")
    network = raw[:cut] if cut > 0 else b":".join(raw.split(b":")[:4])
    return (zlib.crc32(network) & 0xFFFFFF00 | zlib.crc32(raw) >> 8 & 0xFF) or 1


class Hashes:
    """32-bit hashes of strings that come again and again (programs, models, addresses), remembered."""

    def __init__(self, of: Callable[[str | None], int] = hash32) -> None:
        self._of = of
        self._known: dict[str | None, int] = {None: 0}

    def all(self, texts: Sequence[str | None]) -> NDArray[np.uint32]:
        """Return the hashes of many texts."""
        known = self._known
        if len(known) > HASHES_HELD:
            known.clear()
        for text in set(texts).difference(known):
            known[text] = self._of(text)
        return np.array([known[text] for text in texts], np.uint32)


class SystemText(NamedTuple):
    """A system text's hash, elicitation marks and fingerprints."""

    hash: int
    marks: int
    prints: NDArray[np.uint32]


class Taken(NamedTuple):
    """A batch of n events as columns."""

    prompts: Texts
    sketches: Sketches
    systems: list[SystemText]
    sightings: NDArray[np.void]  # SIGHTING, without account; `system` is the text's hash
    ts: NDArray[np.float64]
    turn: NDArray[np.int32]
    input_tokens: NDArray[np.int32]
    output_tokens: NDArray[np.int32]
    limit: NDArray[np.int32]
    many: NDArray[np.bool_]
    logprobs: NDArray[np.bool_]
    lot: NDArray[np.uint32]  # hash of the event id: which requests of a busy account are sent on


class Intake:
    """Turns events into columns; system texts, which repeat, are sketched once."""

    def __init__(self) -> None:
        self.hash, self.network = Hashes(), Hashes(network32)
        self.models: dict[int, str] = {}
        self.bad_sketches = 0
        # Python's hash of a text -> what is known of it: the texts themselves would fill the memory.
        self._systems: dict[int, SystemText] = {hash(""): SystemText(0, 0, np.zeros(FINGERPRINTS, np.uint32))}

    def take(self, events: Sequence[RequestEvent], times: Sequence[float]) -> Taken:
        """Return the columns of a batch; `times` are as of when the events count."""
        n, hashed = len(events), self.hash
        prompts = sketch.join([e.prompt or "" for e in events])
        sketches = sketch.sketch(prompts)
        self._fill(sketches, events)
        systems = self._sketched([e.system or "" for e in events])
        turn = _ints([e.turn for e in events])
        sightings = np.zeros(n, SIGHTING)
        sightings["system"] = [s.hash for s in systems]
        ts = np.array(times, np.float64)
        sightings["ts"] = ts
        sightings["prints"] = sketches.fingerprints
        clients = [e.client or _NOWHERE for e in events]
        sightings["agent"] = hashed.all([c.user_agent for c in clients])
        sightings["ip"] = self.network.all([c.ip for c in clients])
        sightings["harness"] = hashed.all([e.harness for e in events])
        limit = _ints([e.max_tokens for e in events])
        sightings["limit"] = limit + 1  # 0 is unknown
        sightings["model"] = self._codes([e.model for e in events])
        flags = np.where(turn == 0, SINGLE_TURN, 0)
        flags |= np.array([INTERACTIVE if (c.user_agent or "").startswith(BROWSER) else 0 for c in clients])
        sightings["flags"] = flags | np.array([ENDS.get(e.finish_reason, 0) for e in events])
        sightings["marks"] = sketches.marks | np.array([s.marks for s in systems], np.uint8)
        return Taken(
            prompts,
            sketches,
            systems,
            sightings,
            ts,
            turn,
            _ints([e.input_tokens for e in events]),
            _ints([e.output_tokens for e in events]),
            limit,
            np.array([e.n is not None and e.n > 1 for e in events]),
            np.array([e.logprobs is True for e in events]),
            np.array([zlib.crc32(e.event_id.encode("utf-8", "surrogatepass")) for e in events], np.uint32),
        )

    def _codes(self, names: list[str]) -> NDArray[np.uint16]:
        codes = self.hash.all(names) & np.uint32(0xFFFF)
        self.models.update(zip(codes.tolist(), names, strict=True))
        return codes.astype(np.uint16)

    def _fill(self, sketches: Sketches, events: Sequence[RequestEvent]) -> None:
        """Put in the sketches that gateways have made in place of prompts; a malformed one is as no prompt."""
        for i, event in enumerate(events):
            if event.sketch is None or event.prompt is not None:
                continue
            try:
                made = sketch.unpack_sketch(event.sketch)
            except ValueError:
                self.bad_sketches += 1
                continue
            columns: Iterable[tuple[NDArray[Any], NDArray[Any]]] = zip(sketches, made, strict=True)
            for column, one in columns:
                column[i] = one[0]

    def _sketched(self, texts: list[str]) -> list[SystemText]:
        known, keys = self._systems, [hash(text) for text in texts]
        fresh = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if fresh:
            if len(known) + len(fresh) > SYSTEMS_HELD:
                for key in list(known)[1 : len(fresh) + SYSTEMS_HELD // 8]:
                    del known[key]
                fresh = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
            found = sketch.sketch(list(fresh.values()))
            for i, (key, text) in enumerate(fresh.items()):
                crc = zlib.crc32(text.encode("utf-8", "surrogatepass")) | 1
                known[key] = SystemText(crc, int(found.marks[i]), found.fingerprints[i].copy())
        return [known[key] for key in keys]


def _ints(values: list[int | None]) -> NDArray[np.int32]:
    """Return numbers as an array, -1 for an absent one."""
    filled = [-1 if v is None else v for v in values]
    return np.minimum(np.array(filled, np.int64), 2**31 - 2).astype(np.int32)
