"""From risk to action: who is watched, throttled or stopped, for how long, and why.

`Policy` turns assessments of accounts into decisions, each with an expiry, its reasons and what would clear it;
`Alerts` turns decisions and campaigns into notices for people. Both are pure: time is the event time that callers pass.
"""

from stream_guard.policy.alerts import ATLAS, INDICATORS, Alerts, AlertSettings, reasons_of
from stream_guard.policy.decisions import Assessment, Policy, Spending
from stream_guard.policy.ladder import PolicySettings, Step

__all__ = [
    "ATLAS",
    "INDICATORS",
    "AlertSettings",
    "Alerts",
    "Assessment",
    "Policy",
    "PolicySettings",
    "Spending",
    "Step",
    "reasons_of",
]
