"""What is said of campaigns: each kind where it is so, and not where something honest looks like it."""

import numpy as np
import pytest
from core_reports import report, window
from core_requests import DAY, HOUR, T0

from stream_guard import simulate
from stream_guard.campaigns.evidence import EXAMPLES, Course, takeover
from stream_guard.campaigns.reasoning import ReasoningJoin
from stream_guard.campaigns.registry import Registry
from stream_guard.campaigns.report import REFUSED, SINGLE_TURN
from stream_guard.campaigns.settings import LinkSettings
from stream_guard.campaigns.twins import Twins
from stream_guard.engine import LIVE_S, Engine, EngineSettings
from stream_guard.events import Enforcement, Release
from stream_guard.surprise import FEATURES, UNIT

SETTINGS = LinkSettings(promoted_max=1 << 16, first_sights=1 << 16, convict=-50, suspect=-50)
"""Whoever shares text is a campaign: what is said is tried out here, not who is convicted."""
TEXT = list(range(1, 15))
RELEASED = Release(T0 + HOUR, "small")
"""A new model; reports call it 4."""
MEMBERS = [f"g{i}" for i in range(12)]
YOUNG = {"created_at": T0 - 2 * DAY, "tier": 1, "entitlement": 1e6, "tokens_day": 2e5, "mail": 5, "public_mail": 1}
OLD = {
    "created_at": T0 - 400 * DAY,
    "tier": 2,
    "entitlement": 1e6,
    "tokens_day": 1e4,
    "requests": 30,
    "first_ts": T0 - DAY,
}


def members(each=None, who=MEMBERS, start=T0, hours=8, *, alike=False, **facts):
    """Return the report of accounts that send one template, an hour apart; `each` (i, ts) changes one request.

    What is in its slot is another thing each time, or the same (`alike`).
    """
    fields = {"limit": 8193, "model": 3, "flags": SINGLE_TURN, "agent": 9}
    seen = [
        (name, [*TEXT, 900_000 + (k if alike else 50 * i + k)], {**fields, "ts": ts + 293 * i % 3600, **(each(i, ts) if each else {})})
        for k, ts in enumerate(start + k * HOUR for k in range(hours)) for i, name in enumerate(who)
    ]  # fmt: skip
    end = start + hours * HOUR
    told = {name: {**YOUNG, "first_ts": start, "last_ts": end, **facts} for name in who}
    return report(*seen, facts=told, ts=end)


def people(each=None, count=40, **facts):
    """Return the report of accounts that share no text and ask six times; `each` (i, k) changes one request."""
    seen = [
        (f"h{i}", [100_000 + i * 50 + k * 5 + j for j in range(5)], {"limit": 1000 + i, "model": 10, "ts": T0 + k * HOUR, "flags": 0, "agent": 9, **(each(i, k) if each else {})})
        for k in range(6) for i in range(count)
    ]  # fmt: skip
    told = {f"h{i}": {**OLD, "mail": 900 + i, "last_ts": T0 + 6 * HOUR, **facts} for i in range(count)}
    return report(*seen, facts=told, ts=T0 + 6 * HOUR)


class Told:
    """What is said of the one campaign in some reports."""

    def __init__(self, *reports, ts=T0 + 10 * HOUR, bans=()):
        self.window, self.registry, self.joins = window(settings=SETTINGS), Registry(SETTINGS), ReasoningJoin(1000)
        self.registry.released(RELEASED)
        for name, at in bans:
            self.registry.acted_on(name, at)
        (self.record,) = self.take(*reports, ts=ts)

    def take(self, *reports, ts):
        """Take more and look; returns the records."""
        for news in reports:
            self.window.take(news)
        return self.registry.update(self.window, self.joins, Twins(64), ts)

    def of(self, kind, *, inference=False):
        """Return the evidence of a kind."""
        return [e for e in self.record.evidence if e.kind == kind and e.inference == inference]


def many(count=40):
    """Return the report of people of whom each asks as often as it likes."""
    made = people(**DAYS)
    made.facts["day"] = np.geomspace(3, 300, count)
    return made


def everybody():
    """Return the report of people who pay as members do: a card that is sold everywhere."""
    made = people()
    made.facts["payment"] = [7 + i % 2 for i in range(40)]
    return made


