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

from stream_guard.engine.account_half import LIVE_S, AccountHalf
from stream_guard.engine.baseline import PopulationBaseline, merged, read_baseline, write_baseline
from stream_guard.engine.embedded import Engine
from stream_guard.engine.outcome import EngineSettings, Lesson, Outcome
from stream_guard.engine.population_half import PopulationHalf
from stream_guard.engine.solo import Baseline

__all__ = [
    "LIVE_S",
    "AccountHalf",
    "Baseline",
    "Engine",
    "EngineSettings",
    "Lesson",
    "Outcome",
    "PopulationBaseline",
    "PopulationHalf",
    "merged",
    "read_baseline",
    "write_baseline",
]
