"""What the engine does about whom: by itself, in a campaign, and in spite of anything that an event may hold."""

import math
import random

import msgspec
import pytest
from core_requests import DAY, HOUR, T0, campaign, crowd, facts, prose, request, template
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_guard import simulate
from stream_guard.campaigns.settings import LinkSettings
from stream_guard.codecs import decode_event, encode
from stream_guard.engine import LIVE_S, AccountHalf, Engine, EngineSettings, Outcome, PopulationHalf
from stream_guard.engine.account_half import ITEMS_AN_EVENT
from stream_guard.events import AccountUpdate, Client, Enforcement, Feedback, RequestEvent
from stream_guard.policy import PolicySettings
from stream_guard.sketch import encode as sketched

ACTING = EngineSettings(shadow=False)


def acting(**policy):
    return EngineSettings(shadow=False, policy=PolicySettings(**policy))


def run(events, settings=ACTING):
    """Return an engine that has seen these requests, and everything that came of them."""
    engine = Engine(settings)
    out = engine.process(events)
    out.extend(engine.advance(engine.now + LIVE_S))
    return engine, out


def acted_on(out):
    """Return the accounts that any decision would have slowed down or worse."""
    return {d.account_id for d in out.decisions if d.action not in ("allow", "watch")}


BOTH = sorted(campaign() + crowd(), key=lambda event: event.ts)
BAD = {f"bad{m}" for m in range(16)}


def test_a_campaign_in_a_crowd_is_named_and_slowed_down():
    engine, out = run(BOTH)
    (view,) = engine.campaigns()
    assert set(view.accounts) == acted_on(out) == BAD
    assert engine.campaign(view.campaign.campaign_id) == view
    assert {a.campaign_id for a in out.alerts} == {view.campaign.campaign_id}
    decision = engine.check("bad1", engine.now)
    assert (decision.action, decision.shadow, decision.campaign_id) == ("throttle", False, view.campaign.campaign_id)
    assert math.isclose(sum(r.share for r in decision.reasons), 1.0, abs_tol=0.01)
    assert engine.check("good1", engine.now) is None


def test_a_crowd_alone_is_left_alone():
    out = run(crowd(80))[1]
    assert out.campaigns == []
    assert acted_on(out) == set()


def test_in_shadow_the_same_is_decided_and_said_so():
    loud, shy = run(BOTH)[1], run(BOTH, EngineSettings())[1]
    assert [d.shadow for d in shy.decisions] == [True] * len(loud.decisions)
    assert [(d.account_id, d.action, d.ts) for d in shy.decisions] == [
        (d.account_id, d.action, d.ts) for d in loud.decisions
    ]
    assert [c.accounts for c in shy.campaigns] == [c.accounts for c in loud.campaigns]


def test_it_is_still_found_where_text_does_not_leave_the_gateway():
    hidden = [decode_event(encode({**to_dict(e), "prompt": None, "sketch": sketched(e.prompt)})) for e in BOTH]
    plain, out = run(BOTH)[1], run(hidden)[1]
    assert [encode(d) for d in out.decisions] == [encode(d) for d in plain.decisions]
    assert out.decisions


def to_dict(event):
    return msgspec.to_builtins(event)


# --- The allowlist ---

ALLOWED = {
    "an account by name": (acting(allow_accounts=frozenset(BAD)), {}),
    "an organisation": (acting(allow_orgs=frozenset({"us"})), {"org_id": "us"}),
}


@pytest.mark.parametrize("case", ALLOWED)
def test_the_allowlist_is_never_acted_upon(case):
    of, fields = ALLOWED[case]
    heavy = every("bad0", 10, 1500, account=facts(0.5, T0), output_tokens=4000, max_tokens=8192, turn=0, **fields)
    events = sorted([replaced(e, **fields) if e.account_id in BAD else e for e in BOTH] + heavy, key=lambda e: e.ts)
    engine, out = run(events, of)
    out.extend(engine.learn(Feedback(engine.now, "malicious", account_id="bad0")))
    assert not BAD & acted_on(out)
    assert all(engine.check(name, engine.now) is None for name in BAD)
    assert engine.account("bad0").allowlisted
    assert not engine.account("good0").allowlisted


def test_the_organisation_counts_also_when_it_comes_late():
    first = request("a", T0, account=facts())
    engine = run(
        [first, request("a", T0 + 1), request("a", T0 + 2, org_id="us")], acting(allow_orgs=frozenset({"us"}))
    )[0]
    assert engine.account("a").allowlisted


