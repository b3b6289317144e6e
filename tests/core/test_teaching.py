"""What analysts' words on campaigns do: the judge learns, within bounds, and what is honest stays free."""

import msgspec
import numpy as np
import pytest
from core_reports import crowd as crowd_report
from core_reports import gang, window
from core_requests import DAY, HOUR, T0, campaign, crowd, request

from stream_guard.campaigns import judge, teaching
from stream_guard.campaigns.linking import Linker
from stream_guard.campaigns.settings import LinkSettings
from stream_guard.campaigns.teaching import CLEARED_S, Taught, Words
from stream_guard.engine import LIVE_S, Engine, EngineSettings
from stream_guard.engine.teaching import REACH, ClusterTeacher
from stream_guard.errors import SnapshotError
from stream_guard.events import Feedback

CONVICT = LinkSettings().convict
SETTINGS = LinkSettings(promoted_max=1 << 16, first_sights=1 << 16)
FEATURES = np.array([of for _, of, _, _ in judge.PRIORS.values()])


def shifted(scales):
    """Return the features of a cluster so many scales on the suspicious side of everything."""
    return FEATURES + scales * np.sign(judge.WEIGHTS) * judge.SCALE


DOUBTFUL = shifted((CONVICT - judge.BIAS) / np.abs(judge.WEIGHTS).sum())
"""A cluster exactly at the bar."""


def score(features, weights):
    return float(judge.scaled(features) @ weights) + judge.BIAS


# --- The judge ---


def test_before_any_word_the_shipped_weights_judge():
    assert ClusterTeacher(CONVICT).weights is judge.WEIGHTS


@pytest.mark.parametrize(("malicious", "way"), [(True, 1), (False, -1)])
def test_a_word_moves_the_score_of_the_like_its_way(malicious, way):
    teacher, before = ClusterTeacher(CONVICT), score(DOUBTFUL, judge.WEIGHTS)
    scores = []
    for _ in range(5):
        teacher.learn(DOUBTFUL, malicious=malicious)
        scores.append(way * (score(DOUBTFUL, teacher.weights) - before))
    assert before == pytest.approx(CONVICT)
    assert scores == sorted(scores)
    assert 0.01 < scores[0] < 0.5
    assert scores[-1] > 2 * scores[0]


def test_a_word_that_says_what_the_judge_is_sure_of_teaches_little():
    doubtful, sure = ClusterTeacher(CONVICT), ClusterTeacher(CONVICT)
    doubtful.learn(DOUBTFUL, malicious=True)
    sure.learn(shifted(1.2), malicious=True)
    moved = [np.abs(teacher.weights - judge.WEIGHTS).sum() for teacher in (doubtful, sure)]
    assert moved[1] < moved[0] / 5


def test_a_cluster_at_the_centre_teaches_nothing():
    teacher = ClusterTeacher(CONVICT)
    teacher.learn(FEATURES, malicious=True)
    assert teacher.weights == pytest.approx(judge.WEIGHTS)


@pytest.mark.parametrize("malicious", [True, False])
@pytest.mark.parametrize("scales", [-4.0, -1.0, 1.0, 4.0])
def test_no_flood_of_words_turns_a_feature_around(malicious, scales):
    teacher = ClusterTeacher(CONVICT)
    for _ in range(300):
        teacher.learn(shifted(scales), malicious=malicious)
    assert (np.sign(teacher.weights) * np.sign(judge.WEIGHTS) >= 0).all()
    assert np.abs(teacher.weights - judge.WEIGHTS).max() <= REACH / judge.CLIP + 1e-9


def test_a_flood_of_benign_words_leaves_what_is_plain_a_campaign():
    teacher = ClusterTeacher(CONVICT)
    for _ in range(1000):
        teacher.learn(DOUBTFUL, malicious=False)
    assert score(shifted(1.5), teacher.weights) > CONVICT
    assert score(DOUBTFUL, teacher.weights) < CONVICT - 1


def test_what_was_learnt_goes_on_as_it_was():
    teacher, other = ClusterTeacher(CONVICT), ClusterTeacher(CONVICT)
    teacher.learn(DOUBTFUL, malicious=True)
    other.restore(teacher.snapshot())
    assert other.snapshot() == teacher.snapshot()
    assert (other.weights == teacher.weights).all()


def test_what_was_learnt_stays_upon_the_weights_of_another_version(monkeypatch):
    teacher = ClusterTeacher(CONVICT)
    teacher.learn(DOUBTFUL, malicious=True)
    learnt, state = teacher.weights - judge.WEIGHTS, teacher.snapshot()
    monkeypatch.setattr(judge, "WEIGHTS", judge.WEIGHTS * 1.5)
    teacher.restore(state)
    assert teacher.weights - judge.WEIGHTS == pytest.approx(learnt)


