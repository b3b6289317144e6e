"""The same input in the same order gives the same output, byte for byte, however it is cut and whenever it is restored."""

import random
from itertools import pairwise

import pytest
from core_requests import DAY, T0, campaign, crowd, facts, prose, request
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream_guard import simulate
from stream_guard.codecs import encode
from stream_guard.engine import AccountHalf, Engine, EngineSettings, Outcome, PopulationHalf
from stream_guard.engine.account_half import STEP_EVENTS
from stream_guard.sketch import encode as sketched

ACTING = EngineSettings(shadow=False)


def told(outcome):
    """Return an outcome as bytes."""
    return [encode(record) for part in (outcome.decisions, outcome.alerts, outcome.campaigns) for record in part]


def odd():
    """Return requests that are unusual in every way that the engine takes care of."""
    rnd = random.Random(7)
    made = []
    for i in range(60):
        made.append(
            request(
                f"odd{i % 9}",
                T0 + i * 900,
                prompt=prose(i),
                reasoning_refs=(f"item{i % 5}",),
                conversation_id=f"talk{i}",
                turn=i,
            )
        )
        made.append(request(f"odd{i % 4}", T0 + i * 900, event_id=f"again{i % 6}", system=prose("s"), prompt=prose(i)))
        made.append(
            request(
                f"far{i % 3}",
                T0 + 900 * DAY * (i % 3) + i * 900,
                sketch=sketched(prose(i % 7)) if i % 2 else "no sketch",
            )
        )
        facts_of = facts(3.0, T0, email_domain="lab.example") if i % 3 else None
        made.append(
            request(
                f"half{i % 8}",
                T0 + i * 900 - rnd.randrange(4000),
                account=facts_of,
                org_id="lab" if i % 4 == 1 else None,
            )
        )
    return made


TRAFFIC = sorted(campaign(24) + crowd(60) + odd(), key=lambda event: (min(event.ts, T0 + 12 * 3600), event.event_id))


def run(engine, parts, *, restart=()):
    """Feed parts one after the other; before those in `restart` the engine is replaced by one from its snapshot."""
    out = Outcome()
    for i, part in enumerate(parts):
        if i in restart:
            state = engine.snapshot()
            engine = Engine(engine.settings)
            engine.restore(state)
        out.extend(engine.process(part))
    out.extend(engine.advance(engine.now + 120))
    return told(out), engine


def parts(events, cuts):
    """Cut events at these places."""
    places = [0, *sorted(cuts), len(events)]
    return [events[a:b] for a, b in pairwise(places)]


@pytest.fixture(scope="module")
def whole():
    return run(Engine(ACTING), [TRAFFIC])


def test_the_traffic_is_worth_it(whole):
    out, engine = whole
    assert any(b'"campaign_id"' in record for record in out)
    assert all(engine.oddities.values()), engine.oddities


def test_a_batch_of_n_is_n_batches_of_one(whole):
    out, engine = run(Engine(ACTING), [[event] for event in TRAFFIC])
    assert out == whole[0]
    assert [engine.account(name) for name in ("bad1", "good1", "odd1", "half1")] == [
        whole[1].account(name) for name in ("bad1", "good1", "odd1", "half1")
    ]
    assert engine.campaigns() == whole[1].campaigns()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, len(TRAFFIC)), max_size=12))
def test_however_it_is_cut(whole, cuts):
    assert run(Engine(ACTING), parts(TRAFFIC, cuts))[0] == whole[0]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, len(TRAFFIC)), min_size=1, max_size=5), st.data())
def test_whenever_it_is_restored(whole, cuts, data):
    cut = parts(TRAFFIC, cuts)
    restart = data.draw(st.sets(st.integers(0, len(cut) - 1), min_size=1))
    assert run(Engine(ACTING), cut, restart=restart)[0] == whole[0]


@pytest.mark.parametrize("place", [1, STEP_EVENTS - 1, STEP_EVENTS, STEP_EVENTS + 1])
def test_a_restart_around_a_step(whole, place):
    assert run(Engine(ACTING), parts(TRAFFIC, [place]), restart=[1])[0] == whole[0]


def test_simulated_traffic_cut_and_restored():
    events = [event for event, _ in simulate.stream(simulate.Scenario("focused", accounts=80, days=0.5, seed=3))]
    out, engine = run(Engine(ACTING), [events])
    size = len(events) // 7
    cut = parts(events, [*range(size, len(events), size)])
    again, other = run(Engine(ACTING), cut, restart=range(1, len(cut), 2))
    assert again == out != []
    assert other.campaigns() == engine.campaigns()


def test_a_restored_engine_gives_the_same_snapshot(whole):
    state = whole[1].snapshot()
    other = Engine(ACTING)
    other.restore(state)
    assert other.snapshot() == state
    assert other.accounts_held == whole[1].accounts_held
    assert (other.now, other.oddities) == (whole[1].now, whole[1].oddities)


# --- The same news twice ---


def halves(events):
    """Run the halves apart; returns them, with the reports and verdicts that passed between them."""
    accounts, population, reports, verdicts = AccountHalf(ACTING), PopulationHalf(ACTING), [], []
    for part in parts(events, range(300, len(events), 300)):
        accounts.process(part)
        if (news := accounts.take_report()) is not None:
            reports.append(news)
            population.process(news)
        for word in population.take_verdicts():
            verdicts.append(word)
            accounts.apply_verdict(word)
    return accounts, population, reports, verdicts


def test_a_report_seen_twice_changes_nothing():
    _, population, reports, _ = halves(TRAFFIC)
    before = population.snapshot()
    for news in reports:
        assert told(population.process(news)) == []
    assert population.snapshot() == before
    assert population.take_verdicts() == []


def test_a_verdict_seen_twice_changes_nothing():
    accounts, _, _, verdicts = halves(TRAFFIC)
    assert verdicts
    before = accounts.snapshot()
    for word in verdicts:
        assert told(accounts.apply_verdict(word)) == []
    assert accounts.snapshot() == before


def test_a_verdict_about_strangers_is_harmless():
    _, _, _, verdicts = halves(TRAFFIC)
    stranger = AccountHalf(ACTING)
    stranger.process(crowd(20, prefix="other"))
    before = stranger.snapshot()
    for word in verdicts:
        assert told(stranger.apply_verdict(word)) == []
    assert stranger.snapshot() == before


def test_events_seen_twice_change_nothing(whole):
    out, engine = run(Engine(ACTING), [TRAFFIC])
    requests = {name: engine.account(name).requests for name in ("bad1", "good1", "odd1")}
    assert told(engine.process(TRAFFIC[-500:])) == []
    assert {name: engine.account(name).requests for name in requests} == requests
    assert out == whole[0]
