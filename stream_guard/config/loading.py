"""A settings model out of a file and the environment, with the origin of each value and of each mistake."""

import difflib
import json
import logging
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from stream_guard.config import document, fields
from stream_guard.config.document import Where
from stream_guard.errors import ConfigError
from stream_guard.settings import Settings

PREFIX = "STREAM_GUARD__"
SECRET_BYTES_MAX = 1 << 16

_log = logging.getLogger(__name__)
_S = TypeVar("_S", bound=Settings)


@dataclass(frozen=True, slots=True)
class Loaded(Generic[_S]):
    """Settings, and where each was set: `FILE:LINE` or the name of a variable; defaults are not in `origins`."""

    settings: _S
    origins: dict[Where, str]


@dataclass(slots=True)
class _Sources:
    """What was said, by whom, and what is wrong with it."""

    data: dict[str, Any] = field(default_factory=dict)
    origins: dict[Where, str] = field(default_factory=dict)
    problems: list[tuple[str, Where, str]] = field(default_factory=list)

    def refuse(self, where: Where, message: str) -> None:
        """Note a mistake, unless one is known about this value or about the file that holds it."""
        known = {where for _, where, _ in self.problems if where}
        if where not in known and (*where[:-1], f"{(where or ('',))[-1]}_file") not in known:
            self.problems.append((self.origin(where), where, message))

    def origin(self, where: Where) -> str:
        """Where the value was said; for one that was not, the nearest thing around it."""
        while where and where not in self.origins:
            where = where[:-1]
        return self.origins.get(where, "")


def read_settings(model: type[_S], file: Path | None, environ: Mapping[str, str] | None = None) -> Loaded[_S]:
    """Build `model` from `file` and the environment. Raises ConfigError with all that is wrong."""
    sources = _Sources()
    if file is not None:
        _read_file(file, model, sources)
    _read_environment(os.environ if environ is None else environ, model, sources)
    _read_secrets(model, sources.data, (), file.parent if file else Path(), sources)
    settings = None
    _add_defaults(model, sources.data)
    try:
        # By way of JSON, in which strict models take a path from text and a tuple from a list.
        settings = model.model_validate_json(json.dumps(sources.data))
    except ValidationError as error:
        for details in error.errors(include_url=False, include_input=True):
            _explain(details, model, sources)
    if settings is None or sources.problems:
        raise ConfigError("\n".join(dict.fromkeys(_ordered(sources.problems))))
    return Loaded(settings, sources.origins)


def _read_file(file: Path, model: type[Settings], sources: _Sources) -> None:
    try:
        with file.open("rb") as stream:
            raw = stream.read(document.BYTES_MAX + 1)
        text = raw.decode()
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}:{raw[: error.start].count(10) + 1}: is not UTF-8 text") from None
    if len(raw) > document.BYTES_MAX:
        raise ConfigError(f"{file}: is larger than {document.BYTES_MAX} bytes")
    read = document.read(text)
    sources.origins.update({where: f"{file}:{line}" for where, line in read.lines.items()})
    sources.problems += [(f"{file}:{line}", where, message) for line, where, message in read.problems]
    if isinstance(read.data, dict):
        sources.data = _without_empty_sections(read.data, model)
    elif read.data is not None:
        sources.refuse((), "must be a section of keys")


def _without_empty_sections(data: dict[str, Any], model: type[Settings]) -> dict[str, Any]:
    """Drop sections of which every line is commented out: they read as null and mean the defaults."""
    kept = {}
    for key, value in data.items():
        inner = fields.section(model.model_fields[key].annotation) if key in model.model_fields else None
        if inner and value is None:
            continue
        kept[key] = _without_empty_sections(value, inner) if inner and isinstance(value, dict) else value
    return kept


def _add_defaults(model: type[Settings], data: dict[str, Any], section: Settings | None = None) -> None:
    """Where a section is given in part, the rest is as in the default `section`, which need not be its model's."""
    for name, field_ in model.model_fields.items():
        own = field_.get_default(call_default_factory=True)
        default = getattr(section, name) if section else own
        inner = fields.section(field_.annotation)
        if inner and isinstance(data.get(name), dict):
            _add_defaults(inner, data[name], default if isinstance(default, Settings) else None)
        elif name not in data and default != own:
            annotation: Any = field_.annotation
            data[name] = TypeAdapter(annotation).dump_python(default, mode="json")


def _read_environment(environ: Mapping[str, str], model: type[Settings], sources: _Sources) -> None:
    known = {_variable(setting.where): setting for setting in fields.walk(model)}
    secrets = {f"{name}_FILE": setting for name, setting in known.items() if setting.secret}
    for name in sorted(environ):
        if not name.startswith(PREFIX):
            continue
        setting = known.get(name) or secrets.get(name)
        if setting is None:
            sources.problems.append((name, (), f"is not a setting{_did_you_mean(name, [*known, *secrets])}"))
        elif setting.model:
            sources.problems.append((name, (), "is a section; set what is in it"))
        elif any("\ud800" <= letter <= "\udfff" for letter in environ[name]):  # how Python keeps bytes that are not
            sources.problems.append((name, (), "is not UTF-8 text"))
        else:
            where = (*setting.where[:-1], f"{setting.where[-1]}_file") if name in secrets else setting.where
            _put(where, _typed(environ[name], str if name in secrets else setting.annotation), name, sources)


def _variable(where: Where) -> str:
    return PREFIX + "__".join(str(part) for part in where).upper()


def _typed(text: str, annotation: Any) -> Any:
    """Text where the setting takes text, else what YAML makes of it; what fits neither is refused with the model."""
    try:
        TypeAdapter(annotation).validate_json(json.dumps(text), strict=True)
    except ValidationError:
        try:
            return document.value(text)
        except ConfigError:
            return text
    return text


