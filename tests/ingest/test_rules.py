"""The measurement rules that a request decides by itself (MEASUREMENT §1 and §2)."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from ingest.logs.clean import Cleaner, Origin
from ingest.logs.listeners import KeyRing
from ingest.schema import DAY_US, RAW, REQUESTS, REQUESTS_ORDER, Exclusion, SourceClass
from tests.ingest.samples import ADDRESS, APP, BROWSER, NOON_US, NOW_US, rules_of

MB = 1_000_000


def raw(*rows: dict[str, object]) -> pl.DataFrame:
    """Raw requests that qualify but for what is given."""
    good = {
        "started_us": NOON_US,
        "address": ADDRESS,
        "method": "GET",
        "host": "media.example.fm",
        "path": "/show/1.mp3",
        "status": 200,
        "bytes_sent": 2 * MB,
        "agent": APP,
    }
    numbered = [good | {"line_number": i, "request_id": f"id-{i}"} | row for i, row in enumerate(rows, 1)]
    return pl.DataFrame(numbered, schema=RAW)


def origin(source_class: SourceClass = SourceClass.SERVER_LOG) -> Origin:
    return Origin("f" * 32, "cdn", source_class, NOW_US)


def clean(
    *rows: dict[str, object],
    source_class: SourceClass = SourceClass.SERVER_LOG,
    reference: Path | None = None,
) -> pl.DataFrame:
    cleaned = Cleaner(rules_of(reference), KeyRing.ephemeral()).clean(raw(*rows), origin(source_class))
    assert cleaned.requests.schema == REQUESTS
    assert cleaned.requests.height + cleaned.refused.height == len(rows)
    return cleaned.requests.sort("line_number")


def reasons(*rows: dict[str, object], **options: object) -> list[str | None]:
    return clean(*rows, **options)["exclusion_reason"].to_list()  # type: ignore[arg-type]


def test_r03_only_get_counts() -> None:
    methods = ["GET", "HEAD", "POST", "-", "get", "203.0.113.7", None]
    found = clean(*[{"method": method} for method in methods])
    # A format without a method (null) logs GET only; what is no method is not kept as text.
    assert found["exclusion_reason"].to_list() == [None, *["method"] * 5, None]
    assert found["method"].to_list() == ["GET", "HEAD", "POST", "OTHER", "OTHER", "OTHER", None]


def test_r03_head_has_no_body_whatever_its_length_says() -> None:
    assert clean({"method": "HEAD", "content_length": 2 * MB})["served_bytes"].to_list() == [0]


def test_r04_get_200_and_206_count_at_a_server() -> None:
    assert reasons({"status": 200}, {"status": 206}) == [None, None]


def test_r06_other_statuses_of_a_server_never_count() -> None:
    statuses = [304, 301, 302, 307, 400, 403, 404, 416, 499, 500, 503, 100, 204, 999]
    assert reasons(*[{"status": status} for status in statuses]) == ["status"] * len(statuses)


def test_r06_a_redirect_is_what_a_prefix_answers() -> None:
    statuses = [200, 206, 301, 302, 303, 307, 308, 304, 404, 500]
    rows = [{"status": status, "path": "/e/media.example.fm/1.mp3"} for status in statuses]
    assert reasons(*rows, source_class=SourceClass.PREFIX) == [None] * 7 + ["status"] * 3


def test_r07_status_000_of_cloudfront_does_not_count() -> None:
    assert reasons({"status": 0, "bytes_sent": 0}) == ["status"]


def test_r08_a_two_byte_range_is_a_probe_at_a_server() -> None:
    answered = {"status": 206, "range_start": 0, "range_end": 1, "bytes_sent": 422, "content_length": 2}
    asked = {"status": 206, "request_range": "bytes=0-1", "bytes_sent": 2}
    more = {"status": 206, "range_start": 0, "range_end": 2}
    found = clean(answered, asked, more)
    assert found["exclusion_reason"].to_list() == ["probe", "probe", None]
    assert found["is_first_two"].to_list() == [True, True, False]
    assert found["served_bytes"].to_list() == [2, 2, 3]


def test_r08_a_prefix_keeps_the_two_byte_range_and_tags_it() -> None:
    row = {"status": 302, "path": "/e/media.example.fm/1.mp3", "request_range": "bytes=0-1"}
    found = clean(row, source_class=SourceClass.PREFIX)
    assert found["exclusion_reason"].to_list() == [None]
    assert found["is_first_two"].to_list() == [True]


def test_r09_a_watch_repeats_its_telephone() -> None:
    agents = [
        "atc/1.0 watchOS/10.2 model/Watch6,1",
        "Podcasts/1.0 (null)/(null) watchOS/9.0",
        "atc/1.0 iOS/17",
    ]
    found = reasons(*[{"agent": agent} for agent in agents])
    assert found[:2] == ["watch_duplicate"] * 2
    assert found[2] != "watch_duplicate"


def test_r10_bots_and_bot_libraries_are_separate_reasons() -> None:
    agents = [
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "SomethingNobodyKnows-crawler/1",
        "curl/8.5.0",
        None,
        "-",
    ]
    assert reasons(*[{"agent": agent} for agent in agents]) == [
        "bot",
        "bot",
        "bot_library",
        "no_agent",
        "no_agent",
    ]


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    (tmp_path / "datacenters.txt").write_text("# ours\n203.0.113.0/24\n2001:db8:1::/48\n")
    (tmp_path / "excluded_addresses.txt").write_text("198.51.100.9\n2001:db8:2:3::/64\n")
    (tmp_path / "bogus_referrers.txt").write_text("spam.example\n^https://x\\.example/[0-9]+$\n")
    return tmp_path


def test_r10_data_centres_exclude_browsers_but_no_apps(lists: Path) -> None:
    agents = [APP, BROWSER, "NobodyKnowsThis/1"]
    rows = [{"agent": agent} for agent in agents]
    assert reasons(*rows, reference=lists) == [None, "datacenter", "datacenter"]
    outside = [
        {"agent": BROWSER, "address": address}
        for address in (
            "203.0.112.255",
            "203.0.114.0",
            "2001:db8:1:ffff::5",
            "2001:db8:2::5",
            "::ffff:203.0.113.9",
        )
    ]
    assert reasons(*outside, reference=lists) == [None, None, "datacenter", None, "datacenter"]


def test_r10_excluded_addresses_and_bogus_referrers(lists: Path) -> None:
    rows: list[dict[str, object]] = [
        {"address": "198.51.100.9"},
        {"address": "2001:db8:2:3:4::1"},
        {"address": "198.51.100.10"},
        {"referrer": "https://www.spam.example/x"},
        {"referrer": "https://notspam.example/"},
        {"referrer": "https://x.example/12"},
    ]
    assert reasons(*rows, reference=lists) == [
        "excluded_address",
        "excluded_address",
        None,
        "bogus_referrer",
        None,
        "bogus_referrer",
    ]


def test_r10_a_list_that_is_absent_is_a_rule_that_does_nothing(tmp_path: Path) -> None:
    assert reasons({"agent": BROWSER}, reference=tmp_path) == [None]


def test_r11_malformed_agents_are_repaired_where_the_intent_is_clear() -> None:
    agents = [
        f'"{APP}"',
        f"User-Agent: {APP}",
        "AntennaPod%2F3.4.0",
        "Mozilla/5.0+(iPhone;+CPU+iPhone+OS+17_0+like+Mac+OS+X)+AppleWebKit/605.1.15",
        "Mozilla/5.0%20(iPhone;%20CPU%20iPhone%20OS%2017_0%20like%20Mac%20OS%20X)%20AppleWebKit/605.1.15",
        "BBC%20Sounds/2.24 CFNetwork/1410 Darwin/22",
    ]
    safari = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15"
    found = clean(*[{"agent": agent} for agent in agents])
    assert found["agent"].to_list() == [APP, APP, APP, safari, safari, agents[5]]
    assert found["app"].to_list()[:3] == ["AntennaPod"] * 3
    assert found["app"][5] == "BBC Sounds"


def test_r20_ipv6_is_cut_to_its_first_64_bits() -> None:
    keys = clean(
        {"address": "2001:db8:1:2::1"},
        {"address": "2001:0DB8:0001:0002:ffff:ffff:ffff:ffff"},
        {"address": "2001:db8:1:3::1"},
    )["address_key"]
    assert keys[0] == keys[1] != keys[2]


def test_r20_mapped_ipv4_is_ipv4_and_ipv4_is_whole() -> None:
    keys = clean({"address": "203.0.113.7"}, {"address": "::ffff:203.0.113.7"}, {"address": "203.0.113.8"})[
        "address_key"
    ]
    assert keys[0] == keys[1] != keys[2]


def test_r20_an_unreadable_address_is_refused_without_echoing_it() -> None:
    cleaned = Cleaner(rules_of(), KeyRing.ephemeral()).clean(
        raw({"address": "203.0.113.256"}, {"address": None}, {"address": "-"}, {"address": "1.2.3.4"}),
        origin(),
    )
    assert cleaned.refused["reason"].to_list() == ["client address is unreadable"] * 3
    assert cleaned.requests.height == 1


@pytest.mark.parametrize(
    ("row", "start", "served"),
    [
        ({"bytes_sent": 2000420, "content_length": 2000000}, 0, 2000000),  # headers are in sc-bytes
        ({"bytes_sent": 300_000, "content_length": 29_000_000}, 0, 300_000),  # ran off
        ({"status": 206, "range_start": 100, "range_end": 299, "bytes_sent": 700}, 100, 200),
        ({"status": 206, "range_start": 100, "resource_bytes": 250, "bytes_sent": 700}, 100, 150),
        ({"status": 206, "request_range": "bytes=500-", "bytes_sent": 700}, 500, 700),
        ({"status": 200, "request_range": "bytes=500-", "bytes_sent": 700}, 0, 700),  # the range was ignored
        ({"status": 206, "request_range": "bytes=-500", "bytes_sent": 500}, 0, 500),
        ({"status": 206, "range_start": 300, "range_end": 200}, 300, 0),
        ({"status": 206, "range_start": 2**62, "range_end": 2**63 - 1}, 0, 2_000_000),  # nonsense is ignored
        ({"status": 404, "bytes_sent": 1500}, 0, 0),
        ({"status": 304, "bytes_sent": 300}, 0, 0),
    ],
)
def test_served_bytes_are_never_more_than_was_promised(
    row: dict[str, object], start: int, served: int
) -> None:
    found = clean(row)
    assert (found["range_start"][0], found["served_bytes"][0]) == (start, served)


def test_the_size_of_the_whole_file_is_kept_where_the_log_tells_it() -> None:
    found = clean(
        {"resource_bytes": 5, "status": 206}, {"content_length": 7}, {"content_length": 7, "status": 206}
    )
    assert found["resource_bytes"].to_list() == [5, 7, None]


def test_reasons_win_in_the_order_of_the_rules() -> None:
    everything = {
        "method": "HEAD",
        "status": 404,
        "path": "/cover.jpg",
        "request_range": "bytes=0-1",
        "agent": "Googlebot/2.1",
    }
    mended = [("method", "GET"), ("status", 200), ("path", "/1.mp3"), ("request_range", None), ("agent", APP)]
    rows = [everything]
    for name, value in mended:
        rows.append({**rows[-1], name: value})
    assert reasons(*rows) == ["method", "status", "not_media", "probe", "bot", None]
    assert [e.value for e in Exclusion][:6] == [
        "method",
        "status",
        "not_media",
        "probe",
        "watch_duplicate",
        "bot",
    ]


@pytest.mark.parametrize(
    ("path", "content_type", "is_media"),
    [
        ("/a.mp3", None, True),
        ("/a.MP3", "text/html", True),
        ("/a.m3u8", "audio/mpegurl", False),
        ("/a.jpg", None, False),
        ("/feed.xml", None, False),
        ("/play/123", None, True),
        ("/play/123", "audio/mpeg", True),
        ("/about", "text/html; charset=utf-8", False),
        ("/a.v2", "application/octet-stream", True),
        ("/", None, False),
        ("", None, False),
        ("/shows/", "audio/mpeg", False),
    ],
)
def test_what_could_be_an_enclosure(path: str, content_type: str | None, is_media: bool) -> None:
    expected = None if is_media else "not_media"
    assert reasons({"path": path, "content_type": content_type}) == [expected]


def test_a_prefix_path_that_leads_nowhere_is_no_media() -> None:
    rows = [{"path": path, "status": 302} for path in ("/favicon.ico", "/e/", "/e/nothing", "/")]
    assert reasons(*rows, source_class=SourceClass.PREFIX) == ["not_media"] * 4


def test_impossible_times_are_refused() -> None:
    cleaned = Cleaner(rules_of(), KeyRing.ephemeral()).clean(
        raw(
            {"started_us": 1_262_303_999_999_999},  # the last microsecond of 2009
            {"started_us": NOW_US + 48 * 3_600_000_000 + 1},
            {"started_us": NOW_US + 48 * 3_600_000_000},
        ),
        origin(),
    )
    assert cleaned.refused["reason"].to_list() == [
        "time is impossible: before 2010-01-01",
        "time is impossible: more than 48 h after intake",
    ]


def test_rows_are_sorted_for_the_lake() -> None:
    rows = [
        {"path": f"/{i % 3}.mp3", "address": f"203.0.113.{i % 5}", "started_us": NOON_US - i}
        for i in range(40)
    ]
    found = Cleaner(rules_of(), KeyRing.ephemeral()).clean(raw(*rows), origin()).requests
    assert found.equals(found.sort(REQUESTS_ORDER))


def test_a_requests_own_address_survives_in_no_column() -> None:
    six = "2001:db8:1:2::77"
    rows: list[dict[str, object]] = [
        {"agent": f"MyApp/1 ({ADDRESS})", "path": f"/{ADDRESS}/1.mp3", "query": f"x=a{ADDRESS}b"},
        {"referrer": f"https://{ADDRESS}/page"},
        {"address": six, "agent": f"MyApp/1 {six.upper()}", "path": "/2001%3Adb8%3A1%3A2%3A%3A77/1.mp3"},
        {"address": six, "agent": "MyApp/1 2001:0db8:0001:0002:0000:0000:0000:0077"},
        {"agent": "Chrome/126.0.0.0", "query": "ip=198.51.100.3&v=1.2.3.4&keep=1"},
    ]
    found = clean(*rows)
    assert found["agent"].to_list() == [
        "MyApp/1 (<address>)",
        APP,
        "MyApp/1 <address>",
        "MyApp/1 <address>",
        "Chrome/126.0.0.0",
    ]
    assert found["referrer_host"].to_list() == [None] * 5
    assert found["enclosure_url"][0] == "https://media.example.fm/<address>/1.mp3?x=a<address>b"
    assert found["enclosure_url"][2] == "https://media.example.fm/<address>/1.mp3"
    assert found["enclosure_url"][4] == "https://media.example.fm/show/1.mp3?keep=1"
    text = found.write_json()
    assert ADDRESS not in text and "77" not in "".join(found["agent"].to_list()[2:4])


def test_referrer_hosts_are_lower_case_without_port_and_user() -> None:
    referrers = [
        "https://me:pw@WWW.Example.com:8080/x?y",
        "android-app://com.google.search",
        "not a url",
        "http://[::1]/",
    ]
    found = clean(*[{"referrer": referrer} for referrer in referrers])["referrer_host"].to_list()
    assert found == ["www.example.com", "com.google.search", None, None]


def test_the_same_request_delivered_twice_has_the_same_key() -> None:
    keys = clean(
        {"request_id": "a"},
        {"request_id": "a"},
        {"request_id": "b"},
        {"request_id": None, "line_hash": 5},
        {"request_id": None, "line_hash": 5},
    )["request_key"]
    assert keys[0] == keys[1] != keys[2]
    assert keys[3] == keys[4] and keys.n_unique() == 3


def test_a_line_has_its_own_key_also_behind_one_whose_agent_quotes_its_address() -> None:
    """Rows were in another order by then: lines got each other's keys, or none, by their neighbours."""
    cleaner = Cleaner(rules_of(), KeyRing.ephemeral())
    quotes: dict[str, object] = {"request_id": None, "line_hash": 7, "agent": f"MyApp/{ADDRESS} x"}
    named: dict[str, object] = {"request_id": "a"}
    others: list[dict[str, object]] = [{"request_id": None, "line_hash": n} for n in range(3)]

    def keys(*rows: dict[str, object]) -> list[int]:
        return cleaner.clean(raw(*rows), origin()).requests.sort("line_number")["request_key"].to_list()

    first, last = keys(quotes, named, *others), keys(named, *others, quotes)
    assert first == [*last[-1:], *last[:-1]] and len(set(first)) == 5


