"""The bench's world of feeds: its answers are sound, and what it says must be found is what differs."""

from __future__ import annotations

import gzip
from collections import Counter
from xml.etree import ElementTree

import polars as pl
import pytest

from bench import feeds_world as bench
from bench.feeds_server import BenchPlay
from bench.feeds_world import Kind
from earshot.made_up.feeds.http import Request

DUE = 20_000


def first_of(kind: Kind) -> int:
    return next(number for number in range(bench.PODCASTS) if bench.kind_of(number) is kind)


def items_of(body: bytes) -> dict[str | None, dict[str, str | None]]:
    return {
        item.findtext("guid"): {child.tag: child.text for child in item}
        for item in ElementTree.fromstring(body).iterfind("channel/item")
    }


def enclosures_of(body: bytes) -> list[str]:
    return [found.attrib["url"] for found in ElementTree.fromstring(body).iterfind("channel/item/enclosure")]


def test_nine_in_ten_are_unchanged_and_one_in_a_hundred_of_the_others_only_seems_to_change() -> None:
    kinds = Counter(map(bench.kind_of, range(DUE)))
    assert kinds[Kind.SAME] == pytest.approx(0.9 * DUE, rel=0.02)
    assert kinds[Kind.REBUILT] + kinds[Kind.TOKENS] == pytest.approx(0.001 * DUE, rel=0.5)
    assert len({bench.host_of(number) for number in range(DUE)}) == bench.HOSTS


def test_a_changed_body_has_a_new_episode_an_edited_one_and_a_hundred_in_all() -> None:
    number = first_of(Kind.CHANGED)
    old, new = items_of(bench.body(number, as_held=True)), items_of(bench.body(number))
    assert len(old) == len(new) == bench.EPISODES
    created, edited = (
        new.keys() - old.keys(),
        {guid for guid in new if guid in old and new[guid] != old[guid]},
    )
    assert {(change, guid) for change, guid, _ in bench.expected(number)} == {
        *(("episode.created", guid) for guid in created),
        *(("episode.updated", guid) for guid in edited),
    }
    assert len(old.keys() - new.keys()) == 1  # the oldest, pushed out


def test_what_only_seems_to_change_does_not() -> None:
    for kind in (Kind.REBUILT, Kind.TOKENS):
        number = first_of(kind)
        old, new = bench.body(number, as_held=True), bench.body(number)
        assert old != new
        assert items_of(old) == items_of(new)
        assert [url.partition("?")[0] for url in enclosures_of(new)] == enclosures_of(old)
        assert (enclosures_of(old) == enclosures_of(new)) is (kind is Kind.REBUILT)
        assert not bench.expected(number)


@pytest.fixture(scope="module")
def play() -> BenchPlay:
    return BenchPlay()


def request(number: int, etag: str, gzipped: bool = True) -> Request:
    path = bench.url_of(number).partition("example")[2]
    return Request(b"GET", bench.host_of(number).encode(), path.encode(), etag.encode(), None, gzipped)


def test_what_we_hold_is_answered_304_or_with_a_body_that_unpacks(play: BenchPlay) -> None:
    numbers = [first_of(kind) for kind in Kind]
    for number, url, etag, _ in bench.held(pl.Series(numbers)).iter_rows():
        assert url == bench.url_of(number)
        head, _, packed = play(request(number, etag)).data.partition(b"\r\n\r\n")
        if bench.kind_of(number) is Kind.SAME:
            assert head.startswith(b"HTTP/1.1 304")
            assert etag.encode() in head
        else:
            assert head.startswith(b"HTTP/1.1 200")
            assert b"Content-Length: %d\r\n" % len(packed) in head
            assert gzip.decompress(packed) == bench.body(number)
            assert play(request(number, etag, gzipped=False)).data.endswith(bench.body(number))


def test_a_podcast_taken_in_once_stands_for_all_of_its_template() -> None:
    template = 3
    exemplar = bench.exemplar_of(template)
    others = [n for n in range(exemplar + 1, exemplar + 3_000) if bench.template_of(n) == template][:2]
    taken_in = bench.Rows(
        pl.DataFrame({"podcast_key": [1], "link": [f"https://www.example/{exemplar:07d}"], "ttl_min": [5]}),
        pl.DataFrame({"podcast_key": [1], "item_hashes": [[7, 8]], "episode_keys": [[11, 12]]}),
        pl.DataFrame({"podcast_key": [1, 1], "episode_key": [12, 11], "guid": ["b", "a"]}),
    )
    rows = bench.previous_rows(
        taken_in, exemplar, others, podcast_key=hash, episode_key=lambda key, guid: hash((key, guid))
    )
    keys = [hash(bench.url_of(number)) for number in others]
    assert rows.podcasts.rows() == [
        (key, f"https://www.example/{number:07d}", 5) for key, number in zip(keys, others, strict=True)
    ]
    assert rows.items.rows() == [(key, [7, 8], [hash((key, "a")), hash((key, "b"))]) for key in keys]
    assert rows.episodes.rows() == [(key, hash((key, guid)), guid) for key in keys for guid in ("b", "a")]
