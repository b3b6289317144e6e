"""The population half at scale: `python benchmarks/population_scale.py [--accounts 1000000] [--campaign 25000]`, some minutes.

Reports as account halves would send them, made up without text. Every account sends at least one request in `--hours` of
event time. Honest people have words, networks, addresses and habits of their own and a long tail of how much they ask;
some share a harness's system text, a viral prompt, a class's exercises, boilerplate, an organisation. The campaign's
accounts send 26 requests a day by a few templates; each begins at some moment of `--joining` hours. `--partitions` account
halves report as they do on a stream: after 512 requests, or before the first that is 150 s later than the step began.

    python benchmarks/population_scale.py                            what ships: looks back on 200,000 requests
    python benchmarks/population_scale.py --sightings-max 4000000    every account has a request in the window
    python benchmarks/population_scale.py --accounts 100000 --campaign 2500 --hours 12    a smaller one, a minute

`--sightings-max` is `engine.linking.sightings_max`; `accounts_max`, `promoted_max` and `first_sights` follow it where they
have to. Progress goes to stderr, the figures to stdout:

- memory: resident, and at its highest (VmHWM), above what was there before the first report;
- looks (at all of the window) and glances (at what is new): how many, and seconds of processor time each;
- how long it took from the first request of an account that could link it (its own first one, once the campaign has a
  name) to its membership: waiting for the account half's step (event time), then for reports before it, looks and
  glances of a half as fast as this one (processing time);
- how much of the campaign was linked, and which honest accounts.
"""

import argparse
import ctypes
import gc
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_guard.campaigns.report import FACTS, INTERACTIVE, SIGHTING, SINGLE_TURN, Report
from stream_guard.campaigns.settings import LinkSettings
from stream_guard.engine import EngineSettings, PopulationHalf
from stream_guard.engine.account_half import DUE_FIRST, DUE_GROWTH, STEP_EVENTS, STEP_S
from stream_guard.sketch import DIMENSIONS, FINGERPRINTS
from stream_guard.surprise import FEATURES, UNIT

DAY_S, HOUR_S, START = 86_400.0, 3_600.0, 1_777_000_000.0
HARNESSES, VIRAL, PUBLIC, PUPILS, EXERCISES, PROXIES = 40, 400, 20_000, 30, 40, 20_000
TEMPLATES, A_DAY, A_DAY_MAX = 12, 26.0, 48.0
QUARTERS = 4
"""Moments at which memory is measured."""
NAMED_MIN = 3
"""Accounts of the campaign that a record holds, half of all it holds at least, from which the campaign is named."""
Integers = NDArray[np.int64]


class Step(NamedTuple):
    """What one account half saw between two reports."""

    partition: int
    closes: float
    who: Integers
    ts: NDArray[np.float64]


