"""Fit the weights of the cluster judge: `python benchmarks/fit_judge.py CACHE STREAM [STREAM ...] [--jobs 2] [--drop A,B]`.

A STREAM is a folder with `events.jsonl` (or `.gz`) and `labels.json` (which account is what). Each goes through the
account half and into a window; at some moments of it all groups are formed, judged and trimmed as the engine does, and
their features are kept in CACHE, a file a stream (made anew when `judge.py` has changed, or with `--anew`). A logistic
regression is fitted on them: positives are clusters of which 80 % of the accounts are of one campaign, negatives those
without any; each stream weighs the same, its honest clusters twice its campaigns, a cluster the square root of its
accounts. Relays are left out, as they have a judge of their own.

Printed are the weights, and what the fit is worth on what it has not seen: without each scenario, without the campaigns
that draw on each prompt set, without each kind of honest account, without each feature. `--write` puts the weights into the judge's source.
"""

import argparse
import gzip
import hashlib
import inspect
import json
import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_guard.campaigns import groups, judge, linking
from stream_guard.campaigns.judge import Look, Pairs
from stream_guard.campaigns.settings import LinkSettings
from stream_guard.campaigns.window import Window
from stream_guard.engine import LIVE_S, AccountHalf, EngineSettings, solo
from stream_guard.events import RequestEvent

CAMPAIGN_SHARES = (0.01, 0.02, 0.04, 0.07, 0.12, 0.2, 0.35, 0.6, 1.0)
"""Moments of a stream, by the share of its campaigns' requests that have come ..."""
STREAM_SHARES = (0.1, 0.3, 0.5, 0.75, 1.0)
"""... and by the share of all."""
BATCH = 2000
PURE = 0.8
"""Share of accounts of one campaign from which a cluster is one."""
ACCOUNTS_MIN = 5
"""Accounts from which a cluster counts in the figures; the engine convicts no smaller one."""
HONEST_WEIGHT, STREAM_WEIGHT = 2.0, 8.0
SCALE_MIN = 0.1
BAR = LinkSettings().convict
BENIGN = "benign"


# --- Features of one stream ---


class Whose(msgspec.Struct):
    """As much of a request as says whose it is."""

    account_id: str


def opened(stream: Path) -> IO[bytes]:
    """Open the events of a stream."""
    plain = stream / "events.jsonl"
    return plain.open("rb") if plain.exists() else gzip.open(stream / "events.jsonl.gz", "rb")  # type: ignore[return-value]


def digest() -> str:
    """Return what the features depend on: the judge's source (the rest of the engine changes them little)."""
    return hashlib.blake2b(inspect.getsource(judge.measure).encode(), digest_size=8).hexdigest()


class Moment(NamedTuple):
    """Clusters of one moment of a stream."""

    features: NDArray[np.float32]  # [clusters, FEATURES], not shrunk
    accounts: NDArray[np.int64]
    guilty: NDArray[np.float64]  # share of the accounts that are of `label`
    label: NDArray[np.str_]  # the campaign that most of the guilty are of, or BENIGN
    kind: NDArray[np.str_]  # what most of the accounts are
    trimmed: NDArray[np.bool_]
    customer: NDArray[np.bool_]  # one organisation or mail domain: never a campaign


def moments(stream: Path, about: dict[str, Any]) -> tuple[list[int], list[dict[str, int]]]:
    """Return after how many requests to look, and how many requests each campaign has sent by then."""
    whose = msgspec.json.Decoder(Whose)
    with opened(stream) as lines:
        labels = [about["accounts"][whose.decode(line).account_id]["label"] for line in lines]
    guilty = [at for at, label in enumerate(labels, start=1) if label != BENIGN]
    looks = {int(len(labels) * share) for share in STREAM_SHARES}
    if guilty:
        looks |= {guilty[max(0, int(len(guilty) * share) - 1)] for share in CAMPAIGN_SHARES}
    sent, counts = dict.fromkeys(about["campaigns"], 0), []
    for at, label in enumerate(labels, start=1):
        if label != BENIGN:
            sent[label] += 1
        if at in looks:
            counts.append(dict(sent))
    return sorted(looks), counts


