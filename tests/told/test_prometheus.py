"""A real Prometheus asks a running stream_guard all that the dashboard and the rules of `deploy/` ask."""

import math
import subprocess
from pathlib import Path

import pytest
import yaml
from deployed import ALERTS, DEPLOY, QUERIES, RULES, require_prometheus, until

pytestmark = pytest.mark.prometheus


def ask(prometheus, query):
    """Return the values that a query has now, without those that are no number."""
    answer = prometheus.get("/api/v1/query", params={"query": query}).json()
    assert answer["status"] == "success", answer
    values = [float(sample["value"][1]) for sample in answer["data"]["result"]]
    return [value for value in values if not math.isnan(value)]


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES.keys())
def test_every_query_returns_data(prometheus, query):
    until(query, lambda: ask(prometheus, query))


def test_every_rule_is_evaluated_without_an_error(prometheus):
    def evaluated():
        groups = prometheus.get("/api/v1/rules").json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"] if rule["health"] != "unknown"]

    rules = until("the rules are evaluated", lambda: len(evaluated()) == len(RULES) and evaluated())
    assert {rule["name"]: rule.get("lastError") for rule in rules if rule["health"] != "ok"} == {}


@pytest.mark.parametrize("file", ["rules.yml", "prometheus.yml"])
def test_promtool_takes_it(file):
    require_prometheus()
    kind = "rules" if file == "rules.yml" else "config"
    checked = subprocess.run(
        ["promtool", "check", kind, DEPLOY / "prometheus" / file], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_each_alert_fires_when_it_should_and_only_then():
    require_prometheus()
    stories = Path(__file__).with_name("rules_test.yml")
    told_of = {story["name"] for story in yaml.safe_load(stories.read_text())["tests"]}
    assert told_of == {rule["alert"] for rule in ALERTS}
    tested = subprocess.run(["promtool", "test", "rules", stories], capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stdout + tested.stderr
