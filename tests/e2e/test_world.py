"""The simulated world is reproducible, its files hold what its truth says, and its truth is right."""

from __future__ import annotations

import csv
import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

import polars as pl
import pytest

from earshot.made_up.world import (
    PREFIX,
    SERVER_LOG,
    WINDOWS,
    Truth,
    World,
    WorldSpec,
    address_cut,
    build,
    content_bytes,
    count,
    united,
    windows,
    write,
    write_catalog,
    write_truth,
)
from earshot.made_up.world_damage import DAMAGES
from earshot.made_up.world_formats import (
    CLOUDFRONT_FIELDS,
    SERVER_LOG_FORMATS,
    Request,
    Target,
    request_lines,
)
from earshot.made_up.world_traffic import content_needed

SMALL = WorldSpec(shows=3, days=3, lines=900, formats=SERVER_LOG_FORMATS)
EPISODE = Target("e1", "s1", "media.example", "/e1.mp3", "audio/mpeg", 16_000_000, 1_000, 0)
AGENT = "AntennaPod/3.5.1"


@pytest.fixture(scope="module")
def world() -> World:
    return build(SMALL)


def a_request(
    at: str, first: int = 0, body: int = 16_000_000, ip: str = "192.0.2.1", serial: int = 0
) -> Request:
    start = int(datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp() * 1000)
    last = first + body - 1
    return Request(start, 1000, ip, AGENT, "GET", EPISODE, "", 206, body, first, last, "", "", serial)


def counted(requests: list[Request], source_class: str = SERVER_LOG) -> list[int]:
    truth = Truth()
    count(requests, source_class, truth)
    return [truth.total(source_class, window) for window in WINDOWS]


def read_lines(path: Path) -> list[bytes]:
    lines = gzip.decompress(path.read_bytes()).split(b"\n")
    assert lines.pop() == b""
    return [line for line in lines if not line.startswith(b"#")]


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        again = build(SMALL)
        write(again, tmp_path / folder / "landing")
        write_catalog(again, tmp_path / folder / "episodes.csv")
        write_truth(again, tmp_path / folder / "truth")
    one, two = (
        {path.relative_to(tmp_path / folder): path.read_bytes() for path in (tmp_path / folder).rglob("*.*")}
        for folder in ("one", "two")
    )
    assert one == two
    assert len(one) > 100


def test_another_seed_gives_another_world(world: World) -> None:
    assert build(WorldSpec(seed=8, shows=3, days=3, lines=900)).cdn != world.cdn


def test_the_guidelines_example_counts_three_three_two() -> None:
    # Monday 31 August 2026. Calendar: Mon, Tue, Wed. First touch: [Mon 22:00, Tue 03:00], [Tue 22:15],
    # [Wed 23:15] (exactly 25 h later). Last touch: Tue 22:15 extends, Wed 23:15 is 25 h after it.
    times = ("2026-08-31 22:00", "2026-09-01 03:00", "2026-09-01 22:15", "2026-09-02 23:15")
    assert counted([a_request(at) for at in times]) == [3, 3, 2]


def test_a_rolling_window_is_half_open() -> None:
    assert counted([a_request("2026-09-01 10:00"), a_request("2026-09-02 10:00")]) == [2, 2, 2]
    assert counted([a_request("2026-09-01 10:00"), a_request("2026-09-02 09:59:59.999")]) == [2, 1, 1]


def test_bytes_are_united_inside_a_window_only() -> None:
    # 16 MB in 1,000 s: a minute is 960,000 bytes. Half a minute and more on either side of midnight.
    halves = [
        a_request("2026-09-01 23:59:30", 0, 600_000),
        a_request("2026-09-02 00:00:30", 600_000, 700_000),
    ]
    assert content_needed(EPISODE) == 960_000
    assert counted(halves) == [0, 1, 1]


def test_overlapping_ranges_count_once_and_gaps_not_at_all() -> None:
    # [0,100) ∪ [50,150) ∪ [150,160) ∪ [300,400) = [0,160) ∪ [300,400) = 260 bytes
    assert united([(300, 400), (50, 150), (0, 100), (150, 160)]) == [(0, 160), (300, 400)]
    ranges = [
        a_request("2026-09-01 10:00", first, end - first) for first, end in ((0, 100), (50, 160), (300, 400))
    ]
    assert content_bytes(ranges, EPISODE) == 260


def test_the_id3_header_is_no_content() -> None:
    # Bytes [0,160) ∪ [300,400) without the header [0,90): 70 + 100
    tagged = Target("e2", "s1", "media.example", "/e2.mp3", "audio/mpeg", 16_000_090, 1_000, 90)
    ranges = [a_request("2026-09-01 10:00", first, end - first) for first, end in ((0, 160), (300, 400))]
    assert content_bytes(ranges, tagged) == 170


