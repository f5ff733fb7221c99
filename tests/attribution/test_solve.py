"""The solve: cases done by hand, and what must hold of any counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from attribution.limits import poisson_limit
from attribution.parameters import Parameters
from attribution.solve import COVARIANCES, LIFTS
from tests.attribution.frames import FULL_RESPONSE, Frames, Target, frames, solved

# Of a Target as it is: 20 placebo converts and the prior's 6, 20 expected by a pool with 100 converts.
OF_THETA = 1 / 26 + (20 / 100**0.5 / 26) ** 2


def lift(*targets: Target, parameters: Parameters | None = None) -> dict[str, float]:
    """The figures of the first."""
    found = solved(frames(targets), parameters or Parameters()).lifts
    return found.filter(pl.col("target_id") == targets[0].target_id).row(0, named=True)


def surely(excess: float, variance: float) -> float:
    """How many came at the least, at the interval's own certainty."""
    return max(excess - 1.645 * variance**0.5, 0.0)


def test_one_collaboration_is_as_by_hand() -> None:
    # 1 % of the others convert, θ = (20 / 4 + 6) / (20 / 4 + 6) = 1: 10 organic ones of 30.
    # 2,000 reached, 1 of 5 knew A: 1,600 / 0.88 people; E / n of them.
    found = lift(Target(1))
    assert found["theta"] == pytest.approx(1.0)
    assert (found["converted"], found["organic"]) == (30, pytest.approx(10.0))
    per_convert = 2_000 * (1 - 250 / 1_250) / 0.88 / 1_000
    assert found["new_listeners"] == pytest.approx(20 * per_convert)
    seen = 1_000 * 0.88 / 1_600  # of 20 / seen who came, 20 are seen
    of_organic = 10**2 * (OF_THETA + 1 / 100)
    se = (30 - seen * surely(20, 30 + of_organic) + of_organic) ** 0.5 * per_convert
    assert found["se"] == pytest.approx(se)
    assert found["high"] - found["new_listeners"] == pytest.approx(1.645 * 1.1 * se)
    assert found["new_listeners"] - found["low"] == pytest.approx(1.645 * 1.1 * se)
    assert (found["k"], found["is_calibrated"], found["theta_source"]) == (1.645, False, "history")
    assert not found["is_insufficient"] and found["upper_bound"] is None


def test_where_none_may_have_come_the_error_is_that_of_no_effect() -> None:
    # 15 converts, 10 organic ones: 5 of chance are no count of those who came.
    found = lift(Target(1, converts=15))
    of_organic = 10**2 * (OF_THETA + 1 / 100)
    assert found["se"] == pytest.approx((15 + of_organic) ** 0.5 * 1_600 / 0.88 / 1_000)
    assert found["low"] < 0


def test_an_audience_that_takes_up_a_more_than_others_has_a_larger_theta() -> None:
    # 80 converts of 20 expected in 4 episodes: (80 + 6) / (20 + 6).
    keen = Target(1, placebos=(4, 2_000, 80))
    found = lift(keen)
    assert found["theta"] == pytest.approx(86 / 26)
    assert found["theta_se"] == pytest.approx(86 / 26 * (1 / 86 + (20 / 100**0.5 / 26) ** 2) ** 0.5)
    assert found["organic"] == pytest.approx(10 * 86 / 26)
    assert found["has_pre_trend"]


def test_without_history_theta_is_one_and_as_unsure_as_its_prior() -> None:
    found = lift(Target(1, placebos=(4, 2_000, 80), has_history=False))
    assert (found["theta"], found["theta_se"], found["theta_source"]) == (1.0, None, "none")
    assert found["se"] > lift(Target(1))["se"]
    assert not found["has_pre_trend"]


def test_a_known_linkability_narrows_the_interval_and_adds_its_own_error() -> None:
    target = Target(1)
    found = solved(frames([target], linkability=(0.8, 0.04, "app_devices", 500))).lifts.row(0, named=True)
    assumed = lift(target)
    assert found["new_listeners"] == pytest.approx(assumed["new_listeners"] * 0.88 / 0.8)
    # Of 20 seen of 40 people a half was: 1,000 of 1,600 / 0.8.
    of_organic = 10**2 * (OF_THETA + 1 / 100)
    seen = 0.5 * surely(20, 30 + of_organic)
    of_counts = (30 - seen + of_organic) ** 0.5 * 1_600 / 0.8 / 1_000
    assert found["se"] == pytest.approx((of_counts**2 + (found["new_listeners"] * 0.05) ** 2) ** 0.5)
    assert found["high"] - found["new_listeners"] == pytest.approx(1.645 * found["se"])


