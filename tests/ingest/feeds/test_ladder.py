"""The ladder: only header and changed items are read, and they say what the whole document would."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.feeds.document import read_document
from ingest.feeds.ladder import cut
from ingest.feeds.parsed import ParsedFeed
from tests.ingest.feeds.documents import CLOSING, OPENING, feed, item, parse

PIECES = [
    "",
    "<description>Tom &amp; Jerry</description>",
    "<description><![CDATA[<p>a <b>b</b> <!-- <i>c</i> --> ]]></description>",
    "<description><![CDATA[ ]]> ]]&gt; <![CDATA[x]]></description>",
    "<description>&nbsp;caf&eacute; AT&T &#0;&bogus;</description>",
    "<description>never closed",
    "<title>a <b>bold</b> title</title>",
    "<media:title>Not the title</media:title>",
    "<media:content url='x.mp3'><media:title>Nor this</media:title></media:content>",
    "<itunes:summary>In short</itunes:summary><itunes:duration>1:02:03</itunes:duration>",
    "<itunes:owner><itunes:name>Not the author</itunes:name></itunes:owner>",
    "<author>a@b.example (Ada)</author>",
    "<podcast:person role='host'>Ada</podcast:person><podcast:person>Ben</podcast:person>",
    "<!-- <title>commented out</title> -->",
    "<googleplay:author>no such prefix</googleplay:author>",
    "<x:y xmlns:x='urn:x' z='1'>own</x:y>",
    "<enclosure url='https://cdn.example/1.mp3' length='5' type='audio/mpeg'/>",
    "<pubDate>Sun, 05 Jul 2026 06:00:00 CEST</pubDate>",
    "<content:encoded><![CDATA[<a href='/x'>é 日本 \U0001f399</a>]]></content:encoded>",
    "<items>1</items><itemized/><enclosure url='https://cdn.example/2.mp3'/>",
]
INNER = st.lists(st.sampled_from(PIECES), max_size=4).map("".join)
ITEMS = st.lists(INNER, max_size=8).map(lambda inners: [item(inner, n) for n, inner in enumerate(inners)])
CHANNEL = st.lists(
    st.sampled_from([piece for piece in PIECES if "never closed" not in piece]), max_size=3
).map("".join)


def knowing(parsed: ParsedFeed, keep: list[bool]) -> ParsedFeed:
    """An earlier parse that saw only some of the items."""
    hashes = [hash_ for hash_, kept in zip(parsed.item_hashes, keep, strict=False) if kept]
    return replace(parsed, item_hashes=hashes)


@settings(max_examples=60, deadline=None)
@given(ITEMS, CHANNEL, st.lists(st.booleans(), min_size=8, max_size=8), st.randoms(use_true_random=False))
def test_a_delta_says_what_the_whole_says_for_any_items_known(
    items: list[str], channel: str, keep: list[bool], random: Random
) -> None:
    whole = parse(feed(items, channel))
    random.shuffle(items)
    shuffled = parse(feed(items, channel))
    known = knowing(whole, keep)
    delta = parse(feed(items, channel), known=known)
    assert delta.method == "delta"
    assert delta.content == shuffled.content == whole.content
    assert delta.item_hashes == shuffled.item_hashes
    assert set(delta.item_hashes) == set(whole.item_hashes)
    assert delta.items == [one for one in shuffled.items if one.item_hash not in set(known.item_hashes)]
    said = {one.item_hash: one.content for one in whole.items}
    assert all(said[one.item_hash] == one.content for one in delta.items)


@settings(max_examples=40, deadline=None)
@given(ITEMS, CHANNEL)
def test_the_pieces_say_what_the_document_in_one_piece_says(items: list[str], channel: str) -> None:
    assert parse(feed(items, channel), audit=True).audit is True


@pytest.mark.parametrize("channel", ["<content:encoded>x</content:encoded>", "<summary>x</summary>"])
def test_what_the_channel_says_does_not_change_how_its_first_item_is_read(channel: str) -> None:
    first = item("<description>one</description><description>other</description>")
    said = "<description>The show</description>"
    alone = parse(feed([first], said))
    for body in (feed([first], channel + said), feed([first], said + channel)):
        assert parse(body).items[0].content == alone.items[0].content
        audited = parse(body, audit=True)
        assert audited.audit is True
        assert audited.content["description"] == alone.content["description"] == "The show"


def test_an_unchanged_document_brings_no_item() -> None:
    body = feed([item(number=n) for n in range(5)])
    assert parse(body, known=parse(body)).items == []


def test_only_new_and_changed_items_are_read() -> None:
    before = parse(feed([item(number=2), item(number=1)]))
    after = parse(feed([item(number=3), item("<author>new</author>", 2), item(number=1)]), known=before)
    assert [one.content["guid"] for one in after.items] == ["guid-3", "guid-2"]
    assert len(after.item_hashes) == 3
    assert after.header_hash == before.header_hash  # another item is no change of the header


def test_a_change_of_the_channel_changes_the_header_hash_and_no_item() -> None:
    items = [item()]
    before = parse(feed(items, "<ttl>5</ttl>"))
    after = parse(feed(items, "<ttl>6</ttl>"), known=before)
    assert after.header_hash != before.header_hash
    assert after.content["ttl_min"] == 6
    assert after.items == []


def test_where_a_namespace_changes_every_item_is_read_again() -> None:
    items = [item("<itunes:duration>60</itunes:duration>")]
    before = parse(feed(items))
    other = OPENING.replace("http://www.itunes.com/dtds/podcast-1.0.dtd", "urn:something-else")
    after = parse(feed(items, opening=other), known=before)
    assert [one.content["duration_s"] for one in after.items] == [None]


def test_of_equal_items_the_first_counts() -> None:
    parsed = parse(feed([item(number=1), item(number=2), item(number=1)]))
    assert [one.content["guid"] for one in parsed.items] == ["guid-1", "guid-2"]


@pytest.mark.parametrize(
    "inner",
    [
        "<description><![CDATA[ <item> ]]></description>",
        "<description><![CDATA[ </item> ]]></description>",
        "<description><![CDATA[ </item><item> ]]></description>",
        "<!-- </item><item> -->",
        "<!--> </item><item> -->",
        "<?php </item><item> ?>",
        "<description><![CDATA[ <!-- ]]></description>",
    ],
)
def test_tags_that_are_text_do_not_cut_an_item(inner: str) -> None:
    body = feed([item(inner), item(number=2)])
    parsed = parse(body, known=parse(body), audit=True)
    assert [one.content["guid"] for one in parse(body).items] == ["guid-1", "guid-2"]
    assert parsed.audit is not False


@pytest.mark.parametrize(
    "channel",
    [
        "<description><![CDATA[ <item><guid>no</guid></item> ]]></description>",
        "<!-- <item><guid>no</guid></item> -->",
    ],
)
def test_an_item_that_is_only_text_of_the_header_is_none(channel: str) -> None:
    parsed = parse(feed([item()], channel))
    assert parsed.method == "whole"
    assert [one.content["guid"] for one in parsed.items] == ["guid-1"]


@pytest.mark.parametrize(
    "body",
    [
        feed(["<ITEM><guid>a</guid></ITEM>", item()]),
        feed(["<item/>", item()]),
        feed(["<item><title>open</title>", item()]),
        feed([item()]).replace(b"<rss", b"<!DOCTYPE rss><rss"),
        feed([item("<author>\u00e9</author>")]).decode().encode("latin-1"),
        b"<feed xmlns='http://www.w3.org/2005/Atom'><title>T</title><entry><id>1</id></entry></feed>",
        b"<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' xmlns='http://purl.org/rss/1.0/'>"
        b"<channel><title>T</title></channel><item><title>1</title></item></rdf:RDF>",
        feed(["<x:item xmlns:x='http://backend.userland.com/rss2'><guid>a</guid></x:item>"]),
    ],
    ids=["capitals", "empty", "unclosed", "doctype", "latin-1", "atom", "rdf", "prefixed"],
)  # fmt: skip
def test_what_is_not_plain_rss_in_utf8_is_read_whole(body: bytes) -> None:
    whole = parse(body)
    assert whole.method == "whole"
    assert parse(body, known=whole) == whole
    assert whole.items


def test_items_is_no_item() -> None:
    pieces = cut(read_document(feed([item("<items>3</items>")], "<items>1</items>"), None))
    assert pieces is not None
    assert len(pieces.items) == 1


def test_items_outside_the_channel_are_items() -> None:
    body = (OPENING + "<title>T</title></channel>" + item() + "</rss>").encode()
    assert [one.content["guid"] for one in parse(body).items] == ["guid-1"]


def test_what_the_channel_says_after_its_items_counts() -> None:
    body = (
        OPENING + item() + "<title>Late</title><itunes:author>Ada</itunes:author>" + item(number=2) + CLOSING
    ).encode()
    parsed = parse(body, audit=True)
    assert (parsed.content["title"], parsed.content["author"], parsed.audit) == ("Late", "Ada", True)


def test_a_broken_item_spoils_no_other() -> None:
    good = item("<description><![CDATA[<p>Hi</p>]]></description>", 2)
    alone = parse(feed([good])).items
    parsed = parse(feed([item("<description>a < b <p>"), good]))
    assert parsed.items[1:] == alone
    assert parsed.items[0].content["guid"] == "guid-1"


def test_an_audit_of_a_document_read_whole_has_nothing_to_compare() -> None:
    atom = b"<feed xmlns='http://www.w3.org/2005/Atom'><title>T</title><entry><id>1</id></entry></feed>"
    assert parse(atom, audit=True).audit is None
