"""How the excesses of one show's collaborations err together (docs/decisions/0021)."""

from __future__ import annotations

import numpy as np

from attribution.measured import Floats, Ints, Measured
from attribution.organic import Excess

ROUNDING = 1e-9  # eigenvalues of correlations that are below 0 by less are 0


def shared_variance(
    found: Measured, excess: Excess, chance: Floats, common_keys: Floats, places: Ints
) -> Floats:
    """Variances and covariances of the excesses of the targets at `places`, all of one show A.

    chance: of x, by target. common_keys, places × places: how many of the row's exposed heard the column's.
    """
    near = _nearness(found, places)
    heard = _possible(_heard_both(common_keys, found.exposed[places]) * near)
    of_theta = excess.organic[places] * excess.theta_error[places]
    parts = (
        (np.sqrt(chance[places]), heard),
        (excess.pool_se[places], near),
        (of_theta, _same_placebos(found, places)),
    )
    return np.asarray(sum(np.outer(errors, errors) * share for errors, share in parts))


def _nearness(found: Measured, places: Ints) -> Floats:
    """Which part of two follow-ups is at the same time: who takes up A then is a convert of both.

    It is the follow-ups that count, not the 14 days in which devices enter a pool: most devices are active in
    any 14 days, so nearby pools are the same devices.
    """
    starts, follow_up = found.starts_us[places], found.follow_up_us[places].max(initial=1)
    return np.asarray(np.maximum(1 - np.abs(starts[:, None] - starts) / follow_up, 0.0))


def _heard_both(common_keys: Floats, exposed: Floats) -> Floats:
    """Which part of two exposed cohorts is in both: in each, and reached by the other."""
    both = np.minimum(common_keys, common_keys.T)
    share = np.minimum(both / np.sqrt(np.outer(exposed, exposed)), 1.0)
    np.fill_diagonal(share, 1.0)
    return share


def _same_placebos(found: Measured, places: Ints) -> Floats:
    """Which part of two placebo cohorts are the same episodes; where θ is no estimate, whether B is."""
    one, size = found.placebos, len(found.target_id)
    place = np.full(size, -1)
    place[places] = np.arange(len(places))
    followed = one.placebo.followed.sum(1)
    total = np.bincount(one.target, followed, size)
    is_told = (place[one.target] >= 0) & found.has_history[one.target] & (followed > 0)
    row, key = place[one.target][is_told], one.key[is_told]
    share = followed[is_told] / total[one.target][is_told]
    untold = np.setdiff1d(np.arange(len(places)), row)
    episodes, column = np.unique(key, return_inverse=True)
    partners, of_partner = np.unique(found.partner_show_key[places][untold], return_inverse=True)
    root = np.zeros((len(places), len(episodes) + len(partners)))
    root[row, column] = np.sqrt(share)
    root[untold, len(episodes) + of_partner] = 1.0
    return root @ root.T


def _possible(correlations: Floats) -> Floats:
    """Correlations as near as these that can be: those of counts taken apart may contradict each other."""
    if _is_possible(correlations):
        return correlations
    values, vectors = np.linalg.eigh(correlations)
    found = (vectors * np.maximum(values, 0)) @ vectors.T
    scale = np.sqrt(np.diag(found))
    return np.asarray(found / np.outer(scale, scale))


def _is_possible(correlations: Floats) -> bool:
    try:
        np.linalg.cholesky(correlations + ROUNDING * np.eye(len(correlations)))
    except np.linalg.LinAlgError:
        return False
    return True
