"""Which shows the caller may see, and one of them in a few figures."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field
from starlette.responses import Response

from registry.show_access import Subject
from serving.api.answers import documented, problems, table_answer
from serving.api.paging import PageAsked
from serving.api.reporting.asked import PublishedDownloads, ShowId, object_answer
from serving.api.reporting.rows import HeadlineRow, OfShow, ShowBody
from serving.api.routing import QuickRouter
from serving.api.visit import AskTable
from serving.reports.headlines import headlines

router = QuickRouter(prefix="/v1", tags=["reporting"])

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


@router.get(
    "/shows/{show_id}", responses={200: {"model": ShowBody}, **problems(404)}, summary="A show you may see"
)
def one_show(ask: AskTable, show_id: ShowId) -> Response:
    """With the source classes that see it and the subjects of it that you may see."""
    subjects = [subject for subject in Subject if ask.shows.may(show_id, subject)]
    ask.shows.require(show_id, subjects[0] if subjects else Subject.DOWNLOADS)
    about = ask.marts.catalogue.by_id[show_id].about
    if not ask.shows.is_owner(show_id):
        about["source_classes"] = [
            {name: value for name, value in one.items() if name != "downloads"}
            for one in about["source_classes"]
        ]
    return object_answer(ask, {**about, "subjects": subjects, "version": ask.marts.version})


@router.get(
    "/shows/{show_id}/headlines",
    responses=documented(HeadlineRow, OfShow),
    summary="A show in a few figures",
)
def show_headlines(asked: PublishedDownloads) -> Response:
    """The newest 7 and 28 whole days beside those before them."""
    return asked.answer(headlines(asked.scope(), asked.may(Subject.AUDIENCE)))
