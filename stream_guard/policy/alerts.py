"""Notices for people: few, with a sentence that says what happens and why."""

from types import MappingProxyType

from stream_guard.events import Alert, Campaign, Decision
from stream_guard.settings import Settings

ATLAS = MappingProxyType(
    {
        "AML.T0024.002": "Extract AI Model",
        "AML.T0040": "AI Model Inference API Access",
        "AML.T0021": "Establish Accounts",
        "AML.T0048.004": "AI Intellectual Property Theft",
    }
)
"""MITRE ATLAS techniques that alerts name."""

INDICATORS = MappingProxyType(
    {
        "AA26-251A.1": "round-the-clock use",
        "AA26-251A.2": "straight to the maximum, without a ramp",
        "AA26-251A.3": "one credential over many addresses",
        "AA26-251A.4": "use that does not fit the plan",
        "AA26-251A.5": "routed through aggregators",
        "AA26-251A.6": "metadata sanitised",
        "AA26-251A.7": "reasoning elicitation",
        "AA26-251A.8": "failover when blocked",
        "AA26-251A.9": "a new model within 24 hours",
        "AA26-251A.10": "a fixed probe set",
    }
)
"""Indicators of the joint advisory AA26-251A that alerts name; numbered here in the order of its list."""


class AlertSettings(Settings):
    """How often people are told."""

    period_s: float = 86_400.0
    """Seconds (UTC days, by default) in which a subject is alerted about once, unless the severity grows."""
    max_subjects: int = 100_000
    """Subjects remembered; beyond it the oldest are forgotten."""


class Alerts:
    """Builds alerts and keeps from repeating them."""

    def __init__(self, settings: AlertSettings | None = None) -> None:
        self.settings = settings or AlertSettings()

    def of_decision(self, decision: Decision, indicators: tuple[str, ...] = ()) -> Alert | None:
        """Return the alert that a decision deserves, or None if it was told already."""
        raise NotImplementedError

    def of_campaign(self, campaign: Campaign) -> Alert | None:
        """Return the alert that a campaign deserves, or None if it was told already."""
        raise NotImplementedError

    def of_drift(self, signal: str, ts: float, before: float, after: float, unit: str = "") -> Alert | None:
        """Return the alert that a drift of the population deserves, or None if it was told already."""
        raise NotImplementedError

    def snapshot(self) -> bytes:
        """Return the whole state."""
        raise NotImplementedError

    def restore(self, state: bytes) -> None:
        """Take up a snapshot. Raises SnapshotError."""
        raise NotImplementedError
