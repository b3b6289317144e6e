"""Prompt diversity: whether the account asks, or a template asks through it.

Read together they say; each alone has honest causes, which its entry names.
"""

import numpy as np

from stream_guard.signals.base import Signal, bits, field

SIGNALS = (
    Signal(
        "template_share",
        "share",
        "high",
        (0.01, 0.07, 0.25, 0.5, 0.94),
        "Share of a request's lexical fingerprints that the account has sent before. Long conversations repeat their own words as well.",
        field("known_text"),
    ),
    Signal(
        "near_duplicates",
        "share",
        "high",
        (0, 0, 0.01, 0.3, 0.97),
        "Share of requests of which at least four fifths of the fingerprints were sent before (resemblance, Broder 1997).",
        field("near_duplicate"),
    ),
    Signal(
        "same_opening",
        "share",
        "high",
        (0, 0, 0.01, 0.6, 0.99),
        "Share of requests whose first six words open one of the last four kinds of request too: a fixed frame around a slot.",
        field("same_head"),
    ),
    Signal(
        "topic_spread",
        "share",
        "low",
        (0.16, 0.52, 0.84, 0.95, 0.99),
        "One less the mean likeness (cosine) of a request to the mean of the account's earlier ones. A narrow pipeline is low; so is an "
        "honest single-purpose application.",
        lambda rows: 1.0 - np.clip(rows["likeness"].astype(np.float64), 0.0, 1.0),
    ),
    Signal(
        "single_turn",
        "share",
        "high",
        (0.06, 0.12, 0.5, 1, 1),
        "Share of requests that open a conversation. Harvesting rarely talks on; search-like use and batch jobs do not either.",
        field("single_turn"),
    ),
    Signal(
        "system_texts",
        "count",
        "high",
        (1, 1, 1, 1.5, 11),
        "Distinct system texts (linear counting): a relay carries its customers'.",
        lambda rows: bits(rows["systems"]),
    ),
)
