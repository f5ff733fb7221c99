"""A landing file's bytes: unpacked with bounds, cut at newlines, nothing lost without a word."""

from __future__ import annotations

import gzip
import os
import random
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ingest.logs.errors import FileChanged, FileRefused
from ingest.logs.landing import OpenFile, Segment, long_lines, open_segments
from ingest.settings import Settings
from tests.ingest.samples import gz

RANDOM = random.Random(1).randbytes
LINES = b"".join(b"line %d\n" % i for i in range(2000))


def read(path: Path, content: bytes | None = None, **values: object) -> tuple[OpenFile, list[Segment]]:
    if content is not None:
        path.write_bytes(content)
    opened = open_segments(path, Settings.model_validate(values))
    return opened, list(opened.segments)


def whole(segments: list[Segment]) -> bytes:
    return b"".join(segment.body for segment in segments)


@pytest.mark.parametrize(
    "packed",
    [
        LINES,
        gz(LINES),
        gz(LINES[:5000]) + gz(LINES[5000:]),
        gz(LINES) + b"\0" * 512,
        zstandard.compress(LINES),
        zstandard.compress(LINES[:5000]) + zstandard.compress(LINES[5000:]),
    ],
    ids=["plain", "gzip", "gzip of two members", "gzip padded with zeros", "zstd", "zstd of two frames"],
)
def test_packing_is_told_by_magic_bytes_never_by_name(tmp_path: Path, packed: bytes) -> None:
    opened, segments = read(tmp_path / "misleading.txt", packed)
    assert whole(segments) == LINES
    assert not opened.is_truncated


def test_the_file_id_is_the_hash_of_the_bytes_as_landed(tmp_path: Path) -> None:
    # printf 'a\n' | sha256sum | head -c 32
    assert read(tmp_path / "a", b"a\n")[0].file_id == "87428fc522803d31065e7bce3cf03fe4"


def test_segments_are_cut_at_newlines(tmp_path: Path) -> None:
    _, segments = read(tmp_path / "a", LINES, segment_bytes=4096)
    assert len(segments) > 2
    assert all(segment.body.endswith(b"\n") for segment in segments)
    assert [segment.index for segment in segments] == list(range(len(segments)))
    assert whole(segments) == LINES


