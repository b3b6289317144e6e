"""What each part of the detection is for: `python benchmarks/ablation.py OUT --arena DIR STREAM [STREAM ...] [--only GROUP|PART ...]`.

Each STREAM is a labelled folder of the arena (`benchmarks/arena.py` makes them). The engine goes through it once as it is,
then once without each part, and the arena's scorer says what has changed. A part is switched off from outside, in a
process of its own: the product has no switches for this. What every run has in common is done once a stream: requests
are decoded and sketched, and the columns that come of them are given to each run in their place.

Parts of the judge are switched off as they are weighed now; `benchmarks/fit_judge.py` also says what a fit without a
feature is worth. Solo signals are measured with the account half alone. What analysts teach is measured with a
simulated analyst, who answers each alert at once and truthfully.

OUT gets `ablation.json` (every figure of every run) and `ablation.md` (the table).
"""

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import fmean, median
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
from arena import Found, Table, found, markdown, score, scorer, text
from fit_judge import BENIGN, opened

from stream_guard.app.replay import read_releases
from stream_guard.campaigns import infrastructure, judge, linking, registry
from stream_guard.campaigns.linking import Linker
from stream_guard.campaigns.reasoning import ReasoningJoin
from stream_guard.campaigns.twins import Twins
from stream_guard.campaigns.window import Window
from stream_guard.codecs import encode
from stream_guard.detectors import PopulationDrift, Usual
from stream_guard.engine import LIVE_S, AccountHalf, Engine, EngineSettings, Outcome, intake, solo, teaching
from stream_guard.events import Feedback, Release, RequestEvent
from stream_guard.policy import Policy
from stream_guard.policy.budget import Ledger
from stream_guard.sketch import FINGERPRINTS, LEXICAL

BATCH = 500
SETTINGS = EngineSettings(shadow=False)


# --- The parts ---


@dataclass(frozen=True, slots=True)
class Part:
    """Something that can be switched off; `off` does it, for the rest of the process."""

    group: str
    name: str
    off: Callable[[], object] = lambda: None
    alone: bool = False
    """Measured with the account half alone."""
    analyst: bool = False
    """Measured with an analyst who answers each alert."""

    @property
    def title(self) -> str:
        """What it is called in results."""
        return f"{self.group}: {self.name}" if self.group else self.name

    @property
    def base(self) -> "Part":
        """What it is compared with."""
        return next(part for part in BASES if (part.alone, part.analyst) == (self.alone, self.analyst))


WHOLE = Part("", "the whole engine")
BASES = (
    WHOLE,
    Part("", "the account half alone", alone=True),
    Part("", "the whole engine, analysts answer", analyst=True),
)


def switch(owner: Any, name: str, value: object) -> None:
    """Put `value` in the place of what the product has. Raises AttributeError if it has no such thing any more."""
    getattr(owner, name)
    setattr(owner, name, value)


def without_prints(places: slice, *, systems: bool = True, prompts: bool = True) -> None:
    """Take some of the fingerprints away from what the population half is told."""
    take = Window.take

    def less(window: Window, report: Any) -> None:
        sightings, prints = report.sightings.copy(), report.system_prints.copy()
        if prompts:
            sightings["prints"][:, places] = 0
        if systems:
            prints[:, places] = 0
        take(window, report._replace(sightings=sightings, system_prints=prints))

    switch(Window, "take", less)


def untrimmed() -> None:
    """Let every account that shows a cluster's texts be a member of it."""
    switch(linking, "COVERAGE_MIN", 0.0)
    switch(linking, "CORE", 0.0)


def nothing(*_: object, **__: object) -> None:
    """Do nothing, whatever it is asked."""


