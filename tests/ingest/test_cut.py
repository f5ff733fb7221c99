"""The compiled reader: what it cuts must be what Polars would have read, line for line."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable

import orjson
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.logs import cut
from ingest.logs.coded import PURE, _cut, coded, is_compiled
from ingest.logs.cut import GIVEN, Column, Flag, Kind
from ingest.logs.formats import cloudfront, nginx
from ingest.logs.formats.base import Format, Parsed

pytestmark = pytest.mark.skipif(not is_compiled(), reason="the compiled reader was not built here")

FIELDS = [
    "date", "time", "sc-bytes", "c-ip", "cs-method", "cs(Host)", "cs-uri-stem", "sc-status", "cs(Referer)",
    "cs(User-Agent)", "cs-uri-query", "x-edge-request-id", "x-host-header", "time-taken", "x-forwarded-for",
    "sc-content-type", "sc-content-len", "sc-range-start", "sc-range-end",
]  # fmt: skip
GOOD = [
    "2026-09-29", "12:00:13", "5000420", "198.51.100.21", "GET", "d.example", "/show/1.mp3", "206", "-",
    "Pod/1%20(x)", "a=1", "id-7", "media.example", "1.25", "-", "audio/mpeg", "500", "0", "499",
]  # fmt: skip
OBJECT = {
    "ts": '"1788220803.000"', "dur": '"0.840"', "id": '"3b"', "ip": '"58.161.81.135"', "method": '"GET"',
    "host": '"media.example"', "uri": '"/a.mp3?x=1"', "status": "206", "bytes": "189241",
    "range": '"bytes=3-5"', "content_range": '"bytes 3-5/9"', "ua": '"Pod/1 (x)"', "ref": '""',
}  # fmt: skip

USUAL = 100  # so many good lines beside the odd ones
# Values near the edge of what is beyond doubt, for any field.
ODD = [
    b"", b"-", b"0", b"00", b"007", b"-1", b"+1", b" 1", b"1 ", b"1.0", b"1.5", b"0.0000001", b"1e3", b"1.50",
    b"999999999999999999", b"9999999999999999999", b"12345678901.5", b"1.1234567", b".5", b"5.", b"nan",
    b"2026-02-29", b"2024-02-29", b"2026-13-01", b"1969-12-31", b"24:00:00", b"23:59:60", b"99:99:99",
    b"\xe9", b"\xc3\xa9", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80", b"\0", b"\x7f", b"a\rb", b"#x",
    b"%2D", b"%C3%A9", b"%ff", b"a b", b"'\"", b"\\", b"GET", b"/e/x?y", b"?", b"bytes 0-1/*",
    b"bytes 1-2", b"*",
]  # fmt: skip
JSON_ODD = [
    *(b'"' + value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"' for value in ODD),
    b"0", b"7", b"007", b"-1", b"-0", b"1.5", b"1.50", b"0.0000001", b"1e3", b"123456789012345678901",
    b"true", b"null", b"nul", b"[]", b"{}", b"", b'"\\n"', b'"\\u00e9"', b'"\\ud800"', b'"\\x"', b'"',
    b'"a\tb"', b"'a'",
]  # fmt: skip


def purely(monkeypatch: pytest.MonkeyPatch, read: Callable[[], Parsed]) -> Parsed:
    """What Polars alone reads."""
    with monkeypatch.context() as patch:
        patch.setenv(PURE, "1")
        return read()


def assert_reads_the_same(log_format: Format, body: bytes) -> None:
    patch = pytest.MonkeyPatch()
    quickly = log_format.parse(body, 1, ())
    purely_read = purely(patch, lambda: log_format.parse(body, 1, ()))
    assert quickly.requests.to_dicts() == purely_read.requests.to_dicts()
    order = ["line_number", "reason"]
    assert quickly.rejects.sort(order).to_dicts() == purely_read.rejects.sort(order).to_dicts()
    assert (quickly.directives, quickly.lines) == (purely_read.directives, purely_read.lines)
    assert quickly.header == purely_read.header


def tsv(lines: list[bytes], newline: bytes = b"\n", ends: bool = True) -> bytes:
    head = [b"#Version: 1.0", b"#Fields: " + " ".join(FIELDS).encode()]
    return newline.join([*head, *lines]) + (newline if ends else b"")


@st.composite
def tsv_lines(draw: st.DrawFn) -> bytes:
    fields = [value.encode() for value in GOOD]
    for _ in range(draw(st.integers(0, 2))):
        fields[draw(st.integers(0, len(fields) - 1))] = draw(st.sampled_from(ODD))
    fields = fields[: draw(st.sampled_from([len(fields)] * 6 + [0, 1, len(fields) - 1]))]
    return b"\t".join([*fields, *draw(st.sampled_from([[], [], [], [b"more"], [b"", b""]]))])


@given(
    st.lists(tsv_lines(), min_size=8, max_size=24), st.sampled_from([b"\n", b"\n", b"\r\n"]), st.booleans()
)
def test_separated_lines_are_read_as_polars_reads_them(
    lines: list[bytes], newline: bytes, ends: bool
) -> None:
    usual = b"\t".join(value.encode() for value in GOOD)
    assert_reads_the_same(cloudfront, tsv([*lines, *[usual] * USUAL], newline, ends))


@st.composite
def json_lines(draw: st.DrawFn) -> bytes:
    items = [(f'"{key}"'.encode(), value.encode()) for key, value in OBJECT.items()]
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(items) - 1))
        items[at] = (items[at][0], draw(st.sampled_from(JSON_ODD)))
    more = [b'"x"', b'"ts"', b'"\\u0074s"', b'"\xc3\xa9"', b'"a\\nb"']
    items += [(key, b'"v"') for key in draw(st.lists(st.sampled_from(more), max_size=1))]
    if draw(st.integers(0, 4)) == 0:
        items = draw(st.permutations(items))
    comma, colon = draw(st.sampled_from([(b",", b":"), (b", ", b" : "), (b",\t", b":")]))
    line = b"{" + comma.join(key + colon + value for key, value in items) + b"}"
    cut_at = draw(st.sampled_from([len(line)] * 8 + [0, 1, 60, len(line) - 1]))
    return line[:cut_at] + draw(st.sampled_from([b""] * 6 + [b" ", b"\r", b"x", b",", b"}"]))


@pytest.mark.parametrize("half", [rb"\ud800", rb"\udc00", rb"\ud800x", rb"\ud83d\u0041"])
@pytest.mark.parametrize("neighbour", [b"", b"{torn"])
def test_half_a_character_is_no_json_whatever_the_other_lines_are(half: bytes, neighbour: bytes) -> None:
    line = b"{" + b",".join(f'"{key}":{value}'.encode() for key, value in OBJECT.items()) + b"}"
    whole = line.replace(b"Pod/1", rb"Pod \ud83c\udf99/1")
    broken = line.replace(b"Pod/1", half)
    assert whole != line != broken
    body = b"\n".join([*[line] * USUAL, whole, broken, *([neighbour] if neighbour else [])])
    parsed = nginx.parse(body, 1, ())
    assert parsed.requests.height == USUAL + 1
    assert parsed.rejects["line_number"].to_list()[0] == USUAL + 2
    assert parsed.rejects["reason"][0].startswith("not JSON")


@settings(max_examples=50)
@given(st.lists(json_lines(), min_size=8, max_size=24), st.booleans())
def test_json_lines_are_read_as_polars_reads_them(lines: list[bytes], ends: bool) -> None:
    usual = ("{" + ",".join(f'"{key}":{value}' for key, value in OBJECT.items()) + "}").encode()
    body = b"\n".join([usual, *lines, *[usual] * USUAL]) + (b"\n" if ends else b"")
    assert_reads_the_same(nginx, body)


@given(st.binary(max_size=400))
def test_whatever_a_body_holds_each_of_its_lines_is_a_row_blank_or_odd(body: bytes) -> None:
    columns = [Column("a", Kind.TEXT, "a", GIVEN), Column("b", Kind.CODE, "b"), Column("c", Kind.INT, "c")]
    lines = body.count(b"\n") + (not body.endswith(b"\n") and body != b"")
    for found in (cut.separated(body, "\t", ["a", "b", "c"], columns), cut.json(body, columns)):
        assert found.lines == lines == found.numbers.len() + found.blank + found.odd_numbers.len()
        numbers, odd = found.odd_lines(
            pl.Series([False], dtype=pl.Boolean).new_from_index(0, found.numbers.len())
        )
        assert [body.split(b"\n")[number] for number in numbers] == odd.split(b"\n")[:-1]


def test_each_kind_of_column() -> None:
    body = b"2026-09-29\t12:00:00\t1.5\tx\t-\t7\n2026-09-29\t12:00:01\t-\ty\tz\t-\nno\tdate\t1\ty\tz\t7\n"
    found = cut.separated(
        body,
        "\t",
        ["date", "time", "took", "text", "code", "number"],
        [
            Column("at", Kind.STAMP, "date"),
            Column("took", Kind.SECONDS, "took", Flag.ZERO_IF_DASH),
            Column("text", Kind.TEXT, "text"),
            Column("code", Kind.CODE, "code", Flag.NONE_IF_DASH),
            Column("number", Kind.INT, "number", Flag.NONE_IF_DASH),
        ],
    )
    noon_us = 1_790_683_200_000_000  # 2026-09-29 12:00 UTC
    assert found.plain["at"].to_list() == [noon_us, noon_us + 1_000_000]
    assert found.plain["took"].to_list() == [1_500_000, 0]
    assert found.plain["text"].to_list() == ["x", "y"]
    assert found.coded["code"].texts().to_list() == [None, "z"]
    assert found.plain["number"].to_list() == [7, None]
    assert (found.numbers.to_list(), found.odd_numbers.to_list()) == ([0, 1], [2])


def test_a_range_is_three_columns_and_none_where_there_is_none() -> None:
    body = b'{"r":"bytes 0-4/9"}\n{"r":"bytes 1-2/*"}\n{"r":""}\n{}\n{"r":"bytes"}\n{"q":1}\n'
    found = cut.json(body, [Column("r", Kind.CONTENT_RANGE, "r")])
    assert [found.plain[name].to_list() for name in cut.RANGE_COLUMNS] == [
        [0, 1, None, None],
        [4, 2, None, None],
        [9, None, None, None],
    ]
    assert found.odd_numbers.to_list() == [3, 4]


def test_many_distinct_values_keep_their_numbers() -> None:
    values = [f"value-{i % 5_000}-{'x' * (i % 41)}" for i in range(20_000)]
    body = "".join(f'{{"a":"{value}"}}\n' for value in values).encode()
    coded = cut.json(body, [Column("a", Kind.CODE, "a")]).coded["a"]
    assert coded.texts().to_list() == values
    assert coded.values.n_unique() == coded.values.len() == len(set(values))


def test_polars_alone_reads_where_the_setting_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_compiled()
    monkeypatch.setitem(os.environ, PURE, "1")
    assert not is_compiled()


@given(st.lists(st.none() | st.text(max_size=40), max_size=60), st.booleans())
def test_texts_are_coded_alike_with_and_without_the_compiled_module(
    texts: list[str | None], is_sliced: bool
) -> None:
    series = pl.concat(
        [pl.Series("t", part, dtype=pl.String) for part in (texts, texts[::-1])], rechunk=False
    )
    series = series.slice(3) if is_sliced else series
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PURE, "1")
        purely_coded = coded(series)
    compiled = coded(series)
    for each in (compiled, purely_coded):
        assert each.texts().to_list() == series.to_list()
        assert each.values.n_unique() == each.values.len() == series.drop_nulls().n_unique()


# Views hold texts of up to 12 bytes; longer ones with one beginning differ by where they lie.
NEAR = [
    "",
    "-",
    "x" * 12,
    "x" * 12 + "y",
    "x" * 13,
    "x" * 12 + "é",
    *(f"/shows/12/episode-{i}.mp3" for i in range(9)),
]


def assert_is_coded(texts: pl.Series) -> None:
    found = coded(texts)
    assert found.texts().to_list() == texts.to_list()
    assert found.values.to_list() == texts.drop_nulls().unique(maintain_order=True).to_list()


@given(
    st.lists(st.lists(st.none() | st.integers(0, 2 * len(NEAR) - 1), max_size=150), min_size=1, max_size=4),
    st.integers(0, 70),
    st.booleans(),
)
def test_texts_that_share_a_place_and_texts_that_do_not_are_coded_alike(
    rows: list[list[int | None]], start: int, is_apart: bool
) -> None:
    twice = pl.Series("t", NEAR * 2)  # each text has two places
    parts = [twice.gather(pl.Series(part, dtype=pl.UInt32)) for part in rows]
    if is_apart:  # each chunk with buffers of its own
        parts = [pl.Series("t", part.to_list(), dtype=pl.String) for part in parts]
    assert_is_coded(pl.concat(parts, rechunk=False).slice(start))


@pytest.mark.parametrize("repeats", [1, 5])
def test_more_texts_than_are_remembered_are_coded(repeats: int) -> None:
    values = pl.Series([f"https://media.example/episodes/{i}" for i in range(40_000)])
    rows = pl.Series(range(40_000 * repeats)) * 7_919 % values.len()
    assert_is_coded(values.gather(rows).append(values.gather(rows[::-1])))


def test_texts_whose_hashes_collide_keep_their_numbers() -> None:
    texts = pl.Series([f"{i % 700:05}" for i in range(2_100)])
    try:
        _cut.seed(5, 1)  # of texts of five bytes all hashes are 0
        assert_is_coded(texts)
        fields = [Column("text", Kind.CODE, "text"), Column("end", Kind.CODE, "end")]
        body = "".join(f"{text}\tx\n" for text in texts).encode()
        assert cut.separated(body, "\t", ["text", "end"], fields).coded["text"].texts().equals(texts)
    finally:
        _cut.seed(secrets.randbits(64), secrets.randbits(64))


@pytest.mark.parametrize("size", [10, 3_000])
def test_unescaped_values_wait_for_their_rows_whatever_lines_lie_between(size: int) -> None:
    values = [f'{"/" * size}"{i % 70}' for i in range(1_000)]
    ends = [b"}" if i % 3 else b"" for i in range(len(values))]
    lines = [b'{"a":"x","b":' + orjson.dumps(value) + end for value, end in zip(values, ends, strict=True)]
    columns = [Column("a", Kind.CODE, "a"), Column("b", Kind.CODE, "b"), Column("text", Kind.TEXT, "b")]
    found = cut.json(b"\n".join(lines), columns)
    whole = [value for i, value in enumerate(values) if i % 3]
    assert found.coded["b"].texts().to_list() == found.plain["text"].to_list() == whole
    assert found.odd_numbers.to_list() == list(range(0, 1_000, 3))


def test_absent_values_stay_absent_whatever_lines_lie_between() -> None:
    numbers = [None if i % 5 == 2 else i for i in range(1_000)]
    lines = [f"{'-' if n is None else n}\t{'x' if i % 7 == 3 else 7}\tz" for i, n in enumerate(numbers)]
    columns = [
        Column("n", Kind.INT, "n", GIVEN),
        Column("t", Kind.TEXT, "n", GIVEN),
        Column("c", Kind.INT, "c"),
    ]
    found = cut.separated("\n".join(lines).encode(), "\t", ["n", "c", "z"], columns)
    kept = [n for i, n in enumerate(numbers) if i % 7 != 3]
    assert found.plain["n"].to_list() == kept
    assert found.plain["t"].to_list() == [None if n is None else str(n) for n in kept]


@given(st.binary(max_size=300), st.integers(0, 320), st.integers(0, 320))
def test_newlines_are_counted_as_python_counts_them(body: bytes, start: int, stop: int) -> None:
    body = body.replace(b"a", b"\n")
    assert cut.newlines(body, start, stop) == body.count(b"\n", start, stop)
    assert cut.newlines(body) == body.count(b"\n")


@given(st.lists(st.binary(max_size=20) | st.binary(max_size=20).map(memoryview)))
def test_pieces_are_joined_as_python_joins_them(pieces: list[bytes | memoryview]) -> None:
    assert cut.joined(pieces) == b"".join(pieces)


def test_pieces_of_many_pages_are_joined() -> None:
    pieces: list[bytes | memoryview] = [bytes([i]) * 700_001 for i in range(20)]
    assert cut.joined(pieces) == b"".join(pieces)


def test_only_bytes_are_joined() -> None:
    with pytest.raises(TypeError):
        cut.joined([b"a", "b"])  # type: ignore[list-item]


def test_only_texts_are_coded() -> None:
    with pytest.raises(TypeError, match="not a column of texts"):
        coded(pl.Series([1, 2]))
