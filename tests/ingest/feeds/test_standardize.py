"""What feeds say becomes one record, whatever way they say it (UPDATES §2, §3)."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from ingest.feeds.urls import derived_guid
from tests.ingest.feeds.documents import URL, channel_of, episode_of, feed, item, parse


def of(record: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(record[name] for name in names)


# The channel


def test_a_live_item_overwrites_nothing_of_the_channel() -> None:
    live = "<podcast:liveItem status='{}'><title>Live</title><guid>g</guid><link>https://a.example/l</link></podcast:liveItem>"
    link = "<link>https://show.example/</link>"
    before, after = channel_of(link + live.format("pending")), channel_of(link + live.format("live"))
    assert of(before, "title", "link") == of(after, "title", "link") == ("The Show", "https://show.example/")
    assert [name for name in before if before[name] != after[name]] == ["podcast_tags"]
    assert orjson.loads(after["podcast_tags"])["liveItem"][0]["status"] == "live"


def test_a_live_item_is_no_episode() -> None:
    live = "<podcast:liveItem status='live'><title>Live</title><guid>g</guid></podcast:liveItem>"
    assert [one.content["guid"] for one in parse(feed([item()], live)).items] == ["guid-1"]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_owner_is_not_the_author(order: tuple[int, int]) -> None:
    said = [
        "<itunes:author>Ada</itunes:author>",
        "<itunes:owner><itunes:name>Company</itunes:name><itunes:email>c@a.example</itunes:email></itunes:owner>",
    ]
    content = channel_of("".join(said[place] for place in order))
    assert of(content, "author", "owner_name", "owner_email") == ("Ada", "Company", "c@a.example")


def test_without_an_itunes_author_the_editor_is_it() -> None:
    assert channel_of("<managingEditor>Ada</managingEditor>")["author"] == "Ada"
    owner = "<itunes:owner><itunes:name>Company</itunes:name></itunes:owner>"
    assert channel_of(owner)["author"] is None


@pytest.mark.parametrize(
    ("said", "is_explicit"),
    [("yes", True), ("true", True), ("Explicit", True), ("no", False), ("false", False), ("clean", False),
     ("False ", False), ("", None), ("maybe", None)],
)  # fmt: skip
def test_explicit_is_true_false_or_not_said(said: str, is_explicit: bool | None) -> None:
    tag = f"<itunes:explicit>{said}</itunes:explicit>"
    assert channel_of(tag)["is_explicit"] is is_explicit
    assert episode_of(f"<guid>1</guid>{tag}")["is_explicit"] is is_explicit
    assert channel_of("")["is_explicit"] is None


def test_any_block_but_yes_has_no_effect() -> None:
    said = {
        text: channel_of(f"<itunes:block>{text}</itunes:block>")["is_blocked"] for text in ("Yes", "no", "x")
    }
    assert said == {"Yes": True, "no": False, "x": False}
    assert channel_of("")["is_blocked"] is None


def test_all_skip_hours_and_days_are_kept() -> None:
    content = channel_of(
        "<skipHours><hour>5</hour><hour>2</hour><hour>x</hour><hour>99</hour></skipHours>"
        "<skipDays><day>Tuesday</day><day>monday</day><day>Someday</day></skipDays>"
    )
    assert of(content, "skip_hours", "skip_days") == ([2, 5], ["Monday", "Tuesday"])


def test_every_repeated_podcast_tag_is_kept() -> None:
    tags = "".join(f"<podcast:funding url='https://a.example/{n}'>n{n}</podcast:funding>" for n in range(3))
    assert orjson.loads(channel_of(tags)["podcast_tags"])["funding"] == [
        {"url": f"https://a.example/{n}", "text": f"n{n}"} for n in range(3)
    ]


def test_a_prefix_of_their_own_is_the_same_namespace() -> None:
    opening = (
        "<rss version='2.0' xmlns:p='http://podcastindex.org/namespace/1.0/'"
        " xmlns:i='http://www.itunes.com/DTDs/Podcast-1.0.dtd'><channel>"
    )
    body = feed([], "<p:medium>music</p:medium><i:author>Ada</i:author>", opening)
    assert of(parse(body).content, "medium", "author") == ("music", "Ada")
    github = "https://github.com/Podcastindex-org/podcast-namespace/blob/main/docs/1.0.md"
    body = feed(
        [], "<podcast:medium>music</podcast:medium>", f"<rss version='2.0' xmlns:podcast='{github}'><channel>"
    )
    assert parse(body).content["medium"] == "music"


@pytest.mark.parametrize(
    ("said", "guid"),
    [
        ("917393e3-1b1e-5cef-ace4-edaa54e1f810", "917393e3-1b1e-5cef-ace4-edaa54e1f810"),
        (" 917393E3-1B1E-5CEF-ACE4-EDAA54E1F810 ", "917393e3-1b1e-5cef-ace4-edaa54e1f810"),
        ("my-show", derived_guid(URL)),
        ("", derived_guid(URL)),
    ],
)
def test_a_podcast_guid_that_is_no_uuid_is_derived_from_the_url(said: str, guid: str) -> None:
    content = channel_of(f"<podcast:guid>{said}</podcast:guid>")
    assert content["podcast_guid"] == guid
    assert content["guid_source"] == ("derived" if guid == derived_guid(URL) else "declared")


def test_a_new_feed_url_is_normalised_and_nonsense_is_null() -> None:
    urls = ("HTTPS://New.example/feed", "feed://new.example/feed", "soon", "file:///etc/passwd")
    said = [channel_of(f"<itunes:new-feed-url>{url}</itunes:new-feed-url>")["announced_url"] for url in urls]
    assert said == ["https://new.example/feed", "https://new.example/feed", None, None]


def test_relative_links_are_the_feeds_and_other_schemes_are_none() -> None:
    content = channel_of("<link>/about</link><itunes:image href='cover.jpg'/>")
    assert of(content, "link", "image_url") == (
        "https://show.example/about",
        "https://show.example/cover.jpg",
    )
    assert channel_of("<link>javascript:alert(1)</link>")["link"] is None


def test_an_image_of_rss_is_one_where_there_is_no_other() -> None:
    image = "<image><url>https://a.example/i.png</url><title>No title</title><link>https://no.example/</link></image>"
    content = channel_of(image)
    assert of(content, "image_url", "title", "link") == ("https://a.example/i.png", "The Show", None)


def test_an_update_frequency_without_a_rule_is_its_text() -> None:
    assert (
        channel_of("<podcast:updateFrequency>daily</podcast:updateFrequency>")["update_frequency"] == "daily"
    )


def test_the_description_is_the_summary_where_there_is_none() -> None:
    summary = "<itunes:summary>Short &lt;b&gt;one&lt;/b&gt;</itunes:summary>"
    assert channel_of(summary)["description"] == "Short one"
    content = channel_of(f"{summary}<description>Long</description>")
    assert content["description"] == "Long"
    assert orjson.loads(content["podcast_tags"]) == {"itunes:summary": [{"text": "Short <b>one</b>"}]}


def test_both_descriptions_are_safe_html_and_text() -> None:
    content = channel_of("<description><![CDATA[<p>Hi</p><script>x()</script><p>you</p>]]></description>")
    assert of(content, "description_html", "description") == ("<p>Hi</p><p>you</p>", "Hi\n\nyou")


def test_flags_of_the_podcast_namespace() -> None:
    content = channel_of(
        "<podcast:locked owner='o@a.example'>no</podcast:locked><podcast:podping usesPodping='false'/>"
    )
    assert of(content, "is_locked", "locked_owner", "uses_podping") == (False, "o@a.example", False)


def test_an_atom_feed_is_a_podcast_too() -> None:
    body = b"""<feed xmlns='http://www.w3.org/2005/Atom'>
      <title type='html'>The &lt;i&gt;Show&lt;/i&gt;</title>
      <subtitle>a &lt; b</subtitle><link href='https://a.example/'/><link rel='self' href='https://a.example/f'/>
      <author><name>Ada</name></author><updated>2026-07-05T04:00:00Z</updated><category term='Comedy'/>
      <entry><id>urn:1</id><title>One</title><published>2026-07-05T04:00:00Z</published>
        <updated>2026-07-06T04:00:00Z</updated><summary type='text'>1 &lt; 2</summary>
        <content type='xhtml'><div xmlns='http://www.w3.org/1999/xhtml'><p>Hi</p></div></content>
        <link rel='enclosure' href='https://a.example/1.mp3' length='9' type='audio/mpeg'/></entry></feed>"""
    parsed = parse(body)
    names = (
        "title",
        "description_html",
        "description",
        "link",
        "self_url",
        "author",
        "last_build_us",
        "categories",
    )
    assert of(parsed.content, *names) == (
        "The Show", "a &lt; b", "a < b", "https://a.example/", "https://a.example/f", "Ada",
        1_783_224_000_000_000, ["Comedy"],
    )  # fmt: skip
    names = (
        "guid",
        "title",
        "published_us",
        "description",
        "content_html",
        "enclosure_url",
        "enclosure_bytes",
    )
    assert of(parsed.items[0].content, *names) == (
        "urn:1", "One", 1_783_224_000_000_000, "1 < 2", "<p>Hi</p>", "https://a.example/1.mp3", 9,
    )  # fmt: skip


# The episode


def test_a_media_title_is_not_the_title() -> None:
    wrong = "<media:title>Wrong</media:title>"
    said = f"<title>Right</title>{wrong}<media:content>{wrong}</media:content>"
    assert episode_of(said)["title"] == "Right"
    assert episode_of("<itunes:title>Only</itunes:title>")["title"] == "Only"


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_description_and_content_are_two_whatever_their_order(order: tuple[int, int]) -> None:
    said = ["<description>Short</description>", "<content:encoded>&lt;p&gt;Long&lt;/p&gt;</content:encoded>"]
    content = episode_of("".join(said[place] for place in order))
    assert of(content, "description", "content_html") == ("Short", "<p>Long</p>")


@pytest.mark.parametrize(
    ("length", "size"),
    [
        ("43200000", 43_200_000), (" 5 ", 5), ("0", None), ("", None), ("unknown", None), ("-1", None),
        ("5.5", None), ("9" * 30, None), ("12,345", None),
    ],
)  # fmt: skip
def test_a_length_that_is_none_is_null(length: str, size: int | None) -> None:
    content = episode_of(
        f"<enclosure url='https://a.example/1.mp3' length='{length}' type='Audio/MPEG; x=1'/>"
    )
    assert of(content, "enclosure_bytes", "enclosure_type") == (size, "audio/mpeg")


def test_of_several_enclosures_the_first_that_is_audio_or_video_counts_and_none_is_lost() -> None:
    content = episode_of(
        "<enclosure url='https://a.example/1.jpg' type='image/jpeg' length='1'/>"
        "<enclosure url='https://a.example/1.mp3?x=1&amp;y=2' type='audio/mpeg' length='2'/>"
        "<enclosure url='https://a.example/1.mp4' type='video/mp4' length='3'/>"
    )
    assert of(content, "enclosure_url", "enclosure_bytes") == ("https://a.example/1.mp3?x=1&y=2", 2)
    assert orjson.loads(content["alternate_enclosures"]) == [
        {"urls": ["https://a.example/1.jpg"], "type": "image/jpeg", "length": "1"},
        {"urls": ["https://a.example/1.mp4"], "type": "video/mp4", "length": "3"},
    ]


def test_an_item_without_a_guid_declares_none() -> None:
    content = episode_of("<title>T</title><link>https://a.example/1</link>")
    assert of(content, "guid", "guid_source", "link") == (None, None, "https://a.example/1")


@pytest.mark.parametrize("guid", ["1", "/relative/guid", "https://a.example/?p=1", "urn:x:1", "ä b"])
def test_a_guid_is_kept_as_written(guid: str) -> None:
    assert episode_of(f"<guid> {guid} </guid>")["guid"] == guid


def test_dates_are_read_and_kept_as_written() -> None:
    content = episode_of("<pubDate>Sun, 05 Jul 2026 06:00:00 CEST</pubDate>")
    assert of(content, "published_us", "published_raw") == (
        1_783_224_000_000_000,
        "Sun, 05 Jul 2026 06:00:00 CEST",
    )
    for raw in ("Thu, 01 Jan 1970 00:00:00 GMT", "Sat, 05 Jul 2036 06:00:00 GMT", "yesterday"):
        assert of(episode_of(f"<pubDate>{raw}</pubDate>"), "published_us", "published_raw") == (None, raw)


def test_durations_are_read_and_kept_as_written() -> None:
    content = episode_of("<itunes:duration>00:61:00</itunes:duration>")
    assert of(content, "duration_s", "duration_raw") == (3660.0, "00:61:00")
    assert of(episode_of("<itunes:duration>long</itunes:duration>"), "duration_s", "duration_raw") == (
        None,
        "long",
    )


@pytest.mark.parametrize(
    ("inner", "season", "episode"),
    [
        ("<itunes:season>2</itunes:season><itunes:episode>05</itunes:episode>", 2, 5.0),
        ("<itunes:season>two</itunes:season><itunes:episode>S1E5</itunes:episode>", None, None),
        ("<podcast:season>3</podcast:season><itunes:season>2</itunes:season>", 3, None),
        ("<podcast:season>x</podcast:season><itunes:season>2</itunes:season>", 2, None),
        ("<podcast:episode>3.5</podcast:episode><itunes:episode>3</itunes:episode>", None, 3.5),
    ],
)
def test_season_and_episode_are_numbers(inner: str, season: int | None, episode: float | None) -> None:
    assert of(episode_of(inner), "season", "episode") == (season, episode)


def test_titles_are_one_line_of_text() -> None:
    assert episode_of("<title>\n  Tom &amp;amp;\n Jerry </title>")["title"] == "Tom & Jerry"
    assert episode_of("<title><![CDATA[A <b>bold</b> one]]></title>")["title"] == "A bold one"
    assert episode_of("<title>1 &lt; 2 and AT&amp;T</title>")["title"] == "1 < 2 and AT&T"


def test_words_outside_of_the_closed_sets_are_null() -> None:
    assert episode_of("<itunes:episodeType>Bonus</itunes:episodeType>")["episode_type"] == "bonus"
    assert episode_of("<itunes:episodeType>special</itunes:episodeType>")["episode_type"] is None
    assert channel_of("<itunes:type>daily</itunes:type>")["show_type"] is None


def test_an_enclosure_canonical_is_left_to_change_detection() -> None:
    assert episode_of("<enclosure url='https://a.example/1.mp3'/>")["enclosure_canonical"] is None
