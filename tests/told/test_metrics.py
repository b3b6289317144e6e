"""The table of metrics: every row is updated by a running stream_guard, and can be updated in one way only."""

import httpx
import pytest
from deployed import until
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from stream_guard.engine import Outcome
from stream_guard.events import Alert, Campaign, CampaignView, Decision, Reason
from stream_guard.metrics import (
    ACCOUNTS,
    CAMPAIGN_ACCOUNTS,
    CAMPAIGNS_SHOWN_MAX,
    CHECK_REQUESTS,
    CONTENT_TYPE,
    DECISIONS,
    EVENTS,
    TABLE,
    Histogram,
    Metrics,
    WorkerMetrics,
    watch_campaigns,
)


def values(text, name):
    """Every value of a metric in Prometheus' text format, by its labels."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_every_metric_is_updated_by_a_running_service(running, row):
    name = f"{row.name}_count" if isinstance(row, Histogram) else row.name
    until(name, lambda: any(value > 0 for value in values(httpx.get(f"{running}/metrics").text, name).values()))


def test_what_a_running_service_exports_is_declared(running):
    answer = httpx.get(f"{running}/metrics")
    declared = {row.name.removesuffix("_total") for row in TABLE}
    exported = {family.name for family in text_string_to_metric_families(answer.text)}
    assert answer.headers["content-type"] == CONTENT_TYPE
    assert {name for name in exported if not name.startswith("process_")} == declared


@pytest.mark.parametrize(
    ("use", "error"),
    [
        (lambda metrics: metrics.inc(EVENTS, partitoin=0), ValueError),
        (lambda metrics: metrics.inc(EVENTS), ValueError),
        (lambda metrics: metrics.inc(EVENTS, partition=0, more=1), ValueError),
        (lambda metrics: metrics.set(EVENTS, 1, partition=0), KeyError),
        (lambda metrics: metrics.inc(EVENTS, -1, partition=0), ValueError),
        (lambda metrics: metrics.inc("stream_guard_events_total", partition=0), KeyError),
    ],
)
def test_a_wrong_use_fails_at_once(use, error):
    with pytest.raises(error):
        use(Metrics())


def test_two_services_in_one_process_count_for_themselves():
    registry = CollectorRegistry()
    one, other = Metrics(registry), Metrics()
    one.inc(EVENTS, 5, partition=0)
    assert registry.get_sample_value("stream_guard_events_total", {"partition": "0"}) == 5
    assert other.registry.get_sample_value("stream_guard_events_total", {"partition": "0"}) is None


def test_what_is_rare_is_exported_as_zero_from_the_beginning():
    text = Metrics().render().decode()
    assert values(text, CHECK_REQUESTS.name)["throttle",] == 0
    assert len(values(text, DECISIONS.name)) == 14
    assert values(text, "stream_guard_alerts_total")["campaign", "critical"] == 0
    assert "_created" not in text


def test_a_watched_gauge_forgets_what_is_gone():
    metrics, held = Metrics(), {("0",): 7, ("1",): 9}
    metrics.watch(ACCOUNTS, lambda: held)
    before = values(metrics.render().decode(), ACCOUNTS.name)
    del held["0",]
    assert (before, values(metrics.render().decode(), ACCOUNTS.name)) == ({("0",): 7, ("1",): 9}, {("1",): 9})


def test_only_the_largest_campaigns_have_series():
    campaigns = [Campaign(f"ca_{size}", 1.0, (), size, 0.9, "narrow", 1, 1.0) for size in range(1, 200)]
    many = [CampaignView(campaign, ()) for campaign in campaigns]
    metrics = Metrics()
    watch_campaigns(metrics, lambda: many)
    sizes = values(metrics.render().decode(), CAMPAIGN_ACCOUNTS.name)
    assert sorted(sizes.values()) == list(range(200 - CAMPAIGNS_SHOWN_MAX, 200))


def test_a_worker_is_counted_once_a_batch():
    metrics = Metrics()
    reasons = (Reason("rate", 1.0, 0.1, 0.3), Reason("diversity", 1.0, 0.1, 0.7))
    decisions = [Decision(f"de_{n}", 1.0, f"a{n}", "watch", 0.6, reasons, "p", shadow=True) for n in range(3)]
    outcome = Outcome(decisions=decisions, alerts=[Alert("al_1", 1.0, "info", "drift", "it moved")])
    WorkerMetrics(metrics).took(4, (), (), outcome, decode_s=0.0, process_s=0.0)
    text = metrics.render().decode()
    assert values(text, DECISIONS.name)["watch", "true"] == 3
    assert values(text, "stream_guard_decision_reasons_total") == {("diversity",): 3}
    assert values(text, "stream_guard_alerts_total")["drift", "info"] == 1
    assert values(text, EVENTS.name) == {}
