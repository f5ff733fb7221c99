"""Which episode an item is, and whether two feeds are the same podcast (UPDATES §3, §4)."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable
from enum import StrEnum

import xxhash

from ingest.feeds.schema import Record

COMMON_SHARE = 0.8  # of the shorter list of episode guids: that many in common, and it is the same podcast
TELLING_CHARS = 8  # a shorter guid ("1", "ep-12") is found in unrelated podcasts too


class GuidSource(StrEnum):
    """What identifies an episode: `EPISODES.guid_source`."""

    DECLARED = "declared"
    ENCLOSURE = "enclosure"
    LINK = "link"
    TITLE_DATE = "title_date"


def signed(hash64: int) -> int:
    """An unsigned 64-bit hash as Polars' Int64 keeps it."""
    return hash64 - (1 << 64) if hash64 >> 63 else hash64


def episode_key(podcast_key: int, guid: str) -> int:
    """Signed xxh3-64 of the podcast's key (8 bytes, little endian) and the guid."""
    return signed(xxhash.xxh3_64_intdigest(podcast_key.to_bytes(8, "little", signed=True) + guid.encode()))


def guid_of(content: Record) -> tuple[str, str]:
    """(guid, source) of an item: declared, else its canonical enclosure, its link, or its title and date.

    `content` has the columns of EPISODE_CONTENT; `guid` is what the feed declares. Where the canonical
    enclosure is not known yet the enclosure as written stands for it.
    """
    return _guids_of(content)[0]


def distinct_guids(
    contents: Iterable[Record], taken: Container[str] = frozenset()
) -> list[tuple[str, str] | None]:
    """(guid, source) of each item of one feed, in document order, no guid twice.

    Where a guid is reused the first item (the newer one, as feeds are written) keeps it and the later one
    falls back; null: it says nothing that an earlier one did not, so it is the same episode again. `taken`
    are the guids of items that are not among `contents` (a delta: the unchanged ones).
    """
    seen: set[str] = set()
    found: list[tuple[str, str] | None] = []
    for content in contents:
        free = (pair for pair in _guids_of(content) if pair[0] not in seen and pair[0] not in taken)
        pair = next(free, None)
        if pair is not None:
            seen.add(pair[0])
        found.append(pair)
    return found


def is_same_podcast(
    old_guid: str | None,
    new_guid: str | None,
    old_episode_guids: Collection[str],
    new_episode_guids: Collection[str],
) -> bool:
    """The second signal of a move: the same podcast:guid, or ≥ 80 % common episode guids (UPDATES §4).

    The share is of the shorter list, since a window may hide the older episodes of one of them.
    """
    if old_guid is not None and old_guid == new_guid:
        return True
    old, new = (
        {guid for guid in guids if len(guid) >= TELLING_CHARS}
        for guids in (old_episode_guids, new_episode_guids)
    )
    shorter = min(len(old), len(new))
    return shorter > 0 and len(old & new) >= COMMON_SHARE * shorter


def _guids_of(content: Record) -> list[tuple[str, str]]:
    """All that could identify the item, best first; the last one always there."""
    enclosure = content.get("enclosure_canonical") or content.get("enclosure_url")
    said = f"{content.get('title') or ''}\n{content.get('published_raw') or ''}"
    pairs = [
        (content.get("guid"), GuidSource.DECLARED),
        (enclosure, GuidSource.ENCLOSURE),
        (content.get("link"), GuidSource.LINK),
        (f"{xxhash.xxh3_64_hexdigest(said.encode())}", GuidSource.TITLE_DATE),
    ]
    return [(guid, source.value) for guid, source in pairs if guid]