def parts() -> Iterator[Part]:
    """Yield every part, by group."""
    channels: dict[str, Callable[[], object]] = {
        "5-grams": lambda: without_prints(slice(0, LEXICAL)),
        "skeletons": lambda: without_prints(slice(LEXICAL, FINGERPRINTS)),
        "fingerprints of system texts": lambda: without_prints(slice(0, FINGERPRINTS), prompts=False),
        "fingerprints of prompts": lambda: without_prints(slice(0, FINGERPRINTS), systems=False),
        "twins": lambda: switch(Twins, "groups", lambda _, __: []),
        "infrastructure": lambda: switch(infrastructure, "clusters", lambda *_: []),
        "reasoning items": lambda: switch(ReasoningJoin, "sets", lambda _, __: []),
        "the rule for relays": lambda: switch(judge, "relays", lambda features: np.zeros(len(features), np.bool_)),
        "who pays alike joins sooner": lambda: switch(Linker, "_pays_alike", lambda _, __, who, ___: np.zeros(len(who), np.bool_)),
        "memory of known campaigns": lambda: switch(Linker, "_convicted", lambda _, carried, __: np.full(len(carried.sizes), -1)),
    }  # fmt: skip
    for name, off in channels.items():
        yield Part("evidence", name, off)
    rules: dict[str, Callable[[], object]] = {
        "one customer is no campaign": lambda: switch(Linker, "one_customer", lambda *_: False),
        "members carry it": untrimmed,
        "bystanders are only watched": lambda: switch(registry, "BYSTANDER", 2.0),
        "who asks unlike the members is none": lambda: switch(
            registry, "distances", lambda _, rows, __: np.full(len(rows), registry.USUAL)
        ),
        "few accounts are believed less": lambda: switch(judge, "SHRINK", 1e-9),
        "what is usual here": lambda: switch(judge, "usual", lambda *_: judge.USUAL),
        "solo risk calibrated on the traffic": lambda: switch(Policy, "_rarity_of", nothing),
        "budget of mistakes": lambda: switch(Ledger, "take", lambda *_, **__: True),
    }
    for name, off in rules.items():
        yield Part("judgement", name, off)
    for at, name in enumerate(infrastructure.PRIORS):
        yield Part("infrastructure", name, lambda at=at: infrastructure.WEIGHTS.__setitem__(at, 0.0))  # type: ignore[misc]
    for at, name in enumerate(judge.FEATURES):
        yield Part("feature", name, lambda at=at: judge.WEIGHTS.__setitem__(at, 0.0))  # type: ignore[misc]
    models: dict[str, Callable[[], object]] = {
        "Usual": lambda: switch(Usual, "learn_one", nothing),
        "PopulationDrift": lambda: switch(PopulationDrift, "learn_one", lambda *_: []),
    }
    for name, off in models.items():
        yield Part("model", name, off)
    yield Part("model", "FeedbackModel of accounts", lambda: switch(solo.SoloJudge, "learn", nothing), analyst=True)
    yield Part(
        "model", "FeedbackModel of clusters", lambda: switch(teaching.ClusterTeacher, "learn", nothing), analyst=True
    )
    for name in solo.WEIGHTS:
        yield Part("signal", name, lambda name=name: solo.WEIGHTS.__setitem__(name, 0.0), alone=True)  # type: ignore[misc]


# --- One stream ---


@dataclass(slots=True)
class Recording:
    """A stream, and what the intake made of its texts; of those only the prompts are kept."""

    stream: Path
    events: list[RequestEvent] = field(default_factory=list)
    releases: list[Release] = field(default_factory=list)
    columns: list[intake.Taken] = field(default_factory=list)
    models: dict[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, stream: Path) -> "Recording":
        """Record what the account half takes in: the cuts it makes depend on the requests alone."""
        made = cls(stream)
        if (stream / "releases.jsonl").exists():
            made.releases = sorted(read_releases(str(stream / "releases.jsonl")), key=lambda release: release.ts)
        decode, take = msgspec.json.Decoder(RequestEvent).decode, intake.Intake.take

        def recorded(of: intake.Intake, events: Sequence[RequestEvent], times: Sequence[float]) -> intake.Taken:
            made.columns.append(take(of, events, times))
            made.models = of.models
            return made.columns[-1]

        switch(intake.Intake, "take", recorded)
        half = AccountHalf(SETTINGS)
        with opened(stream) as lines:
            while batch := [decode(line) for line in islice(lines, BATCH)]:
                half.process(batch)
                half.take_reports()
                made.events += [msgspec.structs.replace(event, system=None, sketch=None) for event in batch]
        switch(intake.Intake, "take", take)
        return made

    def play(self, engine: Engine | AccountHalf, guilty: Callable[[str], bool] | None = None) -> Outcome:
        """Put the stream through an engine; `guilty` is the analyst's knowledge of accounts, if there is one."""
        columns, out, said = iter(self.columns), Outcome(), set[str]()

        def replayed(of: intake.Intake, events: Sequence[RequestEvent], _: Sequence[float]) -> intake.Taken:
            taken = next(columns)
            if len(taken.ts) != len(events):
                raise RuntimeError("the requests are cut differently than they were recorded")
            of.models = self.models
            return taken

        take = intake.Intake.take
        switch(intake.Intake, "take", replayed)
        pending = list(self.releases)
        for at in range(0, len(self.events), BATCH):
            batch = self.events[at : at + BATCH]
            while pending and batch[-1].ts >= pending[0].ts:  # a batch early at most
                out.extend(engine.learn(pending.pop(0)))
            news = engine.process(batch)
            if guilty is not None:
                _answer(engine, news, guilty, said)
            out.extend(news)
        out.extend(engine.advance(engine.now + LIVE_S))
        switch(intake.Intake, "take", take)
        return out