def test_a_prefix_counts_windows_without_bytes() -> None:
    redirects = [a_request(f"2026-09-01 1{hour}:00")._replace(status=302, body=138) for hour in range(3)]
    assert counted(redirects, PREFIX) == [1, 1, 1]


def test_an_ipv6_listener_is_its_first_64_bits_and_a_mapped_address_is_ipv4() -> None:
    assert address_cut("2001:db8:1:2::1") == address_cut("2001:db8:1:2:aaaa:bbbb:cccc:dddd")
    assert address_cut("2001:db8:1:2::1") != address_cut("2001:db8:1:3::1")
    assert address_cut("::ffff:192.0.2.1") == address_cut("192.0.2.1") == "192.0.2.1"


def test_windows_keep_every_request(world: World) -> None:
    group = sorted(world.cdn, key=lambda request: request.start_ms)
    for kind in WINDOWS:
        assert [request for window in windows(group, kind) for request in window] == group


def test_line_counts_match_the_files(world: World, tmp_path: Path) -> None:
    paths = write(world, tmp_path)
    lines = dict.fromkeys(world.truth.lines, 0)
    for path, file in zip(paths, world.files, strict=True):
        assert (path.parent.name, path.name) == (file.source, file.name)
        assert len(read_lines(path)) == file.lines
        lines[file.source] += file.lines
    assert lines == world.truth.lines
    assert set(lines) == {"cdn", "prefix"} | {f"cdn-{name}" for name in SERVER_LOG_FORMATS[1:]}


def test_lines_less_rejects_and_redelivered_ones_are_the_requests(world: World) -> None:
    truth = world.truth
    for source, lines in truth.lines.items():
        requests = world.prefix if source == "prefix" else world.cdn
        assert truth.rejects[source] >= len(DAMAGES)
        assert truth.redelivered[source] > truth.redelivered_in_copies[source] > 0
        assert lines - truth.rejects[source] - truth.redelivered[source] == len(requests)
    assert sum(truth.requests[SERVER_LOG].values()) == len(world.cdn)
    assert sum(truth.requests[PREFIX].values()) == len(world.prefix)


def test_a_copy_comes_after_its_original_and_holds_no_damage(world: World, tmp_path: Path) -> None:
    paths = write(world, tmp_path)
    copies = [(path, file) for path, file in zip(paths, world.files, strict=True) if file.copy_of]
    assert copies
    for path, file in copies:
        original = path.parent / str(file.copy_of)
        assert path.read_bytes() == original.read_bytes()
        assert paths.index(original) < paths.index(path) and original.name < path.name
        assert file.rejects == 0


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("lines", [300, 20_000])
def test_the_number_of_lines_is_as_asked(seed: int, lines: int) -> None:
    truth = build(WorldSpec(seed=seed, shows=3, days=2, lines=lines)).truth
    assert sum(truth.lines.values()) == pytest.approx(lines, rel=0.05)


@pytest.mark.parametrize("spec", [WorldSpec(lines=1, shows=1, days=1), WorldSpec(lines=40, shows=1, days=1)])
def test_the_smallest_worlds_can_be_written(spec: WorldSpec, tmp_path: Path) -> None:
    assert write(build(spec), tmp_path)


def test_a_small_world_has_every_kind_of_traffic() -> None:
    world = build(WorldSpec(shows=3, days=2, lines=1500))
    reasons = {"qualifying", "method", "status", "not_media", "probe", "watch_duplicate", "bot"}
    reasons |= {"bot_library", "no_agent", "before_publication"}
    assert set(world.truth.requests[SERVER_LOG]) == reasons
    totals = {world.truth.total(SERVER_LOG, window) for window in WINDOWS}
    assert len(totals) == 3  # the three windows differ
    assert {request.status for request in world.cdn} >= {0, 200, 206, 304, 404}
    assert {None} < set(world.truth.show_of.values())  # some enclosures are in no catalogue


def test_switches_leave_things_out() -> None:
    plain = WorldSpec(shows=3, lines=600, prefix=False, damaged=False, redelivered=False, late_files=False)
    world = build(plain)
    assert (
        world.prefix == [] and set(world.truth.lines) == {"cdn"} and set(world.truth.requests) == {SERVER_LOG}
    )
    assert world.truth.rejects == world.truth.redelivered == {"cdn": 0}
    assert len(world.cdn) == world.truth.lines["cdn"]


def test_bunny_tells_the_end_alone_and_addresses_cut_short(world: World) -> None:
    lines = [line.split("|") for line in request_lines(world, "bunny")]
    assert [int(line[2]) for line in lines] == [r.start_ms + r.dur_ms for r in world.cdn]
    assert all(line[5].endswith((".0", ":0")) for line in lines)
    assert {len(line) for line in lines} == {12}


