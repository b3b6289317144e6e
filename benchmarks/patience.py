"""What patience buys: `python benchmarks/patience.py [heavies|campaign|alone] [--days 14] [--honest 200]`.

Over weeks of simulated time accounts rise to their volume bit by bit, beside an honest population: `heavies`, a fifth as
many that look like people and send 300 a day in the end; `campaign`, thirty at 60; `alone`, one at 2,500. Told are, every
three days, the 10 % tail of the daily requests as traffic has it and as values are measured against it, and in the end
who was slowed down, since when, and for which share of what they sent from then on. Some 15 s of CPU each.
"""

import argparse
from dataclasses import replace

from stream_guard.engine import Engine, EngineSettings, Outcome
from stream_guard.simulate import SCENARIOS, START, Plan, Scenario, Traffic
from stream_guard.simulate.campaigns import MIMICRY
from stream_guard.simulate.enforcement import ACTING
from stream_guard.simulate.people import DAY_S

SIGNAL = "request_rate"
PATIENT = replace(SCENARIOS["hydra"], share=0.0, joins=0.0, shared=0.0, ramp=1.0)
BATCH_EVENTS = 256


def plan(kind: str, honest: int) -> Plan:
    """Return what rises."""
    heavies = replace(PATIENT, accounts=honest // 5, per_day=300.0, ramp=0.9, idle_talk=0.3, mimics=MIMICRY)
    return {
        "heavies": replace(heavies, wording="none"),
        "campaign": replace(PATIENT, accounts=30, per_day=60.0),
        "alone": replace(SCENARIOS["solo"], ramp=1.0),
    }[kind]


def main() -> None:
    """Run one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("heavies", "campaign", "alone"), nargs="?", default="heavies")
    parser.add_argument("--days", type=float, default=14.0)
    parser.add_argument("--honest", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    traffic = Traffic(
        Scenario("hydra", args.honest, args.days, args.seed, volume=0.2, hidden=plan(args.kind, args.honest))
    )
    engine = Engine(EngineSettings(shadow=False))
    hidden = {a.account_id for a in traffic.accounts if a.label.campaign}
    slowed: dict[str, float] = {}
    hurt: set[str] = set()
    sent = held = days = 0
    batch = []

    def heard(out: Outcome) -> None:
        for decision in out.decisions:
            if decision.action in ACTING:
                if decision.account_id in hidden:
                    slowed.setdefault(decision.account_id, decision.ts)
                else:
                    hurt.add(decision.account_id)

    for event, _ in traffic:
        if event.account_id in slowed:
            decision = engine.check(event.account_id, event.ts)
            sent += 1
            held += decision is not None and decision.action in ACTING
        batch.append(event)
        if len(batch) == BATCH_EVENTS:
            heard(engine.process(batch))
            batch = []
        if event.ts >= START + (days + 3) * DAY_S:
            days += 3
            usual = engine._accounts._judge._usual  # noqa: SLF001 - how it measures is nobody else's business
            print(f"day {days}: tail {usual._now[SIGNAL][3]:.0f}, measured against {usual._allowed[SIGNAL][3]:.0f}")  # noqa: SLF001
    heard(engine.process(batch))
    first = min(slowed.values(), default=0.0)
    since = f"since day {(first - START) / DAY_S:.1f}, for {held / max(1, sent):.1%} of what they sent from then on"
    print(
        f"{len(slowed)} of {len(hidden)} slowed down{', ' + since if slowed else ''}; honest accounts hurt: {len(hurt)}"
    )


if __name__ == "__main__":
    main()
