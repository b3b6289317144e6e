"""Requests for the tests of the core, short to write."""

import itertools
import random

from stream_guard.events import AccountFacts, RequestEvent

T0 = 1_780_272_000.0
"""2026-06-01 00:00 UTC."""
HOUR, DAY = 3_600.0, 86_400.0

_numbers = itertools.count()
_SYLLABLES = (
    "ba",
    "ce",
    "di",
    "fo",
    "gu",
    "ha",
    "je",
    "ki",
    "lo",
    "mu",
    "na",
    "pe",
    "ri",
    "so",
    "tu",
    "va",
    "we",
    "xi",
    "yo",
    "zu",
)
_SHORT = ("a", "the", "of", "to", "in", "is", "for", "on", "and", "as")


def request(who="a", ts=T0, **fields):
    """Return a request with an id of its own."""
    fields.setdefault("event_id", f"e{next(_numbers)}")
    fields.setdefault("model", "large")
    return RequestEvent(ts=ts, account_id=who, **fields)


def word(rnd):
    """Return a word that means nothing, of two to four syllables."""
    return "".join(rnd.choice(_SYLLABLES) for _ in range(rnd.randint(2, 4)))


def prose(seed, words=40):
    """Return a text of its own for each seed: two long words, then a short one."""
    rnd = random.Random(f"prose {seed}")
    return " ".join(rnd.choice(_SHORT) if i % 3 == 2 else word(rnd) for i in range(words))


def template(slot):
    """Return one template with something in its slot, as a harvest does."""
    return (
        "You are a careful grader for the school board of a small town. Read the answer of the pupil below and write down every step of "
        f"your reasoning before you give a grade between one and ten. The answer is: {slot}. Now write your reasoning in tags."
    )


def facts(age_days=400.0, now=T0, **fields):
    """Return the facts of an ordinary account."""
    return AccountFacts(
        **{"created_at": now - age_days * DAY, "tier": "pro", "email_domain": "gmail.com", "entitlement": 1e6, **fields}
    )


def campaign(members=16, each=12, start=T0, prefix="bad"):
    """Return the requests of young accounts that send one template, in time order."""
    rnd = random.Random(f"campaign {prefix} {members}")
    made = [
        request(
            f"{prefix}{m}", start + k * HOUR + m * 60 + rnd.random(), prompt=template(prose(f"{prefix} {m} {k}", 20)), turn=0, max_tokens=8192,
            input_tokens=100, output_tokens=2000, finish_reason="stop", account=facts(2.0, start, tier="free", payment_id=f"pay{prefix}{m % 4}"),
        )
        for k in range(each) for m in range(members)
    ]  # fmt: skip
    return sorted(made, key=lambda event: event.ts)


def crowd(members=40, each=12, start=T0, prefix="good"):
    """Return the requests of honest people who ask for what comes to their mind, in time order."""
    rnd = random.Random(f"crowd {prefix} {members}")
    made = [
        request(
            f"{prefix}{m}", start + k * HOUR + rnd.random() * HOUR, prompt=prose(f"{prefix} {m} {k}", rnd.randint(10, 60)), turn=k % 4,
            conversation_id=f"{prefix}{m} {k // 4}", max_tokens=rnd.choice((512, 1024, 2048, 4096)), input_tokens=rnd.randint(20, 2000),
            output_tokens=rnd.randint(20, 900), finish_reason="stop", account=facts(30.0 + 20 * m, start),
        )
        for k in range(each) for m in range(members)
    ]  # fmt: skip
    return sorted(made, key=lambda event: event.ts)
