"""A worker on a real broker: what goes in comes out, through stops, kills and outages.

The judgement is that of `rules.py`, so that every record to come is known. `test_engine.py` has the real one.
"""

import json

from staging import event, eventually, kill, stop, tenths

ACCOUNTS = 12


def traffic(count, first=0):
    """Requests of twelve accounts in turn; every fourth shares its prompt."""
    return [event(n, f"a{n % ACCOUNTS}", prompt=f"p{n % 4}") for n in range(first, first + count)]


JOINED = {f"campaign-p{n % 4}-a{n}" for n in range(ACCOUNTS)}
"""The decisions about members of campaigns that `traffic` leads to."""

PATIENT = {"session_timeout_s": 60.0, "commit_timeout_s": 60.0}
"""For a worker that must repeat nothing: one that is slow to save and is given up repeats what it has not saved."""

BAD = [b"{bad", b'{"event_id": 7}', b"\xff\xfe"]


def test_events_in_decisions_campaigns_and_alerts_out(stage):
    """Every record arrives, under its key, once; poison is kept with its reason and its place."""
    stage.configure(**PATIENT)
    events = traffic(1_000)
    stage.produce([*events[:100], *BAD, *events[100:]])
    worker = stage.worker()
    stage.until_decided(tenths(events) | JOINED)
    stop(worker)

    topics = stage.settings.topics
    decisions = stage.records(topics.decisions)
    assert sorted(json.loads(r.value)["decision_id"] for r in decisions) == sorted(tenths(events) | JOINED)
    assert all(r.key.decode() == json.loads(r.value)["account_id"] for r in decisions)
    campaigns = stage.records(topics.campaigns)
    assert {r.key.decode() for r in campaigns} == {json.loads(r.value)["campaign_id"] for r in campaigns}
    assert {r.key.decode() for r in campaigns} == {f"campaign-p{n}" for n in range(4)}
    assert sorted(a["alert_id"] for a in stage.read(topics.alerts)) == [f"campaign-p{n}" for n in range(4)]
    letters = {(d["source"], d["partition"], d["offset"]): d for d in stage.read(topics.dead_letters)}
    sent = {(r.topic, r.partition, r.offset): r.value for r in stage.records(topics.requests) if r.value in BAD}
    assert letters.keys() == sent.keys()
    assert {d["payload"] for d in letters.values()} == {"{bad", '{"event_id": 7}', "//4="}
    assert all(d["reason"] for d in letters.values())


def test_a_stop_and_a_start_lose_nothing_and_repeat_nothing(stage):
    """What was saved at the stop is not read again: no record is written twice."""
    stage.configure(**PATIENT)
    before, after = traffic(500), traffic(500, first=500)
    stage.produce(before)
    worker = stage.worker()
    stage.until_decided(tenths(before) | JOINED)
    stop(worker)
    stage.produce(after)
    worker = stage.worker()
    stage.until_decided(tenths(before + after) | JOINED)
    stop(worker)

    topics = stage.settings.topics
    ids = [d["decision_id"] for d in stage.read(topics.decisions)]
    assert sorted(ids) == sorted(tenths(before + after) | JOINED)
    assert len(stage.read(topics.campaigns)) == ACCOUNTS - 4 * 2  # begun by the third of three members


def test_a_worker_that_is_killed_goes_on_from_its_snapshots(stage):
    """Every event counts once: the hundredth request of an account is the hundredth after two kills as well."""
    stage.configure(instance="w1")  # a lasting name: its partitions wait for it
    everything = []
    for part in range(3):
        events = traffic(400, first=400 * part)
        stage.produce(events)
        everything += events
        worker = stage.worker()
        stage.until_decided(tenths(everything))
        if part < 2:
            kill(worker)
    found = stage.until_decided(tenths(everything) | JOINED)
    stop(worker)

    assert set(found) == tenths(everything) | JOINED


