"""What the engine finds in labelled streams: `python benchmarks/arena.py ROOT OUT [NAME ...] [--arena DIR --suite dev]`.

ROOT holds a folder a stream, with `events.jsonl` (or `.gz`) in it; each is replayed with shadow mode off, and what was
decided is written to OUT/NAME, as `stream-guard replay EVENTS --out OUT --no-shadow` does.

The streams come from an arena that is not part of this project: `--arena` is its folder, with `make.py` and `score.py`.
With it the results are scored and laid beside the goals; with `--suite` streams that ROOT lacks are made first:

    python benchmarks/arena.py ROOT OUT --arena DIR --suite dev --seeds 1 2 [--disguise] [--days 2] [--corpora DIR ...]
    python benchmarks/arena.py ROOT OUT --arena DIR --suite smoke --floors benchmarks/floors.toml

`--markdown FILE` writes the tables as docs/detection.md has them. `--floors FILE` compares with the section of the suite in
FILE and ends with 1 if anything is worse; `--set-floors FILE` writes that section anew, with room for noise.
"""

import argparse
import asyncio
import importlib.util
import json
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache, partial
from itertools import repeat
from pathlib import Path
from types import ModuleType
from typing import Any

from stream_guard.app.replay import read_releases, replay
from stream_guard.engine import EngineSettings

Table = list[list[str]]
HARM_GOAL = 1.0
"""Honest accounts in 10,000 that are acted upon."""
DISGUISED = "disguised"


@dataclass(frozen=True, slots=True)
class Goal:
    """What is asked for of the campaigns of a scenario; None where nothing is.

    `requests` of an account, on average, by which the campaign is named: the campaign's requests so far over its
    accounts. Of a relay only its own are counted, as far as they are known: its share of all that its accounts send.
    """

    requests: float | None = 5.0
    linked: float | None = 0.95
    precision: float | None = 0.99
    decided: float | None = None  # an account's requests before it is acted upon, median
    pool_two: float | None = None  # share of the second pool linked within 50 requests


GOALS = {
    "solo": Goal(None, None, None, decided=200.0),
    "focused": Goal(2.0),
    "surge": Goal(2.0),
    "replayed": Goal(2.0),
    "trickle": Goal(2.0, 0.85),
    "mixed": Goal(10.0, 0.85),
    "sharded": Goal(10.0, 0.85),
    "succession": Goal(pool_two=0.9),
}
"""By scenario; `Goal()` for the others."""
PREVENTED_GOAL, PREVENTED_PER_DAY, PREVENTED_DAYS = 0.8, 26, 2
"""Share of the harvest, of campaigns of so many requests an account and day, in streams of so many days."""


def goal_of(scenario: str, suite: str) -> Goal:
    """Return what is asked for in a suite."""
    if DISGUISED in suite and scenario != "solo":
        return Goal(10.0, 0.85, pool_two=GOALS.get(scenario, Goal()).pool_two)
    return GOALS.get(scenario, Goal())


# --- Streams: made, replayed, scored ---


def make(arena: Path, root: Path, scenarios: Sequence[str], seed: int, options: Sequence[str]) -> None:
    """Have the arena make streams in ROOT/SCENARIO-SEED."""
    command = [
        sys.executable,
        "-B",
        "make.py",
        str(root.resolve()),
        "--seeds",
        str(seed),
        "--scenarios",
        *scenarios,
        *options,
    ]
    subprocess.run(command, check=True, capture_output=True, cwd=arena)


def missing(scenarios: Sequence[str], seeds: Sequence[int], root: Path, jobs: int) -> Iterator[tuple[list[str], int]]:
    """Yield the scenarios that ROOT lacks of each seed, in as many parts as there are jobs."""
    for seed in seeds:
        lacking = [name for name in scenarios if not (root / f"{name}-{seed}" / "labels.json").exists()]
        yield from ((part, seed) for k in range(jobs) if (part := lacking[k::jobs]))