def takes(share):
    """Return a change that lets this share of accounts ask for the new model."""
    return lambda i, ts: {"model": 4 if i % 12 < 12 * share and ts >= RELEASED.ts else 3}


def asks(shift):
    """Prompts that stand, in all that is surprising, so many standard deviations from the usual."""

    def standing(i, when):
        draws = np.random.default_rng([i, int(when) % 100_000]).normal(shift, 1.0, len(FEATURES))
        return {"standing": np.clip(np.rint(draws * UNIT), -127, 127)}

    return standing


def probes(refused, *, varied=True, sender="g0"):
    """Return the report of an account that tries for half an hour; of ten requests so many are refused."""
    tried = [
        (sender, [70_000 + 20 * k * varied + j for j in range(14)], {"ts": T0 - 9000 + 60 * k, "flags": REFUSED * (k % 10 < refused), "agent": 9})
        for k in range(30)
    ]  # fmt: skip
    return report(*tried, facts={sender: {**YOUNG, "last_ts": T0}}, ts=T0)


def paid(alike):
    """Return a change of the facts by which so many members pay by two means."""
    made = members()
    made.facts["payment"] = [7 + i % 2 if i < alike else 100 + i for i in range(12)]
    return made


DAYS = {"requests": 40, "first_ts": T0, "last_ts": T0 + 2 * DAY}
"""Facts of accounts that have been there for days."""

