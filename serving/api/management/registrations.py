"""Which podcasts a tenant tracks: registered and deregistered one by one, as JSON, CSV or OPML."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from ingest.feeds.state import find as crawl_state
from ingest.feeds.urls import BadFeedUrl, feed_url, is_derived_guid, podcast_key, without_credentials
from ingest.lake import utc_now_us
from registry.csv_lines import ListError
from registry.findings import of_podcast
from registry.lists import read_csv
from registry.opml import read_opml
from registry.podcasts import NOBODY_LEFT, Filter, Podcast, deregister, listing, register
from registry.registration import BadRegistration, Registration, Reject, RejectReason, registration
from registry.show_access import ALL_SHOWS
from registry.tables import PodcastState
from registry.visible import Named, find_among, tracked_by, tracked_by_others
from serving.api.answers import plain_answer, problems
from serving.api.management import bodies
from serving.api.management.tenancy import For, Tenant
from serving.api.metadata.answers import PlaceAsked, listed, rows_answer
from serving.api.metadata.naming import key_in
from serving.api.metadata.sight import no_such
from serving.api.problems import Problem
from serving.api.routing import Router
from serving.api.visit import Ask, AskTable, Visit
from serving.metadata import told

router = Router(prefix="/v1", tags=["management"])

MOST = 10_000  # podcasts of a JSON body; of more send a file

PodcastKey = Annotated[
    str, Path(max_length=20, description="of a podcast that you track", examples=["-4211503829512346624"])
]


class PodcastWish(BaseModel):
    """A podcast to track."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(max_length=4096, examples=["https://feeds.example/show.xml"])
    labels: list[str] = Field(default=[], max_length=50, examples=[["customer"]])
    guid: str = Field(
        default="", max_length=200, description="podcast:guid, until the feed declares one; one of your shows"
    )
    itunes_id: int | None = Field(default=None, ge=1, le=2**63 - 1)
    podcastindex_id: int | None = Field(default=None, ge=1, le=2**63 - 1)
    show_id: str = Field(default="", max_length=200, description="one of your shows; default: the guid")


class Registrations(BaseModel):
    """Podcasts to track: one, or several."""

    model_config = ConfigDict(extra="forbid")

    # The first that is wrong is told: each of 10,000 may have errors without number.
    podcasts: list[PodcastWish] = Field(min_length=1, max_length=MOST, fail_fast=True)


class Deregistrations(BaseModel):
    """Podcasts to cease to track, by URL or key."""

    model_config = ConfigDict(extra="forbid")

    podcasts: list[str] = Field(
        min_length=1, max_length=MOST, fail_fast=True, examples=[["https://feeds.example/show.xml"]]
    )


class RejectRow(BaseModel):
    """What was refused."""

    line: int = Field(description="of the file, or the place in the list, from 1", examples=[3])
    reason: str = Field(examples=["bad_url"])
    detail: str = Field(examples=["ftp: is not http or https"])


class RegisteredAnswer(BaseModel):
    """What came of it; the same again leaves only `known`."""

    registered: int = Field(examples=[1])
    known: int = Field(description="that you tracked already", examples=[0])
    relabelled: int = Field(description="of those, with new labels", examples=[0])
    rejected: int = Field(examples=[0])
    rejects: list[RejectRow] = Field(description=f"the first {bodies.SHOWN_REJECTS}", examples=[[]])


class DeregisteredAnswer(BaseModel):
    """What came of it."""

    deregistered: int = Field(examples=[1])
    not_tracked: int = Field(description="of which you track none", examples=[0])
    rejected: int = Field(examples=[0])
    rejects: list[RejectRow] = Field(examples=[[]])


