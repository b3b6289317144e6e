"""Who sends: addresses, client programs, plans, payments, and when in the day they ask. All of it is modelled."""

import math
import random
import zlib
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Literal

from stream_guard.events import AccountFacts, Client

DAY_S = 86_400.0

COUNTRIES: dict[str, tuple[int, tuple[int, ...], int]] = {
    "US": (-6, (7018, 7922, 21928, 22773), 5),
    "IN": (5, (9829, 24560, 45609), 3),
    "DE": (1, (3209, 3320, 8881), 2),
    "BR": (-3, (18881, 26599, 28573), 2),
    "GB": (0, (2856, 5089, 13285), 2),
    "JP": (9, (2516, 4713, 17676), 2),
    "CN": (8, (4134, 4808, 4837), 2),
    "FR": (1, (3215, 5410, 12322), 1),
    "KE": (3, (33771, 36926), 1),
    "KR": (9, (3786, 4766), 1),
    "MX": (-6, (8151, 28554), 1),
    "SE": (1, (3301, 39651), 1),
}
"""Country: hours from UTC, networks of its people, weight among honest accounts."""

CLOUD_NETWORKS = (8075, 14061, 14618, 15169, 16276, 16509, 20473, 24940, 63949)
LIBRARIES = (
    "openai-python/2.8.1",
    "anthropic-python/0.75.0",
    "python-requests/2.32.5",
    "litellm/1.80.5",
    "langchain/1.1.0",
    "node-fetch/3.3.2",
    "okhttp/4.12.0",
    "Go-http-client/2.0",
)
BROWSERS = (
    "Mozilla/5.0 (Windows NT 10.0) console",
    "Mozilla/5.0 (Macintosh) console",
    "Mozilla/5.0 (Linux; Android 15) console",
)
HARNESSES = {
    "claude-code": "claude-cli/2.0.60",
    "codex-cli": "codex_cli_rs/0.65",
    "aider": "aider/0.86.1",
    "cline": "cline/3.40",
    "cursor": "cursor/2.1",
}
PLANS = {
    "free": 50_000.0,
    "pro": 1_000_000.0,
    "team": 5_000_000.0,
    "business": 30_000_000.0,
    "enterprise": 500_000_000.0,
}
"""Plan: entitlement in tokens a day."""

MAIL = ("gmail.com", "gmail.com", "outlook.com", "icloud.com", "yahoo.com", "proton.me", "qq.com", "163.com")
DISPOSABLE_MAIL = ("inbox-now.example", "mailpad.example", "ten-minute.example")

Rhythm = Literal["human", "office", "steady", "flat", "rounds", "nightly"]
"""human: sessions by day; office: the same on a class's hours; steady: machines with a daily swell; flat: a levelled
machine; rounds: one request at the same moments as all others in rounds; nightly: all within one hour."""


def country(rnd: random.Random) -> str:
    """Return a country, by weight."""
    return rnd.choices(list(COUNTRIES), [weight for _, _, weight in COUNTRIES.values()])[0]


def address(rnd: random.Random, block: int | None = None) -> str:
    """Return an address within the /24 that `block` names, or anywhere."""
    block = rnd.getrandbits(24) if block is None else block
    return f"{(block >> 16 & 127) + 23}.{block >> 8 & 255}.{block & 255}.{rnd.randrange(1, 255)}"


def fingerprint(agent: str, build: int = 0) -> str:
    """Return a TLS fingerprint (the form of JA4) that follows from the client program and its build."""
    crc = zlib.crc32(f"{agent.partition('/')[0]} {build}".encode())
    return f"t13d{15 + crc % 3}{10 + build:02d}h2_{crc:08x}_{zlib.crc32(agent[:5].encode()):08x}"


def clients(
    rnd: random.Random,
    agents: Sequence[str],
    where: str,
    addresses: int = 2,
    *,
    cloud: bool = False,
    block: int | None = None,
) -> list[Client]:
    """Return what an account is seen as: each client program from each of its addresses."""
    asn = rnd.choice(CLOUD_NETWORKS if cloud else COUNTRIES[where][1])
    seen = []
    for _ in range(addresses):
        ip = address(rnd, block)
        seen += [Client(ip, asn, where, agent, fingerprint(agent, int(rnd.random() < 0.06))) for agent in agents]
    return seen


def payment(rnd: random.Random) -> str:
    """Return the id of a means of payment."""
    return f"pay_{rnd.getrandbits(36):09x}"


def organisation(rnd: random.Random) -> tuple[str, str]:
    """Return an organisation's id and its mail domain."""
    number = rnd.getrandbits(32)
    return f"org_{number:08x}", f"firm-{number % 99_991}.example"


def facts(
    rnd: random.Random,
    created_at: float,
    tier: str,
    *,
    mail: str | None = None,
    pathway: str | None = None,
    paid_by: str | None = None,
) -> AccountFacts:
    """Return what the provider knows of an account."""
    return AccountFacts(
        round(created_at), tier, paid_by or payment(rnd), mail or rnd.choice(MAIL), pathway, PLANS[tier]
    )


@lru_cache(maxsize=128)
def _hours(rhythm: Rhythm, shift: int) -> tuple[float, ...]:
    """Cumulative weights of the 24 hours of UTC for somebody `shift` hours ahead of it."""
    local = [(hour + shift) % 24 for hour in range(24)]
    if rhythm == "flat":
        weights = [1.0] * 24
    elif rhythm == "steady":
        weights = [1 + 0.35 * math.sin((hour - 8) / 24 * 2 * math.pi) for hour in local]
    else:
        middle, width = (13.0, 2.5) if rhythm == "office" else (15.0, 4.0)
        weights = [math.exp(-(((hour - middle) / width) ** 2) / 2) + 0.01 for hour in local]
    total = sum(weights)
    return tuple(accumulate(weight / total for weight in weights))


def _moment(rnd: random.Random, hours: tuple[float, ...]) -> float:
    hour = min(bisect_left(hours, rnd.random()), 23)
    return (hour + rnd.random()) * 3600


def arrivals(rnd: random.Random, per_day: float, rhythm: Rhythm, shift: int = 0) -> list[float]:
    """Return the seconds of one day (unsorted) at which somebody asks who asks `per_day` times on average."""
    if rhythm == "nightly":
        start = ((2 - shift) % 24) * 3600
        return [start + rnd.random() * 3600 for _ in range(round(per_day))]
    if rhythm == "rounds":
        return [at * DAY_S / per_day + rnd.random() * 20 for at in range(round(per_day))]
    hours = _hours(rhythm, shift % 24)
    if rhythm in ("steady", "flat"):
        return [_moment(rnd, hours) for _ in range(_poisson(rnd, per_day))]
    length = rnd.uniform(3.0, 9.0)
    times: list[float] = []
    for _ in range(_poisson(rnd, per_day / length)):
        at = _moment(rnd, hours)
        for _ in range(1 + _poisson(rnd, length - 1)):
            if at < DAY_S:
                times.append(at)
            at += 20 + rnd.expovariate(1 / 180)
    return times


def _poisson(rnd: random.Random, mean: float) -> int:
    if mean > 50:
        return max(0, round(rnd.gauss(mean, math.sqrt(mean))))
    limit, product, count = math.exp(-mean), rnd.random(), 0
    while product > limit:
        product *= rnd.random()
        count += 1
    return count
