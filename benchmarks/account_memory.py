"""Resident memory an account: `python benchmarks/account_memory.py [ACCOUNTS]`, 100,000 if not said (some minutes).

Accounts with requests of their own text, in the account half alone (a partition on Kafka) and in the whole engine
(embedded). Each line is a process of its own; what is there before the first event (interpreter, libraries, kernels) is
told apart. Tables of the population half that are full at some size (`engine.linking`) are in the figure of the engine.
"""

import ctypes
import gc
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator

from stream_guard.engine import AccountHalf, Engine, EngineSettings
from stream_guard.events import AccountFacts, RequestEvent

BATCH = 2000
REQUESTS = (1, 4, 12)
"""Requests an account: most of a population send a few; from the third on there is a twin vector."""


def resident_bytes() -> int:
    """Return the resident memory of this process, without what its allocator keeps for later."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/statm") as statm:  # noqa: PTH123
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def events(accounts: int, requests: int) -> Iterator[list[RequestEvent]]:
    """Return batches: everybody's first request, then everybody's second, and so on, over a day."""
    words = [f"word{n}" for n in range(20_000)]
    rng, start, total = random.Random(1), 1_777_000_000.0, accounts * requests
    batch: list[RequestEvent] = []
    for n in range(total):
        who = n % accounts
        facts = (
            AccountFacts(created_at=start - who, tier="pro", email_domain=f"firm{who % 997}.example")
            if n < accounts
            else None
        )
        ts = start + 86_400.0 * n / total
        text = " ".join(rng.choices(words, k=40))
        batch.append(
            RequestEvent(
                f"e{n}", ts, f"acct_{who:012x}", "m", prompt=text, input_tokens=60, output_tokens=200, account=facts
            )
        )
        if len(batch) == BATCH:
            yield batch
            batch = []
    yield batch


def measure(what: str, accounts: int, requests: int) -> None:
    """Print one line: what was there at the start, and what each account took."""
    settings = EngineSettings(accounts_max=2 * accounts)
    engine = Engine(settings) if what == "engine" else AccountHalf(settings)
    for batch in events(3, 2):  # compiles the kernels
        (Engine() if what == "engine" else AccountHalf()).process(batch)
    before, began = resident_bytes(), time.perf_counter()
    for batch in events(accounts, requests):
        engine.process(batch)
        if isinstance(engine, AccountHalf):
            engine.take_report()
    each = (resident_bytes() - before) / accounts
    saved = len(engine.snapshot()) / accounts
    took = f"{before / 1e6:.0f} MB before; {time.perf_counter() - began:.0f} s"
    each = f"{each:6,.0f} B resident, {saved:6,.0f} B of snapshot an account"
    print(f"{what:12} {accounts:>9,} accounts of {requests:>2} requests: {each}; {took}")


def main() -> None:
    """Measure each in a process of its own."""
    if len(sys.argv) == 4:
        measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
        return
    accounts = sys.argv[1] if len(sys.argv) > 1 else "100000"
    for what in ("account-half", "engine"):
        for requests in REQUESTS:
            subprocess.run([sys.executable, __file__, what, accounts, str(requests)], check=True)


if __name__ == "__main__":
    main()
