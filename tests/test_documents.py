"""What is written about the code is true of the code."""

import re
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from stream_guard.cli import app
from stream_guard.cli.reference import documents
from stream_guard.config import Config, fields, load
from stream_guard.settings import Settings

ROOT = Path(__file__).parents[1]
SETTINGS = list(fields.walk(Config))


def committed():
    """Names of the files that git knows, or of all where there is no git (an unpacked archive)."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        files = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
        return [file for file in files if not {".venv", "__pycache__", ".git"} & set(file.parts)]
    return [Path(name) for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def commands(command, name):
    """Every command below `command`, as it is typed."""
    inner = getattr(command, "commands", None)
    if not inner:
        yield name, command
    for word, below in (inner or {}).items():
        yield from commands(below, f"{name} {word}")


COMMANDS = dict(commands(get_command(app), "stream-guard"))


@pytest.mark.parametrize("path", documents())
def test_a_document_made_from_the_code_is_fresh(path):
    assert (ROOT / path).read_text() == documents()[path], "run `make docs`"


def test_the_default_file_loads_to_the_defaults():
    assert load(ROOT / "config/default.yaml", {}) == Config() == load(None, {})


@pytest.mark.parametrize("file", sorted((ROOT / "config").glob("*.yaml")), ids=lambda file: file.name)
def test_every_example_is_taken(file):
    assert load(file, {})


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.key)
def test_every_setting_is_explained(setting):
    assert setting.meaning.endswith("."), f"{setting.key} has no docstring that is a sentence"
    assert f"{setting.where[-1]}:" in (ROOT / "config/default.yaml").read_text()
    assert f"`{setting.where[-1]}`" in (ROOT / "docs/configuration.md").read_text() or setting.model


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.key)
def test_every_setting_is_strict_and_has_a_default(setting):
    assert not setting.field.is_required()
    assert not setting.field.alias
    assert not setting.model or issubclass(setting.model, Settings)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_explained(name):
    assert f"# `{name}`\n" in (ROOT / "docs/commands.md").read_text()
    assert len(COMMANDS[name].help or "") > 20
    for parameter in COMMANDS[name].params:
        assert getattr(parameter, "help", None), f"{name} {parameter.name}"


def named_commands():
    """Each `stream-guard …` that a document gives as code, in a line or in a block."""
    for file in committed():
        if file.suffix == ".md":
            text = (ROOT / file).read_text()
            blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
            code = re.findall(r"`([^`\n]+)`", text) + [line for block in blocks for line in block.splitlines()]
            for words in re.findall(r"^(?:\$ |\S*/)?stream-guard((?: [a-z][a-z-]*)+)", "\n".join(code), re.MULTILINE):
                yield file, words.split()


def test_every_command_that_a_document_names_exists():
    words_of_commands = {tuple(name.split()[1:]) for name in COMMANDS}

    for file, words in named_commands():
        known = [words[: len(c)] == list(c) or tuple(words) == c[: len(words)] for c in words_of_commands]
        assert any(known), f"{file}: stream-guard {' '.join(words)}"


def test_every_make_target_that_a_document_names_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    for file in committed():
        if file.suffix == ".md":
            for target in re.findall(r"`make ([a-z-]+)|^make ([a-z-]+)", (ROOT / file).read_text(), re.MULTILINE):
                assert set(target) & targets, f"{file}: make {target}"


def test_every_link_between_documents_leads_somewhere():
    for file in committed():
        if file.suffix == ".md":
            for link in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", (ROOT / file).read_text()):
                assert (ROOT / file.parent / link).exists(), f"{file}: {link}"


# Places of one machine, and addresses of package registries, which a lock file or a log could bring in.
FOREIGN = re.compile(
    r"(?<![\w.$}])/(?:work|root|home/\w+)/|(?<![\w.$}])/tmp/\w|index-ur[l]|\"resolved\":|pypi\.org|pythonhosted"
)


def test_no_committed_file_names_a_machine_or_a_registry():
    for file in committed():
        if file == Path(__file__).relative_to(ROOT) or file.suffix in {".png", ".gz", ".zst"}:
            continue
        for number, line in enumerate((ROOT / file).read_text(errors="replace").splitlines(), 1):
            assert not FOREIGN.search(line), f"{file}:{number}: {line.strip()[:120]}"
