"""What a show's collaborations brought: all of them in short, one with its explanation, and their sums."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import asdict, replace
from datetime import date
from typing import Any

from serving.attribution import marts
from serving.attribution.answer import explanation_of, listed_of
from serving.attribution.as_json import as_json
from serving.attribution.headline import in_short
from serving.attribution.model import Answer, Explanation
from serving.attribution.page import page
from serving.attribution.terms import Estimate
from serving.attribution.totals import MARTS, By, Total, total_of
from serving.reports.asking import Asks, Basis, Query, Report
from serving.reports.rules import COLLABORATIONS

Row = dict[str, Any]

FOR_OUTSIDERS = (
    "collaboration", "show", "partner", "state", "verdict", "estimate", "forecast", "at_most", "together",
    "headline", "words", "flags", "as_of", "version", "made_at", "model_version", "rule",
)  # fmt: skip
OF_THE_TENANT = ("cost", "currency", "cost_per_new_listener", "notices", "notes", "tenant")
_TITLES = """
    select show_id, min(show_title) as show_title from (
        select show_id, show_title from fct_collaboration_lift
        union all
        select partner_show_id, partner_show_title from fct_collaboration_lift
    ) where show_id is not null group by show_id
"""


Costs = Callable[[str | None], bool]  # of a tenant: whether the reader may see what it paid


def collaborations(asks: Asks, shows: Collection[str] | None, costs: Costs) -> list[Row]:
    """All of these shows (None: all there are), the newest first, in short."""
    where, params = _of_shows(shows)
    found = marts.lifts(asks, where, params)
    of_show: dict[str | None, list[Row]] = {}
    for row in found:
        if row["is_split"]:
            of_show.setdefault(row["show_id"], []).append(row)
    answers = []
    for row in found:
        listed = listed_of(row, of_show.get(row["show_id"], []))
        answer = _numbers(listed) | {
            "collaboration_id": listed.collaboration_id,
            "show_id": listed.show_id,
            "show": listed.show,
            "partner_show_id": row["partner_show_id"],
            "partner": listed.partner,
            "type": listed.type,
            "starts_at": listed.starts_at,
            "final_at": listed.final_at,
            "flags": list(listed.flags),
            "cost": listed.cost,
            "currency": listed.currency,
        }
        answers.append(_without_costs(answer, costs(row["tenant"])))
    return answers


def _numbers(of: Answer) -> Row:
    """What is told of the effect. Of one recorded twice its equal part, so that rows add up."""
    return {
        "state": of.state,
        "verdict": of.verdict,
        "words": in_short(of),
        **_estimate("new_listeners", of.estimate),
        **_estimate("forecast", of.forecast),
        "at_most": of.at_most,
        "together_with": list(of.together.others) if of.together else [],
    }


def _estimate(name: str, of: Estimate | None) -> Row:
    return {
        name: of.value if of else None,
        f"{name}_low": of.low if of else None,
        f"{name}_high": of.high if of else None,
    }


def explanation(asks: Asks, collaboration_id: int, basis: Basis) -> Explanation | None:
    """All that is known of one collaboration; None: the marts do not have it. Five queries, all small."""
    rows = marts.rows_of(asks, collaboration_id)
    return None if rows is None else explanation_of(rows, basis.version, basis.made_at)


def explained(of: Explanation, costs: Costs, outside: bool = False) -> Row:
    """The explanation as plain data: terms, words, and the page that explains how the number comes about.

    outside: for readers who do not own the show: without the terms, which count few listeners.
    """
    of = of if costs(of.collaboration.tenant) else _free(of)
    answer = _without_costs(as_json(of), costs(of.collaboration.tenant))
    answer |= {
        "collaboration": _without_costs(answer["collaboration"], costs(of.collaboration.tenant)),
        "show": of.collaboration.show,
        "partner": of.collaboration.partner,
        "words": in_short(of),
        "rule": COLLABORATIONS.about,
    }
    if outside:
        return {name: value for name, value in answer.items() if name in FOR_OUTSIDERS}
    told = page(of)
    return answer | {
        "explanation": {
            "about": list(told.about),
            "sections": [asdict(section) for section in told.sections],
            "foot": list(told.foot),
        }
    }


def _free(of: Explanation) -> Explanation:
    """As if it had cost nothing that is known."""
    return replace(
        of, cost=None, notices=(), collaboration=replace(of.collaboration, cost=None, currency=None)
    )


def daily(collaboration_id: int, basis: Basis, outside: bool = False) -> Report:
    """Rows by date: exposed and converted so far, organic: how many of them were to come anyway, excess."""
    least = ", least(exposed, converted) as least_listeners" if outside else ""
    sql = (
        f"select date, exposed, converted, organic, excess {least} from fct_collaboration_daily"
        " where collaboration_id = $id order by date"
    )
    about = _about(basis) | {"time_zone": "UTC", "collaboration_id": collaboration_id}
    figures = ("exposed", "converted", "organic", "excess")
    return Report(Query(sql, {"id": collaboration_id}), about, outside, figures, ())


def new_listener_sources(show_id: str, basis: Basis, first: date | None, last: date | None) -> Report:
    """Rows by ISO week, source and collaboration: first-ever listeners, where they were before. No effect."""
    sql = """
        select strftime(week, '%G-W%V') as period, week as period_start, source, collaboration_id, listeners,
            is_complete
        from fct_new_listener_sources
        where show_id = $show and week between $first and $last
        order by week, source, collaboration_id
    """
    span = {"first": first or date.min, "last": last or date.max}
    return Report(Query(sql, {"show": show_id} | span), _about(basis))


def totals(asks: Asks, by: By, shows: Collection[str] | None, costs: Costs) -> list[Row]:
    """What the collaborations of each show brought together, with the joint interval.

    Costs are left out where any of a tenant are among them whose costs the reader may not see.
    """
    mart, column = MARTS[by]
    where, params = _of_shows(shows)
    titles = {row["show_id"]: row["show_title"] for row in asks.rows(_TITLES, {})}
    tenants = asks.rows("select distinct show_id, tenant from fct_collaboration_lift", {})
    hidden = {row["show_id"] for row in tenants if not costs(row["tenant"])}
    rows = [(total_of(row, column, titles), row) for row in marts.pooled(asks, mart, column, where, params)]
    return [
        _total(total, row, column, total.show_id not in hidden)
        for total, row in sorted(rows, key=lambda one: (one[0].show, one[0].group))
    ]


def about(basis: Basis, **more: object) -> Row:
    """What is said beside collaborations."""
    return _about(basis) | more


def _total(total: Total, row: Row, column: str, with_costs: bool) -> Row:
    answer = _numbers(total) | {
        "show_id": total.show_id,
        "show": total.show,
        "group": total.group,
        "partner_show_id": row[column] if column == "partner_show_id" else None,
        "collaborations": total.collaborations,
        "provisional": total.provisional,
        "insufficient": total.insufficient,
        "gross_last_touch": total.gross,
        "cost": total.cost,
        "currency": total.currency,
        "cost_per_new_listener": total.cost_per_new_listener,
    }
    return _without_costs(answer, with_costs)


def _of_shows(shows: Collection[str] | None) -> tuple[str, Row]:
    if shows is None:
        return "true", {}
    return "show_id in (select unnest($shows))", {"shows": sorted(shows)}


def _without_costs(answer: Row, with_costs: bool) -> Row:
    """What a collaboration cost, and what its tenant wrote of it, is the tenant's own."""
    if with_costs:
        return answer
    return {name: value for name, value in answer.items() if name not in OF_THE_TENANT}


def _about(basis: Basis) -> Row:
    return {
        "rule": COLLABORATIONS.about,
        "window": basis.window,
        "time_zone": basis.time_zone,
        "version": basis.version,
        "made_at": basis.made_at,
        "notes": [],
    }