def test_akamai_writes_000_for_what_was_cut_and_for_what_got_no_answer(world: World) -> None:
    lines = [json.loads(line) for line in request_lines(world, "akamai")]
    odd = [r for line, r in zip(lines, world.cdn, strict=True) if line["statusCode"] == "000"]
    assert {r.status for r in odd} == {0, 206}
    assert all(r.status == 0 or r.body < r.last - r.first + 1 for r in odd)


def test_every_format_tells_the_same_start_to_the_millisecond(world: World) -> None:
    truth = [request.start_ms for request in world.cdn]
    cloudfront = [line.split("\t") for line in request_lines(world, "cloudfront") if not line.startswith("#")]
    at = {name: n for n, name in enumerate(CLOUDFRONT_FIELDS)}
    assert truth == [
        int(datetime.fromisoformat(f"{line[0]}T{line[1]}+00:00").timestamp()) * 1000
        - round(float(line[at["time-taken"]]) * 1000)
        for line in cloudfront
    ]
    v2, nginx, caddy, fastly, cloudflare, akamai = (
        list(map(json.loads, request_lines(world, name)))
        for name in SERVER_LOG_FORMATS
        if name not in ("cloudfront", "bunny")
    )
    assert truth == [int(line["timestamp(ms)"]) - round(float(line["time-taken"]) * 1000) for line in v2]
    assert truth == [round(float(line["ts"]) * 1000) - round(float(line["dur"]) * 1000) for line in nginx]
    assert truth == [round(line["ts"] * 1000) - round(line["duration"] * 1000) for line in caddy]
    assert truth == [int(line["start_ms"]) for line in fastly]
    assert truth == [line["EdgeStartTimestamp"] // 10**6 for line in cloudflare]
    assert truth == [round(float(line["reqTimeSec"]) * 1000) for line in akamai]
    assert [line["ua"] for line in nginx] == [request.agent for request in world.cdn]
    assert [unquote(line[at["cs(User-Agent)"]]) for line in cloudfront] == [r.agent or "-" for r in world.cdn]
    assert len({line[at["x-edge-request-id"]] for line in cloudfront}) == len(truth)


def test_cloudfronts_header_bytes_change_no_download(world: World) -> None:
    at = {name: n for n, name in enumerate(CLOUDFRONT_FIELDS)}
    logged = []
    lines = (line.split("\t") for line in request_lines(world, "cloudfront") if not line.startswith("#"))
    for request, line in zip(world.cdn, lines, strict=True):
        sent, length = int(line[at["sc-bytes"]]), line[at["sc-content-len"]]
        logged.append(request._replace(body=sent if length == "-" else min(sent, int(length))))
    truth = Truth()
    count(logged, SERVER_LOG, truth)
    cdn_truth = {key: n for key, n in world.truth.downloads.items() if key[0] == SERVER_LOG}
    assert any(a.body != b.body for a, b in zip(logged, world.cdn, strict=True))
    assert truth.downloads == cdn_truth


def test_damaged_lines_of_json_formats_lack_a_usable_value(world: World, tmp_path: Path) -> None:
    for path, file in zip(write(world, tmp_path), world.files, strict=True):
        if file.log_format not in ("nginx", "prefix"):
            continue
        good = 0
        for line in read_lines(path):
            try:
                value = json.loads(line)
                ends = float(value["ts"])
                good += (
                    isinstance(value["status"], int)
                    and value["bytes"] >= 0
                    and 1e9 < ends < 2e9
                    and len(value["uri"]) < 60_000
                )
            except (ValueError, KeyError):
                continue
        assert good == file.lines - file.rejects


def test_late_lines_arrive_up_to_five_days_late(world: World) -> None:
    lateness = [
        (file.arrival_ms - (request.start_ms + request.dur_ms)) / 3_600_000
        for file in world.files
        if not file.copy_of
        for request in file.requests
    ]
    assert 100 < max(lateness) <= 120 and min(lateness) > -1


def test_truth_files_repeat_the_truth_and_name_no_address(world: World, tmp_path: Path) -> None:
    write_truth(world, tmp_path)
    write_catalog(world, tmp_path / "episodes.csv")
    frame = pl.read_parquet(tmp_path / "downloads.parquet")
    rows = {(c, e, w): (n, k) for c, _, e, w, n, k in frame.iter_rows()}
    assert {key: n for key, (n, _) in rows.items()} == world.truth.downloads
    assert {(c, e): k for (c, e, w), (_, k) in rows.items() if w == "calendar"} == world.truth.listeners
    text = (tmp_path / "truth.json").read_text() + (tmp_path / "episodes.csv").read_text() + frame.write_csv()
    assert not any(request.ip in text for request in world.cdn)
    with (tmp_path / "episodes.csv").open() as table:
        assert {row["episode_id"] for row in csv.DictReader(table)} == {
            t.episode_id for show in world.shows for t in show
        }


def test_an_unknown_format_is_named_in_the_error() -> None:
    with pytest.raises(ValueError, match="apache"):
        WorldSpec(formats=("apache",))