def test_linking_judges_by_the_taught_weights():
    of = window(crowd_report(), gang([f"g{i}" for i in range(12)], list(range(1, 15))), settings=SETTINGS)
    linker = Linker(SETTINGS)
    shipped, harsher, milder = (
        linker.clusters(of, [], taught=Taught(judge.WEIGHTS + shift * np.sign(judge.scaled(linker.clusters(of, [])[0].features))))
        for shift in (0.0, 0.1, -1.0)
    )  # fmt: skip
    assert harsher[0].score > shipped[0].score
    assert milder == []


# --- What is kept of words ---


def test_the_same_word_again_teaches_nothing_and_another_does():
    words = Words()
    words.judged("ca_1", DOUBTFUL)
    first = words.lesson("ca_1", "benign")
    words.judged("ca_1", DOUBTFUL)
    assert first is not None
    assert words.lesson("ca_1", "benign") is None
    assert words.lesson("ca_1", "malicious") is not None
    assert words.lesson("ca_none", "malicious") is None


EXCUSED = {  # members, days after the word: whether they are
    "the same": ([1, 2, 3, 4], 1, True),
    "three of four": ([1, 2, 3, 9], 1, True),
    "half": ([1, 2, 8, 9], 1, False),
    "others": ([7, 8, 9], 1, False),
    "the same, a month later": ([1, 2, 3, 4], 31, False),
    "half forgotten": ([3, 4, 5, 6], 1, False),
}


@pytest.mark.parametrize("case", EXCUSED)
def test_who_was_cleared_together_is_excused(case):
    members, days, excused = EXCUSED[case]
    words = Words()
    words.clear("ca_1", np.array([5], np.uint32), [1, 2, 3, 4, 5, 6], T0)
    words.forget([5, 6])
    assert words.excuses(members, T0 + days * DAY) == excused


def test_a_clearance_is_withdrawn_with_its_template():
    words = Words()
    words.clear("ca_1", np.array([5, 3], np.uint32), [1], T0)
    words.clear("ca_2", np.array([9], np.uint32), [2], T0)
    assert words.taught.templates.tolist() == [3, 5, 9]
    words.withdraw("ca_1")
    assert words.taught.templates.tolist() == [9]
    assert not words.excuses([1], T0)


def test_words_are_bounded(monkeypatch):
    monkeypatch.setattr(teaching, "CLEARED_MAX", 3)
    monkeypatch.setattr(teaching, "JUDGED_MAX", 3)
    words = Words()
    for i in range(5):
        words.judged(f"ca_{i}", DOUBTFUL)
        words.clear(f"ca_{i}", np.array([i + 1], np.uint32), [i], T0)
    assert words.taught.templates.tolist() == [3, 4, 5]
    assert [words.lesson(f"ca_{i}", "benign") is not None for i in range(5)] == [False, False, True, True, True]


def test_words_that_do_not_fit_are_refused():
    with pytest.raises(SnapshotError, match="words"):
        Words().load({"features": [], "judged": [], "cleared": [[1]]})


# --- The whole engine ---


BOTH = sorted(campaign() + crowd(), key=lambda event: event.ts)
BAD = {f"bad{m}" for m in range(16)}


def settled(engine, events):
    out = engine.process(events)
    out.extend(engine.advance(engine.now + LIVE_S))
    out.extend(engine.advance(engine.now + 120))
    return out


def known():
    """Return an engine that has named a campaign, and the campaign's id."""
    engine = Engine(EngineSettings(shadow=False))
    settled(engine, BOTH)
    (view,) = engine.campaigns()
    assert set(view.accounts) == BAD
    return engine, view.campaign.campaign_id


def later(days=0.6, members=16):
    """Return what the same accounts, and as many that are new, send later."""
    start = T0 + days * DAY
    more = campaign(members, start=start, prefix="more")
    again = [
        msgspec.structs.replace(e, event_id=f"l{e.event_id}{days}", ts=e.ts + days * DAY) for e in campaign(members)
    ]
    return sorted(again + more + crowd(start=start, prefix=f"other{days}"), key=lambda event: event.ts)


def test_a_campaign_that_is_benign_ends_at_once_and_does_not_come_again():
    engine, campaign_id = known()
    out = engine.learn(Feedback(engine.now, "benign", campaign_id=campaign_id))
    (ended,) = out.campaigns
    assert (ended.campaign_id, set(ended.removed), ended.size) == (campaign_id, BAD, 0)
    engine.advance(engine.now + 1)
    assert {engine.check(name, engine.now) for name in BAD} == {None}
    assert engine.account("bad1").campaign_ids == ()
    out = settled(engine, later())
    assert [c for c in out.campaigns if not c.removed] == []
    assert {d.action for d in out.decisions} <= {"allow", "watch"}


