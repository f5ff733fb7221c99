"""Records of a podcast and of an episode, in the columns of PODCAST_CONTENT and EPISODE_CONTENT (UPDATES §3).

Each column is decided here, in the order of the schema: which of the tags that say it counts, and what its
values may be. What is unreadable is null, the raw text beside it where the schema keeps one.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from html import escape
from typing import Any
from urllib.parse import urljoin

from lxml import etree

from ingest.feeds.categories import SEPARATOR, apple_category
from ingest.feeds.dates import parse_date
from ingest.feeds.durations import parse_duration
from ingest.feeds.identity import GuidSource
from ingest.feeds.languages import language_tag
from ingest.feeds.markup import Markup, clean_markup, one_line, plain_line
from ingest.feeds.namespace import Tag, Tags, Vocabulary, as_dicts, text_of, word
from ingest.feeds.schema import Record, canonical_json
from ingest.feeds.urls import BadFeedUrl, derived_guid, feed_url

_ITUNES, _PODCAST, _RSS = Vocabulary.ITUNES, Vocabulary.PODCAST, Vocabulary.RSS

_MAX_BYTES = 1 << 40  # a longer enclosure is nonsense
_MAX_TTL_MIN = 366 * 1440
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_TRUE = frozenset(["yes", "true", "explicit", "1"])
_FALSE = frozenset(["no", "false", "clean", "0"])
_INTEGER = re.compile(r"\d{1,9}")
_DECIMAL = re.compile(r"\d{1,9}(?:\.\d{1,6})?")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_COMMA = re.compile(r"[,;\n]")
_MEDIA = ("audio/", "video/")

# itunes: tags that have columns of their own; others stand beside the podcast: tags.
_CHANNEL_COLUMNS = frozenset(
    [
        "author", "block", "category", "complete", "explicit", "image", "keywords", "new-feed-url", "owner",
        "subtitle", "type",
    ]
)  # fmt: skip
_ITEM_COLUMNS = frozenset(
    [
        "author", "block", "duration", "episode", "episodeType", "explicit", "image", "keywords", "season",
        "subtitle", "title",
    ]
)  # fmt: skip


def podcast_content(feed: dict[str, Any], tags: Tags, url: str, now_us: int | None) -> Record:
    """The columns of PODCAST_CONTENT, of a channel as feedparser and lxml read it.

    `url` is the feed's: base of relative links, and what a podcast:guid is derived from.
    """
    guid, guid_source = _podcast_guid(tags, url)
    title = _line(feed, "title") or plain_line(tags.itunes("title"))
    description = _description(feed, "subtitle", tags)
    raw_language = one_line(feed.get("language"))
    images = _images(feed, tags, url)
    raw_categories = _categories(tags)
    owner = tags.first(_ITUNES, "owner")
    links = _links(feed, url)
    frequency = tags.first(_PODCAST, "updateFrequency")
    locked = tags.first(_PODCAST, "locked")
    return {
        "podcast_guid": guid,
        "guid_source": guid_source,
        "title": title,
        "subtitle": plain_line(tags.itunes("subtitle")),
        "description_html": description.html,
        "description": description.text,
        "link": _web_url(feed.get("link"), url),
        "language": language_tag(raw_language),
        "language_raw": raw_language,
        "copyright": _line(feed, "rights"),
        "generator": one_line(feed.get("generator")),
        "author": plain_line(tags.itunes("author")) or plain_line(feed.get("author")),
        "owner_name": _owner(owner, "name"),
        "owner_email": _owner(owner, "email"),
        "image_url": _image_url(tags, url) or (images[0]["url"] if images else None),
        "images": canonical_json(images) if images else None,
        "categories": _distinct(filter(None, map(apple_category, raw_categories))),
        "categories_raw": _distinct(SEPARATOR.join(path) for path in raw_categories),
        "keywords": _keywords(tags),
        "is_explicit": _flag(tags.itunes("explicit")),
        "show_type": _one_of(tags.itunes("type"), "episodic", "serial"),
        "is_blocked": _is_yes(tags, "block"),
        "is_complete": _is_yes(tags, "complete"),
        "announced_url": _announced(tags.itunes("new-feed-url")),
        "published_us": parse_date(_raw(feed, "published"), now_us),
        "last_build_us": parse_date(_raw(feed, "updated"), now_us),
        "ttl_min": _integer(feed.get("ttl"), _MAX_TTL_MIN),
        "skip_hours": _skip_hours(tags),
        "skip_days": _skip_days(tags),
        "hub_url": links.get("hub"),
        "self_url": links.get("self"),
        "next_page_url": links.get("next"),
        "medium": one_line((tags.podcast("medium") or "").lower()),
        "is_locked": _flag(text_of(locked)),
        "locked_owner": one_line(locked.get("owner")) if locked is not None else None,
        "license": one_line(tags.podcast("license")),
        "update_frequency": one_line(frequency.get("rrule") or text_of(frequency))
        if frequency is not None
        else None,
        "uses_podping": _uses_podping(tags),
        "podcast_tags": _all_tags(tags, _CHANNEL_COLUMNS, {"summary": description.text, "title": title}),
    }


def episode_content(entry: dict[str, Any], tags: Tags, url: str, now_us: int | None) -> Record:
    """The columns of EPISODE_CONTENT, of an item as feedparser and lxml read it.

    `guid` is what the item declares, else null: `identity.guid_of` finds another once the canonical enclosure
    is known. `enclosure_canonical` is null here.
    """
    guid = one_line(entry.get("id"))
    description = _description(entry, "summary", tags)
    published_raw = one_line(
        next(filter(None, (_raw(entry, key) for key in ("published", "updated", "created"))), None)
    )
    enclosures = _enclosures(entry, url)
    enclosure = next((one for one in enclosures if one["type"] and one["type"].startswith(_MEDIA)), None)
    enclosure = enclosure or (enclosures[0] if enclosures else None)
    raw_duration = one_line(tags.itunes("duration"))
    season, episode = tags.first(_PODCAST, "season"), tags.first(_PODCAST, "episode")
    chapters = tags.first(_PODCAST, "chapters")
    transcripts = _transcripts(tags, url)
    alternates = [one for one in enclosures if one is not enclosure]
    return {
        "guid": guid,
        "guid_source": GuidSource.DECLARED.value if guid else None,
        "title": _line(entry, "title") or plain_line(tags.itunes("title")),
        "itunes_title": plain_line(tags.itunes("title")),
        "subtitle": plain_line(tags.itunes("subtitle")) or _line(entry, "subtitle"),
        "link": _web_url(entry.get("link"), url),
        "published_us": parse_date(published_raw, now_us),
        "published_raw": published_raw,
        "description_html": description.html,
        "description": description.text,
        "content_html": _content(entry).html,
        "author": plain_line(tags.itunes("author")) or plain_line(entry.get("author")),
        "enclosure_url": enclosure["url"] if enclosure else None,
        "enclosure_canonical": None,
        "enclosure_type": enclosure["type"] if enclosure else None,
        "enclosure_bytes": _integer(enclosure["length"], _MAX_BYTES) or None if enclosure else None,
        "duration_s": parse_duration(raw_duration),
        "duration_raw": raw_duration,
        "is_explicit": _flag(tags.itunes("explicit")),
        "episode_type": _one_of(tags.itunes("episodeType"), "full", "trailer", "bonus"),
        "season": _first_number(_integer, text_of(season), tags.itunes("season")),
        "season_name": one_line(season.get("name")) if season is not None else None,
        "episode": _first_number(_decimal, text_of(episode), tags.itunes("episode")),
        "episode_display": one_line(episode.get("display")) if episode is not None else None,
        "image_url": _image_url(tags, url),
        "keywords": _keywords(tags),
        "is_blocked": _is_yes(tags, "block"),
        "chapters_url": _web_url(chapters.get("url"), url) if chapters is not None else None,
        "transcripts": canonical_json(transcripts) if transcripts else None,
        "alternate_enclosures": _alternates(tags, alternates),
        "podcast_tags": _all_tags(tags, _ITEM_COLUMNS, {"summary": description.text}),
    }


# Texts


def _raw(said: dict[str, Any], key: str) -> Any:
    """The value under this very key: a FeedParserDict would answer `updated` with `published`."""
    return dict.get(said, key)


def _line(said: dict[str, Any], key: str) -> str | None:
    """A title: text on one line, also where it was written as HTML."""
    value = said.get(key)
    is_text = (said.get(f"{key}_detail") or {}).get("type") == "text/plain"
    return one_line(value) if is_text else plain_line(value)


def _markup(value: str | None, media_type: str | None) -> Markup:
    return clean_markup(escape(value, quote=False) if value and media_type == "text/plain" else value)


def _description(said: dict[str, Any], key: str, tags: Tags) -> Markup:
    """The description, else itunes:summary, else whatever stands for it (Atom's summary, the content)."""
    has_own = tags.first(_RSS, "description") is not None
    found = _markup(said.get(key), (said.get(f"{key}_detail") or {}).get("type"))
    if has_own and found.text:
        return found
    summary = clean_markup(tags.itunes("summary"))
    return summary if summary.text else found


def _content(entry: dict[str, Any]) -> Markup:
    for content in entry.get("content") or ():
        found = _markup(content.get("value"), content.get("type"))
        if found.html:
            return found
    return Markup(None, None)


# Values


def _flag(text: str | None) -> bool | None:
    said = (text or "").strip().lower()
    return True if said in _TRUE else False if said in _FALSE else None


def _is_yes(tags: Tags, name: str) -> bool | None:
    """Apple: any value but Yes has no effect. Null: not said."""
    said = tags.itunes(name)
    return None if said is None else said.lower() in _TRUE


def _one_of(text: str | None, *words: str) -> str | None:
    said = (text or "").strip().lower()
    return said if said in words else None


def _integer(text: Any, most: int = 10**9) -> int | None:
    said = str(text or "").strip()
    return int(said) if len(said) < 20 and said.isascii() and said.isdigit() and int(said) <= most else None


def _decimal(text: Any) -> float | None:
    said = str(text or "").strip()
    return float(said) if _DECIMAL.fullmatch(said) else None


def _first_number(read: Any, *texts: str | None) -> Any:
    return next((number for number in map(read, texts) if number is not None), None)


def _distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _keywords(tags: Tags) -> list[str]:
    written = (
        part for element in tags.all(_ITUNES, "keywords") for part in _COMMA.split(text_of(element) or "")
    )
    return _distinct(filter(None, map(one_line, written)))


# Addresses


def _web_url(value: Any, base: str) -> str | None:
    """An http(s) URL, a relative one made absolute; null for other schemes."""
    said = "".join(str(value or "").split("\n")).strip()
    if not said:
        return None
    scheme = _SCHEME.match(said)
    if scheme and not scheme[1].lower().startswith("http"):
        return None
    try:
        return said if scheme else urljoin(base, said)
    except ValueError:
        return None


def _links(feed: dict[str, Any], url: str) -> dict[str, str]:
    """The first link of each relation: hub, self, next …"""
    found: dict[str, str] = {}
    for link in feed.get("links") or ():
        target = _web_url(link.get("href"), url)
        if target:
            found.setdefault(str(link.get("rel", "")).lower(), target)
    return found


def _announced(text: str | None) -> str | None:
    try:
        return feed_url(text) if text else None
    except BadFeedUrl:
        return None


def _podcast_guid(tags: Tags, url: str) -> tuple[str, str]:
    try:
        return str(uuid.UUID(tags.podcast("guid") or "")), "declared"
    except ValueError:
        return derived_guid(url), "derived"


def _image_href(element: etree._Element, base: str) -> str | None:
    return _web_url(element.get("href") or element.get("url") or text_of(element), base)


def _image_url(tags: Tags, base: str) -> str | None:
    """The artwork: itunes:image, else the first podcast:image that is artwork."""
    artwork = [
        one for one in tags.all(_PODCAST, "image") if "artwork" in (one.get("purpose") or "artwork").lower()
    ]
    return next(
        filter(None, (_image_href(one, base) for one in (*tags.all(_ITUNES, "image"), *artwork))), None
    )


def _images(feed: dict[str, Any], tags: Tags, base: str) -> list[dict[str, Any]]:
    """All images of the show, each URL once: Apple's, podcast:image, podcast:images (a srcset), RSS's."""
    found: dict[str, dict[str, Any]] = {}
    for element in (*tags.all(_ITUNES, "image"), *tags.all(_PODCAST, "image")):
        said = {
            "url": _image_href(element, base),
            "purpose": one_line(element.get("purpose")),
            "width": _integer(element.get("width")),
            "height": _integer(element.get("height")),
            "type": one_line(element.get("type")),
            "aspect_ratio": one_line(element.get("aspect-ratio")),
        }
        _add_image(found, said)
    for element in tags.all(_PODCAST, "images"):
        for candidate in re.split(r",\s+|,(?=https?:)", element.get("srcset") or ""):
            address, _, size = candidate.strip().partition(" ")
            width = _integer(size.strip()[:-1]) if size.strip().endswith("w") else None
            _add_image(found, {"url": _web_url(address, base), "width": width})
    image = feed.get("image") or {}
    said = {
        "url": image.get("href"),
        "width": _integer(image.get("width")) or None,
        "height": _integer(image.get("height")) or None,
    }
    _add_image(found, said | {"url": _web_url(said["url"], base)})
    return list(found.values())


def _add_image(found: dict[str, dict[str, Any]], said: dict[str, Any]) -> None:
    if said["url"]:
        found.setdefault(said["url"], {name: value for name, value in said.items() if value is not None})


# Lists and nested tags


def _owner(owner: etree._Element | None, name: str) -> str | None:
    if owner is None:
        return None
    return next(
        (
            one_line(text_of(child))
            for child in owner
            if isinstance(child.tag, str) and word(child.tag)[1] == name
        ),
        None,
    )


def _categories(tags: Tags) -> list[list[str]]:
    """Paths as written: itunes:category with its nesting, then the plain ones of RSS."""
    paths: list[list[str]] = []
    for element in tags.all(_ITUNES, "category"):
        top = one_line(element.get("text") or text_of(element))
        subs = (child.get("text") or text_of(child) for child in element if isinstance(child.tag, str))
        below = [sub for sub in map(one_line, subs) if sub]
        paths += (
            [[top, sub] for sub in below] if top and below else [[top]] if top else [[sub] for sub in below]
        )
    for element in (*tags.all(_RSS, "category"), *tags.all(Vocabulary.ATOM, "category")):
        name = one_line(
            text_of(element) or element.get("label") or element.get("term") or element.get("text")
        )
        if name:
            paths.append([name])
    return paths


def _children(tags: Tags, name: str) -> list[str]:
    return [
        text
        for element in tags.all(_RSS, name)
        for child in element
        if isinstance(child.tag, str) and (text := text_of(child))
    ]


def _skip_hours(tags: Tags) -> list[int]:
    """0 … 23, UTC, sorted; RSS before 2.0 counted to 24."""
    hours = {_integer(text, 24) for text in _children(tags, "skipHours")}
    return sorted({hour % 24 for hour in hours if hour is not None})


def _skip_days(tags: Tags) -> list[str]:
    said = {text.capitalize() for text in _children(tags, "skipDays")}
    return [day for day in _WEEKDAYS if day in said]


def _uses_podping(tags: Tags) -> bool | None:
    element = tags.first(_PODCAST, "podping")
    return None if element is None else _flag(element.get("usesPodping") or text_of(element))


def _enclosures(entry: dict[str, Any], base: str) -> list[dict[str, Any]]:
    found = []
    for link in entry.get("links") or ():
        address = str(link.get("href") or "").strip()
        if link.get("rel") == "enclosure" and address:
            if not _SCHEME.match(address):
                address = _web_url(address, base) or address
            media_type = one_line(str(link.get("type") or "").partition(";")[0].lower())
            found.append({"url": address, "type": media_type, "length": link.get("length")})
    return found


def _transcripts(tags: Tags, base: str) -> list[dict[str, str]]:
    found = []
    for element in tags.all(_PODCAST, "transcript"):
        address = _web_url(element.get("url"), base)
        if address:
            named = ((name, one_line(element.get(name))) for name in ("type", "language", "rel"))
            found.append({"url": address} | {name: value for name, value in named if value})
    return found


def _alternates(tags: Tags, others: list[dict[str, Any]]) -> str | None:
    """podcast:alternateEnclosure, attributes as written, then further enclosures of the item."""
    found: list[Tag] = []
    for element in tags.all(_PODCAST, "alternateEnclosure"):
        sources = [
            one.get("uri") for one in element if isinstance(one.tag, str) and word(one.tag)[1] == "source"
        ]
        found.append({**element.attrib, "urls": [uri.strip() for uri in sources if uri]})
    for other in others:
        said = {name: str(other[name]) for name in ("type", "length") if other[name]}
        found.append(said | {"urls": [other["url"]]})
    return canonical_json(found) if found else None


def _all_tags(tags: Tags, columns: frozenset[str], repeated: dict[str, str | None]) -> str | None:
    """Every podcast: tag, and the itunes: ones without a column as "itunes:…", as canonical JSON.

    Not those that only repeat a column: most feeds give their description as itunes:summary again.
    """
    found = tags.podcast_tags()
    for name in tags.names(_ITUNES):
        elements = [] if name in columns else tags.all(_ITUNES, name)
        if name in repeated:
            elements = [one for one in elements if clean_markup(text_of(one)).text != repeated[name]]
        if elements:
            found[f"itunes:{name}"] = as_dicts(elements)
    return canonical_json(found) if found else None
