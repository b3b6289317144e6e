"""YAML text to plain data, with the line of everything in it.

A small and safe YAML: mappings, lists, text, numbers, booleans and null, as YAML 1.2 reads them (`no` is text, `1_000`
a number). Duplicate keys, tags, anchors and aliases are refused: the first hide mistakes, the rest are not needed.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import yaml

from stream_guard.errors import ConfigError

BYTES_MAX = 1 << 20
DEPTH_MAX = 32

Where = tuple[str | int, ...]
"""The way to a value: keys of mappings, indexes of lists."""


class _Loader(yaml.SafeLoader):
    """Reads the scalars of YAML 1.2, everything else is text; refuses aliases, of which a few lines make gigabytes."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - the name and kind are PyYAML's

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.get_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases are not supported", mark)
        return super().compose_node(parent, index)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


_SCALARS: dict[str, tuple[str, str, Callable[[str], Any]]] = {
    "tag:yaml.org,2002:null": (r"~|null|", "~n", lambda _: None),
    "tag:yaml.org,2002:bool": (r"true|false", "tf", lambda text: text == "true"),
    "tag:yaml.org,2002:int": (r"[-+]?[0-9][0-9_]*", "-+0123456789", int),
    "tag:yaml.org,2002:float": (r"[-+]?([0-9][0-9_]*(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?", "-+.0123456789", _finite),
}
for _tag, (_pattern, _first, _) in _SCALARS.items():
    _Loader.add_implicit_resolver(_tag, re.compile(f"^(?:{_pattern})$"), [*_first, *([""] if "null" in _tag else [])])


@dataclass(slots=True)
class Document:
    """What a text says: `data` (plain), the line of each value, and what is wrong with it as (line, key, message)."""

    data: Any = None
    lines: dict[Where, int] = field(default_factory=dict)
    problems: list[tuple[int, Where, str]] = field(default_factory=list)


def read(text: str) -> Document:
    r"""Return what `text` says; what it may not say is in `problems`. Never raises for what a text holds.

    Examples
    --------
    >>> document = read("engine:\n  shadow: no\n  shadow: true")
    >>> document.data
    {'engine': {'shadow': 'no'}}
    >>> document.problems
    [(3, ('engine', 'shadow'), 'is given twice, first on line 2')]
    """
    document = Document()
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        document.problems.append((mark.line + 1 if mark else 1, (), f"is not YAML: {error.problem or error.context}"))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        document.problems.append((line, (), f"is not YAML: the character {error.character!r} is not allowed"))
    except RecursionError:
        document.problems.append((1, (), f"is nested more than {DEPTH_MAX} deep"))
    else:
        if node is not None:
            document.data = _plain(node, (), document)
    return document


def value(text: str) -> Any:
    """Return the value of a text outside a file, such as that of an environment variable. Raises ConfigError."""
    document = read(text)
    if document.problems:
        raise ConfigError(document.problems[0][2])
    return document.data


def _plain(node: yaml.Node, where: Where, document: Document) -> Any:
    line = node.start_mark.line + 1
    document.lines.setdefault(where, line)
    if len(where) > DEPTH_MAX:
        document.problems.append((line, where, f"is nested more than {DEPTH_MAX} deep"))
        return None
    if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
        return _mapping(node, where, document)
    if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
        return [_plain(item, (*where, i), document) for i, item in enumerate(node.value)]
    if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:str":
        return node.value
    if isinstance(node, yaml.ScalarNode) and node.tag in _SCALARS:
        return _scalar(node)
    document.problems.append((line, where, f"has the tag {node.tag}; tags are not supported"))
    return None


def _mapping(node: yaml.MappingNode, where: Where, document: Document) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            document.problems.append((line, where, "has a key that is not text"))
            continue
        key = str(key_node.value)
        here = (*where, key)
        if key in plain:
            document.problems.append((line, here, f"is given twice, first on line {document.lines[here]}"))
            continue
        document.lines[here] = line
        plain[key] = _plain(value_node, here, document)
    return plain


def _scalar(node: yaml.ScalarNode) -> Any:
    try:
        return _SCALARS[node.tag][2](node.value)
    except ValueError:  # a number of thousands of digits, or a tag put before text that does not fit it
        return node.value
