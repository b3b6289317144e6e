"""Settings as YAML for people: the commented defaults, and what is in force with where it was set."""

import json
import math
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import TypeAdapter
from pydantic_core import PydanticUndefined

from stream_guard.config import document, fields
from stream_guard.config.document import Where
from stream_guard.config.fields import Setting
from stream_guard.config.loading import Loaded
from stream_guard.settings import Settings

_WIDTH = 100
_MASK = "***"


def default_yaml(model: type[Settings]) -> str:
    """Return every setting of `model` with its default, its meaning, and what it may be; it loads to the defaults."""
    lines = [
        "# Every setting of stream-guard, with its default. A file needs only what differs; what it leaves out is as",
        "# below. `stream-guard config check FILE` says what is wrong with a file, `config show FILE` what is set.",
        "# A value can also come from the environment: STREAM_GUARD__SECTION__KEY=value. A secret can be given by the",
        "# name of a file that holds it, as KEY_file.",
    ]
    for setting in fields.walk(model):
        if len(setting.where) == 1:
            lines.append("")
        lines += _with_comment(setting)
    return "\n".join(lines) + "\n"


def effective_yaml(loaded: Loaded[Any]) -> str:
    """Return what is in force, each value with where it was set; secrets are masked."""
    return "\n".join(_effective(loaded.settings, (), loaded.origins)) + "\n"


def _with_comment(setting: Setting) -> Iterator[str]:
    indent = "  " * (len(setting.where) - 1)
    name = setting.where[-1]
    if setting.model and setting.default is not None:
        yield from _comment(setting.meaning, indent)
        yield f"{indent}{name}:"
        return
    facts = "; ".join(filter(None, (setting.allowed, setting.unit)))
    yield from _comment(f"{setting.meaning} ({facts}{f'; or {name}_file' if setting.secret else ''})", indent)
    yield f"{indent}{name}: {default_text(setting)}"
    held = fields.section(fields.item(setting.annotation))
    if held:
        yield from _comment("Each of them:", indent)
        for i, inner in enumerate(fields.walk(held)):
            dash = "- " if i == 0 and not isinstance(_plain(setting), dict) else "  "
            value = "" if inner.default is PydanticUndefined else " " + default_text(inner)
            required = "; required" if inner.default is PydanticUndefined else ""
            facts = "; ".join(filter(None, (inner.allowed, inner.unit)))
            file = f"; or {inner.where[-1]}_file" if inner.secret else ""
            yield from _comment(f"{inner.meaning} ({facts}{file}{required})", f"{indent}#   ")
            yield f"{indent}# {dash}{inner.where[-1]}:{value}"


def default_text(setting: Setting) -> str:
    """Return a setting's default as YAML on one line."""
    return _inline(_plain(setting))


def _plain(setting: Setting) -> Any:
    default = setting.default
    if default is PydanticUndefined or (setting.secret and default):
        return None
    return _stable(default, TypeAdapter(setting.annotation).dump_python(default, mode="json"))


def _stable(value: Any, dumped: Any) -> Any:
    """Sort what was a set, so that it is written the same each time."""
    return sorted(dumped, key=repr) if isinstance(value, set | frozenset) else dumped


def _comment(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=f"{indent}# ",
        subsequent_indent=f"{indent}# ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _effective(settings: Settings, where: Where, origins: dict[Where, str]) -> Iterator[str]:
    indent = "  " * len(where)
    dumped = settings.model_dump(mode="json")
    for name, field in type(settings).model_fields.items():
        value, here = getattr(settings, name), (*where, name)
        if isinstance(value, Settings):
            yield f"{indent}{name}:"
            yield from _effective(value, here, origins)
        else:
            text = _inline(_masked(field.annotation, _stable(value, dumped[name])))
            yield f"{indent}{name}: {text}  # {origins.get(here, 'default')}"


def _masked(annotation: Any, value: Any) -> Any:
    """Hide the secrets of a value, in lists and maps of sections too."""
    if value is None:
        return None
    if fields.holds_secret(annotation):
        return _MASK
    if isinstance(value, list):
        return [_masked(fields.step(annotation, i), v) for i, v in enumerate(value)]
    if isinstance(value, dict):
        return {k: _masked(fields.step(annotation, k), v) for k, v in value.items()}
    return value


def _quoted(text: str) -> str:
    dumped: str = yaml.safe_dump(text, default_style='"', width=math.inf, allow_unicode=True)
    return dumped.rstrip("\n")


def _inline(value: Any) -> str:
    """Write a value on one line, so that `document.read` reads the same.

    Examples
    --------
    >>> _inline(["a", "no", "1e3", 2.5, None, {"x": ""}])
    '[a, no, "1e3", 2.5, null, {x: ""}]'
    """
    match value:
        case str():
            plain = re.fullmatch(r"[\w./]([\w./:+@%-]*[\w./+@%-])?", value, re.ASCII) and document.value(value) == value
            return value if plain else _quoted(value)
        case list():
            return f"[{', '.join(map(_inline, value))}]"
        case dict():
            return f"{{{', '.join(f'{_inline(str(k))}: {_inline(v)}' for k, v in value.items())}}}"
        case _:
            return json.dumps(value)
