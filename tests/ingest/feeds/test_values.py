"""Dates, durations, languages and categories as publishers write them (UPDATES §3)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.feeds.categories import TREE, apple_category
from ingest.feeds.dates import parse_date
from ingest.feeds.durations import parse_duration
from ingest.feeds.languages import language_tag
from tests.ingest.feeds.documents import NOW_US


def date(text: str) -> str | int | None:
    """ISO 8601 in UTC."""
    instant_us = parse_date(text, NOW_US)
    return (
        None if instant_us is None else f"{datetime.fromtimestamp(instant_us / 1e6, UTC):%Y-%m-%dT%H:%M:%S}"
    )


@pytest.mark.parametrize(
    "text",
    [
        # RFC 822, and as people write it
        "Tue, 10 Jun 2003 04:00:00 GMT",
        "10 Jun 2003 04:00 Z",
        "Tue, 10 Jun 03 04:00:00 UT",
        "Tuesday, 10 June 2003 04:00:00 UTC",
        "Tue,10 Jun 2003 4:00:00GMT",
        "Tue 10 Jun 2003 04.00",
        "Tue, 10-Jun-2003 04:00:00 GMT",
        "Tue, 10 Jun 2003 04:00:00.000 +0000",
        "Wed, 10th June 2003 at 4:00am",
        # zones
        "Tue, 10 Jun 2003 06:00:00 +0200",
        "Tue, 10 Jun 2003 06:00:00 +02:00",
        "Tue, 10 Jun 2003 06:00:00 GMT+2",
        "Tue, 10 Jun 2003 06:00:00 CEST",
        "Tue, 10 Jun 2003 06:00:00 MESZ",
        "Tue, 10 Jun 2003 05:00:00 BST",
        "Mon, 09 Jun 2003 23:00:00 -500",
        "Mon, 09 Jun 2003 23:00:00 EST",
        "Tue, 10 Jun 2003 00:00:00 -0400 (EDT)",
        "Mon, 09 Jun 2003 21:00:00 PDT",
        "Tue, 10 Jun 2003 09:30:00 IST",
        "Tue, 10 Jun 2003 06:00:00 Europe/Berlin",
        "Tue, 10 Jun 2003 04:00:00 XYZ",
        # month first, asctime
        "Tue, Jun 10 2003 04:00:00 GMT",
        "June 10, 2003 4:00 AM",
        "Tue Jun 10 04:00:00 2003",
        "Mon Jun  9 21:00:00 PDT 2003",
        # other languages
        "Di, 10 Juni 2003 06:00:00 +0200",
        "mar., 10 juin 2003 06:00:00 +0200",
        "Ter, 10 Jun 2003 01:00:00 -0300",
        "martes, 10 de junio de 2003 04:00",
        "wt, 10 cze 2003 06:00:00 +0200",
        # ISO 8601
        "2003-06-10T04:00:00Z",
        "2003-06-10T04:00:00.123456Z",
        "2003-06-10T06:00:00+02:00",
        "2003-06-10 06:00:00 +0200",
        "2003-06-10T04:00",
        "20030610T040000Z",
        # numbers
        "10.06.2003 04:00:00",
        "06/10/2003 04:00:00 AM",
        "2003/06/10 04:00",
        "20030610040000",
        "1055217600",
        "1055217600000",
    ],
)
def test_a_date_in_any_form_is_one_instant(text: str) -> None:
    assert date(text) == "2003-06-10T04:00:00"


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2003-06-10", "2003-06-10T00:00:00"),
        ("Tue, 10 Jun 2003", "2003-06-10T00:00:00"),
        ("20030610", "2003-06-10T00:00:00"),
        ("13/06/2003", "2003-06-13T00:00:00"),  # no thirteenth month: the day comes first
        ("06/10/2003", "2003-06-10T00:00:00"),
        ("Tue, 10 Jun 2003 24:00:00 GMT", "2003-06-11T00:00:00"),
        ("Tue, 10 Jun 2003 23:59:60 GMT", "2003-06-10T23:59:59"),
        ("10 Jun 2003 12:30 pm", "2003-06-10T12:30:00"),
        ("10 Jun 2003 12:30 a.m.", "2003-06-10T00:30:00"),
        ("1 Jan 99 00:00 GMT", "1999-01-01T00:00:00"),
        ("3 mars 2003", "2003-03-03T00:00:00"),
        ("3 mai 2003", "2003-05-03T00:00:00"),
        ("3 juillet 2003", "2003-07-03T00:00:00"),
        ("3 août 2003", "2003-08-03T00:00:00"),
        ("3 Dez 2003", "2003-12-03T00:00:00"),
    ],
)
def test_what_a_date_leaves_out_is_the_beginning(text: str, instant: str) -> None:
    assert date(text) == instant


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "soon", "12", "0", "2003", "10 Foo 2003", "31 Feb 2003", "Tue, 10 Jun 2003 25:00:00 GMT",
        "Tue, 10 Jun 2003 13:00 PM", "99/99/2003", "0000-00-00 00:00:00", "Thu, 01 Jan 1970 00:00:00 GMT",
        "0001-01-01T00:00:00Z", "31 Dec 1994 23:59:59 GMT", "9999-12-31T23:59:59Z", "20 Jul 2028", "x" * 1000,
    ],
)  # fmt: skip
def test_what_is_no_date_or_out_of_the_window_is_null(text: str) -> None:
    assert date(text) is None


def test_the_window_begins_in_1995_and_ends_two_years_from_now() -> None:
    assert date("1 Jan 1995 00:00 GMT") == "1995-01-01T00:00:00"
    assert date("9 Jul 2028") == "2028-07-09T00:00:00"
    assert parse_date("1 Jan 2100", None) is not None


@given(st.text(alphabet="0123456789 :-+/.,TZJunMonPMétéde()", max_size=60) | st.text(max_size=60))
def test_any_text_is_a_date_of_the_window_or_none(text: str) -> None:
    instant_us = parse_date(text, NOW_US)
    assert instant_us is None or 788_918_400_000_000 <= instant_us <= NOW_US + 732 * 86_400_000_000


@given(st.datetimes(datetime(1995, 1, 1), datetime(2028, 1, 1)), st.integers(-14 * 4, 14 * 4))
def test_a_date_written_by_the_rules_is_read_back(at: datetime, quarters: int) -> None:
    sign, minutes = "-" if quarters < 0 else "+", abs(quarters) * 15
    offset = f"{sign}{minutes // 60:02}{minutes % 60:02}"
    expected = int(at.replace(microsecond=0, tzinfo=UTC).timestamp()) - quarters * 900
    if expected * 1_000_000 >= 788_918_400_000_000:
        assert parse_date(f"{at:%a, %d %b %Y %H:%M:%S} {offset}", NOW_US) == expected * 1_000_000
        assert parse_date(f"{at:%Y-%m-%dT%H:%M:%S}{offset}", NOW_US) == expected * 1_000_000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1:02:03", 3723), ("62:03", 3723), ("3723", 3723), ("3723.5", 3723.5), ("3723,5", 3723.5),
        ("00:61:00", 3660), ("01:02:03.250", 3723.25), ("0:0:5", 5), ("1h2m", 3720), ("1h 2m 3s", 3723),
        ("1 hour 2 minutes", 3720), ("1 hr, 2 min", 3720), ("62 min", 3720), ("62:03 min", 3723),
        ("90 Minuten", 5400), ("PT1H2M3S", 3723), ("PT62M", 3720), ("604800", 604800),
        ("0", None), ("00:00:00", None), ("", None), (None, None), ("-5", None), ("soon", None), ("P", None),
        ("1:2:3:4", None), ("604801", None), ("3723000", None), ("9" * 40, None), ("h m s", None),
        ("٣", 3),
    ],
)  # fmt: skip
def test_a_duration_in_any_form_is_seconds(text: str | None, seconds: float | None) -> None:
    assert parse_duration(text) == seconds


@given(st.text(alphabet="0123456789:hms.PT ", max_size=30) | st.text(max_size=60))
def test_any_text_is_a_duration_of_at_most_a_week_or_none(text: str) -> None:
    seconds = parse_duration(text)
    assert seconds is None or 0 < seconds <= 604_800


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("en-us", "en-US"), ("en_US", "en-US"), ("EN", "en"), ("English", "en"), ("english (US)", "en"),
        ("eng", "en"), ("ger", "de"), ("Deutsch", "de"), ("español", "es"), ("pt-br", "pt-BR"),
        ("zh-hant-tw", "zh-Hant-TW"), ("es-419", "es-419"), ("deu-DE", "de-DE"), (" fr ", "fr"),
        ("日本語", "ja"), ("gsw", "gsw"),
        ("", None), (None, None), ("Klingon language", None), ("e", None), ("12", None),
        ("en-", None), ("en-us-x-y-z-", None), ("x" * 100, None),
    ],
)  # fmt: skip
def test_a_language_is_a_bcp_47_tag(text: str | None, tag: str | None) -> None:
    assert language_tag(text) == tag


@pytest.mark.parametrize(
    ("path", "category"),
    [
        (["Society & Culture", "Documentary"], "Society & Culture > Documentary"),
        (["society and culture"], "Society & Culture"),
        (["TV &amp; Film", "x"], None),
        (["TV & Film", "TV Reviews"], "TV & Film > TV Reviews"),
        (["Documentary"], "Society & Culture > Documentary"),
        (["Comedy", "Something else"], "Comedy"),
        (["News & Politics"], "News"),
        (["Games & Hobbies", "Video Games"], "Leisure > Video Games"),
        (["Sports & Recreation", "Outdoor"], "Sports > Wilderness"),
        (["Maritime"], None),
        ([], None),
    ],
)
def test_a_category_is_one_of_apples(path: list[str], category: str | None) -> None:
    assert apple_category(path) == category


def test_every_category_of_the_tree_is_understood() -> None:
    assert len(TREE) == 19
    for top, subs in TREE.items():
        assert apple_category([top]) == top
        assert [apple_category([top, sub]) for sub in subs] == [f"{top} > {sub}" for sub in subs]
