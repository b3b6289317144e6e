"""What can be set: a walk over the settings models. The loader, the default file and the reference stand on it."""

import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import annotated_types
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from stream_guard.config.document import Where
from stream_guard.settings import Settings

_UNITS = {
    "s": "seconds",
    "ms": "milliseconds",
    "minutes": "minutes",
    "hours": "hours",
    "days": "days",
    "bytes": "bytes",
    "tokens": "tokens",
    "rpm": "requests a minute",
    "share": "share, 0 to 1",
}
_BOUNDS = {"max", "min", "default"}
_NAMES = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    Path: "path",
    SecretStr: "secret",
    type(None): "null",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of the file: a section if `model` is given, else a value."""

    where: Where
    annotation: Any
    field: FieldInfo
    model: type[Settings] | None
    default: Any
    """What it is when nothing is said; `PydanticUndefined` if something must be."""

    @property
    def key(self) -> str:
        """The way to it, as it is written in messages."""
        return spell(self.where)

    @property
    def meaning(self) -> str:
        """Its docstring as one paragraph; of a section without one, the first paragraph of its model's."""
        model_says = ((self.model and self.model.__doc__) or "").partition("\n\n")[0]
        return " ".join((self.field.description or model_says).split())

    @property
    def unit(self) -> str:
        """Its unit, read from the end of its name; empty if it has none."""
        return unit(str(self.where[-1]))

    @property
    def allowed(self) -> str:
        """What it may be, in words."""
        return allowed(self.annotation, tuple(self.field.metadata))

    @property
    def secret(self) -> bool:
        """Whether it must never be printed; it can then also be given as `NAME_file`."""
        return holds_secret(self.annotation)


def walk(model: type[Settings], where: Where = (), defaults: Settings | None = None) -> Iterator[Setting]:
    """Yield every setting of `model` in the order of its declaration, each section before what is in it.

    `defaults` is what the section is by default, if that is not what its model says.
    """
    for name, field in model.model_fields.items():
        default = getattr(defaults, name) if defaults else field.get_default(call_default_factory=True)
        inner = section(field.annotation)
        yield Setting((*where, name), field.annotation, field, inner, default)
        if inner:
            yield from walk(inner, (*where, name), default if isinstance(default, Settings) else None)


def unit(name: str) -> str:
    """Return the unit that a name ends in.

    Examples
    --------
    >>> unit("window_s"), unit("prompt_bytes_max"), unit("topic")
    ('seconds', 'bytes', '')
    """
    words = [word for word in name.split("_") if word not in _BOUNDS]
    return _UNITS.get(words[-1], "") if len(words) > 1 else ""


def allowed(annotation: Any, metadata: tuple[Any, ...] = ()) -> str:
    """Say in words what a value of `annotation` may be.

    Examples
    --------
    >>> allowed(Literal["gzip", "zstd"] | None), allowed(tuple[str, ...])
    ('gzip or zstd or null', 'list of texts')
    >>> allowed(Annotated[float, annotated_types.Ge(0)])
    'number, at least 0'
    """
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return allowed(args[0], (*args[1:], *metadata))
    if origin in (typing.Union, types.UnionType):
        words = [allowed(arg) for arg in args if arg is not type(None)]
        text = " or ".join(words)
        if type(None) in args:
            text += ", or null" if "," in text else " or null"
    elif origin is Literal:
        text = ", ".join(map(str, args[:-1])) + " or " * (len(args) > 1) + str(args[-1])
    elif origin in (tuple, list, set, frozenset):
        text = f"list of {_plural(allowed(args[0]))}"
    elif origin is dict:
        text = f"map from {allowed(args[0])} to {allowed(args[1])}"
    elif section(annotation):
        text = "section"
    else:
        text = _NAMES.get(annotation, str(getattr(annotation, "__name__", annotation)))
    return ", ".join([text, *_limits(metadata)])


def _plural(words: str) -> str:
    return f"{words}s" if words == "section" or words in _NAMES.values() else words


def _limits(metadata: tuple[Any, ...]) -> Iterator[str]:
    for item in metadata:
        match item:
            case FieldInfo():
                yield from _limits(tuple(item.metadata))
            case annotated_types.Ge(limit):
                yield f"at least {_short(limit)}"
            case annotated_types.Gt(limit):
                yield f"more than {_short(limit)}"
            case annotated_types.Le(limit):
                yield f"at most {_short(limit)}"
            case annotated_types.Lt(limit):
                yield f"less than {_short(limit)}"
            case annotated_types.MinLen(limit):
                yield f"length at least {limit}"
            case annotated_types.MaxLen(limit):
                yield f"length at most {limit}"
            case _ if pattern := getattr(item, "pattern", None):
                yield f"matching {pattern}"


def _short(limit: Any) -> str:
    return str(int(limit)) if limit == int(limit) else str(limit)


def section(annotation: Any) -> type[Settings] | None:
    """Return the model that `annotation` is, or is optionally; else None."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return annotation
    return next((arg for arg in _unwrapped(annotation) if isinstance(arg, type) and issubclass(arg, Settings)), None)


def item(annotation: Any) -> Any:
    """Return what a list or map of `annotation` holds, or None if it is neither."""
    for part in _unwrapped(annotation):
        if typing.get_origin(part) in (tuple, list, set, frozenset, dict):
            args = [arg for arg in typing.get_args(part) if arg is not Ellipsis]
            return args[-1]
    return None


def step(annotation: Any, part: str | int) -> Any:
    """Return the annotation of what `part` names inside `annotation`, or None if there is nothing."""
    model = section(annotation)
    if model is None:
        return item(annotation)
    field = model.model_fields.get(str(part))
    return field.annotation if field else None


def holds_secret(annotation: Any) -> bool:
    """Say whether a value of `annotation` is, or may be, a secret (or a list of them)."""
    return any(part is SecretStr or (typing.get_args(part) and holds_secret(part)) for part in _parts(annotation))


def _unwrapped(annotation: Any) -> tuple[Any, ...]:
    """Return the alternatives of an annotation, without `Annotated`."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _unwrapped(args[0])
    if origin in (typing.Union, types.UnionType):
        return tuple(inner for arg in args for inner in _unwrapped(arg))
    return (annotation,)


def _parts(annotation: Any) -> tuple[Any, ...]:
    return typing.get_args(annotation) or (annotation,)


def spell(where: Where) -> str:
    """Write the way to a value as a reader would.

    Examples
    --------
    >>> spell(("webhooks", "endpoints", 0, "url"))
    'webhooks.endpoints[0].url'
    """
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).removeprefix(".")