def _answer(engine: Engine | AccountHalf, news: Outcome, guilty: Callable[[str], bool], said: set[str]) -> None:
    """Say what each account or campaign is that an alert tells of for the first time."""
    for alert in list(news.alerts):
        subject = alert.campaign_id or alert.account_id
        if subject is None or subject in said:
            continue
        said.add(subject)
        held = engine.campaign(alert.campaign_id) if alert.campaign_id else None
        accounts = held.accounts if held is not None else (alert.account_id,) if alert.account_id else ()
        bad = sum(guilty(name) for name in accounts) * 2 >= len(accounts) > 0
        word = Feedback(engine.now, "malicious" if bad else "benign", alert.account_id, alert.campaign_id, "simulated")
        news.extend(engine.learn(word))


RECORDING: Recording
ARENA: Path
RUNS: list[Part] = []


def measure(number: int) -> tuple[dict[str, Any], float]:
    """Switch a part of `RUNS` off, go through the stream that is recorded, score it; returns the score and seconds of computing."""
    began, part = time.process_time(), RUNS[number]
    part.off()
    labels = json.loads((RECORDING.stream / "labels.json").read_bytes())["accounts"]
    engine = AccountHalf(SETTINGS) if part.alone else Engine(SETTINGS)
    out = RECORDING.play(engine, (lambda name: labels[name]["label"] != BENIGN) if part.analyst else None)
    judge_of = scorer(ARENA)
    judge_of.requests = lambda _: ((k, event.ts, event.account_id) for k, event in enumerate(RECORDING.events))  # type: ignore[attr-defined]
    with TemporaryDirectory() as directory:
        for name in ("decisions", "campaigns", "alerts"):
            lines = (encode(record) + b"\n" for record in getattr(out, name))
            Path(directory, f"{name}.jsonl").write_bytes(b"".join(lines))
        result = score(ARENA, RECORDING.stream, Path(directory))
    return result, time.process_time() - began


def named(number: int) -> str:
    """Switch a part of `RUNS` off; returns what it is called."""
    RUNS[number].off()
    return RUNS[number].title


# --- The table ---


@dataclass(slots=True)
class Sum:
    """The figures of one run over all streams."""

    named: int
    requests: float  # an account before its campaign is named, median over campaigns; one never named sent them all
    linked: float
    ids: float
    precision: float
    prevented: float
    acted_on: int
    false_campaigns: int
    alerts: int

    @classmethod
    def over(cls, results: dict[str, dict[str, Any]], arena: Path) -> "Sum":
        """Sum up."""
        rows, total = found(results), scorer(arena).summed(results)
        linked = [row for row in rows if row.ids]
        return cls(
            sum(row.requests is not None for row in rows), median(_requests(results)) if rows else 0.0, fmean(row.linked for row in rows or [_NONE]),
            fmean(row.ids for row in linked or [_NONE]), fmean(row.precision for row in linked or [_NONE]), fmean(row.prevented for row in rows or [_NONE]),
            total["harm"]["acted_on"], total["false_campaigns"], sum(result["alerts"] for result in results.values()),
        )  # fmt: skip


_NONE = Found("", "", 0, None, 0.0, 0, 0.0, None, 0.0, prevented_counts=False)
FORMS = {"requests": ".2f", "linked": ".3f", "ids": ".2f", "precision": ".3f", "prevented": ".3f"}
HEAD = {
    "named": "named", "requests": "requests an account before named", "linked": "linked", "ids": "ids", "precision": "precision",
    "prevented": "harvest prevented", "acted_on": "honest acted on", "false_campaigns": "false campaigns", "alerts": "alerts",
}  # fmt: skip


