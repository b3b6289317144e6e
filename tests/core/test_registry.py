"""Campaigns as they live: named, growing under one id, merging, emptying."""

import msgspec
import numpy as np
import pytest
from core_reports import crowd, gang, report, window
from core_requests import DAY, HOUR, T0

from stream_guard.campaigns.bystanders import BYSTANDER_RISK
from stream_guard.campaigns.reasoning import ReasoningJoin
from stream_guard.campaigns.registry import VIEWS_MAX, Registry
from stream_guard.campaigns.settings import LinkSettings
from stream_guard.campaigns.twins import Twins
from stream_guard.campaigns.window import Window
from stream_guard.errors import SnapshotError

SETTINGS = LinkSettings(promoted_max=1 << 16, first_sights=1 << 16)
ONE, TWO = list(range(1, 15)), list(range(21, 35))


def names(prefix, count):
    return [f"{prefix}{i}" for i in range(count)]


class Population:
    """A window and its campaigns, told report by report."""

    def __init__(self):
        self.window, self.registry, self.joins = Window(SETTINGS), Registry(SETTINGS), ReasoningJoin(1000)
        self.take(crowd())

    def take(self, *reports, ts=T0):
        """Take reports and look; returns the records."""
        for news in reports:
            self.window.take(news)
            rows = [self.window.rows[name] for name in news.accounts]
            self.joins.see([(rows[place], item, talk) for place, item, talk in news.items], self.window)
        return self.registry.update(self.window, self.joins, Twins(64), ts)


def test_a_campaign_is_named_once():
    of = Population()
    (record,) = of.take(gang(names("g", 12), ONE))
    assert set(record.accounts) == set(names("g", 12))
    assert (record.size, record.shape, record.first_seen, record.models) == (12, "narrow", T0, ("large",))
    assert 0.5 < record.risk < 1
    assert of.take() == of.take(crowd(ts=T0 + 60), ts=T0 + 60) == []


def test_its_id_stays_as_it_grows():
    of = Population()
    (first,) = of.take(gang(names("g", 8), ONE))
    (second,) = of.take(gang(names("late", 4), ONE, T0 + HOUR, requests=2), ts=T0 + HOUR)
    assert second.campaign_id == first.campaign_id
    assert (set(second.accounts), second.size) == (set(names("late", 4)), 12)
    assert second.first_seen == first.first_seen
    assert of.registry.views[first.campaign_id].growth == ((T0, 8), (T0 + HOUR, 12))
    assert set(of.registry.views[first.campaign_id].accounts) == {*names("g", 8), *names("late", 4)}


def test_the_same_accounts_found_at_the_same_time_have_the_same_id_whoever_looks():
    ids = {Population().take(gang(names("g", 12), ONE))[0].campaign_id for _ in range(2)}
    assert len(ids) == 1


def test_one_request_is_enough_to_join_a_campaign_that_is_known():
    of = Population()
    of.take(gang(names("g", 12), ONE))
    (record,) = of.take(gang(["late"], ONE, T0 + HOUR, requests=1), ts=T0 + HOUR)
    assert record.accounts == ("late",)


def test_who_pays_by_the_same_means_joins_with_one_request():
    of = Population()
    (record,) = of.take(
        gang(names("g", 12), ONE, payment=7),
        gang(["payer"], ONE, requests=1, payment=7),
        gang(["colleague"], ONE, requests=1, payment=7, org=5, mail=6, public_mail=0),
        gang(["stranger"], ONE, requests=1, payment=9),
    )
    assert set(record.accounts) == {*names("g", 12), "payer"}
    assert "13 of them pay by means that another member uses too (1 in all, used by 1 other account)" in [
        e.text for e in record.evidence
    ]
    assert {m.kind for m in record.members if m.account_id == "payer"} == {"payment"}


def test_two_campaigns_are_two():
    of = Population()
    records = of.take(gang(names("g", 12), ONE), gang(names("k", 12), TWO, model=4))
    assert {frozenset(r.accounts) for r in records} == {frozenset(names("g", 12)), frozenset(names("k", 12))}
    assert len({r.campaign_id for r in records}) == 2


