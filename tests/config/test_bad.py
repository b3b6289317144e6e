"""Every bad file says at its top how it must be refused: `# LINE: KEY: message`, one line for each mistake."""

import re
from pathlib import Path

import pytest

from stream_guard.config import Config, load
from stream_guard.config.fields import holds_secret, step
from stream_guard.errors import ConfigError

FILES = sorted((Path(__file__).parent / "bad").glob("*.yaml"))


def settings_in(section):
    """The names that are allowed in a section: not repeated in the files, they grow."""
    model = Config
    for part in filter(None, section.split("_")):
        model = step(model, part)
    secrets = [f"{name}_file" for name, field in model.model_fields.items() if holds_secret(field.annotation)]
    return ", ".join(sorted([*model.model_fields, *secrets]))


def expected(file):
    text = file.read_bytes().decode(errors="replace")
    comments = [line.removeprefix("# ") for line in text.splitlines() if line.startswith("# ")]
    lines = [f"{file}:{comment}".replace("@folder", str(file.parent)) for comment in comments]
    return [re.sub(r"@(\w*)$", lambda match: settings_in(match[1]), line) for line in lines]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_bad_file_is_refused_with_every_mistake_in_it(file):
    with pytest.raises(ConfigError) as refused:
        load(file, {})

    assert str(refused.value).splitlines() == expected(file)
    assert expected(file)
