"""Who is told of changes: subscribed, listed, ended; secrets turned over, endpoints tried and resumed."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import Path, Query, Request
from starlette.responses import Response

from ingest.feeds.guard import Guard
from ingest.lake import utc_now_us
from registry.delivery_log import EndpointSummary, summary
from registry.subscribing import BadSubscription, SubscriptionWish, checked_secret, wish
from registry.subscriptions import (
    Subscription,
    UnknownSubscription,
    add_once,
    asks_for_the_same,
    end,
    get,
    listing,
    resume,
    rotate,
)
from registry.tables import SubscriptionState
from serving.api.answers import plain_answer, problems
from serving.api.management.subscription_rows import (
    SecretAnswer,
    SecretWanted,
    SubscribedAnswer,
    SubscriptionRow,
    SubscriptionWanted,
    TestAnswer,
    TestWanted,
    subscription_row,
)
from serving.api.management.tenancy import For, Tenant, sight_of_tenant
from serving.api.metadata.answers import PlaceAsked, listed, rows_answer
from serving.api.metadata.naming import podcast_of
from serving.api.problems import Problem
from serving.api.routing import Router
from serving.api.visit import Ask, AskTable, Visit
from serving.metadata.told import instant
from serving.webhooks.catalogue import types
from serving.webhooks.challenge import challenge, test_event, test_id
from serving.webhooks.deliver import send_settings
from serving.webhooks.send import Sender

router = Router(prefix="/v1", tags=["management"])

SubscriptionId = Annotated[int, Path(ge=1, le=2**63 - 1, description="as lists have it", examples=[3])]


@router.get("/subscriptions", responses=listed(SubscriptionRow, 401, 403), summary="Your subscriptions")
def list_subscriptions(
    ask: AskTable,
    request: Request,
    whose: For,
    place: PlaceAsked,
    with_ended: Annotated[bool, Query(description="also the ended ones")] = False,
) -> Response:
    """By id, each with how its endpoint fares."""
    after = 0 if place.after is None else int(place.after[0])
    engine = ask.core.engine
    found = [one for one in listing(engine, whose.name, with_ended) if one.subscription_id > after]
    fares = {
        each.subscription_id: each
        for each in summary(engine, utc_now_us(), tenant=whose.name, with_ended=with_ended)
    }
    page = found[: place.limit]
    rows = [subscription_row(one, fares.get(one.subscription_id)) for one in page]
    cursor = place.cursor([page[-1].subscription_id]) if len(found) > len(page) else None
    return rows_answer(ask, request, list(SubscriptionRow.model_fields), rows, cursor)


@router.get(
    "/subscriptions/{subscription_id}",
    response_model=SubscriptionRow,
    responses=problems(403, 404),
    summary="One subscription",
)
def get_subscription(ask: Ask, whose: For, subscription_id: SubscriptionId) -> Response:
    """With how its endpoint fares."""
    found = own(ask, whose, subscription_id)
    return plain_answer(subscription_row(found, _fares(ask, subscription_id)))


@router.post(
    "/subscriptions",
    status_code=201,
    response_model=SubscribedAnswer,
    responses=problems(400, 403, 408, 409, 413)
    | {200: {"model": SubscribedAnswer, "description": "It was there"}},
    summary="Have an endpoint told of changes",
)
async def subscribe(ask: Ask, whose: For, wanted: SubscriptionWanted) -> Response:
    """It is asked first, signed, and must answer (docs/webhooks.md): so it must know the secret before, or
    not verify the question. The same asked for again, also at the same time, is one subscription, whose
    secret is not shown again.
    """
    made = await asyncio.to_thread(_wish, ask, whose, wanted)
    known = await asyncio.to_thread(_known, ask, made, wanted.secret)
    if known is None:
        await _challenge(ask, made.url, made.secret)
    return await asyncio.to_thread(_subscribed, ask, whose, made, wanted.secret)


@router.delete(
    "/subscriptions/{subscription_id}",
    response_model=SubscriptionRow,
    responses=problems(403, 404),
    summary="Tell an endpoint no more",
)
def unsubscribe(ask: Ask, whose: For, subscription_id: SubscriptionId) -> Response:
    """What waits for it is not sent; its log stays. Of an ended one, nothing."""
    own(ask, whose, subscription_id)
    ended = end(ask.core.engine, subscription_id, utc_now_us(), whose.note("subscription.ended", _id))
    return plain_answer(subscription_row(ended, _fares(ask, subscription_id)))


@router.post(
    "/subscriptions/{subscription_id}/rotate-secret",
    response_model=SecretAnswer,
    responses=problems(400, 403, 404, 409),
    summary="Sign with a new secret",
)
def rotate_secret(ask: Ask, whose: For, subscription_id: SubscriptionId, wanted: SecretWanted) -> Response:
    """For a day the one before signs, too. With a secret of your own a repetition changes nothing."""
    going_on(ask, whose, subscription_id)
    note = whose.note("subscription.secret_rotated", _id)
    try:
        rotated = rotate(ask.core.engine, subscription_id, utc_now_us(), wanted.secret, note)
    except BadSubscription as error:
        raise _refused(error) from None
    except UnknownSubscription as error:
        raise _ended(error) from None
    said = {"subscription_id": subscription_id, "secret": rotated.secret}
    until_us = rotated.secret_until_us
    return plain_answer(said | {"previous_signs_until": instant(until_us)})


@router.post(
    "/subscriptions/{subscription_id}/resume",
    response_model=SubscriptionRow,
    responses=problems(403, 404, 409),
    summary="Send to a disabled or paused endpoint again",
)
async def resume_subscription(ask: Ask, whose: For, subscription_id: SubscriptionId) -> Response:
    """A disabled one is asked first, as when it was subscribed. What was given up is sent by a replay."""
    found = await asyncio.to_thread(going_on, ask, whose, subscription_id)
    if found.state is SubscriptionState.DISABLED:
        await _challenge(ask, found.url, found.secret)
    return await asyncio.to_thread(_resumed, ask, whose, subscription_id)


@router.post(
    "/subscriptions/{subscription_id}/test",
    response_model=TestAnswer,
    responses=problems(400, 403, 404, 409),
    summary="Send an endpoint an example now",
)
async def send_test(ask: Ask, whose: For, subscription_id: SubscriptionId, wanted: TestWanted) -> Response:
    """Signed as a real one; what it answered is told. It does not stand in the log of deliveries."""
    if wanted.type not in types():
        known = ", ".join(types())
        raise Problem(
            422, "The body cannot be used", f"{wanted.type!r} is unknown; known are {known}", field="type"
        )
    found = await asyncio.to_thread(going_on, ask, whose, subscription_id)
    message_id = test_id()
    async with Sender(send_settings(ask.core.settings.platform)) as sender:
        result = await test_event(sender, found, wanted.type, utc_now_us(), message_id)
    return plain_answer(
        {
            "message_id": message_id,
            "is_success": result.is_success,
            "outcome": str(result.outcome),
            "status": result.status,
            "ms": result.ms,
            "detail": result.detail,
            "answer": result.answer,
        }
    )


def own(ask: Visit, whose: Tenant, subscription_id: int) -> Subscription:
    """Raises Problem: 404 for one that is not there, and for another tenant's alike."""
    try:
        found = get(ask.core.engine, subscription_id)
    except UnknownSubscription:
        found = None
    if found is None or found.tenant != whose.name:
        raise Problem(
            404, "No such subscription", "You have no subscription of this id", field="subscription_id"
        )
    return found


