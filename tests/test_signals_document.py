"""docs/signals.md is made from the tables of signals and of the judge; these hold the tables to it."""

from pathlib import Path

import pytest

from stream_guard.campaigns import judge
from stream_guard.engine.solo import WEIGHTS
from stream_guard.signals import BY_NAME, SIGNALS

TEXT = (Path(__file__).parents[1] / "docs/signals.md").read_text()


def test_names_are_unique_and_every_weight_is_of_a_signal():
    assert len(BY_NAME) == len(SIGNALS)
    assert WEIGHTS.keys() <= BY_NAME.keys()


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda signal: signal.name)
def test_a_signal_says_what_it_is_and_what_is_usual(signal):
    assert f"| `{signal.name}` | {signal.unit} | {signal.unusual} |" in TEXT
    assert signal.about.endswith(".")
    assert list(signal.quantiles) == sorted(signal.quantiles)


def test_every_feature_of_a_cluster_says_what_it_is():
    assert judge.ABOUT.keys() == judge.PRIORS.keys()
    assert all(f"| `{name}` |" in TEXT and about.endswith(".") for name, about in judge.ABOUT.items())
