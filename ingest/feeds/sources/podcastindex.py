"""The Podcast Index API: a podcast's ids by URL, guid or Apple's id, and which podcasts have news.

Shapes: https://podcastindex-org.github.io/docs-api/ (podcasts/byfeedurl, byguid, byitunesid; recent/data).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from ingest.feeds.sources.calls import Calls, SourceReason
from ingest.feeds.sources.values import Hint, Ids, as_guid, as_id, as_list, as_record, as_text, as_url, hint

NAME = "podcastindex"
API = "https://api.podcastindex.org/api/1.0/"
_MOST_RECENT = 1000  # of recent/data, feeds and episodes together
_NOT_FOUND = ("no feeds match", "not found")  # in the description; the status alone does not tell


@dataclass(frozen=True)
class Credentials:
    """A key of https://api.podcastindex.org; never shown."""

    key: str = field(repr=False)
    secret: str = field(repr=False)

    def headers(self, now_s: int) -> dict[str, str]:
        """What authenticates a request made at `now_s` (epoch seconds; the server allows 3 minutes)."""
        signed = hashlib.sha1(f"{self.key}{self.secret}{now_s}".encode()).hexdigest()
        return {"X-Auth-Key": self.key, "X-Auth-Date": str(now_s), "Authorization": signed}


@dataclass(frozen=True)
class Recent:
    """Podcasts with news. `next_since_s` is the cursor of the next call; the same as asked: nothing newer."""

    hints: list[Hint]
    ids: list[Ids]
    next_since_s: int


class PodcastIndex:
    """The API. Every method makes one call and raises SourceUnavailable."""

    def __init__(self, calls: Calls, credentials: Credentials, address: str = API) -> None:
        self.calls, self._credentials, self.address = calls, credentials, address.rstrip("/") + "/"

    async def by_feed_url(self, url: str) -> Ids | None:
        """The podcast with this feed URL; None: the index does not know it."""
        return await self._podcast("podcasts/byfeedurl", {"url": url})

    async def by_guid(self, guid: str) -> Ids | None:
        """The podcast with this podcast:guid."""
        return await self._podcast("podcasts/byguid", {"guid": guid})

    async def by_itunes_id(self, itunes_id: int) -> Ids | None:
        """The podcast with this id of Apple's."""
        return await self._podcast("podcasts/byitunesid", {"id": str(itunes_id)})

    async def recent(self, since_s: int) -> Recent:
        """Podcasts and episodes that the index found since `since_s` (epoch s), at most 1,000 of both."""
        params = {"since": str(since_s), "max": str(_MOST_RECENT)}
        reply = await self.calls.get(self.address + "recent/data", params, self._headers())
        answer = self.calls.json(reply)
        data = answer.get("data")
        if not isinstance(data, dict):
            raise self.calls.failed(SourceReason.JUNK, "no data in it")
        hints, ids = news_of(data, self.calls.name, self.calls.clock_us())
        added = (as_id(as_record(item).get("episodeAdded")) for item in as_list(data.get("items")))
        newest = max((at for at in added if at is not None), default=since_s)
        # Never back, and never beyond now: a cursor in the future would miss what comes until then.
        said = as_id(answer.get("nextSince")) or as_id(data.get("nextSince")) or since_s
        now_s = self.calls.clock_us() // 1_000_000
        return Recent(hints, ids, max(since_s, min(max(said, newest), now_s)))

    async def _podcast(self, path: str, params: Mapping[str, str]) -> Ids | None:
        reply = await self.calls.get(self.address + path, params, self._headers(), also=(400, 404))
        answer = self.calls.json(reply)
        said = as_text(answer.get("description")) or ""
        feed = answer.get("feed")
        # A feed that is not known is an empty list, or no feed at all; the documented status is 200 or 400.
        if not feed and any(sign in said.lower() for sign in _NOT_FOUND):
            return None
        if reply.status != 200:
            raise self.calls.failed(SourceReason.REFUSED, f"it answers {reply.status}: {said}")
        found = ids_of(as_record(feed), self.calls.name)
        if found.podcastindex_id is None and found.feed_url is None:
            raise self.calls.failed(SourceReason.JUNK, "a podcast without id and URL")
        return found

    def _headers(self) -> dict[str, str]:
        return self._credentials.headers(self.calls.clock_us() // 1_000_000)


def ids_of(feed: Mapping[str, object], source: str) -> Ids:
    """The ids of a `feed` object."""
    return Ids(
        source,
        as_url(feed.get("url")),
        as_guid(feed.get("podcastGuid")),
        as_id(feed.get("itunesId")),
        as_id(feed.get("id")),
        as_url(feed.get("newUrl")),
        as_text(feed.get("title")),
    )


def news_of(data: Mapping[str, object], source: str, now_us: int) -> tuple[list[Hint], list[Ids]]:
    """Hints and ids of the `data` object of recent/data and of the change file.

    An episode names its podcast by the index's number alone: its URL is known only if `data` has the podcast.
    """
    ids: dict[int, Ids] = {}
    for value in as_list(data.get("feeds")):
        feed = as_record(value)
        number = as_id(feed.get("feedId"))
        if number is not None:
            ids[number] = Ids(
                source,
                as_url(feed.get("feedUrl")),
                as_guid(feed.get("feedGuid")),
                as_id(feed.get("feedItunesId")),
                number,
                None,
                as_text(feed.get("feedTitle")),
            )
    noticed = dict.fromkeys(ids, now_us)
    for value in as_list(data.get("items")):
        item = as_record(value)
        number = as_id(item.get("feedId"))
        if number is None or number in ids:
            continue
        added_s = as_id(item.get("episodeAdded"))
        added_us = min(now_us, added_s * 1_000_000) if added_s else now_us
        noticed[number] = max(noticed.get(number, 0), added_us)
    urls = {number: one.feed_url for number, one in ids.items()}
    hints = [hint(urls.get(n), source, at_us, podcastindex_id=n) for n, at_us in noticed.items()]
    return hints, list(ids.values())