def clusters(window: Window, look: Look) -> tuple[Pairs, NDArray[np.int64], NDArray[np.bool_]]:
    """Return all groups of some size, then the same trimmed as the linker does; their fingerprints; which are trimmed."""
    carried = groups.form(window)
    starts = np.searchsorted(carried.group, np.arange(len(carried.sizes) + 1))
    whole, trimmed = [], []
    for g in range(len(carried.sizes)):
        part = slice(starts[g], starts[g + 1])
        account, sighting = carried.account[part].astype(np.int64), carried.sighting[part]
        who, inverse, n = np.unique(account, return_inverse=True, return_counts=True)
        if len(who) < groups.ACCOUNTS_MIN:
            continue
        whole.append((g, account, sighting))
        coverage = n / np.maximum(look.totals[who], 1)
        keep = (coverage >= linking.COVERAGE_MIN * np.median(coverage)) & (n >= 2)
        payment = window.facts["payment"][who]
        keep |= np.isin(payment, payment[keep]) & (payment != 0) & ~judge.vouched(window.facts[who])
        if keep.sum() >= groups.ACCOUNTS_MIN:
            trimmed.append((g, account[keep[inverse]], sighting[keep[inverse]]))
    every = [*whole, *trimmed]
    none = np.zeros(0, np.int64)
    pairs = Pairs(
        np.repeat(np.arange(len(every)), [len(account) for _, account, _ in every]),
        np.concatenate([none, *(account for _, account, _ in every)]),
        np.concatenate([none, *(sighting for _, _, sighting in every)]),
    )
    sizes = np.array([carried.sizes[g] for g, _, _ in every], np.int64)
    return pairs, sizes, np.arange(len(every)) >= len(whole)


def top_share(
    values: NDArray[np.int64], cluster: NDArray[np.int64], count: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the share of each cluster's most usual value, and that value."""
    best = judge.top_value(values, cluster, count)
    hits = np.bincount(cluster, (values == best[cluster]) & (values != 0), count)
    return hits / np.maximum(np.bincount(cluster, minlength=count), 1), best


def measured(window: Window, about: dict[str, Any]) -> Moment | None:
    """Measure every cluster of this moment; None if there is none."""
    look = Look.over(window)
    pairs, prints, trimmed = clusters(window, look)
    count = len(prints)
    if not count:
        return None
    features = judge.measure(look, pairs, prints, count).features
    own = np.unique(np.stack([pairs.cluster, pairs.account]), axis=1)
    cluster, account = own
    facts = window.facts[account]
    mail = np.where(facts["public_mail"], 0, facts["mail"]).astype(np.int64)
    firm, _ = top_share(facts["org"].astype(np.int64), cluster, count)
    domain, _ = top_share(mail, cluster, count)
    # What most of the accounts are: campaigns and kinds as numbers from 1 on, 0 for none of it.
    truth = [about["accounts"].get(name, {"label": BENIGN, "kind": "unknown"}) for name in window.names]
    campaigns, kinds = [BENIGN, *about["campaigns"]], ["", *sorted({t["kind"] for t in truth})]
    label = np.array([campaigns.index(t["label"]) for t in truth], np.int64)[account]
    kind = np.array([kinds.index(t["kind"]) for t in truth], np.int64)[account]
    guilty, best = top_share(label, cluster, count)
    _, kind = top_share(kind, cluster, count)
    return Moment(
        features.astype(np.float32),
        np.bincount(cluster, minlength=count),
        guilty,
        np.array(campaigns)[best],
        np.array(kinds)[kind],
        trimmed,
        np.maximum(firm, domain) >= LinkSettings().one_customer,
    )


def extract(stream: Path, cached: Path, *, anew: bool) -> str:
    """Write the features of one stream to `cached`; returns a line about it."""
    if not anew and cached.exists():
        with np.load(cached) as held:
            if str(held["digest"]) == digest() and held["names"].tolist() == list(judge.FEATURES):
                return f"{cached.stem}: as it was"
    began = time.process_time()
    about = json.loads((stream / "labels.json").read_bytes())
    looks, sent = moments(stream, about)
    settings = EngineSettings()
    solo.LEARN_MAX = 0  # single accounts are not judged here: let it cost nothing
    half, window = AccountHalf(settings), Window(settings.linking)
    found: dict[int, Moment] = {}
    decode = msgspec.json.Decoder(RequestEvent).decode
    at = 0
    with opened(stream) as lines:
        for number, until in enumerate(looks):
            while at < until:
                batch = [decode(next(lines)) for _ in range(min(BATCH, until - at))]
                half.process(batch)
                at += len(batch)
            half.advance(half.now + LIVE_S)
            for report in half.take_reports():
                window.take(report)
            if (here := measured(window, about)) is not None:
                found[number] = here
    if not found:
        return f"{cached.stem}: no clusters"
    own = {
        name: {
            "sources": c["sources"],
            "accounts": c["accounts"],
            "relay": c["plan"]["shape"] == "relay",
            "sent": [s[name] for s in sent],
        }
        for name, c in about["campaigns"].items()
    }
    moment = np.repeat(list(found), [len(m.accounts) for m in found.values()])
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(m, name) for m in found.values()]) for name in Moment._fields
    }
    told = {
        "digest": digest(),
        "names": list(judge.FEATURES),
        "scenario": about["scenario"],
        "campaigns": json.dumps(own),
    }
    temporary = cached.with_suffix(f".{os.getpid()}.npz")
    np.savez(temporary, moment=moment, **columns, **told)
    temporary.replace(cached)
    return f"{cached.stem}: {len(moment):,} clusters at {len(looks)} moments, {time.process_time() - began:.0f} s"


