"""Pages: `limit` and an opaque, signed `cursor` that goes on in the same publication and question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qsl, urlencode

import orjson
from fastapi import Depends, Query, Request

from serving.api.problems import bad_parameter
from serving.api.signing import seal, unseal
from serving.api.visit import Ask, Visit

MAX_LIMIT = 1000
DEFAULT_LIMIT = 100
_PURPOSE = "page"


@dataclass(frozen=True, slots=True)
class Page:
    """The part of an answer that is asked for; rows must have one order."""

    limit: int
    offset: int
    visit: Visit
    question: bytes

    @property
    def window(self) -> tuple[int, int]:
        """Parameters of `limit ? offset ?`; one row more than asked, to know whether there is a next page."""
        return self.limit + 1, self.offset

    def next_cursor(self) -> str:
        marts = self.visit.marts
        payload = orjson.dumps([marts.version, marts.identity, self.offset + self.limit])
        return seal(self.visit.core.secret, _PURPOSE, payload, self.question)


async def page(
    request: Request,
    ask: Ask,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="rows of a page")] = DEFAULT_LIMIT,
    cursor: Annotated[
        str | None,
        Query(max_length=200, description="`next` of the page before; with the other parameters unchanged"),
    ] = None,
) -> Page:
    """Dependency: the page asked for. With a cursor `ask.marts` is the publication of the first page."""
    question = question_of(request)
    if cursor is None:
        return Page(limit, 0, ask, question)
    version, identity, offset = orjson.loads(opened(cursor, ask, _PURPOSE, question))
    ask.edition = ask.in_version(int(version), str(identity))
    return Page(limit, int(offset), ask, question)


PageAsked = Annotated[Page, Depends(page)]


def question_of(request: Request) -> bytes:
    """What the cursor belongs to: path and parameters, but for those of paging and format."""
    pairs = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    kept = sorted(pair for pair in pairs if pair[0] not in ("cursor", "limit", "format"))
    return f"{request.scope['path']}?{urlencode(kept)}".encode("utf-8", "replace")


def opened(cursor: str, ask: Visit, purpose: str, question: bytes) -> bytes:
    """What the cursor says. Raises Problem: it is of another question, or none of ours."""
    payload = unseal(ask.core.secret, purpose, cursor, question)
    if payload is None:
        raise bad_parameter(
            "cursor", "it is none of ours for this question: take `next` of the page before, as it is"
        )
    return payload
