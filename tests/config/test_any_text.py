"""Whatever a file or a variable holds, it is loaded or refused with where the mistake is; never anything else."""

import re
import tempfile
from pathlib import Path

import yaml
from hypothesis import given
from hypothesis import strategies as st

from stream_guard.config import Config, document, fields, load
from stream_guard.config.writing import _inline, default_yaml
from stream_guard.errors import ConfigError

DEFAULT = default_yaml(Config)
LINES = [line for line in DEFAULT.splitlines() if line and "#" not in line]
SETTINGS = [setting for setting in fields.walk(Config) if not setting.model]

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
pieces = st.sampled_from(
    [*LINES, "", "- ", "{", "}", "[", "]", ": ", "&a", "*a", "!!int", "'", '"', "|", "\t", "---", "?"]
)
scribbles = st.lists(pieces | st.text(max_size=6), max_size=12).map("\n".join) | st.text()


def outcome(text, environ):
    """Load `text`; returns the lines of a refusal."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "a.yaml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode(errors="surrogatepass"))
        try:
            load(file, environ)
        except ConfigError as error:
            return [line.replace(str(file), "a.yaml") for line in str(error).split("\na.yaml")]
    return []


@given(scribbles | st.binary(max_size=60))
def test_any_file_is_loaded_or_refused_with_a_line(text):
    for line in outcome(text, {}):
        assert re.match(r"(a\.yaml)?:\d+: .", line), line


@given(st.sampled_from(SETTINGS), plain.map(_inline) | st.text())
def test_any_variable_is_taken_or_refused_by_its_name(setting, text):
    name = "STREAM_GUARD__" + "__".join(map(str, setting.where)).upper()

    for line in outcome("", {name: text}):
        assert line.startswith(f"{name}: ") or setting.key.startswith("kafka"), line


@given(st.sampled_from(SETTINGS), plain)
def test_any_value_in_the_place_of_a_setting_is_taken_or_refused_there(setting, value):
    data = value
    for part in reversed(setting.where):
        data = {part: data}

    for line in outcome(yaml.safe_dump(data), {}):
        assert re.match(r"(a\.yaml)?:\d+: .", line), line


@given(plain)
def test_what_is_written_is_read_again(value):
    read = document.read(f"x: {_inline(value)}\n")

    assert not read.problems
    assert read.data == {"x": value}
