"""Access and erasure by address and time, as an operator does them, over two ends of key epochs."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from ingest import erasing
from ingest.compaction import compact
from ingest.erasing import Erasing, erase, finished, pending, resume, told_the_marts
from ingest.lake import Lake, write_parquet
from ingest.logs.found import find_landing_files
from ingest.logs.intake import take_in
from ingest.logs.keyring import KeyRing
from ingest.schema import APP_DEVICES, conform
from ingest.settings import Settings
from ingest.suppression import FILE, Suppressions
from ingest.whose import NoSuchAddress, Span, install_key, whose, whose_install
from orchestration.erasing import AUDIT, alone
from tests.dbt.lakes import dbt, marts
from tests.ingest.samples import land, nginx, settings_of, take
from tests.privacy.rotating_world import HOUSE, STEADY, STRADDLERS, TAKEN_IN_US, Ask, asks, line, taken

ERASED = STEADY[3]
FIRST, LAST = "2026-08-10", "2026-09-20"  # of epochs 689 and 690: what comes after stays


def us(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1_000_000


SPAN = Span(us(FIRST), us(LAST) + 86_400_000_000)
ALWAYS = Span(us("2026-08-01"), us("2026-11-01"))


def asked_by(*addresses: str, span: Span = SPAN) -> list[Ask]:
    return [
        ask
        for ask in asks()
        if ask.address in addresses and span.first_us <= ask.at.timestamp() * 1e6 < span.end_us
    ]


@pytest.fixture
def copy(house: Settings, tmp_path: Path) -> Settings:
    shutil.copytree(house.data, tmp_path / "data", symlinks=True)
    return Settings(data=tmp_path / "data", settle_s=0)


def rows(settings: Settings) -> pl.DataFrame:
    return Lake(settings.lake_dir).requests().sort("started_us", "line_number").collect()


def of(settings: Settings, address: str, span: Span = SPAN) -> Any:
    return whose(address, span, Lake(settings.lake_dir), KeyRing.of(settings))


def earshot(
    settings: Settings, *arguments: str, stdin: str = "", check: bool = True
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "earshot.cli", "privacy", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        env={**os.environ, "EARSHOT_DATA": str(settings.data), "EARSHOT_SETTLE_S": "0"},
        check=False,
    )
    assert not check or done.returncode == 0, done.stderr
    return done


def test_access_shows_every_row_of_an_address_in_the_span_and_nobody_elses(house: Settings) -> None:
    done = earshot(house, "access", "--from", FIRST, "--to", LAST, stdin=f"{ERASED}\n")
    told = json.loads(done.stdout)
    mine = asked_by(ERASED)
    assert [row["started_at"] for row in told["requests"]] == [ask.at.isoformat() for ask in mine]
    assert {row["enclosure_url"] for row in told["requests"]} == {
        f"https://media.example.fm/{ask.episode}.mp3" for ask in mine
    }
    assert len(told["downloads"]) == len(mine) and told["plays"] == [] and told["lists"] == []
    audit = (house.data / AUDIT).read_text()
    assert '"what": "access"' in audit and ERASED not in audit and ERASED not in done.stdout + done.stderr
    assert stat.S_IMODE((house.data / AUDIT).stat().st_mode) == 0o600
    assert not (house.lake_dir / FILE).exists()


def test_what_is_no_address_is_refused_without_being_repeated(house: Settings) -> None:
    done = earshot(house, "access", "--from", FIRST, "--to", LAST, stdin="198.51.100.999\n", check=False)
    assert done.returncode == 2 and "no IP address" in done.stderr and "999" not in done.stderr
    with pytest.raises(NoSuchAddress):
        of(house, "somebody")


def test_one_of_two_addresses_of_a_house_finds_both(house: Settings) -> None:
    by_each = [of(house, address).keys for address in (*HOUSE, HOUSE[0].upper())]
    assert by_each[0].equals(by_each[1]) and by_each[0].equals(by_each[2]) and by_each[0].height == 2


def test_where_secrets_are_destroyed_the_requests_lead_from_key_to_key(copy: Settings) -> None:
    before = {ip: of(copy, ip, ALWAYS).keys for ip in (ERASED, *STRADDLERS)}
    for epoch in (688, 689):
        KeyRing.of(copy).destroy(epoch, 0, "test")
    assert of(copy, ERASED, ALWAYS).keys.equals(before[ERASED])
    # A straddler of September asked nothing under a secret that lives but in 690, which its key of 689 is in.
    september, october = STRADDLERS
    assert of(copy, september, SPAN).keys.equals(
        before[september].filter(pl.col("key_epoch").is_in([689, 690]))
    )
    for epoch in (690, 691):
        KeyRing.of(copy).destroy(epoch, 0, "test")
    assert of(copy, october, ALWAYS).keys.is_empty()
    assert of(copy, october, ALWAYS).dark_epochs == (689, 690, 691)  # of 688 nothing was ever there


def test_erased_is_erased_everywhere_and_nothing_else_is(
    house: Settings, copy: Settings, tmp_path: Path
) -> None:
    before, keys = rows(copy), of(copy, ERASED).keys
    shutil.copytree(copy.keys_dir, tmp_path / "keys")
    compact(Lake(copy.lake_dir), datetime(2026, 10, 31).date())
    dry = earshot(copy, "erase", "--from", FIRST, "--to", LAST, "--dry-run", stdin=ERASED)
    assert f"{len(asked_by(ERASED))} rows" in dry.stderr and rows(copy).height == before.height

    # Left to the next build, which is somebody else's; then published and cleared away.
    done = earshot(copy, "erase", "--from", FIRST, "--to", LAST, "--no-build", stdin=ERASED)
    assert ERASED not in done.stdout + done.stderr
    assert "after the next build" in done.stderr and pending(copy) is not None
    assert "after the next build" in earshot(copy, "apply", "--no-build").stderr, "nobody has counted yet"
    dbt(Lake(copy.lake_dir), copy.warehouse, "calendar", "run")
    assert "from what is published" in earshot(copy, "apply", "--no-build").stderr
    assert len(list(copy.published_dir.glob("0*"))) == 1
    after = rows(copy)
    gone = before.join(after, on=["file_id", "line_number"], how="anti")
    assert gone.height == len(asked_by(ERASED)) and set(gone["address_key"]) == set(keys["address_key"])
    assert pending(copy) is None
    ledger = Lake(copy.lake_dir).ledger()
    assert ledger["requests"].sum() == ledger["lines"].sum() == after.height
    # What stays, of later days, carries a key of 690, and that of 689 as its older one.
    names = ("listener_key", "address_key")
    lost = {key for name in names for key in set(gone[name]) - set(after[name])} | set(gone["request_key"])
    assert _keys_in(copy.data / "published", lost) == [] and _keys_in(copy.warehouse, lost) == []
    assert _keys_in(house.data / "published", lost) != []  # so it would be seen
    audit = [json.loads(row) for row in (copy.data / AUDIT).read_text().splitlines()]
    assert [row["what"] for row in audit[-4:]] == ["erasure", "erasure", "erasure", "erasure finished"]
    assert audit[-4]["requests"] == gone.height and audit[-4]["first_day"] == FIRST

    # As a platform that had the list from the start, and got the files in another order.
    anew = Settings(data=tmp_path / "anew", landing=copy.landing_dir, settle_s=0)
    lake = Lake(anew.lake_dir)
    shutil.copytree(tmp_path / "keys", anew.keys_dir)
    shutil.copy(copy.lake_dir / FILE, lake.root / FILE)
    assert taken(anew).root == lake.root
    assert rows(anew).drop("day").equals(after.drop("day"))
    dbt(lake, anew.warehouse, "calendar", "run")
    assert marts(anew.warehouse) == marts(copy.warehouse)

    # Delivered again, as it was and beside others: they stay away.
    file = copy.landing_dir / "cdn" / "week-03.log"
    (file.parent / "again.log").write_text(
        file.read_text() + line(asked_by(ERASED)[0]).replace("id", "other-id", 1)
    )
    report = take_in(find_landing_files(copy), copy, Lake(copy.lake_dir), now_us=TAKEN_IN_US)
    assert report.count(erasing_status()) == 1
    left = rows(copy).filter(pl.col("address_key").is_in(keys["address_key"].implode()))
    assert left.filter(pl.col("started_us").is_between(SPAN.first_us, SPAN.end_us, closed="left")).is_empty()
    assert earshot(copy, "apply").stderr.startswith("erased: nothing was left to do")


def erasing_status() -> Any:
    from ingest.schema import FileStatus

    return FileStatus.TAKEN


def _keys_in(place: Path, lost: set[int]) -> list[str]:
    """Files, and in databases columns, that hold one of these keys."""
    found = []
    for path in [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]:
        if path.suffix == ".duckdb":
            found += [f"{path.name}.{name}" for name in _tables_with(path, lost)]
        elif path.suffix == ".parquet":
            frame = pl.read_parquet(path)
            found += [
                f"{path.name}.{name}"
                for name in frame.columns
                if not name.endswith("_prev") and not lost.isdisjoint(frame[name].to_list())
            ]
    return found


def _tables_with(database: Path, lost: set[int]) -> list[str]:
    found = []
    with duckdb.connect(str(database), read_only=True) as con:
        for schema, table, column in con.execute(
            "select columns.schema_name, columns.table_name, column_name from duckdb_columns() as columns"
            " inner join duckdb_tables() as tables on columns.table_oid = tables.table_oid"
            " where data_type = 'BIGINT' and not columns.internal and not suffix(column_name, '_prev')"
        ).fetchall():
            values = [row[0] for row in con.execute(f'select "{column}" from {schema}.{table}').fetchall()]
            if not lost.isdisjoint(values):
                found.append(f"{schema}.{table}.{column}")
    return found


@pytest.mark.parametrize(
    "dies_at", ["write_atomically", "write_parquet", "expand", "_recount", "second file"]
)
def test_an_erasure_that_was_killed_is_finished_by_the_next(
    copy: Settings, monkeypatch: pytest.MonkeyPatch, dies_at: str
) -> None:
    lake, before = Lake(copy.lake_dir), rows(copy)
    with monkeypatch.context() as patch:
        calls = []

        def die(*given: Any, **named: Any) -> None:
            calls.append(given)
            if dies_at == "second file" and len(calls) < 2:
                return write_parquet(*given, **named)
            raise OSError("killed")

        patch.setattr(erasing, "write_parquet" if dies_at == "second file" else dies_at, die)
        with pytest.raises(OSError, match="killed"):
            erase(lake, of(copy, ERASED))
    if dies_at == "write_atomically":  # nothing was begun
        assert rows(copy).equals(before)
        erase(lake, of(copy, ERASED))
    else:
        assert resume(lake) is not None
    after = rows(copy)
    gone = before.join(after, on=["file_id", "line_number"], how="anti")
    assert gone.height == len(asked_by(ERASED)) == before.height - after.height
    todo = pending(copy)
    assert todo is not None and set(todo.days) >= set(
        gone.select(pl.from_epoch("started_us", "us").dt.date().cast(pl.String))["started_us"]
    )
    ledger = lake.ledger()
    assert ledger["requests"].sum() == ledger["lines"].sum() == after.height
    assert list(lake.root.rglob("*.tmp")) == []


@pytest.mark.parametrize(
    ("first", "later"),
    [("2026-11-20", "2026-08-20"), ("2026-10-20", "2026-11-20"), ("2026-10-20", "2026-09-20")],
)
def test_logs_of_an_epoch_that_had_no_secret_yet_stay_without_the_erased(
    tmp_path: Path, first: str, later: str
) -> None:
    settings = settings_of(tmp_path)
    addresses = ("198.51.100.13", "198.51.100.99")

    def deliver(day: str, now_us: int) -> None:
        lines = [nginx(ts=f"{us(day) // 1_000_000}.0", dur="0", id=f"{day}{ip}", ip=ip) for ip in addresses]
        file = land(settings, "".join(lines), name=f"{day}.log")
        take(settings, file, now_us=now_us, keyring=KeyRing.of(settings))

    now_us = us("2026-11-30")
    deliver(first, now_us)
    # To look makes none.
    done = earshot(settings, "access", "--from", "2026-06-01", "--to", "2026-11-29", stdin=addresses[0])
    there = KeyRing.of(settings).epochs()
    assert "is gone" not in done.stderr and len(json.loads(done.stdout)["requests"]) == 1
    erased = earshot(
        settings, "erase", "--from", "2026-06-01", "--to", "2026-11-29", "--no-build", stdin=addresses[0]
    )
    assert "had no log yet" in erased.stderr and "is gone" not in erased.stderr
    assert len(KeyRing.of(settings).epochs()) > len(there)
    deliver(later, now_us + 1_000_000)
    assert rows(settings)["started_us"].to_list() == sorted(us(day) for day in (first, later))
    assert of(settings, addresses[1], Span(us("2026-06-01"), now_us)).keys.join(
        rows(settings), on=["key_epoch", "address_key"]
    ).height == 2  # fmt: skip


def test_what_was_destroyed_gets_no_secret_for_an_erasure(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    take(settings, land(settings, nginx()), keyring=KeyRing.of(settings))
    ring, span = KeyRing.of(settings), Span(us("2026-06-01"), us("2026-11-30"))
    ring.destroy(688, 0, "test")  # that of 689 would be needed with it
    mine = whose("203.0.113.7", span, Lake(settings.lake_dir), ring, also_later=True, now_us=us("2026-11-30"))
    assert ring.is_destroyed(688) and not {688, 689} & {*mine.made_epochs} and 691 in mine.made_epochs
    assert mine.dark_epochs == ()


def test_of_two_erasures_none_is_forgotten_when_the_first_ends(copy: Settings) -> None:
    """As if the second had come while the first one's marts were counted and published."""
    lake = Lake(copy.lake_dir)
    erase(lake, of(copy, ERASED))
    told_the_marts(lake, first := pending_of(copy), 5)
    second = erase(lake, of(copy, STEADY[4]))
    finished(lake, first)
    left = pending(copy)
    assert left is not None and set(left.erasures) == set(second.erasures) - set(first.erasures)
    assert left.restated_us == 0 and left.requests == len(asked_by(STEADY[4])) and left.listeners
    # A note that was changed meanwhile is not the one that was worked off.
    told_the_marts(lake, pending_of(copy), 6)
    finished(lake, left)
    assert pending_of(copy).restated_us == 6
    finished(lake, pending_of(copy))
    assert pending(copy) is None


