"""Every signal: a case where it speaks, and a benign twin of it where it does not."""

import random
from dataclasses import dataclass

import numpy as np
import pytest
from core_requests import DAY, HOUR, T0, facts, prose, request, template
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_guard.accounts import ACCOUNT
from stream_guard.engine import AccountHalf
from stream_guard.events import Client
from stream_guard.signals import BY_NAME, SIGNALS, read

SPEAKS, SILENT = 0.5, 0.5
"""A signal speaks beyond the population's 10 % tail."""


@dataclass
class Case:
    """Two accounts: who one is, who the other is, and what each sends."""

    loud: str
    loud_requests: list
    benign: str
    benign_requests: list


def every(seconds, count, **fields):
    """Return requests at a steady pace."""
    return [request(ts=T0 + i * seconds, **fields) for i in range(count)]


def visits(*, days, a_day=12, seed=0, **fields):
    """Return requests of a person: a session in the morning and one in the evening, with pauses to read."""
    rnd, made = random.Random(seed), []
    for day in range(days):
        for begin in (8 * HOUR, 19 * HOUR):
            ts = T0 + day * DAY + begin + rnd.random() * HOUR
            for _ in range(a_day // 2):
                made.append(request(ts=ts, **fields))
                ts += rnd.lognormvariate(4.0, 1.4)
    return made


def asking(prompts, seconds=600.0, **fields):
    """Return requests with these prompts."""
    return [request(ts=T0 + i * seconds, prompt=prompt, **fields) for i, prompt in enumerate(prompts)]


def some(share, count=40, seconds=600.0, **fields):
    """Return requests of which a share has these fields."""
    step = round(1 / share) if share else count + 1
    return [request(ts=T0 + i * seconds, **(fields if i % step == step - 1 else {})) for i in range(count)]


def told(share, phrase, count=40):
    """Return requests of which a share asks for something in these words."""
    step = round(1 / share)
    return asking([prose(i) + (f" {phrase}" if i % step == step - 1 else "") for i in range(count)])


ADDRESSES = [Client(ip=f"10.0.{i}.{i * 7}") for i in range(40)]
AGENTS = [Client(user_agent=f"program/{i}") for i in range(40)]
OWN = {"org_id": "school", "account": facts(300.0, email_domain="school.example", tier="team")}
LONG_TALK = [f"{prose('the same thing', 12)} {prose(i, 60)}" for i in range(30)]

CASES = {
    "request_rate": Case("a harvest around the clock", every(120, 1500), "a person at work", visits(days=3)),
    "burst": Case("a loop without pause", every(1, 60), "a person in a console", every(60, 60)),
    "hourly_peak": Case("two a second for a while", every(0.5, 400), "a person in a hurry", every(300, 60)),
    "flatness": Case("the same at every hour", every(HOUR / 4, 400), "mornings and evenings", visits(days=10)),
    "longest_gap": Case("never a pause", every(60, 1500), "somebody who sleeps", visits(days=3)),
    "irregularity": Case("a timer", every(300, 200), "sessions", visits(days=10)),
    "head_start": Case("all in the first hour", every(30, 110), "somebody who finds out slowly", [request(ts=T0), *[request(ts=T0 + 2 * DAY + i * 60) for i in range(60)]]),
    "account_age": Case("made an hour ago", every(60, 5, account=facts(0.04)), "made a year ago", every(60, 5, account=facts(365))),
    "head_volume": Case("much on the first day", every(120, 700, account=facts(0.5)), "as much, by an old account", every(120, 700, account=facts(400))),
    "unvouched": Case("nobody vouches", every(60, 5, account=facts(1)), "an organisation with its own mail", every(60, 5, **OWN)),
    "unvouched_peak": Case("a machine that nobody answers for", every(20, 400, account=facts(1)), "a firm's machine", every(20, 400, **OWN)),
    "unvouched_head": Case("much on its first day, and nobody's", every(120, 400, account=facts(0.5)), "as much, a firm's", every(120, 400, **OWN)),
    "peak_for_plan": Case("a machine on a free plan", every(20, 400, account=facts(entitlement=6e4)), "one on a plan for machines", every(20, 400, account=facts(entitlement=4e8))),
    "addresses": Case("a proxy's exits", [request(ts=T0 + i * 60, client=c) for i, c in enumerate(ADDRESSES)], "home and office", [request(ts=T0 + i * 60, client=ADDRESSES[i % 2]) for i in range(40)]),
    "programs": Case("a relay's customers", [request(ts=T0 + i * 60, client=c) for i, c in enumerate(AGENTS)], "one program", [request(ts=T0 + i * 60, client=AGENTS[0]) for i in range(40)]),
    "template_share": Case("a template with a slot", asking([template(prose(i, 6)) for i in range(60)]), "questions of its own", asking([prose(i) for i in range(60)])),
    "near_duplicates": Case("the same again with another number", asking([f"{template('x')} {i}" for i in range(60)]), "a talk that repeats its subject", asking(LONG_TALK)),
    "same_opening": Case("one frame", asking([f"Translate the following sentence into French please: {prose(i)}" for i in range(40)]), "other words each time", asking([prose(i) for i in range(40)])),
    "topic_spread": Case("a narrow pipeline", asking([template(prose(i, 3)) for i in range(60)]), "all kinds of things", asking([prose(i) for i in range(60)])),
    "single_turn": Case("never goes on", every(600, 40, turn=0), "talks", [request(ts=T0 + i * 600, turn=i % 6) for i in range(42)]),
    "system_texts": Case("a relay carries its customers' texts", [request(ts=T0 + i * 60, system=prose(i)) for i in range(30)], "one assistant", every(60, 30, system=prose(0))),
    "output_ratio": Case("short questions, long answers", every(600, 30, input_tokens=40, output_tokens=3000), "reads long documents", every(600, 30, input_tokens=4000, output_tokens=200)),
    "output_volume": Case("as much as can be had", every(300, 250, output_tokens=4000), "short answers", every(300, 250, output_tokens=30)),
    "plan_use": Case("the plan and more", every(300, 250, input_tokens=2000, output_tokens=6000, account=facts(entitlement=5e5)), "as much under a larger plan", every(300, 250, input_tokens=2000, output_tokens=6000, account=facts(entitlement=5e8))),
    "length_limit": Case("cut each time", some(1.0, finish_reason="length"), "cut now and then", some(0.1, finish_reason="length")),
    "one_limit": Case("a setting", every(600, 200, max_tokens=8192), "whatever suits", [request(ts=T0 + i * 600, max_tokens=256 * (1 + i * 7 % 11)) for i in range(40)]),
    "many_samples": Case("eight answers each", some(0.5, n=8), "one answer each", some(0.5, n=1)),
    "logprobs": Case("soft labels", some(0.5, logprobs=True), "never asked for", some(0.5, logprobs=False)),
    "format_forcing": Case("a parser reads it", told(1.0, "answer in json between the tags"), "a table once", told(0.1, "as csv")),
    "reasoning_elicitation": Case("every thought in writing", told(1.0, "write down your reasoning step by step"), "a pupil with a hard one", told(0.1, "step by step please")),
    "judge_elicitation": Case("preference data", told(1.0, "score it by this rubric"), "homework to look over", told(0.1, "grade it")),
    "refusals": Case("tries what gets through", some(0.34, finish_reason="refusal"), "all in order", some(0, finish_reason="refusal")),
}  # fmt: skip
"""Signal -> its two accounts."""


def reading(requests, signal):
    half = AccountHalf()
    half.process(requests)
    return next(r for r in half.account("a").signals if r.signal == signal)


def test_every_signal_has_its_two_cases():
    assert set(CASES) == set(BY_NAME)
    assert len(BY_NAME) == len(SIGNALS)


@pytest.mark.parametrize("signal", CASES)
def test_it_speaks(signal):
    assert reading(CASES[signal].loud_requests, signal).score >= SPEAKS, CASES[signal].loud


@pytest.mark.parametrize("signal", CASES)
def test_it_does_not_speak_of_the_benign_twin(signal):
    assert reading(CASES[signal].benign_requests, signal).score < SILENT, CASES[signal].benign


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda signal: signal.name)
def test_its_declaration_holds_together(signal):
    assert signal.name.islower()
    assert signal.unit in {
        "1/d",
        "1/min",
        "1/h",
        "1/d per day of age",
        "share",
        "h",
        "d",
        "log",
        "log10",
        "ratio",
        "count",
        "tokens/d",
    }
    assert list(signal.quantiles) == sorted(signal.quantiles)
    assert len(signal.about.split()) >= 3


