"""What a conversation says, as far as an event carries it."""

from collections.abc import Iterable
from typing import Any

SYSTEM_ROLES = frozenset({"system", "developer"})


def fields_of(messages: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return `system` (all of it), `prompt` (the user's last) and `turn` (answers before it) of (role, text) pairs.

    Examples
    --------
    >>> fields_of([("system", "Be brief."), ("user", "Hi"), ("assistant", "Hi."), ("user", "Why?")])
    {'system': 'Be brief.', 'prompt': 'Why?', 'turn': 1}
    """
    messages = list(messages)
    asked = [text for role, text in messages if role == "user"]
    return {
        "system": "\n".join(text for role, text in messages if role in SYSTEM_ROLES) or None,
        "prompt": asked[-1] if asked else None,
        "turn": sum(role == "assistant" for role, _ in messages),
    }
