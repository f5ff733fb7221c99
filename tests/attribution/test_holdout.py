"""The effect by a randomised holdout: as by hand, and its interval holds the truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from attribution.parameters import DEFAULTS
from tests.attribution.frames import RATES, Frames, Target, frames, solved

TOLD = (1.0, 0.0, "app_devices", 500)


def with_holdouts(given: Frames, held_out: dict[int, tuple[int, float, int]]) -> Frames:
    """held_out: by target keys, share of the follow-up that is over, converts; spread over two strata."""
    rows = []
    for target, (keys, followed, converts) in held_out.items():
        for stratum, (some, came) in enumerate([(keys // 2, converts), (keys - keys // 2, 0)]):
            rows.append((target, "held_out", 0, stratum, some, some * followed, came, came))
    return replace(given, rates=pl.concat([given.rates, pl.DataFrame(rows, RATES, orient="row")]))


def test_a_holdout_is_as_by_hand() -> None:
    # 30 of 1,000 less 1 of 100; of 2,000 reached knew 250 of 1,250: 0.02 · 2,000 · 0.8 / 0.88.
    given = with_holdouts(frames([Target(1)]), {1: (100, 1.0, 1)})
    row = solved(given).lifts.row(0, named=True)
    scale = 2_000 * 0.8 / 0.88
    assert (row["holdout_keys"], row["holdout_converted"]) == (100, 1)
    assert row["holdout_new_listeners"] == pytest.approx(0.02 * scale)
    assert row["holdout_se"] == pytest.approx((0.03 * 0.97 / 1_000 + 0.01 * 0.99 / 100) ** 0.5 * scale)
    half = 1.645 * 1.1 * row["holdout_se"]
    assert row["holdout_low"] == pytest.approx(row["holdout_new_listeners"] - half)
    assert row["holdout_high"] == pytest.approx(row["holdout_new_listeners"] + half)


def test_before_the_end_both_arms_count_as_far_as_they_were_followed() -> None:
    # Half of 1,000 and of 100: 20 / 500 less 1 / 50, of the half.
    target = Target(1, converts=20, followed=0.5)
    row = solved(with_holdouts(frames([target]), {1: (100, 0.5, 1)})).lifts.row(0, named=True)
    assert row["holdout_new_listeners"] == pytest.approx(0.02 * 0.5 * 2_000 * 0.8 / 0.88)


def test_the_error_of_linkability_is_in_the_interval() -> None:
    def error(se: float) -> float:
        given = with_holdouts(
            frames([Target(1)], linkability=(0.8, se, "app_devices", 500)), {1: (100, 1.0, 1)}
        )
        row = solved(given).lifts.row(0, named=True)
        assert row["holdout_high"] - row["holdout_new_listeners"] == pytest.approx(1.645 * row["holdout_se"])
        return float(row["holdout_se"])

    assert error(0.04) ** 2 - error(0.0) ** 2 == pytest.approx((0.02 * 2_000 * 0.8 / 0.8 * 0.05) ** 2)


def test_who_is_held_out_changes_no_figure_of_pace() -> None:
    given = frames([Target(1), Target(2)])
    without, found = (solved(one).lifts for one in (given, with_holdouts(given, {1: (100, 1.0, 1)})))
    others = [name for name in found.columns if not name.startswith("holdout_")]
    assert found.select(others).equals(without.select(others))
    assert set(without.select(pl.exclude(others)).row(0)) == {None}
    assert set(found.select(pl.exclude(others)).row(1)) == {None}


def test_a_holdout_too_small_to_convert_anyone_is_not_sure_of_it() -> None:
    row = solved(with_holdouts(frames([Target(1)]), {1: (3, 1.0, 0)})).lifts.row(0, named=True)
    assert row["holdout_low"] < 0 < row["holdout_high"]


def test_nobody_exposed_or_nobody_followed_yet_is_no_holdout() -> None:
    targets = [Target(1, exposed=0, converts=0), Target(2)]
    given = with_holdouts(frames(targets), {1: (100, 1.0, 1), 2: (100, 0.0, 0)})
    for row in solved(given).lifts.iter_rows(named=True):
        assert row["holdout_keys"] == 100
        assert {row[f"holdout_{name}"] for name in ("new_listeners", "low", "high", "se")} == {None}


@pytest.mark.parametrize(("rate", "organic"), [(0.03, 0.01), (0.02, 0.02)])
def test_the_interval_holds_the_truth_in_nine_of_ten(rate: float, organic: float) -> None:
    rng, worlds = np.random.default_rng(7), 1_500
    converts, of_held_out = rng.binomial(3_000, rate, worlds), rng.binomial(600, organic, worlds)
    targets = [
        Target(number, exposed=3_000, converts=int(x), reached=3_000, known=0)
        for number, x in enumerate(converts, 1)
    ]
    held_out = {number: (600, 1.0, int(x)) for number, x in enumerate(of_held_out, 1)}
    lifts = solved(with_holdouts(frames(targets, linkability=TOLD), held_out)).lifts
    truth = (rate - organic) * 3_000
    covered = lifts.select((pl.col("holdout_low") <= truth) & (pl.col("holdout_high") >= truth))
    assert covered.to_series().mean() == pytest.approx(DEFAULTS.coverage, abs=0.03)
    assert lifts["holdout_new_listeners"].mean() == pytest.approx(truth, abs=1.5)
