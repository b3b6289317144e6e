"""docs/decisions.md says what the settings are."""

import re
from pathlib import Path

from stream_guard.policy import INDICATORS, PolicySettings

DOCUMENT = (Path(__file__).parents[2] / "docs" / "decisions.md").read_text()
DEFAULTS = PolicySettings()


def rows(width):
    """The first cell of each table row of `width` cells -> the others."""
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in DOCUMENT.splitlines() if line.startswith("|")]
    return {row[0].strip("`"): row[1:] for row in cells if len(row) == width}


def test_the_ladder_is_the_default_one():
    table = rows(6)
    steps = [name for name, value in DEFAULTS if hasattr(value, "enter")]
    assert [name for name in table if name in steps] == steps
    for name in steps:
        step = getattr(DEFAULTS, name)
        said = table[name][1:]
        assert said == [
            f"{step.enter:g}",
            f"{step.leave:g}",
            f"{step.duration_s / 3600:g} h",
            "on" if step.enabled else "off",
        ]


def test_figures_in_the_text_are_the_defaults():
    for name, said in [
        ("solo_budget", "0.5"),
        ("campaign_budget", "1"),
        ("min_budget", "1"),
        ("max_reasons", "6"),
        ("max_decisions", "200,000"),
    ]:
        assert re.search(rf"`{name}` \({said}\b", DOCUMENT), name
        assert getattr(DEFAULTS, name) == float(said.replace(",", ""))
    assert (DEFAULTS.half_life_s, DEFAULTS.period_s) == (6 * 3600, 3600)
    assert DEFAULTS.budget_s == 7 * 86_400
    assert (DEFAULTS.limit_rpm, DEFAULTS.campaign_limit_rpm) == (0.2, 0.01)
    assert (DEFAULTS.benign_s, DEFAULTS.malicious_s) == (30 * 86_400, 7 * 86_400)


def test_the_indicators_are_the_table():
    table = rows(2)
    assert {name: table[name][0] for name in INDICATORS} == dict(INDICATORS)