class RegistrationRow(BaseModel):
    """A podcast that you track."""

    podcast_key: str = Field(examples=["-4211503829512346624"])
    feed_url: str = Field(examples=["https://feeds.example/show.xml"])
    state: str = Field(description="active, gone or dead", examples=["active"])
    labels: list[str] = Field(examples=[["customer"]])
    since_at: str | None = Field(description="since you track it", examples=["2026-11-29T06:00:00.000000Z"])
    show_id: str | None = Field(examples=["show-00002"])
    podcast_guid: str | None = Field(examples=["917393e3-1b1e-5cef-ace4-edaa54e1f810"])
    itunes_id: int | None = Field(examples=[None])
    podcastindex_id: int | None = Field(examples=[None])


class RegistrationStatus(RegistrationRow):
    """… and how its polls go (docs/feeds.md)."""

    crawl: dict[str, Any] | None = Field(
        description="null: it was not polled yet",
        examples=[{"tier": "active", "next_due_at": "2026-11-29T07:00:00.000000Z", "reason": None}],
    )
    findings: list[dict[str, Any]] = Field(description="where directories say otherwise", examples=[[]])


@router.get("/registrations", responses=listed(RegistrationRow, 401, 403), summary="What you track")
def list_registrations(
    ask: AskTable,
    request: Request,
    whose: For,
    place: PlaceAsked,
    label: Annotated[str | None, Query(max_length=64, description="one of yours")] = None,
    state: Annotated[Literal["active", "gone", "dead"] | None, Query(description="default: all")] = None,
) -> Response:
    """By podcast key."""
    which = Filter(whose.name, label, PodcastState(state) if state else None)
    after = None if place.after is None else int(place.after[0])
    found = listing(ask.core.engine, which, after, place.limit + 1)
    rows = [_row(podcast, whose) for podcast in found[: place.limit]]
    cursor = place.cursor([found[place.limit - 1].podcast_key]) if len(found) > place.limit else None
    return rows_answer(ask, request, list(RegistrationRow.model_fields), rows, cursor)


@router.get(
    "/registrations/{podcast_key}",
    response_model=RegistrationStatus,
    responses=problems(403, 404),
    summary="How a podcast's polls go",
)
def get_registration(ask: Ask, whose: For, podcast_key: PodcastKey) -> Response:
    """Its tier and why, when it was and will be polled, what failed, where directories differ."""
    found = _tracked(ask, whose, podcast_key)
    state = crawl_state(ask.core.catalogue.lake_root, found.podcast_key)
    names = (
        "tier", "tier_reason", "polled_us", "fetched_us", "changed_us", "next_due_us", "hinted_us", "status",
        "reason", "detail", "failures", "failing_since_us", "polls", "move_url",
    )  # fmt: skip
    differing = [
        {"source": one.source, "field": one.field, "ours": one.ours, "theirs": one.theirs}
        | {"reason": str(one.reason), "since_at": told.instant(one.first_us)}
        for one in of_podcast(ask.core.engine, found.podcast_key)
    ]
    crawl = None if state is None else told.listed({name: state[name] for name in names})
    return plain_answer(_row(found, whose) | {"crawl": crawl, "findings": differing})


@router.post(
    "/registrations",
    response_model=RegisteredAnswer,
    responses=problems(403, 408, 413, 415),
    openapi_extra=bodies.described(Registrations, bodies.CSV, *bodies.OPML),
    summary="Track podcasts",
)
async def register_podcasts(
    ask: Ask,
    request: Request,
    whose: For,
    label: Annotated[list[str] | None, Query(description="of all of them, beside their own")] = None,
) -> Response:
    """From then on they are polled. The same again changes nothing; labels add up.

    JSON, CSV with the header `url[,labels,show_id,itunes_id,podcastindex_id,guid]`, or OPML. What is refused
    is told with its line, the rest is taken in. `show_id` and `guid` must be of your shows. Ids fill gaps,
    where nobody else tracks the podcast.
    """
    kind, body = await bodies.read(request, bodies.JSON, bodies.CSV, *bodies.OPML)
    return await asyncio.to_thread(_register, ask, whose, kind, body, label or [])


