"""Simulated streams: reproducible, in order, decodable, and shaped as the scenarios say."""

from collections import Counter, defaultdict
from hashlib import sha256
from itertools import groupby, islice, pairwise

import pytest

from stream_guard.codecs import decode_events, encode
from stream_guard.simulate import SCENARIOS, START, Scenario, Traffic, stream
from stream_guard.simulate.honest import KINDS
from stream_guard.simulate.people import DAY_S

SMALL = 150


def digest(scenario, events=2000):
    made = sha256()
    for event, label in islice(stream(scenario), events):
        made.update(encode(event) + repr(label).encode())
    return made.hexdigest()


@pytest.fixture(scope="module")
def run():
    """Whole small streams, each made once."""
    kept = {}

    def made(name, accounts=SMALL, days=None):
        key = name, accounts, days
        if key not in kept:
            kept[key] = list(stream(Scenario(name, accounts, days, volume=0.5)))
        return kept[key]

    return made


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_same_seed_gives_the_same_stream(name):
    assert digest(Scenario(name, SMALL, seed=3)) == digest(Scenario(name, SMALL, seed=3))


@pytest.mark.parametrize("name", SCENARIOS)
def test_another_seed_gives_another(name):
    assert digest(Scenario(name, SMALL, seed=3)) != digest(Scenario(name, SMALL, seed=4))


@pytest.mark.parametrize("name", SCENARIOS)
def test_requests_are_in_time_order_have_ids_of_their_own_and_decode(run, name):
    made = [event for event, _ in run(name)]

    assert all(before.ts <= after.ts for before, after in pairwise(made))
    assert len({event.event_id for event in made}) == len(made)
    assert made[0].ts >= START
    assert made[-1].ts <= START + SCENARIOS[name].days * DAY_S
    assert decode_events([encode(event) for event in made], source="test") == (made, [])


@pytest.mark.parametrize("name", SCENARIOS)
def test_honest_requests_are_the_same_whatever_is_hidden(run, name):
    honest = [event for event, label in run(name, days=0.5) if not label.campaign]

    assert honest == [event for event, _ in run("calm", days=0.5)]


def test_a_long_stream_begins_at_once_and_is_made_while_it_is_read():
    first, _ = next(stream(Scenario("hydra", SMALL, days=366)))

    assert first.ts < START + DAY_S


def test_every_honest_kind_is_there(run):
    kinds = {label.kind for _, label in run("calm")}

    assert kinds == {"individual", "viral_template", "application", "harness_crowd", "coder", "classroom",
                     "nightly_evaluation", "migration", "aggregator"}  # fmt: skip
    assert sum(share for _, share, _ in KINDS) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("name", "accounts", "a_day"),
    [
        ("solo", 1, 2500),
        ("focused", 40, 90),
        ("hydra", 20, 26),
        ("trickle", 100, 2),
        ("surge", 12, 860),
        ("relay", 12, 250),
        ("replayed", 20, 46),
    ],
)
def test_the_campaign_has_the_size_and_the_volume_that_was_published(run, name, accounts, a_day):
    hidden = [event for event, label in run(name, 400) if label.campaign]
    days = SCENARIOS[name].days

    assert len({event.account_id for event in hidden}) == pytest.approx(accounts, rel=0.05)
    active = sum(
        START + days * DAY_S - min(event.ts for event in own) for own in by_account(hidden).values() if len(own) > 1
    )
    assert len(hidden) / (active / DAY_S) == pytest.approx(a_day, rel=0.35)


def by_account(events):
    found = defaultdict(list)
    for event in events:
        found[event.account_id].append(event)
    return found


def test_a_hydra_shares_infrastructure_in_part(run):
    hidden = by_account(event for event, label in run("hydra", 800) if label.campaign)
    payers = Counter(own[0].account.payment_id for own in hidden.values())

    assert 0.1 < sum(1 for own in hidden.values() if payers[own[0].account.payment_id] > 1) / len(hidden) < 0.6


