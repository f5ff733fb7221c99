"""Collaborations of a tenant's shows: recorded one by one or as CSV, ended, restored, listed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from ingest.lake import utc_now_us
from registry.aired import ground
from registry.batches import batches
from registry.collaborating import CollaborationWish, Ground, Written, wish
from registry.collaboration_doubles import doubles
from registry.collaboration_lists import read_collaborations
from registry.collaboration_values import BadCollaboration
from registry.collaboration_values import Problem as Refusal
from registry.collaborations import (
    CannotEnd,
    CannotRestore,
    Collaboration,
    Outcome,
    UnknownCollaboration,
    Which,
    add,
    end,
    get,
    listing,
    restore,
)
from registry.csv_lines import ListError
from registry.podcasts import Podcast
from registry.registration import Reject
from registry.show_access import ALL_SHOWS
from registry.tables import CollaborationState, CollaborationType
from registry.visible import Named, find_among
from serving.api.answers import plain_answer, problems
from serving.api.management import bodies
from serving.api.management.tenancy import For, Tenant, sight_of_tenant
from serving.api.metadata.answers import PlaceAsked, listed, rows_answer
from serving.api.metadata.naming import named_by, podcast_of
from serving.api.problems import Problem, bad_parameter
from serving.api.routing import Router
from serving.api.visit import Ask, AskTable, Visit
from serving.metadata import told

router = Router(prefix="/v1", tags=["management"])

_BATCH = 500  # recorded in one transaction
_MOST_ID = 2**63 - 1
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_SHOW = "one you track: title, show_id, feed URL, podcast key or guid"

CollaborationId = Annotated[int, Path(ge=1, le=_MOST_ID, description="as lists have it", examples=[7])]


class CollaborationWanted(BaseModel):
    """Show A, which is to grow, appears in partner B, whose listeners hear of it.

    Times are ISO 8601, UTC unless they say otherwise.
    """

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)

    show: str = Field(max_length=4096, description=f"A: {_SHOW}", examples=["Tide Tables"])
    partner: str = Field(max_length=4096, description=f"B: {_SHOW}", examples=["Night Bus"])
    type: str = Field(max_length=100, examples=["guest_swap"], description=", ".join(CollaborationType))
    episode: str = Field(
        default="", max_length=2000, description="guid of the partner's; default: all of its"
    )
    starts: str = Field(default="", max_length=100, description="when it was put in", examples=["2026-10-01"])
    ends: str = Field(default="", max_length=100, description="a date inclusive", examples=["2026-10-14"])
    cost: str = Field(default="", max_length=100, examples=["250"])
    currency: str = Field(default="", max_length=100, description="ISO 4217", examples=["EUR"])
    notes: str = Field(default="", max_length=2000)


class Ending(BaseModel):
    """How it ended."""

    model_config = ConfigDict(extra="forbid")

    at: datetime | None = Field(default=None, description="default: now", examples=["2026-10-07T00:00:00Z"])
    void: bool = Field(default=False, description="it never took place: left out of attribution")


class CollaborationRow(BaseModel):
    """A collaboration."""

    collaboration_id: int = Field(examples=[7])
    type: CollaborationType
    podcast_key: str = Field(description="of A, which is to grow", examples=["-4211503829512346624"])
    title: str | None = Field(examples=["Tide Tables"])
    partner_key: str = Field(description="of B", examples=["7301444403293728768"])
    partner_title: str | None = Field(examples=["Night Bus"])
    partner_guid: str | None = Field(description="of B's episode; null: all of its", examples=["e0051"])
    inserted_at: str | None = Field(examples=[None])
    starts_at: str | None = Field(examples=["2026-10-01T00:00:00.000000Z"])
    ends_at: str | None = Field(description="exclusive", examples=["2026-10-15T00:00:00.000000Z"])
    cost: float | None = Field(examples=[250.0])
    currency: str | None = Field(examples=["EUR"])
    notes: str | None = Field(examples=[None])
    state: CollaborationState
    ended_at: str | None = Field(examples=[None])
    created_at: str | None = Field(examples=["2026-09-20T10:00:00.000000Z"])


class CollaborationAnswer(CollaborationRow):
    """One, and what to know of it."""

    outcome: Outcome
    remarks: list[str] = Field(examples=[["measured: the first 14 days, until 2026-10-15T00:00:00Z"]])


@router.get(
    "/collaboration-records",
    response_model=None,
    responses=listed(CollaborationRow, 401, 403),
    summary="Collaborations",
)
def list_collaborations(
    ask: AskTable,
    request: Request,
    whose: For,
    place: PlaceAsked,
    show: Annotated[str | None, Query(max_length=300, description="A: podcast key or guid")] = None,
    partner: Annotated[str | None, Query(max_length=300, description="B: podcast key or guid")] = None,
    state: Annotated[CollaborationState | None, Query(description="default: all but the void")] = None,
) -> Response:
    """By start."""
    sight = sight_of_tenant(ask, whose)
    keys = [
        None if what is None else podcast_of(ask, sight, what, field).podcast_key
        for field, what in (("show", show), ("partner", partner))
    ]
    found = listing(ask.core.engine, Which(whose.name, keys[0], keys[1], state, with_void=False))
    if place.after is not None:
        found = [one for one in found if [one.starts_us, one.collaboration_id] > place.after]
    page = found[: place.limit]
    cursor = place.cursor([page[-1].starts_us, page[-1].collaboration_id]) if len(found) > len(page) else None
    return rows_answer(ask, request, list(CollaborationRow.model_fields), _rows(ask, page), cursor)


@router.get(
    "/collaboration-records/{collaboration_id}",
    response_model=CollaborationRow,
    responses=problems(403, 404),
    summary="One collaboration",
)
def get_collaboration(ask: Ask, whose: For, collaboration_id: CollaborationId) -> Response:
    """In whatever state."""
    return plain_answer(_rows(ask, [_own(ask, whose, collaboration_id)])[0])


@router.post(
    "/collaboration-records",
    response_model=CollaborationAnswer,
    responses=problems(403, 408, 413, 415),
    openapi_extra=bodies.described(CollaborationWanted, bodies.CSV),
    summary="Record collaborations",
)
async def add_collaborations(ask: Ask, request: Request, whose: For) -> Response:
    """JSON for one; CSV with the header `show,partner,type[,episode,starts,ends,cost,currency,notes]` for
    many, of which what is refused is told with its line. The same again changes nothing; another end, cost or
    note is taken over.
    """
    kind, body = await bodies.read(request, bodies.JSON, bodies.CSV)
    work = _add_one if kind == bodies.JSON else _add_file
    return await asyncio.to_thread(work, ask, whose, body)


@router.post(
    "/collaboration-records/{collaboration_id}/end",
    response_model=CollaborationRow,
    responses=problems(400, 403, 404, 409),
    summary="It was stopped, or never took place",
)
def end_collaboration(ask: Ask, whose: For, collaboration_id: CollaborationId, how: Ending) -> Response:
    """Of an ended one, nothing, except that it can be declared void."""
    _own(ask, whose, collaboration_id)
    now_us = utc_now_us()
    if how.at is not None and how.at.tzinfo is None:
        raise bad_parameter("at", "it names no time zone: write 2026-10-07T00:00:00Z")
    at_us = now_us if how.at is None else (how.at - _EPOCH) // timedelta(microseconds=1)
    action = "collaboration.voided" if how.void else "collaboration.ended"
    try:
        ended = end(ask.core.engine, collaboration_id, at_us, now_us, how.void, whose.note(action, _id_of))
    except CannotEnd as error:
        detail = str(error).replace("--void", 'say "void": true')
        raise Problem(409, "It cannot end so", detail, field="at") from None
    return plain_answer(_rows(ask, [ended])[0])


@router.post(
    "/collaboration-records/{collaboration_id}/restore",
    response_model=CollaborationRow,
    responses=problems(403, 404, 409),
    summary="Undo that it never took place",
)
def restore_collaboration(ask: Ask, whose: For, collaboration_id: CollaborationId) -> Response:
    """It counts again, as if it had never been ended."""
    known = _own(ask, whose, collaboration_id)
    try:
        _check_own(ask, whose, known)  # the show may have become another's since
        found = restore(ask.core.engine, collaboration_id, whose.note("collaboration.restored", _id_of))
    except (CannotRestore, BadCollaboration) as error:
        raise Problem(409, "It cannot be restored", str(error)) from None
    return plain_answer(_rows(ask, [found])[0])


def _add_one(ask: Visit, whose: Tenant, body: bytes) -> Response:
    wanted = bodies.parsed(CollaborationWanted, body)
    now_us = utc_now_us()
    try:
        made, remarks = wish(Written(**wanted.model_dump(), tenant=whose.name), _ground(ask, whose, now_us))
        _check_own(ask, whose, made)
        ((added, outcome),) = add(
            ask.core.engine, [made], now_us, whose.note("collaborations.recorded", _ids)
        )
    except BadCollaboration as error:
        raise _refused(error) from None
    twins = [other for _, other in doubles(ask.core.engine, [added]) if other.tenant == whose.name]
    remarks = [
        *remarks,
        *(f"it cannot be told apart from collaboration {twin.collaboration_id}" for twin in twins),
    ]
    said = _rows(ask, [added])[0] | {"outcome": str(outcome), "remarks": remarks}
    return plain_answer(said, 201 if outcome is Outcome.ADDED else 200)


def _add_file(ask: Visit, whose: Tenant, body: bytes) -> Response:
    refused: list[Reject] = []
    remarks: dict[str, int] = {}
    done: Counter[Outcome] = Counter()
    now_us = utc_now_us()
    for some in batches(_read(ask, whose, body, now_us, refused, remarks), _BATCH):
        done.update(outcome for _, outcome in _recorded(ask, whose, some, now_us, refused))
    if not done and refused:
        errors = [(f"line {each.line}", each.detail) for each in refused[:20]]
        raise Problem(422, "The body cannot be used", refused[0].detail, errors=errors)
    said: dict[str, Any] = {str(outcome): done[outcome] for outcome in Outcome}
    said["remarks"] = [{"line": line, "remark": remark} for remark, line in list(remarks.items())[:100]]
    return plain_answer(said | bodies.rejects(refused), 201 if done[Outcome.ADDED] else 200)


def _read(
    ask: Visit,
    whose: Tenant,
    body: bytes,
    now_us: int,
    refused: list[Reject],
    remarks: dict[str, int],
) -> Iterator[CollaborationWish]:
    with bodies.as_file(body) as path:
        try:
            for each in read_collaborations(path, _ground(ask, whose, now_us), whose.name):
                if isinstance(each, Reject):
                    refused.append(replace(each, detail=_without_hint(each.detail)))
                    continue
                line, wanted, notes = each
                if wanted.tenant != whose.name:
                    reason = f"tenant: your key is of {whose.name!r}; leave the column out"
                    refused.append(Reject("", line, bodies.BAD_VALUE, reason))
                    continue
                try:
                    _check_own(ask, whose, wanted)
                except BadCollaboration as error:
                    refused.append(Reject("", line, error.problem, str(error)))
                    continue
                for note in notes:
                    remarks.setdefault(note, line)
                yield wanted
        except ListError as error:
            detail = str(error).removeprefix("body: ").removeprefix("body, ")
            raise Problem(422, "The body cannot be used", detail, field="body") from None


def _recorded(
    ask: Visit, whose: Tenant, some: Sequence[CollaborationWish], now_us: int, refused: list[Reject]
) -> list[tuple[Collaboration, Outcome]]:
    """All of a batch; where one of them is one too many, those that are not."""
    try:
        return add(ask.core.engine, some, now_us, whose.note("collaborations.recorded", _ids))
    except BadCollaboration as error:
        if len(some) > 1:
            return [each for one in some for each in _recorded(ask, whose, [one], now_us, refused)]
        refused.append(Reject("", 0, error.problem, _without_hint(str(error))))
        return []


def _ground(ask: Visit, whose: Tenant, now_us: int) -> Ground:
    """What the tenant's collaborations are judged by: of podcasts only its own are known."""
    core = ask.core
    mine = core.catalogue.visible.tracked(whose.name)
    whole = ground(core.engine, core.settings.platform, now_us)

    def find(what: str) -> Sequence[Podcast]:
        for named in (*named_by(what), Named(show_id=what)):
            if found := find_among(core.engine, named, mine):
                return found
        return [podcast for podcast in whole.find(what) if podcast.podcast_key in mine]

    return replace(whole, find=find, alike=lambda _: ())


