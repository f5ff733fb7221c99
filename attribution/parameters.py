"""The numbers of the solve, each once, with their step in ATTRIBUTION §2; the models have the cohorts'."""

from __future__ import annotations

from dataclasses import dataclass

MODEL_VERSION = "pace-3"  # raised when the same counts would give another figure
ASSUMED = "assumed"  # the source of a λ that no app devices tell


@dataclass(frozen=True)
class Parameters:
    """Defaults are those of ATTRIBUTION §2."""

    prior: float = 6.0  # a (6): converts added to both sides of θ (docs/decisions/0017)
    pool_prior: float = 10.0  # (5): keys at the pool's mean rate added to each stratum
    coverage: float = 0.9  # (10): of the intervals; which quantile of placebo |z| makes k
    z: float = 1.645  # (10): the least k, that of a normal deviate at this coverage
    least_triples: int = 100  # (10): fewer placebo triples calibrate nothing
    assumed_widening: float = 1.1  # (9): of an interval whose λ is assumed
    least_exposed: int = 200  # (11): n, and as many to compare with
    least_events: float = 5.0  # (11): x + O
    pre_trend: float = 3.0  # (11): standard errors of θ
    spike: float = 2.0  # (11): times the rate of the history pool …
    spike_errors: float = 3.0  # … and so many standard errors of that ratio's logarithm above 1
    same_exposure: float = 0.99  # overlap from which on two collaborations are one, recorded twice


DEFAULTS = Parameters()
