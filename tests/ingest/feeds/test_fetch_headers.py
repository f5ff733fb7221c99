"""Cache-Control, Retry-After and validators: what they say, and junk in them."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.feeds.headers import latin1, max_age_s, validator
from ingest.web import retry_after_s

NOW_US = int(datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC).timestamp()) * 10**6
JUNK = st.text(st.characters(max_codepoint=0xFF)) | st.from_regex(
    r"([a-z-]{0,9}[=\", ]{0,3}[0-9]{0,12}[,; ]?)*", fullmatch=True
)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("max-age=300", 300),
        ("public, Max-Age=300, s-maxage=9", 300),
        ("s-maxage=9", None),
        ('max-age="60"', 60),
        ("max-age = 60", 60),
        ("max-age=60, max-age=90", 60),
        ("max-age=300, no-cache", 0),
        ("no-store", 0),
        ('no-cache="set-cookie", max-age=5', 5),
        ('private="a, max-age=1", max-age=5', 5),
        ("max-age=0", 0),
        ("max-age=-1", None),
        ("max-age=1e3", None),
        ("max-age=soon", None),
        ("max-age", None),
        ("xmax-age=4", None),
        ("max-age=99999999999999999999", 1 << 31),
        (",,, max-age=7", 7),
    ],
)
def test_max_age(value: str | None, seconds: int | None) -> None:
    assert max_age_s(value) == seconds


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("120", 120),
        (" 0 ", 0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("999999999999999999999999", 86400),
        ("90000", 86400),
        (format_datetime(datetime(2026, 3, 1, 12, 2, 0, tzinfo=UTC), usegmt=True), 120),
        ("Sun, 01 Mar 2026 12:02:00 -0000", 120),
        ("Sun, 01 Mar 2026 13:02:00 +0100", 120),
        ("Sunday, 01-Mar-26 12:02:00 GMT", 120),
        ("Sun, 01 Mar 2020 12:02:00 GMT", 0),  # over already
        ("Sun, 01 Mar 2099 12:02:00 GMT", 86400),
        ("Sun, 99 Mar 2026 12:02:00 GMT", None),
        ("Sun, 01 Jan 0001 00:00:00 +2359", 0),
    ],
)
def test_retry_after(value: str | None, seconds: int | None) -> None:
    assert retry_after_s(value, NOW_US) == seconds


@given(JUNK)
def test_no_junk_breaks_them(value: str) -> None:
    assert max_age_s(value) is None or max_age_s(value) >= 0  # type: ignore[operator]
    assert retry_after_s(value, NOW_US) in (None, *range(86401))
    assert validator(value) in (None, value)


@given(st.binary())
def test_bytes_of_a_header_are_told_apart_one_by_one(data: bytes) -> None:
    assert latin1(data.decode("utf-8", "surrogateescape")).encode("latin-1") == data
