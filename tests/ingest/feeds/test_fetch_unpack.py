"""Content codings: any cut of any chain gives the body again; too much is noticed early."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import brotli
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.feeds.reasons import Reason
from ingest.feeds.unpack import Unpackable, Unpacker


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACKERS: dict[str, list[Callable[[bytes], bytes]]] = {
    "gzip": [gzip.compress],
    "x-gzip": [gzip.compress],
    "deflate": [zlib.compress, raw_deflate],
    "br": [brotli.compress],
    "identity": [lambda data: data],
}
NAMED_PACKERS = st.sampled_from([(name, packer) for name, packers in PACKERS.items() for packer in packers])


def unpacked(
    coding: str, packed: bytes, cuts: list[int], max_bytes: int = 10**7, max_ratio: float = 200
) -> bytes:
    unpacker = Unpacker(coding, max_bytes, max_ratio)
    at = 0
    for cut in [*sorted(cut % (len(packed) + 1) for cut in cuts), len(packed)]:
        unpacker.feed(packed[at:cut])
        at = max(at, cut)
    return unpacker.finish()


@given(
    st.binary(min_size=1)
    | st.builds(bytes.__mul__, st.binary(min_size=1, max_size=50), st.integers(1, 20_000)),
    st.lists(NAMED_PACKERS, max_size=3),
    st.lists(st.integers(min_value=0), max_size=20),
)
@settings(max_examples=100)
def test_however_packed_and_cut_it_is_the_same_body(
    body: bytes, chain: list[tuple[str, Callable[[bytes], bytes]]], cuts: list[int]
) -> None:
    packed = body
    for _, pack in chain:
        packed = pack(packed)
    coding = ", ".join(name.upper() for name, _ in chain)
    assert unpacked(coding, packed, cuts, max_ratio=10**6) == body


@given(
    st.sampled_from(["gzip", "deflate", "br", "gzip, br"]),
    st.binary(max_size=200),
    st.lists(st.integers(0), max_size=5),
)
def test_junk_is_refused_or_comes_to_an_end(coding: str, junk: bytes, cuts: list[int]) -> None:
    try:
        unpacked(coding, junk, cuts)
    except Unpackable as error:
        assert error.reason in (Reason.BAD_COMPRESSION, Reason.BOMB, Reason.TOO_LARGE)


@given(
    st.sampled_from(["gzip", "deflate", "br"]), st.integers(min_value=1), st.lists(st.integers(0), max_size=5)
)
def test_a_body_that_breaks_off_is_not_taken_for_whole(coding: str, lost: int, cuts: list[int]) -> None:
    packed = PACKERS[coding][0](b"<rss>" * 100)
    with pytest.raises(Unpackable, match="bad_compression"):
        unpacked(coding, packed[: len(packed) - 1 - lost % (len(packed) - 1)], cuts)


@pytest.mark.parametrize("cuts", [[], [1], list(range(200))])
def test_gzip_members_follow_one_another_and_junk_after_them_is_dropped(cuts: list[int]) -> None:
    packed = gzip.compress(b"one ") + gzip.compress(b"two") + b"\x1fjunk"
    assert unpacked("gzip", packed, cuts) == b"one two"


def test_thousands_of_members_are_no_body() -> None:
    with pytest.raises(Unpackable, match="members"):
        unpacked("gzip", gzip.compress(b"") * 10_000, [])


@pytest.mark.parametrize("cuts", [[], list(range(0, 100_000, 997))])
@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
def test_a_bomb_is_noticed_by_its_ratio(coding: str, cuts: list[int]) -> None:
    unpacker = Unpacker(coding, 10**9, 200)
    with pytest.raises(Unpackable) as raised:
        unpacker.feed(PACKERS[coding][0](bytes(50_000_000)))
    assert raised.value.reason is Reason.BOMB
    assert unpacker.size < 200 * 60_000 + 10**6


def test_a_bomb_inside_another_coding_is_noticed_too() -> None:
    bomb = brotli.compress(gzip.compress(bytes(50_000_000)))
    with pytest.raises(Unpackable) as raised:
        unpacked("gzip, br", bomb, [])
    assert raised.value.reason is Reason.BOMB


def test_repetitive_but_small_is_no_bomb() -> None:
    body = b"<item/>" * 100_000
    assert unpacked("gzip", gzip.compress(body), []) == body


def test_the_cap_holds_before_and_after() -> None:
    for coding, packed in (("", bytes(1001)), ("gzip", gzip.compress(bytes(1001)))):
        with pytest.raises(Unpackable) as raised:
            unpacked(coding, packed, [], max_bytes=1000)
        assert raised.value.reason is Reason.TOO_LARGE
        assert unpacked(coding, packed, [], max_bytes=1001) == bytes(1001)


def test_an_unknown_coding_is_named() -> None:
    with pytest.raises(Unpackable, match="zstd"):
        Unpacker("zstd", 1000, 200)
