"""/v1/hints/websub/…: where WebSub hubs verify a subscription, and deliver (W3C Recommendation, 2018).

A callback's path is of one podcast and ends in a token that follows from the installation's secret: who does
not know it is told that there is nothing, whatever it asks. No key is needed, nor could a hub have one.
"""

from __future__ import annotations

import asyncio
import hmac
import os
from typing import Annotated, Any

from fastapi import Path, Request
from starlette.responses import PlainTextResponse, Response

from ingest.feeds.sources import websub
from ingest.feeds.sources.websub import Outcome, Subscription
from ingest.lake import utc_now_us
from ingest.settings import SettingError
from registry import hubs
from registry.asking_hubs import websub_settings
from registry.hubs import HubSubscription
from serving.api.answers import problems
from serving.api.hints.landing import put
from serving.api.metadata.naming import key_in
from serving.api.problems import Problem
from serving.api.routing import Router
from serving.api.visit import KEY, Visit

router = Router(prefix="/v1", tags=["hints"])

_WINDOW_US = 10_000_000  # of one podcast no more than a notice is kept for each so long
_MOST_TYPE_CHARS = 200
_SAID = {
    "hub.mode": "subscribe or denied",
    "hub.topic": "the feed's URL, as it was asked for",
    "hub.challenge": "is answered as it is",
    "hub.lease_seconds": "until when the hub tells us",
    "hub.reason": "of a denial",
}
_PARAMETERS = [
    {"name": name, "in": "query", "required": False, "schema": {"type": "string"}, "description": what}
    for name, what in _SAID.items()
]
_Key = Annotated[str, Path(max_length=20, description="of the podcast", examples=["-4211503829512346624"])]
_Token = Annotated[str, Path(max_length=100, description="ends the callback that the hub was given")]


@router.get(
    "/hints/websub/{podcast_key}/{token}",
    response_class=PlainTextResponse,
    responses=problems(404),
    openapi_extra={"parameters": _PARAMETERS},
    summary="A hub verifies a subscription",
)
async def verify(request: Request, podcast_key: _Key, token: _Token) -> Response:
    """Answered with the hub's challenge where we asked for it, else 404 (§5.3). Further parameters of a hub's
    own are passed over.
    """
    visit = _visit(request)
    return await asyncio.to_thread(_verified, visit, podcast_key, token, dict(request.query_params))


@router.post(
    "/hints/websub/{podcast_key}/{token}",
    status_code=202,
    response_class=PlainTextResponse,
    responses=problems(404, 413),
    openapi_extra={"requestBody": {"content": {"*/*": {"schema": {"type": "string"}}}}},
    summary="A hub delivers",
)
async def deliver(request: Request, podcast_key: _Key, token: _Token) -> Response:
    """Always 202 where the callback is ours: a wrong signature is told to our team, not to who made it (§8).
    Of the body nothing is used: the feed is polled instead.
    """
    visit = _visit(request)
    known, wanted = await asyncio.to_thread(_expected, visit, podcast_key, token)
    body = await request.body()
    said_type = request.headers.get("content-type", "")[:_MOST_TYPE_CHARS]
    is_genuine = websub.is_signed(body, request.headers.get("x-hub-signature"), wanted.secret)
    await asyncio.to_thread(_keep, visit, known, said_type, is_genuine)
    return Response(status_code=202)


def _visit(request: Request) -> Visit:
    """As `Ask`, but hubs may add parameters of their own."""
    here: Visit = request.scope[KEY]
    here.route = request.scope["route"].path
    return here


def _verified(visit: Visit, podcast_key: str, token: str, query: dict[str, Any]) -> Response:
    known, wanted = _expected(visit, podcast_key, token)
    said = websub.verify(query, wanted)
    engine, now_us = visit.core.engine, utc_now_us()
    if said.outcome is Outcome.CONFIRMED and said.lease_s is not None:
        hubs.confirm(engine, known.podcast_key, known.topic, now_us, said.lease_s)
    elif said.outcome is Outcome.DENIED:
        hubs.deny(engine, known.podcast_key, known.topic, now_us, said.reason)
    elif said.outcome is Outcome.NOT_OURS:
        raise _nothing()
    return PlainTextResponse(said.body, said.status)


def _expected(visit: Visit, podcast_key: str, token: str) -> tuple[HubSubscription, Subscription]:
    """What we asked for under this callback. Raises Problem: 404."""
    settings, key = visit.core.settings.platform, key_in(podcast_key)
    try:
        how = websub_settings(settings)
        master = how.master(os.environ) if how else ""
    except SettingError:
        raise _nothing() from None
    known = None if key is None or how is None else hubs.find(visit.core.engine, key)
    if known is None or how is None or how.callback is None:
        raise _nothing()
    expected = websub.callback_token(master, known.podcast_key, known.topic)
    if not hmac.compare_digest(expected.encode(), token.encode("utf-8", "replace")):
        raise _nothing()
    return known, websub.subscription(known.hub, known.topic, known.podcast_key, how.callback, master)


def _keep(visit: Visit, known: HubSubscription, content_type: str, is_genuine: bool) -> None:
    now_us = utc_now_us()
    line = websub.envelope(known.podcast_key, known.topic, known.hub, now_us, content_type, is_genuine)
    stem = f"{known.podcast_key}-{'good' if is_genuine else 'bad'}-{now_us // _WINDOW_US}"
    folder = visit.core.settings.platform.hints_dir / websub.NAME
    if not any(folder.glob(f"{stem}-*")):  # one that waits says the same
        put(visit.core.settings.platform, websub.NAME, stem, ".jsonl", line)


def _nothing() -> Problem:
    return Problem(404, "No such callback", "Nothing was asked for under this path")
