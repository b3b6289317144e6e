"""Detectors as bytes, and back without running anything that the bytes say.

River's state is pickled, but no class is ever named to the unpickler: every object is written as a call of `rebuild`
with the name of its class and its plain state, `rebuild` looks the name up in `CLASSES`, and it is the only thing that
the unpickler can find. So bytes can make objects of these classes and plain values, and nothing else: not import, not
call, not even change an attribute of a class. Of the pickle machine's instructions only those are accepted that `dump`
has a use for: none that sets attributes, or that addresses a memo (of which one byte could ask for gigabytes).

    magic, format, version of River, length, sha256 of all of that and of the pickle | pickle
"""

import copyreg
import hashlib
import io
import pickle
import pickletools
import random
import struct
from typing import Any, Final

from river import _river_rust, drift, linear_model, optim, stats, utils
from river.__version__ import __version__ as river_version

from stream_guard.detectors.drift import PopulationDrift
from stream_guard.detectors.feedback import FeedbackModel
from stream_guard.detectors.quantiles import FadingQuantiles
from stream_guard.detectors.usual import Prior, Usual
from stream_guard.errors import SnapshotError

MAGIC: Final = b"SGDT"
FORMAT: Final = 1
HEADER: Final = struct.Struct(">4sH16sQ")
DIGEST_BYTES: Final = 32
STATE_BYTES_MAX: Final = 1 << 30


CLASSES: Final[dict[str, type[Any]]] = {
    f"{cls.__module__}.{cls.__qualname__}": cls
    for cls in (
        FadingQuantiles,
        FeedbackModel,
        PopulationDrift,
        Prior,
        Usual,
        drift.ADWIN,
        linear_model.LogisticRegression,
        optim.SGD,
        optim.initializers.Zeros,
        optim.losses.Log,
        optim.schedulers.Constant,
        random.Random,
        stats.Quantile,
        # River's compiled part has no public names.
        _river_rust.drift.AdaptiveWindowing,
        _river_rust.stats.RsQuantile,
        utils.VectorDict,
    )
}
"""Every class that state may hold, by its full name."""
OPCODES: Final = frozenset(
    (  # noqa: SIM905
        "PROTO FRAME STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 LONG4 BINFLOAT "  # plain values,
        "SHORT_BINUNICODE BINUNICODE BINUNICODE8 SHORT_BINBYTES BINBYTES BINBYTES8 "
        "EMPTY_DICT SETITEM SETITEMS EMPTY_LIST APPEND APPENDS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 "  # containers,
        "STACK_GLOBAL REDUCE"  # and a call of `rebuild`
    ).split()
)
ARGUMENT_MAX: Final = 10_000
"""Largest number to make a class with: River's compiled part asks for memory by them, and dies if it gets none."""


class _Rebuild:
    """Makes an object of a listed class. Without attributes, so that a pickle cannot change it."""

    __slots__ = ()

    def __call__(self, name: str, arguments: tuple[Any, ...], state: Any) -> Any:
        cls: Any = CLASSES[name]
        if any(isinstance(argument, int) and argument > ARGUMENT_MAX for argument in arguments):
            raise SnapshotError(f"{name} would be made with {arguments}")
        made = cls.__new__(cls, *arguments)
        if state is None:
            return made
        if hasattr(made, "__setstate__"):
            made.__setstate__(state)
        else:
            made.__dict__.update(state)
        return made

    def __reduce__(self) -> str:
        return "rebuild"


rebuild: Final = _Rebuild()


class _Pickler(pickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        if obj is rebuild:
            return NotImplemented
        name = f"{type(obj).__module__}.{type(obj).__qualname__}"
        if CLASSES.get(name) is not type(obj):
            raise TypeError(f"{name} is not among the classes of detectors' state")
        reduced: tuple[Any, ...] = (*obj.__reduce_ex__(pickle.HIGHEST_PROTOCOL), None)
        make, arguments, state = reduced[:3]
        assert not any(reduced[3:]), f"{name} has items beside its state"
        if make is copyreg.__newobj__:  # type: ignore[attr-defined]
            arguments = arguments[1:]
        return rebuild, (name, tuple(arguments), state)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) != (__name__, "rebuild"):
            raise SnapshotError(f"a detector's state names {module}.{name}, which is not allowed")
        return rebuild


def dump(state: Any) -> bytes:
    """Return `state` as bytes: detectors, plain values and containers of them. Raises TypeError for other classes."""
    stream = io.BytesIO()
    pickler = _Pickler(stream, protocol=pickle.HIGHEST_PROTOCOL)
    # Without a memo, so that equal states are equal bytes whichever of their parts happen to be one object.
    pickler.fast = True
    pickler.dump(state)
    body = stream.getvalue()
    header = HEADER.pack(MAGIC, FORMAT, river_version.encode(), len(body))
    return header + hashlib.sha256(header + body).digest() + body


def load(state: bytes) -> Any:
    """Return what `dump` was given.

    Raises
    ------
    SnapshotError
        For anything that is not whole, not ours, or written by another version; says which.
    """
    return _unpickle(_body(state))


def _body(state: bytes) -> bytes:
    start = HEADER.size + DIGEST_BYTES
    if not state.startswith(MAGIC[: len(state)]):
        raise SnapshotError("not the state of detectors: it begins otherwise")
    if len(state) < start:
        raise SnapshotError(f"the state of detectors is cut off within its header ({len(state)} bytes)")
    _, version, written_by, length = HEADER.unpack_from(state)
    body = state[start:]
    if version != FORMAT:
        raise SnapshotError(f"the state of detectors has format {version}, this reads {FORMAT}")
    if length > STATE_BYTES_MAX:
        raise SnapshotError(f"the state of detectors says that it has {length} bytes, above {STATE_BYTES_MAX}")
    if len(body) < length:
        raise SnapshotError(f"the state of detectors is cut off: {len(body)} of {length} bytes")
    if hashlib.sha256(state[: HEADER.size] + body).digest() != state[HEADER.size : start]:
        raise SnapshotError("the state of detectors is damaged: its checksum does not fit")
    if (name := written_by.rstrip(b"\0").decode(errors="replace")) != river_version:
        raise SnapshotError(f"the state of detectors is of River {name}, this is {river_version}")
    return body


def _scan(body: bytes) -> None:
    for opcode, _, at in pickletools.genops(body):
        if opcode.name not in OPCODES:
            raise SnapshotError(f"the state of detectors is foreign: instruction {opcode.name} at {at}")


def _unpickle(body: bytes) -> Any:
    try:
        _scan(body)
        return _Unpickler(io.BytesIO(body)).load()
    except (SnapshotError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - a panic of River's compiled part is no Exception
        raise SnapshotError(f"the state of detectors is foreign: {type(error).__name__}: {error}") from None
