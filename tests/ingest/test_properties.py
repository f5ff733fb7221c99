"""What must hold for any bytes: no line is lost, nothing but FileRefused is raised, order does not matter."""

from __future__ import annotations

import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ingest.lake import Lake
from ingest.logs.errors import FileRefused
from ingest.logs.formats import FORMATS
from ingest.logs.listeners import KeyRing
from tests.ingest.samples import (
    akamai,
    bunny,
    caddy,
    cloudflare,
    cloudfront,
    cloudfront_header,
    fastly,
    land,
    nginx,
    settings_of,
    take,
)

HEADER = cloudfront_header().encode()
BUILDERS = (cloudfront, fastly, cloudflare, akamai, bunny, nginx, caddy)
GOOD = {build.__name__: build().encode() for build in BUILDERS}
GOOD["prefix"] = nginx(uri="/e/media.example.fm/1.mp3", status=302).encode()

JUNK = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=30).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from(
        [
            *(
                b"",
                b" ",
                b"\t" * 40,
                b"#",
                b"#Fields:",
                b"{}",
                b"{",
                b"[]",
                b'{"ts":1}',
                b'{"ts":{}}',
                b"null",
                b"\xef\xbb\xbf",
            ),
            *(
                b'{"a":1}{"a":2}',
                b'{"request":[]}',
                b'{"request":{"headers":{"Range":"x"}},"ts":1}',
                b'{"ts":"\\ud800"}',
            ),
            *(b'{"ts":1e999}', b'{"ts":NaN}', b"[" * 3000, b'{"ip":' * 2000, b'"' * 5, b"\r", b"\0", b"\x01"),
            *(b"|" * 30, b"HIT|200|1790683200500|1|", b"a|b", b"#|" * 12),
            *(b'{"RequestHeaders":[],"RayID":{}}', b'{"ResponseHeaders":{"content-range":{"x":1}}}'),
            *(
                b'{"EdgeStartTimestamp":"9e18"}',
                b'{"reqTimeSec":"1e11","UA":"%"}',
                b'{"start_ms":"9' + b"9" * 30 + b'"}',
            ),
            b'{"ts":1,"ts":2,"status":"9223372036854775808","bytes":-1}',
        ]
    ),
).map(lambda line: line.replace(b"\n", b"") + b"\n")


def lines_of(name: str) -> st.SearchStrategy[list[bytes]]:
    """Good lines, good lines with bytes damaged, and junk."""

    def damaged(at: int, byte: int) -> bytes:
        line = bytearray(GOOD[name])
        line[at % (len(line) - 1)] = 32 if byte == 10 else byte
        return bytes(line)

    broken = st.builds(damaged, st.integers(0, 10_000), st.integers(0, 255))
    cut = st.integers(0, 600).map(lambda at: GOOD[name][: at % len(GOOD[name])].rstrip(b"\n") + b"\n")
    return st.lists(st.one_of(st.just(GOOD[name]), broken, cut, JUNK), max_size=12)


@pytest.mark.parametrize("name", list(FORMATS))
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_parsing_any_bytes_accounts_for_every_line(name: str, data: st.DataObject) -> None:
    lines = [GOOD[name], *data.draw(lines_of(name))]
    body = (HEADER if name == "cloudfront" else b"") + b"".join(lines)
    try:
        parsed = FORMATS[name].parse(body, 1, ())
    except FileRefused:
        return
    assert parsed.lines == body.count(b"\n")
    numbers = [*parsed.requests["line_number"], *parsed.rejects["line_number"]]
    assert len(set(numbers)) == len(numbers)
    assert parsed.rejects["reason"].null_count() == 0


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_taking_in_any_file_accounts_for_every_line(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(list(FORMATS)))
    lines = data.draw(st.one_of(lines_of(name), st.lists(JUNK, max_size=5)))
    content = (HEADER if name == "cloudfront" else b"") + b"".join(lines)
    with tempfile.TemporaryDirectory() as folder:
        options = settings_of(Path(folder), max_reject_share=1.0)
        report = take(options, land(options, content), keyring=KeyRing.ephemeral())
        (row,) = report.files.to_dicts()
        assert row["lines"] == row["requests"] + row["rejects"]
        if row["status"] == "taken":
            assert row["lines"] + row["directives"] == content.count(b"\n")
            assert Lake(options.lake_dir).requests().collect().height == row["requests"]


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(40)), st.sampled_from([4096, 9000, 2**26]))
def test_the_order_of_lines_and_the_size_of_segments_change_no_request(
    order: list[int], segment_bytes: int
) -> None:
    ring = KeyRing.ephemeral()
    lines = [
        cloudfront(x_edge_request_id=i, cs_uri_stem=f"/{i % 3}.mp3", c_ip=f"203.0.113.{i % 4}", time_taken=i)
        for i in range(40)
    ]

    def taken(text: str, size: int) -> pl.DataFrame:
        with tempfile.TemporaryDirectory() as folder:
            options = settings_of(Path(folder), segment_bytes=size)
            take(options, land(options, text), keyring=ring)
            frame = Lake(options.lake_dir).requests().sort("request_key").collect()
            return frame.drop("file_id", "line_number")

    straight = taken(cloudfront_header() + "".join(lines), 2**26)
    shuffled = taken(cloudfront_header() + "".join(lines[i] for i in order), segment_bytes)
    assert_frame_equal(straight, shuffled)