def pending_of(settings: Settings) -> Erasing:
    found = pending(settings)
    assert found is not None
    return found


def test_a_second_erasure_waits_for_the_first_says_so_and_then_goes_on(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    lines = [nginx(id=f"i{n}", ip=f"198.51.100.{n}") for n in range(3)]
    take(settings, land(settings, "".join(lines)), keyring=KeyRing.of(settings))
    span = ("--from", "2026-09-01", "--to", "2026-09-30")
    with alone(settings, lambda: pytest.fail("nobody else is there")):
        waiting = subprocess.Popen(
            [sys.executable, "-m", "earshot.cli", "privacy", "erase", *span],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "EARSHOT_DATA": str(settings.data)},
        )
        assert waiting.stdin is not None and waiting.stderr is not None
        waiting.stdin.write("198.51.100.1\n")
        waiting.stdin.close()
        assert "another erasure is under way" in waiting.stderr.readline()
        assert rows(settings).height == 3 and waiting.poll() is None
    said = waiting.stderr.read()
    assert waiting.wait() == 0, said
    assert rows(settings).height == 2


def test_an_erasure_removes_the_damaged_files_of_its_days_and_says_so(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    take(settings, land(settings, nginx()), keyring=KeyRing.of(settings))
    names = [
        "requests/day=2026-09-29/cdn.0.parquet",
        "app_devices/day=2026-09-01/a.parquet",
        "requests/day=2026-08-31/cdn.0.parquet",
        "files/day=2026-09-29/cdn.parquet",  # of the ledger: nobody's
    ]
    for name in names:
        path = settings.data / "damaged" / "1790683200000000" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"PAR1 cut short")
    done = earshot(settings, "erase", "--from", "2026-09-01", "--to", "2026-09-30", stdin="203.0.113.7\n")
    assert "removed: 2 damaged files" in done.stderr
    left = [path for path in (settings.data / "damaged").rglob("*") if path.is_file()]
    assert sorted(path.as_posix().split("0000/")[1] for path in left) == sorted(names[2:])


