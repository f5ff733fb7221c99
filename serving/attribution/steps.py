"""The steps of the rule, numbered as in docs/attribution.md, where each has a heading."""

from __future__ import annotations

from enum import IntEnum

DOCS = "docs/attribution.md"


class Step(IntEnum):
    """A step of PACE, the Placebo-Adjusted Cohort Estimator (ATTRIBUTION §2)."""

    KEY = 1
    NEW_LISTENER = 2
    COHORT = 3
    EXPOSED = 4
    POOL = 5
    HISTORY = 6
    ORGANIC = 7
    OVERLAP = 8
    SCALE = 9
    INTERVAL = 10
    FLAGS = 11
