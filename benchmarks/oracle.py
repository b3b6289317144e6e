"""What could be found at all: `python benchmarks/oracle.py STREAM... [--per 1 2 3 5 10 20]`.

STREAM is a folder with `events.jsonl` and `labels.json`. The oracle knows the labels and looks at the groups of fingerprints
that the engine forms, before anything is judged. For every campaign it prints, at so many requests an account on average:

- seen: how many of its accounts have sent anything. Fewer than three can be named by nobody.
- grouped: how many are in a group of four accounts or more that is nearly all its own (80 %). Nothing that is found by text
  can link more than that, however well it judges.
- score: the best that the judge says of such a group. What is grouped but scores below the bar is lost to the judgement.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from stream_guard.campaigns import groups, judge
from stream_guard.campaigns.report import unpack
from stream_guard.campaigns.window import Window
from stream_guard.engine import AccountHalf, EngineSettings
from stream_guard.events import RequestEvent

PURE = 0.8


def grouped(window: Window, own: set[str]) -> tuple[int, int, float]:
    """Return how many of these accounts are seen, how many are in a group of their own, and the best group's score."""
    mine = np.array([name in own for name in window.names])
    carried = groups.form(window)
    count, look = len(carried.sizes), judge.Look.over(window)
    if not len(carried.group):
        return int(mine.sum()), 0, float("nan")
    pairs = judge.Pairs(carried.group.astype(np.int64), carried.account.astype(np.int64), carried.sighting)
    found = judge.measure(look, pairs, carried.sizes.astype(np.int64), count)
    accounts = np.bincount(found.cluster, minlength=count).astype(float)
    score = judge.judge(found.features, accounts, judge.usual(found.features, accounts)).score
    guilty = np.bincount(found.cluster, mine[found.account], count)
    pure = (accounts >= groups.ACCOUNTS_MIN) & (guilty >= PURE * accounts)
    members = np.unique(found.account[pure[found.cluster] & mine[found.account]])
    return int(mine.sum()), len(members), float(score[pure].max()) if pure.any() else float("nan")


def study(stream: Path, per: list[int]) -> None:
    """Print the table of one stream."""
    labels: dict[str, Any] = json.loads((stream / "labels.json").read_text())
    decode = msgspec.json.Decoder(RequestEvent).decode
    events = [decode(line) for line in (stream / "events.jsonl").read_bytes().splitlines()]
    for name, about in labels["campaigns"].items():
        own = {account for account, of in labels["accounts"].items() if of["label"] == name}
        sent = [i for i, event in enumerate(events) if event.account_id in own]
        half = AccountHalf(EngineSettings())
        window, at = Window(half.settings.linking), 0
        for n in per:
            if n * about["accounts"] > len(sent):
                break
            end = sent[n * about["accounts"] - 1] + 1
            half.process(events[at:end])
            half.advance(events[end - 1].ts + 60.0)
            at = end
            raw = half.take_report()
            for news in msgspec.msgpack.decode(raw, type=list[bytes]) if raw else []:
                window.take(unpack(news))
            seen, linked, score = grouped(window, own)
            print(
                f"{stream.name:16} {name} {n:3} requests each: of {about['accounts']:4} accounts seen {seen:4}, "
                f"grouped {linked:4}, score {score:5.1f}",
                flush=True,
            )


def main() -> None:
    """Look at every stream named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("streams", nargs="+", type=Path)
    parser.add_argument("--per", nargs="+", type=int, default=[1, 2, 3, 5, 10, 20])
    args = parser.parse_args()
    for stream in args.streams:
        study(stream, args.per)


if __name__ == "__main__":
    main()
