"""Restating days of a real lake: as if it had been taken in under the new lists."""

from __future__ import annotations

import json
import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ingest.durable import locked
from ingest.lake import Lake
from ingest.logs import landing, restate
from ingest.logs.found import find_landing_files
from ingest.logs.listeners import KeyRing
from ingest.logs.restate import RestateReport, restate_days
from ingest.logs.rules import Rules
from ingest.schema import REQUESTS, RESTATED
from ingest.settings import Settings
from tests.ingest.databases import asn_db
from tests.ingest.samples import (
    ADDRESS,
    APP,
    BROWSER,
    NOON_S,
    NOW_US,
    cloudfront,
    cloudfront_header,
    gz,
    land,
    nginx,
    settings_of,
)
from tests.ingest.samples import take as taken

DAY = date(2026, 9, 29)
NEXT = DAY + timedelta(days=1)
TAKEN_IN_US = NOW_US + 3 * 86_400_000_000
CLOUD = "198.51.100.9"


def log(*, days: int = 2, rows: int = 30) -> str:
    """Requests of several days, agents and addresses, one line of them unreadable."""
    lines = [
        nginx(
            ts=f"{NOON_S + 86_400 * (i % days) + i}.0",
            id=f"id-{i}",
            ip=(ADDRESS, CLOUD, f"2001:db8:{i % 3}::1")[i % 3],
            ua=(APP, BROWSER, "Fresh/1.0 (iPhone; iOS 17)", f"Fresh/{ADDRESS}x")[i % 4],
            uri=f"/show/{i % 5}.mp3",
            ref="https://player.example/x" if i % 2 else "",
        )
        for i in range(rows)
    ]
    return "".join([*lines, "torn line\n"])


def lists(folder: Path, **entries: list[dict[str, Any]]) -> Path:
    """A reference folder: OPAWG's shape, our entries with some more before them."""
    ours = json.loads((Path(restate.__file__).parents[1] / "reference" / "agents.json").read_text())
    (folder / "opawg").mkdir(parents=True, exist_ok=True)
    for name in ("bots", "apps", "libraries", "browsers", "devices", "referrers"):
        content = {"entries": [*entries.get(name, []), *ours.get(name, [])]}
        if not content["entries"]:
            content = {
                "entries": [{"name": "Player", "pattern": "player", "category": "app", "examples": []}]
            }
        (folder / "opawg" / f"{name}.json").write_text(json.dumps(content))
    return folder


FRESH_APP = {"name": "Fresh", "pattern": "^Fresh/", "examples": ["Fresh/1.0"]}
FRESH_BOT = {"name": "Fresh", "pattern": r"^Fresh/\d", "examples": ["Fresh/1.0"]}


@pytest.fixture
def old(tmp_path: Path) -> Settings:
    return settings_of(tmp_path, reference_dir=lists(tmp_path / "old"))


def under(settings: Settings, folder: Path | None = None, **values: Any) -> Settings:
    return settings.model_copy(update={"reference_dir": folder, **values})


def again(settings: Settings, *days: date, **options: Any) -> RestateReport:
    """Restate these days by the lists of `settings`."""
    lake = Lake(settings.lake_dir)
    return restate_days(list(days), settings, lake, Rules.load(settings), **{"now_us": NOW_US} | options)


def take(settings: Settings, *files: Any) -> None:
    taken(settings, *files, keyring=KeyRing(settings.keys_dir), now_us=TAKEN_IN_US)


def from_scratch(settings: Settings, tmp_path: Path) -> dict[str, pl.DataFrame]:
    """What a new lake with the same secrets and landing files has, by path."""
    other = settings.model_copy(update={"data": tmp_path / "scratch", "landing": settings.landing_dir})
    shutil.copytree(settings.keys_dir, other.keys_dir)
    take(other, *find_landing_files(other))
    return stored(other)


def stored(settings: Settings) -> dict[str, pl.DataFrame]:
    root = settings.lake_dir / "requests"
    return {
        path.relative_to(root).as_posix(): pl.read_parquet(path, hive_partitioning=False)
        for path in sorted(root.glob("*/*.parquet"))
    }


def assert_same(found: dict[str, pl.DataFrame], wanted: dict[str, pl.DataFrame]) -> None:
    assert found.keys() == wanted.keys()
    for path, frame in wanted.items():
        assert_frame_equal(found[path], frame)


def restated(settings: Settings) -> pl.DataFrame:
    return pl.read_parquet(settings.lake_dir / "restated" / "*.parquet", schema=RESTATED).sort("day")


