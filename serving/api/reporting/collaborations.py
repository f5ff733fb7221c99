"""What collaborations brought: all in short, one with its explanation and course, and their sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from registry.show_access import Subject
from serving.api.answers import documented, problems, table_answer
from serving.api.marts import Rows
from serving.api.problems import Problem
from serving.api.reporting import rows
from serving.api.reporting.asked import (
    First,
    Last,
    ShowId,
    basis_of,
    object_answer,
    report_answer,
    sees_costs,
)
from serving.api.reporting.collaboration_rows import CollaborationRow, CourseRow, SourceRow, TotalRow
from serving.api.routing import QuickRouter
from serving.api.visit import Ask, AskTable, Visit
from serving.attribution.model import Explanation
from serving.attribution.totals import By
from serving.reports import collaborations as reports

router = QuickRouter(prefix="/v1", tags=["reporting"])

CollaborationId = Annotated[int, Path(ge=1, le=2**63 - 1, description="as it was recorded", examples=[3])]
OfOneShow = Annotated[str | None, Query(max_length=200, description="of this show only")]


class ExplanationBody(BaseModel):
    """What a collaboration brought, and how the number comes about.

    `estimate` and `forecast` are {value, low, high}. For the show's owner there are the terms, too:
    calculation, strata, placebo, overlaps, holdout, gross, difference, and the page that explains them.
    """

    model_config = ConfigDict(extra="allow")

    collaboration: dict[str, Any]
    state: str = Field(examples=["final"])
    verdict: str = Field(examples=["gain"])
    words: str = Field(examples=["238 (181 to 296)"])
    headline: list[str] = Field(examples=[["About 238 new listeners (90 % interval 181 to 296)."]])
    estimate: dict[str, float] | None = Field(examples=[{"value": 238.2, "low": 181.0, "high": 295.9}])
    forecast: dict[str, float] | None = Field(examples=[None])
    at_most: float | None = Field(examples=[None])
    flags: list[dict[str, str]]
    rule: rows.RuleBody
    version: int = Field(examples=[42])


@router.get(
    "/collaborations",
    responses=documented(CollaborationRow, rows.Basis),
    summary="What each collaboration brought",
)
def collaborations(ask: AskTable, show_id: OfOneShow = None) -> Response:
    """The newest first; of the shows whose collaborations you may see."""
    found = reports.collaborations(ask.marts, _shows(ask, show_id), sees_costs(ask))
    return _table(ask, found, CollaborationRow)


@router.get(
    "/collaboration-totals",
    responses=documented(TotalRow, rows.Basis),
    summary="What collaborations brought together",
)
def collaboration_totals(
    ask: AskTable,
    by: Annotated[By, Query(description="what a row stands for, beside the show")] = By.PARTNER,
    show_id: OfOneShow = None,
) -> Response:
    """With the joint interval, which is not the sum of the intervals; a month is that of their starts."""
    found = reports.totals(ask.marts, by, _shows(ask, show_id), sees_costs(ask))
    return _table(ask, found, TotalRow)


@router.get(
    "/collaborations/{collaboration_id}",
    responses={200: {"model": ExplanationBody}, **problems(404)},
    summary="What one collaboration brought, and how the number comes about",
)
def collaboration(ask: AskTable, collaboration_id: CollaborationId) -> Response:
    """Words, interval, flags, cohorts, calculation and the gross figures beside."""
    found, outside = _found(ask, collaboration_id)
    return object_answer(ask, reports.explained(found, sees_costs(ask), outside))


@router.get(
    "/collaborations/{collaboration_id}/daily",
    responses=documented(CourseRow, rows.Basis),
    summary="A collaboration's course by day",
)
def course_of_a_collaboration(ask: AskTable, collaboration_id: CollaborationId) -> Response:
    """Exposed and converted so far, and how many of them were to come anyway; days are UTC."""
    _, outside = _found(ask, collaboration_id)
    return report_answer(ask, reports.daily(collaboration_id, basis_of(ask), outside))


@router.get(
    "/shows/{show_id}/new-listener-sources",
    responses=documented(SourceRow, rows.Basis),
    summary="Where first-ever listeners had been before",
)
def new_listener_sources(ask: AskTable, show_id: ShowId, first: First = None, last: Last = None) -> Response:
    """By ISO week, for a show with collaborations: an observation, no effect. For the show's owner."""
    ask.shows.require(show_id, Subject.COLLABORATIONS)
    if not ask.shows.is_owner(show_id):
        raise _no_show()
    return report_answer(ask, reports.new_listener_sources(show_id, basis_of(ask), first, last))


def _shows(ask: Visit, show_id: str | None) -> Sequence[str] | None:
    """Whose collaborations are asked for. Raises Problem: 404."""
    if show_id is not None:
        ask.shows.require(show_id, Subject.COLLABORATIONS)
        return [show_id]
    visible = ask.shows.visible(Subject.COLLABORATIONS)
    return None if visible is None else sorted(visible)


def _found(ask: Ask, collaboration_id: int) -> tuple[Explanation, bool]:
    """The collaboration, and whether the caller looks at it from outside. Raises Problem: 404."""
    found = reports.explanation(ask.marts, collaboration_id, basis_of(ask))
    show_id = found.collaboration.show_id if found else None
    if found is None or show_id is None or not ask.shows.may(show_id, Subject.COLLABORATIONS):
        raise Problem(
            404,
            "No such collaboration",
            "No collaboration with this id that you may see; GET /v1/collaborations lists those you may",
            field="collaboration_id",
        )
    return found, not ask.shows.is_owner(show_id)


def _no_show() -> Problem:
    return Problem(
        404,
        "No such show",
        "No show with this id whose collaborations you may see; GET /v1/shows lists those you may",
        field="show_id",
    )


def _table(ask: Visit, found: list[dict[str, Any]], row: type[BaseModel]) -> Response:
    columns = [name for name in row.model_fields if not found or any(name in each for each in found)]
    ordered = [{name: each[name] for name in columns if name in each} for each in found]
    return table_answer(ask, Rows(columns, ordered), **reports.about(basis_of(ask)))
