"""Files into the lake: once, whole or not at all, whatever happens meanwhile."""

from __future__ import annotations

import os
import random
from datetime import date
from pathlib import Path

import polars as pl
import pytest
import zstandard
from polars.testing import assert_frame_equal

from ingest.lake import Lake
from ingest.logs import intake
from ingest.logs.found import passed_over
from ingest.logs.intake import LandingFile, find_landing_files
from ingest.logs.listeners import KeyRing
from ingest.schema import FILES, REJECTS, REQUESTS, REQUESTS_ORDER
from tests.ingest.samples import (
    ADDRESS,
    NOON_US,
    NOW_US,
    akamai,
    bunny,
    caddy,
    cloudflare,
    cloudfront,
    cloudfront_header,
    fastly,
    gz,
    land,
    nginx,
    rejects_of,
    requests_of,
    settings_of,
    take,
)


def log(*ids: object, **values: object) -> str:
    return cloudfront_header() + "".join(cloudfront(x_edge_request_id=i, **values) for i in ids)


def tree(root: Path) -> dict[str, bytes]:
    """Every data file below `root` and its bytes."""
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*.parquet"))}


def test_a_file_becomes_requests_rejects_and_one_ledger_row(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    text = log(1, 2) + cloudfront(sc_status="x") + "\n" + cloudfront(c_ip="nobody", x_edge_request_id=3)
    report = take(settings, land(settings, gz(text), name="2026/E123.gz"))
    (row,) = report.files.to_dicts()
    assert report.files.schema == FILES
    assert row | {"file_id": "", "modified_ns": 0} == {
        "file_id": "",
        "source": "cdn",
        "source_class": "server_log",
        "format": "cloudfront",
        "file_name": "2026/E123.gz",
        "status": "taken",
        "reason": None,
        "size_bytes": len(gz(text)),
        "modified_ns": 0,
        "lines": 4,
        "directives": 3,  # #Version, #Fields, one blank line
        "requests": 2,
        "rejects": 2,
        "is_truncated": False,
        "is_comparable": True,
        "first_us": NOON_US - 2_000_000,
        "last_us": NOON_US - 2_000_000,
        "days": [date(2026, 9, 29)],
        "taken_in_us": NOW_US,
    }
    rejects = rejects_of(settings)
    assert rejects.schema == REJECTS
    assert rejects.select("line_number", "reason").rows() == [
        (5, "status is not a number: 'x'"),
        (7, "client address is unreadable"),
    ]
    assert "nobody" not in rejects["text"][1]
    requests = Lake(settings.lake_dir).requests().collect()
    assert requests.drop("day").schema == REQUESTS
    assert requests["line_number"].to_list() == [3, 4]
    assert (report.requests, report.rejects, report.days) == (2, 2, [date(2026, 9, 29)])


def test_the_preview_shows_no_keys(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    preview = take(settings, land(settings, log(1))).preview
    assert preview.height == 1 and not [
        name for name in preview.columns if "_key" in name or name == "file_id"
    ]


def test_requests_lie_by_the_day_they_started_on(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    # A download that ends at 00:10 and took 40 minutes began the day before.
    text = log(1, time="00:10:00", time_taken=2400) + cloudfront(time="00:10:00", time_taken=1)
    report = take(settings, land(settings, text))
    assert report.days == [date(2026, 9, 28), date(2026, 9, 29)]
    days = Lake(settings.lake_dir).requests().sort("day").select("day", "line_number").collect()
    assert days.rows() == [(date(2026, 9, 28), 3), (date(2026, 9, 29), 4)]


def test_each_written_file_is_sorted(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    lines = [
        cloudfront(
            cs_uri_stem=f"/{i % 7}.mp3", c_ip=f"203.0.113.{i % 5}", time_taken=i * 3600, x_edge_request_id=i
        )
        for i in range(60)
    ]
    take(settings, land(settings, cloudfront_header() + "".join(lines)))
    files = list((settings.lake_dir / "requests").glob("day=*/cdn.*.parquet"))
    assert len(files) == 3  # 59 h back from noon of the 29th: 27th, 28th, 29th
    for file in files:
        frame = pl.read_parquet(file, hive_partitioning=False)
        assert frame.equals(frame.sort(REQUESTS_ORDER))


def test_taking_in_again_changes_nothing(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    file = land(settings, log(1, 2) + "torn\n")
    take(settings, file)
    before = tree(settings.lake_dir)
    again = take(settings, file, now_us=NOW_US + 99)
    assert (again.files.height, again.skipped) == (0, 1)
    touched = LandingFile("cdn", file.path, file.name, file.size_bytes, file.modified_ns + 1)
    assert take(settings, touched, now_us=NOW_US + 99).skipped == 1
    assert tree(settings.lake_dir) == before


def test_force_writes_the_same_bytes_also_days_later(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    future = cloudfront(date="2026-10-01", time="12:59:59", time_taken=0)  # under 48 h after NOW
    late = cloudfront(date="2026-10-01", time="13:00:01", time_taken=0)  # over: a reject, for ever
    file = land(settings, log(1, 2) + future + late)
    take(settings, file)
    before = tree(settings.lake_dir)
    report = take(settings, file, now_us=NOW_US + 9 * 86_400_000_000, force=True)
    assert report.files["taken_in_us"].to_list() == [NOW_US]
    assert report.rejects == 1
    assert tree(settings.lake_dir) == before


def test_force_under_other_settings_leaves_no_stale_segment(tmp_path: Path) -> None:
    small = settings_of(tmp_path, segment_bytes=4096)
    file = land(small, log(*range(100)))
    take(small, file)
    assert len(list((small.lake_dir / "requests").glob("day=*/cdn.*"))) > 3
    take(settings_of(tmp_path), file, force=True)
    assert len(list((small.lake_dir / "requests").glob("day=*/cdn.*"))) == 1
    assert Lake(small.lake_dir).requests().collect().height == 100


def test_the_same_content_under_another_name_is_a_duplicate(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    take(settings, land(settings, log(1)))
    before = tree(settings.lake_dir / "requests")
    report = take(settings, land(settings, log(1), name="b.log"), land(settings, log(1), source="other"))
    assert report.files.select("source", "status", "reason").rows() == [
        ("cdn", "duplicate", "the same content as 'a.log'"),
        ("other", "taken", None),
    ]
    assert {name for name in tree(settings.lake_dir / "requests") if "/cdn" in name} == {
        name for name in before if "/cdn" in name
    }
    assert Lake(settings.lake_dir).requests().collect().height == 2


def test_the_same_content_twice_in_one_call_is_taken_once(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    report = take(settings, land(settings, log(1)), land(settings, log(1), name="b.log"))
    assert report.files["status"].to_list() == ["taken", "duplicate"]


def test_new_content_under_a_known_name_is_taken_in_too(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    take(settings, land(settings, log(1)))
    report = take(settings, land(settings, log(1, 2)))
    assert report.files["status"].to_list() == ["taken"]
    assert Lake(settings.lake_dir).ledger().height == 2


def test_the_size_of_segments_changes_no_row(tmp_path: Path) -> None:
    lines = []
    for i in range(300):
        bad = {"sc_status": "x"} if i % 50 == 0 else {}
        lines.append(cloudfront(x_edge_request_id=i, cs_uri_stem=f"/{i % 9}.mp3", **bad))
        if i == 150:
            lines += ["\n", cloudfront_header(), "x" * 70_000 + "\n"]
    found = []
    for segment_bytes in (4096, 30_000, 2**26):
        settings = settings_of(tmp_path / str(segment_bytes), segment_bytes=segment_bytes)
        report = take(settings, land(settings, cloudfront_header() + "".join(lines)))
        assert report.files["directives"].to_list() == [5]
        requests = Lake(settings.lake_dir).requests().sort("line_number").collect()
        found.append((requests.drop(pl.selectors.contains("_key")), rejects_of(settings)))
    for requests, rejects in found[1:]:
        assert_frame_equal(requests, found[0][0])
        assert_frame_equal(rejects, found[0][1])
    assert found[0][1]["reason"].str.contains("max_line_bytes").sum() == 1


def test_a_file_that_is_no_log_is_rejected_with_its_reason(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    report = take(settings, land(settings, "hello\nworld\n"), land(settings, b"", name="empty.log"))
    assert report.files.select("status", "lines", "requests").rows() == [("rejected", 0, 0)] * 2
    assert "no known log format" in report.files["reason"][0]
    assert report.files["reason"][1] == "the file is empty"
    assert rejects_of(settings).select("file_name", "line_number", "reason").rows() == [
        ("a.log", 0, report.files["reason"][0]),
        ("empty.log", 0, "the file is empty"),
    ]
    assert take(settings, land(settings, b"", name="empty.log")).skipped == 0  # touched: looked at again


def test_a_file_refused_in_its_middle_leaves_nothing(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, segment_bytes=4096)
    rng = random.Random(1)
    text = log(*(rng.randbytes(16).hex() for _ in range(8000)))
    settings = settings.model_copy(update={"max_file_bytes": len(text) - 1})  # known only at its end
    report = take(settings, land(settings, gz(text)))
    assert report.files["status"].to_list() == ["rejected"]
    assert "max_file_bytes" in report.files["reason"][0]
    assert not list((settings.lake_dir / "requests").glob("day=*/cdn.*"))


def test_a_cut_off_file_is_taken_in_and_flagged(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    packed = gz(log(*range(5000)))
    report = take(settings, land(settings, packed[: len(packed) // 2]))
    (row,) = report.files.to_dicts()
    assert row["status"] == "taken" and row["is_truncated"] and "ends early" in row["reason"]
    assert 0 < row["requests"] < 5000 and row["lines"] == row["requests"] + row["rejects"]
    assert "cut off: the file ends within this line" in rejects_of(settings)["reason"].to_list()


def test_a_file_with_too_many_rejects_is_held(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, min_rejects_to_hold=2)
    report = take(
        settings, land(settings, log(1) + "torn\ntorn too\n"), land(settings, log(1) + "t\n", name="b")
    )
    assert report.files["status"].to_list() == ["held", "taken"]
    assert report.files["reason"][0].startswith("2 of 3 lines could not be read, more than a share of 0.5")
    held = report.files["file_id"][0]
    # Its rows are in the lake, but the marts leave them out.
    assert list((settings.lake_dir / "requests").glob(f"day=*/cdn.{held}.*"))
    assert held not in Lake(settings.lake_dir).requests().collect()["file_id"]


def test_a_forced_intake_that_fails_leaves_what_was_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(tmp_path, segment_bytes=4096)
    file = land(settings, log(*range(100)))
    take(settings, file)
    before = tree(settings.lake_dir)
    original, calls = Lake.write_requests, []

    def full(lake: Lake, *args: object) -> object:
        calls.append(args)
        if len(calls) > 2:
            raise OSError(28, "No space left on device")
        return original(lake, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Lake, "write_requests", full)
    with pytest.raises(OSError, match="No space"):
        take(settings, file, force=True)
    assert tree(settings.lake_dir) == before


def test_a_changing_file_is_not_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(tmp_path, segment_bytes=4096)
    file = land(settings, log(*range(200)))
    gone = LandingFile("cdn", tmp_path / "gone", "gone")
    original = Lake.write_requests

    def grow(lake: Lake, *args: object) -> object:
        os.utime(file.path, ns=(1, 1))
        return original(lake, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Lake, "write_requests", grow)
    report = take(settings, file, gone)
    assert [(f.name, reason) for f, reason in report.changed] == [
        ("a.log", "it changed while it was read"),
        ("gone", "cannot be opened: No such file or directory"),
    ]
    assert report.files.height == 0 and Lake(settings.lake_dir).ledger().height == 0
    assert not list((settings.lake_dir / "requests").glob("day=*/cdn.*"))


def test_a_full_disk_stops_cleanly_and_keeps_what_was_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(tmp_path, segment_bytes=4096)
    files = [land(settings, log(i), name=f"{i}.log") for i in range(2)]
    files.append(land(settings, log(*range(100)), name="big.log"))
    original, calls = Lake.write_requests, []

    def full(lake: Lake, *args: object) -> object:
        calls.append(args)
        if len(calls) > 4:
            raise OSError(28, "No space left on device")
        return original(lake, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Lake, "write_requests", full)
    with pytest.raises(OSError, match="No space"):
        take(settings, *files)
    lake = Lake(settings.lake_dir)
    assert lake.ledger().sort("file_name")["file_name"].to_list() == ["0.log", "1.log"]
    assert len(list((settings.lake_dir / "requests").glob("day=*/cdn.*"))) == 2
    monkeypatch.undo()
    assert take(settings, *files).skipped == 2
    assert lake.requests().collect().height == 102


def test_what_a_killed_intake_left_behind_is_invisible_and_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = settings_of(tmp_path, segment_bytes=4096)
    file = land(small, log(*range(100)))
    with monkeypatch.context() as killed:
        killed.setattr(intake._Intake, "commit", lambda self: None)
        take(small, file)
    lake = Lake(small.lake_dir)
    assert len(list((small.lake_dir / "requests").glob("day=*/cdn.*"))) > 3
    assert lake.requests().collect().height == 0
    take(settings_of(tmp_path), file)
    assert len(list((small.lake_dir / "requests").glob("day=*/cdn.*"))) == 1
    assert lake.requests().collect().height == 100
    assert not list((small.lake_dir / ".intake").iterdir())


def test_files_are_committed_in_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "COMMIT_FILES", 3)
    settings = settings_of(tmp_path)
    files = [land(settings, log(i), name=f"{i}.log") for i in range(7)]
    known: list[int] = []
    take(
        settings,
        *files,
        progress=lambda done, of, file: known.append(Lake(settings.lake_dir).ledger().height),
    )
    assert known == [0, 0, 3, 3, 3, 6, 6]
    assert Lake(settings.lake_dir).ledger().height == 7


def test_files_cleaned_together_are_as_each_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_client = cloudfront(c_ip="nobody", x_edge_request_id="x")
    texts = {
        "two-days": log(1, date="2026-09-28") + cloudfront(x_edge_request_id=2) + no_client,
        "no-request": cloudfront_header() + no_client,
        "other-source": nginx() + nginx(ip="2001:db8:1:2:3:4:5:6", ua="App/1 (2001:db8:1:2:3:4:5:6)"),
        "own-address": log(3, cs_User_Agent=f"App/1%20({ADDRESS})") + cloudfront(time="11:00:00"),
        "early": log(4, date="2009-01-01") + cloudfront(c_ip="198.51.100.1"),
        "again": log(4, date="2009-01-01") + cloudfront(c_ip="198.51.100.1"),
    }
    keyring = KeyRing.ephemeral()
    found = []
    for rows in (1, 1_000):
        monkeypatch.setattr(intake, "TOGETHER_ROWS", rows)
        settings = settings_of(tmp_path / str(rows), min_rejects_to_hold=9)
        files = [
            land(settings, text, "nginx" if name == "other-source" else "cdn", name)
            for name, text in texts.items()
        ]
        report = take(settings, *files, keyring=keyring)
        assert report.files["status"].to_list() == ["taken"] * 5 + ["duplicate"]
        lake = tree(settings.lake_dir)
        found.append({path: lake[path] for path in lake if path.startswith(("requests/", "rejects/cdn"))})
    assert found[0] == found[1] and len(found[0]) == 9


def test_find_lists_ready_files_oldest_first_and_leaves_the_others(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    land(settings, "x", name="b.log")
    land(settings, "x", name="deep/a.log")
    land(settings, "x", source="other", name="c.log")
    for name in (".hidden", "x.tmp", "x.part", "x.partial", "x.swp", ".git/y"):
        land(settings, "x", name=name)
    folder = settings.landing_dir / "catalog"
    folder.mkdir()
    (folder / "episodes.csv").write_text("x")
    (settings.landing_dir / "stray.log").write_text("x")
    (settings.landing_dir / "cdn" / "loop").symlink_to(settings.landing_dir)
    found = find_landing_files(settings)
    assert [(f.source, f.name) for f in found] == [
        ("cdn", "b.log"),
        ("cdn", "deep/a.log"),
        ("other", "c.log"),
    ]
    assert find_landing_files(settings_of(tmp_path).model_copy(update={"settle_s": 60})) == []
    assert find_landing_files(settings_of(tmp_path / "none")) == []


def test_an_unsafe_source_name_is_passed_over_and_told_with_what_is_allowed(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    good = land(settings, log(1))
    (settings.landing_dir / "My CDN").mkdir(parents=True)
    (settings.landing_dir / "My CDN" / "a.log").write_text(log(1))
    assert [file.path for file in find_landing_files(settings)] == [good.path]
    (wrong,) = passed_over(settings)
    assert "'My CDN'" in wrong and "allowed are a-z, 0-9" in wrong


@pytest.mark.parametrize(
    "line",
    [
        cloudfront_header() + cloudfront(),
        nginx(),
        caddy(),
        fastly(),
        cloudflare(),
        akamai(),
        bunny(address=ADDRESS),
    ],
    ids=["cloudfront", "nginx", "caddy", "fastly", "cloudflare", "akamai", "bunny"],
)
def test_no_raw_address_is_in_any_written_file(tmp_path: Path, line: str) -> None:
    settings = settings_of(tmp_path)
    six = "2001:db8:1:2:3:4:5:6"
    text = line + line.splitlines(keepends=True)[-1].replace(ADDRESS, six)
    text += "torn line of 203.0.113.7 and 2001:db8:1:2:3:4:5:6\n"
    text += line.splitlines(keepends=True)[-1].replace("/show/1.mp3", f"/show/{ADDRESS}.mp3")
    report = take(settings, land(settings, text), keyring=KeyRing(settings.keys_dir))
    assert (report.requests, report.rejects) == (3, 1)
    for path in settings.data.rglob("*"):
        if path.is_file() and "landing" not in path.parts:
            data = path.read_bytes()
            if path.suffix == ".parquet":  # unpacked, as a reader sees it
                data += pl.read_parquet(path, hive_partitioning=False).write_json().encode()
            for address in (ADDRESS, six, "2001:db8:1:2"):
                assert address.encode() not in data, path


def test_all_packings_yield_the_same_requests(tmp_path: Path) -> None:
    text = log(1, 2, 3).encode()
    frames = []
    for i, content in enumerate((text, gz(text), zstandard.compress(text))):
        frame = requests_of(tmp_path / str(i), content)
        secret = pl.selectors.ends_with("_key", "_key_prev") - pl.selectors.by_name("enclosure_key")
        frames.append(frame.drop("file_id", secret))
    assert_frame_equal(frames[0], frames[1])
    assert_frame_equal(frames[0], frames[2])


def test_a_line_that_its_reader_loses_holds_the_file_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(tmp_path)
    clean = intake.Cleaner.clean

    def lossy(cleaner: intake.Cleaner, raw: pl.DataFrame, origin: intake.Origin) -> object:
        return clean(cleaner, raw.head(2), origin)

    monkeypatch.setattr(intake.Cleaner, "clean", lossy)
    report = take(settings, land(settings, log(1, 2, 3)))
    assert report.files.select("status", "lines", "requests").rows() == [("held", 3, 2)]
    assert "3 lines became 2 requests" in report.files["reason"][0]


def test_an_id_used_twice_makes_no_two_requests_one_but_a_repeated_line_is_one(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    one, other = nginx(id="same", ts="1788220800.000"), nginx(id="same", ts="1788220900.000")
    take(settings, land(settings, f"{one}\n{other}\n{one}\n"))
    keys = Lake(settings.lake_dir).requests().collect()["request_key"]
    assert keys.len() == 3 and keys.n_unique() == 2
