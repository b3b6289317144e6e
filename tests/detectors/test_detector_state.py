"""State as bytes: whatever is done to them, a SnapshotError or the same detectors, and nothing is run."""

import contextlib
import hashlib
import io
import os
import pickle
import pickletools
import random
import struct

import checks
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_every_detector import MAKERS

from stream_guard.detectors import Usual, dump, load, state
from stream_guard.errors import SnapshotError

WARM = {cls.__name__: checks.warm(make) for cls, make in MAKERS.items()}
GOOD = dump(WARM)
START = state.HEADER.size + state.DIGEST_BYTES


def sealed(body, version=state.FORMAT, river=state.river_version):
    """A body as its writer would have sealed it: what a checksum cannot tell."""
    header = state.HEADER.pack(state.MAGIC, version, river.encode(), len(body))
    return header + hashlib.sha256(header + body).digest() + body


def test_it_comes_back():
    back = load(GOOD)
    assert {name: type(v) for name, v in back.items()} == {name: type(v) for name, v in WARM.items()}
    assert dump(back) == GOOD


@pytest.mark.parametrize(
    "value", [None, 1, 2.5, "text", b"bytes", [1, [2]], {"a": (1, 2)}, {"deep": {"er": [Usual({}), {}]}}], ids=repr
)
def test_plain_values_come_back(value):
    assert dump(load(dump(value))) == dump(value)


class Stranger:
    """A class that is not on the list."""


@pytest.mark.parametrize("value", [Stranger(), Stranger, print, os.system, random.random, {1: Stranger()}], ids=repr)
def test_other_classes_are_not_written(value):
    with pytest.raises(TypeError, match="not among the classes"):
        dump(value)


@pytest.mark.parametrize(
    ("mutilated", "reason"),
    [
        (b"", "cut off within its header"),
        (GOOD[:10], "cut off within its header"),
        (GOOD[:START], "cut off: 0 of"),
        (GOOD[:-1], "cut off"),
        (GOOD + b"x", "damaged"),
        (b"GIF8" + GOOD[4:], "begins otherwise"),
        (GOOD[:START] + b"x" + GOOD[START + 1 :], "damaged"),
        (GOOD[: START - 1] + bytes([GOOD[START - 1] ^ 1]) + GOOD[START:], "damaged"),
        (sealed(GOOD[START:], version=2), "format 2, this reads 1"),
        (sealed(GOOD[START:], river="0.25.0"), "of River 0.25.0, this is"),
        (sealed(b""), "foreign"),
        (sealed(GOOD[START:-5]), "foreign"),
        (sealed(b"\x80\x05}." * 2)[:-3], "cut off"),
    ],
)
def test_each_damage_has_its_reason(mutilated, reason):
    with pytest.raises(SnapshotError, match=reason):
        load(mutilated)


class Evil:
    """A pickle that runs a command."""

    def __init__(self, run, *arguments):
        self.run, self.arguments = run, arguments

    def __reduce__(self):
        return self.run, self.arguments


RAN = []


def canary(*arguments):
    RAN.append(arguments)
    raise RuntimeError("run by a pickle")


ADWIN = "river._river_rust.drift.AdaptiveWindowing"


def plain(value):
    """A pickle without a memo, as ours are: only what it calls is wrong with it."""
    stream = io.BytesIO()
    pickler = pickle.Pickler(stream, protocol=5)
    pickler.fast = True
    pickler.dump(value)
    return stream.getvalue()


def build(target, attributes):
    """A pickle that sets attributes on what `rebuild` is: what `setattr` would do."""
    name = f"c{state.__name__}\n{target}\n".encode()
    return b"\x80\x02" + name + pickle.dumps((None, attributes), protocol=2)[2:-1] + b"b."