def _check_own(ask: Visit, whose: Tenant, made: CollaborationWish | Collaboration) -> None:
    """Raises BadCollaboration: the show that is to grow is one that is counted, or another's, and not the
    tenant's. A record stands in what is measured of the show: one too many spoils its owner's.
    """
    owned = ask.access.owned.get(whose.name, frozenset())
    if whose.caller.is_operator or ALL_SHOWS in owned:
        return
    (show,) = find_among(ask.core.engine, Named(podcast_key=made.podcast_key), {made.podcast_key})
    show_id = show.show_id or show.podcast_guid
    if show_id is None or show_id in owned:
        return
    is_anybodys = any(show_id in shows for shows in ask.access.owned.values())
    if is_anybodys or (ask.edition is not None and show_id in ask.edition.shows):
        reason = f"show_id {show_id[:80]!r} is none of your shows (`earshot access grant`)"
        raise BadCollaboration("show", Refusal.BAD_VALUE, reason)


def _own(ask: Visit, whose: Tenant, collaboration_id: int) -> Collaboration:
    """Raises Problem: 404 for one that is not there, and for another tenant's alike."""
    try:
        found = get(ask.core.engine, collaboration_id)
    except UnknownCollaboration:
        found = None
    if found is None or found.tenant != whose.name:
        raise Problem(
            404, "No such collaboration", "You have no collaboration of this id", field="collaboration_id"
        )
    return found