def test_an_erasure_twice_is_one(copy: Settings) -> None:
    lake = Lake(copy.lake_dir)
    first = erase(lake, of(copy, ERASED))
    listed, after = Suppressions.load(lake.root).rows, rows(copy)
    second = erase(lake, of(copy, ERASED))
    assert second.requests == first.requests and second.days == first.days  # still under way
    assert Suppressions.load(lake.root).rows.equals(listed) and rows(copy).equals(after)


def test_the_list_holds_no_address_and_only_its_owner_reads_it(copy: Settings) -> None:
    erase(Lake(copy.lake_dir), of(copy, ERASED))
    path = copy.lake_dir / FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ERASED.encode() not in path.read_bytes()
    assert not any(ERASED in str(row) for row in pl.read_parquet(path).iter_rows())


def test_a_restored_backup_takes_up_the_list_of_the_house_it_was_made_of(
    house: Settings, copy: Settings, tmp_path: Path
) -> None:
    erase(Lake(copy.lake_dir), of(copy, ERASED))
    kept = shutil.copy(copy.lake_dir / FILE, tmp_path / "kept.parquet")
    shutil.copytree(house.data, tmp_path / "restored", symlinks=True)
    lake = Lake(tmp_path / "restored" / "lake")
    done = resume(lake, Suppressions.read(Path(kept)))
    assert done is not None and done.requests == len(asked_by(ERASED))
    assert lake.requests().collect().height == rows(copy).height
    (tmp_path / "no.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(ValueError, match="is no suppression list"):
        Suppressions.read(tmp_path / "no.parquet")


def test_an_app_s_plays_are_found_and_erased_by_the_id_of_its_installation(copy: Settings) -> None:
    lake = Lake(copy.lake_dir)
    plays = [
        {
            "install_key": install_key(name),
            "key_epoch": 690,
            "address_key": 5,
            "started_us": us("2026-09-10") + n,
        }
        for n, name in enumerate(["mine", "mine", "another"])
    ]
    path = lake.root / "app_devices" / "day=2026-09-10" / "a.parquet"
    write_parquet(conform(pl.DataFrame(plays), APP_DEVICES).collect(), path)
    told = json.loads(
        earshot(copy, "access", "--install", "mine", "--from", FIRST, "--to", LAST, "--output", "json").stdout
    )
    assert len(told["plays"]) == 2 and told["requests"] == []
    done = erase(lake, whose_install("mine", SPAN))
    assert (done.plays, done.requests) == (2, 0)
    assert pl.read_parquet(path)["install_key"].to_list() == [install_key("another")]


def test_an_instant_at_midnight_ends_the_span_and_takes_no_day_more(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    days = [f"2026-09-{day:02}T{hour:02}:00:00+00:00" for day in (28, 29) for hour in (0, 12)]
    lines = [nginx(ts=f"{datetime.fromisoformat(at).timestamp()}", dur="0", id=at, ip=ERASED) for at in days]
    take(settings, land(settings, "".join(lines), name="a.log"), keyring=KeyRing.of(settings))

    def held(last: str) -> int:
        done = earshot(settings, "access", "--from", "2026-09-28", "--to", last, stdin=ERASED)
        return len(json.loads(done.stdout)["requests"])

    assert held("2026-09-28T00:00:01") == 1 and held("2026-09-28T12:00") == 1
    assert held("2026-09-29T00:00") == held("2026-09-29T00:00:00") == held("2026-09-28") == 2
    assert held("2026-09-29") == 4
    refused = earshot(settings, "erase", "--from", "2026-09-28", "--to", "soon", stdin=ERASED, check=False)
    assert refused.returncode == 2 and "'soon' is no day" in refused.stderr


def test_a_damaged_note_of_an_erasure_is_told_with_what_to_do(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    take(settings, land(settings, nginx(id="a", ip=ERASED)), keyring=KeyRing.of(settings))
    note = settings.lake_dir / "erasing-0123456789ab.json"
    for content in (b"", b'{"erasures": ["a', b"[]", b'{"days": []}', b"\xff\x00", b'{"listeners": [1]}'):
        note.write_bytes(content)
        said = earshot(settings, "apply", check=False)
        assert said.returncode == 1 and "Traceback" not in said.stderr
        told = " ".join(said.stderr.split())
        assert "erasing-0123456789ab.json is damaged" in told and "earshot rebuild" in told
    note.unlink()
    assert earshot(settings, "apply").returncode == 0
