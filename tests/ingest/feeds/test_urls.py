"""A feed has one written URL, whatever a list, an app or a person made of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.feeds.urls import BadFeedUrl, derived_guid, feed_url, host_of, podcast_key

FEED = "https://feeds.example.fm/show.xml"


@pytest.mark.parametrize(
    "text",
    [
        FEED,
        "  HTTPS://Feeds.Example.FM/show.xml\n",
        "https://feeds.example.fm:443/show.xml",
        "https://feeds.example.fm:0443/show.xml",
        "https://feeds.example.fm./show.xml#episodes",
        "feed://feeds.example.fm/show.xml",
        "feed:https://feeds.example.fm/show.xml",
        "feed://https://feeds.example.fm/show.xml",
        "pcast://feeds.example.fm/show.xml",
        "itpc://feeds.example.fm/show.xml",
    ],
)
def test_all_ways_to_write_a_feed_url_are_one(text: str) -> None:
    assert feed_url(text) == FEED


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://example.fm", "http://example.fm/"),
        ("http://example.fm?feed=rss", "http://example.fm/?feed=rss"),
        ("http://example.fm:8080/a", "http://example.fm:8080/a"),
        ("https://example.fm:80/a", "https://example.fm:80/a"),
        ("https://münchen.example/Füße", "https://xn--mnchen-3ya.example/F%C3%BC%C3%9Fe"),
        ("https://例え.テスト/", "https://xn--r8jz45g.xn--zckzah/"),
        ('https://example.fm/a b\t<c>?q="x"|ü', "https://example.fm/a%20b%09%3Cc%3E?q=%22x%22%7C%C3%BC"),
        ("https://example.fm/%7euser/%zz?A=%2F", "https://example.fm/%7euser/%zz?A=%2F"),  # byte for byte
        ("https://my_show.example.fm/", "https://my_show.example.fm/"),
        ("http://127.0.0.1:8000/a", "http://127.0.0.1:8000/a"),
        ("http://[2001:DB8::0:1]:80/a", "http://[2001:db8::1]/a"),
        ("https://example.fm/a\\b", "https://example.fm/a%5Cb"),
    ],
)
def test_a_url_is_normalised_without_changing_what_it_names(text: str, url: str) -> None:
    assert feed_url(text) == url
    assert feed_url(url) == url


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("example.fm/feed", "not an absolute URL"),
        ("//example.fm/feed", "without a scheme"),
        ("ftp://example.fm/feed", "ftp: is not http or https"),
        ("file:///etc/passwd", "file: is not http or https"),
        ("javascript:alert(1)", "not an absolute URL"),
        ("https:///feed", "without a host"),
        ("https://user:secret@example.fm/", "credentials"),
        ("https://example.fm\\@169.254.169.254/", "not an absolute URL"),
        ("https://exa mple.fm/", "no host name"),
        ("https://example..fm/", "no host name"),
        ("https://-example.fm/", "no host name"),
        ("https://a%2eb.fm/", "no host name"),
        ("https://example.fm:0/", "no port"),
        ("https://example.fm:65536/", "no port"),
        ("https://example.fm:x/", "no host"),
        ("http://2130706433/", "an address written as a number, not a public name"),
        ("http://0x7f.1/", "an address written as a number, not a public name"),
        ("http://127.0.0.01/", "no IPv4 address"),
        ("http://[::g]/", "no IPv6 address"),
        ("https://" + "a" * 64 + ".fm/", "no host name"),
        ("https://example.fm/" + "a" * 4096, "longer than"),
        ("https://example.fm/\ud800", "surrogates"),
        ("https://exam\udcffple.fm/", "no host name"),
    ],
)
def test_what_no_feed_can_be_fetched_from_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(BadFeedUrl, match=why):
        feed_url(text)


def test_http_and_https_and_a_trailing_slash_are_one_podcast() -> None:
    keys = {
        podcast_key(f"{scheme}://example.fm/feed{slash}")
        for scheme in ("http", "https")
        for slash in ("", "/")
    }
    assert len(keys) == 1
    assert podcast_key("https://example.fm/feed2") not in keys


def test_the_derived_guid_is_that_of_the_podcast_namespace() -> None:
    # The two examples of the namespace's own documentation.
    assert derived_guid("https://mp3s.nashownotes.com/pc20rss.xml") == "917393e3-1b1e-5cef-ace4-edaa54e1f810"
    assert derived_guid("https://podnews.net/rss") == "9b024349-ccf0-5f69-a609-6b82873eab3c"


def test_the_host_is_told_without_port_and_brackets() -> None:
    assert [host_of(url) for url in ("https://a.fm/x", "http://a.fm:81/", "http://[::1]:81/")] == [
        "a.fm", "a.fm", "::1",
    ]  # fmt: skip


@given(st.one_of(st.text(), st.builds("https://{}/{}".format, st.text(), st.text())))
def test_any_text_is_a_url_in_its_final_form_or_refused(text: str) -> None:
    try:
        url = feed_url(text)
    except BadFeedUrl:
        return
    assert feed_url(url) == url
    assert url.isascii() and url.isprintable() and " " not in url
    assert host_of(url)
    assert -(2**63) <= podcast_key(url) < 2**63
