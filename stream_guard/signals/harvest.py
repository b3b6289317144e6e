"""Output harvesting: whether answers are wanted as such, as much as there is, in a form made for collecting.

Read together they say; each alone has honest causes, which its entry names.
"""

import numpy as np
from numpy.typing import NDArray

from stream_guard.signals.base import Rows, Signal, field

LN10 = float(np.log(10.0))


def _plan_use(rows: Rows) -> NDArray[np.float64]:
    entitled = rows["entitlement"] > 0
    return np.where(entitled, rows["tokens_day"] / np.maximum(rows["entitlement"], 1.0), 0.0).astype(np.float64)


SIGNALS = (
    Signal(
        "output_ratio",
        "log10",
        "high",
        (-2.6, -1.3, -0.2, 0.5, 1.2),
        "Output over input tokens, mean of the log. High where short questions draw long answers.",
        lambda rows: (rows["output_log"] - rows["input_log"]).astype(np.float64) / LN10,
    ),
    Signal(
        "output_volume",
        "tokens/d",
        "high",
        (110, 860, 4300, 19000, 94000),
        "Output tokens of the last day, with exponential forgetting: what was taken away, against peers.",
        field("output_day"),
    ),
    Signal(
        "plan_use",
        "share",
        "high",
        (0, 0.001, 0.02, 0.28, 1.4),
        "Tokens of the last day over the plan's (AA26-251A: plan-to-use ratio).",
        _plan_use,
    ),
    Signal(
        "length_limit",
        "share",
        "high",
        (0, 0, 0.01, 0.14, 0.53),
        "Share of answers that end at the length limit: as much as can be had.",
        field("length_limit"),
    ),
    Signal(
        "one_limit",
        "share",
        "high",
        (0.2, 0.35, 0.53, 0.98, 1),
        "Share of requests with the account's usual output limit: a setting, not a person.",
        field("top_limit"),
    ),
    Signal(
        "many_samples",
        "share",
        "high",
        (0, 0, 0, 0.01, 0.2),
        "Share of requests for more than one answer (n > 1): rejection sampling.",
        field("many_samples"),
    ),
    Signal(
        "logprobs",
        "share",
        "high",
        (0, 0, 0, 0.01, 0.2),
        "Share of requests for log probabilities: soft labels (Carlini et al. 2024).",
        field("logprobs"),
    ),
    Signal(
        "format_forcing",
        "share",
        "high",
        (0, 0, 0.01, 0.2, 0.9),
        "Share of requests whose text forces a format that a parser can take.",
        field("format"),
    ),
    Signal(
        "reasoning_elicitation",
        "share",
        "high",
        (0, 0, 0.01, 0.36, 1),
        "Share of requests whose text asks for written-out reasoning (AA26-251A). Tutors, classrooms and viral prompts ask for it too.",
        field("reasoning"),
    ),
    Signal(
        "judge_elicitation",
        "share",
        "high",
        (0, 0, 0.01, 0.11, 0.88),
        "Share of requests that set up a grader or a rubric: preference data. Honest evaluations do the same.",
        field("judge"),
    ),
    Signal(
        "refusals",
        "share",
        "high",
        (0, 0, 0.005, 0.03, 0.11),
        "Share of requests that were refused: probing for what gets through.",
        field("refused"),
    ),
)
