"""State as bytes that say what they are: magic, version, checksum, then MessagePack, compressed. Nothing in them is code."""

import hashlib
from typing import Any

import msgspec
import zstandard

from stream_guard.errors import SnapshotError

MAGIC = b"SGST"
VERSION = 1


def seal(state: dict[str, Any]) -> bytes:
    """Return plain values as bytes with a header."""
    body = zstandard.compress(msgspec.msgpack.encode(state), 1)
    return MAGIC + VERSION.to_bytes(2, "big") + hashlib.sha256(body).digest() + body


def unseal(raw: bytes, kind: str) -> dict[str, Any]:
    """Return the values in `raw`, which must be state of this kind.

    Raises
    ------
    SnapshotError
        For bytes that are foreign, damaged, of another version or of another kind.
    """
    if raw[:4] != MAGIC:
        raise SnapshotError("this is no state of an engine")
    version = int.from_bytes(raw[4:6], "big")
    if version != VERSION:
        raise SnapshotError(f"state of version {version}; this program reads version {VERSION}")
    body = raw[38:]
    if hashlib.sha256(body).digest() != raw[6:38]:
        raise SnapshotError("the state is damaged: its checksum does not fit")
    try:
        state = msgspec.msgpack.decode(zstandard.decompress(body))
    except (msgspec.DecodeError, zstandard.ZstdError) as error:
        raise SnapshotError(f"the state cannot be read: {error}") from error
    if not isinstance(state, dict) or state.get("kind") != kind:
        raise SnapshotError(f"this is not the state of {kind}")
    return state
