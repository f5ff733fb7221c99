"""CSV files and plain lists: every line is a registration or a reject with its number and reason."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry import registration
from registry.csv_lines import MAX_LINE_BYTES, ListError
from registry.lists import read_csv, read_urls
from registry.registration import Registration, Reject

A, B = "https://a.example.com/feed.xml", "https://b.example.com/feed.xml"


def csv_of(tmp_path: Path, text: str | bytes) -> list[Registration | Reject]:
    path = tmp_path / "shows.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return list(read_csv(path))


def judged(found: list[Registration | Reject]) -> list[str | tuple[int, str]]:
    return [each.url if isinstance(each, Registration) else (each.line, each.reason) for each in found]


def test_all_columns_are_read_in_any_order(tmp_path: Path) -> None:
    text = (
        "title,guid,since,podcastindex_id,itunes_id,show_id,labels,tenant,URL\n"
        f'"A, the show",917393E3-1B1E-5CEF-ACE4-EDAA54E1F810,2026-09-01,7,6,s-1,lead|customer,acme,{A}\n'
        f",,,,,,,,{B}\n"
    )
    assert csv_of(tmp_path, text) == [
        Registration(
            A,
            "acme",
            ("customer", "lead"),
            "917393e3-1b1e-5cef-ace4-edaa54e1f810",
            6,
            7,
            "s-1",
            1_788_220_800_000_000,  # 2026-09-01 00:00 UTC: 20,697 days
        ),
        Registration(B),
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_what_spreadsheets_write_is_read(tmp_path: Path, delimiter: str, newline: str, mark: str) -> None:
    rows = [["tenant", "url", "labels"], ["acme", A, "x"], ["", B], [], ["acme", f'"{A}"', '"y, z"']]
    text = mark + newline.join(delimiter.join(row) for row in rows)
    assert csv_of(tmp_path, text) == [
        Registration(A, "acme", ("x",)),
        Registration(B),
        Registration(A, "acme", ("y", "z")),
    ]


def test_given_tenant_and_labels_are_added(tmp_path: Path) -> None:
    path = tmp_path / "shows.csv"
    path.write_text(f"url,tenant,labels\n{A},,x\n{B},other,\n")
    assert list(read_csv(path, "acme", ["lead"])) == [
        Registration(A, "acme", ("lead", "x")),
        Registration(B, "other", ("lead",)),
    ]


@pytest.mark.parametrize(
    ("line", "reason", "detail"),
    [
        (",", "no_url", "no URL"),
        ("ftp://a.example.com/f,", "bad_url", "ftp"),
        ("https://user:pw@a.example.com/f,", "bad_url", "credentials"),
        (f"{A},two words", "bad_value", "tenant 'two words'"),
        (f"{A},{'x' * 65}", "bad_value", "tenant"),
        (f"{A},,a/b", "bad_value", "label 'a/b'"),
        (f"{A},,,12x", "bad_value", "itunes_id '12x'"),
        (f"{A},,,-1", "bad_value", "itunes_id"),
        (f"{A},,,{'9' * 20}", "bad_value", "itunes_id"),
        (f"{A},,,,yesterday", "bad_value", "since 'yesterday'"),
        (f"{A},,,,,a\x00b", "bad_value", "show_id"),
        (f"{A},,,,,,too,many", "bad_line", "more fields"),
        (f'"{A}"x,', "bad_line", "not CSV"),
    ],
)
def test_a_bad_line_is_rejected_and_the_rest_goes_on(
    tmp_path: Path, line: str, reason: str, detail: str
) -> None:
    found = csv_of(tmp_path, f"url,tenant,labels,itunes_id,since,show_id\n{B}\n{line}\n{A}\n")
    assert judged(found) == [B, (3, reason), A]
    assert isinstance(found[1], Reject)
    assert found[1].name == "shows.csv" and detail in found[1].detail


def test_bytes_that_are_not_utf8_cost_their_line_only(tmp_path: Path) -> None:
    text = b"url\n" + A.encode() + b"\nhttps://\xe9.example.com/\n" + B.encode()
    assert judged(csv_of(tmp_path, text)) == [A, (3, "bad_line"), B]


def test_a_line_without_end_costs_itself_only(tmp_path: Path) -> None:
    long = b"https://a.example.com/" + b"x" * (3 * MAX_LINE_BYTES)
    text = b"url\n" + A.encode() + b"\n" + long + b"\n" + B.encode()
    assert judged(csv_of(tmp_path, text)) == [A, (3, "bad_line"), B]


def test_a_quoted_field_may_span_lines(tmp_path: Path) -> None:
    text = f'url,description\n{A},"first\nsecond ""quoted""\nthird"\n{B},x\nnonsense,y\n'
    assert judged(csv_of(tmp_path, text)) == [A, B, (6, "bad_url")]


def test_a_quote_that_is_never_closed_costs_its_line_only(tmp_path: Path) -> None:
    lines = [f'{A},"open', *(f"https://example.com/{n},x" for n in range(200))]
    found = judged(csv_of(tmp_path, "url,description\n" + "\n".join(lines)))
    assert found == [(2, "bad_line"), *(f"https://example.com/{n}" for n in range(200))]


def test_a_quote_never_closed_at_the_end_does_not_take_the_last_lines_along(tmp_path: Path) -> None:
    found = judged(csv_of(tmp_path, f'url,d\n{A},"open\n{B},x\n"https://c.example.com/\n'))
    # The quotes of lines 2 and 4 make one field of what stands between them.
    assert found in ([(2, "bad_line")], [(2, "bad_line"), B, (4, "bad_line")])
    assert judged(csv_of(tmp_path, f'url,d\n{A},"open\n{B},x\n')) == [(2, "bad_line"), B]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is empty"),
        (b"feed,name\n", "column 'url' is missing"),
        (b"url,URL\n", "twice"),
        ("url\n".encode("utf-16"), "not UTF-8"),
        (b'url,"x\n', "never closed"),
    ],
)
def test_a_file_without_usable_header_is_refused(tmp_path: Path, text: bytes, message: str) -> None:
    with pytest.raises(ListError, match=message) as error:
        csv_of(tmp_path, text)
    assert "shows.csv" in str(error.value)


def test_a_plain_list_has_a_url_a_line(tmp_path: Path) -> None:
    path = tmp_path / "urls.txt"
    path.write_bytes(f"\ufeff# ours\n\n  {A}  \r\nnonsense\n{B}".encode())
    assert list(read_urls(path, "acme", ["lead"])) == [
        Registration(A, "acme", ("lead",)),
        Reject("urls.txt", 4, "bad_url", "not an absolute URL: 'nonsense'"),  # type: ignore[arg-type]
        Registration(B, "acme", ("lead",)),
    ]


@given(st.binary(max_size=400))
def test_no_bytes_break_the_reading(tmp_path_factory: pytest.TempPathFactory, junk: bytes) -> None:
    path = tmp_path_factory.mktemp("junk") / "shows.csv"
    path.write_bytes(b"url,tenant\n" + junk + b"\n\n")
    lines = path.read_bytes().count(b"\n")
    for found in read_csv(path):
        assert isinstance(found, Registration) or 2 <= found.line <= lines


def test_what_a_file_says_again_is_a_duplicate_and_what_it_adds_is_not(tmp_path: Path) -> None:
    http = A.replace("https", "http")
    text = f"url,tenant,labels\n{A},,x\n{http},,x\n{A},acme,x\n{A},,y\n{A}/,,x\n"
    found = csv_of(tmp_path, text)
    assert judged(found) == [A, (3, "duplicate"), A, A, (6, "duplicate")]


def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "MAX_REMEMBERED", 1000)
    path = tmp_path / "shows.csv"
    with path.open("w") as file:
        file.write("url,labels,description\n")
        for n in range(60_000):
            file.write(f"https://example{n % 7}.com/{n},lead,{'some text ' * 5}\n")
    tracemalloc.start()
    try:
        assert sum(isinstance(found, Registration) for found in read_csv(path)) == 60_000
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
