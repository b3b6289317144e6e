"""Writes the documents that are made from the code: `python -m stream_guard.cli.reference`, or `make docs`.

`docs/configuration.md` and `config/default.yaml` come from the settings models, `docs/commands.md` from the commands,
`docs/metrics.md` and `docs/signals.md` from the tables of metrics and signals. A test fails when one of them is stale.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from pydantic_core import PydanticUndefined
from typer.cli import get_docs_for_click
from typer.main import get_command

from stream_guard.accounts import MEMORY
from stream_guard.campaigns import judge
from stream_guard.cli import app
from stream_guard.config import Config, fields
from stream_guard.config.fields import Setting
from stream_guard.config.writing import default_text, default_yaml
from stream_guard.engine.solo import INTERCEPT, WEIGHTS
from stream_guard.metrics import TABLE
from stream_guard.signals import diversity, harvest, rate

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
        "docs/signals.md": signals(),
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


_SIGNALS = """\
# Signals

What is measured, and what is made of it. Two things are judged: an **account** by itself, by the signals below, and a
**cluster** of accounts that show the same text, by features of the cluster. Nothing here accuses by itself:
[decisions](decisions.md) says what a risk leads to, `docs/detection.md` how well it works, and
[architecture](architecture.md) where it happens.

## Of an account

A signal is read from an account's state (`stream_guard/accounts.py`) when the account is due: at its 8th request, and
whenever it has 1.4 times as many. *Usual* are the 1, 10, 50, 90 and 99 % quantiles of honest accounts that ship with
the program; once 50 accounts were learnt, traffic counts as well, and soon outweighs them (`detectors/usual.py`). How
**unusual** a value is, is where it lies in the population, on the side that is named: 0 up to the median, 0.5 at the
10 % tail, 0.9 at the 1 % tail, 1 far beyond. *Weight* is what a signal adds at unusualness 1 to the log odds, which
begin at INTERCEPT; analysts move it by 2 at most. A signal without a weight is shown and does not count. Shares and
means have a memory of MEMORY requests; what is "of the last day" fades with a time constant of a day.

Elicitation marks (`LEXICON` in `stream_guard/sketch.py`) are words and word pairs in prompt and system text, English
and Chinese.
"""

_LEARNT = """\
Suspects (risk from 0.5, or by an analyst's word) teach none of this. What is usual is exported as
`stream_guard_signal_usual`, and how far it has gone from its baseline as `stream_guard_baseline_shift`
([metrics](metrics.md), [alerting](alerting.md#streamguardbaselineshift)).

## Of a cluster

A cluster is a set of accounts whose requests carry the same fingerprints of text. Each feature is a mean over its
*accounts*, of what they do on the requests that carry it, and shrinks towards what is usual of all clusters at hand
with n / (n + SHRINK). The score, in log odds, is the sum over the features of weight times (value - centre) / scale,
each cut at CLIP scales, plus a bias of BIAS. At `engine.linking.suspect` a group of fingerprints is suspicious, at
`engine.linking.convict` what was gathered from such groups is a campaign. A weight above 0 makes a high value
suspicious; but weights are those of all features together, and two that go along with each other can share one or take
it from each other.
"""

_RELAYS = """\
Two shapes have rules of their own, because a judge of narrow pipelines does not see them: **relays**
(`campaigns/judge.py`, `relays`: a phrase under many system texts and programs in each account, in accounts on small
plans with no organisation) and **reasoning items** that come back from another account than the one that they were
given to (`campaigns/reasoning.py`, an exact join). **Twins**, accounts that ask alike without a text in common
(`campaigns/twins.py`), are judged by the features above over all of their requests, and have to reach
`engine.linking.convict_twins`. Shared means of payment are evidence and never a reason to accuse.
"""


def signals() -> str:
    """Return the reference of all signals and of the features of clusters."""
    said = _SIGNALS.replace("INTERCEPT", f"{INTERCEPT:g}").replace("MEMORY", str(MEMORY))
    lines = [MADE, *said.splitlines(), ""]
    for title, kind in (("Query rate", rate), ("Prompt diversity", diversity), ("Output harvesting", harvest)):
        lines += [
            f"### {title}",
            "",
            "| signal | unit | unusual | usual | weight | what it says |",
            "|---|---|---|---|---|---|",
        ]
        for s in kind.SIGNALS:
            usual, weight = " / ".join(f"{q:g}" for q in s.quantiles), WEIGHTS.get(s.name)
            lines.append(f"| `{s.name}` | {s.unit} | {s.unusual} | {usual} | {weight or ''} | {s.about} |")
        lines.append("")
    said = (
        _LEARNT.replace("SHRINK", f"{judge.SHRINK:g}")
        .replace("CLIP", f"{judge.CLIP:g}")
        .replace("BIAS", f"{judge.BIAS:g}")
    )
    lines += [
        *said.splitlines(),
        "",
        "| feature | weight | centre | scale | usual | what it says |",
        "|---|---|---|---|---|---|",
    ]
    for name, numbers in judge.PRIORS.items():
        cells = " | ".join(f"{number:g}" for number in numbers)
        lines.append(f"| `{name}` | {cells} | {judge.ABOUT[name]} |")
    return "\n".join([*lines, "", *_RELAYS.splitlines(), ""])


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
