"""The population half at scale, at a size that tests have time for: `benchmarks/population_scale.py` measures it in full."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "population_scale.py"


def figure(told, pattern):
    """Return the number that a line tells."""
    return float(re.search(pattern, told)[1].replace(",", ""))


@pytest.fixture(scope="module")
def done():
    command = [sys.executable, BENCHMARK, "--accounts", "2000", "--campaign", "100", "--hours", "8", "--begins", "1"]
    options = ["--joining", "3", "--partitions", "1", "--sightings-max", "4096"]
    return subprocess.run([*command, *options], capture_output=True, text=True, timeout=280, check=True)


def test_everybody_is_taken_and_the_window_stays_as_small_as_it_is_set(done):
    assert figure(done.stdout, r"requests of ([\d,]+) accounts in") == 2000
    assert max(float(n.replace(",", "")) for n in re.findall(r"the ([\d,]+) requests held", done.stdout)) <= 4096


def test_the_campaign_is_linked_and_nobody_else(done):
    assert figure(done.stdout, r"([\d.]+) by one id in the end") >= 0.95
    assert figure(done.stdout, r"precision ([\d.]+)") >= 0.99
    assert figure(done.stdout, r"honest accounts linked: (\d+)") == 0


def test_it_says_how_long_that_took_and_how_far_it_is(done):
    assert figure(done.stdout, r"new since it was named: ([\d,]+) accounts") > 0
    assert figure(done.stdout, r"looks: ([\d,]+), mean") > 0
    assert "100% in" in done.stderr