def test_focused_accounts_send_at_the_same_moments(run):
    hidden = [event.ts for event, label in run("focused") if label.campaign]
    rounds = [len(list(same)) for _, same in groupby(hidden, key=lambda ts: int((ts - START) // 60))]

    assert Counter(rounds).most_common(1)[0][0] == 40


def test_a_relay_sends_strangers_traffic_and_one_sub_prompt_in_a_part_of_it(run):
    hidden = [(event, label) for event, label in run("relay") if label.campaign]
    kept = [event for event, label in hidden if label.harvest]
    tails = {event.prompt.rsplit("\n\n", 1)[1] for event in kept}

    assert len(tails) == 1
    assert 0.05 < len(kept) / len(hidden) < 0.5
    assert len({event.client.user_agent for event, _ in hidden}) > 5


def test_reasoning_items_cross_accounts_only_where_they_are_replayed(run):
    owners = defaultdict(set)
    for event, label in run("replayed"):
        for item in event.reasoning_refs:
            owners[item].add((event.account_id, label.campaign))
    crossing = [who for who in owners.values() if len(who) > 1]

    assert len(crossing) > 50
    assert all(campaign for who in crossing for _, campaign in who)
    assert any(campaign is None for who in owners.values() for _, campaign in who)


def test_in_a_succession_pool_two_begins_when_pool_one_falls_silent(run):
    times = defaultdict(list)
    for event, label in run("succession"):
        if label.campaign:
            times[label.pool].append((event.ts - START) / DAY_S)

    assert max(times[1]) < 0.4 * 2 + 0.01
    assert max(times[1]) < min(times[2]) < max(times[1]) + 0.25


def test_a_pivot_moves_half_of_the_traffic_to_the_new_model_within_a_day_of_its_release(run):
    (release,) = Traffic(Scenario("pivot", SMALL)).releases
    asked = {True: Counter(), False: Counter()}
    for event, label in run("pivot"):
        late = "later" if event.ts > release.ts + 0.8 * DAY_S else "after" if event.ts > release.ts else "before"
        asked[bool(label.campaign)][late, event.model == release.model] += 1

    assert all(not models["before", True] for models in asked.values())
    assert 0.4 < asked[True]["later", True] / (asked[True]["later", True] + asked[True]["later", False]) < 0.6
    honest = asked[False]["later", True] / (asked[False]["later", True] + asked[False]["later", False])
    assert 0.0 < honest < 0.25


def test_probing_is_refused_in_many_wordings_before_one_of_them_comes_from_all(run):
    made = [event for event, label in run("probing") if label.campaign]
    scaled = START + 0.4 * 2 * DAY_S
    early, late = ([event for event in made if (event.ts < scaled) == before] for before in (True, False))

    assert len({event.account_id for event in early}) == 3
    assert len({event.account_id for event in late}) == 12
    refused = [sum(event.finish_reason == "refusal" for event in part) / len(part) for part in (early, late)]
    assert refused[0] > 0.5
    assert refused[1] < 0.1
    assert len({event.prompt[:60] for event in early}) > 20 > len({event.prompt[:60] for event in late})


def test_a_harness_is_one_huge_system_prompt_with_a_line_for_each_user(run):
    systems = {event.system for event, label in run("calm") if label.kind == "harness_crowd"}

    assert len(systems) > 5
    assert len({system[:4000] for system in systems}) == 1
    assert all(4000 < len(system) < 12_000 for system in systems)


def test_a_class_has_one_sheet_one_campus_one_week(run):
    students = [event for event, label in run("calm", 600) if label.kind == "classroom"]
    classes = {event.account.email_domain for event in students}
    sheets = Counter(
        event.prompt.split(",")[0]
        for event in students
        if "xercise sheet" in event.prompt or "log, week" in event.prompt
    )

    assert len(sheets) <= len(classes)
    assert {event.account.pathway for event in students} == {"education"}
    for domain in classes:
        created = [event.account.created_at for event in students if event.account.email_domain == domain]
        assert max(created) - min(created) <= 6 * DAY_S


def test_a_nightly_evaluation_asks_the_same_questions_every_night(run):
    suites = by_account(event for event, label in run("calm") if label.kind == "nightly_evaluation")

    for own in suites.values():
        half = len(own) // 2
        assert [event.prompt for event in own[:half]] == [event.prompt for event in own[half:]]


def test_a_migration_falls_silent_on_one_key_and_goes_on_at_another(run):
    keys = sorted(
        by_account(event for event, label in run("calm") if label.kind == "migration").values(),
        key=lambda own: own[0].ts,
    )
    old, new = keys[0], keys[-1]

    assert old[-1].ts - 1800 < new[0].ts
    assert old[0].account.payment_id == new[0].account.payment_id
    assert new[0].ts - new[0].account.created_at < DAY_S


def test_an_aggregator_declares_itself(run):
    resold = [event for event, label in run("calm") if label.kind == "aggregator"]

    assert all(event.org_id and event.account.tier == "enterprise" for event in resold)
    assert len({event.client.user_agent for event in resold}) > 5


def test_honest_people_seldom_share_five_words(run):
    """In 300 people's traffic few runs of five words are shown by three of them."""
    shown = defaultdict(set)
    for event, label in run("calm", 600):
        if label.kind == "individual":
            words = event.prompt.split()
            for i in range(len(words) - 4):
                shown[tuple(words[i : i + 5])].add(event.account_id)

    assert len(shown) > 100_000
    assert sum(1 for who in shown.values() if len(who) >= 3) / len(shown) < 0.005


def test_some_write_chinese(run):
    chinese = Counter(
        any("一" <= letter <= "鿿" for letter in event.prompt)
        for event, label in run("calm")
        if label.kind == "individual"
    )

    assert 0.03 < chinese[True] / chinese.total() < 0.4


def test_the_account_facts_are_realistic(run):
    for event, _ in run("hydra"):
        assert event.account.created_at < event.ts
        assert 0 < event.output_tokens <= event.max_tokens
        assert event.input_tokens > len(event.prompt) // 5
        assert (event.finish_reason == "length") == (event.output_tokens == event.max_tokens)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"name": "nessie"}, "no scenario 'nessie'; there are calm, solo"),
        ({"accounts": 0}, "accounts: 0 is not between"),
        ({"days": 0.0}, "days: 0.0 is not above 0"),
        ({"days": 400}, "days: 400 is not above 0 and at most 366"),
        ({"volume": -1.0}, "volume: -1.0 is not above 0"),
    ],
)
def test_what_cannot_be_simulated_is_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        Scenario(**wrong)


def test_accounts_know_how_much_they_sent():
    traffic = Traffic(Scenario("hydra", SMALL))
    sent = Counter(event.account_id for event, _ in traffic)

    assert sent == Counter({a.account_id: a.requests for a in traffic.accounts if a.requests})
