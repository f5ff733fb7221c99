"""The canonical enclosure URL: one for log rows and for feeds, whatever prefix and token surround it."""

from __future__ import annotations

import time
from urllib.parse import quote

import polars as pl
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.logs.prefixes import PrefixRules, percent_decode
from ingest.logs.urls import canonical_url, canonical_urls, enclosure_key, enclosures, percent_decoded

RULES = PrefixRules.built_in(("prefix.example",))
TARGET = "https://media.example.fm/show/1.mp3"


def canonical(url: str) -> str:
    return canonical_url(url, RULES)


@pytest.mark.parametrize(
    "url",
    [
        "https://media.example.fm/show/1.mp3",
        "http://MEDIA.Example.FM:80/show/1.mp3",
        "https://media.example.fm.:443/show/1.mp3#t=10",
        "media.example.fm/show/1.mp3",
        "//media.example.fm/show/1.mp3",
        "  https://user:secret@media.example.fm/show/1.mp3 ",
        "https://pdst.fm/e/media.example.fm/show/1.mp3",
        "https://pdst.fm/e/https://media.example.fm/show/1.mp3",
        "https://op3.dev/e/https%3A%2F%2Fmedia.example.fm%2Fshow%2F1.mp3",
        "https://op3.dev/e,pg=1234/https://media.example.fm/show/1.mp3",
        "https://www.podtrac.com/pts/redirect.mp3/media.example.fm/show/1.mp3",
        "https://dts.podtrac.com/redirect.ogg/media.example.fm/show/1.mp3",
        "https://chrt.fm/track/ABC/traffic.chtbl.com/track/D/media.example.fm/show/1.mp3",
        "https://media.blubrry.com/slug/media.example.fm/show/1.mp3",
        "https://dts.podtrac.com/redirect.mp3/pdst.fm/e/chrt.fm/track/1/https://media.example.fm/show/1.mp3",
        "https://prefix.example/e/media.example.fm/show/1.mp3",
        "https://PREFIX.example:443/e/http://MEDIA.example.fm:80/show/1.mp3",
    ],
)
def test_all_ways_to_an_enclosure_are_one_url(url: str) -> None:
    assert canonical(url) == TARGET


@pytest.mark.parametrize(
    "url",
    [
        "https://media.example.fm/e/other.example/1.mp3",  # /e/ of a host that is no prefix
        "https://media.example.fm/A/b%20C/%E9.mp3?Q=1&q=2&&a",  # byte for byte
        "https://media.example.fm/https://x.example/1.mp3",
        "https://media.example.fm:8443/show/1.mp3",
        "https://pdst.fm/e/",
        "https://pdst.fm/about/us.html",
    ],
)
def test_what_is_canonical_stays_as_it_is(url: str) -> None:
    assert canonical(url) == url


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("utm_source=x&id=5", "?id=5"),
        ("id=5&utm_source=x", "?id=5"),
        ("a=1&_=123&aw_0_1st.playerid=x&b=2", "?a=1&b=2"),
        ("Expires=1&Signature=s&Key-Pair-Id=k&Policy=p", ""),
        ("X-Amz-Date=1&x-amz-signature=2&v=3", "?v=3"),
        ("token=x&tokenize=1", "?tokenize=1"),
        ("token", ""),
        ("who=203.0.113.7&v=1.2.3", "?v=1.2.3"),
        ("who=2001:db8::1&b=2", "?b=2"),
        ("who=2001%3Adb8%3A%3A1&who2=%5B::1%5D", ""),
        ("t=12:34:56", "?t=12:34:56"),
        ("hdnea=exp=1~acl=/*~hmac=2&listeningSessionID=0CD&ip=1.2.3.4", ""),
        ("", ""),
        ("a=1&&b=2", "?a=1&&b=2"),
        ("a=1&token=x&&b=2&", "?a=1&&b=2&"),
        ("dest=https://x.example/?a=1", "?dest=https://x.example/?a=1"),
    ],
)
def test_tracking_and_token_parameters_are_dropped_the_rest_stays(query: str, kept: str) -> None:
    assert canonical(f"{TARGET}?{query}") == TARGET + kept


