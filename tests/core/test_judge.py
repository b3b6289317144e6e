"""The judge: what it measures of a cluster, how few accounts are believed less, and who is no campaign."""

import numpy as np
import pytest
from core_reports import crowd, gang, report, window
from core_requests import DAY, T0

from stream_guard.campaigns import groups, judge
from stream_guard.campaigns.judge import FEATURES, Look, Pairs, measure
from stream_guard.campaigns.linking import Linker
from stream_guard.campaigns.report import INTERACTIVE, REFUSED, SINGLE_TURN, TIERS
from stream_guard.campaigns.settings import LinkSettings

SETTINGS = LinkSettings(promoted_max=1 << 16, first_sights=1 << 16)
PRINTS = list(range(1, 15))


def measured(news):
    """Return the features of the cluster of all sightings in a report."""
    of = window(news)
    held = of.held()
    order = np.argsort(held["account"], kind="stable")
    pairs = Pairs(np.zeros(len(held), np.int64), held["account"][order].astype(np.int64), order)
    return dict(zip(FEATURES, measure(Look.over(of), pairs, np.array([8]), 1).features[0], strict=True))


def four(facts=None, each=None, talks=2):
    """Return a report of four accounts a0..a3; `facts` and `each` are functions of the number of an account."""
    names = [f"a{i}" for i in range(4)]
    return report(
        *[(name, [1, 2], {"ts": T0 + k, **(each(i) if each else {})}) for i, name in enumerate(names) for k in range(talks)],
        facts={name: (facts(i) if facts else {}) for i, name in enumerate(names)},
    )  # fmt: skip


MEASURED = {  # feature: (report, value)
    "accounts_log2": (four(), 2.0),
    "prints_log2": (four(), 3.0),
    "independent": (four(facts=lambda i: {"org": 7 if i < 3 else 8}), 0.5),
    "has_org": (four(facts=lambda i: {"org": 7 if i < 3 else 0}), 0.75),
    "vouched": (four(facts=lambda i: {"org": 7, "mail": 9, "public_mail": i > 0}), 0.25),
    "same_mail": (four(facts=lambda i: {"mail": 5 if i < 2 else 10 + i, "public_mail": 0}), 0.5),
    "single_turn": (four(each=lambda i: {"flags": SINGLE_TURN if i else 0}), 0.75),
    "harness": (four(each=lambda i: {"harness": 3 if i else 0}), 0.75),
    "top_limit": (four(each=lambda i: {"limit": 100 if i < 3 else 200}), 0.75),
    "top_model": (four(each=lambda i: {"model": 1 if i < 2 else 2 + i}), 0.5),
    "plan_use_log": (four(facts=lambda i: {"entitlement": 1e6, "tokens_day": 1e5 if i else 1e3}), -1.5),
    "mostly": (four(), 1.0),
    "coverage": (four(), 1.0),
    "small_plan": (four(facts=lambda i: {"tier": (0, 1, 2, 5)[i]}), 2 / 3),
    "age_log": (four(facts=lambda _: {"created_at": T0 - 9 * DAY}), np.log(10)),
    "volume_spread": (four(), 0.0),
    "systems_log2": (four(), 0.0),
    "agents_log2": (report(*[("a", [1], {"agent": k % 4 + 1}) for k in range(8)], ("b", [1], {"agent": 1})), 1.0),
    "education": (four(facts=lambda i: {"pathway": i % 2}), 0.5),
    "interactive": (four(each=lambda i: {"flags": INTERACTIVE if i else 0}), 0.75),
    "free_plan": (four(facts=lambda i: {"tier": (0, 1, 2, 5)[i]}), 1 / 3),
    "with_system": (report(*[(f"a{i}", [1], {"system": 7 if i else 0}) for i in range(4)], systems={7: [9]}), 0.75),
    "tokens_log": (four(facts=lambda i: {"tokens_day": 1e5 if i else 1e3, "day": 10.0}), 3.5),
    "addresses_log2": (report(*[("a", [1], {"ip": k % 4 + 1}) for k in range(8)], ("b", [1], {"ip": 1})), 1.0),
    "refused": (four(each=lambda i: {"flags": REFUSED if i == 0 else 0}), 0.25),
    "requests_log": (four(), np.log(3)),
    "carried_log": (four(), np.log(3)),
    "devoted": (four(facts=lambda i: {0: {"org": 7, "mail": 9}, 1: {"pathway": 1}}.get(i, {}), talks=judge.OFTEN), 0.5),
    "age_spread": (four(facts=lambda i: {"created_at": T0 - (9 if i < 2 else 99) * DAY}), np.log(10) / 2),
}


def test_every_feature_is_measured_here():
    assert set(MEASURED) == set(FEATURES) == set(judge.ABOUT)


