"""`docs/records.md` and `docs/gateway.md` say what the code does."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from stream_guard import codecs, events, sketch
from stream_guard.codecs import encode
from stream_guard.formats import FORMATS
from stream_guard.gateway.api import ACTION_HEADER, LIMIT_HEADER, create_app
from stream_guard.gateway.examples import DECISION
from stream_guard.gateway.replies import Check
from stream_guard.testing.backend import MemoryBackend

DOCS = Path(__file__).parents[2] / "docs"
RECORDS = (DOCS / "records.md").read_text()
GATEWAY = (DOCS / "gateway.md").read_text()
KINDS = {
    name: kind for name, kind in vars(events).items() if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
}


def table(name):
    """Return the rows under the heading of a record: field, type."""
    section = re.search(rf"^### {name}\n(.*?)(?=^##|\Z)", RECORDS, re.MULTILINE | re.DOTALL)
    assert section, f"docs/records.md has no section {name}"
    return dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", section[1], re.MULTILINE))


@pytest.mark.parametrize("name", KINDS)
def test_every_field_of_every_record_is_documented(name):
    fields = msgspec.structs.fields(KINDS[name])
    documented = table(name)
    assert list(documented) == [f.name for f in fields]
    inputs = ("RequestEvent", "AccountUpdate", "Feedback", "Release", "Enforcement")
    if name in inputs:
        assert {f.name for f in fields if f.required} == {n for n, kind in documented.items() if "required" in kind}


@pytest.mark.parametrize(
    "limit",
    [
        codecs.PAYLOAD_BYTES_MAX,
        codecs.DEPTH_MAX,
        codecs.DEAD_LETTER_BYTES_MAX,
        sketch.TEXT_HEAD_BYTES,
        sketch.TEXT_TAIL_BYTES,
        sketch.TEXT_HEAD_BYTES + sketch.TEXT_TAIL_BYTES,
        sketch.VECTOR_WORDS_MAX,
        2**31 - 1,
        2**32 - 1,
    ],
)
def test_every_limit_is_documented(limit):
    assert f"{limit:,}" in RECORDS


@pytest.mark.parametrize("path", create_app(MemoryBackend()).openapi()["paths"])
def test_every_question_is_documented(path):
    assert re.search(re.sub(r"\\{\w+(:path)?\\}", r"[\\w{}]+", re.escape(path)), GATEWAY)


@pytest.mark.parametrize("word", [*FORMATS, ACTION_HEADER, LIMIT_HEADER, *Check.__struct_fields__])
def test_every_word_of_the_contract_is_documented(word):
    assert f"`{word}`" in GATEWAY or f"={word}" in GATEWAY


def test_the_example_of_a_check_is_what_comes():
    [example] = re.findall(r'^    (\{"action".*\})$', GATEWAY, re.MULTILINE)
    assert json.loads(example) == json.loads(encode(Check.of(DECISION)))


@pytest.mark.parametrize("number", re.findall(r"^\| (\d{3}) \|", GATEWAY, re.MULTILINE))
def test_every_status_in_the_table_is_in_the_openapi_document(number):
    documented = create_app(MemoryBackend()).openapi()["paths"]
    assert any(number in route["responses"] for path in documented.values() for route in path.values())
