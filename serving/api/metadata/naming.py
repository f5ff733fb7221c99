"""How a request names a podcast, an episode or a feed: read, or refused by the parameter's name."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Annotated

from fastapi import Path

from ingest.feeds.urls import BadFeedUrl, feed_url, without_credentials
from registry.podcasts import Podcast
from registry.visible import Named, find_among
from serving.api.metadata.sight import Sight, no_such
from serving.api.problems import Problem, bad_parameter
from serving.api.visit import Visit

_KEY = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_DIRECTORY = re.compile(r"(itunes|podcastindex):([0-9]{1,19})", re.ASCII)
_MOST_SHOWN = 5

PodcastPath = Annotated[
    str,
    Path(
        max_length=300,
        description="podcast key, podcast:guid, itunes:ID or podcastindex:ID; by URL: GET /v1/podcasts?url=",
        examples=["-4211503829512346624"],
    ),
]
EpisodePath = Annotated[str, Path(max_length=20, description="episode key", examples=["7301444403293728768"])]


def podcast_of(ask: Visit, sight: Sight, what: str, field: str = "podcast") -> Podcast:
    """The one podcast that `what` names among those to be seen. Raises Problem: 404, and 409 for several."""
    found: list[Podcast] = []
    for named in named_by(writable(field, what)):
        if found := find_among(ask.core.engine, named, sight.keys, limit=_MOST_SHOWN + 1):
            break
    if not found:
        raise no_such("podcast", field)
    if len(found) > 1:
        keys = ", ".join(str(each.podcast_key) for each in found[:_MOST_SHOWN])
        raise Problem(409, "It means several podcasts", f"Name one by its key: {keys}", field=field)
    return found[0]


def named_by(what: str) -> list[Named]:
    """What a text may name a podcast by, the likeliest first."""
    meanings = []
    if (key := key_in(what)) is not None:
        meanings.append(Named(podcast_key=key))
    if (found := _DIRECTORY.fullmatch(what)) and (number := int(found[2])) < 2**63:
        is_apple = found[1] == "itunes"
        meanings.append(Named(itunes_id=number) if is_apple else Named(podcastindex_id=number))
    with suppress(BadFeedUrl):
        meanings.append(Named(url=feed_url(what)))
    return [*meanings, Named(guid=what)]


def key_in(text: str) -> int | None:
    """A podcast's or episode's key: signed, 64 bits; None: it is none."""
    if not _KEY.fullmatch(text):
        return None
    key = int(text)
    return key if -(2**63) <= key < 2**63 else None


def url_in(field: str, text: str) -> str:
    """A feed's URL, normalised. Raises Problem."""
    try:
        return feed_url(text)
    except BadFeedUrl as error:
        raise bad_parameter(field, without_credentials(str(error))) from None


def writable(field: str, text: str) -> str:
    """A text that both databases take. Raises Problem."""
    if "\0" in text or any("\ud800" <= sign <= "\udfff" for sign in text):
        raise bad_parameter(field, "it holds characters that no name has (NUL, surrogates)")
    return text