def test_its_text_is_known_also_to_an_engine_that_was_restored():
    engine, campaign_id = known()
    engine.learn(Feedback(engine.now, "benign", campaign_id=campaign_id))
    other = Engine(EngineSettings(shadow=False))
    other.restore(engine.snapshot())
    assert other.snapshot() == engine.snapshot()
    assert [c for c in settled(other, later()).campaigns if not c.removed] == []


def test_the_last_word_counts():
    engine, campaign_id = known()
    for label in ("benign", "malicious"):
        engine.learn(Feedback(engine.now, label, campaign_id=campaign_id))
    out = settled(engine, later())
    assert {name for c in out.campaigns for name in c.accounts} >= BAD


def test_accounts_that_are_cleared_answer_for_another_text_together_with_others():
    engine, campaign_id = known()
    engine.learn(Feedback(engine.now, "benign", campaign_id=campaign_id))
    start = engine.now + HOUR
    text = "Translate into the language of accountants, step by step and with every thought that led you there, the following: {}"
    members = [*sorted(BAD)[:6], *(f"new{i}" for i in range(10))]
    of = {e.account_id: e for e in campaign()}
    like = of["bad1"]
    fresh = [
        msgspec.structs.replace(of.get(name, like), event_id=f"f{name}{k}", account_id=name, ts=start + k * HOUR, prompt=text.format(f"{name} {k} of them"))
        for k in range(10) for name in members
    ]  # fmt: skip
    out = settled(engine, sorted(fresh + crowd(start=start, prefix="o"), key=lambda e: e.ts))
    assert {name for c in out.campaigns for name in c.accounts} >= set(members)


@pytest.mark.parametrize(("label", "way"), [("malicious", 1), ("benign", -1)])
def test_a_word_on_a_campaign_teaches_the_judge_with_what_it_was_judged_on(label, way):
    engine, campaign_id = known()
    features = engine._population._registry.words._judged[campaign_id].features
    engine.learn(Feedback(engine.now, label, campaign_id=campaign_id))
    taught = engine._population._registry.words.weights
    assert way * (score(features, taught) - score(features, judge.WEIGHTS)) > 0


@pytest.mark.parametrize(
    "lesson", [Feedback(T0, "benign", account_id="bad1"), Feedback(T0, "malicious", campaign_id="ca_x")]
)
def test_a_word_on_something_else_teaches_it_nothing(lesson):
    engine, _ = known()
    before = engine._population._teacher.snapshot()
    assert engine.learn(lesson).campaigns == []
    assert engine._population._teacher.snapshot() == before


def test_a_word_on_a_campaign_of_one_is_a_word_on_the_account():
    engine = Engine(EngineSettings(shadow=False))
    start = T0 + 10 * DAY
    heavy = next(e for e in campaign() if e.account_id == "bad1")
    events = crowd(60) + [
        msgspec.structs.replace(heavy, event_id=f"h{k}", account_id="heavy", ts=start + 5 * k, prompt=heavy.prompt + f" {k} {k * 7}")
        for k in range(3000)
    ]  # fmt: skip
    settled(engine, sorted(events, key=lambda e: e.ts))
    (alone,) = [view for view in engine.campaigns() if view.accounts == ("heavy",)]
    assert engine.check("heavy", engine.now).action == "throttle"
    (decision,) = engine.learn(Feedback(engine.now, "benign", campaign_id=alone.campaign.campaign_id)).decisions
    assert (decision.account_id, decision.action) == ("heavy", "allow")


def test_reasoning_joins_that_were_cleared_do_not_come_again():
    engine = Engine(EngineSettings(shadow=False))
    events = [
        request(f"r{i}", T0 + i * 60 + k * HOUR, reasoning_refs=("rs_shared",), conversation_id=f"cv{i}{k}", prompt=f"go on {i} {k}")
        for i in range(6) for k in range(4)
    ]  # fmt: skip
    settled(engine, sorted(events, key=lambda e: e.ts))
    (view,) = engine.campaigns()
    assert set(view.accounts) == {f"r{i}" for i in range(6)}
    engine.learn(Feedback(engine.now, "benign", campaign_id=view.campaign.campaign_id))
    more = [msgspec.structs.replace(e, event_id=f"m{e.event_id}", ts=e.ts + DAY) for e in events]
    assert settled(engine, sorted(more, key=lambda e: e.ts)).campaigns == []


def test_the_month_of_a_clearance_is_the_policys():
    assert EngineSettings().policy.benign_s == CLEARED_S