EXTREMES = {
    "nothing yet": 0,
    "every byte set": 255,
    "every other bit": 0x55,
}


@pytest.mark.parametrize("case", EXTREMES)
def test_an_empty_state_is_read(case):
    """Integers may hold anything; floats are what the kernel leaves: finite."""
    rows = np.full(ACCOUNT.itemsize * 3, EXTREMES[case], np.uint8).view(ACCOUNT)
    rows = rows.copy()
    for name in ACCOUNT.names:
        if ACCOUNT[name].kind == "f":
            rows[name] = 0.0
    for name, values in read(rows).items():
        assert values.shape == (3,), name
        assert values.dtype == np.float64, name
        assert np.isfinite(values).all(), name


floats = st.floats(-(2.0**40), 2.0**40, width=32)


@settings(max_examples=60, deadline=None)
@given(st.lists(floats, min_size=32, max_size=32), st.integers(0, 255))
def test_every_signal_is_finite_on_any_finite_state(values, byte):
    rows = np.full(ACCOUNT.itemsize, byte, np.uint8).view(ACCOUNT).copy()
    floating = [name for name in ACCOUNT.names if ACCOUNT[name].kind == "f"]
    for i, name in enumerate(floating):
        rows[name] = values[i % len(values)]
    assert all(np.isfinite(found).all() for found in read(rows).values())
