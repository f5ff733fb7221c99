"""Apple's lookup: the feed URL of a podcast by its iTunes id, many at a time.

Shape: https://performance-partners.apple.com/search-api (about 20 calls a minute; too many are answered 403).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ingest.feeds.sources.calls import Calls, SourceReason
from ingest.feeds.sources.values import Ids, as_id, as_list, as_record, as_text, as_url
from ingest.web import BUSY

NAME = "apple"
LOOKUP = "https://itunes.apple.com/lookup"
BUSY_STATUSES = (403, *BUSY)  # for `Calls.busy`
MAX_BATCH = 200  # ids of a call; a longer URL may be refused


class Mismatch(StrEnum):
    """How an answer differs from the question."""

    MISSING = "missing"  # asked for, and not there: taken down, or never there
    NOT_ASKED = "not_asked"  # there, and not asked for
    NOT_A_PODCAST = "not_a_podcast"  # the id is of something else
    NO_FEED_URL = "no_feed_url"  # Apple hosts it itself, or hides it
    BAD_FEED_URL = "bad_feed_url"
    TWICE = "twice"  # the same id again: the first counts


@dataclass
class Lookup:
    """The answer to one batch. An id with a mismatch but NOT_ASKED and TWICE is not in `ids`."""

    ids: list[Ids] = field(default_factory=list)
    mismatches: list[tuple[int, Mismatch]] = field(default_factory=list)


class Apple:
    """The lookup of one storefront."""

    def __init__(
        self, calls: Calls, address: str = LOOKUP, country: str = "US", batch: int = MAX_BATCH
    ) -> None:
        self.calls, self.address, self.country, self.batch = calls, address, country, batch

    async def lookup(self, itunes_ids: Sequence[int]) -> AsyncIterator[Lookup]:
        """One `Lookup` a call. Raises SourceUnavailable; what came before it holds."""
        distinct = list(dict.fromkeys(itunes_ids))
        for start in range(0, len(distinct), self.batch):
            asked = distinct[start : start + self.batch]
            params = {"id": ",".join(map(str, asked)), "entity": "podcast", "country": self.country}
            answer = self.calls.json(await self.calls.get(self.address, params))
            if not isinstance(answer.get("results"), list):
                raise self.calls.failed(SourceReason.JUNK, "no results in it")
            yield compared(asked, as_list(answer["results"]), self.calls.name)


def compared(asked: Sequence[int], results: Sequence[object], source: str) -> Lookup:
    """`results` of a lookup, held against the ids asked for."""
    found, wanted, seen = Lookup(), set(asked), set[int]()
    for value in results:
        result = as_record(value)
        number = as_id(result.get("trackId")) or as_id(result.get("collectionId"))
        if number is None:
            continue  # an artist, say: nothing of a podcast
        wrong = _wrong(number, result, wanted, seen)
        seen.add(number)
        if wrong is None:
            url, title = as_url(result.get("feedUrl")), as_text(result.get("collectionName"))
            found.ids.append(Ids(source, url, itunes_id=number, title=title))
        else:
            found.mismatches.append((number, wrong))
    found.mismatches += [(number, Mismatch.MISSING) for number in asked if number not in seen]
    return found


def _wrong(number: int, result: object, wanted: set[int], seen: set[int]) -> Mismatch | None:
    said = as_record(result)
    if number not in wanted:
        return Mismatch.NOT_ASKED
    if number in seen:
        return Mismatch.TWICE
    if said.get("kind") != "podcast":
        return Mismatch.NOT_A_PODCAST
    if not said.get("feedUrl"):
        return Mismatch.NO_FEED_URL
    return None if as_url(said["feedUrl"]) else Mismatch.BAD_FEED_URL
