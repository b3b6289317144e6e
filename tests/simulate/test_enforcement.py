"""A gateway that obeys, and the truth beside what was said and done."""

import pytest

from stream_guard.events import Campaign, Decision, RequestEvent
from stream_guard.simulate import Scenario, Traffic
from stream_guard.simulate.enforcement import Gateway, Scorecard, refused
from stream_guard.simulate.population import Label

HONEST, HIDDEN, COVER = Label("individual"), Label("narrow", "campaign_0", harvest=True), Label("relay", "campaign_0")


def decision(action, limit_rpm=None, *, shadow=False, account_id="a"):
    return Decision("de_1", 0.0, account_id, action, 0.9, (), "1", shadow=shadow, limit_rpm=limit_rpm)


@pytest.mark.parametrize(
    ("in_force", "at_s", "admitted"),
    [
        (None, [0, 1, 2], "yyy"),
        (decision("watch"), [0, 1, 2], "yyy"),
        (decision("challenge"), [0, 1, 2], "yyy"),
        (decision("suspend"), [0, 1, 2], "nnn"),
        (decision("suspend", shadow=True), [0, 1, 2], "yyy"),
        (decision("throttle", 0.01, shadow=True), [0, 1, 2], "yyy"),
        (decision("throttle"), [0, 1, 2], "yyy"),
        (decision("throttle", 2.0), [0, 1, 2, 31, 32, 70], "yynyny"),
        (decision("throttle", 0.01), [0, 1, 5999, 6001, 6002], "ynnyn"),
    ],
)
def test_a_gateway_does_what_the_decision_says(in_force, at_s, admitted):
    gateway = Gateway()

    assert "".join("ny"[gateway.admits("a", float(ts), in_force)] for ts in at_s) == admitted


def test_accounts_do_not_share_a_limit():
    gateway, slow = Gateway(), decision("throttle", 0.01)

    assert gateway.admits("a", 0.0, slow)
    assert gateway.admits("b", 0.0, slow)
    assert not gateway.admits("a", 1.0, slow)


def test_a_refused_request_is_reported_as_429_without_an_answer():
    event = RequestEvent("e", 1.0, "a", "m", status=200, output_tokens=100, finish_reason="stop", prompt="p")

    assert refused(event) == RequestEvent("e", 1.0, "a", "m", status=429, output_tokens=0, prompt="p")


@pytest.fixture
def traffic():
    return Traffic(Scenario("hydra", 50))


@pytest.fixture
def score(traffic):
    return Scorecard.of(traffic.accounts)


@pytest.fixture
def hidden(traffic):
    return [a.account_id for a in traffic.accounts if a.label.campaign]


def event(account_id, ts=1.0):
    return RequestEvent("e", ts, account_id, "m")


def campaign(*accounts, removed=(), campaign_id="ca_1", ts=5.0):
    return Campaign(campaign_id, ts, accounts, len(accounts), 0.9, "narrow", 1, 0.0, removed=removed)


def test_it_counts_what_was_harvested_and_what_the_honest_lost(score, hidden):
    score.saw(event(hidden[0]), HIDDEN, admitted=True)
    score.saw(event(hidden[0]), HIDDEN, admitted=False)
    score.saw(event(hidden[0]), COVER, admitted=False)
    score.saw(event("h"), HONEST, admitted=True)
    score.saw(event("h"), HONEST, admitted=False)

    assert (score.harvested, score.stopped, score.honest_requests, score.honest_refused) == (2, 1, 2, 1)


def test_a_campaign_is_named_once_it_holds_three_of_it_and_not_more_others(score, hidden):
    for account_id in hidden[:3]:
        score.saw(event(account_id), HIDDEN, admitted=True)
    score.heard([], [campaign(*hidden[:2], ts=5.0)])
    assert score.named_at is None

    score.heard([], [campaign("h1", "h2", "h3", "h4", ts=6.0)])
    score.heard([], [campaign(hidden[2], ts=7.0)])
    assert score.named_at is None
    assert score.false_campaigns == ["ca_1"]
    assert score.linked_honest == {"h1", "h2", "h3", "h4"}

    score.heard([], [campaign(removed=("h1", "h2"), ts=8.0)])
    assert (score.named_at, score.harvested_when_named, score.named_after) == (8.0, 3, 1.0)
    assert (score.true_campaigns, score.false_campaigns, score.hidden_linked) == (["ca_1"], [], 3)


def test_an_account_in_two_campaigns_is_linked_once(score, hidden):
    score.heard([], [campaign(*hidden[:4]), campaign(*hidden[2:6], campaign_id="ca_2")])

    assert score.hidden_linked == 6
    assert score.true_campaigns == ["ca_1", "ca_2"]


@pytest.mark.parametrize(
    ("made", "felt"),
    [
        (decision("throttle", 1.0, account_id="h"), {"h": "throttle"}),
        (decision("throttle", 1.0, account_id="h", shadow=True), {}),
        (decision("watch", account_id="h"), {}),
        (decision("allow", account_id="h"), {}),
        (decision("verify", account_id="h"), {"h": "verify"}),
    ],
)
def test_an_honest_account_is_acted_upon_when_it_feels_it(score, made, felt):
    score.heard([made], [])

    assert score.honest_acted_on == felt


def test_a_hidden_account_is_no_harm(score, hidden):
    score.heard([decision("throttle", 1.0, account_id=hidden[0])], [])

    assert score.honest_acted_on == {}
