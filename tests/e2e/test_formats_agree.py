"""The same world in every server-log format: the same downloads, but for what a format cannot tell.

One lake holds the world once a format, each under hosts and episode ids of its own, so that three builds, one
a window, count all of them. What docs/formats.md says a format lacks is taken from the world's requests, and
the world counts these again: that is the documented difference, to the download.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from earshot.count import Question
from earshot.count import count as count_files
from earshot.made_up.world import (
    CATALOG_COLUMNS,
    SERVER_LOG,
    WINDOWS,
    Truth,
    World,
    WorldSpec,
    build,
    count,
    write,
)
from earshot.made_up.world_formats import (
    DIRECTIVES,
    SERVER_LOG_FORMATS,
    Request,
    Target,
    bunny_address,
    writer,
)
from ingest.lake import Lake
from ingest.logs.formats import FORMATS
from ingest.logs.found import find_landing_files
from ingest.logs.intake import take_in
from ingest.settings import Settings, Window

PLAIN_CLOUDFLARE = "cloudflare_plain"  # without custom fields
ALIKE = [name for name in SERVER_LOG_FORMATS if name != "bunny"]
ALL = [*SERVER_LOG_FORMATS, PLAIN_CLOUDFLARE]
Downloads = dict[tuple[str, str], int]  # (episode, window) -> downloads


def without_ranges(r: Request) -> Request:
    """Every part of a file seems to be its beginning, and a probe is no probe but two bytes."""
    return r._replace(first=-1, last=r.target.file_bytes - 1) if r.status == 206 else r


def as_bunny_tells(r: Request) -> Request:
    """No ranges; every method seems to be GET, the end the start, and addresses end in 0."""
    return without_ranges(r)._replace(method="GET", ip=bunny_address(r.ip), start_ms=r.start_ms + r.dur_ms)


TOLD: dict[str, Callable[[Request], Request]] = {"bunny": as_bunny_tells, PLAIN_CLOUDFLARE: without_ranges}


@pytest.fixture(scope="module")
def world() -> World:
    return build(WorldSpec(shows=8, days=4, lines=3_000, prefix=False, damaged=False, redelivered=False))


def at_hosts_of(name: str, target: Target) -> Target:
    """`target` as its own episode of format `name`."""
    host = f"f{ALL.index(name)}-{target.host}"
    known = target.show_id is not None
    return replace(
        target,
        host=host,
        enclosure_url=target.enclosure_url.replace(target.host, host),
        episode_id=f"{name}/{target.episode_id}" if known else f"https://{host}{target.path}",
        show_id=f"{name}/{target.show_id}" if known else None,
    )


def requests_of(world: World, name: str) -> list[Request]:
    targets = {id(r.target): at_hosts_of(name, r.target) for r in world.cdn}
    return [r._replace(target=targets[id(r.target)]) for r in world.cdn]


def lines_of(requests: list[Request], name: str) -> list[str]:
    if name != PLAIN_CLOUDFLARE:
        return [*DIRECTIVES.get(name, ()), *map(writer(name, 1), requests)]
    custom = ("RequestHeaders", "ResponseHeaders")
    pushed = (json.loads(line) for line in map(writer("cloudflare", 1), requests))
    return [json.dumps({k: v for k, v in line.items() if k not in custom}) for line in pushed]


def true_downloads(requests: list[Request]) -> Downloads:
    """As the world counts them."""
    truth = Truth()
    count(requests, SERVER_LOG, truth)
    return {(episode, window): n for (_, episode, window), n in truth.downloads.items()}


@pytest.fixture(scope="module")
def counted(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Downloads]:
    """By format, as the product counts them."""
    folder = tmp_path_factory.mktemp("formats")
    files, rows, format_of = [], [], {}
    for name in ALL:
        requests = requests_of(world, name)
        files.append(folder / f"{name}.log")
        files[-1].write_text("\n".join(lines_of(requests, name)) + "\n")
        episodes = {at_hosts_of(name, t) for show in world.shows for t in show}
        for t in sorted(episodes, key=lambda t: t.episode_id):
            sizes = (t.file_bytes, t.duration_s, t.id3_bytes)
            published = pl.Series([t.published_ms]).cast(pl.Datetime("ms")).dt.strftime("%FT%TZ").item()
            rows.append((t.episode_id, t.show_id, t.enclosure_url, *sizes, "", t.title, published))
        format_of |= {r.target.episode_id: name for r in requests}
    with (folder / "episodes.csv").open("w", newline="") as out:
        csv.writer(out).writerows([CATALOG_COLUMNS, *rows])
    result: dict[str, Downloads] = {name: {} for name in ALL}
    for window in WINDOWS:
        question = Question(files, window=Window(window), episodes=folder / "episodes.csv")
        for row in count_files(question, Settings(), lambda *_: None).rows:
            if row["downloads"]:
                episode = row["episode_id"]
                result[format_of[episode]][episode, window] = row["downloads"]
    return result


@pytest.mark.parametrize("name", ALIKE)
def test_every_format_with_the_needed_fields_gives_the_worlds_downloads_in_all_windows(
    world: World, counted: dict[str, Downloads], name: str
) -> None:
    assert counted[name] == true_downloads(requests_of(world, name))
    assert {window for _, window in counted[name]} == set(WINDOWS)


@pytest.mark.parametrize("name", TOLD)
def test_a_format_without_them_differs_as_documented_and_no_more(
    world: World, counted: dict[str, Downloads], name: str
) -> None:
    requests = requests_of(world, name)
    truth, told = true_downloads(requests), true_downloads([TOLD[name](r) for r in requests])
    assert counted[name] == told
    assert told != truth and sum(told.values()) < sum(truth.values())


def test_without_ranges_a_listener_who_fetched_in_parts_is_missed_and_nobody_is_invented(
    world: World, counted: dict[str, Downloads]
) -> None:
    truth = true_downloads(requests_of(world, PLAIN_CLOUDFLARE))
    for key, downloads in counted[PLAIN_CLOUDFLARE].items():
        assert downloads <= truth[key]
    whole = [r for r in requests_of(world, PLAIN_CLOUDFLARE) if r.status != 206]
    assert sum(true_downloads(whole).values()) <= sum(counted[PLAIN_CLOUDFLARE].values())


def test_the_page_on_formats_tells_of_each_what_its_reader_says() -> None:
    page = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()
    for name, known in FORMATS.items():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
        assert ("forwarded" in row) == known.TRAITS.forwarded_for
        assert ("zone" in row) == known.TRAITS.local_times
        assert ("cut short" in row) == (not known.TRAITS.whole_addresses)


def test_damaged_and_repeated_lines_of_every_format_are_told_as_the_world_made_them(tmp_path: Path) -> None:
    world = build(WorldSpec(shows=4, days=1, lines=900, formats=SERVER_LOG_FORMATS))
    settings = Settings(data=tmp_path / "data", settle_s=0)
    write(world, settings.landing_dir)
    lake = Lake(settings.lake_dir)
    files = take_in(find_landing_files(settings), settings, lake).files
    assert files.filter(~pl.col("status").is_in(["taken", "duplicate"])).height == 0
    taken = files.filter(pl.col("status") == "taken")
    by_source = taken.group_by("source").agg(pl.col("lines", "rejects").sum()).rows()
    truth = world.truth
    assert {source: rejects for source, _, rejects in by_source} == truth.rejects
    assert {source: lines for source, lines, _ in by_source} == {
        source: lines - truth.redelivered_in_copies[source] for source, lines in truth.lines.items()
    }
    requests = lake.requests().group_by("source").agg(pl.col("request_key").n_unique()).collect()
    assert dict(requests.rows()) == {
        source: len(world.prefix if source == "prefix" else world.cdn) for source in truth.lines
    }
    assert dict(taken.group_by("source").agg(pl.col("is_comparable").all()).rows()) == {
        source: source != "cdn-bunny" for source in truth.lines
    }