def _put(where: Where, value: Any, origin: str, sources: _Sources) -> None:
    """Set one value, in place of what was said before about it, or about the file that holds it."""
    data = sources.data
    for part in where[:-1]:
        data = data.setdefault(str(part), {})
        if not isinstance(data, dict):  # refused by the model
            return
    last = str(where[-1])
    for name in (last, f"{last}_file", last.removesuffix("_file")):
        data.pop(name, None)
        sources.origins = {w: o for w, o in sources.origins.items() if w[: len(where)] != (*where[:-1], name)}
    data[last] = value
    sources.origins[where] = origin


def _read_secrets(annotation: Any, data: Any, where: Where, folder: Path, sources: _Sources) -> None:
    """Replace every `NAME_file` of a secret by the secret."""
    if isinstance(data, list):
        for i, value in enumerate(data):
            _read_secrets(fields.step(annotation, i), value, (*where, i), folder, sources)
    model = fields.section(annotation)
    if not isinstance(data, dict):
        return
    if model:
        secrets = [name for name, f in model.model_fields.items() if fields.holds_secret(f.annotation)]
        for name in secrets:
            if f"{name}_file" in data:
                _read_secret(model, name, data, where, folder, sources)
    for key, value in data.items():
        _read_secrets(fields.step(annotation, key), value, (*where, key), folder, sources)


def _read_secret(
    model: type[Settings], name: str, data: dict[str, Any], where: Where, folder: Path, sources: _Sources
) -> None:
    here = (*where, f"{name}_file")
    file = data.pop(f"{name}_file")
    if name in data:
        sources.refuse(here, f"and {fields.spell((*where, name))} are both given; keep one")
        return
    if not isinstance(file, str) or not file:
        sources.refuse(here, "must be the name of a file")
        data[name] = ""
        return
    path = Path(file) if sources.origin(here).startswith(PREFIX) else folder / file
    many = fields.item(model.model_fields[name].annotation) is not None
    try:
        secret = _secret(path)
    except ConfigError as error:
        sources.refuse(here, str(error))
        secret = ""
    data[name] = secret.splitlines() if many else secret
    sources.origins[(*where, name)] = f"{sources.origin(here)} ({path})"


def _secret(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            raw = stream.read(SECRET_BYTES_MAX + 1)
            mode = os.fstat(stream.fileno()).st_mode
        text = raw.decode()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text") from None
    if len(raw) > SECRET_BYTES_MAX:
        raise ConfigError(f"{path}: is larger than {SECRET_BYTES_MAX} bytes")
    if not text.strip():
        raise ConfigError(f"{path}: is empty")
    if mode & stat.S_IROTH:
        _log.warning("%s holds a secret and can be read by every user of this machine", path)
    return text.rstrip("\r\n")


_EXPECTED = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "string": "text",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen_set": "a list",
    "dict": "a map",
    "model": "a section of keys",
    "path": "a path",
}


def _explain(details: ErrorDetails, model: type[Settings], sources: _Sources) -> None:
    """Put one complaint of the model into our words. Texts are not repeated: they could be secrets."""
    where, around = _locate(details["loc"], model)
    kind, context, value = details["type"], details.get("ctx", {}), details["input"]
    if kind == "extra_forbidden":
        names = list(around.model_fields)
        names += [f"{name}_file" for name, f in around.model_fields.items() if fields.holds_secret(f.annotation)]
        message = f"is not a setting{_did_you_mean(str(where[-1]), names)}; allowed here: {', '.join(sorted(names))}"
    elif kind == "missing":
        message = "is required"
    elif kind == "literal_error":
        choices = [choice.strip("'") for choice in context["expected"].replace(" or ", ", ").split(", ")]
        message = f"must be one of {', '.join(choices)}{_did_you_mean(str(value), choices)}"
    elif kind in ("too_short", "string_too_short", "too_long", "string_too_long"):
        limit = f"at least {context['min_length']}" if "short" in kind else f"at most {context['max_length']}"
        message = f"must be {limit} long"
    elif kind == "value_error":
        message = str(context["error"])
    elif kind.endswith(("_type", "_parsing")) and kind.rsplit("_", 1)[0] in _EXPECTED:
        message = f"must be {_EXPECTED[kind.rsplit('_', 1)[0]]}, not {_shape(value)}"
    else:
        message = details["msg"].replace("Input should be", "must be").replace("Input should", "must")
        message += f", not {value}" if isinstance(value, int | float) and not isinstance(value, bool) else ""
    sources.refuse(where, message)


def _locate(loc: tuple[int | str, ...], model: type[Settings]) -> tuple[Where, type[Settings]]:
    """Return the way to the value, without pydantic's own names in it, and the section that it is in."""
    where: Where = ()
    annotation: Any = model
    around = model
    for part in loc:
        if isinstance(part, str) and fields.section(annotation) is None and fields.item(annotation) is None:
            continue  # the name of an alternative of a union
        where = (*where, part)
        around = fields.section(annotation) or around
        annotation = fields.step(annotation, part)
    return where, around


def _shape(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case _:
            return "a map of keys"


def _did_you_mean(word: str, words: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, words, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _ordered(problems: list[tuple[str, Where, str]]) -> list[str]:
    """Return one line each: those of the file first, by line; then those of the environment."""

    def line(origin: str) -> tuple[bool, int, str]:
        number = origin.partition(" (")[0].rpartition(":")[2]
        return (not number.isdigit(), int(number) if number.isdigit() else 0, origin)

    return [
        ": ".join(filter(None, (origin, fields.spell(where), message)))
        for origin, where, message in sorted(problems, key=lambda problem: line(problem[0]))
    ]