class Population:
    """Accounts, when they send, and what; the campaign's are spread over all places."""

    def __init__(self, args: argparse.Namespace) -> None:
        accounts, hours, self.partitions = args.accounts, args.hours, args.partitions
        self.rng = rng = np.random.default_rng(args.seed)
        self.guilty = np.zeros(accounts, np.bool_)
        self.guilty[rng.choice(accounts, args.campaign, replace=False)] = True
        honest, kind = ~self.guilty, rng.random(accounts)
        self.rate = np.where(honest, np.minimum(rng.lognormal(-0.3, 1.2, accounts), A_DAY_MAX), A_DAY)
        self.harness = np.where(honest & (kind < 0.15), 1 + rng.zipf(1.5, accounts) % HARNESSES, 0)
        self.viral = np.where(honest & (kind >= 0.15) & (kind < 0.2), rng.zipf(1.3, accounts) % VIRAL, -1)
        self.school = np.where(honest & (kind >= 0.2) & (kind < 0.22), np.arange(accounts) // (PUPILS * 50), -1)
        self.person = honest & ((self.viral >= 0) | (rng.random(accounts) < 0.3))  # asks with a browser
        self.facts = self._facts(honest)
        self.limit, self.model = rng.integers(1, 40, accounts), rng.integers(1, 9, accounts)
        self.agent, self.family = rng.integers(1, 3000, accounts), rng.integers(0, TEMPLATES, accounts)
        self.limit[self.guilty], self.model[self.guilty] = 4097, 3
        self.begins = np.where(honest, 0.0, args.begins + args.joining * rng.random(accounts)) * HOUR_S
        self.who, self.ts = self._sent(hours * HOUR_S)
        self.sent, self.due = np.zeros(accounts, np.int64), np.full(accounts, DUE_FIRST)
        self.systems = rng.integers(1, 1 << 32, (HARNESSES + 1, FINGERPRINTS), np.uint32)
        self.systems[0] = 0
        self.texts = {
            "viral": rng.integers(1, 1 << 32, (VIRAL, 12), np.uint32),
            "public": rng.integers(1, 1 << 32, (PUBLIC, 5), np.uint32),
            "campaign": rng.integers(1, 1 << 32, (TEMPLATES, 14), np.uint32),
        }
        self.axes = rng.normal(size=(TEMPLATES, DIMENSIONS))

    def _facts(self, honest: NDArray[np.bool_]) -> NDArray[np.void]:
        rng, n = self.rng, len(honest)
        facts = np.zeros(n, FACTS)
        facts["created_at"] = START - DAY_S * np.where(honest, rng.exponential(300, n), rng.uniform(0, 4, n))
        facts["org"] = np.where(honest & (rng.random(n) < 0.75), rng.integers(1, n // 5 + 2, n), 0)
        own_mail = honest & (rng.random(n) < 0.85)
        facts["mail"] = np.where(own_mail, rng.integers(100, 101 + n // 6, n), rng.integers(1, 20, n))
        facts["public_mail"] = ~own_mail
        facts["payment"] = np.where(honest & (rng.random(n) < 0.6), 1 + np.arange(n), 0)
        facts["tier"] = np.where(honest, rng.integers(1, 6, n), rng.integers(1, 3, n))
        facts["entitlement"] = np.where(facts["tier"] < 3, 2e5, 2e6)
        pupils = self.school >= 0
        facts["org"][pupils] = facts["mail"][pupils] = 50_000_000 + self.school[pupils]
        facts["pathway"][pupils] = 1
        return facts

    def _sent(self, until_s: float) -> tuple[Integers, NDArray[np.float64]]:
        """Return who sends when, in order: people by day rather than by night, the campaign at all hours."""
        rng, grid = self.rng, np.linspace(0.0, until_s, 1000)
        wave = np.cumsum(1.0 - 0.7 * np.cos(2 * np.pi * grid / DAY_S))
        active = np.maximum(until_s - self.begins, 1.0)
        times = np.maximum(1, rng.poisson(self.rate * active / DAY_S))
        who = np.repeat(np.arange(len(times)), times)
        at = rng.random(len(who))
        ts = np.where(
            self.guilty[who],
            self.begins[who] + at * active[who],
            np.interp(at, (wave - wave[0]) / (wave[-1] - wave[0]), grid),
        )
        order = np.argsort(ts)
        return who[order], START + ts[order]

    def steps(self) -> Iterator[Step]:
        """Return what the account halves saw, step by step as they close."""
        found = []
        for partition in range(self.partitions):
            own = np.flatnonzero(self.who % self.partitions == partition)
            ts, at = self.ts[own], 0
            while at < len(own):
                end = min(at + STEP_EVENTS, int(np.searchsorted(ts, ts[at] + STEP_S)))
                closes = ts[end - 1] if end - at == STEP_EVENTS else ts[min(end, len(ts) - 1)]
                found.append((float(closes), partition, own[at:end]))
                at = end
        for closes, partition, rows in sorted(found, key=lambda step: step[:2]):
            yield Step(partition, closes, self.who[rows], self.ts[rows])

    def sightings(self, who: Integers, ts: NDArray[np.float64]) -> NDArray[np.void]:
        """Return one sighting a request; accounts and system texts by their number here."""
        rng, n, guilty = self.rng, len(who), self.guilty[who]
        seen, prints = np.zeros(n, SIGHTING), rng.integers(1, 1 << 32, (n, FINGERPRINTS), np.uint32)
        habit = who[:, None] * 1_000_003 + rng.integers(0, 9, (n, 4)) + 1  # turns of phrase of one's own
        prints[:, 6:10] = np.where(rng.random((n, 1)) < 0.5, habit.astype(np.uint32), prints[:, 6:10])

        def show(rows: NDArray[np.bool_], texts: NDArray[np.uint32], share: float) -> None:
            """Put a share of a text's fingerprints where requests show it."""
            which, places = np.flatnonzero(rows)[:, None], np.arange(texts.shape[1])
            prints[which, places] = np.where(rng.random(texts.shape) < share, texts, prints[which, places])

        viral = (self.viral[who] >= 0) & (rng.random(n) < 0.4)
        show(viral, self.texts["viral"][self.viral[who[viral]]], 0.9)
        public = rng.random(n) < 0.05
        show(public, self.texts["public"][rng.zipf(1.2, int(public.sum())) % PUBLIC], 1.0)
        school = self.school[who] >= 0
        exercise = self.school[who[school]] * EXERCISES + rng.integers(0, 6, int(school.sum()))
        numbers = (exercise[:, None] * 64 + np.arange(8)) * 2_654_435_761 % (1 << 32)
        show(school, numbers.astype(np.uint32), 0.9)
        show(guilty, self.texts["campaign"][rng.integers(0, TEMPLATES, int(guilty.sum()))], 0.8)
        seen["prints"], seen["ts"], seen["account"] = prints, ts, who
        seen["system"] = seen["harness"] = self.harness[who]
        seen["agent"], seen["model"] = self.agent[who], self.model[who]
        seen["limit"] = np.where(guilty | (rng.random(n) < 0.5), self.limit[who], rng.integers(1, 4000, n))
        seen["flags"] = np.where(guilty | (rng.random(n) < 0.45), SINGLE_TURN, 0)
        seen["flags"] |= np.where(self.person[who], INTERACTIVE, 0).astype(np.uint8)
        network = np.where(guilty, rng.integers(0, PROXIES, n), PROXIES + who * 3 + rng.integers(0, 3, n))
        seen["standing"] = np.clip(UNIT * rng.normal(size=(n, len(FEATURES))), -127, 127).astype(np.int8)
        seen["ip"] = (network * 2_654_435_761 % (1 << 32)).astype(np.uint32)
        return seen

    def report(self, step: Step, serial: int) -> Report:
        """Return what the account half tells of a step."""
        accounts, places, n = np.unique(step.who, return_inverse=True, return_counts=True)
        self.sent[accounts] += n
        facts = self.facts[accounts]
        facts["first_ts"] = np.where(facts["first_ts"] == 0, step.ts[0], facts["first_ts"])
        facts["last_ts"], facts["requests"], facts["day"] = step.closes, self.sent[accounts], self.rate[accounts]
        facts["tokens_day"] = facts["day"] * np.where(self.guilty[accounts], 3000, 1200)
        self.facts[accounts] = facts
        sightings = self.sightings(step.who, step.ts)
        systems, local = np.unique(sightings["system"], return_inverse=True)
        sightings["account"], sightings["system"] = places, local
        due = self.sent[accounts] >= self.due[accounts]
        self.due[accounts[due]] = (self.sent[accounts[due]] * DUE_GROWTH).astype(np.int64) + 1
        return Report(
            step.partition, serial, step.closes, [name(account) for account in accounts.tolist()], facts, systems.astype(np.uint32),
            self.systems[systems], sightings, np.flatnonzero(due).astype(np.uint32), self._twins(accounts[due]), [],
            {str(code): f"model-{code}" for code in range(1, 9)},
        )  # fmt: skip

    def _twins(self, who: Integers) -> NDArray[np.int8]:
        toward = np.where(self.guilty[who], 0.7, 0.1)[:, None] * self.axes[self.family[who]]
        twins = 12 * (self.rng.normal(size=(len(who), DIMENSIONS)) + toward)
        return np.clip(twins, -127, 127).astype(np.int8)


def name(account: int) -> str:
    """Return the id of an account, made anew as if it had come over the wire."""
    return f"acct_{account:012x}"


def account_of(account_id: str) -> int:
    """Return the number of an account."""
    return int(account_id.removeprefix("acct_"), 16)


def memory_mb() -> tuple[float, float]:
    """Return the resident memory of this process, without what its allocator keeps for later, and its highest (VmHWM)."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["VmRSS"].split()[0]) / 1e3, int(lines["VmHWM"].split()[0]) / 1e3


class Watch:
    """How often something is done, and how much processor time it takes."""

    def __init__(self, work: Callable[..., Any]) -> None:
        self.work = work
        self.seconds: list[float] = []

    def __call__(self, *args: Any) -> Any:
        """Do it."""
        began = time.process_time()
        try:
            return self.work(*args)
        finally:
            self.seconds.append(time.process_time() - began)

    def __str__(self) -> str:
        """Return what was measured in a few words."""
        took = self.seconds or [0.0]
        return f"{len(self.seconds):,}, mean {np.mean(took):.4f} s, p95 {np.quantile(took, 0.95):.4f} s, max {max(took):.4f} s"


class Run:
    """A population through one population half."""

    def __init__(self, made: Population, linking: LinkSettings) -> None:
        self.made, self.half = made, PopulationHalf(EngineSettings(linking=linking))
        registry: Any = self.half._registry  # noqa: SLF001 - what takes long is to be told apart
        self.looks, self.glances = Watch(registry.update), Watch(registry.glance)
        registry.update, registry.glance = self.looks, self.glances
        accounts = len(made.guilty)
        # By account: its first request; when the report that linked it closed, and when the half was done with it.
        self.first, self.closed, self.linked = np.full((3, accounts), np.inf)
        self.named, self.named_after, self.named_s = np.inf, 0, np.inf
        self.events, self.of_campaign, self.spent_s, self.free = 0, 0, 0.0, 0.0
        self.reports = [0] * made.partitions

    def take(self, step: Step) -> None:
        """Take one report, and note what comes of it."""
        self.reports[step.partition] += 1
        report = self.made.report(step, self.reports[step.partition])
        np.minimum.at(self.first, step.who, step.ts)
        self.events += len(step.who)
        self.of_campaign += int(self.made.guilty[step.who].sum())
        began = time.process_time()
        out = self.half.process_reports([report])
        self.half.take_verdicts()
        took = time.process_time() - began
        self.spent_s += took
        self.free = max(self.free, step.closes) + took  # reports wait for those before them
        for campaign in out.campaigns:
            members = np.array([account_of(account) for account in campaign.accounts], np.int64)
            new = members[np.isinf(self.linked[members])]
            self.closed[new], self.linked[new] = step.closes, self.free
            ours = int(self.made.guilty[members].sum())
            if np.isinf(self.named) and ours >= NAMED_MIN and 2 * ours >= len(members):
                self.named, self.named_after, self.named_s = step.closes, self.of_campaign, self.free

    def memory(self, before_mb: float) -> str:
        """Return in a few words what memory was taken since it was so much, and for what."""
        (now, highest), window = memory_mb(), self.half._window  # noqa: SLF001
        return (
            f"memory after {(self.free - START) / HOUR_S:.1f} hours: {now - before_mb:,.0f} MB, at most {highest - before_mb:,.0f} MB; "
            f"{len(window.rows):,} accounts held, {np.count_nonzero(window.totals):,} of them sent one of the {len(window.held()):,} requests held"
        )

    def progress(self) -> str:
        """Return in a few words how far this has come."""
        linked = np.count_nonzero(np.isfinite(self.linked[self.made.guilty]))
        return f"{self.events / len(self.made.who):.0%} in {self.spent_s:,.0f} s; linked {linked:,}; looks: {self.looks}; glances: {self.glances}"

    def held(self) -> tuple[Integers, Integers]:
        """Return the members of the campaign that holds most of ours, and of all others."""
        views = [np.array([account_of(a) for a in view.accounts], np.int64) for view in self.half.campaigns()]
        views = sorted(views, key=lambda who: -int(self.made.guilty[who].sum()))
        none = np.zeros(0, np.int64)
        return (views[0] if views else none), np.unique(np.concatenate([none, *views[1:]]))


def delays(what: str, waits: NDArray[np.float64], works: NDArray[np.float64]) -> str:
    """Return a line on how long links took: in event time, in processing time, together."""
    if not len(waits):
        return f"  {what}: nobody"
    parts = (
        f"{of} median {np.median(s):.1f} s, p95 {np.quantile(s, 0.95):.1f} s"
        for of, s in (("event time", waits), ("processing", works), ("together", waits + works))
    )
    return f"  {what}: {len(waits):,} accounts; {'; '.join(parts)}; within 60 s {(waits + works <= 60).mean():.4f}"


def told(run: Run, memory: Sequence[str]) -> Iterator[str]:
    """Return the figures, line by line."""
    guilty, seen = run.made.guilty, np.isfinite(run.first)
    reports, held_s = sum(run.reports), run.spent_s
    yield f"taken: {run.events:,} requests of {np.count_nonzero(seen):,} accounts in {reports:,} reports"
    yield f"speed: {run.events / held_s:,.0f} requests a second, {reports / held_s:,.0f} reports a second, {1e6 * held_s / run.events:.1f} us a request"
    yield from memory
    yield f"looks: {run.looks}"
    yield f"glances: {run.glances}"
    ours = guilty & seen
    if np.isinf(run.named):
        yield f"the campaign was not named, after {run.of_campaign / max(1, ours.sum()):.2f} requests an account"
    else:
        began = run.first[ours].min()
        asked = int((run.first[ours] <= run.named).sum())
        yield (
            f"named: {run.named_s - began:,.0f} s after its first request; {asked:,} of its accounts had sent {run.named_after:,} requests, "
            f"{run.named_after / asked:.2f} each ({run.named_after / ours.sum():.4f} of all it will have)"
        )
        linked = ours & np.isfinite(run.linked)
        newly = linked & (run.first > run.named)
        known = linked & ~newly
        yield "from the first request that could link an account to its membership:"
        works = np.subtract(run.linked, run.closed, out=np.zeros(len(ours)), where=linked)
        yield delays("new since it was named", run.closed[newly] - run.first[newly], works[newly])
        yield delays("seen before, since it was named", run.closed[known] - run.named, works[known])
    members, others = run.held()
    right = int(guilty[members].sum())
    yield (
        f"linked: {np.isfinite(run.linked[ours]).mean():.4f} of the {ours.sum():,} accounts of the campaign at some time, "
        f"{right / max(1, ours.sum()):.4f} by one id in the end (precision {right / max(1, len(members)):.4f})"
    )
    wrong = np.isfinite(run.linked) & ~guilty
    yield (
        f"honest accounts linked: {np.count_nonzero(wrong):,} at some time, {np.count_nonzero(~guilty[members]):,} in it in the end, "
        f"{np.count_nonzero(~guilty[others]):,} in other campaigns ({len(run.half.campaigns())} are held)"
    )


def linking(sightings_max: int) -> LinkSettings:
    """Return the settings as they ship, but for a window of this size, and what has to fit it."""
    shipped = LinkSettings()
    more = max(0, (sightings_max - 1) // shipped.sightings_max).bit_length()
    return LinkSettings(
        sightings_max=sightings_max,
        accounts_max=max(shipped.accounts_max, 2 * sightings_max),
        promoted_max=shipped.promoted_max << max(0, more - 1),
        first_sights=shipped.first_sights << more,
    )


def main() -> None:
    """Run it and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=1_000_000, help="all of them (default: %(default)s)")
    parser.add_argument("--campaign", type=int, default=25_000, help="those of the campaign (default: %(default)s)")
    parser.add_argument("--hours", type=float, default=24.0, help="of event time (default: %(default)s)")
    parser.add_argument(
        "--begins", type=float, default=4.0, help="hours until the campaign begins (default: %(default)s)"
    )
    parser.add_argument(
        "--joining", type=float, default=12.0, help="hours in which its accounts begin (default: %(default)s)"
    )
    parser.add_argument("--partitions", type=int, default=4, help="account halves (default: %(default)s)")
    parser.add_argument(
        "--sightings-max", type=int, default=LinkSettings().sightings_max, help="(default: %(default)s, as shipped)"
    )
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    made, settings = Population(args), linking(args.sightings_max)
    print(
        f"{args.accounts:,} accounts, {args.campaign:,} of them the campaign's, {args.hours:g} hours; window of {settings.sightings_max:,} requests, "
        f"accounts_max {settings.accounts_max:,}, promoted_max {settings.promoted_max:,}, first_sights {settings.first_sights:,}"
    )
    before, _ = memory_mb()
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew
    run, memory = Run(made, settings), []
    quarters = [START + args.hours * HOUR_S * n / QUARTERS for n in range(1, QUARTERS)]
    for step in made.steps():
        run.take(step)
        if run.events == len(made.who) or (quarters and step.closes >= quarters[0]):
            quarters = quarters[1:]
            memory.append(run.memory(before))
            print(f"{run.progress()}; {memory[-1]}", file=sys.stderr, flush=True)
    for line in told(run, memory):
        print(line)


if __name__ == "__main__":
    main()
