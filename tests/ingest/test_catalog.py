"""Episode lists: read with clear errors, merged in any order to the same catalogue."""

from __future__ import annotations

import itertools
from pathlib import Path

import polars as pl
import pytest
import xxhash
from polars.testing import assert_frame_equal

from ingest.catalog import CatalogError, read_episodes, take_in_catalog
from ingest.lake import Lake
from ingest.logs.urls import enclosure_key
from ingest.schema import EPISODES

HEAD = "episode_id,show_id,enclosure_url,file_bytes,duration_s,id3_bytes\n"


def csv(tmp_path: Path, text: str | bytes, name: str = "e.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_a_catalogue_golden(tmp_path: Path) -> None:
    text = (
        "show_id,episode_id,enclosure_url,file_bytes,duration_s,id3_bytes,show_title,episode_title,published_at\n"
        "s1,e1,https://pdst.fm/e/Media.example.fm/1.mp3?utm_source=x,29000000,1812.5,2048,"
        'Show,"One, two",2026-09-29\n'
        "s1,e2,https://media.example.fm/2.mp3,,,,,,2026-09-29T14:00:00.5+02:00\n"
    )
    found = read_episodes(csv(tmp_path, text))
    assert found.schema == EPISODES
    url = "https://media.example.fm/1.mp3"
    first, second = found.to_dicts()
    key = xxhash.xxh3_64_intdigest(b"s1\x1fe1")
    assert first == {
        "show_id": "s1",
        "show_title": "Show",
        "episode_id": "e1",
        "episode_title": "One, two",
        "published_us": 1_790_640_000_000_000,  # 2026-09-29 00:00 UTC
        "enclosure_url": url,
        "enclosure_key": enclosure_key(url),
        "episode_key": key - 2**64 if key >= 2**63 else key,
        "file_bytes": 29_000_000,
        "duration_s": 1812.5,
        "id3_bytes": 2048,
    }
    assert second["published_us"] == 1_790_683_200_500_000  # 12:00:00.5 UTC
    assert (second["file_bytes"], second["duration_s"], second["show_title"]) == (None, None, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("episode_id,show_id\n", "e.csv, line 1: column 'enclosure_url' is missing"),
        ("", "e.csv, line 1: column 'episode_id' is missing"),
        (HEAD + "e1,s1,u,1,1,1\n,s1,u2,,,\n", "e.csv, line 3: episode_id is empty"),
        (HEAD + "e1,s1,u,-1,,\n", "line 2: file_bytes is negative: '-1'"),
        (HEAD + "e1,s1,u,1.5,,\n", "line 2: file_bytes is not a whole number"),
        (HEAD + "e1,s1,u,big,,\n", "line 2: file_bytes is not a number: 'big'"),
        (HEAD + "e1,s1,u,,nan,\n", "line 2: duration_s is impossible"),
        (HEAD + "e1,s1,u,,0,\n", "line 2: duration_s is 0"),
        (HEAD + "e1,s1,u,1,1,1,1\n", "line 2: more fields than columns"),
        (
            HEAD + "e1,s1,https://h/a,,,\ne2,s1,http://H/a?utm_x=1,,,\n",
            r"line 3: episode 'e2' has the enclosure of episode 'e1' \(line 2\)",
        ),
        (HEAD + 'e1,s1,"u,,,\n', "not CSV"),
        (HEAD.encode() + b"\xff", "not UTF-8"),
        (
            "episode_id,show_id,enclosure_url,published_at\ne,s,u,yesterday\n",
            "line 2: published_at is no ISO 8601 time",
        ),
    ],
)
def test_a_catalogue_that_cannot_be_used_says_where_and_why(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    with pytest.raises(CatalogError, match=message):
        read_episodes(csv(tmp_path, text))


def test_files_merge_to_the_same_whatever_their_order(tmp_path: Path) -> None:
    head = "episode_id,show_id,enclosure_url,published_at,file_bytes\n"
    paths = [
        csv(tmp_path, head + "e1,s,https://h/1,2026-01-01,5\ne2,s,https://h/2,2026-01-01,\n", "a.csv"),
        csv(tmp_path, head + "e9,s,https://h/1,2026-02-01,\ne2,s,https://h/2,2026-01-01,7\n", "b.csv"),
        csv(tmp_path, head + "e1,s,https://h/1,,9\ne1,s,https://h/1b,2026-01-01,5\n", "c.csv"),
    ]
    catalogues = []
    for i, order in enumerate(itertools.permutations(paths)):
        lake = Lake(tmp_path / str(i))
        take_in_catalog(order, lake)
        catalogues.append(pl.read_parquet(lake.episodes_path))
    for catalogue in catalogues[1:]:
        assert_frame_equal(catalogue, catalogues[0])
    # The row published latest has the URL; of equals, the one that knows most.
    assert catalogues[0].select("enclosure_url", "episode_id", "file_bytes").rows() == [
        ("https://h/1b", "e1", 5),
        ("https://h/2", "e2", 7),
        ("https://h/1", "e9", None),
    ]


def test_an_empty_catalogue_is_one(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    take_in_catalog([], lake)
    take_in_catalog([csv(tmp_path, HEAD)], lake)
    assert pl.read_parquet(lake.episodes_path).schema == EPISODES
