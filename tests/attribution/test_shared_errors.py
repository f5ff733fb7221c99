"""What siblings err together by: cases done by hand, and sums in worlds whose truth is known."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from attribution.shared_errors import HISTORY_US
from tests.attribution.frames import DAY_US, FULL_RESPONSE, Target, frames, solved
from tests.attribution.joint_worlds import Case, Judged, sums
from tests.dbt.lakes import PROJECT

PER_CONVERT = 1_600 / 0.88 / 1_000  # new listeners, of a Target as it is: 10 organic ones of 30
OF_POOL = 10**2 / 100
OF_EPISODES = 10**2 / 26
OF_BESIDE = 10**2 * (20 / 100**0.5 / 26) ** 2


def covariance(*pair: Target, common: int = 0) -> float:
    """Of the first two's converts; so many of each heard the other at the same time, yet brought apart."""
    given = frames(pair, [(1, 2, 0.0), (2, 1, 0.0)])
    given = replace(given, overlaps=given.overlaps.with_columns(common_keys=pl.lit(common)))
    found = {(row[0], row[1]): row[2] for row in solved(given).covariances.iter_rows()}
    return found.get((1, 2), 0.0) / PER_CONVERT**2


def test_pools_of_the_same_days_err_alike_and_later_ones_by_what_is_left_of_the_follow_up() -> None:
    # Their histories begin so far apart, too, of 66 days.
    for days, share in ((0, 1.0), (15, 0.5), (30, 0.0)):
        before = OF_BESIDE * (1 - days / 66)
        assert covariance(Target(1), Target(2, begins=days)) == pytest.approx(OF_POOL * share + before)
    assert covariance(Target(1), Target(2, begins=66)) == 0


def test_theta_is_one_number_as_far_as_it_is_of_the_same_episodes() -> None:
    far = 100  # days: no pool in common
    same = Target(1, placebo_key=5), Target(2, placebo_key=5, begins=far)
    assert covariance(*same) == pytest.approx(OF_EPISODES)
    assert covariance(Target(1, partner=3), Target(2, partner=3, begins=far)) == 0


def test_where_theta_is_taken_to_be_one_it_is_so_for_all_of_one_partner() -> None:
    untold = [Target(number, partner=3, begins=100 * number, has_history=False) for number in (1, 2)]
    assert covariance(*untold) == pytest.approx(10**2 / 6)
    other = Target(2, partner=4, begins=200, has_history=False)
    assert covariance(untold[0], other) == 0


def test_those_of_other_shows_err_by_themselves() -> None:
    assert covariance(Target(1, placebo_key=5), Target(2, placebo_key=5, show=2)) == 0


def test_who_heard_both_is_a_convert_of_both() -> None:
    alone = covariance(Target(1), Target(2))
    assert covariance(Target(1), Target(2), common=400) == pytest.approx(alone + 0.4 * 30)
    shifted = covariance(Target(1), Target(2, begins=15))
    assert covariance(Target(1), Target(2, begins=15), common=400) == pytest.approx(shifted + 0.2 * 30)


def test_pairs_without_anything_in_common_have_no_row() -> None:
    years = [Target(number, begins=120 * number) for number in range(1, 21)]
    assert solved(frames(years)).covariances.height == 20


@pytest.mark.parametrize(
    "case",
    [
        Case(8),
        Case(4, brought=0.03),
        Case(4, is_one_partner=False, pool=2_000, beside_placebos=1_000),
        Case(4, has_history=False),
    ],
    ids=str,
)
def test_intervals_of_sums_hold_the_truth(case: Case) -> None:
    """Before decision 0021 standard errors were half of the spread, and 58 to 72 % of intervals held it."""
    found = Judged.of(*sums(case, 150))
    assert 0.8 < found.se / found.sd < 1.4
    assert 0.8 < found.covers <= 0.99
    assert 0.8 < found.single_covers <= 0.99
    assert abs(found.bias) < 4 * found.sd / np.sqrt(150) + 0.03 * case.collaborations * 50


def test_a_chain_of_overlaps_is_solved_as_it_is() -> None:
    """Each with the next: M of 60 is far from singular, and what is left of E is nothing."""
    shared = 400 * FULL_RESPONSE
    targets = [Target(number, begins=14 * number) for number in range(1, 61)]
    pairs = [(one, two, shared) for n in range(1, 60) for one, two in ((n, n + 1), (n + 1, n))]
    found = solved(frames(targets, pairs))
    rate = found.lifts.sort("target_id")["rate"].to_numpy()
    matrix = np.diag([1_000 * FULL_RESPONSE] * 60) + shared * (np.eye(60, k=1) + np.eye(60, k=-1))
    assert matrix @ rate == pytest.approx(np.full(60, 20.0))
    assert not found.lifts["is_split"].any()


def test_history_is_as_long_as_the_models_have_it() -> None:
    macros = (PROJECT / "macros" / "attribution.sql").read_text()
    begin, end = (
        float(re.findall(rf"macro {name}\(\) %}}{{{{ days_us\((\d+)\)", macros)[0])
        for name in ("history_from_us", "placebos_until_us")
    )
    assert (begin - end) * DAY_US == HISTORY_US
