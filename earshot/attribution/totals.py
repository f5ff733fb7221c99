"""What the collaborations of a show brought together: by partner, type or month, with the joint interval."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from earshot.attribution.listed import of_this
from earshot.attribution.marts import NoAttribution, lifts, pooled
from earshot.attribution.model import Answer, State
from earshot.attribution.told import estimate_of, verdict_of
from earshot.published import current
from ingest.settings import Settings

Row = dict[str, Any]


class By(StrEnum):
    """What a row stands for."""

    PARTNER = "partner"
    TYPE = "type"
    MONTH = "month"


_MARTS = {
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


def totals(settings: Settings, by: By, show: str | None = None) -> list[Total]:
    """By show and what is asked for. Raises NothingPublished, NoAttribution."""
    published = current(settings)
    mart, column = _MARTS[by]
    singles = lifts(published)
    titles = {row["show_id"]: row["show_title"] for row in singles}
    titles |= {row["partner_show_id"]: row["partner_show_title"] for row in singles}
    found = pooled(published, mart, column)
    if show is not None:
        show_ids = {row["show_id"] for row in of_this(singles, show, settings)}
        found = [row for row in found if row["show_id"] in show_ids]
        if singles and not found:
            raise NoAttribution(f"no collaboration of {show!r} has a figure yet: `earshot attribution list`")
    rows = [_total(row, column, titles) for row in found]
    return sorted(rows, key=lambda one: (one.show, one.group))


def _total(row: Row, column: str, titles: dict[str, str | None]) -> Total:
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