@pytest.mark.parametrize("feature", MEASURED)
def test_a_feature_is_a_mean_over_accounts(feature):
    news, value = MEASURED[feature]
    assert measured(news)[feature] == pytest.approx(value, abs=1e-3)


def test_the_busy_do_not_speak_for_the_rest():
    quiet = [(f"a{i}", [1], {"flags": 0}) for i in range(3)]
    news = report(*quiet, *[("busy", [1], {"flags": SINGLE_TURN})] * 500)
    assert measured(news)["single_turn"] == pytest.approx(0.25)


@pytest.mark.parametrize(("talks", "devoted"), [(1, 0.0), (judge.OFTEN - 1, 0.0), (judge.OFTEN, 1.0), (50, 1.0)])
def test_who_carries_it_now_and_then_is_not_devoted_to_it(talks, devoted):
    assert measured(four(talks=talks))["devoted"] == devoted


def test_a_known_tool_or_a_system_text_explains_devotion():
    assert measured(four(each=lambda _: {"harness": 3}, talks=20))["devoted"] == 0.0
    tool = report(*[(f"a{i}", [1], {"system": 7}) for i in range(4)] * 20, systems={7: [9]})
    assert measured(tool)["devoted"] == 0.0


@pytest.mark.parametrize(
    ("talks", "believed"), [(1, 1.0), (judge.OFTEN, 1.0), (15, 0.5), (judge.NEVER, 0.0), (50, 0.0)]
)
@pytest.mark.parametrize(
    ("feature", "claim"),
    [
        ("interactive", {"each": lambda _: {"flags": INTERACTIVE}}),
        ("free_plan", {"facts": lambda _: {"tier": TIERS.index("free")}}),
    ],
)
def test_what_anybody_can_claim_is_believed_of_who_sends_the_text_now_and_then(feature, claim, talks, believed):
    assert measured(four(**claim, talks=talks))[feature] == pytest.approx(believed)


def test_of_all_requests_of_accounts_nothing_is_said_of_how_they_carry_a_text():
    of = window(four(each=lambda _: {"flags": INTERACTIVE}, talks=50))
    held = of.held()
    order = np.argsort(held["account"], kind="stable")
    pairs = Pairs(np.zeros(len(held), np.int64), held["account"][order].astype(np.int64), order)
    found = dict(zip(FEATURES, measure(Look.over(of), pairs, np.array([1]), 1, text=False).features[0], strict=True))
    assert all(np.isnan(found[name]) for name in judge.OF_TEXT)
    assert found["interactive"] == 1.0


@pytest.mark.parametrize("feature", ["plan_use_log", "small_plan", "age_log"])
def test_what_nobody_knows_is_not_a_number_and_then_the_usual(feature):
    found = np.array([list(measured(four()).values())])
    at = FEATURES.index(feature)
    assert np.isnan(found[0, at])
    verdict = judge.judge(found, np.array([4.0]), judge.USUAL)
    assert verdict.features[0, at] == judge.USUAL[at]
    assert np.isfinite(verdict.score).all()


def test_a_member_is_scored_by_what_it_does_itself():
    news = four(each=lambda i: {"flags": INTERACTIVE if i == 0 else 0})
    of = window(news)
    held = of.held()
    order = np.argsort(held["account"], kind="stable")
    pairs = Pairs(np.zeros(len(held), np.int64), held["account"][order].astype(np.int64), order)
    found = measure(Look.over(of), pairs, np.array([8]), 1)
    assert found.own[:, FEATURES.index("interactive")].tolist() == [1.0, 0.0, 0.0, 0.0]
    assert np.isnan(found.own[:, FEATURES.index("accounts_log2")]).all()
    scores = judge.each(found, judge.USUAL)
    assert scores[0] < scores[1] - 5
    assert scores[1] == scores[2] == scores[3]


# --- The verdict ---


def extreme():
    """Return features at four scales on the suspicious side of everything but the sizes."""
    found = judge.CENTRE + np.sign(judge.WEIGHTS) * 4 * judge.SCALE
    for name in judge.UNSHRUNK:
        found[FEATURES.index(name)] = judge.CENTRE[FEATURES.index(name)]
    return found[None]


def score(found, accounts):
    return float(judge.judge(found, np.array([float(accounts)]), judge.USUAL).score[0])


def test_few_accounts_are_believed_less():
    scores = [score(extreme(), n) for n in (1, 2, 5, 10, 50, 1000)]
    assert scores == sorted(scores)
    assert scores[-1] - scores[0] > 5


def test_half_of_what_is_seen_of_five_accounts_is_believed():
    verdict = judge.judge(extreme(), np.array([5.0]), judge.USUAL)
    at = FEATURES.index("single_turn")
    assert verdict.features[0, at] == pytest.approx((extreme()[0, at] + judge.USUAL[at]) / 2)