def test_two_siblings_share_what_both_could_have_brought() -> None:
    # Half of each cohort heard the other at the same time: 950 G δ each from E = 20, 1,000 + 500 both.
    shared = 500 * FULL_RESPONSE
    both = solved(frames([Target(1), Target(2)], [(1, 2, shared), (2, 1, shared)])).lifts
    alone = lift(Target(1))
    assert both["rate"].to_list() == pytest.approx([alone["rate"] * 1_000 / 1_500] * 2)
    assert not both["is_split"].any()


def test_an_exposure_recorded_twice_has_its_effect_and_its_error_once() -> None:
    shared = 1_000 * FULL_RESPONSE
    twice = [Target(number, partner=1, placebo_key=1) for number in (1, 2)]
    found = solved(frames(twice, [(1, 2, shared), (2, 1, shared)]))
    alone = lift(Target(1))
    assert found.lifts["new_listeners"].to_list() == pytest.approx([alone["new_listeners"] / 2] * 2)
    assert found.lifts["is_split"].all()
    assert found.covariances["covariance"].sum() == pytest.approx(alone["se"] ** 2)


def test_what_only_a_range_of_episodes_tells_again_does_not_fail_the_others() -> None:
    # 3 is exactly 1 and 2 together: its row of M is their sum.
    half, whole = 500 * FULL_RESPONSE, 1_000 * FULL_RESPONSE
    parts = [Target(1, exposed=500, converts=15), Target(2, exposed=500, converts=15), Target(3)]
    found = solved(frames(parts, [(1, 3, half), (2, 3, half), (3, 1, half), (3, 2, half)]))
    assert found.lifts["is_split"].all()
    assert found.lifts["new_listeners"].is_finite().all()
    assert whole * found.lifts["rate"][2] + half * found.lifts["rate"][:2].sum() == pytest.approx(20)


def test_nobody_exposed_means_no_figure_and_leaves_the_others_as_they_are() -> None:
    nobody = Target(2, exposed=0, converts=0, known=0, reached=3)
    found = solved(frames([Target(1), nobody], [(1, 2, 100.0), (2, 1, 0.0)]))
    one, other = found.lifts.sort("target_id").rows(named=True)
    assert one["new_listeners"] == pytest.approx(lift(Target(1))["new_listeners"])
    assert [other[name] for name in ("rate", "new_listeners", "low", "high", "se", "forecast")] == [None] * 6
    # Nothing is known of the three who were reached: nothing can be said, not even "fewer than".
    assert other["is_insufficient"] and other["upper_bound"] is None
    assert found.covariances["target_id"].to_list() == [1]


def test_too_few_to_tell_says_fewer_than() -> None:
    # Nobody of 150 converted: fewer than 3.00 are likely (95 %), of 150; 1,600 / 0.88 people, a tenth more.
    few = Target(1, exposed=150, converts=0, reached=300, known=0, pool=(10_000, 0))
    found = lift(few)
    assert found["is_insufficient"]
    assert found["upper_bound"] == int(2.9957 * 300 / 0.88 / 150 * 1.1) + 1 == 8
    unreached = lift(Target(1, exposed=0, converts=0, known=0, reached=0))
    assert unreached["upper_bound"] == 1


def test_without_anyone_to_compare_with_nothing_is_claimed() -> None:
    found = solved(frames([Target(1, pool=(0, 0)), Target(2)], [(1, 2, 100.0), (2, 1, 100.0)]))
    alone, other = found.lifts.sort("target_id").rows(named=True)
    names = ("organic", "excess", "rate", "new_listeners", "low", "high", "se", "forecast")
    assert [alone[name] for name in names] == [None] * len(names)
    # 30 converted of 1,000: 40.7 are the most that are likely (95 %), of 1,600 / 0.88 people, a tenth more.
    assert alone["is_insufficient"] and alone["upper_bound"] == int(40.69 * 1_600 / 880 * 1.1) + 1
    assert other["new_listeners"] == pytest.approx(lift(Target(2))["new_listeners"])
    assert found.covariances.select("target_id", "other_id").rows() == [(2, 2)]


