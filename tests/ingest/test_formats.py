"""What CloudFront, nginx, Caddy and the prefix log in their own ways, and what is wrong with bad lines."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from ingest.logs.errors import FileRefused
from ingest.logs.formats import FORMATS, detect
from ingest.schema import RAW
from tests.ingest.samples import (
    ADDRESS,
    APP,
    CLOUDFRONT_FIELDS,
    NOON_S,
    NOON_US,
    caddy,
    cloudfront,
    cloudfront_header,
    land,
    nginx,
    rejects_of,
    requests_of,
    settings_of,
    take,
)


def parse(name: str, text: str | bytes) -> dict[str, list[object]]:
    body = text.encode() if isinstance(text, str) else text
    parsed = FORMATS[name].parse(body, 1, ())
    assert parsed.requests.schema == RAW
    return parsed.requests.to_dict(as_series=False)


def reasons(name: str, text: str | bytes) -> list[tuple[int, str]]:
    body = text.encode() if isinstance(text, str) else text
    parsed = FORMATS[name].parse(body, 1, ())
    lines = body.count(b"\n")
    assert parsed.requests.height + parsed.rejects.height + parsed.directives == lines
    return parsed.rejects.select("line_number", "reason").rows()


def test_what_cloudfront_writes_as_a_dash_is_absent() -> None:
    text = cloudfront_header() + cloudfront(
        sc_status="000", sc_bytes=0, cs_User_Agent="-", x_host_header="-", x_edge_request_id="-"
    )
    rows = parse("cloudfront", text)
    assert (rows["status"], rows["bytes_sent"], rows["agent"]) == ([0], [0], [None])
    assert rows["host"] == ["d111.cloudfront.net"]  # the distribution's own, where none was asked for
    assert rows["request_id"] == [None] and rows["line_hash"] != [None]


def test_cloudfronts_agent_is_decoded_once() -> None:
    line = cloudfront(cs_User_Agent="Pocket%20Casts%2F7.1%2520x", x_forwarded_for="203.0.113.9,%2010.0.0.1")
    rows = parse("cloudfront", cloudfront_header() + line)
    assert rows["agent"] == ["Pocket Casts/7.1%20x"]
    assert rows["forwarded_for"] == ["203.0.113.9, 10.0.0.1"]


def test_cloudfront_fields_are_read_by_name_in_any_order_and_unknown_ones_ignored() -> None:
    shuffled = [*reversed(CLOUDFRONT_FIELDS), "asn", "origin-fbl"]
    straight = parse("cloudfront", cloudfront_header() + cloudfront())
    assert parse("cloudfront", cloudfront_header(shuffled) + cloudfront(shuffled)) == straight


def test_cloudfront_v2_tells_the_end_to_the_millisecond() -> None:
    fields = [*CLOUDFRONT_FIELDS, "timestamp(ms)"]
    line = cloudfront(fields, timestamp_ms=NOON_S * 1000 + 789)
    assert parse("cloudfront", cloudfront_header(fields) + line)["started_us"] == [
        NOON_US + 789_000 - 2_000_000
    ]


def test_cloudfront_v2_json_is_the_same_as_its_tsv() -> None:
    line = cloudfront(sc_status=206, sc_range_start=0, sc_range_end=99)
    as_json = json.dumps(dict(zip(CLOUDFRONT_FIELDS, line.rstrip("\n").split("\t"), strict=True))) + "\n"
    tsv = parse("cloudfront", cloudfront_header() + line)
    assert {**parse("cloudfront", as_json), "line_number": [3]} == tsv
    assert detect(as_json.encode()).NAME == "cloudfront"


def test_a_header_may_recur_with_other_fields_within_a_file() -> None:
    other = list(reversed(CLOUDFRONT_FIELDS))
    text = (
        cloudfront_header()
        + cloudfront(x_edge_request_id="a")
        + cloudfront_header(other)
        + cloudfront(other, x_edge_request_id="b")
        + "\n"
        + cloudfront_header()
        + cloudfront(x_edge_request_id="c")
    )
    rows = parse("cloudfront", text)
    assert rows["request_id"] == ["a", "b", "c"]
    assert rows["line_number"] == [3, 6, 10]


def test_the_header_is_carried_over_to_later_segments() -> None:
    first = FORMATS["cloudfront"].parse(cloudfront_header().encode(), 1, ())
    assert (first.directives, first.requests.height) == (2, 0)
    later = FORMATS["cloudfront"].parse(cloudfront().encode(), 3, first.header)
    assert later.requests["line_number"].to_list() == [3]


@pytest.mark.parametrize(
    ("field", "named"),
    [
        ("c-ip", "c-ip"),
        ("time-taken", "time-taken"),
        ("date", "'date' and 'time'"),
        ("sc-status", "sc-status"),
    ],
)
def test_a_missing_needed_field_refuses_the_file_naming_it(field: str, named: str) -> None:
    fields = [name for name in CLOUDFRONT_FIELDS if name != field]
    with pytest.raises(FileRefused, match=named):
        parse("cloudfront", cloudfront_header(fields) + cloudfront(fields))


def test_data_before_any_header_refuses_the_file() -> None:
    with pytest.raises(FileRefused, match="no #Fields line"):
        parse("cloudfront", cloudfront())


def test_windows_line_ends_are_no_part_of_the_last_field() -> None:
    line = cloudfront(sc_range_start=0, sc_range_end=99)
    text = (cloudfront_header() + line).replace("\n", "\r\n")
    assert parse("cloudfront", text)["range_end"] == [99]


def test_each_bad_cloudfront_line_says_what_is_wrong() -> None:
    text = (
        cloudfront_header()
        + cloudfront(sc_status="abc")
        + cloudfront(sc_bytes=-5)
        + cloudfront(date="2026-13-45")
        + "2026-09-29\t12:00:00\ta\tb\tc\td\te\n"
        + cloudfront(time_taken="-3")
        + cloudfront(time_taken="soon")
        + cloudfront()
        + "\n"
    )
    assert reasons("cloudfront", text) == [
        (3, "status is not a number: 'abc'"),
        (4, "bytes is negative: '-5'"),
        (5, "time is impossible: '2026-13-45 12:00:00'"),
        (6, "too few fields: 7 of 33"),
        (7, "time taken is negative: '-3'"),
        (8, "time taken is not a number: 'soon'"),
    ]


def test_a_raw_byte_that_is_no_utf8_is_percent_encoded() -> None:
    line = cloudfront(cs_uri_stem="/caf~.mp3").encode().replace(b"~", b"\xe9")
    assert parse("cloudfront", cloudfront_header().encode() + line)["path"] == ["/caf%E9.mp3"]
    line = nginx(uri="/caf~.mp3?x=~").encode().replace(b"~", b"\xe9")
    rows = parse("nginx", line)
    assert (rows["path"], rows["query"]) == (["/caf%E9.mp3"], ["x=%E9"])


def test_an_instant_is_exact_although_a_float_lies_just_below() -> None:
    # 1756720000.123 − 0.001 s
    assert parse("nginx", nginx(ts="1756720000.123", dur="0.001"))["started_us"] == [1_756_720_000_122_000]


def test_values_may_be_numbers_or_strings() -> None:
    assert parse("nginx", nginx(ts=1756720000.123, dur=0, status="200", bytes="7")) | {
        "line_hash": 0
    } == parse("nginx", nginx(ts="1756720000.123", dur="0.000", status=200, bytes=7)) | {"line_hash": 0}


def test_each_bad_json_line_says_what_is_wrong_and_the_others_are_kept() -> None:
    text = (
        nginx()
        + "{broken\n"
        + "\n"
        + '["a list"]\n'
        + nginx(status="x")
        + nginx(bytes=None)
        + nginx(ts="")
        + nginx()
        + " "
        + nginx()
    )
    found = reasons("nginx", text)
    assert reasons("nginx", text.replace("\n", "\r\n")) == found
    assert [number for number, _ in found] == [2, 4, 5, 6, 7]
    assert [reason.split(":")[0] for _, reason in found] == [
        "not JSON",
        "not a JSON object",
        "status is not a number",
        "bytes is missing",
        "time is missing",
    ]
    assert parse("nginx", text)["line_number"] == [1, 8, 9]


def test_a_missing_key_refuses_the_file_naming_it() -> None:
    line = {k: v for k, v in json.loads(nginx()).items() if k != "ip"}
    with pytest.raises(FileRefused, match=r"keys are missing: 'ip' \(client address\)"):
        parse("nginx", json.dumps(line) + "\n")


def test_caddy_without_trusted_proxies_has_the_connecting_address_only() -> None:
    rows = parse("caddy", caddy(request_client_ip="", duration="250ms"))
    # 12:00:00.123 − 0.250 s
    assert (rows["address"], rows["started_us"]) == (["198.51.100.1"], [NOON_US + 123_000 - 250_000])


@pytest.mark.parametrize(
    "ts",
    [
        NOON_S,
        float(NOON_S),
        NOON_S * 1000,
        NOON_S * 1_000_000,
        NOON_S * 1_000_000_000,
        "2026-09-29T14:00:00.000+0200",
        "2026-09-29T12:00:00Z",
    ],
)
def test_caddy_times_are_told_apart_by_their_magnitude(ts: object) -> None:
    assert parse("caddy", caddy(ts=ts, duration=0))["started_us"] == [NOON_US]


@pytest.mark.parametrize(
    ("zone", "wall", "utc"),
    [
        ("UTC", "2026/09/29 12:00:00.250", "2026-09-29T12:00:00.250Z"),
        ("Europe/Berlin", "2026/09/29 14:00:00", "2026-09-29T12:00:00Z"),  # summer: UTC+2
        ("Europe/Berlin", "2026/12/01 13:00:00", "2026-12-01T12:00:00Z"),  # winter: UTC+1
        ("Europe/Berlin", "2026/10/25 02:30:00", "2026-10-25T00:30:00Z"),  # comes twice: the first
        ("Europe/Berlin", "2026-09-29T12:00:00+00:00", "2026-09-29T12:00:00Z"),  # says its zone itself
    ],
)
def test_caddys_wall_clock_is_one_of_the_sources_zone(zone: str, wall: str, utc: str) -> None:
    body = (caddy(ts=wall, duration=0) + caddy(ts=NOON_S, duration=0)).encode()
    parsed = FORMATS["caddy"].parse(body, 1, (), zone)
    assert parsed.requests["started_us"].to_list() == [
        int(datetime.fromisoformat(utc).timestamp() * 1e6),
        NOON_US,
    ]


def test_an_hour_that_never_came_is_no_time() -> None:
    parsed = FORMATS["caddy"].parse(caddy(ts="2026/03/29 02:30:00").encode(), 1, (), "Europe/Berlin")
    assert parsed.rejects["reason"].to_list() == ["time is impossible: '2026/03/29 02:30:00'"]


def test_several_forwarded_headers_are_one_list() -> None:
    headers = {"X-Forwarded-For": ["198.51.100.9", "203.0.113.5, 10.0.0.1"]}
    assert parse("caddy", caddy(request_headers=headers))["forwarded_for"] == [
        "198.51.100.9, 203.0.113.5, 10.0.0.1"
    ]


def test_caddy_line_whose_headers_are_misshapen_is_a_reject_alone() -> None:
    text = caddy() + caddy(request_headers="none") + caddy()
    assert reasons("caddy", text) == [(2, "a field has an unexpected shape")]


def test_caddy_headers_are_read_as_json_has_them() -> None:
    agents = ['quote " and \\ and ü and \t', "plain", "[odd]", '["twice"]', ""]
    lines = [caddy(headers={"User-Agent": agent}) for agent in agents]
    lines.append(caddy(request_headers={"User-Agent": ["first", "second"]}))
    lines.append(caddy(request_headers={"User-Agent": []}))
    lines.append(caddy(request_headers={"User-Agent": "no array"}))
    lines.append(caddy(request_headers={}))
    lines.append(caddy().replace(APP, "\\u00e9\\u20ac"))
    found = parse("caddy", "".join(lines))["agent"]
    assert found == [*agents[:4], None, "first", None, "no array", None, "é€"]


def test_a_prefix_log_is_told_by_its_paths() -> None:
    assert detect(nginx().encode()).NAME == "nginx"
    assert detect(nginx(uri="/e/media.example.fm/1.mp3", status=302).encode()).NAME == "prefix"
    assert detect(caddy().encode()).NAME == "caddy"
    assert detect((cloudfront_header() + cloudfront()).encode()).NAME == "cloudfront"


@pytest.mark.parametrize(
    "head",
    [b"hello\n", b'{"a":1}\n', b"#Software: IIS\n#Fields: date time s-ip\n1\t2\n", b"\n \n", b"\xff\xfe\n"],
)
def test_an_unknown_format_is_refused_naming_the_known_ones(head: bytes) -> None:
    with pytest.raises(FileRefused, match="known are cloudfront, fastly, cloudflare, akamai, bunny, nginx"):
        detect(head)


def test_addresses_in_reasons_and_texts_of_rejects_are_removed(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    bad = cloudfront(sc_status=ADDRESS) + cloudfront(c_ip="2001:db8::beef", sc_status="::ffff:203.0.113.7")
    take(settings, land(settings, cloudfront_header() + bad + cloudfront() * 3))
    rejects = rejects_of(settings)
    assert rejects["reason"].to_list() == ["status is not a number: '<address>'"] * 2
    text = " ".join(rejects["text"])
    assert ADDRESS not in text and "beef" not in text and "203.0.113" not in text
    assert text.startswith("2026-09-29\\t12:00:00\\t")


def test_the_time_of_day_in_a_rejects_text_is_no_address(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    take(settings, land(settings, cloudfront_header() + cloudfront(sc_status="x") + cloudfront()))
    assert "12:00:00" in rejects_of(settings)["text"][0]


def test_a_prefix_line_leads_to_its_enclosure(tmp_path: Path) -> None:
    forms = [
        "/e/media.example.fm/1.mp3?a=1",
        "/e/https://media.example.fm/1.mp3?a=1",
        "/e/https%3A%2F%2Fmedia.example.fm%2F1.mp3?a=1",
        "/e/https%3A%2F%2Fmedia.example.fm%2F1.mp3%3Fa%3D1",
        "/e/pdst.fm/e/media.example.fm/1.mp3?a=1",
    ]
    lines = "".join(nginx(uri=uri, status=302, bytes=0, id=uri, host="prefix.example") for uri in forms)
    rows = requests_of(tmp_path, lines, "prefix")
    assert rows["enclosure_url"].to_list() == ["https://media.example.fm/1.mp3?a=1"] * 5
    assert rows["source_class"].unique().to_list() == ["prefix"]
    assert rows["served_bytes"].to_list() == [0] * 5
    assert rows["exclusion_reason"].to_list() == [None] * 5