def going_on(ask: Visit, whose: Tenant, subscription_id: int) -> Subscription:
    """As `own`. Raises Problem: 409 for an ended one."""
    found = own(ask, whose, subscription_id)
    if found.state is SubscriptionState.ENDED:
        raise _ended(UnknownSubscription(f"subscription {subscription_id} has ended"))
    return found


def _ended(error: UnknownSubscription) -> Problem:
    return Problem(409, "It has ended", f"{error}: POST /v1/subscriptions makes a new one")


def _wish(ask: Visit, whose: Tenant, wanted: SubscriptionWanted) -> SubscriptionWish:
    sight = sight_of_tenant(ask, whose)
    try:
        keys = [podcast_of(ask, sight, what, "podcasts").podcast_key for what in wanted.podcasts]
    except Problem as problem:
        raise Problem(422, "The body cannot be used", str(problem), field="podcasts") from None
    try:
        return wish(
            wanted.url,
            tenant=whose.name,
            types=wanted.types,
            podcasts=keys,
            labels=wanted.labels,
            fields=wanted.fields,
            mode="immediate" if wanted.cron is None else "scheduled",
            cron=wanted.cron,
            time_zone=wanted.time_zone,
            batch_size=wanted.batch_size,
            coalesce_s=wanted.coalesce_s,
            is_ordered=wanted.is_ordered,
            rate_per_s=wanted.rate_per_s,
            secret=wanted.secret,
            guard=Guard(send_settings(ask.core.settings.platform).test_hosts),
        )
    except BadSubscription as error:
        raise _refused(error) from None


