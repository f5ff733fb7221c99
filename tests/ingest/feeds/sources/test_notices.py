"""Notice files of every shape, and what stands beside the notices without harming them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.feeds.sources.notices import MAX_LINE_BYTES, MAX_REJECTS, NoticeReject, Notices, read_notices
from ingest.feeds.sources.values import Hint, News
from ingest.feeds.urls import podcast_key
from tests.ingest.feeds.sources.server import NOW_US

A, B = "https://a.example/feed", "https://b.example/feed"
WRITTEN_US = NOW_US - 60_000_000
TEN_AGO = "2026-05-28T20:26:30"  # 10 s before NOW_US
TEN_AGO_US = NOW_US - 10_000_000
OPERATION = {"id": "pp_podcast_update", "json": json.dumps({"version": "1.1", "iris": [A, B]})}


def read(body: bytes) -> Notices:
    return read_notices(body, "podping", "n.json", WRITTEN_US, NOW_US)


def said(value: Any) -> Notices:
    return read(json.dumps(value).encode())


def urls(found: Notices) -> list[str | None]:
    return [hint.feed_url for hint in found.hints]


@pytest.mark.parametrize(
    ("notice", "expected"),
    [
        ({"version": "1.0", "medium": "podcast", "reason": "update", "iris": [A, B]}, [A, B]),
        ({"version": "1.1", "medium": "music", "reason": "live", "iris": [A], "sessionId": 1}, [A]),
        ({"version": "0.3", "num_urls": 2, "reason": "feed_update", "urls": [A, B]}, [A, B]),
        ({"version": "0.2", "num_urls": 1, "reason": "feed_update", "urls": [A]}, [A]),
        ({"url": A}, [A]),
        ([{"url": A}, {"urls": [B]}], [A, B]),
        (["custom_json", OPERATION], [A, B]),
        ({"type": "custom_json_operation", "value": OPERATION}, [A, B]),
        ({"block": 1, "timestamp": TEN_AGO, "trx_id": "x", "op": ["custom_json", OPERATION]}, [A, B]),
        ({"topic": A, "hub": "https://hub.example", "signature": True, "body": "PHJzcz4="}, [A]),
        ({"topic": A, "body_path": "/etc/passwd"}, [A]),
    ],
)
def test_every_shape_of_a_notice_is_read(notice: Any, expected: list[str]) -> None:
    found = said(notice)
    assert urls(found) == expected and found.rejected == 0
    assert urls(read(json.dumps(notice, indent=2).encode())) == expected
    assert [hint.podcast_key for hint in found.hints] == [podcast_key(url) for url in expected]


@pytest.mark.parametrize(
    ("reason", "news"),
    [
        ("update", News.UPDATE),
        ("live", News.LIVE),
        ("liveEnd", News.LIVE_END),
        ("newIRI", News.UPDATE),
        (7, News.UPDATE),
        ([[[]]], News.UPDATE),
    ],
)
def test_the_reason_of_a_podping_is_kept(reason: object, news: News) -> None:
    assert [hint.news for hint in said({"iris": [A], "reason": reason}).hints] == [news]


def test_a_hint_tells_where_it_comes_from() -> None:
    body = b'\n{"url":"https://a.example/feed"}\n\xff\n {"url":"HTTPS://B.example:443/feed"} \r\n'
    found = read(body)
    assert found.hints == [
        Hint(podcast_key(A), A, "podping", WRITTEN_US, file="n.json", line=2),
        Hint(podcast_key(B), B, "podping", WRITTEN_US, file="n.json", line=4),
    ]
    (reject,) = found.rejects
    assert (reject.file, reject.line, reject.reason) == ("n.json", 3, NoticeReject.NOT_JSON)


@pytest.mark.parametrize(
    ("key", "value", "noticed_us"),
    [
        ("timestamp", TEN_AGO, TEN_AGO_US),  # Hive's: UTC without a zone
        ("timestamp", TEN_AGO + "Z", TEN_AGO_US),
        ("timestamp", "2026-05-28T22:26:30+02:00", TEN_AGO_US),
        ("timestamp", TEN_AGO_US / 1e6, TEN_AGO_US),
        ("timestamp", "2999-01-01T00:00:00", WRITTEN_US),  # the future is not believed
        ("timestamp", 1e300, WRITTEN_US),
        ("timestamp", -1, WRITTEN_US),
        ("timestamp", "yesterday", WRITTEN_US),
        ("timestamp", True, WRITTEN_US),
        ("other", TEN_AGO, WRITTEN_US),
    ],
)
def test_a_notice_counts_from_when_it_says_else_from_when_it_was_written(
    key: str, value: object, noticed_us: int
) -> None:
    assert [hint.noticed_us for hint in said({"url": A, key: value}).hints] == [noticed_us]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", NoticeReject.EMPTY),
        (b" \n\n", NoticeReject.EMPTY),
        (b"hello", NoticeReject.NOT_JSON),
        (b"\x00\xff", NoticeReject.NOT_JSON),
        (b'{"url": "https://a.exam', NoticeReject.NOT_JSON),
        (b"[" * 5000 + b"]" * 5000, NoticeReject.NOT_JSON),
        (b'{"url":' * 5000, NoticeReject.NOT_JSON),
        (b"7", NoticeReject.NOT_A_NOTICE),
        (b'"https://a.example/feed"', NoticeReject.NOT_A_NOTICE),
        (b"{}", NoticeReject.NOT_A_NOTICE),
        (b"[[]]", NoticeReject.NOT_A_NOTICE),
        (b'{"iris": {"a": 1}}', NoticeReject.NOT_A_NOTICE),
        (b'{"iris": []}', NoticeReject.NOT_A_NOTICE),
        (
            b'["custom_json", {"id": "pp_startup", "json": "{\\"message\\": \\"hi\\"}"}]',
            NoticeReject.NOT_A_NOTICE,
        ),
        (b'["custom_json", {"id": "pp_podcast_update", "json": "{"}]', NoticeReject.NOT_A_NOTICE),
        (b'["custom_json", 7]', NoticeReject.NOT_A_NOTICE),
        (b'["custom_json", {"id": "pplt_podcast_update", "json": "{}"}]', NoticeReject.LIVE_TEST),
        (b'{"url": null}', NoticeReject.BAD_URL),
        (b'{"url": "file:///etc/passwd"}', NoticeReject.BAD_URL),
        (b'{"url": "https://user:secret@a.example/"}', NoticeReject.BAD_URL),
        (b'{"topic": "https://a.example/", "signature": false}', NoticeReject.NOT_SIGNED),
        (b'{"topic": "https://a.example/", "signature": "yes"}', NoticeReject.NOT_SIGNED),
    ],
)
def test_what_is_no_notice_is_told_with_its_reason(body: bytes, reason: NoticeReject) -> None:
    found = read(body)
    assert not found.hints
    assert [reject.reason for reject in found.rejects] == [reason]
    assert all(reject.detail.isprintable() and "secret" not in reject.detail for reject in found.rejects)


def test_one_bad_url_costs_the_others_nothing() -> None:
    found = said({"iris": ["", A, 7, "gopher://x", B, [[]], A]})
    assert urls(found) == [A, B, A] and found.rejected == 4


def test_a_line_that_is_too_long_costs_only_itself() -> None:
    line = b'{"url":"https://a.example/feed"}'
    found = read(line + b"\n{" + b" " * MAX_LINE_BYTES + b"}\n" + line)
    assert urls(found) == [A, A]
    assert [(reject.line, reject.reason) for reject in found.rejects] == [(2, NoticeReject.TOO_LONG)]


def test_rejects_are_told_up_to_a_number_and_counted_beyond() -> None:
    found = read(b"junk\n" * (MAX_REJECTS + 5))
    assert len(found.rejects) == MAX_REJECTS and found.rejected == MAX_REJECTS + 5


_SAID = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | st.just(A),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["url", "urls", "iris", "op", "topic", "type", "value", "json", "id", "timestamp", "reason"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
).map(lambda value: json.dumps(value).encode())


def hints_of_line(line: bytes) -> list[str | None]:
    return urls(read_notices(line, "podping", "n.jsonl", WRITTEN_US, NOW_US))


@given(st.lists(st.one_of(st.binary(max_size=60), _SAID), max_size=5))
def test_no_bytes_in_a_file_of_lines_cost_another_line_its_notice(parts: list[bytes]) -> None:
    good = [b'{"url":"https://good.example/%d"}' % number for number in range(len(parts) + 1)]
    lines = b"\n".join(line for pair in zip(good, [*parts, b""], strict=True) for line in pair).split(b"\n")
    expected = [url for line in lines for url in hints_of_line(line)]
    assert hints_of_line(b"\n".join(lines)) == expected
    assert {f"https://good.example/{number}" for number in range(len(good))} <= set(expected)


def test_only_a_document_may_go_over_several_lines() -> None:
    body = b'{"hub":\n{"url":"https://a.example/feed"}\n}'
    assert urls(read_notices(body, "podping", "n.jsonl", WRITTEN_US, NOW_US)) == [A]
    assert read(body).rejects[0].reason == NoticeReject.NOT_A_NOTICE


@given(st.one_of(st.binary(max_size=200), _SAID))
def test_any_bytes_are_read_to_the_same_end_twice(body: bytes) -> None:
    found = read(body)
    assert found == read(body)
    assert found.hints or found.rejected or body.strip() in (b"[]", b"\xef\xbb\xbf[]")
    assert all(0 < hint.noticed_us <= NOW_US for hint in found.hints)