@router.post(
    "/deregistrations",
    response_model=DeregisteredAnswer,
    responses=problems(403, 408, 413, 415),
    openapi_extra=bodies.described(Deregistrations, bodies.CSV, *bodies.OPML),
    summary="Cease to track podcasts",
)
async def deregister_podcasts(ask: Ask, request: Request, whose: For) -> Response:
    """JSON, CSV with the header `url`, or OPML. One that nobody is left of is polled no longer; its history
    stays.
    """
    kind, body = await bodies.read(request, bodies.JSON, bodies.CSV, *bodies.OPML)
    return await asyncio.to_thread(_deregister, ask, whose, kind, body)


@router.delete(
    "/registrations/{podcast_key}",
    response_model=DeregisteredAnswer,
    responses=problems(403, 404),
    summary="Cease to track a podcast",
)
def deregister_podcast(ask: Ask, whose: For, podcast_key: PodcastKey) -> Response:
    """One that nobody is left of is polled no longer; its history stays."""
    found = _tracked(ask, whose, podcast_key)
    note = whose.note("podcast.deregistered", lambda done: podcast_key if done.registrations else "")
    done = deregister(ask.core.engine, [found.podcast_key], whose.name, NOBODY_LEFT, note=note)
    if not done.registrations:  # somebody was quicker
        raise no_such("podcast", "podcast_key")
    return plain_answer({"deregistered": 1, "not_tracked": 0, "rejected": 0, "rejects": []})


def _register(ask: Visit, whose: Tenant, kind: str, body: bytes, labels: list[str]) -> Response:
    refused: list[Reject] = []
    wishes = list(_allowed(ask, whose, _wishes(kind, body, whose.name, labels, refused), refused))
    keys = {podcast_key(wish.url) for wish in wishes}
    others = tracked_by_others(ask.core.engine, whose.name, keys)
    wanted = [_without_ids(wish) if podcast_key(wish.url) in others else wish for wish in wishes]
    note = whose.note(
        "podcasts.registered",
        lambda done: f"{done.registrations} podcasts" if done.registrations + done.relabelled else "",
        lambda done: {
            "registered": done.registrations,
            "relabelled": done.relabelled,
            "podcasts": [str(podcast_key(wish.url)) for wish in wanted[:100]],
        },
    )
    done = register(ask.core.engine, wanted, utc_now_us(), note=note)
    real = [each for each in refused if each.reason is not RejectReason.DUPLICATE]
    if not wanted and real:
        raise _all_refused(real)
    said = {"registered": done.registrations, "known": done.known, "relabelled": done.relabelled}
    return plain_answer(said | bodies.rejects(refused), 201 if done.registrations else 200)


def _deregister(ask: Visit, whose: Tenant, kind: str, body: bytes) -> Response:
    refused: list[Reject] = []
    if kind == bodies.JSON:
        keys = list(_keys(bodies.parsed(Deregistrations, body).podcasts, refused))
    else:
        keys = [podcast_key(wish.url) for wish in _of_file(kind, body, whose.name, [], refused)]
    note = whose.note(
        "podcasts.deregistered",
        lambda done: f"{done.registrations} podcasts" if done.registrations else "",
        lambda done: {"deregistered": done.registrations, "podcasts": [str(key) for key in keys[:100]]},
    )
    done = deregister(ask.core.engine, keys, whose.name, NOBODY_LEFT, note=note)
    if not keys and refused:
        raise _all_refused(refused)
    said = {"deregistered": done.registrations, "not_tracked": done.not_tracked}
    return plain_answer(said | bodies.rejects(refused))


def _wishes(
    kind: str, body: bytes, tenant: str, labels: list[str], refused: list[Reject]
) -> Iterator[Registration]:
    if kind != bodies.JSON:
        yield from _of_file(kind, body, tenant, labels, refused)
        return
    for place, wish in enumerate(bodies.parsed(Registrations, body).podcasts, 1):
        try:
            yield registration(
                wish.url,
                tenant,
                (*labels, *wish.labels),
                guid=wish.guid,
                itunes_id="" if wish.itunes_id is None else str(wish.itunes_id),
                podcastindex_id="" if wish.podcastindex_id is None else str(wish.podcastindex_id),
                show_id=wish.show_id,
            )
        except BadRegistration as error:
            refused.append(Reject("", place, error.reason, without_credentials(str(error))))


