"""What the collaborations of a show brought together: by partner, type or month, with the joint interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from serving.attribution.model import Answer, State
from serving.attribution.told import estimate_of, verdict_of

Row = dict[str, Any]


class By(StrEnum):
    """What a row stands for."""

    PARTNER = "partner"
    TYPE = "type"
    MONTH = "month"


MARTS = {  # with the column that a row stands for
    By.PARTNER: ("fct_partner_lift", "partner_show_id"),
    By.TYPE: ("fct_show_lift_by_type", "type"),
    By.MONTH: ("fct_show_lift_monthly", "month"),
}


@dataclass(frozen=True, kw_only=True)
class Total(Answer):
    """Collaborations of one show together."""

    show_id: str
    show: str
    group: str  # the partner's title, the type, or the month of their starts
    collaborations: int
    provisional: int  # of them
    insufficient: int  # of them: alone they tell nothing, in the sum they count
    cost: float | None  # None: one has none, or they have several currencies
    currency: str | None
    cost_per_new_listener: float | None
    gross: float | None  # last touch, 30 d


def total_of(row: Row, column: str, titles: Mapping[str, str | None]) -> Total:
    """A row of such a mart. titles: of shows, by their ids."""
    state = State.PROVISIONAL if row["provisional"] else State.FINAL
    estimate = None
    if not row["is_insufficient"]:
        estimate = estimate_of(row, "new_listeners", "new_listeners_low", "new_listeners_high")
    group = row[column]
    if column == "partner_show_id":
        group = titles.get(group) or group
    return Total(
        state=state,
        verdict=verdict_of(state, estimate),
        estimate=estimate,
        forecast=None,
        at_most=None if estimate is not None else row["at_most"],
        shortage=None,
        together=None,
        show_id=row["show_id"],
        show=titles.get(row["show_id"]) or row["show_id"],
        group=f"{group:%Y-%m}" if isinstance(group, date) else str(group),
        collaborations=row["collaborations"],
        provisional=row["provisional"],
        insufficient=row["insufficient"],
        cost=row["cost"],
        currency=row["currency"],
        cost_per_new_listener=None if estimate is None else row["cost_per_new_listener"],
        gross=row["gross_last_touch"],
    )