def test_a_pool_without_a_convert_knows_the_organic_ones_as_well_as_one_tells() -> None:
    # Nobody of 400 took it up: of 1,000 there may have been 2.5, where one of the 400 had. All 8 are seen.
    target = Target(1, converts=8, pool=(400, 0), reached=1_000, known=0)
    found = solved(frames([target], linkability=(1.0, 0.0, "app_devices", 500))).lifts.row(0, named=True)
    assert (found["organic"], found["new_listeners"]) == (0.0, pytest.approx(8.0))
    of_organic = (1_000 / 400) ** 2
    assert found["se"] == pytest.approx((8 - surely(8, 8 + of_organic) + of_organic) ** 0.5)
    # One convert is the same error, at the rate it tells.
    one = solved(frames([replace(target, pool=(400, 1))], linkability=(1.0, 0.0, "app_devices", 500))).lifts
    assert one["organic"][0] == pytest.approx(2.5)
    of_organic = 2.5**2 * (1 + OF_THETA)
    assert one["se"][0] == pytest.approx((8 - surely(5.5, 8 + of_organic) + of_organic) ** 0.5)


def test_theta_is_unsure_where_the_pool_beside_saw_no_convert() -> None:
    found = lift(Target(1, history=(500, 0)))
    assert (found["placebo_expected"], found["theta"]) == (0.0, pytest.approx(26 / 6))
    # 2,000 followed by what one of 500 tells: 4 more or less than 0 were to be expected.
    assert found["theta_se"] == pytest.approx(26 / 6 * (1 / 26 + (4 / 6) ** 2) ** 0.5)
    assert not found["has_pre_trend"]


def test_placebo_episodes_with_nobody_beside_tell_nothing() -> None:
    found = lift(Target(1, history=(0, 0)))
    assert (found["theta"], found["placebo_converts"]) == (1.0, 0)


def test_as_many_are_needed_to_compare_with_as_were_to_be_exposed() -> None:
    # Eight of 250, beside fifteen that did not: what fifteen do is no rate.
    found = lift(Target(1, exposed=250, converts=8, pool=(15, 0), reached=300, known=0))
    assert found["is_insufficient"] and found["upper_bound"] > found["new_listeners"]
    assert lift(Target(1, pool=(199, 2)))["is_insufficient"]
    assert not lift(Target(1, pool=(200, 2)))["is_insufficient"]


def test_where_old_listeners_look_new_there_is_no_number() -> None:
    found = lift(Target(1, has_look_back=False))
    assert found["is_insufficient"] and found["new_listeners"] is None and found["upper_bound"] > 0


def test_a_spike_of_publicity_is_flagged() -> None:
    assert lift(Target(1, pool=(10_000, 210)))["has_concurrent_spike"]
    assert not lift(Target(1, pool=(10_000, 190)))["has_concurrent_spike"]
    # Nine of 400 where one in a hundred was usual: more than twice as often, and nothing but chance.
    assert not lift(Target(1, pool=(400, 9)))["has_concurrent_spike"]
    # None was usual: as if one had been, so ten are chance and 25 are not.
    assert not lift(Target(1, pool=(10_000, 10), history=(10_000, 0)))["has_concurrent_spike"]
    assert lift(Target(1, pool=(10_000, 25), history=(10_000, 0)))["has_concurrent_spike"]
    assert not lift(Target(1, pool=(10_000, 25), history=(0, 0)))["has_concurrent_spike"]


def test_the_exact_limit_is_the_one_of_the_tables() -> None:
    # Garwood 1936: upper 95 % limits of a Poisson mean.
    assert [poisson_limit(count, 0.05) for count in (0, 1, 10)] == pytest.approx(
        [2.9957, 4.7439, 16.9622], abs=1e-4
    )