def test_a_verdict_waits_for_the_events_that_it_stands_on(stage):
    """A half put back before the events that a verdict is about hears it once it has read them again."""
    stage.configure(snapshot_interval_s=3_600.0, instance="w1")  # nothing is saved before the kill
    events = traffic(120)
    stage.produce(events)
    worker = stage.worker()
    stage.until_decided(tenths(events) | JOINED)
    kill(worker)
    stage.configure(snapshot_interval_s=0.5)
    seen = len(stage.read(stage.settings.topics.decisions))
    worker = stage.worker()
    wanted = 2 * len(tenths(events) | JOINED)
    eventually(lambda: len(stage.read(stage.settings.topics.decisions)) >= wanted)
    stop(worker)

    again = stage.read(stage.settings.topics.decisions)[seen:]
    assert {d["decision_id"] for d in stage.read(stage.settings.topics.decisions)} == tenths(events) | JOINED
    assert len(again) >= len(tenths(events) | JOINED)


def test_the_halves_work_in_two_processes(stage):
    """One process for the accounts, one for the population."""
    events = traffic(240)
    stage.produce(events)
    accounts = stage.worker("accounts", name="accounts")
    population = stage.worker("population", name="population")
    found = stage.until_decided(tenths(events) | JOINED)
    stop(accounts)
    stop(population)

    assert set(found) == tenths(events) | JOINED


def test_two_workers_share_the_partitions(stage):
    """A second worker takes over some partitions and, when the first stops, all of them."""
    before, between, after = (traffic(240, first=240 * n) for n in range(3))
    stage.produce(before)
    first = stage.worker(name="first")
    stage.until_decided(tenths(before) | JOINED)
    second = stage.worker(name="second")
    eventually(lambda: "behind" in second.log.read_text())
    stage.produce(between)
    stage.until_decided(tenths(before + between))
    stop(first)
    stage.produce(after)
    found = stage.until_decided(tenths(before + between + after))
    stop(second)

    assert set(found) == tenths(before + between + after) | JOINED


def test_words_from_outside_reach_the_half_that_they_are_about(stage):
    """Analysts' words and facts of accounts are heard by whichever half has the account."""
    topics = stage.settings.topics
    stage.tell(topics.accounts, "a3", {"account_id": "a3", "facts": {"tier": "free"}})
    stage.tell(topics.feedback, "a5", {"ts": 1_777_000_000, "label": "malicious", "account_id": "a5"})
    stage.tell(topics.feedback, "?", {"label": "what"})
    stage.produce(traffic(240))
    worker = stage.worker()
    stage.until_decided({"feedback-a5"})
    letters = eventually(lambda: stage.read(topics.dead_letters))

    def with_facts():
        stage.produce([event(0, account) for account in ("a3", "a4") for _ in range(10)])
        return {d["account_id"] for d in stage.decisions().values() if d["risk"] == 0.9}

    assert eventually(with_facts) == {"a3"}
    assert [(d["source"], d["offset"]) for d in letters] == [(topics.feedback, 1)]
    stop(worker)


def test_an_outage_of_the_broker_is_outlived(stage, broker):
    """The worker waits, goes on, and loses nothing."""
    before, after = traffic(240), traffic(240, first=240)
    stage.produce(before)
    worker = stage.worker()
    stage.until_decided(tenths(before) | JOINED)
    broker.kill()
    broker.start()
    stage.produce(after)
    found = stage.until_decided(tenths(before + after))
    stop(worker)

    assert set(found) == tenths(before + after) | JOINED


def test_it_stops_rather_than_dead_letter_everything(stage):
    """Beyond `dead_letters_share_max` the worker ends with the reason; nothing of what led there is committed."""
    stage.configure(dead_letters_share_max=0.5)
    stage.produce([b"{bad"] * 4_000)
    worker = stage.worker()

    assert worker.wait() == 1
    assert "cannot be decoded, more than dead_letters_share_max 0.5 allows" in worker.log.read_text().splitlines()[-1]


def test_it_does_not_start_without_its_topics(settings, stage):
    """A missing topic is named before anything begins."""
    from kafka.admin import KafkaAdminClient

    admin = KafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    admin.delete_topics([settings.topics.verdicts])
    eventually(lambda: settings.topics.verdicts not in admin.list_topics())
    admin.close()
    done = stage.run("worker")

    assert done.returncode == 1
    assert done.stderr.strip().splitlines() == [
        f"Topics are missing: {settings.topics.verdicts}; make them with `stream-guard topics create`"
    ]