# --- The fit ---


class Clusters(NamedTuple):
    """Clusters of all streams; arrays are in the same order."""

    shrunk: NDArray[np.float64]  # [clusters, FEATURES]
    usual: NDArray[np.float64]  # [FEATURES]: what clusters of a population mostly are
    accounts: NDArray[np.float64]
    guilty: NDArray[np.bool_]
    trimmed: NDArray[np.bool_]
    kind: NDArray[np.str_]
    stream: NDArray[np.int64]
    campaign: NDArray[np.int64]  # place in `campaigns`, or -1
    requests: NDArray[np.float64]  # of the campaign by then, an account
    scenario: NDArray[np.str_]  # by stream
    campaigns: list[dict[str, Any]]


def load(paths: list[Path]) -> Clusters:
    """Read what `extract` wrote. Clusters of mixed company, single customers and relays are left out."""
    parts: dict[str, list[Any]] = {}
    medians: list[list[float]] = []
    trust, scenario, moment_of = [], [], []
    campaigns: list[dict[str, Any]] = []
    for number, path in enumerate(paths):
        with np.load(path) as held:
            c = {name: held[name] for name in held.files}
        scenario.append(str(c["scenario"]))
        own, label = json.loads(str(c["campaigns"])), c["label"]
        places = {name: len(campaigns) + k for k, name in enumerate(own)}
        campaigns += list(own.values())
        requests = {name: np.array(about["sent"]) / max(1, about["accounts"]) for name, about in own.items()}
        looks = int(c["moment"].max(initial=-1)) + 1
        for m in range(looks):
            here = c["features"][(c["moment"] == m) & ~c["trimmed"]].astype(float)
            known = np.isfinite(here).sum(axis=0)
            medians.append([np.median(x[np.isfinite(x)]) if n else np.nan for x, n in zip(here.T, known, strict=True)])
            trust.append(known / (known + judge.PRIOR_CLUSTERS))
        relays = [name for name, about in own.items() if about["relay"]]
        keep = ((c["guilty"] <= 0) | (c["guilty"] >= PURE)) & ~c["customer"] & ~np.isin(label, relays)
        columns = {
            "features": c["features"], "accounts": c["accounts"].astype(float), "guilty": c["guilty"] >= PURE, "trimmed": c["trimmed"],
            "kind": c["kind"], "stream": np.full(len(label), number), "campaign": np.array([places.get(x, -1) for x in label], np.int64),
            "requests": np.array([requests[x][m] if x in requests else 0.0 for x, m in zip(label, c["moment"], strict=True)]),
        }  # fmt: skip
        for name, values in columns.items():
            parts.setdefault(name, []).append(values[keep])
        moment_of.append(len(medians) - looks + c["moment"][keep])
    columns = {name: np.concatenate(values) for name, values in parts.items()}
    here, much = np.array(medians), np.array(trust)
    usual = np.nanmedian(np.where(much >= 0.5, here, np.nan), axis=0)
    ordinary = (much * np.where(np.isfinite(here), here, 0.0) + (1 - much) * usual)[np.concatenate(moment_of)]
    features = columns.pop("features").astype(float)
    shrunk = judge.judge(features, columns["accounts"], ordinary).features  # as the engine does it
    return Clusters(shrunk=shrunk, usual=usual, **columns, scenario=np.array(scenario), campaigns=campaigns)