def test_placebo_triples_widen_the_interval_once_there_are_a_hundred() -> None:
    def k_of(triples: int) -> dict[str, float]:
        placebos = [
            Target(-n, converts=10 + (20 if n % 5 == 0 else 0), is_placebo=True)
            for n in range(1, triples + 1)
        ]
        return lift(Target(1), *placebos)

    calibrated = k_of(100)
    # One in five is 20 above 10 expected ones: the upper tenth of |z| is theirs.
    assert calibrated["k"] == pytest.approx(20 / (30 + 100 * (OF_THETA + 1 / 100)) ** 0.5)
    assert (calibrated["k_triples"], calibrated["is_calibrated"]) == (100, True)
    few = k_of(99)
    assert (few["k"], few["k_triples"], few["is_calibrated"]) == (1.645, 99, False)


def test_placebo_triples_too_small_or_not_over_calibrate_nothing() -> None:
    small = [Target(-n, exposed=199, is_placebo=True) for n in range(1, 121)]
    running = [Target(-n, followed=0.5, is_placebo=True) for n in range(200, 320)]
    found = solved(frames([Target(1), *small, *running])).lifts
    assert found["target_id"].to_list() == [1]
    assert found["k_triples"].to_list() == [0]


def test_before_the_end_the_figure_is_of_those_who_came_and_the_forecast_of_all() -> None:
    # Half of the follow-up, half of G, 80 % of the reach: 50 of 10,000 others by now, so 5 organic of 15.
    running = Target(1, converts=15, pool=(10_000, 50), followed=0.5, response=FULL_RESPONSE / 2, arrived=0.8)
    found = lift(running)
    assert found["organic"] == pytest.approx(5)
    people = 1_600 / 0.88
    assert found["new_listeners"] == pytest.approx(found["excess"] * people / 1_000)
    assert found["forecast"] == pytest.approx(found["new_listeners"] * 2 / 0.8)
    scaled = (found["high"] - found["low"]) * 2 / 0.8
    assert found["forecast_high"] - found["forecast_low"] > scaled


def test_no_collaborations_is_no_rows() -> None:
    nothing = solved(frames([]))
    assert nothing.lifts.schema == pl.Schema(LIFTS) and nothing.lifts.is_empty()
    assert nothing.covariances.schema == pl.Schema(COVARIANCES) and nothing.covariances.is_empty()


def test_wrong_counts_are_named() -> None:
    given = frames([Target(1)])
    with pytest.raises(ValueError, match="no such cohort or stratum"):
        solved(replace(given, rates=given.rates.with_columns(stratum=pl.lit(9))))
    with pytest.raises(ValueError, match=r"linkability is 0\.0"):
        solved(replace(given, linkability=given.linkability.with_columns(linkability=pl.lit(0.0))))
    with pytest.raises(ValueError, match="0 rows"):
        solved(replace(given, linkability=given.linkability.clear()))


@st.composite
def worlds(draw: st.DrawFn) -> Frames:
    """Up to six collaborations, any of which may overlap, be running, or have nobody exposed."""
    targets, overlaps = [], []
    for number in range(1, draw(st.integers(1, 6)) + 1):
        exposed = draw(st.sampled_from([0, 1, 40, 300, 5_000]))
        followed = draw(st.sampled_from([1.0, 0.3]))
        targets.append(
            Target(
                number,
                exposed=exposed,
                converts=draw(st.integers(0, min(exposed, 60))),
                pool=draw(st.sampled_from([(0, 0), (4_000, 0), (20_000, 90)])),
                placebos=draw(st.sampled_from([(0, 0, 0), (3, 900, 2), (6, 9_000, 200)])),
                reached=exposed * 2,
                known=exposed // 4,
                followed=followed,
                response=FULL_RESPONSE if followed == 1 else 0.6,
                arrived=1.0 if followed == 1 else 0.7,
                has_history=draw(st.booleans()),
            )
        )
    for this in targets:
        for other in targets:
            if this is not other and draw(st.booleans()):
                share = draw(st.sampled_from([0.001, 0.2, 0.7, 1.0]))
                overlaps.append((this.target_id, other.target_id, this.exposed * this.response * share))
    return frames(targets, overlaps)


