"""Dying at a chosen instruction: wraps a part so that the process "dies" at one call of one of its methods.

    worker = PartitionWorker(engine, [CrashingAt(sink, "flush", call=3)], snapshots)

What runs the worker then sees `Crash`, which no code of ours catches; a test throws away everything that would have
been in memory and starts again from what is outside.
"""

import inspect
import threading
from typing import Any, NoReturn


class Crash(BaseException):
    """The process is gone."""


class CrashingAt:
    """A part that works until one call of `method`, which raises `Crash`; later calls do too.

    Parameters
    ----------
    part
        Any object; all else goes through to it.
    method
        Plain or a coroutine.
    call
        The how manieth call it is, from 1.
    after
        Whether the call does its work first.

    Attributes
    ----------
    crashed
        Whether it has come to that.
    """

    def __init__(self, part: Any, method: str, *, call: int = 1, after: bool = False) -> None:
        self._part = part
        self._method = method
        self._left = call
        self._after = after
        self._counting = threading.Lock()
        self.crashed = False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._part, name)
        return self._wrapped(found) if name == self._method else found

    def _wrapped(self, method: Any) -> Any:
        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            due = self._due()
            if due and not self._after:
                self._crash()
            result = await method(*args, **kwargs)
            if due:
                self._crash()
            return result

        def plain(*args: Any, **kwargs: Any) -> Any:
            due = self._due()
            if due and not self._after:
                self._crash()
            result = method(*args, **kwargs)
            if due:
                self._crash()
            return result

        return coroutine if inspect.iscoroutinefunction(method) else plain

    def _crash(self) -> NoReturn:
        self.crashed = True
        raise Crash

    def _due(self) -> bool:
        with self._counting:
            self._left -= 1
            return self._left <= 0