TOLD = {  # kind: (reports where it is so, reports where something looks like it, what is said)
    "infrastructure": (
        [paid(12), people()], [paid(12), everybody()],
        "12 of them pay by means that another member uses too (2 in all, used by no other account)",
    ),
    "synchrony": ([members(lambda i, ts: {"ts": ts + i}), people()], [members(), people()], "within the same minute"),
    "quota": (
        [members(day=26.0, **DAYS), many()], [members(day=26.0, **DAYS), people(day=26.0, **DAYS)], "between 26 and 26 requests a day",
    ),
    "flatness": (
        [members(flatness=97, **DAYS), people()], [members(flatness=97, **DAYS), people(flatness=95, **DAYS)], "12 of 12 accounts send at all hours",
    ),
    "head_start": (
        [members(head_start=95, day=60.0), people()], [members(head_start=95, day=9.0), people()], "busiest in their first hour",
    ),
    "addresses": (
        [members(addresses=9), people(addresses=2)], [members(addresses=9), people(addresses=9)], "from four addresses or more (usual: 0%)",
    ),
    "plan_use": ([members(tokens_day=9e5), people()], [members(tokens_day=3e5), people()], "use half of a day's plan or more"),
    "metadata": (
        [members(lambda i, ts: {"agent": 0}), people()], [members(lambda i, ts: {"agent": 0}), people(lambda i, k: {"agent": 0})],
        "do not say what client program",
    ),
    "reasoning_elicitation": (
        [members(lambda i, ts: {"marks": 3}), people()], [members(lambda i, ts: {"marks": 2}), people()], "100% of its requests ask for written-out",
    ),
    "surprise": (
        [members(asks(1.5)), people(asks(0), count=60)], [members(asks(0)), people(asks(0), count=60)], "its prompts, 96 taken together, lie",
    ),
    "probe_set": ([members(alike=True), people()], [members(), people()], "8 prompts came word for word from 3 members or more"),
    "pivot": (
        [members(takes(1)), people()], [members(takes(1)), people(lambda i, k: {"model": 4})], "100% of its requests ask for it, of all others' 0%",
    ),
    "new_model": ([members(takes(1)), people()], [members(takes(0.4)), people()], "12 of 12 accounts asked for small within 24 hours"),
    "probing": (
        [probes(7), members(), people()], [probes(1), members(), people()], "1 account that has sent its text had 68% of 31 requests",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", TOLD)
def test_it_is_said_where_it_is_so(kind):
    reports, _, says = TOLD[kind]
    of = Told(*reports)
    assert says in " ".join(e.text for e in of.of(kind))
    for evidence in of.record.evidence:
        assert set(evidence.example_accounts) <= {*MEMBERS}
        assert len(evidence.example_accounts) <= EXAMPLES
        assert evidence.accounts > 0


@pytest.mark.parametrize("kind", TOLD)
def test_it_is_not_said_where_something_else_looks_like_it(kind):
    assert Told(*TOLD[kind][1]).of(kind) == []


@pytest.mark.parametrize(
    "tried", [probes(7, varied=False), probes(7, sender="p0")], ids=["one text again and again", "of somebody else"]
)
def test_refusals_alone_are_no_probing(tried):
    assert Told(tried, members(), people()).of("probing") == []


def test_what_was_counted_comes_before_what_is_concluded():
    of = Told(probes(7), members(takes(1)), people())
    concluded = [e.inference for e in of.record.evidence]
    assert concluded == sorted(concluded)
    assert of.record.evidence[0].kind == "template"
    assert {e.kind for e in of.record.evidence if e.inference} == {"probing", "judgement"}


def test_what_is_said_of_a_date_stays_said():
    of = Told(members(takes(1)), people())
    later = T0 + 20 * DAY
    (left,) = (r for r in of.take(members(who=["late", *MEMBERS], start=later), ts=later + 8 * HOUR) if r.accounts)
    assert left.accounts == ("late",)
    assert [e.since for e in left.evidence if e.kind == "pivot"] == [RELEASED.ts]


# --- Succession ---

SECOND = [f"s{i}" for i in range(10)]


def after(hours, who=SECOND, start=T0 + 9 * HOUR):
    """Return the report of a second pool that begins an hour after the first fell silent."""
    return members(who=who, start=start, hours=hours)


def test_a_second_pool_is_named_with_its_date():
    of = Told(members(), people())
    records = of.take(after(12), ts=T0 + 21 * HOUR)
    (record,) = records
    (text,) = (e.text for e in record.evidence if e.kind == "succession" and not e.inference)
    assert text == (
        "12 accounts fell silent about 2026-06-01 07:26 UTC, most within 1 h; the same text comes from 10 other accounts since 2026-06-01 09:00 UTC"
    )
    (concluded,) = (e for e in record.evidence if e.kind == "succession" and e.inference)
    assert concluded.since == T0 + 9 * HOUR
    assert {m.account_id for m in record.members if m.pool == 2} == set(SECOND)
    view = of.registry.views[record.campaign_id]
    assert {m.account_id for m in view.members if m.pool == 1} == set(MEMBERS)


def test_a_ban_needs_no_long_silence():
    assert not Told(members(), after(3), people(), ts=T0 + 12 * HOUR).of("succession")
    bans = [(name, T0 + 8 * HOUR) for name in MEMBERS]
    (said,) = Told(members(), after(3), people(), ts=T0 + 12 * HOUR, bans=bans).of("succession")
    assert "12 of them after others had acted on them" in said.text


def test_a_third_pool_follows_the_second():
    of = Told(members(), people())
    of.take(after(12), ts=T0 + 21 * HOUR)
    third = [f"t{i}" for i in range(8)]
    records = of.take(after(12, third, T0 + 23 * HOUR), ts=T0 + 35 * HOUR)
    assert {(m.account_id, m.pool) for m in records[-1].members} == {(name, 3) for name in third}
    assert "the 8 accounts of pool 3 are the successors of pool 2" in " ".join(e.text for e in records[-1].evidence)


def test_a_campaign_whose_text_comes_back_after_its_end_has_a_successor():
    of = Told(members(), people())
    later = T0 + 30 * DAY
    (ended,) = of.take(ts=later)
    assert ended.size == 0
    (record,) = of.take(members(who=SECOND, start=later), ts=later + 9 * HOUR)
    assert record.campaign_id != of.record.campaign_id
    assert record.parent_ids == (of.record.campaign_id,)
    assert f"it is the successor of {of.record.campaign_id}" in [e.text for e in record.evidence if e.inference]


def test_a_pool_that_comes_back_was_none():
    of = Told(members(), people())
    of.take(after(12), ts=T0 + 21 * HOUR)
    records = of.take(members(start=T0 + 22 * HOUR), ts=T0 + 31 * HOUR)
    assert records == []
    (view,) = of.registry.views.values()
    assert {m.pool for m in view.members} == {1}
    assert not [e for e in view.campaign.evidence if e.kind == "succession"]


def course(first, last, requests, pause=2):
    """Return the course of members; times in hours."""
    count = len(first)
    columns = np.array(first), np.array(last), np.full(count, requests / HOUR), np.full(count, pause)
    return Course(*(HOUR * column.astype(float) for column in columns), np.full(count, np.inf))


NO_SUCCESSION = {  # first, last (hours), requests of each account; now; longest pause
    "all go on": ([0] * 6 + [10] * 6, [30] * 12, 10, 31, 2),
    "a night": ([0] * 6 + [10] * 6, [12] * 6 + [18] * 6, 10, 19, 2),
    "people who went to bed": ([0] * 6 + [10] * 6, [7, 8, 9, 10, 10, 11] + [20] * 6, 20, 20, 2),
    "they leave one by one": ([0] * 6 + [60] * 6, [10, 20, 30, 40, 50, 60] + [99] * 6, 10, 100, 2),
    "some stay": ([0] * 6 + [10] * 6, [9] * 4 + [40] * 2 + [40] * 6, 10, 41, 2),
    "two requests a day": ([0] * 6 + [30] * 6, [24] * 6 + [54] * 6, 3, 56, 20),
    "people who come now and then": ([0] * 6 + [12] * 6, [10] * 6 + [46] * 6, 8, 46, 20),
    "a talk of five minutes": ([0] * 6 + [12] * 6, [0.1] * 6 + [46] * 6, 8, 46, 0.1),
    "once is no pool": ([0] * 6 + [10] * 6, [0] * 6 + [40] * 6, 1, 41, 0),
    "too few before": ([0] * 3 + [10] * 30, [9] * 3 + [40] * 30, 10, 41, 2),
    "nobody after": ([0] * 12, [9] * 12, 10, 41, 2),
}


@pytest.mark.parametrize("case", NO_SUCCESSION)
def test_other_silences_are_no_succession(case):
    first, last, requests, now, pause = NO_SUCCESSION[case]
    assert takeover(course(first, last, requests, pause), now * HOUR) is None


def test_a_succession_is_found_at_the_first_request_of_the_second_pool():
    sent = course([0] * 6 + [10, 11, 12, 13, 14, 15], [9] * 6 + [40] * 6, 10)
    assert takeover(sent, 41 * HOUR) == 10 * HOUR


# --- On whole streams ---

STREAMS = {  # scenario: kinds that are said of it, and not of the others
    "hydra": set(),
    "relay": {"injection"},
    "succession": {"succession"},
    "pivot": {"pivot", "new_model"},
    "probing": {"probing"},
}
SPECIAL = {kind for kinds in STREAMS.values() for kind in kinds}


@pytest.mark.slow
@pytest.mark.parametrize("scenario", STREAMS)
def test_what_is_said_of_a_stream_is_so(scenario):
    traffic = simulate.Traffic(simulate.Scenario(scenario, accounts=240, seed=2, volume=0.3))
    engine, batch, releases = Engine(EngineSettings(shadow=False)), [], list(traffic.releases)
    for event, _ in traffic:
        if releases and releases[0].ts <= event.ts:
            engine.process(batch)
            engine.learn(releases.pop())
            batch = []
        batch.append(event)
    engine.process(batch)
    engine.advance(engine.now + LIVE_S)
    pools = {a.account_id: a.label.pool for a in traffic.accounts if a.label.campaign}
    views = [view for view in engine.campaigns() if view.campaign.shape != "solo"]
    assert views
    for view in views:
        assert {e.kind for e in view.campaign.evidence} & SPECIAL == STREAMS[scenario]
        hidden = [m for m in view.members if m.account_id in pools]
        assert len(hidden) > 0.9 * len(view.members)
        assert all(m.pool == pools[m.account_id] for m in hidden)
        assert view.campaign.summary
        assert view.campaign.clears_when
        assert view.campaign.atlas
        assert 0 < view.campaign.share <= 1


def test_the_engine_hears_of_bans_and_releases():
    engine = Engine(EngineSettings())
    engine.learn(RELEASED)
    engine.learn(Enforcement(T0, "g0", "ban"))
    other = Engine(EngineSettings())
    other.restore(engine.snapshot())
    assert other.snapshot() == engine.snapshot()
