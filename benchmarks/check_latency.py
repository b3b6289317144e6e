"""How fast `GET /v1/check` answers, beside a bare FastAPI application that answers a constant, in the same run.

Both are served by uvicorn in a process of their own; this process asks them over keep-alive connections, in turns, so
that a slow moment of the machine hits both. Prints requests a second and latencies, and their ratio.

    python benchmarks/check_latency.py [--requests 4000] [--connections 8] [--accounts 10000]
"""

import argparse
import asyncio
import json
import multiprocessing
import time
from multiprocessing.connection import Connection

from fastapi import FastAPI
from starlette.responses import Response

from stream_guard.codecs import encode
from stream_guard.engine import EngineSettings
from stream_guard.events import RequestEvent
from stream_guard.gateway.api import create_app
from stream_guard.gateway.serving import serving
from stream_guard.gateway.settings import ApiSettings
from stream_guard.metrics import Metrics
from stream_guard.testing.backend import MemoryBackend

ROUNDS = 5


def bare() -> FastAPI:
    """Return the application to compare with."""
    app = FastAPI()
    app.state.closing = asyncio.Event()

    @app.get("/v1/check")
    async def hello() -> Response:
        return Response(b'{"action":"allow"}', media_type="application/json")

    return app


async def guarded(accounts: int) -> FastAPI:
    """Return the API with an engine behind it that knows some accounts and has decided about one."""
    backend = MemoryBackend(EngineSettings(shadow=False))
    events = [RequestEvent(f"e{i}", 1.777e9 + i, f"acct_{i}", "m", prompt=f"a question {i}") for i in range(accounts)]
    events += [RequestEvent(f"f{i}", 1.778e9 + i, "acct_0", "m", prompt="a question") for i in range(400)]
    await backend.accept([encode(event) for event in events], ())
    return create_app(backend, ApiSettings(), Metrics())


def serve(which: str, accounts: int, parent: Connection) -> None:
    """Serve one of the applications until the parent says something."""

    async def run() -> None:
        app = await guarded(accounts) if which == "check" else bare()
        async with serving(app, ApiSettings(port=0)) as address:
            parent.send(int(address.rpartition(":")[2]))
            await asyncio.get_running_loop().run_in_executor(None, parent.recv)

    asyncio.run(run())


async def ask(port: int, requests: int, accounts: int) -> list[float]:
    """Ask one after the other over one connection; returns seconds of each."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    seconds = []
    for i in range(requests):
        started = time.perf_counter()
        writer.write(b"GET /v1/check?account_id=acct_%d HTTP/1.1\r\nhost: x\r\n\r\n" % (i % accounts))
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        body = await reader.readexactly(length)
        seconds.append(time.perf_counter() - started)
        if not head.startswith(b"HTTP/1.1 200") or b'"action":"' not in body:
            raise RuntimeError(f"not an answer: {head!r} {body!r}")
    writer.close()
    return seconds


async def measure(port: int, requests: int, connections: int, accounts: int) -> tuple[float, list[float]]:
    """Return requests a second and the latencies."""
    started = time.perf_counter()
    found = await asyncio.gather(*(ask(port, requests // connections, accounts) for _ in range(connections)))
    latencies = sorted(second for each in found for second in each)
    return len(latencies) / (time.perf_counter() - started), latencies


def main() -> None:
    """Measure both in turns and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=4000, help="a round")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--accounts", type=int, default=10_000)
    args = parser.parse_args()
    ports, pipes, results = {}, [], {"bare": [], "check": []}  # type: ignore[var-annotated]
    for which in results:
        pipe, child = multiprocessing.Pipe()
        multiprocessing.Process(target=serve, args=(which, args.accounts, child), daemon=True).start()
        ports[which] = pipe.recv()
        pipes.append(pipe)
    for _ in range(ROUNDS):
        for which, port in ports.items():
            results[which].append(asyncio.run(measure(port, args.requests, args.connections, args.accounts)))
            single = asyncio.run(measure(port, args.requests // 8, 1, args.accounts))[1]
            results[which][-1] += (single,)
    for pipe in pipes:
        pipe.send("stop")
    report = {}
    for which, rounds in results.items():
        single = sorted(s for _, _, each in rounds for s in each)
        report[which] = {
            "requests_per_s": round(max(rate for rate, _, _ in rounds)),
            "p50_ms": round(single[len(single) // 2] * 1e3, 3),
            "p99_ms": round(single[int(len(single) * 0.99)] * 1e3, 3),
        }
    report["ratio"] = {
        key: round(report["check"][key] / report["bare"][key], 2) for key in ("requests_per_s", "p50_ms", "p99_ms")
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