def scaled(
    c: Clusters, used: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the features as the judge takes them, with a column of ones at the end; their centres and scales."""
    centre, scale = c.shrunk.mean(axis=0), np.maximum(c.shrunk.std(axis=0), SCALE_MIN)
    z = np.clip((c.shrunk - centre) / scale, -judge.CLIP, judge.HIGHEST) * used
    return np.concatenate([z, np.ones((len(z), 1))], axis=1), centre, scale


def importance(c: Clusters, among: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return what each cluster weighs in a fit among some of them."""
    weight = np.sqrt(c.accounts) * among
    for guilty, total in ((True, 1.0), (False, HONEST_WEIGHT)):
        of = c.guilty == guilty
        sums = np.bincount(c.stream[of], weight[of], len(c.scenario))
        weight[of] *= STREAM_WEIGHT * total / np.maximum(sums, 1e-9)[c.stream[of]]
    return weight


def fit(
    z: NDArray[np.float64],
    guilty: NDArray[np.bool_],
    weight: NDArray[np.float64],
    ridge: float,
    start: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the weights, bias last, of a ridge logistic regression (Newton's method)."""
    some = weight > 0
    z, y, w = z[some], guilty[some].astype(float), weight[some]
    penalty = np.full(z.shape[1], ridge)
    penalty[-1] = 1e-6

    def loss(b: NDArray[np.float64]) -> float:
        t = z @ b
        return float(w @ (np.logaddexp(0, t) - y * t) + 0.5 * penalty @ b**2)

    b, now = start, loss(start)
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(z @ b, -30, 30)))
        gradient = z.T @ (w * (p - y)) + penalty * b
        curvature = (z * (w * np.maximum(p * (1 - p), 1e-6))[:, None]).T @ z + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        while (then := loss(b - size * step)) > now and size > 1e-4:
            size /= 2
        if now - then < 1e-5 * abs(now):
            break
        b, now = b - size * step, then
    return b


# --- What it is worth ---


@dataclass(slots=True)
class Figures:
    """How a score does on some clusters."""

    campaigns: int
    found: int
    requests: float  # an account until the first cluster above the bar, median over the campaigns found
    best: float  # of a campaign's clusters, median over the campaigns
    honest: int
    above: int
    streams: int  # those with an honest cluster above the bar
    kinds: dict[str, int]
    highest: float

    @classmethod
    def of(cls, c: Clusters, score: NDArray[np.float64], among: NDArray[np.bool_]) -> "Figures":
        """Count what is above the bar."""
        among = among & (c.accounts >= ACCOUNTS_MIN)
        guilty = among & c.guilty
        over = guilty & c.trimmed & (score >= BAR)
        first = [c.requests[over & (c.campaign == k)].min() for k in np.unique(c.campaign[over])]
        best = [score[guilty & (c.campaign == k)].max() for k in np.unique(c.campaign[guilty])]
        honest = among & ~c.guilty
        wrong = honest & (score >= BAR)
        kinds, counts = np.unique(c.kind[wrong], return_counts=True)
        return cls(
            len(np.unique(c.campaign[guilty])), len(first), float(np.median(first)) if first else np.nan,
            float(np.median(best)) if best else np.nan, int(honest.sum()), int(wrong.sum()), len(np.unique(c.stream[wrong])),
            dict(zip(kinds.tolist(), counts.tolist(), strict=True)),
            float(score[honest].max(initial=-np.inf)),
        )  # fmt: skip


def left_out(c: Clusters) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Name what can be left out, and the clusters that go with it."""
    scenario = c.scenario[c.stream]
    for name in np.unique(c.scenario):
        yield "scenario", str(name), scenario == name
    for source in sorted({s for about in c.campaigns for s in about["sources"]}):
        drawing = np.array([source in about["sources"] for about in c.campaigns])
        yield "prompt set", source, (c.campaign >= 0) & drawing[c.campaign]
    for kind in np.unique(c.kind[~c.guilty]):
        yield "honest kind", str(kind), (c.kind == kind) & ~c.guilty


def study(c: Clusters, z: NDArray[np.float64], best: NDArray[np.float64], ridge: float) -> Iterator[str]:
    """Yield a table: how clusters are judged by a fit that has seen them, and by one that has not."""
    seen = z @ best
    head = (
        "left out",
        "campaigns",
        "found",
        "requests an account",
        "best cluster of a campaign",
        "honest clusters",
        "above the bar",
        "in streams",
        "highest honest",
        "kinds",
    )
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    unseen: dict[str, NDArray[np.float64]] = {}
    for group, name, gone in [("nothing", "", np.ones(len(seen), np.bool_)), *left_out(c)]:
        if group == "nothing":
            score = seen
        else:
            b = fit(z, c.guilty, importance(c, ~gone), ridge, best)
            score = np.where(gone, z @ b, seen)
            worst = unseen.setdefault(group, np.full(len(seen), np.nan))  # a campaign draws on several prompt sets
            worst[gone] = np.fmin(worst[gone], score[gone])
        yield _row(f"{group} {name}".strip(), Figures.of(c, seen, gone), Figures.of(c, score, gone))
    every = np.ones(len(seen), np.bool_)
    for at in np.flatnonzero(best[:-1]).tolist():
        z[:, at], kept = 0.0, z[:, at].copy()
        yield _row(
            f"feature {judge.FEATURES[at]}",
            Figures.of(c, seen, every),
            Figures.of(c, z @ fit(z, c.guilty, importance(c, every), ridge, best), every),
        )
        z[:, at] = kept
    for group, score in unseen.items():
        told = np.isfinite(score)
        yield _row(
            f"**each {group} in turn**", Figures.of(c, seen, told), Figures.of(c, np.where(told, score, 0.0), told)
        )


def _row(name: str, seen: Figures, unseen: Figures) -> str:
    def both(field: str, form: str = "") -> str:
        values = [getattr(figures, field) for figures in (seen, unseen)]
        a, b = (format(value, form) if np.isfinite(value) else "-" for value in values)
        return a if a == b else f"{a} → {b}"

    kinds = ", ".join(f"{kind} {n}" for kind, n in unseen.kinds.items())
    cells = [
        name,
        str(seen.campaigns),
        both("found"),
        both("requests", ".1f"),
        both("best", ".1f"),
        str(seen.honest),
        both("above"),
        both("streams"),
        both("highest", ".1f"),
        kinds,
    ]
    return "| " + " | ".join(cells) + " |"


# --- The judge's source ---


def priors(
    weights: NDArray[np.float64], centre: NDArray[np.float64], scale: NDArray[np.float64], usual: NDArray[np.float64]
) -> str:
    """Return the table of the judge as its source has it."""
    rows = zip(judge.FEATURES, weights, centre, scale, usual, strict=True)
    told = "".join(f'    "{name}": ({w:.3g}, {c:.3g}, {s:.3g}, {u:.3g}),\n' for name, w, c, s, u in rows)
    return "PRIORS: dict[str, tuple[float, float, float, float]] = {\n" + told + "}\n"


def write(table: str, bias: float) -> Path:
    """Put a table and a bias into the source of the judge."""
    path = Path(inspect.getfile(judge))
    source = path.read_text()
    source = re.sub(r"^PRIORS: .*?^}\n", lambda _: table, source, count=1, flags=re.DOTALL | re.MULTILINE)
    path.write_text(re.sub(r"^BIAS = .*$", f"BIAS = {bias:.3g}", source, count=1, flags=re.MULTILINE))
    return path


def main() -> None:
    """Extract, fit, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("streams", type=Path, nargs="+")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--anew", action="store_true", help="extract again what is in the cache")
    parser.add_argument("--drop", default="", metavar="A,B", help="features that get no weight")
    parser.add_argument("--ridge", type=float, default=3.3, help="penalty on squared weights")
    parser.add_argument("--quick", action="store_true", help="leave nothing out")
    parser.add_argument("--write", action="store_true", help="put the weights into the judge's source")
    args = parser.parse_args()
    streams = [path for path in args.streams if (path / "labels.json").exists()]
    args.cache.mkdir(parents=True, exist_ok=True)
    cached = [args.cache / f"{path.resolve().parent.name}_{path.name}.npz" for path in streams]
    if len(set(cached)) < len(cached):
        parser.error("two streams have the same name and folder's name")
    with ProcessPoolExecutor(args.jobs) as pool:
        for line in pool.map(partial(extract, anew=args.anew), streams, cached):
            print(line, flush=True)
    c = load([path for path in cached if path.exists()])
    used = ~np.isin(judge.FEATURES, args.drop.split(","))
    z, centre, scale = scaled(c, used)
    best = fit(z, c.guilty, importance(c, np.ones(len(z), np.bool_)), args.ridge, np.zeros(z.shape[1]))
    order = np.argsort(-abs(best[:-1]))
    print("weights:", ", ".join(f"{judge.FEATURES[i]} {best[i]:+.2f}" for i in order), f"bias {best[-1]:.2f}\n")
    for line in study(c, z, best, args.ridge) if not args.quick else []:
        print(line, flush=True)
    table = priors(best[:-1], centre, scale, c.usual)
    print(f"\n{table}BIAS = {best[-1]:.3g}")
    if args.write:
        print("written to", write(table, float(best[-1])))


if __name__ == "__main__":
    main()
