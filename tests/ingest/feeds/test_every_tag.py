"""golden/every_tag.xml uses every tag of the podcast namespace and of Apple's: none is lost."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from lxml import etree

from ingest.feeds.parsed import ParsedFeed
from ingest.feeds.schema import EPISODE_CONTENT, PODCAST_CONTENT
from ingest.feeds.urls import derived_guid
from tests.ingest.feeds.documents import GOLDEN, URL, parse

PODCAST = "{https://podcastindex.org/namespace/1.0}"
ITUNES = "{http://www.itunes.com/dtds/podcast-1.0.dtd}"
SOURCE = GOLDEN / "every_tag.xml"

# The tags of the podcast namespace's document (docs/1.0.md and docs/tags of its repository).
NAMESPACE = {
    "alternateEnclosure", "block", "chapters", "chat", "contentLink", "episode", "funding", "guid", "image",
    "images", "integrity", "license", "liveItem", "location", "locked", "medium", "person", "podping",
    "podroll", "publisher", "remoteItem", "season", "socialInteract", "soundbite", "source", "trailer",
    "transcript", "txt", "updateFrequency", "value", "valueRecipient", "valueTimeSplit",
}  # fmt: skip
APPLE = {
    "applepodcastsverify", "author", "block", "category", "complete", "duration", "email", "episode",
    "episodeType", "explicit", "image", "isClosedCaptioned", "keywords", "name", "new-feed-url", "order",
    "owner", "season", "subtitle", "summary", "title", "type",
}  # fmt: skip


@pytest.fixture(scope="module")
def parsed() -> ParsedFeed:
    return parse(SOURCE.read_bytes())


@pytest.fixture(scope="module")
def root() -> Any:
    return etree.fromstring(SOURCE.read_bytes())


def records(root: Any, parsed: ParsedFeed) -> list[tuple[Any, dict[str, Any]]]:
    """(element, record): the channel and each of its items."""
    channel = root.find("channel")
    contents = [parsed.content, *(one.content for one in parsed.items)]
    return list(zip([channel, *channel.iterfind("item")], contents, strict=True))


def test_the_fixture_uses_every_tag(root: Any) -> None:
    for uri, names in ((PODCAST, NAMESPACE), (ITUNES, APPLE)):
        used = {element.tag.removeprefix(uri) for element in root.iter(f"{uri}*")}
        assert names - used == set()


def test_every_podcast_tag_is_in_the_record_with_all_that_it_says(root: Any, parsed: ParsedFeed) -> None:
    walked = 0

    def walk(element: Any, found: dict[str, Any]) -> None:
        nonlocal walked
        walked += 1
        for name, value in element.attrib.items():
            assert found.get(f"@{name}", found.get(name)) == value
        assert found.get("text") == ((element.text or "").strip() or None)
        seen: dict[str, int] = {}
        for child in element:
            name = child.tag.replace(PODCAST, "").replace(ITUNES, "itunes:")
            walk(child, found[name][seen.setdefault(name, 0)])
            seen[name] += 1
        children = {name: len(value) for name, value in found.items() if isinstance(value, list)}
        assert children == seen  # and nothing that is not in the document

    for element, record in records(root, parsed):
        tags = orjson.loads(record["podcast_tags"] or "{}")
        seen: dict[str, int] = {}
        for child in element.iterfind(f"{PODCAST}*"):
            name = child.tag.removeprefix(PODCAST)
            walk(child, tags[name][seen.setdefault(name, 0)])
            seen[name] += 1
        assert {name: len(tags[name]) for name in tags if not name.startswith("itunes:")} == seen
    inside = root.xpath("//*[ancestor-or-self::*[namespace-uri() = $uri]]", uri=PODCAST[1:-1])
    assert walked == len(inside)


def test_every_itunes_tag_is_in_the_record(parsed: ParsedFeed) -> None:
    channel, (first, second) = parsed.content, [one.content for one in parsed.items]
    tags, first_tags = orjson.loads(channel["podcast_tags"]), orjson.loads(first["podcast_tags"])
    assert tags["itunes:title"] == [{"text": "Harbour Lights on Apple"}]
    assert tags["itunes:summary"] == [{"text": "A summary of its own."}]
    assert tags["itunes:applepodcastsverify"] == [{"text": "3f2504e0-4f89-11d3-9a0c-0305e82c3301"}]
    assert first_tags["itunes:order"] == [{"text": "3"}]
    assert first_tags["itunes:isClosedCaptioned"] == [{"text": "yes"}]
    assert "itunes:summary" not in first_tags  # it repeats the description
    said = {
        "subtitle": "Stories from the sea",
        "author": "Ada & Ben",
        "owner_name": "Harbour Media",
        "owner_email": "owner@harbour.example",
        "image_url": "https://harbour.example/cover.jpg",
        "categories": ["Society & Culture > Documentary", "Society & Culture > Places & Travel", "History"],
        "categories_raw": [
            "Society & Culture > Documentary", "Society & Culture > Places & Travel", "History", "Maritime",
        ],
        "keywords": ["sea", "harbour", "boats"],
        "is_explicit": False,
        "show_type": "serial",
        "is_blocked": True,
        "is_complete": True,
        "announced_url": "https://new.harbour.example/feed.xml",
    }  # fmt: skip
    assert {name: channel[name] for name in said} == said
    said = {
        "itunes_title": "The Pilot",
        "subtitle": "In the fog",
        "description": "How a pilot finds the way.",
        "author": "Ada",
        "image_url": "https://harbour.example/1.jpg",
        "duration_s": 3723.0,
        "duration_raw": "1:02:03",
        "is_explicit": False,
        "episode_type": "full",
        "keywords": ["pilot", "fog"],
        "is_blocked": False,
    }
    assert {name: first[name] for name in said} == said
    assert (second["season"], second["episode"]) == (1, 12.0)


def test_the_columns_of_the_podcast_namespace_are_filled(parsed: ParsedFeed) -> None:
    said = {
        "podcast_guid": "917393e3-1b1e-5cef-ace4-edaa54e1f810",
        "guid_source": "declared",
        "medium": "podcast",
        "is_locked": True,
        "locked_owner": "lock@harbour.example",
        "license": "cc-by-4.0",
        "update_frequency": "FREQ=WEEKLY;BYDAY=SU",
        "uses_podping": True,
    }
    assert {name: parsed.content[name] for name in said} == said
    assert [image["url"] for image in orjson.loads(parsed.content["images"])] == [
        "https://harbour.example/cover.jpg",
        "https://harbour.example/banner.webp",
        "https://harbour.example/1500.jpg",
        "https://harbour.example/300,q.jpg",
        "https://harbour.example/small.png",
    ]
    first = parsed.items[0].content
    assert (first["season"], first["season_name"]) == (2, "The Elbe")
    assert (first["episode"], first["episode_display"]) == (7.5, "Seven and a half")
    assert first["chapters_url"] == "https://harbour.example/1.json"
    assert orjson.loads(first["transcripts"]) == [
        {"url": "https://harbour.example/1.vtt", "type": "text/vtt", "language": "en", "rel": "captions"},
        {"url": "https://harbour.example/1.html", "type": "text/html"},
    ]
    (alternate,) = orjson.loads(first["alternate_enclosures"])
    assert alternate["urls"] == ["https://cdn.example/1.opus", "ipfs://QmHarbour"]
    assert alternate["type"] == "audio/opus"


def test_what_rss_says_is_the_channels_own(parsed: ParsedFeed) -> None:
    """Neither liveItem nor image nor owner overwrites title, link and author."""
    said = {
        "title": "Harbour Lights",
        "link": "https://harbour.example/",
        "description": "Stories from the harbour & the sea.",
        "description_html": "<p>Stories from the <b>harbour</b> &amp; the sea.</p>",
        "language": "en-US",
        "language_raw": "en-us",
        "copyright": "© 2026 Harbour Media",
        "generator": "Handwritten 1.0",
        "published_us": 1_783_224_000_000_000,  # 2026-07-05T04:00:00Z
        "last_build_us": 1_783_317_600_000_000,  # 2026-07-06T06:00:00Z
        "ttl_min": 60,
        "skip_hours": [0, 3],
        "skip_days": ["Saturday", "Sunday"],
        "hub_url": "https://hub.example/",
        "self_url": "https://harbour.example/feed.xml",
        "next_page_url": "https://harbour.example/feed.xml?page=2",
    }
    assert {name: parsed.content[name] for name in said} == said


def test_the_records_have_the_columns_of_the_schema_in_their_order(parsed: ParsedFeed) -> None:
    assert list(parsed.content) == list(PODCAST_CONTENT)
    assert all(list(one.content) == list(EPISODE_CONTENT) for one in parsed.items)


def test_a_channel_that_says_nothing_has_null_and_empty_lists_only() -> None:
    content = parse(b"<rss version='2.0'><channel><title>T</title></channel></rss>").content
    assert {name: value for name, value in content.items() if value not in (None, [])} == {
        "title": "T",
        "podcast_guid": derived_guid(URL),
        "guid_source": "derived",
    }
