"""River models over the signals of accounts: they learn online, score before they learn, and say why.

`Usual` knows what is usual; what it makes of an account's signals (how unusual each is, 0..1) is what the others take.
None of them accuses anybody by itself: the policy decides.
"""

from stream_guard.detectors.base import Detector, Features, SupervisedDetector
from stream_guard.detectors.drift import Drift, PopulationDrift
from stream_guard.detectors.feedback import FeedbackModel
from stream_guard.detectors.state import dump, load
from stream_guard.detectors.usual import Prior, Usual

__all__ = [
    "Detector",
    "Drift",
    "Features",
    "FeedbackModel",
    "PopulationDrift",
    "Prior",
    "SupervisedDetector",
    "Usual",
    "dump",
    "load",
]