@pytest.mark.parametrize(
    "body",
    [
        pickle.dumps(Evil(canary, "x")),
        plain(Evil(canary, "x")),
        plain(Evil(os.system, "true")),
        plain(Evil(eval, "1/0")),
        plain(Evil(getattr, Usual, "learn_one")),
        plain(Evil(state.CLASSES.get, "x")),
        pickle.dumps(Usual),
        pickle.dumps(Stranger()),
        pickle.dumps(random.Random),
        pickle.dumps(Usual({})),  # as plain pickle writes it: names classes
        b"cstream_guard.detectors.state\nCLASSES\n.",
        b"cstream_guard.detectors.state\nload\n.",
        b"cos\nsystem\n(S'true'\ntR.",
        b"(S'true'\nios\nsystem\n.",
        b"cbuiltins\nexec\n(S'1/0'\ntR.",
        build("rebuild", {"__call__": 1}),
        build("rebuild", {"anything": 1}),
        plain(Evil(state.rebuild, "os.system", (), "true")),
        plain(Evil(state.rebuild, "builtins.eval", ("1/0",), None)),
        plain(Evil(state.rebuild, [], (), None)),
        plain(Evil(state.rebuild, "random.Random", (), "no state")),
        plain(Evil(state.rebuild, "river._river_rust.stats.RsQuantile", (), b"\xff" * 7)),
        plain(Evil(state.rebuild, "river._river_rust.stats.RsQuantile", (0.5,), b"\xff" * 400)),
        pickle.dumps(
            Evil(state.rebuild, "river._river_rust.drift.AdaptiveWindowing", (0.1, 1, 1, 1, 1), b"\xff" * 200)
        ),
        plain(Evil(state.rebuild, ADWIN, (0.1, 1, 10**9, 1, 1), None)),  # 8 GB, and an abort without
        b"\x80\x04K\x01r" + (1 << 26).to_bytes(4, "little") + b".",  # a memo of 1 GB
        plain(Evil(state.rebuild, ADWIN, (0.1, 1, 1, 1, 1), b"\xff" * 200)),
    ],
    ids=lambda body: f"{len(body)}-bytes",
)
def test_a_malicious_pickle_is_refused_and_not_run(body):
    RAN.clear()
    with pytest.raises(SnapshotError):
        load(sealed(body))
    assert RAN == []


def test_what_is_written_names_only_rebuild():
    names, strings = set(), []
    for opcode, argument, _ in pickletools.genops(GOOD[START:]):
        if opcode.name == "SHORT_BINUNICODE":
            strings.append(argument)
        if opcode.name == "STACK_GLOBAL":
            names.add(tuple(strings[-2:]))
    assert names == {(state.__name__, "rebuild")}


@given(
    edits=st.lists(
        st.tuples(
            st.sampled_from(["set", "drop", "insert", "cut"]),
            st.integers(0, len(GOOD)),
            st.binary(min_size=1, max_size=9),
        ),
        min_size=1,
        max_size=4,
    ),
    seal=st.booleans(),
)
@settings(max_examples=300, deadline=5000)
def test_mutilated_bytes_are_refused_or_harmless(edits, seal):
    """Unsealed, every mutilation is refused; sealed anew, what is left of it may load, and never raises otherwise."""
    bad = bytearray(GOOD)
    for kind, at, some in edits:
        if kind == "set":
            bad[at : at + len(some)] = some
        elif kind == "drop":
            del bad[at : at + len(some)]
        elif kind == "insert":
            bad[at:at] = some
        else:
            del bad[at:]
    if seal:
        with contextlib.suppress(SnapshotError):
            load(sealed(bytes(bad[START:])))
    elif bytes(bad) != GOOD:
        with pytest.raises(SnapshotError):
            load(bytes(bad))


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_refused(junk):
    for state_bytes in (junk, state.MAGIC + junk):
        with pytest.raises(SnapshotError):
            load(state_bytes)


def test_a_header_that_claims_too_much_is_refused():
    header = struct.pack(">4sH16sQ", state.MAGIC, state.FORMAT, b"0.26.1", 1 << 40)
    with pytest.raises(SnapshotError, match="above"):
        load(header + bytes(32) + b"x")
