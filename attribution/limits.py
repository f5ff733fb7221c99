"""The most that few counts allow: an exact upper limit, where a normal interval means nothing."""

from __future__ import annotations

import math

BISECTIONS = 80  # to the last bits of a double


def poisson_limit(count: float, tail: float) -> float:
    """The mean of a Poisson count under which `count` or fewer have only the probability `tail`.

    count: 0 or more, whole; tail: 0 … 1. The exact limit of Garwood: for 0 and 5 % it is 3.00.
    """
    low, high = float(count), count + 10 * math.sqrt(count + 1) + 10
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(int(count), middle) > tail else (low, middle)
    return high


def _at_most(count: int, mean: float) -> float:
    """P(X ≤ count)."""
    if mean <= 0:
        return 1.0
    logs = (number * math.log(mean) - mean - math.lgamma(number + 1) for number in range(count + 1))
    return math.fsum(math.exp(one) for one in logs)