def test_a_query_within_an_encoded_target_is_kept_and_cleaned() -> None:
    encoded = quote(f"{TARGET}?id=5&utm_source=x", safe="")
    assert canonical(f"https://prefix.example/e/{encoded}?b=2&token=t") == f"{TARGET}?id=5&b=2"


@given(st.lists(st.lists(st.sampled_from([*"%2aFg0é", "%20", "%2f", "%C3%A9", "%E9", "%00"])).map("".join)))
def test_texts_are_decoded_as_one_is(texts: list[str]) -> None:
    decoded = percent_decoded(pl.Series("t", [*texts, None], dtype=pl.String))
    assert decoded.to_list() == [*map(percent_decode, texts), None] and decoded.name == "t"


def test_what_cannot_stand_on_the_wire_is_percent_encoded() -> None:
    assert (
        canonical("https://media.example.fm/ä b.mp3?ü=ß")
        == "https://media.example.fm/%C3%A4%20b.mp3?%C3%BC=%C3%9F"
    )
    assert canonical("https://bücher.example/1.mp3") == "https://xn--bcher-kva.example/1.mp3"


def test_a_chain_of_fifty_prefixes_is_unwound() -> None:
    assert canonical("https://" + "pdst.fm/e/" * 50 + "media.example.fm/show/1.mp3") == TARGET


def test_hostile_urls_take_bounded_work() -> None:
    encoded = TARGET
    for _ in range(12):
        encoded = "https://pdst.fm/e/" + quote(encoded, safe="")
    hostile = [
        "https://" + "pdst.fm/e/" * 6000 + "x",
        encoded,
        "https://pdst.fm/e/" + "a." * 30_000,
        "https://pdst.fm/e/" + "/" * 60_000,
        "https://pdst.fm/e/" + "%" * 60_000,
        "https://pdst.fm/e/https%3A%2F%2F" + "%2525" * 12_000,
        "https://" + "." * 60_000,
        "https://" + ":80" * 20_000,
        "?" + "&" * 60_000,
        "https://h/?" + "a=::" * 15_000,
    ]
    began = time.process_time()
    once = canonical_urls(pl.Series(hostile), RULES)["enclosure_url"]
    assert time.process_time() - began < 2
    assert canonical_urls(once, RULES)["enclosure_url"].to_list() == once.to_list()


PIECES = st.sampled_from(
    [
        *(
            "https://",
            "http:",
            "//",
            "/",
            "pdst.fm",
            "/e/",
            "prefix.example",
            "redirect.mp3",
            "media.example.fm",
        ),
        *(
            "%3A%2F%2F",
            "%2F",
            "%25",
            "%",
            "?",
            "#",
            "&",
            "=",
            "token",
            "_x",
            "@",
            ":80",
            ":443",
            ".",
            "ä",
            " ",
            "\0",
        ),
        *("1.2.3.4", "::1", "[", "%5B", "\ud800", "xn--", "\\", "track", "chrt.fm", "\n", "İ", "%E9"),
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=14).map("".join)))
def test_canonical_never_raises_and_twice_is_once(url: str) -> None:
    once = canonical(url)
    assert once.startswith("https://")
    assert canonical(once) == once


def test_rows_of_a_log_and_a_feed_agree() -> None:
    rows = pl.DataFrame(
        {
            "host": ["Media.Example.fm", "pdst.fm", "media.example.fm", None],
            "path": ["/show/1.mp3", "/e/media.example.fm/show/1.mp3", "/show/1.mp3", None],
            "query": ["utm_source=a", None, "", "x"],
            "content_type": [None, "audio/mpeg", None, None],
        },
        schema_overrides={"content_type": pl.String},
    )
    found = enclosures(rows, RULES, is_prefix_log=False)
    assert found["enclosure_url"].to_list() == [TARGET, TARGET, TARGET, "https:///?x"]
    assert found["enclosure_key"].to_list()[:3] == [enclosure_key(TARGET)] * 3


def test_the_key_is_xxh3_as_a_signed_integer() -> None:
    for url in (TARGET, TARGET + "?2", TARGET + "?3"):
        key = xxhash.xxh3_64_intdigest(url.encode())
        assert enclosure_key(url) % 2**64 == key and -(2**63) <= enclosure_key(url) < 2**63
