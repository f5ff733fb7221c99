"""Why requests were not counted, whether two sources agree, and the methodology."""

from __future__ import annotations

import threading
from typing import Annotated, Any, Literal
from weakref import WeakKeyDictionary

from fastapi import Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from serving.api.answers import documented, plain_answer
from serving.api.marts import Edition
from serving.api.reporting import rows
from serving.api.reporting.asked import Downloads, First, Last, PublishedDownloads, basis_of
from serving.api.routing import QuickRouter
from serving.api.visit import Ask, Visit
from serving.methodology.statement import as_page, statement
from serving.reasons import REASONS
from serving.reports.exclusions import exclusions
from serving.reports.periods import By
from serving.reports.reconciliation import reconciliation
from serving.reports.rules import RULES

router = QuickRouter(prefix="/v1", tags=["reporting"])


@router.get(
    "/shows/{show_id}/exclusions",
    responses=documented(rows.ExclusionRow, rows.OfRange),
    summary="Why requests of a show were not counted",
)
def exclusions_of_a_show(
    asked: Downloads,
    by: Annotated[
        Literal["day", "week", "month"] | None, Query(description="else a row for the whole range")
    ] = None,
    first: First = None,
    last: Last = None,
) -> Response:
    """Each reason with its rule in words; with the row `download` they add up to the log lines."""
    return asked.answer(exclusions(asked.scope(), By(by) if by else None, first, last))


@router.get(
    "/shows/{show_id}/reconciliation",
    responses=documented(rows.ReconciliationRow, rows.OfRange),
    summary="A prefix and the host's log beside each other",
)
def reconciliation_of_a_show(
    asked: PublishedDownloads,
    first: First = None,
    last: Last = None,
    by_episode: Annotated[bool, Query(description="a row an episode and date, at most 5,000")] = False,
) -> Response:
    """By date, with the likely cause where they differ; empty where only one of them sees the show.

    For the show's owner.
    """
    scope = asked.scope()
    if scope.outside:
        asked.refuse()
    return asked.answer(reconciliation(scope, first, last, by_episode))


class RuleRow(BaseModel):
    """Why a request does not count."""

    reason: str = Field(examples=["probe"])
    rule: str = Field(examples=["R8"])
    words: str = Field(examples=["bytes 0-1 only"])


class MethodologyBody(BaseModel):
    """What is counted and by which rules."""

    version: int | None = Field(description="of the publication it speaks of", examples=[42])
    rules: list[rows.RuleBody]
    reasons: list[RuleRow]
    statement: str = Field(description="Markdown", examples=["# How Earshot counts"])


_TEXT: dict[str, Any] = {"schema": {"type": "string"}}


@router.get(
    "/methodology",
    responses={
        200: {"model": MethodologyBody, "content": {"text/html": _TEXT, "text/markdown": _TEXT}},
    },
    summary="What is counted and by which rules",
)
def methodology(
    request: Request,
    ask: Ask,
    format: Annotated[
        Literal["json", "html", "markdown"] | None, Query(description="instead of the header Accept")
    ] = None,
) -> Response:
    """The statement that the guideline asks for, from the settings, lists and marts in force.

    Figures over all shows, and the sources, are told to the operator only. HTML where the header Accept names
    it, as browsers do: each rule has an anchor, to which answers link.
    """
    accepts = request.headers.get("accept", "")
    form = format or (
        "html" if "text/html" in accepts else "markdown" if "text/markdown" in accepts else "json"
    )
    text = stated(ask)
    if form == "html":
        return Response(as_page(text), media_type="text/html", headers=_UNCACHED)
    if form == "markdown":
        return Response(text, media_type="text/markdown", headers=_UNCACHED)
    return plain_answer(
        {
            "version": ask.edition.version if ask.edition else None,
            "rules": [rule.about for rule in RULES],
            "reasons": [
                {"reason": name, "rule": reason.rule, "words": reason.words}
                for name, reason in REASONS.items()
            ],
            "statement": text,
        }
    )


_UNCACHED = {"cache-control": "no-store", "vary": "Accept"}
# It looks through all downloads: once a publication. By whether it is for the operator.
_statements: WeakKeyDictionary[Edition, dict[bool, str]] = WeakKeyDictionary()
_lock = threading.Lock()


def stated(ask: Visit) -> str:
    """What tells of the platform's tenants together is for its operator."""
    settings, is_operator = ask.core.settings.platform, ask.caller.is_operator
    if ask.edition is None:
        return statement(settings, None, not is_operator)
    with _lock:
        kept = _statements.setdefault(ask.edition, {})
        if is_operator not in kept:
            kept[is_operator] = statement(settings, (ask.edition, basis_of(ask)), not is_operator)
    return kept[is_operator]