@pytest.mark.parametrize("packed", [False, True])
def test_a_restated_lake_is_one_taken_in_under_the_new_lists(
    old: Settings, tmp_path: Path, packed: bool
) -> None:
    text = log()
    take(
        old,
        land(old, gz(text) if packed else text),
        land(old, cloudfront_header() + cloudfront(), name="b.log"),
    )
    folder = lists(tmp_path / "new", bots=[FRESH_BOT], referrers=[{"name": "P", "pattern": "player"}])
    (folder / "datacenters.txt").write_text(f"{CLOUD}\n")
    (folder / "excluded_addresses.txt").write_text("2001:db8:1::/48\n")
    (folder / "bogus_referrers.txt").write_text("player.example\n")
    new = under(old, folder, network_db=asn_db(tmp_path / "a.mmdb", **{f"{CLOUD}/32": (24940, "H")}))
    before = stored(old)
    report = again(new, DAY, NEXT)
    found = stored(new)
    assert_same(found, from_scratch(new, tmp_path))
    assert (report.read_again, report.from_lake, report.notes) == (2, 0, [])
    assert report.requests == sum(frame.height for frame in found.values()) == 31
    assert report.days == [DAY, NEXT] == restated(new)["day"].to_list()
    assert restated(new)["rules_version"].unique().to_list() == [report.rules_version]
    assert (new.lake_dir / "rules" / f"{report.rules_version}.parquet").exists()
    assert report.moved["requests"].sum() == report.requests
    both = pl.concat(before.values()).join(
        pl.concat(found.values()), on=["file_id", "line_number"], suffix="_now"
    )
    counted = both.group_by(former_reason="exclusion_reason", reason="exclusion_reason_now").len()
    assert dict.fromkeys(counted.rows()) == dict.fromkeys(report.moved.rows())
    assert pl.read_parquet(new.lake_dir / "networks.parquet")["asn"].to_list() == [24940]


def test_without_its_landing_file_a_lake_is_restated_the_same_when_only_agents_differ(
    old: Settings, tmp_path: Path
) -> None:
    take(old, land(old, log()))
    new = under(old, lists(tmp_path / "new", bots=[FRESH_BOT]))
    wanted = from_scratch(new, tmp_path)
    shutil.rmtree(new.landing_dir)
    report = again(new, DAY, NEXT)
    assert_same(stored(new), wanted)
    assert (report.read_again, report.from_lake) == (0, 1)
    assert report.notes == ["cdn/a.log: its landing file is gone"]


