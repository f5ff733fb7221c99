"""What a subscriber wrote is taken as it is meant, or refused with its field named."""

from __future__ import annotations

import base64
import math
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.feeds.guard import Guard
from registry.digests import next_digest_us
from registry.subscribing import (
    FIELDS,
    TYPES,
    BadSubscription,
    Mode,
    PodcastFilter,
    checked_secret,
    new_secret,
    wish,
)

URL = "https://hooks.example.com/earshot"
NOW_US = 1_790_000_000_000_000  # 2026-09-21T14:13:20Z
HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000


def refused(field: str, url: str = URL, **said: Any) -> str:
    with pytest.raises(BadSubscription) as error:
        wish(url, **said)
    assert error.value.field == field and str(error.value).startswith(f"{field}: ")
    return str(error.value)


# --- the URL

PRIVATE = [
    "127.0.0.1",
    "127.1",  # short: inet_aton reads it as 127.0.0.1
    "127.0.1",
    "0",
    "0.0.0.0",
    "2130706433",  # decimal
    "017700000001",  # octal
    "0177.0.0.1",
    "0177.0.0.01",
    "0x7f000001",  # hex
    "0x7f.0.0.1",
    "0X7F.1",
    "127.0.0.1.",
    "１２７.0.0.1",  # full-width digits
    "127。0。0。1",  # ideographic full stops
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",  # metadata of most clouds
    "168.63.129.16",  # Azure's
    "2852039166",  # 169.254.169.254
    "0xa9fea9fe",
    "224.0.0.1",
    "255.255.255.255",
    "[::]",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::127.0.0.1]",
    "[::ffff:127.0.0.1]",  # mapped
    "[::ffff:7f00:1]",
    "[::ffff:a9fe:a9fe]",
    "[64:ff9b::7f00:1]",  # NAT64
    "[2002:7f00:1::]",  # 6to4
    "[2001:0:7f00:1::]",  # Teredo
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[fc00::1]",
    "[fd00:ec2::254]",  # metadata, IPv6
    "[ff02::1]",
]


@pytest.mark.parametrize("host", PRIVATE)
@pytest.mark.parametrize("form", ["http://{}/", "https://{}:8443/hook?a=b", "http:\t//{}/"])
def test_addresses_that_are_not_public_are_refused_however_they_are_written(host: str, form: str) -> None:
    refused("url", form.format(host))


@pytest.mark.parametrize(
    "url",
    [
        "",
        " ",
        "hooks.example.com/a",
        "//hooks.example.com/a",
        "ftp://hooks.example.com/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "feed://hooks.example.com/",
        "feed:https://hooks.example.com/",
        "http:",
        "http://",
        "https:///path",
        "https://:443/",
        "https://hooks.example.com:0/",
        "https://hooks.example.com:65536/",
        "https://hooks.example.com:http/",
        "https://user:password@hooks.example.com/",
        "https://user@hooks.example.com/",
        "https://hooks.example.com\\@10.0.0.1/",
        "https://hooks.example.com/#fragment",
        "https://hooks.example.com/#",
        "https://ho oks.example.com/",
        "https://hooks.example.com%2e/",
        "https://[::1/",
        "https://hooks..example.com/",
        "https://hooks.example.com/" + "a" * 2000,
        "https://hooks.example.com/" + "ä" * 500,  # longer once it is encoded
        "https://" + "a" * 64 + ".example.com/",
        "https://hooks.example.com/\ud800",
    ],
)
def test_what_no_request_can_be_sent_to_is_refused(url: str) -> None:
    refused("url", url)


def test_credentials_in_a_refused_url_are_not_repeated() -> None:
    for url in ("https://user:hunter2@hooks.example.com/", "https:// user:hunter2@hooks.example.com/"):
        assert "hunter2" not in refused("url", url)


def test_a_url_is_kept_in_its_one_written_form() -> None:
    assert wish("  HTTPS://Hooks.Example.COM:443/Päth?q=1 ").url == "https://hooks.example.com/P%C3%A4th?q=1"
    assert wish("http://1.1.1.1:8080").url == "http://1.1.1.1:8080/"
    assert wish("https://[2606:4700::1111]/").url == "https://[2606:4700::1111]/"
    assert wish("https://bücher.example/").url == "https://xn--bcher-kva.example/"


def test_test_hosts_may_be_private() -> None:
    guard = Guard(["127.0.0.0/8", "::1"])
    assert wish("http://127.0.0.1:9000/", guard=guard).url == "http://127.0.0.1:9000/"
    assert wish("http://[::1]:9000/", guard=guard).url == "http://[::1]:9000/"
    with pytest.raises(BadSubscription):
        wish("http://10.0.0.1/", guard=guard)


# --- all else


