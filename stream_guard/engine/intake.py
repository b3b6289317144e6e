"""Requests to columns: everything the kernels need of a batch, with one pass over the events."""

import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_guard import sketch
from stream_guard.campaigns.report import CUT, REFUSED, SIGHTING, SINGLE_TURN
from stream_guard.events import RequestEvent
from stream_guard.sketch import FINGERPRINTS, SYSTEMS_HELD, Sketches

HASHES_HELD = 200_000
REFUSALS = frozenset({"refusal", "content_filter", "safety"})
CUTS = frozenset({"length", "max_tokens"})


class Hashes:
    """32-bit hashes of short strings, remembered; 0 is an absent one."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def __call__(self, text: str | None) -> int:
        """Return the hash of `text`: never 0 for a text that is there."""
        if not text:
            return 0
        known = self._known.get(text)
        if known is None:
            if len(self._known) >= HASHES_HELD:
                self._known.clear()
            known = self._known[text] = zlib.crc32(text.encode("utf-8", "surrogatepass")) | 1
        return known


class SystemText(NamedTuple):
    """A system text's hash, elicitation marks and fingerprints."""

    hash: int
    marks: int
    prints: NDArray[np.uint32]


class Taken(NamedTuple):
    """A batch of n events as columns."""

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
        self.hash = Hashes()
        self.models: dict[int, str] = {}
        self._systems: dict[str, SystemText] = {"": SystemText(0, 0, np.zeros(FINGERPRINTS, np.uint32))}

    def take(self, events: Sequence[RequestEvent]) -> Taken:
        """Return the columns of a batch."""
        n, hashed = len(events), self.hash
        sketches = sketch.sketch([e.prompt or "" for e in events])
        systems = self._sketched([e.system or "" for e in events])
        clients = [e.client for e in events]
        reasons = [e.finish_reason for e in events]
        turn = _ints(e.turn for e in events)
        sightings = np.zeros(n, SIGHTING)
        sightings["system"] = np.fromiter((s.hash for s in systems), np.uint32, n)
        sightings["ts"] = ts = np.fromiter((e.ts for e in events), np.float64, n)
        sightings["prints"] = sketches.fingerprints
        sightings["agent"] = np.fromiter((hashed(c.user_agent) if c else 0 for c in clients), np.uint32, n)
        sightings["ip"] = np.fromiter((hashed(c.ip) if c else 0 for c in clients), np.uint32, n)
        sightings["harness"] = np.fromiter((hashed(e.harness) for e in events), np.uint32, n)
        sightings["limit"] = limit = _ints(e.max_tokens for e in events)
        sightings["limit"] += 1  # 0 is unknown
        sightings["model"] = np.fromiter((self._model(e.model) for e in events), np.uint16, n)
        flags = np.where(turn == 0, SINGLE_TURN, 0)
        flags |= np.fromiter((REFUSED if r in REFUSALS else CUT if r in CUTS else 0 for r in reasons), np.int64, n)
        sightings["flags"] = flags
        sightings["marks"] = sketches.marks | np.fromiter((s.marks for s in systems), np.uint8, n)
        return Taken(
            sketches, systems, sightings, ts, turn, _ints(e.input_tokens for e in events), _ints(e.output_tokens for e in events), limit,
            np.fromiter(((e.n or 1) > 1 for e in events), np.bool_, n), np.fromiter((bool(e.logprobs) for e in events), np.bool_, n),
            np.fromiter((zlib.crc32(e.event_id.encode("utf-8", "surrogatepass")) for e in events), np.uint32, n),
        )  # fmt: skip

    def _model(self, name: str) -> int:
        code = self.hash(name) & 0xFFFF
        self.models[code] = name
        return code

    def _sketched(self, texts: list[str]) -> list[SystemText]:
        known = self._systems
        fresh = list({text for text in texts if text not in known})
        if fresh:
            if len(known) + len(fresh) > SYSTEMS_HELD:
                for text in list(known)[1 : len(fresh) + SYSTEMS_HELD // 8]:
                    del known[text]
                fresh = list({text for text in texts if text not in known})
            found = sketch.sketch(fresh)
            for i, text in enumerate(fresh):
                known[text] = SystemText(
                    zlib.crc32(text.encode("utf-8", "surrogatepass")) | 1,
                    int(found.marks[i]),
                    found.fingerprints[i].copy(),
                )
        return [known[text] for text in texts]


def _ints(values) -> NDArray[np.int32]:  # type: ignore[no-untyped-def]
    return np.array([-1 if v is None else v for v in values], np.int64).clip(-1, 2**31 - 2).astype(np.int32)
