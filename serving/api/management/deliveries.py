"""What endpoints were sent and how that went; having it sent once more."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import Path, Query, Request
from starlette.responses import Response

from ingest.lake import utc_now_us
from registry.delivery_log import attempts_of, deliveries, replay, replayable
from registry.tables import DeliveryState
from serving.api.answers import plain_answer, problems
from serving.api.management.subscription_rows import (
    DeliveryAnswer,
    DeliveryRow,
    ReplayAnswer,
    ReplayWanted,
    attempt_row,
    delivery_row,
)
from serving.api.management.subscriptions import SubscriptionId, going_on, own
from serving.api.management.tenancy import For
from serving.api.metadata.answers import PlaceAsked, listed, rows_answer
from serving.api.metadata.naming import writable
from serving.api.problems import Problem, bad_parameter
from serving.api.routing import Router
from serving.api.visit import Ask, AskTable

router = Router(prefix="/v1", tags=["management"])

_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")

MessageId = Annotated[str, Path(max_length=200, description="its webhook-id", examples=["msg_0f3b2c"])]


@router.get(
    "/subscriptions/{subscription_id}/deliveries",
    responses=listed(DeliveryRow, 401, 403),
    summary="What an endpoint was sent",
)
def list_deliveries(
    ask: AskTable,
    request: Request,
    whose: For,
    place: PlaceAsked,
    subscription_id: SubscriptionId,
    state: Annotated[list[DeliveryState] | None, Query(description="may be repeated")] = None,
    since: Annotated[datetime | None, Query(description="made since")] = None,
    until: Annotated[datetime | None, Query(description="made before")] = None,
) -> Response:
    """The newest first."""
    own(ask, whose, subscription_id)
    since_us, until_us = _us("since", since), _us("until", until)
    if since_us is not None and until_us is not None and since_us >= until_us:
        raise bad_parameter("since", "it is not before until")
    found = deliveries(
        ask.core.engine,
        subscription_id=subscription_id,
        states=state or (),
        since_us=since_us,
        until_us=until_us,
        limit=place.limit + 1,
        before=None if place.after is None else (int(place.after[0]), int(place.after[1])),
    )
    page = found[: place.limit]
    cursor = place.cursor([page[-1].created_us, page[-1].delivery_id]) if len(found) > len(page) else None
    rows = [delivery_row(one) for one in page]
    return rows_answer(ask, request, list(DeliveryRow.model_fields), rows, cursor)


@router.get(
    "/subscriptions/{subscription_id}/deliveries/{message_id}",
    response_model=DeliveryAnswer,
    responses=problems(403, 404),
    summary="One message, with each attempt and answer",
)
def get_delivery(ask: Ask, whose: For, subscription_id: SubscriptionId, message_id: MessageId) -> Response:
    """By its webhook-id."""
    own(ask, whose, subscription_id)
    named = writable("message_id", message_id)
    found = deliveries(ask.core.engine, subscription_id=subscription_id, message_id=named, limit=1)
    if not found:
        raise Problem(404, "No such message", "The log has no message of this id", field="message_id")
    log = attempts_of(ask.core.engine, [found[0].delivery_id]).get(found[0].delivery_id, [])
    return plain_answer(delivery_row(found[0]) | {"log": [attempt_row(one) for one in log]})


@router.post(
    "/subscriptions/{subscription_id}/replay",
    response_model=ReplayAnswer,
    responses=problems(400, 403, 404, 409),
    summary="Send messages once more",
)
def replay_messages(ask: Ask, whose: For, subscription_id: SubscriptionId, wanted: ReplayWanted) -> Response:
    """Each under its first webhook-id: by id, of a time, or all that failed. What waits anyway is left alone,
    so a repetition sends nothing twice while the first waits.
    """
    engine = ask.core.engine
    going_on(ask, whose, subscription_id)
    chosen = (bool(wanted.message_ids), bool(wanted.from_ or wanted.to), wanted.failed_since is not None)
    if sum(chosen) != 1:
        raise _unusable("message_ids", "name one of message_ids, from (and to), failed_since")
    if wanted.to is not None and wanted.from_ is None:
        raise _unusable("from", "a time needs its beginning")
    which: dict[str, Any] = {
        "message_ids": tuple(writable("message_ids", one) for one in wanted.message_ids),
        "subscription_id": subscription_id,
        "from_us": _us("from", wanted.from_),
        "to_us": _us("to", wanted.to),
        "failed_since_us": _us("failed_since", wanted.failed_since),
    }
    if None not in (which["from_us"], which["to_us"]) and which["from_us"] >= which["to_us"]:
        raise _unusable("from", "it is not before `to`")
    found = replayable(engine, **which)
    queued = found.queued
    if not wanted.dry_run:
        note = whose.note(
            "messages.replayed",
            lambda done: str(subscription_id) if done else "",
            lambda done: {"queued": done},
        )
        queued = replay(engine, **which, now_us=utc_now_us(), note=note)
    unknown = [
        one
        for one in wanted.message_ids
        if not deliveries(engine, subscription_id=subscription_id, message_id=one, limit=1)
    ]
    return plain_answer(
        {
            "queued": queued,
            "waiting_anyway": found.waiting,
            "nothing_to_tell": found.void,
            "endpoint_not_active": sum(found.inactive.values()),
            "unknown": unknown,
        }
    )


def _us(field: str, at: datetime | None) -> int | None:
    if at is None:
        return None
    if at.tzinfo is None:
        raise bad_parameter(field, "it names no time zone: write 2026-11-29T00:00:00Z")
    return (at - _EPOCH) // timedelta(microseconds=1)


def _unusable(field: str, reason: str) -> Problem:
    return Problem(422, "The body cannot be used", reason, field=field)