def test_a_wish_without_more_hears_of_all_at_once() -> None:
    made = wish(URL)
    assert (made.tenant, made.types, made.fields, made.podcasts) == ("default", (), (), PodcastFilter())
    assert (made.mode, made.cron, made.coalesce_s, made.rate_per_s) == (Mode.IMMEDIATE, None, 0, None)


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("tenant", {"tenant": "a b"}),
        ("tenant", {"tenant": ""}),
        ("types", {"types": ["podcast.added"]}),
        ("types", {"types": ["episode.created", "episode.deleted"]}),
        ("types", {"types": ["webhook.test"]}),
        ("podcasts", {"podcasts": ["https://pod.example.com/feed"]}),
        ("podcasts", {"podcasts": [str(2**63)]}),
        ("podcasts", {"podcasts": ["²"]}),
        ("podcasts", {"podcasts": range(10_001)}),
        ("labels", {"labels": ["a b"]}),
        ("labels", {"labels": ["lead"], "podcasts": [1]}),
        ("fields", {"fields": ["titel"]}),
        ("fields", {"fields": ["last_build_us"]}),  # followed without a change
        ("mode", {"mode": "daily"}),
        ("time_zone", {"time_zone": "Europe/Berln"}),
        ("time_zone", {"time_zone": "../../etc/localtime"}),
        ("time_zone", {"time_zone": ""}),
        ("cron", {"cron": "0 7 * * *"}),  # immediate
        ("cron", {"mode": "scheduled"}),
        ("batch_size", {"mode": "scheduled", "cron": "0 7 * * *", "batch_size": 0}),
        ("batch_size", {"mode": "scheduled", "cron": "0 7 * * *", "batch_size": 1001}),
        ("batch_size", {"batch_size": 10}),
        ("coalesce_s", {"coalesce_s": -1}),
        ("coalesce_s", {"coalesce_s": 86_401}),
        ("coalesce_s", {"coalesce_s": math.nan}),
        ("coalesce_s", {"coalesce_s": 60, "mode": "scheduled", "cron": "0 7 * * *"}),
        ("rate_per_s", {"rate_per_s": 0}),
        ("rate_per_s", {"rate_per_s": 1001}),
        ("rate_per_s", {"rate_per_s": math.inf}),
        ("rate_per_s", {"rate_per_s": math.nan}),
        ("secret", {"secret": ""}),
        ("secret", {"secret": "whsec_"}),
        ("secret", {"secret": base64.b64encode(b"x" * 23).decode()}),
        ("secret", {"secret": base64.b64encode(b"x" * 65).decode()}),
        ("secret", {"secret": "whsec_" + "ä" * 40}),
        ("secret", {"secret": "whsec_" + "!" * 40}),
        ("secret", {"secret": "A" * 1_000_000}),
    ],
)
def test_what_cannot_be_met_is_refused_with_its_field(field: str, said: dict[str, Any]) -> None:
    refused(field, **said)


@pytest.mark.parametrize(
    "cron",
    [
        "",
        " ",
        "daily",
        "@daily",
        "* * * *",
        "* * * * * *",  # seconds
        "60 * * * *",
        "* 24 * * *",
        "0 0 0 * *",
        "0 0 32 * *",
        "0 0 30 2 *",  # never
        "0 0 31 2,4,6,9,11 *",
        "0 0 29 2 *",  # not within 400 days of 2026-09-21
        "0 0 * 13 *",
        "0 0 * * 8",
        "0 0 * * MONDAY",
        "*/0 * * * *",
        "*/x * * * *",
        "5-1 * * * *",
        "1,,2 * * * *",
        "-1 * * * *",
        "1.5 * * * *",
        "² * * * *",
        "0 0 * * L",
        "0 0 * * MON#6",
        "0 0 * * MON#",
        "0 0 L-3 * *",
        "* * * * *; rm -rf /",
        "1" * 5000 + " * * * *",
        "1," * 100_000 + "1 * * * *",
        "0 0 * * * " * 1000,
    ],
)
def test_cron_nonsense_is_refused(cron: str) -> None:
    refused("cron", mode="scheduled", cron=cron, now_us=NOW_US)


@pytest.mark.parametrize(
    ("cron", "zone", "due"),
    [
        ("* * * * *", "UTC", "2026-09-21T14:14"),
        ("0 7 * * *", "Europe/Berlin", "2026-09-22T05:00"),
        ("30 17 * * MON-FRI", "America/New_York", "2026-09-21T21:30"),
        ("0 0 1 * *", "UTC", "2026-10-01T00:00"),
        ("0 9 * * MON#1", "UTC", "2026-10-05T09:00"),
        ("0  0\t1 1  *", "UTC", "2027-01-01T00:00"),
    ],
)
def test_cron_goes_by_the_clock_of_its_time_zone(cron: str, zone: str, due: str) -> None:
    made = wish(URL, mode="scheduled", cron=cron, time_zone=zone, now_us=NOW_US)
    assert made.cron == " ".join(cron.split())
    assert _instant(next_digest_us(made.cron, zone, NOW_US)) == due


