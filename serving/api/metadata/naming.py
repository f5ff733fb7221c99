"""How a request names a podcast, an episode or a feed: read, or refused by the parameter's name."""

from __future__ import annotations

import re
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


def podcast_of(ask: Visit, sight: Sight, what: str) -> Podcast:
    """The one podcast that `what` names among those to be seen. Raises Problem: 404, and 409 for several."""
    found = find_among(ask.core.engine, _named(what), sight.keys, limit=_MOST_SHOWN + 1)
    if not found and _KEY.fullmatch(what):  # a guid of digits alone
        found = find_among(ask.core.engine, Named(guid=what), sight.keys, limit=_MOST_SHOWN + 1)
    if not found:
        raise no_such("podcast", "podcast")
    if len(found) > 1:
        keys = ", ".join(str(each.podcast_key) for each in found[:_MOST_SHOWN])
        raise Problem(409, "It means several podcasts", f"Name one by its key: {keys}", field="podcast")
    return found[0]


def _named(what: str) -> Named:
    if (key := key_in(what)) is not None:
        return Named(podcast_key=key)
    if found := _DIRECTORY.fullmatch(what):
        number = int(found[2])
        if number < 2**63:
            return Named(itunes_id=number) if found[1] == "itunes" else Named(podcastindex_id=number)
    return Named(guid=writable("podcast", what))


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
