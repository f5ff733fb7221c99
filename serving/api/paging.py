"""Pages: `limit` and an opaque, signed `cursor` that goes on in the same publication and question."""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qsl, urlencode

import orjson
from fastapi import Depends, Query, Request

from serving.api.problems import bad_parameter
from serving.api.signing import sign
from serving.api.visit import Ask, Visit

MAX_LIMIT = 1000
DEFAULT_LIMIT = 100
_MAC_BYTES = 16
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
        mac = sign(self.visit.core.secret, _PURPOSE, self.question, payload)
        return base64.urlsafe_b64encode(mac + payload).decode().rstrip("=")


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
    question = _question(request)
    if cursor is None:
        return Page(limit, 0, ask, question)
    version, identity, offset = _read(cursor, ask.core.secret, question)
    ask.edition = ask.in_version(version, identity)
    return Page(limit, offset, ask, question)


PageAsked = Annotated[Page, Depends(page)]


def _question(request: Request) -> bytes:
    """What the cursor belongs to: path and parameters, but for those of paging and format."""
    pairs = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    kept = sorted(pair for pair in pairs if pair[0] not in ("cursor", "limit", "format"))
    return f"{request.scope['path']}?{urlencode(kept)}".encode("utf-8", "replace")


def _read(cursor: str, secret: bytes, question: bytes) -> tuple[int, str, int]:
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raw = b""
    mac, payload = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    if not hmac.compare_digest(mac, sign(secret, _PURPOSE, question, payload)):
        raise bad_parameter(
            "cursor", "it is none of ours for this question: take `next` of the page before, as it is"
        )
    version, identity, offset = orjson.loads(payload)
    return int(version), str(identity), int(offset)
