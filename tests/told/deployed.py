"""What `deploy/` asks Prometheus: every query, as it is asked."""

import json
import os
import re
import shutil
import time
from pathlib import Path

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana/dashboards/stream_guard.json").read_text())
RULES = [
    rule for group in yaml.safe_load((DEPLOY / "prometheus/rules.yml").read_text())["groups"] for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]

_VARIABLES = {"$__rate_interval": "10s", "$__range": "1m", "$instance": ".*"}
_COMPARISON = re.compile(r"\s*(==|>|<|>=|<=)\s*[\d.]+\s*$")


def resolved(query):
    """Put in what Grafana puts in for its variables."""
    for name, value in _VARIABLES.items():
        query = query.replace(name, value)
    assert "$" not in query, query
    return query


def without_threshold(query):
    """Return what an alert compares: the comparison itself hides it as long as all is well."""
    compared, count = _COMPARISON.subn("", query)
    assert count == 1, f"{query!r} must end in a comparison with a number"
    return compared


QUERIES = (
    {
        f"panel: {panel['title']}, {target['refId']}": resolved(target["expr"])
        for panel in DASHBOARD["panels"]
        for target in panel.get("targets", [])
    }
    | {f"annotation: {a['name']}": without_threshold(resolved(a["expr"])) for a in DASHBOARD["annotations"]["list"]}
    | {f"record: {rule['record']}": rule["record"] for rule in RULES if "record" in rule}
    | {f"alert: {rule['alert']}": without_threshold(rule["expr"]) for rule in ALERTS}
)


def until(what, condition, deadline_s=60.0):
    """Return what `condition` returns once it is true; what it last said if it never is."""
    end = time.monotonic() + deadline_s
    while not (value := condition()):
        assert time.monotonic() < end, f"{what}: not within {deadline_s:g} s"
        time.sleep(0.05)
    return value


def require_prometheus():
    """Skip where there is no Prometheus; fail where there must be one."""
    missing = [name for name in ("prometheus", "promtool") if not shutil.which(name)]
    if missing:
        reason = f"no {' and no '.join(missing)} on this machine; Debian's package `prometheus` has both"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