def _of_file(
    kind: str, body: bytes, tenant: str, labels: list[str], refused: list[Reject]
) -> Iterator[Registration]:
    """Raises Problem: 422 for a file that cannot be used as a whole."""
    reader = read_csv if kind == bodies.CSV else read_opml
    with bodies.as_file(body) as path:
        try:
            for each in reader(path, tenant, labels):
                if isinstance(each, Reject):
                    refused.append(replace(each, detail=without_credentials(each.detail)))
                elif each.tenant != tenant:
                    reason = f"tenant {each.tenant!r}: your key is of {tenant!r}; leave the column out"
                    refused.append(Reject("", 0, RejectReason.BAD_VALUE, reason))
                else:
                    yield replace(each, since_us=None)  # when somebody began to track it is not theirs to say
        except ListError as error:
            detail = str(error).removeprefix("body: ").removeprefix("body, ")
            raise Problem(422, "The body cannot be used", detail, field="body") from None


def _allowed(
    ask: Visit, whose: Tenant, wishes: Iterator[Registration], refused: list[Reject]
) -> Iterator[Registration]:
    """Downloads are counted under a show_id, else under the guid, so only the show's owner may say them."""
    owned = ask.access.owned.get(whose.name, frozenset())
    may_all = whose.caller.is_operator or ALL_SHOWS in owned
    for wish in wishes:
        said = {"show_id": wish.show_id, "guid": wish.podcast_guid}
        if is_derived_guid(wish.podcast_guid, wish.url):
            del said["guid"]  # it is the podcast's whoever says so
        foreign = [(name, value) for name, value in said.items() if value is not None and value not in owned]
        if may_all or not foreign:
            yield wish
        else:
            name, value = foreign[0]
            hint = "; leave it out: the feed declares it" if name == "guid" else ""
            reason = f"{name} {value[:80]!r} is none of your shows (`earshot access grant`){hint}: {wish.url}"
            refused.append(Reject("", 0, RejectReason.BAD_VALUE, reason))


def _without_ids(wish: Registration) -> Registration:
    return replace(wish, podcast_guid=None, itunes_id=None, podcastindex_id=None, show_id=None)


def _keys(podcasts: list[str], refused: list[Reject]) -> Iterator[int]:
    for place, what in enumerate(podcasts, 1):
        if (key := key_in(what)) is not None:
            yield key
            continue
        try:
            yield podcast_key(feed_url(what))
        except BadFeedUrl as error:
            refused.append(Reject("", place, RejectReason.BAD_URL, without_credentials(str(error))))


def _all_refused(refused: list[Reject]) -> Problem:
    """None of it could be used: a problem, as of any other body."""
    errors = [(f"podcasts.{each.line}" if each.line else "podcasts", each.detail) for each in refused[:20]]
    return Problem(422, "The body cannot be used", refused[0].detail, errors=errors)


def _tracked(ask: Visit, whose: Tenant, text: str) -> Podcast:
    """Raises Problem: 404 for what the tenant does not track."""
    key = key_in(text)
    if key is not None and tracked_by(ask.core.engine, whose.name, [key]):
        return find_among(ask.core.engine, Named(podcast_key=key), {key})[0]
    raise no_such("podcast", "podcast_key")


def _row(podcast: Podcast, whose: Tenant) -> dict[str, Any]:
    mine = [each for each in podcast.trackings if each.tenant == whose.name]
    return {
        "podcast_key": str(podcast.podcast_key),
        "feed_url": podcast.feed_url,
        "state": str(podcast.state),
        "labels": list(mine[0].labels) if mine else [],
        "since_at": told.instant(mine[0].since_us) if mine else None,
        "show_id": podcast.show_id,
        "podcast_guid": podcast.podcast_guid,
        "itunes_id": podcast.itunes_id,
        "podcastindex_id": podcast.podcastindex_id,
    }
