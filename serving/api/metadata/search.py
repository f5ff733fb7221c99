"""GET /v1/search: podcasts by title and author."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response

from registry.visible import Named, find_among
from serving.api.metadata import shapes
from serving.api.metadata.answers import Place, PlaceAsked, listed, rows_answer
from serving.api.metadata.episodes import no_index
from serving.api.metadata.podcasts import podcast_rows
from serving.api.metadata.remembered import Made
from serving.api.metadata.sight import sight_of
from serving.api.problems import bad_parameter
from serving.api.routing import Router
from serving.api.visit import AskTable, Visit
from serving.metadata.search import MAX_CHARS, BadQuery, NoIndex

router = Router(prefix="/v1", tags=["metadata"])

_DEEPEST = 10_000


@router.get("/search", responses=listed(shapes.Hit, 503), summary="Podcasts by title and author")
async def search(
    ask: AskTable,
    request: Request,
    place: PlaceAsked,
    q: Annotated[
        str,
        Query(
            min_length=1,
            max_length=MAX_CHARS,
            description="words of title or author, the last may be only begun; accents and case do not count",
            examples=["slow morn"],
        ),
    ],
) -> Response:
    """Those that have every word, the best first, among the podcasts you may see."""
    return await ask.core.remembered.answer(ask, request, lambda: _found(ask, request, place, q))


def _found(ask: Visit, request: Request, place: Place, q: str) -> Made:
    sight, catalogue = sight_of(ask), ask.core.catalogue
    offset = 0 if place.after is None else int(place.after[0])
    if offset > _DEEPEST:
        raise bad_parameter("cursor", "so far behind nobody looks: search for more words")
    try:
        hits = catalogue.search.podcasts(q, sight.keys, place.limit + 1, offset)
    except BadQuery as error:
        raise bad_parameter("q", str(error)) from None
    except NoIndex as error:
        if not catalogue.is_empty:
            raise no_index(error) from None
        hits = []
    keys = frozenset(hit.podcast_key for hit in hits[: place.limit])
    found = {each.podcast_key: each for each in find_among(ask.core.engine, Named(), keys, limit=len(keys))}
    records = catalogue.latest.podcasts(keys)
    # A score depends on how many podcasts use a word, whoever's they are.
    is_all = sight.keys is None
    rows = [
        podcast_rows(records, [found[hit.podcast_key]], sight)[0] | {"score": hit.score if is_all else None}
        for hit in hits[: place.limit]
        if hit.podcast_key in found
    ]
    following = offset + place.limit
    cursor = place.cursor([following]) if len(hits) > place.limit and following <= _DEEPEST else None
    return Made(rows_answer(ask, request, list(shapes.Hit.model_fields), rows, cursor), keys, is_found=True)