def run(stream: Path, out: Path) -> str:
    """Replay one stream; returns a line about it."""
    events = next(path for path in (stream / "events.jsonl", stream / "events.jsonl.gz") if path.exists())
    releases = stream / "releases.jsonl"
    told = read_releases(str(releases)) if releases.exists() else []
    started = time.process_time()
    done = asyncio.run(replay([str(events)], out, EngineSettings(shadow=False), releases=told))
    spent_us = (time.process_time() - started) / max(1, done.events) * 1e6
    return (
        f"{stream.name}: {done.events:,} events, {spent_us:.0f} us each, "
        f"{len(done.campaign_ids)} campaigns, {done.decisions} decisions, {done.alerts} alerts"
    )


@cache
def scorer(arena: Path) -> ModuleType:
    """Load the arena's scorer."""
    spec = importlib.util.spec_from_file_location("arena_score", arena / "score.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(arena / "score.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def score(arena: Path, stream: Path, out: Path) -> dict[str, Any]:
    """Return what the arena's scorer says of one stream, with the number of alerts and the plans of its campaigns."""
    result: dict[str, Any] = scorer(arena).score(stream, out)
    labels = json.loads((stream / "labels.json").read_bytes())
    for name, row in result["campaigns"].items():
        row["per_day"] = labels["campaigns"][name]["plan"]["per_day"]
    with (out / "alerts.jsonl").open() as alerts:
        result["alerts"] = sum(1 for _ in alerts)
    return result | {"days": labels["days"]}


# --- Beside the goals ---


@dataclass(slots=True)
class Found:
    """How one campaign was found."""

    stream: str
    scenario: str
    accounts: int
    requests: float | None  # an account, on average, before the campaign was named
    linked: float
    ids: int
    precision: float
    decided: float | None
    prevented: float
    prevented_counts: bool
    pool_two: float | None = None
    tied: float | None = None

    @classmethod
    def of(cls, stream: str, result: dict[str, Any], row: dict[str, Any]) -> "Found":
        """Read it from what the scorer says."""
        before, second = row["exchanges_before_named"], row.get("pool_two", {})
        if before is not None and row.get("kind") == "relay":
            before *= row["own_share"]
        return cls(
            stream, result["scenario"], row["accounts"], None if before is None else before / max(1, row["accounts"]), row["linked_recall"],
            row["campaign_ids"], row["link_precision"] or 0.0, row["decided_after_requests"], row["harvest_prevented"],
            row["per_day"] >= PREVENTED_PER_DAY and result["days"] >= PREVENTED_DAYS, second.get("linked_within_50_requests"),
            second.get("tied_to_pool_one"),
        )  # fmt: skip

    def missed(self, goal: Goal) -> list[str]:
        """Return the goals that are missed, by their names in `Goal` (and `ids`, `prevented`)."""
        wrong = [
            ("requests", goal.requests is not None and (self.requests is None or self.requests > goal.requests)),
            ("linked", goal.linked is not None and self.linked < goal.linked),
            ("ids", goal.linked is not None and self.ids != 1),
            ("precision", goal.precision is not None and self.precision < goal.precision),
            ("decided", goal.decided is not None and (self.decided is None or self.decided > goal.decided)),
            ("pool_two", goal.pool_two is not None and (self.pool_two or 0.0) < goal.pool_two),
            ("prevented", self.prevented_counts and self.prevented < PREVENTED_GOAL),
        ]
        return [name for name, missed in wrong if missed]


def found(results: dict[str, dict[str, Any]]) -> list[Found]:
    """Return all campaigns of some streams."""
    return [Found.of(name, result, row) for name, result in results.items() for row in result["campaigns"].values()]


def _cell(value: float | None, asked: float | None, form: str, missed: bool) -> str:
    told = "-" if value is None else format(value, form)
    return told if asked is None else f"{told} ({'**' if missed else ''}{asked:g}{'**' if missed else ''})"


def campaign_table(rows: Sequence[Found], results: dict[str, dict[str, Any]], suite: str) -> Table:
    """Return a table of campaigns: each figure with its goal in brackets, in bold where it is missed."""
    table = [
        ["stream", "accounts", "requests an account before named", "linked", "ids", "precision", "requests before action", "harvest prevented",
         "goals missed", "honest acted on", "false campaigns", "alerts"],
    ]  # fmt: skip
    for name, result in results.items():
        of_all = [str(result["harm"]["acted_on"]), str(result["false_campaigns"]), str(result["alerts"])]
        own = [row for row in rows if row.stream == name]
        if not own:
            table.append([name, *["-"] * 8, *of_all])
        for k, row in enumerate(own):
            goal = goal_of(row.scenario, suite)
            missed = row.missed(goal)
            table.append([
                name, str(row.accounts), _cell(row.requests, goal.requests, ".1f", "requests" in missed),
                _cell(row.linked, goal.linked, ".3f", "linked" in missed), _cell(row.ids, 1 if goal.linked else None, "d", "ids" in missed),
                _cell(row.precision, goal.precision, ".3f", "precision" in missed), _cell(row.decided, goal.decided, ".0f", "decided" in missed),
                _cell(row.prevented, PREVENTED_GOAL if row.prevented_counts else None, ".3f", "prevented" in missed),
                ", ".join(missed) or "none", *(of_all if k == 0 else [""] * 3),
            ])  # fmt: skip
            if row.pool_two is not None:
                table[-1][0] += (
                    f" (pool two: linked {_cell(row.pool_two, goal.pool_two, '.3f', 'pool_two' in missed)}, tied {row.tied:.3f})"
                )
    return table


def honest_table(total: dict[str, Any]) -> Table:
    """Return a table of the kinds of honest accounts."""
    table = [["honest kind", "accounts", "acted on", "in 10,000", "95 %", "in campaigns", "suspended", "requests lost"]]
    every = {
        name: sum(row[name] for row in total["benign"].values())
        for name in ("in_campaigns", "suspended", "requests", "requests_lost")
    }
    for kind, row in [*total["benign"].items(), ("all", total["harm"] | every)]:
        low, high = row["ci95"]
        table.append([
            kind, str(row["accounts"]), str(row["acted_on"]), f"{row['per_10k']:g}", f"{low:g}-{high:g}", str(row["in_campaigns"]),
            str(row["suspended"]), f"{row['requests_lost'] / max(1, row['requests']):.3%}",
        ])  # fmt: skip
    return table


def _suspended(total: dict[str, Any]) -> int:
    return sum(int(row["suspended"]) for row in total["benign"].values())


def summary(rows: Sequence[Found], total: dict[str, Any], alerts: int, suite: str) -> str:
    """Return the sentence under the tables."""
    harm, met = total["harm"], sum(1 for row in rows if not row.missed(goal_of(row.scenario, suite)))
    return (
        f"{met} of {len(rows)} campaigns meet all of their goals. Honest accounts acted on: {harm['acted_on']} of {harm['accounts']} = "
        f"{harm['per_10k']:g} in 10,000 (95 % {harm['ci95'][0]:g}-{harm['ci95'][1]:g}; goal {HARM_GOAL:g}), suspended {_suspended(total)}; "
        f"false campaigns {total['false_campaigns']}; alerts {alerts}."
    )


def markdown(table: Table) -> str:
    """Return a table as Markdown."""
    lines = ["| " + " | ".join(row) + " |" for row in table]
    return "\n".join([lines[0], "|" + "---|" * len(table[0]), *lines[1:]])


def text(table: Table) -> str:
    """Return a table for a terminal."""
    widths = [max(len(row[k].replace("**", "!")) for row in table) for k in range(len(table[0]))]
    return "\n".join(
        "  ".join(c.replace("**", "!").ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in table
    )


# --- Floors ---


@dataclass(slots=True)
class Floor:
    """What no campaign of a scenario may be worse than; the suite's own is in `[SUITE]`, as `SUITE_FLOOR` has it."""

    linked_min: float = 0.0
    precision_min: float = 0.0
    ids_max: int = 1_000
    requests_max: float | None = None  # an account before the campaign is named; None: it need not be
    decided_max: float | None = None
    prevented_min: float = 0.0

    @classmethod
    def under(cls, rows: Sequence[Found]) -> "Floor":
        """Return a floor under the worst of some campaigns, with room for noise."""
        requests = [row.requests for row in rows]
        decided = [row.decided for row in rows]
        return cls(
            linked_min=round(max(0.0, min(row.linked for row in rows) - 0.05), 3),
            precision_min=round(max(0.0, min(row.precision for row in rows) - 0.03), 3),
            ids_max=max(row.ids for row in rows),
            requests_max=None if None in requests else round(1.25 * max(r for r in requests if r is not None) + 0.5, 1),
            decided_max=None if None in decided else round(1.25 * max(d for d in decided if d is not None) + 2, 1),
            prevented_min=round(max(0.0, min(row.prevented for row in rows) - 0.1), 3),
        )

    def broken(self, row: Found) -> Iterator[str]:
        """Yield what is worse than this."""
        if row.linked < self.linked_min:
            yield f"linked {row.linked:.3f} < {self.linked_min}"
        if row.precision < self.precision_min:
            yield f"precision {row.precision:.3f} < {self.precision_min}"
        if row.ids > self.ids_max:
            yield f"{row.ids} ids > {self.ids_max}"
        if self.requests_max is not None and (row.requests is None or row.requests > self.requests_max):
            yield f"named after {_cell(row.requests, None, '.1f', missed=False)} requests an account > {self.requests_max}"
        if self.decided_max is not None and (row.decided is None or row.decided > self.decided_max):
            yield f"acted upon after {_cell(row.decided, None, '.0f', missed=False)} requests > {self.decided_max}"
        if row.prevented < self.prevented_min:
            yield f"harvest prevented {row.prevented:.3f} < {self.prevented_min}"


SUITE_FLOOR = {"acted_on_max": 3, "suspended_max": 0, "false_campaigns_max": 1}
"""Of all streams of a suite together; the figures are the room above what is measured when floors are set."""


def _of_suite(total: dict[str, Any]) -> dict[str, int]:
    return {
        "acted_on_max": total["harm"]["acted_on"],
        "suspended_max": _suspended(total),
        "false_campaigns_max": total["false_campaigns"],
    }


def broken(floors: dict[str, Any], rows: Sequence[Found], total: dict[str, Any]) -> list[str]:
    """Return what is worse than the floors of a suite. Raises ValueError for a floor that is not known."""
    every = [
        f"{name[:-4]} {value} > {floors[name]}" for name, value in _of_suite(total).items() if value > floors[name]
    ]
    unknown = set(floors) - set(SUITE_FLOOR) - {row.scenario for row in rows}
    if unknown:
        raise ValueError(f"floors of what was not measured: {', '.join(sorted(unknown))}")
    for row in rows:
        floor = Floor(**floors[row.scenario])
        every += [f"{row.stream}: {what}" for what in floor.broken(row)]
    return every


def set_floors(path: Path, suite: str, rows: Sequence[Found], total: dict[str, Any]) -> None:
    """Write the section of a suite anew, from what was found."""
    held = tomllib.loads(path.read_text()) if path.exists() else {}
    own: dict[str, Any] = {
        name: value + SUITE_FLOOR[name] * (name != "suspended_max") for name, value in _of_suite(total).items()
    }
    for scenario in dict.fromkeys(row.scenario for row in rows):
        floor = Floor.under([row for row in rows if row.scenario == scenario])
        own[scenario] = {name: value for name, value in asdict(floor).items() if value is not None}
    held[suite] = own
    lines = [
        "# What the suites of the arena may not fall below: `benchmarks/arena.py --floors`, written by `--set-floors`.",
        "",
    ]
    for name, section in held.items():
        lines += [f"[{name}]", *(f"{key} = {value}" for key, value in section.items() if not isinstance(value, dict))]
        for scenario, floor in section.items():
            if isinstance(floor, dict):
                lines += ["", f"[{name}.{scenario}]", *(f"{key} = {value}" for key, value in floor.items())]
        lines.append("")
    path.write_text("\n".join(lines))


# --- The command ---


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("names", nargs="*", help="folders of ROOT, or scenarios with --suite; all if none is named")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--arena", type=Path, help="folder with make.py and score.py")
    parser.add_argument("--suite", help="make what ROOT lacks of this suite of the arena")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--disguise", action="store_true")
    parser.add_argument("--days", type=float, help="of each stream, instead of the suite's")
    parser.add_argument("--corpora", type=Path, nargs="+", help="prompt sets, instead of the arena's own")
    parser.add_argument("--scored", action="store_true", help="replay nothing: score what OUT holds")
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    parser.add_argument("--floors", type=Path, metavar="FILE")
    parser.add_argument("--set-floors", type=Path, metavar="FILE")
    args = parser.parse_intermixed_args()
    if args.arena is None and (args.suite or args.floors or args.set_floors or args.markdown or args.scored):
        parser.error("this needs --arena")
    return args


def streams(args: argparse.Namespace, pool: ProcessPoolExecutor) -> list[str]:
    """Return the names of the streams to replay, made if need be."""
    if not args.suite:
        return args.names or sorted(path.parent.name for path in args.root.glob("*/events.jsonl*"))
    options = [
        "--suite",
        args.suite,
        *(["--disguise"] if args.disguise else []),
        *(["--days", str(args.days)] if args.days else []),
    ]
    options += ["--corpora", *(str(path.resolve()) for path in args.corpora)] if args.corpora else []
    scenarios = args.names or _scenarios(args.arena)
    lacking = list(missing(scenarios, args.seeds, args.root, args.jobs))
    parts, seeds = [part for part, _ in lacking], [seed for _, seed in lacking]
    for _ in pool.map(partial(make, args.arena, args.root, options=options), parts, seeds):
        pass
    return [f"{name}-{seed}" for seed in args.seeds for name in scenarios]


def _scenarios(arena: Path) -> list[str]:
    code = "import json; from arena.campaigns import SCENARIOS; print(json.dumps(list(SCENARIOS)))"
    done = subprocess.run([sys.executable, "-B", "-c", code], check=True, capture_output=True, cwd=arena)
    return [str(name) for name in json.loads(done.stdout)]


def main() -> int:
    """Make, replay, score, compare; returns 1 if a floor is broken."""
    args = arguments()
    suite = (args.suite or args.root.name) + (f"-{DISGUISED}" if args.disguise else "")
    with ProcessPoolExecutor(args.jobs) as pool:
        names = streams(args, pool)
        roots, outs = [args.root / name for name in names], [args.out / name for name in names]
        if not args.scored:
            for line in pool.map(run, roots, outs):
                print(line, flush=True)
        if args.arena is None:
            return 0
        results = dict(zip(names, pool.map(score, repeat(args.arena), roots, outs), strict=True))
    total, rows = scorer(args.arena).summed(results), found(results)
    tables = [campaign_table(rows, results, suite), honest_table(total)]
    closing = summary(rows, total, sum(result["alerts"] for result in results.values()), suite)
    print("", *map(text, tables), closing, sep="\n\n")
    if args.markdown:
        args.markdown.write_text("\n\n".join([markdown(tables[0]), closing, markdown(tables[1])]) + "\n")
    if args.set_floors:
        set_floors(args.set_floors, suite, rows, total)
    if not args.floors:
        return 0
    worse = broken(tomllib.loads(args.floors.read_text())[suite], rows, total)
    print("", *(f"below the floor: {what}" for what in worse), sep="\n")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
