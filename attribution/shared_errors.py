"""How the excesses of one show's collaborations err together (docs/decisions/0021)."""

from __future__ import annotations

import numpy as np

from attribution.measured import Floats, Ints, Measured
from attribution.organic import Excess

# Of placebo episodes, 80 to 44 days before the first collaboration (dbt_project/macros/attribution.sql).
HISTORY_US = 36 * 86_400_000_000
ROUNDING = 1e-9  # of the largest variance: eigenvalues that are below 0 by less are 0


def of_chance(found: Measured, excess: Excess, common_keys: Floats, places: Ints) -> Floats:
    """Covariances of the converts of the targets at `places`, all of one show A: who is a convert of both.

    common_keys, places × places: how many of the row's exposed heard the column's.
    """
    near = _nearness(found.starts_us[places], _follow_up(found, places))
    correlations = _heard_both(common_keys, found.exposed[places]) * near
    possible = without_negative(correlations)
    errors = np.sqrt(excess.chance[places] / np.diag(possible))
    return np.asarray(np.outer(errors, errors) * possible)


def of_organic(found: Measured, excess: Excess, places: Ints) -> Floats:
    """Covariances of the organic expectations of the targets at `places`, all of one show A."""
    follow_up = _follow_up(found, places)
    near = _nearness(found.starts_us[places], follow_up)
    near_history = _nearness(found.first_us[places], follow_up + HISTORY_US)
    organic = excess.organic[places]
    parts = (
        (excess.pool_se[places], near),
        (organic * excess.theta_own_error[places], _same_placebos(found, places)),
        (organic * excess.theta_beside_error[places], near_history),
    )
    return np.asarray(sum(np.outer(errors, errors) * share for errors, share in parts))


def _follow_up(found: Measured, places: Ints) -> int:
    return int(found.follow_up_us[places].max(initial=1))


def _nearness(starts_us: Ints, length_us: int) -> Floats:
    """Which part of two follow-ups is at the same time: who takes up A then is a convert of both.

    It is the follow-ups that count, not the 14 days in which devices enter a pool: most devices are active in
    any 14 days, so nearby pools are the same devices.
    """
    return np.asarray(np.maximum(1 - np.abs(starts_us[:, None] - starts_us) / length_us, 0.0))


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


def without_negative(matrix: Floats) -> Floats:
    """A symmetric matrix without negative eigenvalues: counts taken apart may contradict each other."""
    if _has_no_negative(matrix):
        return matrix
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.maximum(values, 0)) @ vectors.T)


def _has_no_negative(matrix: Floats) -> bool:
    most = np.abs(np.diag(matrix)).max(initial=0)
    try:
        np.linalg.cholesky(matrix + ROUNDING * most * np.eye(len(matrix)))
    except np.linalg.LinAlgError:
        return False
    return True