def _requests(results: dict[str, dict[str, Any]]) -> list[float]:
    """Return for each campaign its requests an account before it is named, all of them if it never is."""
    rows = [row for result in results.values() for row in result["campaigns"].values()]
    every = [Found.of("", result, row) for result in results.values() for row in result["campaigns"].values()]
    return [
        of.requests if of.requests is not None else row["exchanges"] / max(1, row["accounts"])
        for of, row in zip(every, rows, strict=True)
    ]


def most_changed(results: dict[str, dict[str, Any]], base: dict[str, dict[str, Any]]) -> str:
    """Name the streams that a part matters for most: requests until named, accounts linked."""
    changes = []
    for name, result in results.items():
        before, after = _requests({name: base[name]}), _requests({name: result})
        linked = [[row.linked for row in found({name: of[name]})] for of in (base, results)]
        for b, a, was, now in zip(before, after, *linked, strict=True):
            size = abs(np.log((a + 0.1) / (b + 0.1))) + 3 * abs(now - was)
            if size > 0.1:
                changes.append((size, f"{name} {b:.1f} → {a:.1f}, {was:.2f} → {now:.2f}"))
    return "; ".join(told for _, told in sorted(changes, reverse=True)[:3])


def table(every: dict[str, dict[str, dict[str, Any]]], chosen: Sequence[Part], arena: Path) -> Table:
    """Return a row a part: its figures where they differ from what it is compared with."""
    rows = [["without", *HEAD.values(), "most changed (requests until named, linked)"]]
    for base in BASES:
        own = [part for part in chosen if part.base == base and part != base]
        if not own:
            continue
        whole = Sum.over(every[base.title], arena)
        rows.append(
            [f"**nothing: {base.name}**", *(format(getattr(whole, name), FORMS.get(name, "d")) for name in HEAD), ""]
        )
        for part in own:
            sums = Sum.over(every[part.title], arena)
            cells = []
            for name in HEAD:
                value, before = getattr(sums, name), getattr(whole, name)
                form = FORMS.get(name, "d")
                same = format(value, form) == format(before, form)
                cells.append("=" if same else f"{value:{form}} ({value - before:+{form}})")
            rows.append([part.title, *cells, most_changed(every[part.title], every[base.title])])
    return rows


def main() -> int:
    """Measure every part on every stream."""
    global RECORDING, ARENA  # noqa: PLW0603 - what forked processes take over without a copy
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("streams", type=Path, nargs="*", metavar="STREAM")
    parser.add_argument("--arena", type=Path, required=True, help="folder with score.py")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="groups or parts, instead of all")
    parser.add_argument(
        "--list", action="store_true", help="name the parts, switch each off in a process of its own, and end"
    )
    args = parser.parse_intermixed_args()
    chosen = [part for part in parts() if not args.only or {part.group, part.name} & set(args.only)]
    if not chosen:
        parser.error("no such part")
    fork = multiprocessing.get_context("fork")
    if args.list:
        RUNS[:] = chosen
        with fork.Pool(args.jobs, maxtasksperchild=1) as pool:
            print(*pool.imap(named, range(len(RUNS))), sep="\n")
        return 0
    ARENA = args.arena
    args.out.mkdir(parents=True, exist_ok=True)
    RUNS[:] = [base for base in BASES if any(part.base == base for part in chosen)] + chosen
    every: dict[str, dict[str, dict[str, Any]]] = {}
    for stream in args.streams:
        began, name = time.monotonic(), f"{stream.resolve().parent.name}/{stream.name}"
        RECORDING = Recording.of(stream)
        RECORDING.play(Engine(SETTINGS))  # what is compiled is compiled here, for all
        spent = 0.0
        with fork.Pool(args.jobs, maxtasksperchild=1) as pool:
            for part, (result, seconds) in zip(RUNS, pool.imap(measure, range(len(RUNS))), strict=True):
                every.setdefault(part.title, {})[name] = result
                spent += seconds
        print(f"{name}: {len(RUNS)} runs, {spent:.0f} s of computing, {time.monotonic() - began:.0f} s", flush=True)
        (args.out / "ablation.json").write_text(json.dumps(every))
    rows = table(every, chosen, ARENA)
    (args.out / "ablation.md").write_text(markdown(rows) + "\n")
    print("", text(rows), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