def test_an_allowlist_that_was_changed_counts_after_a_restart():
    sends = [request("a", T0 + i, org_id="us") for i in range(3)]
    before, after = Engine(ACTING), Engine(acting(allow_orgs=frozenset({"us"})))
    before.process(sends[:2])
    after.restore(before.snapshot())
    after.process(sends[2:])
    assert after.account("a").allowlisted
    last = Engine(ACTING)
    last.restore(after.snapshot())
    last.process([request("a", T0 + 9, org_id="us")])
    assert not last.account("a").allowlisted


# --- One account by itself ---


def replaced(event, **fields):
    return msgspec.structs.replace(event, **fields)


def every(who, seconds, count, start=T0, **fields):
    return [request(who, start + i * seconds, prompt=template(prose(f"{who} {i}", 8)), **fields) for i in range(count)]


def harvest(**fields):
    """Return 2,500 requests of one template on a timer, that take away as much as can be had."""
    return every(
        "heavy", 30, 2500, turn=0, max_tokens=8192, input_tokens=150, output_tokens=4000, finish_reason="stop", **fields
    )


def application(**fields):
    """Return 2,500 requests of an application's users under one system text."""
    rnd, ts, made = random.Random(5), T0, []
    for i in range(2500):
        ts += rnd.expovariate(1 / 30)
        made.append(request("heavy", ts, prompt=prose(f"user {i}", rnd.randint(5, 60)), system=prose("assistant", 80), turn=i % 4, max_tokens=1024,
                            input_tokens=rnd.randint(200, 3000), output_tokens=rnd.randint(20, 600), finish_reason="stop", **fields))  # fmt: skip
    return made


FIRM = {"org_id": "firm", "account": facts(1.0, T0, tier="enterprise", entitlement=1e9, email_domain="firm.example")}
OLD = {"org_id": "firm", "account": facts(700.0, T0, tier="business", entitlement=1e9, email_domain="firm.example")}
SOLO = {  # requests of a heavy account: whether it is slowed down
    "young, nobody's, on a small plan": (harvest(account=facts(1.0, T0, tier="free", entitlement=2e5)), True),
    "an application that has moved here, with its organisation": (application(**FIRM), False),
    "an old account's application": (application(**OLD), False),
    "an old account's batch, as greedy as a harvest": (harvest(**OLD), False),
}


@pytest.mark.parametrize("case", SOLO)
def test_a_heavy_account_by_itself(case):
    heavy, slowed = SOLO[case]
    engine, out = run(sorted(heavy + crowd(60, 20), key=lambda e: e.ts))
    assert acted_on(out) == ({"heavy"} if slowed else set())
    solo = [c for c in engine.campaigns() if c.campaign.shape == "solo"]
    assert [c.accounts for c in solo] == ([("heavy",)] if slowed else [])
    if slowed:
        assert solo[0].campaign.evidence
        assert engine.campaign(solo[0].campaign.campaign_id) == solo[0]
        assert all(d.reasons for d in out.decisions)


# --- From outside ---


def test_an_analyst_is_heard():
    engine, _ = run(BOTH)
    out = engine.learn(Feedback(engine.now, "benign", account_id="bad1"))
    assert [d.action for d in out.decisions] == ["allow"]
    assert engine.check("bad1", engine.now + 1) is None
    out = engine.learn(Feedback(engine.now, "malicious", account_id="good1"))
    assert [d.action for d in out.decisions] == ["throttle"]


LESSONS = {
    "feedback on nobody": Feedback(T0, "malicious", account_id="nobody"),
    "feedback on no campaign": Feedback(T0, "benign", campaign_id="ca_none"),
    "feedback without an object": Feedback(T0, "benign"),
    "a ban of nobody": Enforcement(T0, "nobody", "ban"),
    "facts of nobody": AccountUpdate("nobody", facts()),
}


@pytest.mark.parametrize("case", LESSONS)
def test_what_is_said_of_nobody_breaks_nothing(case):
    engine, _ = run(BOTH)
    engine.learn(LESSONS[case])
    assert engine.campaigns()


def test_facts_from_elsewhere_count_like_those_on_events():
    with_facts, without = Engine(ACTING), Engine(ACTING)
    without.learn(AccountUpdate("a", facts(3.0, T0), "us"))
    with_facts.process([request("a", T0, account=facts(3.0, T0), org_id="us")])
    without.process([request("a", T0)])
    assert without.account("a") == with_facts.account("a")


