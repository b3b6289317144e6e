"""Every detector there is, found by looking, through every check that fits it."""

import importlib
import inspect
import pkgutil

import pytest
from checks import SIGNALS, checks_for

import stream_guard.detectors as package
from stream_guard.detectors import FeedbackModel, PopulationDrift, Prior, Usual

MAKERS = {
    Usual: lambda: Usual({s: Prior(0.1, 0.6, 0.95) for s in SIGNALS}, window_size=400),
    PopulationDrift: lambda: PopulationDrift(SIGNALS),
    FeedbackModel: lambda: FeedbackModel(dict.fromkeys(SIGNALS, 2.0)),
}


def detectors():
    for module in pkgutil.iter_modules(package.__path__):
        for _, cls in inspect.getmembers(importlib.import_module(f"{package.__name__}.{module.name}"), inspect.isclass):
            if cls.__module__.startswith(package.__name__) and hasattr(cls, "learn_one") and not is_contract(cls):
                yield cls


def is_contract(cls):
    return getattr(cls, "_is_protocol", False)


FOUND = sorted(set(detectors()), key=lambda cls: cls.__name__)


def test_all_detectors_are_found_and_have_a_maker():
    assert set(FOUND) == set(MAKERS)


@pytest.mark.parametrize(
    ("cls", "check"),
    [
        pytest.param(cls, check, id=f"{cls.__name__}-{check.__name__.removeprefix('check_')}")
        for cls in FOUND
        for check in checks_for(cls)
    ],
)
def test_check(cls, check):
    check(MAKERS[cls])
