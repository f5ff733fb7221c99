"""What stands beside the number: its cost, who stayed, a holdout, and what rules of credit say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from serving.attribution.marts import Rows
from serving.attribution.model import Answer, Verdict
from serving.attribution.terms import (
    GROSS_WINDOW_DAYS,
    Calculation,
    Cost,
    Difference,
    Gross,
    GrossRule,
    Holdout,
    Overlap,
    Retained,
)
from serving.attribution.told import estimate_of

Row = dict[str, Any]


def holdout_of(lift: Row) -> Holdout | None:
    estimate = estimate_of(lift, "holdout_new_listeners", "holdout_low", "holdout_high")
    if estimate is None:
        return None
    return Holdout(lift["holdout_keys"] or 0, lift["holdout_converted"] or 0, estimate)


def cost_of(lift: Row, twins: Sequence[Row], told: Answer) -> Cost | None:
    """By the number that is told. Of one recorded twice, all its records' costs by what they brought."""
    paid = [row for row in (lift, *twins) if row["cost"] is not None]
    if not paid:
        return None
    currencies = {row["currency"] for row in paid}
    if len(currencies) > 1:
        cost, currency = lift["cost"], lift["currency"]
        return None if cost is None else Cost(cost, currency or "", None, None, None)
    cost, currency = sum(row["cost"] for row in paid), currencies.pop() or ""
    number = told.shown
    if number is None:
        # There are fewer than so many, so each cost more than this.
        return Cost(cost, currency, None, cost / told.at_most if told.at_most else None, None)
    per, least, most = (cost / of if of > 0 else None for of in (number.value, number.high, number.low))
    return Cost(cost, currency, per, least, most)


def retained_of(lift: Row, told: Answer, calculation: Calculation) -> tuple[Retained, ...]:
    """Only where somebody surely came: a share of an excess that may be none is noise."""
    if told.verdict is not Verdict.GAIN or calculation.own is None or calculation.excess <= 0:
        return ()
    shares = {
        episodes: float(lift[column]) / calculation.excess
        for episodes, column in ((2, "retained_2"), (4, "retained_4"))
        if lift[column] is not None
    }
    return tuple(
        Retained(episodes, share * calculation.own, share)
        for episodes, share in shares.items()
        if 0 <= share <= 1
    )


def gross_of(rows: Rows) -> tuple[Gross, ...]:
    """By window and rule; where fct_attribution_gross has none, those beside the lift."""
    if rows.gross:
        names = ("rule", "window_days", "new_listeners", "touches")
        return tuple(Gross(*(row[name] for name in names)) for row in rows.gross)
    beside = {rule: rows.lift[f"gross_{rule}"] for rule in GrossRule}
    return tuple(Gross(rule, GROSS_WINDOW_DAYS, of, None) for rule, of in beside.items() if of is not None)


def difference_of(
    lift: Row, calculation: Calculation | None, overlaps: Sequence[Overlap]
) -> Difference | None:
    """The gross figure as a sum. None: there is none, or no number to set it against."""
    gross = lift["gross_last_touch"]
    if gross is None or calculation is None or calculation.new_listeners is None:
        return None
    of = calculation
    incremental = calculation.new_listeners
    scale = of.not_known / of.exposed / of.linkability if of.exposed else 0.0
    organic, siblings = of.organic * scale, (of.of_siblings or 0.0) * scale
    credited = _credited_elsewhere(lift, overlaps)
    return Difference(
        gross=float(gross),
        incremental=incremental,
        organic=organic,
        of_siblings=siblings,
        to_siblings=-credited,
        rest=gross - incremental - organic - siblings + credited,
        organic_share=of.organic / of.converted if of.converted else None,
    )


def _credited_elsewhere(lift: Row, overlaps: Sequence[Overlap]) -> float:
    """How many new listeners heard it, and are credited to a sibling that they heard later; at least.

    Whoever it touched first is one of those it touched, and by first touch is its own. So those by which that
    figure is larger went to others, who cannot have got more than they are credited with.
    """
    elsewhere = sum(one.gross or 0.0 for one in overlaps)
    first, last = lift["gross_first_touch"], lift["gross_last_touch"]
    return 0.0 if first is None else min(max(float(first - last), 0.0), elsewhere)