def merged():
    """Return a population in which two campaigns became one, and the records of that."""
    of = Population()
    found = of.take(gang(names("g", 12), ONE), gang(names("k", 8), TWO, T0 + 60, model=4))
    one, two = sorted(found, key=lambda r: -r.size)
    both = [*names("g", 12), *names("k", 8)]
    return of, one, two, of.take(gang(both, ONE + TWO[:6], T0 + HOUR), ts=T0 + HOUR)


def test_two_campaigns_that_turn_out_to_be_one_merge():
    of, one, two, records = merged()
    kept = next(r for r in records if r.parent_ids)
    ended = next(r for r in records if r.removed)
    assert {kept.campaign_id, *kept.parent_ids} == {one.campaign_id, two.campaign_id}
    assert (kept.size, ended.size) == (20, 0)
    assert set(ended.removed) <= set(of.registry.views[kept.campaign_id].accounts)
    assert [c.campaign_id for c in of.registry.live] == [kept.campaign_id]


def test_nobody_is_let_go_before_the_other_campaign_has_taken_him():
    records = merged()[3]
    assert [bool(r.removed) for r in records] == [False, True]


def test_what_a_merged_campaign_said_can_still_be_read():
    of, one, two, records = merged()
    assert set(of.registry.views) == {one.campaign_id, two.campaign_id}
    parents = next(r.parent_ids for r in records if r.parent_ids)
    assert of.registry.views[parents[0]].accounts == ()


def test_members_that_are_idle_leave_and_the_last_one_ends_it():
    of = Population()
    (record,) = of.take(gang(names("g", 12), ONE))
    later = T0 + 10 * DAY
    assert of.take(gang(names("g", 4), ONE, later), ts=later) == []
    end = T0 + 15 * DAY
    (left,) = of.take(ts=end)
    assert (left.campaign_id, set(left.removed), left.size) == (record.campaign_id, {f"g{i}" for i in range(4, 12)}, 4)
    (ended,) = of.take(ts=end + 10 * DAY)
    assert (set(ended.removed), ended.size) == (set(names("g", 4)), 0)
    assert of.registry.live == []


@pytest.mark.parametrize("days", [14.5, 20, 400])
def test_who_has_left_does_not_come_back_by_itself(days):
    # The window may still hold what they sent, and reasoning items join for good.
    of = Population()
    of.take(gang(names("g", 12), ONE), report(*[], items=[(f"r{i}", 5, i + 1) for i in range(4)]))
    ends = of.take(ts=T0 + days * DAY)
    assert {r.size for r in ends} == {0}
    assert len(ends) == 2
    assert of.take(ts=T0 + days * DAY + 60) == of.take(ts=T0 + days * DAY + 120) == []


def test_reasoning_items_make_a_campaign_of_three():
    of = Population()
    assert of.take(report(items=[("r0", 5, 1), ("r1", 5, 2)])) == []
    (record,) = of.take(report(items=[("r2", 5, 3)]))
    assert set(record.accounts) == {"r0", "r1", "r2"}
    assert record.evidence[0].kind == "reasoning"


# --- Evidence ---


def test_evidence_can_be_checked():
    of = Population()
    (record,) = of.take(gang(names("g", 12), ONE, payment=77))
    kinds = [e.kind for e in record.evidence]
    assert kinds[0] == "template"
    assert {"template", "behaviour", "infrastructure", "judgement"} < set(kinds)
    for evidence in record.evidence:
        assert evidence.text
        assert 0 < evidence.accounts <= 12
        assert set(evidence.example_accounts) <= set(record.accounts)
        assert evidence.inference == (evidence.kind == "judgement")


def test_evidence_of_what_is_usual_is_not_given():
    of = Population()
    (record,) = of.take(gang(names("g", 12), ONE))
    assert all(e.value > e.usual for e in record.evidence if e.kind == "behaviour")


# --- Risk ---