def test_a_landing_file_is_read_once_for_all_days(
    old: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(old, land(old, log(days=5)))
    opened: list[Path] = []
    open_segments = landing.open_segments
    monkeypatch.setattr(
        restate, "open_segments", lambda path, config: [opened.append(path), open_segments(path, config)][1]
    )
    report = again(old, *(DAY + timedelta(days=i) for i in range(-3, 9)))
    assert len(opened) == 1 and len(report.days) == 5


def test_only_the_asked_days_change(old: Settings, tmp_path: Path) -> None:
    take(old, land(old, log(days=3)))
    before = stored(old)
    new = under(old, lists(tmp_path / "new", bots=[FRESH_BOT]))
    report = again(new, NEXT)
    wanted = from_scratch(new, tmp_path)
    for path, frame in stored(new).items():
        is_asked = path.startswith(f"day={NEXT}")
        assert_frame_equal(frame, wanted[path] if is_asked else before[path])
    assert report.days == [NEXT] == restated(new)["day"].to_list()


def test_restating_twice_changes_nothing(old: Settings, tmp_path: Path) -> None:
    take(old, land(old, log()))
    new = under(old, lists(tmp_path / "new", apps=[FRESH_APP]))
    first = again(new, DAY, NEXT)
    files = {path: path.read_bytes() for path in new.lake_dir.rglob("*.parquet")}
    second = again(new, DAY, NEXT)
    assert {path: path.read_bytes() for path in new.lake_dir.rglob("*.parquet")} == files
    assert first.changed == 14 and second.changed == 0 and second.requests == first.requests


def test_under_the_same_lists_nothing_changes(old: Settings) -> None:
    take(old, land(old, log()))
    before = stored(old)
    assert again(old, DAY, NEXT).changed == 0
    assert_same(stored(old), before)


def test_a_killed_restatement_is_healed_by_the_next(
    old: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(old, land(old, log(days=4)), land(old, log(rows=9), name="b.log"))
    new = under(old, lists(tmp_path / "new", bots=[FRESH_BOT]))
    days = [DAY + timedelta(days=i) for i in range(4)]
    write = restate.write_requests_of_day
    for killed_at in range(5):
        written: list[Path] = []

        def until(
            frame: pl.DataFrame, path: Path, *, written: list[Path] = written, last: int = killed_at
        ) -> None:
            if len(written) == last:
                raise OSError(28, "No space left on device")
            written.append(path)
            write(frame, path)

        with monkeypatch.context() as killed:
            killed.setattr(restate, "write_requests_of_day", until)
            with pytest.raises(OSError, match="No space"):
                again(new, *days)
        # A day is told to the marts only when all its files are done.
        left = {path for path in (new.lake_dir / "requests").glob("*/cdn.*") if path not in written}
        assert not {f"day={day}" for day in restated(new)["day"]} & {path.parent.name for path in left}
    assert not list(new.lake_dir.rglob(".*.tmp"))
    again(new, *days)
    assert_same(stored(new), from_scratch(new, tmp_path))
    assert restated(new)["day"].to_list() == days


def test_a_day_is_recorded_when_all_its_files_are_done(
    old: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(old, land(old, log(days=1)), land(old, log(days=2, rows=8), name="b.log"))
    done: list[tuple[int, list[date]]] = []
    again(old, DAY, NEXT, progress=lambda at, of, name: done.append((at, restated(old)["day"].to_list())))
    # Files in the order of their content's hash: only the last one of a day completes it.
    assert [at for at, _ in done] == [1, 2] and done[-1][1] == [DAY, NEXT]
    assert DAY not in done[0][1]


@pytest.mark.parametrize("limit", [4096, 6000, 64 * 2**20])
def test_segments_of_another_size_go_where_the_rows_were(old: Settings, tmp_path: Path, limit: int) -> None:
    small = under(old, old.reference_dir, segment_bytes=4096)
    take(small, land(small, log(rows=200)))
    before = stored(small)
    assert len(before) > 12
    new = under(small, lists(tmp_path / "new", bots=[FRESH_BOT]), segment_bytes=limit)
    report = again(new, DAY, NEXT)
    assert report.read_again == 1
    assert_same(stored(new), from_scratch(under(new, new.reference_dir, segment_bytes=4096), tmp_path))


def test_a_landing_file_that_was_replaced_is_not_read(old: Settings, tmp_path: Path) -> None:
    file = land(old, log())
    take(old, file)
    before = stored(old)
    file.path.write_text(log().replace("/show/", "/shew/"))
    report = again(old, DAY, NEXT)
    assert report.from_lake == 1 and "gone" in report.notes[0]
    assert_same(stored(old), before)


def test_the_same_content_under_another_name_will_do(old: Settings) -> None:
    file = land(old, log())
    take(old, file, land(old, log(), name="again.log"))
    file.path.unlink()
    assert again(old, DAY, NEXT).read_again == 1


def test_without_the_secret_of_the_time_listeners_keep_their_keys(old: Settings, tmp_path: Path) -> None:
    take(old, land(old, log()))
    before = stored(old)
    new = under(old, lists(tmp_path / "new", bots=[FRESH_BOT]))
    for key in new.keys_dir.iterdir():
        key.unlink()
    report = again(new, DAY, NEXT)
    assert report.notes == ["cdn/a.log: the secret of its key epoch is gone"]
    assert list(new.keys_dir.iterdir()) == []
    for path, frame in stored(new).items():
        assert frame["listener_key"].equals(before[path]["listener_key"])
    # Nor with other secrets in their place.
    take(new, land(new, nginx(id="new"), name="new.log"))
    report = again(new, DAY, NEXT)
    assert report.from_lake == 1 and "its secret has changed" in report.notes[0]
    for path, frame in stored(new).items():
        if path in before:
            assert frame["listener_key"].equals(before[path]["listener_key"])


def test_a_file_that_is_another_today_is_judged_from_the_lake(old: Settings) -> None:
    take(old, land(old, log()))
    before = stored(old)
    (old.data / "sources.toml").write_text('[cdn]\nformat = "prefix"\n')
    report = again(old, DAY, NEXT)
    assert report.notes == ["cdn/a.log: it was taken in as nginx, today it would be prefix"]
    assert_same(stored(old), before)


def test_what_a_killed_intake_left_behind_is_left_alone(old: Settings) -> None:
    take(old, land(old, log()))
    lake = Lake(old.lake_dir)
    stray = lake.requests_path("cdn", "0" * 32, DAY, 0)
    pl.DataFrame(schema=REQUESTS).write_parquet(stray)
    content = stray.read_bytes()
    assert again(old, DAY).read_again == 1
    assert stray.read_bytes() == content


def test_a_day_without_requests_is_not_recorded(old: Settings) -> None:
    report = again(old, DAY)
    assert (report.days, report.requests, restated(old).height) == ([], 0, 0)
    assert report.moved.schema == restate.MOVED


def test_a_restatement_waits_for_an_intake(old: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    take(old, land(old, log()))
    seen: list[Path] = []
    monkeypatch.setattr(restate, "locked", lambda path: [seen.append(path), locked(path)][1])
    again(old, DAY)
    assert seen == [old.lake_dir / ".intake.lock"]


def test_dated_entries_act_as_on_the_day_of_intake(old: Settings, tmp_path: Path) -> None:
    """An inclusion that has expired since acts on what came while it was valid."""
    take(old, land(old, log(days=1, rows=3)))
    key = stored(old)[next(iter(stored(old)))]["address_key"][0]
    folder = lists(tmp_path / "new")
    (folder / "excluded_addresses.txt").write_text("0.0.0.0/8\n203.0.0.0/8\n198.0.0.0/8\n2001:db8::/32\n")
    (folder / "included_addresses.csv").write_text(f"address,validated_on\nkey:{key},2026-07-05\n")
    new = under(old, folder)
    again(new, DAY)
    assert_same(stored(new), from_scratch(new, tmp_path))
    reasons = pl.concat(stored(new).values())["exclusion_reason"]
    assert reasons.null_count() == 1 and (reasons == "excluded_address").sum() == 2