def test_a_time_that_the_clock_leaves_out_or_has_twice_is_due_once() -> None:
    def dues(cron: str, from_us: int, number: int) -> list[str]:
        found = []
        for _ in range(number):
            from_us = next_digest_us(cron, "Europe/Berlin", from_us)
            found.append(_instant(from_us))
        return found

    # 2027-03-28: 02:00 becomes 03:00 (01:00 UTC). 2026-10-25: 03:00 becomes 02:00 (01:00 UTC).
    assert dues("30 2 * * *", _us("2027-03-27T12:00"), 2) == ["2027-03-28T01:00", "2027-03-29T00:30"]
    assert dues("30 2 * * *", _us("2026-10-24T12:00"), 2) == ["2026-10-25T00:30", "2026-10-26T01:30"]
    assert dues("0 * * * *", _us("2026-10-24T23:30"), 4) == [f"2026-10-25T0{hour}:00" for hour in range(4)]


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**50), st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"]))
def test_a_digest_is_due_later_than_now_on_the_minutes_asked_for(now_us: int, zone: str) -> None:
    due_us = next_digest_us("15,45 * * * *", zone, now_us)
    assert now_us < due_us <= now_us + HOUR_US
    assert _at(due_us).astimezone(ZoneInfo(zone)).minute in (15, 45)


_LIKELY = st.sampled_from(
    [
        "",
        "http://",
        "https://",
        "hooks.example.com",
        "127.0.0.1",
        "@",
        ":",
        "/",
        "[",
        "::1",
        "]",
        "0x7f",
        "%",
        "#",
    ]
)
_URLS = st.lists(_LIKELY | st.text(max_size=8), max_size=6).map("".join)
_TEXTS = st.text(max_size=30) | st.text("0123456789*/,-LW# MONab", max_size=30)


@settings(max_examples=400, deadline=None)
@given(_URLS)
def test_any_text_as_a_url_is_refused_or_one_that_requests_can_be_sent_to(text: str) -> None:
    try:
        url = wish(text).url
    except BadSubscription as error:
        assert error.field == "url"
        return
    assert url.startswith(("http://", "https://")) and len(url) <= 2000
    assert url.isascii() and not set(url) & set("#@ \r\n\t\\") - (
        {"@"} if "@" in url.split("/", 3)[3] else set()
    )
    assert wish(url).url == url


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(["tenant", "cron", "time_zone", "mode", "secret"]), _TEXTS)
def test_any_text_is_taken_as_it_is_meant_or_refused_with_its_field(field: str, text: str) -> None:
    said: dict[str, Any] = {field: text}
    if field == "cron":
        said["mode"] = "scheduled"
    try:
        made = wish(URL, now_us=NOW_US, **said)
    except BadSubscription as error:
        assert error.field == field or (field, error.field) == ("mode", "cron")
        return
    if made.cron is not None:
        assert NOW_US < next_digest_us(made.cron, made.time_zone, NOW_US) <= NOW_US + 400 * DAY_US
    assert checked_secret(made.secret) == made.secret


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([*TYPES, *FIELDS]) | st.text(max_size=10), max_size=4))
def test_any_names_are_known_ones_or_refused(names: list[str]) -> None:
    for field, known in (("types", TYPES), ("fields", FIELDS)):
        if set(names) <= set(known):
            assert set(getattr(wish(URL, **{field: names}), field)) == set(names)
        else:
            refused(field, **{field: names})


def test_a_time_zone_without_a_schedule_is_refused() -> None:
    refused("time_zone", time_zone="Europe/Berlin")
    assert wish(URL).time_zone == "UTC"


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("whsec_abc", "too short, it has 2 bytes"),
        ("", "too short, it has 0 bytes"),
        ("whsec_" + "A" * 500, "too long, it has 375 bytes"),
        ("whsec_" + "-" * 32, "characters that are not of base64"),
        ("whsec_" + "ä" * 32, "characters that are not of base64"),
        ("whsec_" + "A" * 33, "no whole base64"),
    ],
)
def test_a_secret_that_cannot_be_one_is_told_what_is_wrong_with_it(secret: str, why: str) -> None:
    said = refused("secret", secret=secret)
    assert why in said and "24 to 64 bytes are needed" in said


def test_secrets_are_not_shown() -> None:
    made = wish(URL)
    assert made.secret not in repr(made)
    assert "c2hvcnQ" not in refused("secret", secret="whsec_c2hvcnQ=")


@given(st.binary(min_size=24, max_size=64))
def test_a_secret_of_ones_own_is_kept_with_its_prefix(raw: bytes) -> None:
    encoded = base64.b64encode(raw).decode()
    assert checked_secret(encoded) == checked_secret(f" whsec_{encoded}\n") == f"whsec_{encoded}"


def test_new_secrets_are_valid_and_differ() -> None:
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100 and {checked_secret(one) for one in made} == made


def _at(instant_us: int) -> datetime:
    return datetime.fromtimestamp(instant_us / 1e6, UTC)


def _instant(instant_us: int) -> str:
    return f"{_at(instant_us):%Y-%m-%dT%H:%M}"


def _us(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000