def test_an_update_without_an_organisation_leaves_the_one_that_is_known():
    engine = Engine(acting(allow_orgs=frozenset({"us"})))
    engine.process([request("a", T0, org_id="us")])
    engine.learn(AccountUpdate("a", facts()))
    assert engine.account("a").allowlisted


def test_facts_of_accounts_without_requests_are_bounded():
    engine = Engine(EngineSettings(accounts_max=1000))
    for i in range(3000):
        engine.learn(AccountUpdate(f"a{i}", facts()))
    assert engine.accounts_held == 1000


def test_a_campaign_outlives_the_crowds_that_pass_a_small_population_half():
    small = LinkSettings(sightings_max=1024, accounts_max=2048, systems_max=1024, promoted_max=4096, first_sights=4096)
    engine, _ = run(BOTH, EngineSettings(shadow=False, linking=small))
    (before,) = engine.campaigns()
    passing = [request(f"n{i}", engine.now + i, prompt=prose(i, 12), system=prose(f"s{i}", 9)) for i in range(5000)]
    for at in range(0, len(passing), 700):
        engine.process(passing[at : at + 700])
        state = engine.snapshot()
        engine = Engine(engine.settings)
        engine.restore(state)
    held = engine._population._window
    assert len(held.rows) <= small.accounts_max
    assert len(held.system_rows) <= small.systems_max
    assert [view.accounts for view in engine.campaigns()] == [before.accounts]
    out = engine.process(
        [request("bad1", engine.now + 60, prompt=template("x")), *every("other", 1, 600, engine.now + 61)]
    )
    assert set(held.rows) >= BAD
    assert engine.check("bad1", engine.now) is not None
    assert not [campaign for campaign in out.campaigns if campaign.removed]


def test_a_member_that_was_forgotten_is_still_a_member_when_it_comes_back():
    engine, _ = run(BOTH, EngineSettings(shadow=False, accounts_max=1000))
    engine.process([request(f"n{i}", engine.now + 60 + i, prompt="hello") for i in range(3000)])
    later = engine.now + 10
    assert engine.account("bad1") is None
    engine.process([request("bad1", later, prompt="hello")])
    assert engine.account("bad1").campaign_ids == (engine.campaigns()[0].campaign.campaign_id,)


# --- Whatever comes ---


def test_before_anything_there_is_nothing():
    engine = Engine()
    assert engine.process([]) == engine.advance(T0) == Outcome()
    assert engine.campaigns() == []
    assert engine.account("a") is engine.campaign("ca_1") is engine.check("a", T0) is None
    assert engine.accounts_held == 0


HUGE = 2**31 - 1
EXTREMES = {
    "all at one moment": [request("a", T0) for _ in range(600)],
    "backwards in time": [request("a", T0 - i * HOUR) for i in range(600)],
    "before all time": [request("a", 0.0), request("a", T0)],
    "at the end of time": [request("a", 4_102_444_800.0) for _ in range(20)],
    "the largest numbers": [request("a", T0 + i, input_tokens=HUGE, output_tokens=HUGE, max_tokens=HUGE, turn=HUGE, n=HUGE) for i in range(600)],
    "the largest facts": [request("a", T0 + i, account=facts(entitlement=1e15, created_at=4_102_444_800.0)) for i in range(20)],
    "negative facts": [request("a", T0 + i, account=facts(entitlement=-1e15)) for i in range(20)],
    "empty texts": [request("a", T0 + i, prompt="", system="", conversation_id="", org_id="", harness="", client=Client(ip="", user_agent="")) for i in range(20)],
    "a long text": [request(f"a{i}", T0 + i, prompt="x y " * 200_000, system="z " * 100_000) for i in range(6)],
    "long names": [request("a" * 256, T0 + i, model="m" * 256, org_id="o" * 100_000, harness="h" * 100_000) for i in range(6)],
    "many reasoning items": [request(f"a{i}", T0 + i, reasoning_refs=tuple(f"r{j}" for j in range(5000))) for i in range(6)],
    "a system text each": [request(f"a{i % 9}", T0 + i, system=prose(i)) for i in range(1200)],
    "a model each": [request(f"a{i % 9}", T0 + i, model=f"model {i}") for i in range(1200)],
    "an account each": [request(f"a{i}", T0 + i / 1000, prompt=template("x")) for i in range(3000)],
    "no sketch": [request("a", T0 + i, sketch="?" * i) for i in range(20)],
    "names that are not what they seem": [request("__proto__\u202e", T0, model="../../x", org_id="${x}", prompt="\ud800")],
}  # fmt: skip


