"""What the page says of one exposure recorded twice, of siblings, and where there is nothing to say."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from earshot.attribution.markdown import as_markdown
from serving.attribution.answer import explanation_of
from serving.attribution.headline import in_short
from serving.attribution.marts import MARTS, Rows
from serving.attribution.model import Explanation, Verdict
from serving.attribution.page import page
from serving.attribution.terms import Estimate
from tests.attribution.published_marts import LIFTS, STARTS, cohort, lift, number
from tests.attribution.test_explain_pages import PUBLISHED, told

Row = dict[str, Any]

# One exposure, recorded as 1 and 14: each has half of 37 new listeners (27 to 48). x = 33, O = 6, E = 27;
# half of that is its own: 13.5 × 600 ÷ 500 ÷ 0.88 = 18.4. The rule credits 14, the later one.
TWIN = lift(
    1,
    "final",
    reach=600,
    exposed=500,
    known_share=0.0,
    converted=33,
    organic=6.0,
    **number(18.41, 13.41, 23.91),
    rate=0.027,
    se=2.4,
    retained_2=18.9,
    siblings=1,
    is_split=True,
    cost=100.0,
    currency="EUR",
    gross_last_touch=0.0,
    gross_first_touch=40.0,
)
OTHER = TWIN | {"collaboration_id": 14, "type": "host_read", "cost": None, "gross_last_touch": 37.0}
SHARED = (1, 14, 500, 500.0, "Partner 1", STARTS)


def explained(
    row: Row, *others: Row, overlaps: list[tuple[object, ...]] | None = None, cohorts: list[Row] | None = None
) -> Explanation:
    def whole(one: Row) -> Row:
        return dict.fromkeys(MARTS["fct_collaboration_lift"]) | one

    names = MARTS["fct_collaboration_overlaps"]
    return explanation_of(
        Rows(
            whole(row),
            cohorts or [cohort(1, "exposed", 0, 500, 33), cohort(1, "contemporaneous", 0, 1000, 12)],
            [dict(zip(names, one, strict=True)) for one in overlaps or []],
            [],
            [whole(one) for one in others],
        ),
        *PUBLISHED,
    )


def text(of: Explanation) -> str:
    return " ".join(as_markdown(page(of)).replace("\\", "").split())


# --- one exposure recorded twice


def test_what_was_recorded_twice_is_told_together() -> None:
    found = explained(TWIN, OTHER, overlaps=[SHARED])
    assert found.headline[0] == (
        "About 37 new listeners (90 % interval 27 to 48), together with collaboration 14."
    )
    assert "what each brought cannot be told apart" in found.headline[1]
    assert in_short(found) == "37 (27 to 48), with 14"
    assert found.estimate == Estimate(18.41, 13.41, 23.91)  # its part, which sums add up
    assert found.shown == pytest.approx(Estimate(36.82, 26.82, 47.82))
    shown = text(found)
    assert "18.41 + 18.41 = 36.82" in shown and "36.82 ± 10.5 = 26.82 to 47.82" in shown
    assert "`earshot collaboration end 14 --void`" in shown.replace("``", "`")


def test_three_records_are_one_too_and_others_of_the_show_are_not() -> None:
    third, far = OTHER | {"collaboration_id": 15}, OTHER | {"collaboration_id": 16, "rate": 0.01}
    assert "with 14 and 15" in in_short(explained(TWIN, OTHER, third, far))
    late = OTHER | {"starts_at": STARTS + timedelta(days=45)}
    assert explained(TWIN, late).together is None
    assert explained(TWIN | {"is_split": False}, OTHER).together is None


def test_its_cost_is_that_of_all_records_by_what_they_brought() -> None:
    cost = explained(TWIN, OTHER).cost
    assert cost is not None and cost.per_new_listener == pytest.approx(100 / 36.82)
    both = explained(TWIN, OTHER | {"cost": 50.0}).cost
    assert both is not None and both.cost == 150
    mixed = explained(TWIN, OTHER | {"cost": 50.0, "currency": "USD"}).cost
    assert mixed is not None and mixed.per_new_listener is None


# --- credit


def test_credit_that_went_to_a_sibling_is_told_as_such() -> None:
    found = explained(TWIN, OTHER, overlaps=[SHARED])
    of = found.difference
    assert of is not None and of.to_siblings == -37  # 40 heard it first, and 14 is credited with 37
    parts = of.incremental + of.organic + of.of_siblings + of.to_siblings + of.rest
    assert parts == pytest.approx(of.gross)
    shown = text(found)
    assert "credited by the rule to other collaborations | −37 |" in shown
    assert "one collaboration only: 37 to 14 (Partner 1). At least 37 of these heard this one first" in shown
    assert "it misses whoever" not in shown


def test_without_siblings_the_rule_misses_other_addresses() -> None:
    alone = TWIN | {"is_split": False, "siblings": 0, "rate": None, "gross_first_touch": 0.0}
    shown = text(explained(alone | number(36.82, 26.82, 47.82)))
    assert "it misses whoever took up the show under another address" in shown


def test_a_sibling_that_heard_nothing_of_it_takes_no_credit() -> None:
    assert explained(TWIN, OTHER).difference is not None
    of = explained(TWIN | {"gross_first_touch": 0.0}, OTHER, overlaps=[SHARED]).difference
    assert of is not None and of.to_siblings == 0


# --- who stayed


def test_who_stayed_is_told_of_its_own_part() -> None:
    (kept,) = explained(TWIN, OTHER).retained
    assert (kept.episodes, kept.share) == (2, pytest.approx(0.7))
    assert kept.listeners == pytest.approx(0.7 * 18.41 * 0.88 * 500 / 600)  # of 13.5
    assert "Of its own part of the excess, 13.5" in text(explained(TWIN, OTHER))


@pytest.mark.parametrize("ends", [(-5.0, 40.0), (-40.0, -5.0)])
def test_who_stayed_of_perhaps_nobody_is_not_told(ends: tuple[float, float]) -> None:
    found = explained(TWIN | number(sum(ends) / 2, *ends) | {"is_split": False})
    assert found.retained == () and "Too uncertain to tell" in text(found)


# --- no number


def test_where_nobody_was_known_nothing_can_be_said() -> None:
    row = lift(1, "final", reach=528, exposed=0, converted=0, organic=0.0, is_insufficient=True, at_most=661)
    for at_most in (661, None):
        found = explained(row | {"at_most": at_most}, cohorts=[])
        assert found.headline[0].startswith("Nothing can be said: nobody who heard it had been known")
        assert found.at_most is None and "661" not in text(found)
        assert in_short(found) == "too little seen"


NULLS = dict.fromkeys(
    (*number(0, 0, 0), *number(0, 0, 0, "forecast"), "conversion_rate", "lift", "retained_2", "retained_4")
)


def test_marts_without_numbers_where_too_little_was_seen_are_read_alike() -> None:
    row = next(row for row in LIFTS if row["collaboration_id"] == 4)
    with_numbers, without = explained(row), explained(row | NULLS)
    assert page(with_numbers) == page(without)
    assert without.cost is not None and without.cost.low == pytest.approx(50 / 9)
    assert "at least 5.56 EUR each" in text(without)


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        ({"exposed": 150}, "exposed and new to the show were 150, and it takes 200"),
        (
            {"exposed": 300, "pool_keys": 900, "converted": 1, "organic": 1.5},
            "1 took up the show and 1.5 were to be expected",
        ),
        ({"exposed": 300, "pool_keys": 90}, "there are 90 to compare them with, and it takes 200"),
        ({"exposed": 300, "pool_keys": 0, "converted": 9}, "nobody listened at the same time"),
    ],
)
def test_it_is_told_which_rule_forbids_a_number(seen: Row, why: str) -> None:
    row = next(row for row in LIFTS if row["collaboration_id"] == 4)
    assert why in explained(row | NULLS | seen).headline[0]


def test_of_a_provisional_one_the_advice_is_to_wait() -> None:
    row = next(row for row in LIFTS if row["collaboration_id"] == 4) | {"state": "provisional"}
    found = explained(row | NULLS)
    assert found.verdict is Verdict.INSUFFICIENT
    assert found.flags[0].advice.startswith("Wait until there are data until 2026-06-14")


# --- other words


def test_how_long_is_measured_is_told() -> None:
    assert "measured: the first 14 days, until 2026-06-15 06:00 UTC" in text(told(1))
    short = TWIN | {"exposure_ends_at": STARTS + timedelta(days=3)}
    assert "measured: until 2026-06-04 06:00 UTC" in text(explained(short))


def test_of_all_episodes_none_is_spoken_of_as_the_episode() -> None:
    shown = text(explained(TWIN | {"episode_id": None, "episode_key": None, "episode_title": None}))
    assert "guest swap in all episodes of Partner 1" in shown
    assert "downloaded an episode of Partner 1 before" in shown


def test_without_history_it_is_told_from_when_on_logs_are_needed() -> None:
    first = OTHER | {"starts_at": STARTS - timedelta(days=10), "is_split": False}
    assert "θ needs logs from 2026-01-02 on" in text(explained(TWIN | {"is_split": False}, first))
    assert datetime(2026, 6, 1) - timedelta(days=10 + 140) == datetime(2026, 1, 2)
    no_episodes = TWIN | {"theta_source": "history"}
    assert "aired no episode" in text(explained(no_episodes))


def test_a_spike_is_told_with_its_rates_where_the_marts_have_them() -> None:
    spike = TWIN | {"has_concurrent_spike": True}
    assert "far more often than before. Look" in text(explained(spike))
    rates = {"pool_rate": 0.04, "history_rate": 0.01}
    assert "before: 4 % of them, 1 % before. Look" in text(explained(spike | rates))
