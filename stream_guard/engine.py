"""Events in, decisions out: the pure middle. No I/O, no clock (event time only), no Kafka.

Two halves. The *account half* sees every request of its accounts and is the only one that decides about them; the
*population half* sees compact reports of all account halves and links accounts into campaigns. On Kafka two topics lie
between them, embedded (`Engine`) they call each other:

    events ─► AccountHalf ─► decisions, alerts
                 │    ▲
          report ▼    │ verdict
             PopulationHalf ─► campaigns, alerts

The same input in the same order gives the same output, byte for byte, however it is cut into batches.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from stream_guard.events import (
    AccountUpdate,
    AccountView,
    Alert,
    Campaign,
    CampaignView,
    Decision,
    Enforcement,
    Feedback,
    Release,
    RequestEvent,
)

Lesson = Feedback | Release | Enforcement | AccountUpdate
"""What the engine learns from outside, besides requests."""


@dataclass(slots=True)
class Outcome:
    """What came of some input, each list in the order it was made."""

    decisions: list[Decision] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    campaigns: list[Campaign] = field(default_factory=list)

    def extend(self, other: "Outcome") -> None:
        """Append all of `other`."""
        self.decisions += other.decisions
        self.alerts += other.alerts
        self.campaigns += other.campaigns
