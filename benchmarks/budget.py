"""What the budget of mistakes comes to: `python benchmarks/budget.py [FOLDER_OR_FILE ...] [--accounts N --days D]`.

Replays streams in which everybody is honest (a calm stream; of a folder its `events.jsonl`), or without any the `calm`
ones of our own simulator in several mixes, through the account half. For each says how many accounts came to a risk that
would be acted on, with and without the budget, and what a stream would have taught. In the end, over all of them, `SHARE`
and `DEPTH` as `policy/rarity.py` should ship them.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from stream_guard import simulate
from stream_guard.codecs import decode_events
from stream_guard.engine import EngineSettings
from stream_guard.engine.account_half import AccountHalf
from stream_guard.events import RequestEvent
from stream_guard.policy import Assessment, Policy, PolicySettings
from stream_guard.policy.rarity import FROM_RISK, SUSPECT_RISK, depth_of

BATCH = 2_000
BUDGETS = (0.5, 1.0, 2.0, 5.0, 10_000.0)
"""Honest accounts in 10,000; the last is none at all."""
MIXES = ((300, 1.0), (300, 3.0), (1_000, 0.5), (1_000, 2.0), (3_000, 0.3))
"""Accounts, and how much machines send."""


def recorded(path: Path) -> Iterator[list[RequestEvent]]:
    """Read a stream in batches."""
    with (path / "events.jsonl" if path.is_dir() else path).open("rb") as lines:
        while batch := [line for line, _ in zip(lines, range(BATCH), strict=False)]:
            yield decode_events(batch, source=path.name, first_offset=0)[0]


def simulated(accounts: int, volume: float, days: float, seed: int) -> Iterator[list[RequestEvent]]:
    """Make a calm stream in batches."""
    events = iter(simulate.Traffic(simulate.Scenario("calm", accounts, days, seed, volume)))
    while batch := [event for (event, _), _ in zip(events, range(BATCH), strict=False)]:
        yield batch


class Listener(Policy):
    """Asks one policy a budget about everybody, and keeps each account's highest risk; decides nothing itself."""

    def __init__(self) -> None:
        super().__init__()
        unlimited = 1e6  # whatever a budget lets through is acted on, however little of it there may be
        self.policies = {b: Policy(PolicySettings(solo_budget=b, min_budget=unlimited)) for b in BUDGETS}
        self.acted: dict[float, set[str]] = {budget: set() for budget in BUDGETS}
        self.peaks: dict[str, float] = {}

    def decide(self, assessment: Assessment, accounts_known: int = 0) -> None:
        """Ask all policies; nothing is decided."""
        name = assessment.account_id
        self.peaks[name] = max(self.peaks.get(name, 0.0), assessment.solo_risk)
        for budget, policy in self.policies.items():
            policy.advance(assessment.ts)
            decision = policy.decide(assessment, accounts_known)
            if decision is not None and decision.action == "throttle":
                self.acted[budget].add(name)


def measure(batches: Iterator[list[RequestEvent]]) -> tuple[int, Listener]:
    """Replay one stream; returns how many accounts it has, and what was heard."""
    half, listener = AccountHalf(EngineSettings(shadow=False)), Listener()
    half._policy = listener  # noqa: SLF001 - the half's own policy is what is measured
    for batch in batches:
        half.process(batch)
        half.take_reports()
    half.advance(half.now + 60)
    return half.accounts_held, listener


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("streams", nargs="*", type=Path)
    parser.add_argument("--days", type=float, default=2.0, help="of simulated streams")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    streams = {str(path.name): recorded(path) for path in args.streams} or {
        f"{accounts} accounts, volume {volume:g}": simulated(accounts, volume, args.days, args.seed + i)
        for i, (accounts, volume) in enumerate(MIXES)
    }
    known, tail, acted = 0, [], dict.fromkeys(BUDGETS, 0)
    for name, batches in streams.items():
        accounts, heard = measure(batches)
        known += accounts
        tail += [depth_of(risk) for risk in heard.peaks.values() if FROM_RISK <= risk < SUSPECT_RISK]
        for budget in BUDGETS:
            acted[budget] += len(heard.acted[budget])
        print(f"{name}: {accounts:,} accounts, acted on", told(heard.acted, accounts), flush=True)
    print(f"in all: {known:,} accounts, acted on", told({b: range(n) for b, n in acted.items()}, known))
    if tail:
        print(f"SHARE = {len(tail) / known:.4f}  DEPTH = {sum(tail) / len(tail):.4f}  from {len(tail)} accounts")


def told(acted: dict[float, set[str]] | dict[float, range], accounts: int) -> str:
    """Say how many there were for each budget, and how many in 10,000."""
    words = {b: "without a budget" if b == BUDGETS[-1] else f"with {b:g}" for b in BUDGETS}
    return ", ".join(f"{words[b]}: {len(n)} ({len(n) / max(1, accounts) * 1e4:.2f})" for b, n in acted.items())


if __name__ == "__main__":
    main()
