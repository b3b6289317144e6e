"""Fit the weights of the judge of infrastructure: `python benchmarks/fit_infrastructure.py CACHE STREAM [STREAM ...]`.

A STREAM is a folder with `events.jsonl` and `labels.json`. All text is taken away, and because labelled streams have no
honest strangers who share anything, their honest accounts are *dressed* with sharing as it is in the world (`dressed`):
carriers' networks, proxy providers, co-working spaces, workshops whose participants register the same day on one network
with one notebook, families with one card, cloud egress, cards of a marketplace. Each stream goes through the account half
into a window; at some moments the candidates and what is gathered from them are measured as the engine does, and kept in
CACHE. The fit is a logistic regression with the sign of each weight given by what the feature means.

Printed are the weights and, with each scenario left out, what is found of it and which honest groups reach the bar.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from stream_guard.campaigns import infrastructure as judge
from stream_guard.campaigns.judge import Look
from stream_guard.campaigns.settings import LinkSettings
from stream_guard.campaigns.window import Window
from stream_guard.codecs import decode_events
from stream_guard.engine import AccountHalf, EngineSettings
from stream_guard.events import Client, RequestEvent

LOOKS = 12
BATCH = 500
DAY = 86_400.0
PEOPLE = ("individual", "viral_template", "benchmark_day")
MACHINES = ("app", "batch", "nightly", "migration")
PENALTY = 0.002
BAR, SUSPECT = LinkSettings().convict, LinkSettings().suspect


class Sharing:
    """Who of the honest accounts shares what with strangers: modelled, after how the Internet is built.

    Parameters
    ----------
    kinds
        Account -> kind of honest account; campaigns are not in it.
    begin
        When the stream begins.
    seed
        Of the draw.
    """

    def __init__(self, kinds: dict[str, str], begin: float, seed: int) -> None:
        self.rng = np.random.default_rng([seed, 77])
        self.begin = begin
        self.networks: dict[str, list[str]] = {}
        self.changes: dict[str, dict[str, Any]] = {}
        self.programs: dict[str, tuple[str, str, int | None]] = {}
        self._people = sorted(name for name, kind in kinds.items() if kind in PEOPLE)
        self.rng.shuffle(self._people)
        self._count = len(self._people)
        self._networks()
        self._workshops()
        self._cards()
        clouds = self._blocks(4)
        for name in sorted(kinds):  # functions in a cloud leave it by the cloud's addresses
            if kinds[name] in MACHINES and self.rng.random() < 0.4:
                self.networks[name] = [clouds[int(self.rng.integers(4))], clouds[int(self.rng.integers(4))]]

    def _some(self, share: float, low: int, high: int) -> Iterator[list[str]]:
        """Take people in groups, until so large a share of them is in one."""
        left = int(share * self._count)
        while left > 0 and self._people:
            size = int(self.rng.integers(low, high + 1))
            group, self._people = self._people[:size], self._people[size:]
            left -= len(group)
            yield group

    def _networks(self) -> None:
        rng = self.rng
        for group in self._some(0.30, 10, 80):  # carriers put thousands behind few addresses
            blocks = self._blocks(int(rng.integers(1, 4)))
            for name in group:
                self.networks[name] = [blocks[int(rng.integers(len(blocks)))]]
        for group in self._some(0.08, 10, 40):  # a proxy provider's customers rotate over its exits
            blocks = self._blocks(int(rng.integers(3, 9)))
            for name in group:
                self.networks[name] = [blocks[int(i)] for i in rng.integers(len(blocks), size=4)]
        for group in self._some(0.08, 5, 30):  # co-working, dormitories, offices without a contract
            (block,) = self._blocks(1)
            for name in group:
                self.networks[name] = [block]

    def _workshops(self) -> None:
        """One room, one day of registration, often one notebook, sometimes a voucher."""
        rng = self.rng
        for group in self._some(0.10, 8, 50):
            (block,) = self._blocks(1)
            day, voucher = self.begin - rng.uniform(0.1, 5.0) * DAY, f"pay_voucher{rng.integers(1 << 30)}"
            program = (
                f"workshop-{rng.integers(99)}/1.0",
                f"t13d{rng.integers(1 << 30)}",
                int(rng.choice([1024, 4096])),
            )
            one_notebook, paid = rng.random() < 0.6, rng.random() < 0.3
            for name in group:
                self.networks[name] = [block]
                self.changes[name] = {"created_at": round(day + rng.uniform(0, 0.3) * DAY), "tier": "free"}
                if paid:
                    self.changes[name]["payment_id"] = voucher
                if one_notebook:
                    self.programs[name] = program

    def _cards(self) -> None:
        """Families, friends and small shops, half of them behind a carrier with others; and resellers' cards."""
        rng, carriers = self.rng, self._blocks(4)
        for group in self._some(0.12, 2, 5):
            block = carriers[int(rng.integers(4))] if rng.random() < 0.5 else self._blocks(1)[0]
            card = f"pay_family{rng.integers(1 << 30)}"
            for name in group:
                self.networks[name] = [block]
                self.changes[name] = {"payment_id": card}
        for group in self._some(0.06, 10, 40):
            card = f"pay_reseller{rng.integers(1 << 30)}"
            for name in group:
                self.changes[name] = {"payment_id": card}

    def _blocks(self, count: int) -> list[str]:
        return [f"{a}.{b}.{c}." for a, b, c in self.rng.integers(1, 255, size=(count, 3)).tolist()]

    def dress(self, event: RequestEvent) -> RequestEvent:
        """Return the request as it would have come from where its account is now."""
        name, client, facts = event.account_id, event.client or Client(), event.account
        blocks = self.networks.get(name)
        if blocks:
            draw = int(self.rng.integers(len(blocks))), int(self.rng.integers(1, 255))
            client = msgspec.structs.replace(client, ip=f"{blocks[draw[0]]}{draw[1]}")
        limit = event.max_tokens
        if name in self.programs:
            agent, tls, limit = self.programs[name]
            client = msgspec.structs.replace(client, user_agent=agent, tls_ja4=tls)
        if facts is not None and name in self.changes:
            facts = msgspec.structs.replace(facts, **self.changes[name])
        return msgspec.structs.replace(event, client=client, account=facts, max_tokens=limit)


