"""For who runs it: is it alive, does it serve, and the metrics."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.responses import Response

from registry.api_keys import Scope
from serving.api import metrics
from serving.api.answers import plain_answer, problems
from serving.api.visit import Ask, check_scope

router = APIRouter(tags=["operations"])


@router.get("/health", summary="Is it alive", responses={200: {"content": {"application/json": {}}}})
async def health(ask: Ask) -> Response:
    """200 as long as the process answers."""
    return plain_answer({"status": "alive"})


@router.get(
    "/ready",
    summary="Does it serve",
    responses={200: {"content": {"application/json": {}}}, **problems(503)},
)
async def ready(ask: Ask) -> Response:
    """200 when there is a publication and the registry answers, else 503 with what is missing. A publication
    that cannot be read is told; while a former one is served that is no reason to send nobody here.
    """
    missing, unreadable = [], ask.core.marts.unreadable
    told = f"version {unreadable} cannot be read: the server's log says why; publish anew"
    if ask.edition is None:
        missing.append(told if unreadable else "nothing is published yet")
    if ask.core.book.is_behind:
        missing.append("the registry does not answer: keys and access are as last known")
    warnings = [f"{told}; the former is served"] if ask.edition and unreadable else []
    body = {
        "status": "not ready" if missing else "ready",
        "missing": missing,
        "warnings": warnings,
        "version": ask.edition.version if ask.edition else None,
        "made_at": ask.edition.made_at if ask.edition else None,
    }
    return plain_answer(body, 503 if missing else 200)


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **problems(403)},
)
async def prometheus(ask: Ask) -> Response:
    """Needs a key with the scope operate, unless EARSHOT_API_OPEN_METRICS is set."""
    if not ask.core.settings.open_metrics:
        check_scope(ask.caller, Scope.OPERATE)
    body = await asyncio.get_running_loop().run_in_executor(
        ask.core.pool, metrics.exposition, ask.core.marts, ask.core.platform
    )
    return Response(body, 200, {"cache-control": "no-store"}, metrics.MEDIA_TYPE)
