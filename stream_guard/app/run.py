"""`stream-guard run`: the embedded service with its API and its sources, from start to a clean stop."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import msgspec

from stream_guard.app import rest_collector
from stream_guard.app.demo import warm_up
from stream_guard.app.service import EmbeddedService
from stream_guard.app.telling import Telling
from stream_guard.config import Config
from stream_guard.engine import Engine, PopulationBaseline
from stream_guard.gateway.api import create_app
from stream_guard.gateway.serving import serving
from stream_guard.transports.files import STDIN, FollowedFile, LineReader, Position
from stream_guard.transports.journal import Kind

_LOOK_S = 0.25
"""Seconds between two looks at a followed file that has not grown."""

_log = logging.getLogger(__name__)


async def run(
    config: Config,
    stop: asyncio.Event,
    *,
    follow: Sequence[Path] = (),
    stdin: bool = False,
    baseline: PopulationBaseline | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Run until `stop` is set, then stop taking events, process what was taken, save and return.

    Parameters
    ----------
    config
        All settings.
    stop
        Set by whoever has had enough.
    follow
        Files to read as they grow, from where the last run stopped.
    stdin
        Whether to read events from standard input; its end ends nothing else.
    baseline
        What is usual elsewhere, to begin with where there is no state yet.
    say
        Told the address of the API once everything is ready.

    Raises
    ------
    StreamGuardError
        The state cannot be taken up, the port is taken, a source cannot be read, or results cannot be written.
    """
    rest_collector()
    await asyncio.to_thread(warm_up)  # else the first events would keep everybody waiting for the compiler
    directory = Path(config.embedded.data_dir)
    telling = Telling(config.webhooks, directory)
    engine = Engine(config.engine)
    if baseline is not None:
        engine.begin_with(baseline)  # a snapshot replaces it
    service = EmbeddedService(engine, config.embedded, sinks=telling.sinks, observer=telling.observer)
    telling.watch(
        accounts=lambda: {0: engine.accounts_held},
        backlog=lambda: {0: service.pending},
        campaigns=service.campaigns,
        baselines=lambda: {0: engine.baseline()},
        budgets=lambda: {0: engine.budgets()},
    )
    telling.watch_journal(directory / "journal")
    started, halt = asyncio.Event(), asyncio.Event()
    core = asyncio.create_task(service.run(started, halt))
    try:
        async with serving(create_app(service, config.api, telling.metrics), config.api) as address:
            await _first_of(core, started.wait())
            if started.is_set():
                say(address)
            sources = [_follow(service, path) for path in follow] + ([_read_stdin(service)] if stdin else [])
            await _first_of(core, stop.wait(), telling.deliver(), *(_endless(source) for source in sources))
    finally:
        halt.set()
        await core


async def _first_of(core: asyncio.Task[None], *others: Coroutine[Any, Any, Any]) -> None:
    """Return when one of them has; the others, but for the core, are cancelled. Raises what an other has raised."""
    tasks = [asyncio.create_task(other) for other in others]
    try:
        done, _ = await asyncio.wait([core, *tasks], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in done - {core}:
        task.result()


async def _endless(source: Coroutine[Any, Any, None]) -> None:
    """Read a source, and never return: its end is no reason to stop."""
    await source
    await asyncio.Event().wait()


async def _follow(service: EmbeddedService, path: Path) -> None:
    mark = _mark(path)
    position = service.marks.get(mark)
    file = FollowedFile(path, msgspec.convert(position, Position) if position else None)
    try:
        while True:
            if lines := file.read():
                await service.read(lines, Kind.FILE, {mark: msgspec.to_builtins(file.position)})
            else:
                await asyncio.sleep(_LOOK_S)
    finally:
        file.close()


def _mark(path: Path) -> str:
    return f"follow:{path.absolute()}"


async def _read_stdin(service: EmbeddedService) -> None:
    """Read in a thread of its own, as a read from a terminal or a pipe can be neither awaited nor cancelled."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Exception | None] = loop.create_future()

    def pump() -> None:
        error: Exception | None = None
        try:
            for lines in LineReader(STDIN).lines():
                asyncio.run_coroutine_threadsafe(service.read(lines, Kind.STDIN), loop).result()
        except Exception as failure:  # noqa: BLE001 - told to who waits
            error = failure
        with contextlib.suppress(RuntimeError):  # the loop is gone
            loop.call_soon_threadsafe(end, error)

    def end(error: Exception | None) -> None:
        if not ended.done():
            ended.set_result(error)

    threading.Thread(target=pump, name="stdin", daemon=True).start()
    if error := await ended:
        raise error
    _log.info("standard input has ended")
