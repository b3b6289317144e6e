"""Reports of an account half, made by hand for the tests of the population."""

import itertools

import numpy as np
from core_requests import DAY, T0

from stream_guard.campaigns.report import FACTS, SIGHTING, SINGLE_TURN, Report
from stream_guard.campaigns.settings import LinkSettings
from stream_guard.campaigns.window import Window
from stream_guard.sketch import DIMENSIONS, FINGERPRINTS

_serials = itertools.count(1)
SMALL = LinkSettings(sightings_max=1024, accounts_max=2048, systems_max=1024, promoted_max=4096, first_sights=4096)
"""The least that a population half can be given."""


def report(*seen, ts=T0, partition=0, facts=None, items=(), twins=None, systems=None):
    """Return a report of sightings given as (account, fingerprints, {field: value}) or (account, fingerprints).

    `facts` are {account: {field: value}}, `systems` {hash: fingerprints}, `twins` {account: vector}.
    """
    facts, systems, twins = facts or {}, systems or {}, twins or {}
    names = list(dict.fromkeys([*(s[0] for s in seen), *facts, *(item[0] for item in items), *twins]))
    known = np.zeros(len(names), FACTS)
    known["last_ts"], known["first_ts"], known["requests"] = ts, ts, 10
    for name, fields in facts.items():
        for field, value in fields.items():
            known[field][names.index(name)] = value
    hashes = [0, *systems]
    prints = np.zeros((len(hashes), FINGERPRINTS), np.uint32)
    for i, row in enumerate(systems.values(), 1):
        prints[i, : len(row)] = row
    sightings = np.zeros(len(seen), SIGHTING)
    for i, (name, shown, *more) in enumerate(seen):
        fields = {"ts": ts, "flags": SINGLE_TURN, "model": 1, "limit": 4097, **(more[0] if more else {})}
        sightings["account"][i] = names.index(name)
        sightings["prints"][i, : len(shown)] = shown
        sightings["system"][i] = hashes.index(fields.pop("system", 0))
        for field, value in fields.items():
            sightings[field][i] = value
    places = np.array([names.index(name) for name in twins], np.uint32)
    vectors = np.array(list(twins.values()), np.int8).reshape(-1, DIMENSIONS)
    return Report(
        partition, next(_serials), ts, names, known, np.array(hashes, np.uint32), prints, sightings, places, vectors,
        [(names.index(name), item, talk) for name, item, talk in items], {"1": "large", "3": "large", "4": "small"},
    )  # fmt: skip


def window(*reports, settings=SMALL):
    """Return a window that has taken these reports."""
    made = Window(settings)
    for news in reports:
        made.take(news)
    return made


def gang(names, prints, ts=T0, requests=4, *, model=3, **facts):
    """Return the report of accounts made for a purpose: two days old, on a small plan, nobody's, with one template."""
    told = {
        "created_at": ts - 2 * DAY,
        "tier": 2,
        "entitlement": 1e6,
        "tokens_day": 5e4,
        "day": 100.0,
        "mail": 5,
        "public_mail": 1,
        **facts,
    }
    seen = [(name, prints, {"limit": 8193, "model": model, "ts": ts + k}) for k in range(requests) for name in names]
    return report(*seen, facts=dict.fromkeys(names, told), ts=ts)


def crowd(count=60, ts=T0, requests=6, prefix="h"):
    """Return the report of people who share no text: old accounts, every third without an organisation."""
    names = [f"{prefix}{i}" for i in range(count)]
    facts = {
        name: {"created_at": ts - 400 * DAY, "tier": 2, "entitlement": 1e6, "tokens_day": 1e4, "org": i % 3 and 50 + i, "mail": 900 + i}
        for i, name in enumerate(names)
    }  # fmt: skip
    seen = [
        (name, [100_000 + i * 50 + k * 5 + j for j in range(5)], {"limit": 1000 + i, "model": 10 + i % 4, "ts": ts + k, "flags": 0})
        for k in range(requests) for i, name in enumerate(names)
    ]  # fmt: skip
    return report(*seen, facts=facts, ts=ts)