@pytest.mark.parametrize("case", EXTREMES)
def test_nothing_that_an_event_holds_breaks_it(case):
    events = EXTREMES[case]
    engine, out = run([*events, request("after", T0, prompt="hello")])
    engine.process(crowd(5, 3))
    other = Engine(ACTING)
    other.restore(engine.snapshot())
    view = other.account(events[-1].account_id)
    assert view is not None
    assert all(math.isfinite(r.observed) and 0 <= r.score <= 1 for r in view.signals)
    assert other.account("good1").requests == 3
    for record in (*out.decisions, *out.alerts, *out.campaigns):
        assert b"NaN" not in encode(record)


def test_a_sketch_is_not_asked_where_there_is_a_prompt():
    engine = run([request("a", T0, prompt="hello", sketch="no sketch")])[0]
    assert engine.oddities["bad_sketch"] == 0


def test_an_event_years_ahead_ends_nothing():
    engine, _ = run(BOTH)
    now = engine.now
    engine.process([request("lost", now + 3000 * DAY, prompt="hello"), request("good1", now + 60, prompt="hello")])
    assert engine.now == now + 60
    assert engine.check("bad1", engine.now).action == "throttle"
    assert engine.oddities["early"] == 1
    assert engine.account("lost").last_seen <= now


def test_of_very_many_reasoning_items_some_are_looked_at():
    half = AccountHalf()
    half.process([request("a", T0, reasoning_refs=tuple(f"r{i}" for i in range(5000)))])
    assert len(half._pending_items) == ITEMS_AN_EVENT


text = st.text(max_size=60)
anything = st.builds(
    RequestEvent,
    event_id=text.map(lambda s: "e" + s), ts=st.floats(0, 4_102_444_800), account_id=st.sampled_from("abcdefgh"), model=text.map(lambda s: "m" + s),
    org_id=st.none() | text, conversation_id=st.none() | text, turn=st.none() | st.integers(0, HUGE), finish_reason=st.none() | text,
    system=st.none() | text, prompt=st.none() | text, sketch=st.none() | text, input_tokens=st.none() | st.integers(0, HUGE),
    output_tokens=st.none() | st.integers(0, HUGE), max_tokens=st.none() | st.integers(0, HUGE), n=st.none() | st.integers(0, HUGE),
    logprobs=st.none() | st.booleans(), reasoning_refs=st.lists(text, max_size=3).map(tuple), harness=st.none() | text,
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.lists(anything, max_size=30))
def test_any_events_are_taken(events):
    engine, _ = run(events)
    assert all(engine.account(event.account_id) is not None for event in events)
    Engine(ACTING).restore(engine.snapshot())


# --- The halves apart ---


def apart(events, partitions=4):
    """Run account halves for some partitions and one population half, over bytes; returns both with what came of it."""
    accounts, population, out = [AccountHalf(ACTING, p) for p in range(partitions)], PopulationHalf(ACTING), Outcome()

    def exchange():
        for half in accounts:
            if (news := half.take_report()) is not None:
                out.extend(population.process(bytes(news)))
        for word in population.take_verdicts():
            for half in accounts:
                out.extend(half.apply_verdict(bytes(word)))

    for at in range(0, len(events), 500):
        for p, half in enumerate(accounts):
            mine = [e for e in events[at : at + 500] if sum(e.account_id.encode()) % partitions == p]
            out.extend(half.process(mine))
        exchange()
    for half in accounts:
        out.extend(half.advance(events[-1].ts + LIVE_S))
    exchange()
    out.extend(population.advance(events[-1].ts + 120))
    exchange()
    return accounts, population, out


def test_the_halves_apart_find_the_campaign_that_they_find_together():
    labelled = list(simulate.stream(simulate.Scenario("hydra", accounts=400, seed=2)))
    events = [event for event, _ in labelled]
    guilty = {event.account_id for event, label in labelled if label.campaign}
    accounts, population, out = apart(events)
    together, _ = run(events)

    def linked(views):
        return {a for view in views if view.campaign.shape != "solo" for a in view.accounts}

    assert len(linked(population.campaigns()) & guilty) >= 0.8 * len(guilty)
    assert len(linked(together.campaigns()) & guilty) >= 0.8 * len(guilty)
    assert not linked(population.campaigns()) - guilty
    assert guilty & acted_on(out) == linked(population.campaigns()) & guilty
    for name in sorted(guilty & acted_on(out))[:5]:
        home = accounts[sum(name.encode()) % 4]
        assert home.check(name, home.now) is not None
        assert sum(half.account(name) is not None for half in accounts) == 1