def bare(event: RequestEvent) -> RequestEvent:
    """Return a request without any text, or what is made of text."""
    return msgspec.structs.replace(event, prompt=None, system=None, sketch=None, harness=None, reasoning_refs=())


def looks(stream: Path, *, dressed: bool = True) -> dict[str, NDArray[Any]]:
    """Measure candidates and gathered groups at some moments of a stream."""
    about = json.loads((stream / "labels.json").read_text())
    labels = about["accounts"]
    honest = {name: a["kind"] for name, a in labels.items() if a["label"] == "benign"}
    sharing = Sharing(honest, about["start"], about["seed"])
    half, window = AccountHalf(EngineSettings()), Window(LinkSettings(accounts_max=400_000))
    lines = (stream / "events.jsonl").read_bytes().splitlines()
    at = {int(len(lines) * (k + 1) / LOOKS) // BATCH * BATCH for k in range(LOOKS)}
    rows: list[tuple[Any, ...]] = []
    for begin in range(0, len(lines), BATCH):
        events = [bare(e) for e in decode_events(lines[begin : begin + BATCH], source="", first_offset=0)[0]]
        half.process([sharing.dress(e) for e in events] if dressed else events)
        for report in half.take_reports():
            window.take(report)
        if begin not in at or not begin:
            continue
        look = Look.over(window)
        seen = judge.things(look)
        stars = judge.candidates(seen)
        if not stars:
            continue
        every = judge.Sets.of(stars)
        guilty = judge.scores(judge.measure(look, seen, every), every.sizes) >= SUSPECT
        gathered = [*judge.gather(seen, every, guilty), *judge.gather(seen, every, np.ones(len(stars), np.bool_))]
        groups = [
            *stars,
            *(who for who in gathered if len(who) >= judge.STAR_MIN),
        ]  # the second as if all were suspects
        features = judge.measure(look, seen, judge.Sets.of(groups))
        for g, who in enumerate(groups):
            truth = [labels[window.names[a]]["label"] for a in who.tolist()]
            kinds = [labels[window.names[a]]["kind"] for a in who.tolist()]
            bad = [t for t in truth if t != "benign"]
            top = max(set(bad), key=bad.count) if bad else "benign"
            kind = max(set(kinds), key=kinds.count)
            rows.append(
                (
                    features[g],
                    len(who),
                    len(bad) / len(who),
                    top,
                    kind,
                    g >= len(stars),
                    begin / len(lines),
                    _customer(window, who),
                )
            )
    columns = list(zip(*rows, strict=True)) if rows else [()] * 8
    names = ("features", "accounts", "guilty", "campaign", "kind", "gathered", "when", "customer")
    return {name: np.array(column) for name, column in zip(names, columns, strict=True)}


def _customer(window: Window, who: NDArray[np.int64]) -> bool:
    facts = window.facts[who]
    for values in (facts["org"], facts["mail"][facts["public_mail"] == 0]):
        known = values[values != 0]
        if len(known) and np.unique(known, return_counts=True)[1].max() >= LinkSettings().one_customer * len(who):
            return True
    return False


def fit(
    x: NDArray[np.float64], y: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Return weights with the signs of the shipped ones, and the bias, of a logistic regression."""
    signs = np.sign(judge.WEIGHTS)

    def loss(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        z = x @ theta[:-1] + theta[-1]
        p = 1.0 / (1.0 + np.exp(-np.clip(z, -40, 40)))
        value = (
            -(weight * np.where(y > 0, np.log(np.maximum(p, 1e-12)), np.log(np.maximum(1 - p, 1e-12)))).sum()
            / weight.sum()
        )
        slope = weight * (p - y) / weight.sum()
        return value + PENALTY * float(theta[:-1] @ theta[:-1]), np.r_[
            x.T @ slope + 2 * PENALTY * theta[:-1], slope.sum()
        ]

    bounds = [(0, 4) if s > 0 else (-4, 0) for s in signs] + [(-15, 5)]
    done = minimize(loss, np.r_[0.1 * signs, -2.0], jac=True, bounds=bounds, method="L-BFGS-B")
    return done.x[:-1], float(done.x[-1])


def main() -> None:
    """Measure the streams that are not in the cache, fit, and say what it is worth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("streams", nargs="+", type=Path)
    parser.add_argument("--measure-only", action="store_true")
    args = parser.parse_args()
    args.cache.mkdir(parents=True, exist_ok=True)
    parts = []
    for stream in args.streams:
        path = args.cache / f"{stream.parent.name}_{stream.name}.npz"
        if not path.exists():
            np.savez_compressed(path, **looks(stream))  # type: ignore[arg-type]
        with np.load(path) as kept:
            if len(kept["guilty"]):
                parts.append((stream.name.rpartition("-")[0], stream.name, {name: kept[name] for name in kept.files}))
    if args.measure_only:
        return
    scenario = np.concatenate([np.full(len(p["guilty"]), s) for s, _, p in parts])
    stream = np.concatenate([np.full(len(p["guilty"]), n) for _, n, p in parts])
    column = {name: np.concatenate([p[name] for _, _, p in parts]) for name in parts[0][2]}
    features = column["features"]
    accounts = column["accounts"].astype(float)
    x = judge.scaled(features, accounts)
    good, bad = column["guilty"] == 0, column["guilty"] >= 0.8
    used = (good | bad) & ~column["customer"]
    y = bad.astype(float)
    weight = np.sqrt(accounts) * used
    for name in np.unique(stream):  # a stream's campaigns and honest groups weigh 1 and 2
        for which, total in ((good, 2.0), (bad, 1.0)):
            mine = (stream == name) & which & used
            if mine.any():
                weight[mine] *= total / weight[mine].sum()
    w, bias = fit(x[used], y[used], weight[used])
    for name, value in zip(judge.FEATURES, w, strict=True):
        print(
            f"    {name:16} {value:7.3f}   campaigns {np.nanmean(features[used & bad, judge.FEATURES.index(name)]):.2f} "
            f"honest {np.nanmean(features[used & good, judge.FEATURES.index(name)]):.2f}"
        )
    print(f"bias {bias:.3f}; {int((used & bad).sum())} groups of campaigns, {int((used & good).sum())} honest")
    print("left out: share of gathered groups of its campaigns above the bar; honest groups above it, worst")
    for left in np.unique(scenario):
        rest = used & (scenario != left)
        w1, b1 = fit(x[rest], y[rest], weight[rest])
        z = x @ w1 + b1
        mine = used & (scenario == left)
        big = mine & (accounts >= LinkSettings().accounts_min - 0.1)
        hot = big & good & (z >= BAR)
        caught = big & bad & column["gathered"]
        told = f"{left:12} campaigns {np.mean(z[caught] >= BAR) if caught.any() else np.nan:.2f} of {int(caught.sum())}"
        worst = z[big & good].max() if (big & good).any() else np.nan
        print(
            f"{told}, honest above {int(hot.sum())} of {int((big & good).sum())} in {len(set(stream[hot]))} streams, worst {worst:.1f}"
        )


if __name__ == "__main__":
    main()