def test_a_listener_is_an_address_and_an_agent() -> None:
    keys = clean({}, {}, {"agent": BROWSER}, {"address": "203.0.113.8"}, {"agent": None})["listener_key"]
    assert keys[0] == keys[1] and keys.n_unique() == 4


def test_keys_survive_the_change_of_the_secret(tmp_path: Path) -> None:
    # Epochs last 30 days: epoch 690 ends at 691 × 30 days.
    border = 691 * 30 * 86_400_000_000
    cleaner = Cleaner(rules_of(), KeyRing(tmp_path))
    now = Origin("f" * 32, "cdn", SourceClass.SERVER_LOG, border + 1_000_000)
    found = cleaner.clean(raw({"started_us": border - 1}, {"started_us": border}), now).requests.sort(
        "started_us"
    )
    assert found["key_epoch"].to_list() == [690, 691]
    for name in ("address_key", "listener_key"):
        assert found[name][0] == found[f"{name}_prev"][1]
        assert found[name][0] != found[name][1]


def test_files_cleaned_together_are_cleaned_as_each_alone_also_over_a_change_of_the_secret(
    tmp_path: Path,
) -> None:
    border = 691 * 30 * 86_400_000_000
    cleaner = Cleaner(rules_of(), KeyRing(tmp_path))
    origins = [Origin(letter * 32, "cdn", SourceClass.SERVER_LOG, border + DAY_US) for letter in "abc"]
    files = [
        raw({"started_us": border + 3}, {"started_us": border + 1}),  # of the later epoch alone
        raw({"started_us": border - 2}, {"agent": BROWSER, "started_us": border - 3}),  # of the earlier one
        raw({"started_us": border - DAY_US}, {"started_us": border}, {"address": "no address"}),
    ]
    together = cleaner.clean_together(list(zip(files, origins, strict=True)))
    for file, origin_of_it, found in zip(files, origins, together, strict=True):
        alone = cleaner.clean(file, origin_of_it)
        assert found.requests.equals(alone.requests) and found.refused.equals(alone.refused)
        assert set(found.requests["file_id"]) == {origin_of_it.file_id}