BYSTANDERS = {  # facts, other requests: whether no more is done than to watch
    "carries all of it": ({}, 0, False),
    "carries all of it, of an organisation": ({"org": 7, "mail": 80, "public_mail": 0}, 0, False),
    "carries some of it": ({}, 3, False),
    "carries some of it, of an organisation": ({"org": 7, "mail": 80, "public_mail": 0}, 3, True),
    "carries little of it, of an organisation": ({"org": 7, "mail": 80, "public_mail": 0}, 5, True),
    "carries little of it": ({}, 5, False),
}


@pytest.mark.parametrize("case", BYSTANDERS)
def test_a_bystander_of_a_campaign_is_watched(case):
    facts, others, watched = BYSTANDERS[case]
    of = Population()
    other = report(*[("x", [900 + i]) for i in range(others)], ts=T0 - 1)
    (record,) = of.take(other, gang(names("g", 12), ONE), gang(["x"], ONE, **facts))
    risks = of.registry.risks(record, of.window)
    assert set(risks) == set(record.accounts) == {*names("g", 12), "x"}
    assert risks["g0"][0] == record.risk > BYSTANDER_RISK
    assert (risks["x"][0] == BYSTANDER_RISK) == watched
    assert list(risks)[-1] == "x" or others == 0, "the surest members come first"


# --- Snapshot ---


def test_what_is_loaded_goes_on_as_what_was_dumped():
    of = merged()[0]
    saved = msgspec.msgpack.decode(msgspec.msgpack.encode(of.registry.dump()))
    other = Registry(SETTINGS)
    other.load(saved)
    assert other.dump() == of.registry.dump()
    of.window.take(gang(names("late", 3), ONE, T0 + DAY))
    for registry in (other, of.registry):
        assert registry.update(of.window, of.joins, Twins(64), T0 + DAY)[0].accounts
    assert other.dump() == of.registry.dump()


def test_a_state_that_does_not_fit_is_refused():
    with pytest.raises(SnapshotError, match="campaign state"):
        Registry(SETTINGS).load(Registry(SETTINGS).dump() | {"live": [[1, 2]]})


def test_what_has_ended_is_forgotten_in_the_end():
    of = Population()
    (record,) = of.take(gang(names("g", 12), ONE))
    view = of.registry.views[record.campaign_id]
    for i in range(VIEWS_MAX):
        of.registry.views[f"ca_{i}"] = view
    of.take()
    assert len(of.registry.views) == VIEWS_MAX
    assert record.campaign_id in of.registry.views
    assert "ca_0" not in of.registry.views


def test_members_of_a_campaign_keep_their_row():
    of = Population()
    of.take(gang(names("g", 12), ONE))
    rows = set(of.registry.rows().tolist())
    assert {of.window.names[row] for row in rows} == set(names("g", 12))
    assert not rows & set(of.window.forget(10**6, of.registry.rows()).tolist())


def test_an_empty_population_has_no_campaigns():
    assert Registry(SETTINGS).update(window(), ReasoningJoin(10), Twins(64), T0) == []
    assert Registry(SETTINGS).rows().dtype == np.int64


# --- Members ---


def test_every_member_has_a_time_and_a_reason():
    of = Population()
    (record,) = of.take(gang(names("g", 12), ONE), ts=T0 + 60)
    assert [m.account_id for m in record.members] == list(record.accounts)
    assert {(m.since, m.kind, m.first_seen, m.last_seen, m.share) for m in record.members} == {
        (T0 + 60, "template", T0, T0 + 3, 1.0)
    }
    of.take(gang(["g0"], ONE, T0 + HOUR), ts=T0 + HOUR)
    (view,) = of.registry.views.values()
    assert [(m.since, m.last_seen) for m in view.members if m.account_id == "g0"] == [(T0 + 60, T0 + HOUR + 3)]


