"""Memory and time of the policy: `python benchmarks/policy.py` (ten seconds).

Prints bytes of a decision in force (three reasons, nothing shared), and microseconds of an assessment of a new suspect,
of one that is held already, of an account without any suspicion, and of one `check`.
"""

import gc
import time
import tracemalloc
from collections.abc import Callable, Iterable

from stream_guard.events import Reason
from stream_guard.policy import Assessment, Policy, PolicySettings

N = 50_000
T0 = 1e9
SIGNALS = ("request_rate", "flatness", "head_start")


def assessment(i: int, solo_risk: float) -> Assessment:
    """One account's, with reasons of its own."""
    reasons = tuple(Reason(name, float(i), 8.5, 1 / 3, "1/d", f"{name} is {i}") for name in SIGNALS)
    return Assessment(f"acct-{i:08d}", None, T0 + i * 1e-3, solo_risk, None, 0.0, reasons, "use as usual")


def microseconds(step: Callable[[Assessment], object], over: Iterable[Assessment]) -> float:
    """Time of one step."""
    began = time.perf_counter()
    for one in over:
        step(one)
    return (time.perf_counter() - began) / N * 1e6


def main() -> None:
    """Measure and print."""
    settings = PolicySettings(solo_budget=10_000.0, min_budget=1_000_000.0)
    tracemalloc.start()
    held = Policy(settings)
    before = tracemalloc.get_traced_memory()[0]
    for i in range(N):
        held.decide(assessment(i, 0.9))
    gc.collect()
    print(f"bytes a decision in force  {(tracemalloc.get_traced_memory()[0] - before) / N:8.0f}")
    tracemalloc.stop()
    print(f"bytes of it in a snapshot  {len(held.snapshot()) / N:8.0f}")
    policy, suspects = Policy(settings), [assessment(i, 0.9) for i in range(N)]
    clean = [assessment(N + i, 0.1) for i in range(N)]
    print(f"us a new decision          {microseconds(policy.decide, suspects):8.1f}")
    print(f"us an unchanged one        {microseconds(policy.decide, suspects):8.1f}")
    print(f"us an innocent account     {microseconds(policy.decide, clean):8.1f}")
    print(f"us a check                 {microseconds(lambda a: policy.check(a.account_id, T0 + 60), suspects):8.1f}")


if __name__ == "__main__":
    main()
