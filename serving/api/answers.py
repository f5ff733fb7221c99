"""Answers: a table as JSON, CSV or Parquet, and plain JSON for all else."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, create_model
from starlette.responses import Response

from serving.api.formats import MEDIA_TYPES, Format, to_csv, to_json, to_parquet
from serving.api.marts import Rows
from serving.api.paging import Page
from serving.api.problems import MEDIA_TYPE
from serving.api.visit import Visit

VERSION_HEADER = "earshot-version"


def table_answer(ask: Visit, rows: Rows | pl.DataFrame, page: Page | None = None, **about: Any) -> Response:
    """Rows of this request's publication; they depend on nothing but publication, caller and query.

    JSON: {"data": [rows], "next": cursor or null, "version", "made_at", and what `about` says}. CSV and
    Parquet hold the rows alone; the version is the header Earshot-Version, the next page the header Link.
    With `page` one row more than its limit says that there is a next one (paging.Page.window).
    """
    cursor = None
    if page is not None and len(rows) > page.limit:
        cursor = page.next_cursor()
        rows = rows.head(page.limit) if isinstance(rows, pl.DataFrame) else rows.first(page.limit)
    kind = ask.accepted or Format.JSON
    edition = ask.marts
    ask.is_reproducible = True
    headers = {VERSION_HEADER: str(edition.version)}
    if cursor:
        headers["link"] = f'<?{_with_cursor(ask.query, cursor)}>; rel="next"'
    if kind is Format.PARQUET:
        body = to_parquet(rows.columns, rows)
    else:
        records = rows.to_dicts() if isinstance(rows, pl.DataFrame) else rows
        if kind is Format.CSV:
            body = to_csv(rows.columns, records)
        else:
            about = {"next": cursor, "version": edition.version, "made_at": edition.made_at} | about
            body = to_json({"data": records} | about)
    return Response(body, 200, headers, MEDIA_TYPES[kind])


def plain_answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON that may change at any time: registry, lake, what was just done. Never kept by the gate."""
    body = to_json(value)
    return Response(body, status, {"cache-control": "no-store", **(headers or {})}, MEDIA_TYPES[Format.JSON])


def documented(row: type[BaseModel], about: type[BaseModel] | None = None) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a table whose rows are so, for OpenAPI."""
    return {200: {"model": _envelope(row, about), "content": _OTHER_FORMATS}, **problems(404, 406, 410)}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses=` of the problems an endpoint has beside those all have."""
    body = {"content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    return {status: {**body, "description": _DESCRIPTIONS[status]} for status in statuses}


_DESCRIPTIONS = {
    400: "The request cannot be read",
    401: "A key is needed, or this one cannot be used",
    403: "The key has not the scope",
    404: "No such thing, or not to be seen",
    406: "None of the accepted formats",
    408: "The body came too slowly",
    409: "It contradicts what is there",
    410: "The cursor is too old",
    413: "The body is too large",
    415: "The body has another type",
    422: "A parameter or the body cannot be used",
    429: "Too many requests",
    500: "The server failed",
    503: "Nothing is published yet",
}
# Of every endpoint.
COMMON_PROBLEMS = problems(401, 422, 429, 500, 503)
_OTHER_FORMATS = {
    "text/csv": {"schema": {"type": "string"}},
    MEDIA_TYPES[Format.PARQUET]: {"schema": {"type": "string", "format": "binary"}},
}


class Envelope(BaseModel):
    """What stands beside the rows of a table."""

    model_config = ConfigDict(extra="allow")

    next: str | None = Field(description="cursor of the next page; null: it is the last", examples=[None])
    version: int = Field(description="number of the publication the figures are from", examples=[42])
    made_at: str = Field(description="when it was published", examples=["2026-09-30T06:00:00+00:00"])


def _envelope(row: type[BaseModel], about: type[BaseModel] | None) -> type[BaseModel]:
    bases: tuple[type[BaseModel], ...] = (about, Envelope) if about else (Envelope,)
    return create_model(f"{row.__name__}Table", __base__=bases, data=(list[row], ...))  # type: ignore[valid-type]


def _with_cursor(query: bytes, cursor: str) -> str:
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    return urlencode([pair for pair in pairs if pair[0] != "cursor"] + [("cursor", cursor)])
