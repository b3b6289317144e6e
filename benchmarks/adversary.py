"""How far an attacker gets who knows the code: `python benchmarks/adversary.py [NAME ...] [--jobs 1] [--seed 1]`.

Each strategy harvests the same from the simulator's honest population (about 1,500 exchanges in two days, unless it takes
longer) through a gateway that obeys the engine, with the shipped policy and shadow mode off. Told are what it costs, in
accounts, means of payment, mail domains, days and tokens, and what it gets: the share of the harvest that went through.
Deterministic; under 20 s a strategy on one core.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import repeat
from typing import NamedTuple

from stream_guard.engine import LIVE_S, Engine, EngineSettings, Outcome
from stream_guard.simulate import SCENARIOS, Plan, Scenario, Traffic
from stream_guard.simulate.campaigns import MIMICRY
from stream_guard.simulate.enforcement import ACTING, Gateway, Scorecard, refused

HONEST, DAYS = 400, 2.0
BATCH_EVENTS = 64
"""Requests between two looks of the gateway at the decisions."""

PLAIN = replace(SCENARIOS["hydra"], share=0.0, accounts=30, per_day=26.0)
LOOKS = replace(PLAIN, mimics=MIMICRY, shared=0.0, unevenness=0.6, organisations=0.25)


def padded(plan: Plan, cover: float) -> Plan:
    """Return a plan with so much small talk that the harvest stays what it was."""
    return replace(plan, cover=cover, per_day=plan.per_day / (1 - cover))


STRATEGIES: dict[str, tuple[str, Plan]] = {
    "plain": ("30 accounts, 26 a day, three templates, a third on shared infrastructure", PLAIN),
    "alone": ("one account, 800 a day", replace(PLAIN, accounts=1, per_day=800.0)),
    "alone, a firm": (
        "the same with an organisation, a mail domain, years of age, an ordinary plan",
        replace(LOOKS, accounts=1, per_day=800.0, organisations=1.0, unevenness=0.0),
    ),
    "few accounts": ("4 accounts, fewer than make a campaign", replace(PLAIN, accounts=4, per_day=190.0)),
    "spread": ("6 a day and account", replace(PLAIN, accounts=125, per_day=6.0)),
    "spread thin": ("2 a day and account", replace(PLAIN, accounts=380, per_day=2.0)),
    "disposable": ("about one request an account, ever", replace(PLAIN, accounts=1500, per_day=0.5, joins=0.0)),
    "no shared infrastructure": ("own address, card and program for each account", replace(PLAIN, shared=0.0)),
    "rewords by account": ("each account words the templates anew", replace(PLAIN, wording="by account")),
    "rewords by request": ("each request does", replace(PLAIN, wording="by request")),
    "no template": ("only the bare exercises", replace(PLAIN, wording="none")),
    "half small talk": ("every second request is small talk", padded(PLAIN, 0.5)),
    "mostly small talk": ("four of five requests are", padded(PLAIN, 0.8)),
    "shards": ("six topics, each with its templates and five accounts", replace(PLAIN, shards=6)),
    "small shards": ("ten of three accounts each", replace(PLAIN, shards=10)),
    "old accounts": (
        "months old, own card and address, uneven volumes, talks of two or three turns",
        replace(LOOKS, mimics=("turns",)),
    ),
    "old, browsers": (
        "the same, and 70 % say that they are a browser",
        replace(LOOKS, mimics=("programs",)),
    ),
    "old, free plans": ("old accounts, half of them on the free plan", replace(LOOKS, mimics=("plans",))),
    "old, hours": ("old accounts that keep to the hours of people", replace(LOOKS, mimics=("hours",))),
    "old, settings": ("old accounts with output limits and temperatures of their own", replace(LOOKS, mimics=("settings",))),
    "mimics": ("looks like people: plans, age, organisations, programs, hours, turns, own card and address", LOOKS),
    "mimics firms": ("the same, each account with an organisation and a mail domain", replace(LOOKS, organisations=1.0)),
    "waits": ("two days of small talk before the harvest", replace(PLAIN, idle_talk=0.5, joins=0.0, days=4.0)),
    "ramps": ("rises to its volume over five days", replace(PLAIN, ramp=1.0, joins=0.0, days=5.0, per_day=20.0)),
    "mimics, rewords": ("mimics, each request reworded", replace(LOOKS, wording="by request")),
    "mimics, half small talk": ("mimics, every second request is small talk", padded(LOOKS, 0.5)),
    "mimics, no template": ("mimics, bare exercises", replace(LOOKS, wording="none")),
    "mimics, spread, no template": (
        "mimics, bare exercises, 6 a day and account",
        replace(LOOKS, wording="none", accounts=125, per_day=6.0),
    ),
    "everything": (
        "mimics, spread, each request reworded, ten topics, half small talk",
        padded(replace(LOOKS, wording="by request", accounts=125, per_day=6.0, shards=10), 0.5),
    ),
}  # fmt: skip
"""Name -> what is done, and the plan of it."""


class Result(NamedTuple):
    """What one strategy cost, and what it got."""

    accounts: int
    payments: int
    domains: int
    days: float
    tokens: float  # thousand tokens sent and received an exchange that was harvested
    harvest: int
    free: float  # share of the harvest that was asked for while nothing slowed its account down
    got: float  # share of it that went through
    first_throttle: float | None  # requests of an account, on average, until it was slowed down
    linked: float
    honest: int
    honest_acted_on: int
    seconds: float


def run(plan: Plan, seed: int, honest: int = HONEST) -> Result:
    """Let one strategy try."""
    began = time.process_time()
    days = plan.days if plan.days != SCENARIOS["hydra"].days else DAYS
    traffic = Traffic(Scenario("hydra", honest, days, seed, hidden=plan))
    engine, gateway, score = Engine(EngineSettings(shadow=False)), Gateway(), Scorecard.of(traffic.accounts)
    hidden = {a.account_id: a for a in traffic.accounts if a.label.campaign}
    sent: dict[str, int] = defaultdict(int)
    slowed: dict[str, int] = {}
    tokens, free, batch = 0, 0, []

    def heard(out: Outcome) -> None:
        score.heard(out.decisions, out.campaigns)
        for decision in out.decisions:
            if decision.action in ACTING and decision.account_id in hidden:
                slowed.setdefault(decision.account_id, sent[decision.account_id])

    for event, label in traffic:
        decision = engine.check(event.account_id, event.ts)
        admitted = gateway.admits(event.account_id, event.ts, decision)
        free += label.harvest and (decision is None or decision.action not in ACTING)
        score.saw(event, label, admitted=admitted)
        if label.campaign is not None:
            sent[event.account_id] += 1
            tokens += admitted * ((event.input_tokens or 0) + (event.output_tokens or 0))
        batch.append(event if admitted else refused(event))
        if len(batch) == BATCH_EVENTS:
            heard(engine.process(batch))
            batch = []
    heard(engine.process(batch))
    heard(engine.advance(engine.now + LIVE_S))
    used = [a for name, a in hidden.items() if sent[name]]
    through = score.harvested - score.stopped
    return Result(
        len(used),
        len({a.facts.payment_id for a in used if a.facts.tier != "free"}),
        len({a.facts.email_domain for a in used if a.org_id and (a.facts.email_domain or "").startswith("firm")}),
        days,
        tokens / max(1, through) / 1000,
        score.harvested,
        free / max(1, score.harvested),
        through / max(1, score.harvested),
        sum(slowed.values()) / len(slowed) if slowed else None,
        len(score.linked) / max(1, len(used)),
        len(score.honest),
        len(score.honest_acted_on),
        time.process_time() - began,
    )


def table(names: Sequence[str], results: Sequence[Result]) -> str:
    """Return the results as a table in Markdown."""
    columns = (
        "strategy", "what is done", "accounts", "payments", "domains", "days", "1,000 tokens an exchange", "wanted",
        "before slowed", "got", "requests until slowed", "linked", "honest acted on",
    )  # fmt: skip
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for name, r in zip(names, results, strict=True):
        first = "-" if r.first_throttle is None else f"{r.first_throttle:.1f}"
        lines.append(
            f"| {name} | {STRATEGIES[name][0]} | {r.accounts} | {r.payments} | {r.domains} | {r.days:g} | {r.tokens:.1f} | {r.harvest} | "
            f"{r.free:.0%} | {r.got:.0%} | {first} | {r.linked:.0%} | {r.honest_acted_on} of {r.honest} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Try all strategies, or those named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(STRATEGIES)}")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--honest", type=int, default=HONEST)
    args = parser.parse_args()
    names = args.names or list(STRATEGIES)
    plans = [STRATEGIES[name][1] for name in names]
    if args.jobs == 1:
        results = [run(plan, args.seed, args.honest) for plan in plans]
    else:
        with ProcessPoolExecutor(args.jobs) as pool:
            results = list(pool.map(run, plans, repeat(args.seed), repeat(args.honest)))
    print(table(names, results))
    print(f"\nlongest: {max(r.seconds for r in results):.0f} s of CPU")


if __name__ == "__main__":
    main()
