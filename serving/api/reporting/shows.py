"""GET /v1/shows: which shows the caller may see."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field
from starlette.responses import Response

from registry.show_access import Subject
from serving.api.answers import documented, table_answer
from serving.api.paging import PageAsked
from serving.api.routing import Router
from serving.api.visit import AskTable

router = Router(prefix="/v1", tags=["reporting"])

_COLUMNS = "show_id, show_title, episodes, first_published_at, last_published_at"


class ShowRow(BaseModel):
    """A show of the catalogue."""

    show_id: str = Field(examples=["show-00002"])
    show_title: str | None = Field(examples=["The Slow Morning"])
    episodes: int = Field(examples=[52])
    first_published_at: datetime | None = Field(examples=["2025-09-01T05:00:00Z"])
    last_published_at: datetime | None = Field(examples=["2026-08-31T05:00:00Z"])


@router.get("/shows", responses=documented(ShowRow), summary="The shows you may see")
def list_shows(ask: AskTable, page: PageAsked) -> Response:
    """By id: your own, and those whose downloads are open to anybody."""
    visible = ask.shows.visible(Subject.DOWNLOADS)
    if visible is None:
        rows = ask.marts.rows(
            f"select {_COLUMNS} from dim_shows order by show_id limit ? offset ?", page.window
        )
    else:
        rows = ask.marts.rows(
            f"select {_COLUMNS} from dim_shows where show_id in (select unnest(?::varchar[]))"
            " order by show_id limit ? offset ?",
            [sorted(visible), *page.window],
        )
    return table_answer(ask, rows, page)
