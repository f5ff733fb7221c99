"""What Fastly, Cloudflare, Akamai and Bunny log in their own ways; the ordinary lines are in test_golden."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.logs.errors import FileRefused
from ingest.logs.formats import FORMATS, detect
from tests.ingest.samples import (
    NOON_S,
    NOON_US,
    akamai,
    bunny,
    cloudflare,
    cloudfront,
    cloudfront_header,
    fastly,
    nginx,
    requests_of,
)
from tests.ingest.test_formats import parse, reasons

OVERCAST = "Overcast/3.0 (+http://overcast.fm/; iOS podcast app)"


# --- Fastly


def test_fastly_tells_the_begin_in_milliseconds() -> None:
    assert parse("fastly", fastly(start_ms=f"{NOON_S}007"))["started_us"] == [NOON_US + 7_000]


@pytest.mark.parametrize("absent", ["", "(null)", "-"])
def test_a_header_that_was_not_sent_is_absent_however_vcl_shows_it(absent: str) -> None:
    rows = parse("fastly", fastly(ua=absent, ref=absent, range=absent, xff=absent, content_range=absent))
    names = ("agent", "referrer", "request_range", "forwarded_for", "range_start")
    assert [rows[name] for name in names] == [[None]] * 5


def test_the_format_string_in_the_module_and_the_readme_names_every_key_that_is_read() -> None:
    sample = json.loads(fastly())
    documented = FORMATS["fastly"].__doc__ or ""
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    for key in sample:
        assert f'"{key}":"%{{' in documented and f'"{key}":"%{{' in readme, key


# --- Cloudflare


@pytest.mark.parametrize(
    "stamp", ["2026-09-29T12:00:00Z", "2026-09-29T12:00:00.000Z", NOON_S, NOON_S * 10**9, str(NOON_S)]
)
def test_logpushs_timestamps_are_read_in_each_of_their_formats(stamp: object) -> None:
    line = cloudflare(EdgeStartTimestamp=stamp, EdgeEndTimestamp=NOON_S + 9)
    assert parse("cloudflare", line)["started_us"] == [NOON_US]


def test_without_the_begin_logpushs_end_is_the_time() -> None:
    value = json.loads(cloudflare(EdgeEndTimestamp="2026-09-29T12:00:00Z"))
    del value["EdgeStartTimestamp"]
    assert parse("cloudflare", json.dumps(value) + "\n")["started_us"] == [NOON_US]


def test_ranges_come_from_custom_fields_and_are_null_without() -> None:
    custom = {
        "RequestHeaders": {"range": "bytes=100-299", "x-forwarded-for": "203.0.113.9", "cookie": "x"},
        "ResponseHeaders": {"content-range": "bytes 100-299/300", "content-length": "200"},
    }
    rows = parse("cloudflare", cloudflare(EdgeResponseStatus=206, **custom) + cloudflare())
    assert (rows["range_start"], rows["range_end"]) == ([100, None], [299, None])
    assert (rows["resource_bytes"], rows["content_length"]) == ([300, None], [200, None])
    assert (rows["request_range"], rows["forwarded_for"]) == (["bytes=100-299", None], ["203.0.113.9", None])


def test_the_path_stands_in_where_the_uri_is_not_pushed() -> None:
    value = json.loads(cloudflare(ClientRequestPath="/show/2.mp3"))
    assert parse("cloudflare", json.dumps(value) + "\n")["path"] == ["/show/1.mp3"]
    del value["ClientRequestURI"]
    assert parse("cloudflare", json.dumps(value) + "\n")["path"] == ["/show/2.mp3"]


# --- Akamai


def akamai_reasons(tmp_path: Path, name: str, *lines: str) -> list[object]:
    return requests_of(tmp_path / name, "".join(lines))["exclusion_reason"].to_list()


def test_r07_akamais_000_with_bytes_is_a_206_that_ended_early_and_may_count(tmp_path: Path) -> None:
    rows = parse("akamai", akamai(statusCode="000", bytes="700000", range="0-"))
    assert (rows["status"], rows["bytes_sent"], rows["request_range"]) == ([206], [700000], ["bytes=0-"])
    early = akamai(statusCode="0", bytes="700000", range="0-")
    assert akamai_reasons(tmp_path, "early", early) == [None]
    # Every other rule still holds: a bot, a probe, a POST.
    probe = akamai(statusCode="000", bytes="2", range="0-1", rspContentLen="2")
    bot, post = (akamai(statusCode="000", **v) for v in ({"UA": "FooCrawler/1.0"}, {"reqMethod": "POST"}))
    assert akamai_reasons(tmp_path, "others", probe, bot, post) == ["probe", "bot", "method"]


def test_r07_akamais_000_without_bytes_and_cloudfronts_000_never_count(tmp_path: Path) -> None:
    assert akamai_reasons(tmp_path, "none", akamai(statusCode="000", bytes="0")) == ["status"]
    left = cloudfront_header() + cloudfront(sc_status="000", sc_bytes=700000)
    assert requests_of(tmp_path / "cloudfront", left)["exclusion_reason"].to_list() == ["status"]


@pytest.mark.parametrize(
    ("logged", "agent"),
    [
        ("Mozilla/5.0%20(X11)%2520x", "Mozilla/5.0 (X11)%20x"),  # once
        ("Overcast/3.0%20(+http://overcast.fm/;%20iOS%20podcast%20app)", OVERCAST),  # + is a plus …
        ("Mozilla%2F5.0+%28Macintosh%3B+1%2B1%29", "Mozilla/5.0 (Macintosh; 1+1)"),  # … but in a form
        ("Overcast%2F3.0%20(+http:%2F%2Fx)", "Overcast/3.0 (+http://x)"),
        ("H%C3%B6rer", "Hörer"),
    ],
)
def test_akamais_agent_is_decoded_once_as_it_was_encoded(logged: str, agent: str) -> None:
    rows = parse("akamai", akamai(UA=logged, referer="https%3A%2F%2Fx.example%2Fa%2520b", xForwardedFor="-"))
    assert (rows["agent"], rows["referrer"], rows["forwarded_for"]) == (
        [agent],
        ["https://x.example/a%20b"],
        [None],
    )


@pytest.mark.parametrize("written", ["37334-42356", "bytes=37334-42356", "bytes%3D37334-42356"])
def test_akamais_range_is_read_with_and_without_its_unit(written: str) -> None:
    rows = parse("akamai", akamai(statusCode="206", range=written))
    assert (rows["range_start"], rows["range_end"]) == ([37334], [42356])
    assert rows["request_range"] == ["bytes=37334-42356"]


@pytest.mark.parametrize(
    ("values", "size"),
    [
        ({"range": "0-999", "objSize": "29000000", "rspContentLen": "1000"}, 29_000_000),
        ({"range": "0-999", "objSize": "1000", "rspContentLen": "1000"}, None),  # of the part, or of all?
        ({"range": "37334-42356", "objSize": "484", "rspContentLen": "5000"}, None),  # Akamai's own sample
        ({"range": "5000-", "objSize": "4000", "rspContentLen": None}, None),
    ],
)
def test_an_object_size_that_may_be_the_parts_is_not_taken_for_the_files(
    values: dict[str, str | None], size: int | None
) -> None:
    assert parse("akamai", akamai(statusCode="206", bytes="900", **values))["resource_bytes"] == [size]


def test_what_akamai_leaves_out_is_absent_and_not_a_reject() -> None:
    rows = parse("akamai", akamai() + akamai(UA=None, reqId=None, rspContentLen=None, rspContentType=None))
    assert rows["agent"][1] is None and rows["line_hash"][1] is not None


# --- Bunny


def test_bunny_tells_when_a_request_was_completed_and_has_no_method_and_no_range() -> None:
    rows = parse("bunny", bunny(time_ms=f"{NOON_S}250", url="https://media.example.fm/a.mp3?x=1?y"))
    assert rows["started_us"] == [NOON_US + 250_000]
    assert (rows["method"], rows["range_start"], rows["request_range"]) == ([None], [None], [None])
    assert (rows["host"], rows["path"], rows["query"]) == (["media.example.fm"], ["/a.mp3"], ["x=1?y"])


def test_further_fields_behind_bunnys_twelve_are_ignored() -> None:
    straight = parse("bunny", bunny())
    assert parse("bunny", bunny("extended", 7)) == straight
    assert detect(bunny("extended", 7).encode()).NAME == "bunny"


def test_a_value_with_the_separator_in_it_is_a_reject_and_not_another_listeners_line() -> None:
    forged = bunny(referrer="x|https://media.example.fm/other.mp3|DE|AntennaPod/3|0|DE")
    piped = bunny(agent="App|1.0")
    told = "a value contains '|': the fields cannot be told apart"
    assert reasons("bunny", bunny() + forged + piped + bunny()) == [(2, told), (3, told)]


def test_a_get_is_assumed_where_the_format_has_no_method(tmp_path: Path) -> None:
    assert requests_of(tmp_path, bunny())["exclusion_reason"].to_list() == [None]


def test_r20_neighbours_with_the_same_app_are_one_listener_where_addresses_are_cut_short(
    tmp_path: Path,
) -> None:
    cut = bunny(address="203.0.113.0") + bunny(address="203.0.113.0", request_id="b" * 32)
    whole = nginx(ip="203.0.113.7") + nginx(ip="203.0.113.8", id="id-2")
    assert requests_of(tmp_path / "bunny", cut)["listener_key"].n_unique() == 1
    assert requests_of(tmp_path / "nginx", whole)["listener_key"].n_unique() == 2


def test_each_bad_bunny_line_says_what_is_wrong() -> None:
    lines = [bunny(), bunny(time_ms="soon"), bunny(bytes_sent=-5), bunny(status="abc"), "HIT|200|17\n", "\n"]
    assert reasons("bunny", "".join(lines)) == [
        (2, "time is impossible: 'soon'"),
        (3, "bytes is negative: '-5'"),
        (4, "status is not a number: 'abc'"),
        (5, "too few fields: 3 of 12"),
    ]


# --- all of them

LINES: dict[str, Callable[[], str]] = {"fastly": fastly, "cloudflare": cloudflare, "akamai": akamai}


@pytest.mark.parametrize(
    ("name", "key", "named"),
    [
        ("fastly", "start_ms", None),
        ("fastly", "ip", "'ip' (client address)"),
        ("fastly", "bytes", "'bytes' (body bytes sent)"),
        ("cloudflare", "ClientIP", "'ClientIP' (client address)"),
        ("cloudflare", "EdgeResponseBodyBytes", "'EdgeResponseBodyBytes' (body bytes sent)"),
        ("cloudflare", "ClientRequestURI", "'ClientRequestURI' (path and query)"),
        ("akamai", "reqTimeSec", "'reqTimeSec' (begin of the request, epoch seconds)"),
        ("akamai", "UA", "'UA' (user agent)"),
    ],
)
def test_a_key_that_is_needed_and_never_there_refuses_the_file_naming_it(
    name: str, key: str, named: str | None
) -> None:
    value = json.loads(LINES[name]())
    del value[key]
    line = (json.dumps(value) + "\n").encode()
    with pytest.raises(FileRefused) as refused:
        detect(line).parse(line, 1, ())
    assert str(refused.value).startswith(f"keys are missing: {named}" if named else "no known log format")


def test_logpush_without_any_time_is_refused_naming_it() -> None:
    value = json.loads(cloudflare())
    del value["EdgeStartTimestamp"], value["EdgeEndTimestamp"]
    with pytest.raises(FileRefused, match="'EdgeStartTimestamp' \\(time\\)"):
        parse("cloudflare", json.dumps(value) + "\n")


def test_a_bunny_file_with_fewer_fields_is_refused_naming_the_first_that_is_missing() -> None:
    cut = "|".join(bunny().split("|")[:9]) + "\n"
    with pytest.raises(FileRefused, match="lines have 9 of 12, from 'agent' on"):
        detect((cut * 3).encode()).parse((cut * 3).encode(), 1, ())


@pytest.mark.parametrize("name", LINES)
def test_a_number_and_its_text_are_the_same(name: str) -> None:
    value = json.loads(LINES[name]())
    as_text = {key: str(item) if isinstance(item, int) else item for key, item in value.items()}
    assert parse(name, json.dumps(as_text) + "\n") == parse(name, json.dumps(value) + "\n")