@settings(max_examples=120, deadline=None)
@given(worlds())
def test_what_was_observed_is_what_all_effects_together_would_bring(given_: Frames) -> None:
    """M δ = E, row by row, wherever the data tells the collaborations apart."""
    lifts = solved(given_).lifts
    known = lifts.filter(pl.col("rate").is_not_null())
    rate = dict(known.select("target_id", "rate").iter_rows())
    matrix = {(row[0], row[0]): row[1] for row in given_.totals.select("target_id", "response").iter_rows()}
    matrix |= {(this, other): value for this, other, _, value in given_.overlaps.iter_rows()}
    if not known["is_split"].any():
        for target, excess in known.select("target_id", "excess").iter_rows():
            brought = sum(matrix.get((target, other), 0.0) * of for other, of in rate.items())
            largest = max(abs(matrix.get((target, other), 0.0) * of) for other, of in rate.items())
            assert brought == pytest.approx(excess, abs=1e-6 * (1 + largest))


@settings(max_examples=60, deadline=None)
@given(worlds(), st.randoms())
def test_the_order_of_rows_changes_nothing(given_: Frames, random: object) -> None:
    seed = random.randrange(1_000)  # type: ignore[attr-defined]
    frames_ = vars(given_)
    shuffled = Frames(
        **{name: one.sample(fraction=1.0, shuffle=True, seed=seed) for name, one in frames_.items()}
    )
    one, other = solved(given_), solved(shuffled)
    assert_frame_equal(one.lifts, other.lifts)
    assert_frame_equal(one.covariances, other.covariances)


@settings(max_examples=120, deadline=None)
@given(worlds())
def test_figures_are_finite_or_absent_and_final_ones_forecast_themselves(given_: Frames) -> None:
    found = solved(given_)
    lifts = found.lifts
    floats = lifts.select(pl.col(pl.Float64))
    assert floats.select((pl.all().is_finite() | pl.all().is_null()).all()).row(0) == (True,) * floats.width
    final = given_.targets.filter(pl.col("final_us") == pl.col("final_us").min())["target_id"]
    if given_.totals["arrived"].min() == 1.0:
        over = lifts.filter(pl.col("target_id").is_in(final.to_list()))
        assert over["forecast"].equals(over["new_listeners"])
        assert over["forecast_high"].equals(over["high"])
    assert lifts.filter(pl.col("low") > pl.col("high")).is_empty()
    few = lifts.filter(pl.col("is_insufficient")).join(given_.totals, on="target_id")
    assert few.filter((pl.col("exposed") > 0) & pl.col("upper_bound").is_null()).is_empty()
    can_be_new = pl.col("reached") * (1 - pl.col("known") / (pl.col("known") + pl.col("exposed")))
    bounded = few.filter(pl.col("exposed") > 0).with_columns(can_be_new=can_be_new)
    assert bounded.filter(
        (pl.col("upper_bound") < 1)
        | (pl.col("upper_bound") > pl.col("can_be_new") + 1)
        | (
            pl.col("upper_bound")
            <= pl.min_horizontal(pl.col("new_listeners").fill_null(0), pl.col("can_be_new") - 1e-6)
        )
    ).is_empty()


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_the_error_of_a_sum_comes_from_the_covariances(given_: Frames) -> None:
    found = solved(given_)
    own = found.covariances.filter(pl.col("target_id") == pl.col("other_id"))
    merged = found.lifts.filter(pl.col("se").is_not_null()).join(own, on="target_id", how="left")
    assert merged["covariance"].sqrt().to_list() == pytest.approx(merged["se"].to_list())
    ids = found.covariances["target_id"].unique().to_list()
    matrix = np.zeros((len(ids), len(ids)))
    for this, other, value in found.covariances.iter_rows():
        matrix[ids.index(this), ids.index(other)] = value
    assert np.allclose(matrix, matrix.T, rtol=1e-6)
    if ids:
        assert np.linalg.eigvalsh(matrix).min() >= -1e-6 * max(1.0, np.abs(matrix).max())


@settings(max_examples=60, deadline=None)
@given(st.integers(300, 20_000), st.floats(0.02, 0.2), st.integers(100, 1_200))
def test_an_interval_around_no_excess_contains_zero(exposed: int, rate: float, placebo_converts: int) -> None:
    """As many as expected, whatever θ and the rate are: 0 is among what may have been."""
    nothing = Target(
        1,
        exposed=exposed,
        pool=(100_000, round(100_000 * rate)),
        history=(100_000, 1_000),
        placebos=(4, 40_000, placebo_converts),
    )
    expected = round(lift(nothing)["organic"])
    found = lift(replace(nothing, converts=expected))
    assert found["low"] <= 0 <= found["high"]
    assert abs(found["excess"]) <= 0.5
