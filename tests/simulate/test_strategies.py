"""What a campaign can do about being found: each knob does what it says, and leaves the honest alone."""

from collections import Counter, defaultdict
from dataclasses import replace

import pytest

from stream_guard.simulate import SCENARIOS, START, Scenario, Traffic, stream
from stream_guard.simulate.campaigns import MIMICRY
from stream_guard.simulate.people import DAY_S

PLAIN = replace(SCENARIOS["hydra"], share=0.0, accounts=12, per_day=20.0, joins=0.0, shared=0.0)


def made(days=2.0, **knobs):
    """Return the campaign's requests of a small stream, each with whether it is part of the harvest."""
    scenario = Scenario("hydra", 20, days, 1, hidden=replace(PLAIN, **knobs))
    return [(event, label.harvest) for event, label in stream(scenario) if label.campaign]


def words(event):
    return event.prompt.split()


def grams(event):
    return {tuple(words(event)[i : i + 4]) for i in range(len(words(event)) - 3)}


def alike(one, other):
    """Share of four words in a row that two requests have in common."""
    return len(grams(one) & grams(other)) / max(1, min(len(grams(one)), len(grams(other))))


def first_by_account(requests):
    found = {}
    for event, _ in requests:
        found.setdefault(event.account_id, event)
    return list(found.values())


def test_the_honest_are_the_same_whatever_the_campaign_does():
    streams = [
        [event for event, label in stream(Scenario("hydra", 20, 0.5, hidden=plan)) if not label.campaign]
        for plan in (None, replace(PLAIN, mimics=MIMICRY, cover=0.5, wording="by request"))
    ]
    assert streams[0] == streams[1]


WORDINGS = {  # whether two requests of an account, and of two accounts, have words in a row in common
    "shared": (True, True),
    "by account": (True, False),
    "by request": (False, False),
    "none": (False, False),
}


@pytest.mark.parametrize("wording", WORDINGS)
def test_whose_words_they_are(wording):
    own, others = WORDINGS[wording]
    requests = made(wording=wording, templates=1)
    by_account = defaultdict(list)
    for event, _ in requests:
        by_account[event.account_id].append(event)
    within = [alike(mine[0], mine[1]) for mine in by_account.values()]
    across = [alike(a, b) for a, b in zip(*[iter(first_by_account(requests))] * 2, strict=True)]
    for shares, common in ((within, own), (across, others)):
        mean = sum(shares) / len(shares)
        assert mean > 0.5 if common else mean < 0.25


@pytest.mark.parametrize("cover", [0.0, 0.5, 0.8])
def test_small_talk_is_no_harvest(cover):
    harvest = [is_harvest for _, is_harvest in made(cover=cover, per_day=60.0)]
    assert 1 - sum(harvest) / len(harvest) == pytest.approx(cover, abs=0.04)


def test_it_waits_before_it_harvests():
    requests = made(idle_talk=0.5, per_day=40.0)
    begin = min(event.ts for event, _ in requests)
    harvested = [event.ts for event, is_harvest in requests if is_harvest]
    assert min(harvested) >= begin + DAY_S
    assert len(harvested) > 0.3 * len(requests)


def test_it_rises_to_its_volume():
    a_day = Counter(int((event.ts - START) // DAY_S) for event, _ in made(days=4.0, ramp=1.0, per_day=100.0))
    counts = [a_day[day] for day in range(1, 4)]
    assert counts == sorted(counts)
    assert counts[-1] == pytest.approx(12 * 100, rel=0.15)


def test_shards_have_no_template_in_common():
    requests = made(shards=4, templates=1)
    openings = defaultdict(set)
    for event, _ in requests:
        openings[tuple(words(event)[:4])].add(event.account_id)
    assert len(openings) == 4
    assert {len(accounts) for accounts in openings.values()} == {3}


def test_mimics_look_like_people():
    traffic = Traffic(
        Scenario("hydra", 400, 2.0, hidden=replace(PLAIN, accounts=200, mimics=MIMICRY, organisations=0.25))
    )
    hidden = [a for a in traffic.accounts if a.label.campaign]
    people = [a for a in traffic.accounts if a.label.kind == "individual"]
    for share in (
        lambda a: a.facts.tier == "free",
        lambda a: a.org_id is not None,
        lambda a: (a.facts.email_domain or "").startswith("firm"),
        lambda a: a.facts.created_at < START - 100 * DAY_S,
        lambda a: a.seen[0].user_agent.startswith("Mozilla"),
    ):
        shares = [sum(map(share, of)) / len(of) for of in (hidden, people)]
        assert shares[0] == pytest.approx(shares[1], abs=0.1)
    assert max(Counter(a.facts.payment_id for a in hidden).values()) == 1
    turns = [event.turn for event, _ in made(mimics=("turns",))]
    assert 0.3 < sum(turn > 0 for turn in turns) / len(turns) < 0.7
