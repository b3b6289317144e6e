"""What a fresh engine does in its first hours: `python benchmarks/cold_start.py STREAM [STREAM ...] [--baseline FILE]`.

A STREAM is a folder with `events.jsonl` (or `.gz`) and `labels.json` (which account is what, when each campaign starts),
as the arena and `stream-guard simulate` write them. An engine that knows nothing is put before it at a moment when a
campaign has been under way for some hours (and, where there is none, in the middle): everything that comes is new to it.
Printed are alerts, honest accounts acted on, and how far the campaign was named, after one hour and after six.
"""

import argparse
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stream_guard.app.baseline import load
from stream_guard.codecs import decode_events
from stream_guard.engine import Engine, EngineSettings, Outcome, PopulationBaseline
from stream_guard.events import RequestEvent

UNDER_WAY_S, HOURS = 3 * 3600.0, 6
BATCH_BYTES, STEP = 2_000_000, 100


def requests(stream: Path) -> Iterator[list[RequestEvent]]:
    """Read the events of a stream in batches."""
    plain = stream / "events.jsonl"
    with plain.open("rb") if plain.exists() else gzip.open(stream / "events.jsonl.gz", "rb") as lines:
        while batch := lines.readlines(BATCH_BYTES):
            yield decode_events(batch, source=stream.name, first_offset=0)[0]


def moment(about: dict[str, Any], first: float, last: float) -> float:
    """Return when to begin."""
    starts = [campaign["starts_at"] for campaign in about["campaigns"].values() if "starts_at" in campaign]
    begin = max(starts) + UNDER_WAY_S if starts else (first + last) / 2
    return min(begin, last - HOURS * 3600.0)


def look(stream: Path, baseline: PopulationBaseline | None) -> list[dict[str, Any]]:
    """Return what had happened after one hour and after all of them."""
    about = json.loads((stream / "labels.json").read_text())
    label = {name: account["label"] for name, account in about["accounts"].items()}
    batches = list(requests(stream))
    times = [batches[0][0].ts, batches[-1][-1].ts]
    begin = moment(about, *times)
    engine = Engine(EngineSettings(shadow=False))
    if baseline is not None:
        engine.begin_with(baseline)
    alerts: dict[str, int] = {}
    harmed: set[str] = set()
    seen: set[str] = set()
    members: dict[str, set[str]] = {}
    named: dict[str, float] = {}
    rows: list[dict[str, Any]] = []

    def tell(hours: float) -> None:
        rows.append(
            {
                "stream": stream.name, "hours": hours, "accounts": len(seen), "alerts": dict(alerts),
                "honest": sum(label[a] == "benign" for a in seen), "acted": len(harmed),
                "false": sum(_mostly(m, label) == "benign" for m in members.values()),
                "named": {c: round((ts - begin) / 60) for c, ts in named.items()},
            }
        )  # fmt: skip

    def take(out: Outcome) -> None:
        for alert in out.alerts:
            alerts[alert.kind] = alerts.get(alert.kind, 0) + 1
        acting = (decision.account_id for decision in out.decisions if decision.action not in ("allow", "watch"))
        harmed.update(name for name in acting if label[name] == "benign")
        for campaign in out.campaigns:
            of = members.setdefault(campaign.campaign_id, set())
            of.update(campaign.accounts)
            of.difference_update(campaign.removed)
            name = _mostly(of, label)
            if name != "benign" and len(of) >= min(3, list(label.values()).count(name)):
                named.setdefault(name, campaign.ts)

    events = [event for batch in batches for event in batch if begin <= event.ts < begin + HOURS * 3600.0]
    for at in range(0, len(events), STEP):
        part = events[at : at + STEP]
        if not rows and part[-1].ts >= begin + 3600.0:
            tell(1)
        seen.update(event.account_id for event in part)
        take(engine.process(part))
    tell(HOURS)
    return rows


def _mostly(members: set[str], label: dict[str, str]) -> str:
    """Return what half of these accounts are, "benign" if that is no campaign."""
    found = [label[name] for name in members]
    top = max(sorted(set(found)), key=found.count, default="benign")
    return top if found and 2 * found.count(top) >= len(found) else "benign"


def main() -> None:
    """Put a fresh engine before each stream."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("streams", nargs="+", type=Path)
    parser.add_argument("--baseline", type=Path, help="what is usual elsewhere, to begin with")
    args = parser.parse_args()
    baseline = load(args.baseline) if args.baseline else None
    print("| stream | hours | accounts | alerts | honest acted on | false campaigns | named after minutes |")
    print("|---|---|---|---|---|---|---|")
    total: dict[int, list[int]] = {}
    for stream in args.streams:
        for row in look(stream, baseline):
            told = ", ".join(f"{kind} {n}" for kind, n in sorted(row["alerts"].items())) or "none"
            named = ", ".join(f"{minutes}" for minutes in row["named"].values()) or "-"
            print(
                f"| {row['stream']} | {row['hours']} | {row['accounts']} | {told} | {row['acted']} | {row['false']} | {named} |",
                flush=True,
            )
            sums = total.setdefault(row["hours"], [0, 0, 0])
            sums[0] += sum(row["alerts"].values())
            sums[1] += row["acted"]
            sums[2] += row["honest"]
    for hours, (alerts, acted, honest) in total.items():
        print(f"after {hours} h: {alerts} alerts, {acted} of {honest} honest accounts acted on")


if __name__ == "__main__":
    main()
