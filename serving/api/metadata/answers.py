"""Answers from lake and registry: tables page by page, and records with an ETag of what they say."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlencode

import orjson
from fastapi import Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field, create_model
from starlette.responses import Response

from serving.api.answers import problems
from serving.api.conditional import is_known, not_modified
from serving.api.formats import MEDIA_TYPES, Format, to_csv, to_json, to_parquet
from serving.api.paging import DEFAULT_LIMIT, MAX_LIMIT, opened, question_of
from serving.api.signing import seal
from serving.api.visit import Ask, Visit

_PURPOSE = "place"
_FRESH = {"cache-control": "private, no-cache", "vary": "Authorization, Accept, Accept-Encoding"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins: behind the row that `after` describes; None: at the start."""

    limit: int
    after: list[Any] | None
    visit: Visit
    question: bytes

    def cursor(self, after: Sequence[Any]) -> str:
        """Of the page that begins behind such a row."""
        payload = orjson.dumps(list(after))
        return seal(self.visit.core.secret, _PURPOSE, payload, self.question)


async def place(
    request: Request,
    ask: Ask,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="rows of a page")] = DEFAULT_LIMIT,
    cursor: Annotated[
        str | None,
        Query(max_length=1000, description="`next` of the page before; with the other parameters unchanged"),
    ] = None,
) -> Place:
    """Dependency: the page asked for; unlike figures', it goes on in what is there now."""
    question = question_of(request)
    after = None if cursor is None else orjson.loads(opened(cursor, ask, _PURPOSE, question))
    return Place(limit, after, ask, question)


PlaceAsked = Annotated[Place, Depends(place)]


def rows_answer(
    ask: Visit,
    request: Request,
    columns: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    next_cursor: str | None,
    **about: Any,
) -> Response:
    """Rows of lake or registry as they are now, in the format asked for. JSON: {"data", "next", …about}."""
    kind = ask.accepted or Format.JSON
    headers = {}
    if next_cursor:
        pairs = parse_qsl(ask.query.decode("latin-1"), keep_blank_values=True)
        query = urlencode([pair for pair in pairs if pair[0] != "cursor"] + [("cursor", next_cursor)])
        headers["link"] = f'<?{query}>; rel="next"'
    if kind is Format.JSON:
        body = to_json({"data": rows, "next": next_cursor} | about)
    elif kind is Format.CSV:
        body = to_csv(columns, rows)
    else:
        flat = [{name: _flat(row.get(name)) for name in columns} for row in rows]
        body = to_parquet(columns, flat)
    return _tagged(request, body, headers, MEDIA_TYPES[kind])


def record_answer(request: Request, value: Any) -> Response:
    """One record as it is now; 304 where the caller has it already."""
    return _tagged(request, to_json(value), {}, MEDIA_TYPES[Format.JSON])


def _tagged(request: Request, body: bytes, headers: dict[str, str], media_type: str) -> Response:
    # Weak, since the same answer may go out packed.
    tag = f'W/"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
    headers = {**headers, **_FRESH, "etag": tag}
    return not_modified(headers) if is_known(request, tag) else Response(body, 200, headers, media_type)


def _flat(value: Any) -> Any:
    return to_json(value).decode() if isinstance(value, dict | list | tuple) else value


class Listed(BaseModel):
    """What stands beside the rows."""

    model_config = ConfigDict(extra="allow")

    next: str | None = Field(description="cursor of the next page; null: it is the last", examples=[None])


def listed(row: type[BaseModel], *statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses=` of rows_answer, for OpenAPI."""
    model = create_model(f"{row.__name__}List", __base__=Listed, data=(list[row], ...))  # type: ignore[valid-type]
    others = {
        "text/csv": {"schema": {"type": "string"}},
        MEDIA_TYPES[Format.PARQUET]: {"schema": {"type": "string", "format": "binary"}},
    }
    return {200: {"model": model, "content": others}, **problems(404, 406, *statuses)}