def test_the_share_of_its_members_traffic_that_carries_it():
    of = Population()
    others = report(
        *[(name, [5000 + 10 * k + i]) for k in range(4) for i, name in enumerate(names("g", 12))], ts=T0 - 60
    )
    (record,) = of.take(others, gang(names("g", 12), ONE, requests=4))  # facts say that each has sent ten
    assert record.share == pytest.approx(0.5)
    assert record.exchanges == 60


SENT_SINCE = {  # requests a day of the member, of its usual share, that carry the text or not; days; whether it leaves
    "goes on without it": (12, False, 4, True),
    "goes on with it": (12, True, 4, False),
    "not for long enough": (12, False, 2, False),
    "too little to tell": (1, False, 4, False),
}


@pytest.mark.parametrize("case", SENT_SINCE)
def test_a_member_that_goes_on_without_the_campaigns_text_leaves(case):
    a_day, carries, days, leaves = SENT_SINCE[case]
    of = Population()
    (record,) = of.take(gang(names("g", 12), ONE))
    ended = T0 + days * DAY
    later = [T0 + (k + 1) * DAY / a_day for k in range(a_day * days)]
    text = ONE if carries else [777]
    sent = [("g0", [text[0] + (0 if carries else k), *text[1:]], {"ts": ts, "model": 3}) for k, ts in enumerate(later)]
    records = of.take(gang(names("g", 12)[1:], ONE, ended - 60), report(*sent, ts=ended), ts=ended)
    assert [r.removed for r in records if r.removed] == ([("g0",)] if leaves else [])
    assert all(r.campaign_id == record.campaign_id for r in records)


def test_nobody_leaves_while_the_campaign_is_silent():
    of = Population()
    of.take(gang(names("g", 12), ONE))
    sent = [
        (name, [70_000 + 100 * i + k], {"ts": T0 + k * HOUR})
        for k in range(1, 100)
        for i, name in enumerate(names("g", 12))
    ]
    of.registry.linker.clusters = lambda *_: []  # whatever the window has forgotten
    assert of.take(report(*sent, ts=T0 + 4 * DAY), ts=T0 + 4 * DAY) == []


# --- Splits ---


def taken_for_one(payment=0):
    """Return a population in which two campaigns with nothing in common are held for one, and its id."""
    of = Population()
    of.take(gang(names("g", 12), ONE, payment=payment), gang(names("k", 9), TWO, model=4, payment=payment))
    one, two = sorted(of.registry.live, key=lambda c: -len(c.members))
    one.members.update(two.members)
    one.prints = np.union1d(one.prints, two.prints)
    of.registry.live = [one]
    return of, one.campaign_id


def go_on(of, hours, together=(), payment=0):
    """Let both go on, each with its text, and those in `together` with both; returns the records."""
    records = []
    for ts in (T0 + hour * HOUR for hour in hours):
        both = [gang(together, [*ONE[:8], *TWO[:8]], ts, requests=2)] if together else []
        one = gang(names("g", 12), ONE, ts, requests=2, payment=payment)
        two = gang(names("k", 9), TWO, ts, requests=2, model=4, payment=payment)
        records += of.take(one, two, *both, ts=ts)
    return [r for r in records if r.accounts or r.removed]


def test_what_is_two_by_each_look_is_split():
    of, name = taken_for_one()
    assert go_on(of, [6, 12]) == []
    own, rest = go_on(of, [18])
    assert (own.parent_ids, set(own.accounts)) == ((name,), set(names("k", 9)))
    assert (rest.campaign_id, set(rest.removed), rest.size) == (name, set(names("k", 9)), 12)
    assert go_on(of, [19, 24, 36]) == [], "and stays so"
    assert {c.campaign_id for c in of.registry.live} == {name, own.campaign_id}


def test_what_somebody_holds_together_stays_one():
    of, name = taken_for_one()
    go_on(of, [6, 12, 18, 24], together=[f"b{i}" for i in range(8)])
    assert [c.campaign_id for c in of.registry.live] == [name]


def test_what_pays_together_stays_one():
    of, name = taken_for_one(payment=7)
    go_on(of, [6, 12, 18, 24], payment=7)
    assert [c.campaign_id for c in of.registry.live] == [name]
