"""POST /v1/hints/podping: a watcher's podpings, which pull polls forward; nothing else is taken from them."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from ingest.feeds.sources.notices import LINES, read_notices
from ingest.feeds.sources.settings import FeedSources
from ingest.lake import utc_now_us
from ingest.settings import SettingError
from registry.api_keys import Scope
from serving.api.answers import plain_answer, problems
from serving.api.caller import Caller
from serving.api.hints.landing import put
from serving.api.management import bodies
from serving.api.problems import Problem
from serving.api.routing import Router
from serving.api.visit import Ask, Visit, needs

router = Router(prefix="/v1", tags=["hints"])

SOURCE = "podping"
NDJSON = "application/x-ndjson"
_SHOWN = 100


class Podping(BaseModel):
    """Podping 1.x; older ones (`urls`, `url`) and whole Hive operations are read, too."""

    version: str = Field(default="1.1", examples=["1.1"])
    medium: str = Field(default="podcast", examples=["podcast"])
    reason: str = Field(default="update", examples=["update"])
    iris: list[str] = Field(examples=[["https://feeds.example/show.xml"]])


class NoticeReject(BaseModel):
    """What could not be used of it."""

    line: int = Field(examples=[1])
    reason: str = Field(description="docs/feeds.md", examples=["bad_url"])
    detail: str = Field(examples=["without a host"])


class NoticesAnswer(BaseModel):
    """What was understood. Whether anybody tracks these feeds is not told."""

    hints: int = Field(examples=[1])
    rejected: int = Field(examples=[0])
    rejects: list[NoticeReject] = Field(description=f"the first {_SHOWN}", examples=[[]])


@router.post(
    "/hints/podping",
    status_code=202,
    response_model=NoticesAnswer,
    responses=problems(401, 403, 409, 413, 415),
    openapi_extra=bodies.described(Podping, NDJSON),
    summary="Tell of changed feeds",
)
async def take_podpings(ask: Ask, request: Request, _: Annotated[Caller, needs(Scope.HINTS)]) -> Response:
    """A podping, an array of them, or (application/x-ndjson) one a line. Needs the scope `hints`. The feeds
    are polled within minutes, where somebody tracks them; each at most every five.
    """
    kind, body = await bodies.read(request, bodies.JSON, NDJSON)
    return await asyncio.to_thread(_take, ask, body, LINES if kind == NDJSON else ".json")


def _take(ask: Visit, body: bytes, suffix: str) -> Response:
    settings, now_us = ask.core.settings.platform, utc_now_us()
    try:
        is_on = FeedSources.read(settings).notice_files(SOURCE).on
    except SettingError:
        is_on = True  # they are taken in once the setting is mended
    if not is_on:
        raise Problem(409, "Podpings are switched off", "feed_sources.toml says [podping] on = false")
    found = read_notices(body, SOURCE, f"body{suffix}", now_us, now_us)
    rejects = [
        {"line": each.line, "reason": str(each.reason), "detail": each.detail}
        for each in found.rejects[:_SHOWN]
    ]
    if not found.hints:
        errors = [(f"line {each['line']}", f"{each['reason']}: {each['detail']}") for each in rejects[:20]]
        raise Problem(
            422, "The body cannot be used", "Nothing in it names a feed that changed", errors=errors
        )
    put(settings, SOURCE, f"api-{now_us}", suffix, body)
    return plain_answer({"hints": len(found.hints), "rejected": found.rejected, "rejects": rejects}, 202)