def test_a_cut_gzip_keeps_what_unpacked_and_rejects_the_torn_line(tmp_path: Path) -> None:
    packed = gz(RANDOM(50_000).hex().encode().replace(b"0", b"\n"))
    opened, segments = read(tmp_path / "a", packed[: len(packed) // 2])
    assert opened.is_truncated and opened.oddity == "the gzip data ends early: what there is was read"
    (bad,) = segments[-1].bad_lines
    assert bad.reason == "cut off: the file ends within this line"
    assert bad.row == whole(segments).count(b"\n") - 1


def test_corrupt_data_keeps_what_came_before(tmp_path: Path) -> None:
    for pack in (gz, zstandard.compress):
        packed = bytearray(pack(RANDOM(400_000).hex().encode().replace(b"0", b"\n")))
        packed[-150_000:-149_990] = b"\xff" * 10
        opened, segments = read(tmp_path / "a", bytes(packed))
        assert opened.is_truncated and opened.oddity is not None and "corrupt" in opened.oddity
        assert len(whole(segments)) > 50_000


def test_bytes_behind_the_gzip_data_are_noted(tmp_path: Path) -> None:
    opened, segments = read(tmp_path / "a", gz(LINES) + b"garbage")
    assert whole(segments) == LINES
    assert opened.oddity == "bytes after the end of the gzip data were ignored"


def test_a_zip_bomb_is_refused_naming_the_setting(tmp_path: Path) -> None:
    bomb = gzip.compress(b"a\n" * (40 * 2**20), 9)  # 80 MiB, packed about 1000-fold
    with pytest.raises(FileRefused, match=r"more than 300 times its size \(setting max_ratio\)"):
        read(tmp_path / "a", bomb)


def test_a_small_log_of_one_repeated_request_is_no_bomb(tmp_path: Path) -> None:
    _, segments = read(tmp_path / "a", gz(b"the same line\n" * 100_000))  # packs about 600-fold
    assert whole(segments).count(b"\n") == 100_000


def test_a_file_that_unpacks_to_too_much_is_refused_naming_the_setting(tmp_path: Path) -> None:
    for content in (LINES, gz(LINES)):
        with pytest.raises(FileRefused, match="max_file_bytes"):
            read(tmp_path / "a", content, max_file_bytes=4096)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (gz(b""), "the file is empty"),
        (bytes(5000), "binary file"),
        ("time\tstatus\n".encode("utf-16"), "UTF-16"),
        (b"PK\x03\x04rest", "packed as zip"),
        (b"BZh91AY", "packed as bzip2"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(FileRefused, match=reason):
        read(tmp_path / "a", content)


def test_a_folder_or_pipe_is_refused_and_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "."):
        with pytest.raises((FileRefused, OSError)):
            open_segments(tmp_path / name, Settings())


def test_a_line_that_is_too_long_becomes_a_reject_wherever_it_stands(tmp_path: Path) -> None:
    long = b"x" * 10_000_000
    for segment_bytes in (4096, 2**20, 64 * 2**20):
        content = b"one\n" + long + b"\nthree\n" + long
        _, segments = read(tmp_path / "a", content, segment_bytes=segment_bytes)
        assert whole(segments) == b"one\n\nthree\n\n"
        rows, first = [], 0
        for segment in segments:
            rows += [first + bad.row for bad in segment.bad_lines]
            assert all(len(bad.text) < 5000 for bad in segment.bad_lines)
            first += segment.body.count(b"\n")
        assert rows == [1, 3]


def test_a_line_longer_than_a_segment_is_kept(tmp_path: Path) -> None:
    content = b"a\n" + b"x" * 50_000 + b"\nb"
    _, segments = read(tmp_path / "a", content, segment_bytes=4096)
    assert whole(segments) == content + b"\n"


def test_a_byte_order_mark_is_dropped(tmp_path: Path) -> None:
    assert whole(read(tmp_path / "a", b"\xef\xbb\xbfa\n")[1]) == b"a\n"


def test_a_file_that_grows_while_it_is_read_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(LINES)
    opened = open_segments(path, Settings(segment_bytes=4096))
    with path.open("ab") as more:
        more.write(b"more\n")
    with pytest.raises(FileChanged):
        list(opened.segments)


def test_a_file_that_is_replaced_while_it_is_read_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(LINES)
    opened = open_segments(path, Settings(segment_bytes=4096))
    (tmp_path / "b").write_bytes(LINES)
    (tmp_path / "b").replace(path)
    with pytest.raises(FileChanged):
        list(opened.segments)


def test_a_file_that_is_gone_is_changed(tmp_path: Path) -> None:
    with pytest.raises(FileChanged):
        open_segments(tmp_path / "gone", Settings())


@given(st.lists(st.binary(max_size=40).map(lambda b: b.replace(b"\n", b"")), max_size=60), st.integers(1, 30))
def test_long_lines_are_found_exactly(lines: list[bytes], limit: int) -> None:
    block = b"".join(line + b"\n" for line in lines)
    found = [block[start:end] for start, end in long_lines(block, 0, len(block), limit)]
    assert found == [line for line in lines if len(line) > limit]


@hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)
@given(st.lists(st.integers(0, 3000), max_size=40), st.sampled_from([4096, 5000, 10_000]))
def test_the_size_of_segments_changes_no_line(tmp_path: Path, lengths: list[int], segment_bytes: int) -> None:
    content = b"\n".join(b"y" * length for length in lengths) or b"\n"
    small = read(tmp_path / "a", content, segment_bytes=segment_bytes, max_line_bytes=1024)[1]
    large = read(tmp_path / "a", content, max_line_bytes=1024)[1]
    assert whole(small) == whole(large)
    assert sum(len(s.bad_lines) for s in small) == sum(length > 1024 for length in lengths)