def _refused(error: BadCollaboration) -> Problem:
    return Problem(422, "The body cannot be used", _without_hint(error.reason), field=error.field)


def _without_hint(reason: str) -> str:
    """Commands are none of who calls the API."""
    return reason.replace("(`earshot list`), or `earshot register URL` first", "that you track")


def _ids(done: list[tuple[Collaboration, Outcome]]) -> str:
    news = [str(each.collaboration_id) for each, outcome in done if outcome is not Outcome.KNOWN]
    return ",".join(news)


def _id_of(done: Collaboration) -> str:
    return str(done.collaboration_id)


def _rows(ask: Visit, found: Sequence[Collaboration]) -> list[dict[str, Any]]:
    keys = {key for each in found for key in (each.podcast_key, each.partner_key)}
    records = ask.core.catalogue.latest.podcasts(keys)

    def title(key: int) -> str | None:
        return (records.get(key) or {}).get("title")

    return [
        {
            "collaboration_id": each.collaboration_id,
            "type": str(each.type),
            "podcast_key": str(each.podcast_key),
            "title": title(each.podcast_key),
            "partner_key": str(each.partner_key),
            "partner_title": title(each.partner_key),
            "partner_guid": each.partner_guid,
            "inserted_at": told.instant(each.inserted_us),
            "starts_at": told.instant(each.starts_us),
            "ends_at": told.instant(each.ends_us),
            "cost": each.cost,
            "currency": each.currency,
            "notes": each.notes,
            "state": str(each.state),
            "ended_at": told.instant(each.ended_us),
            "created_at": told.instant(each.created_us),
        }
        for each in found
    ]