def _known(ask: Visit, made: SubscriptionWish, secret: str | None) -> Subscription | None:
    """The same, asked for before. Raises Problem: 409 where it signs with another secret."""
    for one in listing(ask.core.engine, made.tenant):
        if asks_for_the_same(one, made):
            _check_secret(one, secret)
            return one
    return None


def _check_secret(known: Subscription, secret: str | None) -> None:
    if secret is not None and checked_secret(secret) != known.secret:
        raise Problem(
            409,
            "It contradicts what is there",
            f"Subscription {known.subscription_id} asks for the same and signs with another secret: "
            f"POST /v1/subscriptions/{known.subscription_id}/rotate-secret changes it",
            field="secret",
        )


def _subscribed(ask: Visit, whose: Tenant, made: SubscriptionWish, secret: str | None) -> Response:
    note = whose.note("subscription.made", _id, lambda done: {"url": done.url, "mode": str(done.mode)})
    added, is_new = add_once(ask.core.engine, made, utc_now_us(), note)
    if not is_new:
        _check_secret(added, secret)
    said = subscription_row(added, _fares(ask, added.subscription_id))
    said |= {"is_new": is_new, "secret": added.secret if is_new else None}
    where = {"location": f"/v1/subscriptions/{added.subscription_id}"}
    return plain_answer(said, 201 if is_new else 200, where)


def _resumed(ask: Visit, whose: Tenant, subscription_id: int) -> Response:
    note = whose.note("subscription.resumed", _id)
    try:
        resumed = resume(ask.core.engine, subscription_id, utc_now_us(), note)
    except UnknownSubscription as error:
        raise _ended(error) from None
    return plain_answer(subscription_row(resumed, _fares(ask, subscription_id)))


async def _challenge(ask: Visit, url: str, secret: str) -> None:
    """Raises Problem: 422 for an endpoint that does not want our webhooks."""
    async with Sender(send_settings(ask.core.settings.platform)) as sender:
        try:
            await challenge(sender, url, secret, utc_now_us())
        except BadSubscription as error:
            raise _refused(error) from None


def _refused(error: BadSubscription) -> Problem:
    reason = str(error).removeprefix(f"{error.field}: ")
    return Problem(422, "The body cannot be used", reason, field=error.field)


def _fares(ask: Visit, subscription_id: int) -> EndpointSummary | None:
    found = summary(ask.core.engine, utc_now_us(), subscription_id=subscription_id, with_ended=True)
    return found[0] if found else None


def _id(done: Any) -> str:
    return str(done.subscription_id)
