"""Writes the documents that are made from the code: `python -m stream_guard.cli.reference`, or `make docs`.

`docs/configuration.md` and `config/default.yaml` come from the settings models, `docs/commands.md` from the commands. A
test fails when one of them is stale.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from pydantic_core import PydanticUndefined
from typer.cli import get_docs_for_click
from typer.main import get_command

from stream_guard.cli import app
from stream_guard.config import Config, fields
from stream_guard.config.fields import Setting
from stream_guard.config.writing import default_text, default_yaml
from stream_guard.metrics import TABLE

ROOT = Path(__file__).parents[2]
MADE = "<!-- Made by `make docs` from the code; do not edit. -->"

_CONFIGURATION = """\
# Configuration

One YAML file sets everything; what it leaves out has the default below. `config/default.yaml` (also printed by
`stream-guard config default`) is the same as a file to begin with.

- **Strict.** An unknown key, a wrong type, a value that is not allowed and settings that do not fit together are
  refused, all at once, as `FILE:LINE: KEY: message` with exit code 2. `stream-guard config check FILE` does only
  that. YAML is read as version 1.2 reads it (`no` is text); tags, aliases and duplicate keys are refused.
- **Environment.** `STREAM_GUARD__SECTION__KEY=value` is stronger than the file; a value that is not text is written
  as in YAML (`[a, b]`). A variable with this prefix that names no setting is refused.
- **Secrets.** A setting of type *secret* can be given as `KEY_file`, the name of a file that holds it, relative to
  the YAML file (a list of secrets: one a line). Secrets are never printed. A file that every user of the machine
  can read is warned of.
- **What is set.** `stream-guard config show FILE` prints every value with where it was set.
"""


def documents() -> dict[str, str]:
    """Return the text of each document by its path in the repository."""
    return {
        "config/default.yaml": default_yaml(Config),
        "docs/configuration.md": configuration(),
        "docs/commands.md": commands(),
        "docs/metrics.md": metrics(),
    }


def configuration() -> str:
    """Return the reference of all settings."""
    lines = [MADE, *_CONFIGURATION.splitlines(), ""]
    for setting in fields.walk(Config):
        if setting.model and setting.default is not None:
            lines += _section(setting.key, setting.meaning, setting.model)
    return "\n".join(lines)


def _section(key: str, meaning: str, model: Any) -> Iterator[str]:
    own = [setting for setting in fields.walk(model) if len(setting.where) == 1]
    values = [setting for setting in own if not (setting.model and setting.default is not None)]
    yield f"## `{key}`"
    yield ""
    yield meaning
    yield ""
    if not values:
        return
    yield "| key | type | default | unit | meaning |"
    yield "|---|---|---|---|---|"
    for setting in values:
        yield _row(setting)
    yield ""
    for setting in values:
        held = fields.section(fields.item(setting.annotation)) or setting.model
        if held:
            yield from _section(f"{key}.{setting.where[-1]}[]", f"Each of `{key}.{setting.where[-1]}`.", held)


def _row(setting: Setting) -> str:
    default = "required" if setting.default is PydanticUndefined else f"`{default_text(setting)}`"
    cells = (f"`{setting.where[-1]}`", setting.allowed, default, setting.unit, setting.meaning)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def commands() -> str:
    """Return the reference of all commands: their help."""
    root: Any = get_command(app)
    _say_whole_sentences(root)
    text = get_docs_for_click(obj=root, ctx=typer.Context(root, info_name="stream-guard"), name="stream-guard")
    title, _, rest = text.partition("\n")
    return f"{MADE}\n# The command line\n{rest.rstrip()}\n" if title else text


_METRICS = """\
# Metrics

`GET /metrics` of `stream-guard run` and `stream-guard worker` gives these in Prometheus' text format, without a token,
beside the `process_*` metrics of the Prometheus client. Counters begin at 0 with the process, and count again what a
restart after a crash processes again. `docs/alerting.md` says what to watch; `deploy/` has a dashboard and rules.
"""


def metrics() -> str:
    """Return the reference of all metrics."""
    lines = [MADE, *_METRICS.splitlines(), "", "| metric | kind | labels | unit | meaning |", "|---|---|---|---|---|"]
    for row in TABLE:
        labels = ", ".join(f"`{label}`" for label in row.labels)
        lines.append(f"| `{row.name}` | {type(row).__name__.lower()} | {labels} | {row.unit} | {row.help} |")
    return "\n".join([*lines, ""])


def _say_whole_sentences(command: Any) -> None:
    """Keep the first paragraph of each command's help in the lists, which would be cut at 45 letters."""
    for inner in getattr(command, "commands", {}).values():
        inner.short_help = " ".join((inner.help or "").partition("\n\n")[0].split())
        _say_whole_sentences(inner)


def main() -> None:
    """Write every document."""
    for path, text in documents().items():
        (ROOT / path).write_text(text)
        typer.echo(path)


if __name__ == "__main__":
    main()
