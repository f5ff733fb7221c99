"""OPML files: as apps export them, broken in the usual ways, and made to harm."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry import registration
from registry.csv_lines import ListError
from registry.opml import CHUNK_BYTES, PARSER_TELLS, read_opml
from registry.registration import Registration, Reject, RejectReason

A, B = "https://a.example.com/feed.xml", "https://b.example.com/feed.xml"


def opml_of(tmp_path: Path, text: str | bytes) -> list[Registration | Reject]:
    path = tmp_path / "shows.opml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return list(read_opml(path))


def body(text: str) -> str:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<opml version="2.0"><body>\n{text}\n</body></opml>'


def judged(found: list[Registration | Reject]) -> list[str | tuple[int, str]]:
    return [each.url if isinstance(each, Registration) else (each.line, each.reason) for each in found]


def test_outlines_of_any_depth_and_spelling_are_read(tmp_path: Path) -> None:
    text = body(
        f'<outline text="Folder"><outline text="Inner"><outline type="rss" xmlUrl="{A}"/></outline>\n'
        '<outline type="rss" XMLURL="https://c.example.com/"/></outline>\n'
        f'<outline text="by url" url="{B}"/>\n'
        '<outline text="a feed that holds another" xmlUrl="https://d.example.com/">'
        '<outline xmlUrl="https://e.example.com/"/></outline>'
    )
    assert sorted(map(str, judged(opml_of(tmp_path, text)))) == [
        A,
        B,
        "https://c.example.com/",
        "https://d.example.com/",
        "https://e.example.com/",
    ]


def test_tenant_and_labels_are_given_to_all(tmp_path: Path) -> None:
    path = tmp_path / "shows.opml"
    path.write_text(body(f'<outline xmlUrl="{A}"/>'))
    assert list(read_opml(path, "acme", ["lead"])) == [Registration(A, "acme", ("lead",))]


def test_junk_outlines_are_rejected_and_the_rest_goes_on(tmp_path: Path) -> None:
    text = body(
        f'<outline xmlUrl="{A}"/>\n'
        '<outline text="no feed"/>\n'
        '<outline text="a page" type="link" url="https://example.com/"/>\n'
        '<outline xmlUrl="javascript:alert(1)"/>\n'
        '<outline xmlUrl="   "/>\n'
        f'<outline xmlUrl="{B}"/>'
    )
    found = opml_of(tmp_path, text)
    assert judged(found) == [A, (4, "no_url"), (5, "no_url"), (6, "bad_url"), (7, "no_url"), B]
    assert isinstance(found[1], Reject) and "'no feed'" in found[1].detail


def test_duplicates_are_told_with_their_line(tmp_path: Path) -> None:
    text = body(f'<outline xmlUrl="{A}"/>\n<outline><outline xmlUrl="{A}"/></outline>\n<outline url="{A}/"/>')
    assert judged(opml_of(tmp_path, text)) == [A, (4, "duplicate"), (5, "duplicate")]


def test_a_bare_ampersand_does_not_change_a_url(tmp_path: Path) -> None:
    text = body(
        '<outline text="Q & A &eacute; &copy" xmlUrl="https://example.com/?a=1&b=2&amp;c=3&lt=4&#38;d=5"/>'
    )
    assert judged(opml_of(tmp_path, text)) == ["https://example.com/?a=1&b=2&c=3&lt=4&d=5"]


@pytest.mark.parametrize("offset", range(-14, 3))
def test_an_ampersand_at_the_edge_of_what_is_read_is_no_other(tmp_path: Path, offset: int) -> None:
    start = body("").index("\n</body>")
    padding = (
        "<!--"
        + "x" * (CHUNK_BYTES + offset - start - len('<!---->\n<outline xmlUrl="https://e.com/?a=1'))
        + "-->"
    )
    text = body(f'{padding}\n<outline xmlUrl="https://e.com/?a=1&amp;b=2&c=3"/>')
    assert judged(opml_of(tmp_path, text)) == ["https://e.com/?a=1&b=2&c=3"]


def test_broken_xml_is_told_with_its_line_and_reading_goes_on(tmp_path: Path) -> None:
    text = body(f'<outline text="1 < 2" xmlUrl="{A}"/>\n<outline>\n</wrong>\n<outline xmlUrl="{B}"/>')
    found = judged(opml_of(tmp_path, text))
    assert [each for each in found if isinstance(each, str)] == [A, B]
    assert {(3, "bad_line"), (5, "bad_line")} < set(found)


def test_what_stands_behind_the_end_is_not_lost_unsaid(tmp_path: Path) -> None:
    text = body(f'<outline xmlUrl="{A}"/></outline></outline>' + f'\n<outline xmlUrl="{B}"/>' * 3)
    found = opml_of(tmp_path, text)
    assert judged(found)[0] == A
    details = [each.detail for each in found if isinstance(each, Reject)]
    assert "3 outlines behind errors were not read" in details


def test_a_file_that_breaks_off_gives_what_stands_before(tmp_path: Path) -> None:
    text = body(f'<outline xmlUrl="{A}"/>\n<outline xmlUrl="{B}"/>')
    found = judged(opml_of(tmp_path, text[: text.index(B)]))
    assert found[0] == A and (3, "bad_line") in found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "it is empty"),
        (b"these are not the feeds you look for", "not XML"),
        (b"\0\1\2\3" * 100, "not XML"),
        (b"<rss><channel/></rss>", "not OPML: it begins with <rss>"),
        (b"<!DOCTYPE html><html><body/></html>", "not OPML: it begins with <html>"),
        (body("").encode("utf-16"), "UTF-16"),
    ],
)
def test_what_is_no_opml_is_refused(tmp_path: Path, text: bytes, message: str) -> None:
    with pytest.raises(ListError, match=message):
        opml_of(tmp_path, text)


BOMB = "<!DOCTYPE opml [<!ENTITY a0 'ha'>" + "".join(
    f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 12)
)


@pytest.mark.parametrize(
    "prolog",
    [
        f"{BOMB}]>",
        "<!DOCTYPE opml [<!ENTITY a11 SYSTEM 'file:///etc/passwd'>]>",
        "<!DOCTYPE opml [<!ENTITY % remote SYSTEM 'http://127.0.0.1:1/x.dtd'> %remote;]>",
        " " * (CHUNK_BYTES - 60) + "<!DOCTYPE opml [<!ENTITY a11 'x'>]>",  # across what is read at once
    ],
)
def test_entities_are_refused(tmp_path: Path, prolog: str) -> None:
    with pytest.raises(ListError, match="declares entities"):
        opml_of(tmp_path, f'{prolog}<opml><body><outline xmlUrl="https://e.com/&a11;"/></body></opml>')


def test_a_file_elsewhere_is_not_fetched(tmp_path: Path) -> None:
    secret = tmp_path / "secret.dtd"
    secret.write_text("<!ENTITY a 'stolen'>")
    text = f'<!DOCTYPE opml SYSTEM "{secret.as_uri()}"><opml><body><outline xmlUrl="https://e.com/&a;"/></body></opml>'
    assert judged(opml_of(tmp_path, text)) == ["https://e.com/&a;"]


def test_nesting_without_end_is_told(tmp_path: Path) -> None:
    deep = 100_000
    inner = f'<outline xmlUrl="{B}"/>'
    text = body(f'<outline xmlUrl="{A}"/>\n{"<outline>" * deep}{inner}{"</outline>" * deep}')
    found = opml_of(tmp_path, text)
    assert judged(found)[0] == A
    assert any(isinstance(each, Reject) and "depth" in each.detail for each in found)


def test_an_attribute_without_end_is_told(tmp_path: Path) -> None:
    found = opml_of(tmp_path, body(f'<outline xmlUrl="{A}"/>\n<outline text="{"x" * 12_000_000}"/>'))
    assert judged(found)[0] == A
    assert any(isinstance(each, Reject) and each.line == 4 for each in found)


def test_attributes_without_number_are_refused_at_once(tmp_path: Path) -> None:
    many = " ".join(f'a{n}=""' for n in range(120_000))
    text = body(f'<outline xmlUrl="{A}"/>\n<outline {many}/>\n<outline xmlUrl="{B}"/>')
    begun = time.process_time()
    assert judged(opml_of(tmp_path, text)) == [A, (4, RejectReason.BAD_LINE), B]
    assert time.process_time() - begun < 5  # 33 s as it was


def test_a_file_of_errors_says_that_there_may_be_more(tmp_path: Path) -> None:
    found = opml_of(tmp_path, body(f'<outline xmlUrl="{A}"/>\n' + "<outline text='<'>\n</outline>" * 5_000))
    assert judged(found)[0] == A
    details = [each.detail for each in found if isinstance(each, Reject)]
    assert sum("not XML" in detail for detail in details) == PARSER_TELLS
    assert any("there may be more" in detail for detail in details)


def test_line_numbers_go_on_behind_a_short_integer(tmp_path: Path) -> None:
    text = body("\n" * 70_000 + '<outline xmlUrl="nonsense"/>')
    (found,) = opml_of(tmp_path, text)
    assert isinstance(found, Reject) and found.line in (
        70_003,
        70_004,
    )  # the parser's own count, from there on


def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "MAX_REMEMBERED", 1000)
    path = tmp_path / "shows.opml"
    outlines = (f'<outline text="show {n}" xmlUrl="https://example.com/{n}"/>' for n in range(60_000))
    path.write_text(body("\n".join(outlines)))
    tracemalloc.start()
    try:
        assert sum(isinstance(found, Registration) for found in read_opml(path)) == 60_000
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reading(tmp_path_factory: pytest.TempPathFactory, junk: bytes) -> None:
    path = tmp_path_factory.mktemp("junk") / "shows.opml"
    path.write_bytes(b"<opml><body>" + junk + b"</body></opml>")
    try:
        for found in read_opml(path):
            assert isinstance(found, Registration | Reject)
    except ListError:
        pass
