"""How many standard errors make the interval: as many as where there was no effect (ATTRIBUTION §2.10)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attribution.measured import Measured
from attribution.organic import Excess
from attribution.parameters import Parameters


@dataclass(frozen=True)
class Calibration:
    """k and on how many placebo triples it rests; without enough of them it is the normal one."""

    k: float
    triples: int
    is_calibrated: bool


def calibrated(found: Measured, excess: Excess, parameters: Parameters) -> Calibration:
    """From the placebo triples that are final and have as many exposed as a published figure needs."""
    keys = np.minimum(found.exposed, excess.pool_keys)
    usable = found.is_placebo & found.is_final & (keys >= parameters.least_exposed) & excess.has_control
    triples = int(usable.sum())
    if triples < parameters.least_triples:
        return Calibration(parameters.z, triples, False)
    quantile = float(np.quantile(np.abs(excess.z[usable]), parameters.coverage))
    return Calibration(max(parameters.z, quantile), triples, True)
