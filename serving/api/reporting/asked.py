"""What reporting endpoints are asked with, and how they answer: parameters, one show's scope, a report."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, NoReturn

from fastapi import Depends, Path, Query
from pydantic import BeforeValidator
from starlette.responses import Response

from ingest.schema import SourceClass
from ingest.settings import Window
from registry.api_keys import Scope as KeyScope
from registry.show_access import Subject
from serving.api.access import Standing
from serving.api.answers import VERSION_HEADER, table_answer
from serving.api.formats import MEDIA_TYPES, Format, to_json
from serving.api.marts import Edition, Rows
from serving.api.paging import Page
from serving.api.problems import Problem
from serving.api.visit import AskTable, Visit
from serving.reports.asking import Basis, Report
from serving.reports.downloads import Episode, find_episode
from serving.reports.shows import Scope

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def _day(text: Any) -> Any:
    """Only as people write it: pydantic would take 1700000000, too."""
    if isinstance(text, str) and not _DATE.fullmatch(text):
        raise ValueError("a date is written YYYY-MM-DD")
    return text


Day = Annotated[date, BeforeValidator(_day)]
ShowId = Annotated[str, Path(max_length=200, description="of the show", examples=["show-00002"])]
EpisodeId = Annotated[
    str, Path(max_length=2000, description="its GUID; one with slashes as it is", examples=["s00002-e0001"])
]
First = Annotated[
    Day | None, Query(alias="from", description="first date, in the time zone", examples=["2026-09-01"])
]
Last = Annotated[Day | None, Query(alias="to", description="last date, inclusive", examples=["2026-09-30"])]
TimeZone = Annotated[
    str | None,
    Query(
        max_length=64,
        description="where periods begin; by default that of the marts",
        examples=["Europe/Berlin"],
    ),
]
ClassAsked = Annotated[
    SourceClass | None,
    Query(description="server_log where the show has any. The two see the same listening: never sum them"),
]
WindowAsked = Annotated[
    Window | None, Query(description="the window rule, an alternative to the published one")
]


@dataclass(frozen=True, slots=True)
class OfShow:
    """A question about one show; nothing is checked before `scope` is asked for."""

    ask: Visit
    show_id: str
    subject: Subject
    source_class: SourceClass | None
    window: Window | None

    def scope(self) -> Scope:
        """Raises Problem: 404 for an unknown show and for one not to be seen alike; 503."""
        standing = self.ask.shows.require(self.show_id, self.subject)
        edition = self.ask.marts
        show = edition.catalogue.by_id[self.show_id]
        return Scope.of(
            edition.catalogue,
            show,
            basis_of(self.ask),
            self.source_class,
            self.window,
            outside=standing is not Standing.OWNER,
        )

    def episode(self, episode_id: str) -> tuple[Scope, Episode]:
        """Raises Problem as `scope` does; 404 for an unknown episode."""
        scope = self.scope()
        found = find_episode(self.ask.marts, self.show_id, episode_id)
        if found is None:
            raise Problem(
                404,
                "No such episode",
                f"The show has no episode with this id; GET /v1/shows/{self.show_id}/episodes lists them",
                field="episode_id",
            )
        return scope, found

    def refuse(self) -> NoReturn:
        """As if there were no such show: it is for owners. Raises Problem: 404."""
        raise Problem(
            404,
            "No such show",
            f"No show with this id whose {self.subject} you may see; GET /v1/shows lists those you may",
            field="show_id",
        )

    def may(self, subject: Subject) -> bool:
        """Whether another subject of the show is to be seen, too."""
        return self.ask.shows.may(self.show_id, subject) is not None

    def answer(self, report: Report, page: Page | None = None) -> Response:
        return report_answer(self.ask, report, page)


def of_show(subject: Subject) -> Any:
    """Dependency: a question about a show, whose `subject` one must be allowed to see."""

    async def asked(
        ask: AskTable, show_id: ShowId, source_class: ClassAsked = None, window: WindowAsked = None
    ) -> OfShow:
        return OfShow(ask, show_id, subject, source_class, window)

    return Depends(asked)


def of_show_as_published(subject: Subject) -> Any:
    """The same for figures that exist under the published window rule only."""

    async def asked(ask: AskTable, show_id: ShowId, source_class: ClassAsked = None) -> OfShow:
        return OfShow(ask, show_id, subject, source_class, None)

    return Depends(asked)


Downloads = Annotated[OfShow, of_show(Subject.DOWNLOADS)]
PublishedDownloads = Annotated[OfShow, of_show_as_published(Subject.DOWNLOADS)]
Audience = Annotated[OfShow, of_show_as_published(Subject.AUDIENCE)]
Pacing = Annotated[OfShow, of_show_as_published(Subject.PACING)]


def basis_of(ask: Visit) -> Basis:
    """What the figures of this request's publication rest on."""
    settings, edition = ask.core.settings.platform, ask.marts
    window = Window(edition.window) if edition.window else settings.window
    return Basis(edition.version, edition.made_at, window, settings.time_zone)


def report_answer(ask: Visit, report: Report, page: Page | None = None) -> Response:
    """A report of this request's publication in the format asked for."""
    edition: Edition = ask.marts
    if ask.accepted is not Format.JSON:
        return table_answer(ask, report.frame(edition), page, **report.about)
    rows = report.rows(edition)
    if not isinstance(rows, Rows):
        rows = Rows(list(rows[0]) if rows else [], rows)
    return table_answer(ask, rows, page, **report.about)


def object_answer(ask: Visit, value: dict[str, Any]) -> Response:
    """One object of this request's publication. Raises Problem: 406, it is JSON only."""
    if ask.accepted is not Format.JSON:
        raise Problem(406, "No such format", "There is application/json only", field="Accept")
    ask.is_reproducible = True
    headers = {VERSION_HEADER: str(ask.marts.version)}
    return Response(to_json(value), 200, headers, MEDIA_TYPES[Format.JSON])


def sees_costs(ask: Visit) -> Callable[[str | None], bool]:
    """Whether the caller may see what a tenant paid: its own alone, and none by a link to one show."""
    caller = ask.caller
    own = caller.tenant if caller.may(KeyScope.READ) and caller.only_show is None else None
    return lambda tenant: caller.is_operator or (own is not None and tenant == own)