def test_the_parts_sum_to_the_score():
    verdict = judge.judge(extreme(), np.array([20.0]), judge.USUAL)
    assert sum(judge.contributions(verdict.features[0]).values()) + judge.BIAS == pytest.approx(verdict.score[0])


def test_no_feature_counts_without_end():
    found = extreme()
    beyond = np.where(found == judge.CENTRE, found, found + np.sign(judge.WEIGHTS) * 1e9)
    assert score(beyond, 1e9) == pytest.approx(score(extreme(), 1e9), abs=1e-6)


def test_the_usual_is_shipped_until_there_are_clusters():
    assert judge.usual(np.zeros((0, len(FEATURES))), np.zeros(0)) == pytest.approx(judge.USUAL)
    here = np.full((5000, len(FEATURES)), 3.0)
    assert judge.usual(here, np.full(5000, 10.0)) == pytest.approx(np.full(len(FEATURES), 3.0), abs=0.1)


def test_unknown_features_do_not_spoil_the_usual():
    here = np.full((10, len(FEATURES)), np.nan)
    assert judge.usual(here, np.full(10, 10.0)) == pytest.approx(judge.USUAL)


# --- Who is a campaign ---


def convicted(*reports):
    of = window(*reports, settings=SETTINGS)
    return [{of.names[m] for m in cluster.members} for cluster in Linker(SETTINGS).clusters(of, [])]


GANG = [f"g{i}" for i in range(12)]


def test_a_gang_in_a_crowd_is_a_campaign():
    assert convicted(crowd(), gang(GANG, PRINTS)) == [set(GANG)]


INNOCENT = {
    "one organisation": gang(GANG, PRINTS, org=7),
    "one mail domain of its own": gang(GANG, PRINTS, mail=9, public_mail=0),
    "too few": gang(GANG[:4], PRINTS),
    "too short a text": gang(GANG, PRINTS[:1]),
    "one request each": gang(GANG, PRINTS, requests=1),
    "old accounts of firms": report(
        *[(name, PRINTS, {"flags": 0, "limit": 100 + i, "model": i % 5 + 1, "harness": 4}) for i, name in enumerate(GANG) for _ in range(4)],
        facts={name: {"org": 70 + i, "mail": 80 + i, "created_at": T0 - 500 * DAY, "tier": 4} for i, name in enumerate(GANG)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", INNOCENT)
def test_is_no_campaign(case):
    assert convicted(crowd(), INNOCENT[case]) == []


def test_most_of_one_customer_is_one_customer():
    colleagues = gang(GANG[:10], PRINTS, org=7)
    assert convicted(crowd(), colleagues, gang(GANG[10:], PRINTS)) == []


def test_who_carries_it_by_chance_is_no_member():
    passer_by = report(("h1", PRINTS), *[("h1", [500 + i]) for i in range(40)])
    assert convicted(crowd(), gang(GANG, PRINTS), passer_by) == [set(GANG)]


def test_nobody_at_all():
    assert convicted() == convicted(crowd(3)) == []


def relay(count=8, **facts):
    """Return a relay: one phrase under the many system texts and programs of an account's own customers."""
    texts = {1000 + i: [50_000 + i] for i in range(6)}
    told = {
        "created_at": T0 - 90 * DAY,
        "tier": 2,
        "entitlement": 1e6,
        "tokens_day": 5e5,
        "mail": 5,
        "public_mail": 1,
        **facts,
    }
    names = [f"r{i}" for i in range(count)]
    seen = [
        (name, PRINTS[:4], {"agent": 10 + k, "system": 1000 + k, "flags": 0, "ts": T0 + k}) for name in names for k in range(6)
    ]  # fmt: skip
    return report(*seen, facts=dict.fromkeys(names, told), systems=texts)


def test_a_relay_is_found_by_a_judge_of_its_own():
    of = window(crowd(), relay(), settings=SETTINGS)
    (cluster,) = Linker(SETTINGS).clusters(of, [])
    assert cluster.shape == "relay"
    assert {of.names[m] for m in cluster.members} == {f"r{i}" for i in range(8)}


RELAY_TWINS = {
    "the house rules of one firm": relay(org=7),
    "large plans": relay(tier=5),
    "hardly used": relay(tokens_day=100.0),
    "too few": relay(4),
}


@pytest.mark.parametrize("case", RELAY_TWINS)
def test_is_no_relay(case):
    assert not any(
        cluster.shape == "relay"
        for cluster in Linker(SETTINGS).clusters(window(crowd(), RELAY_TWINS[case], settings=SETTINGS), [])
    )


def test_groups_need_as_many_accounts_as_the_judge():
    assert SETTINGS.accounts_min >= groups.ACCOUNTS_MIN
