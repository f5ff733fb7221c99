"""Where hours, days, weeks and months begin in a time zone (macros/periods.sql)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import duckdb
import pytest
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner

from tests.dbt import lakes

GRAINS = ("hour", "day", "week", "month")


def compiled(folder: Path, sql: str) -> str:
    """What dbt makes of `sql`."""
    target = str(folder / "target")
    with lakes.environment(
        EARSHOT_LAKE=str(folder),
        EARSHOT_WAREHOUSE=str(folder / "w.duckdb"),
        DBT_PROJECT_DIR=str(lakes.PROJECT),
        DBT_PROFILES_DIR=str(lakes.PROJECT),
        DBT_TARGET_PATH=target,
        DBT_LOG_PATH=target,
        DBT_SEND_ANONYMOUS_USAGE_STATS="false",
    ):
        done = dbtRunner().invoke(["compile", "--quiet", "--no-populate-cache", "--inline", sql])
        DuckDBConnectionManager.close_all_connections()
    assert done.success, done.exception
    return str(done.result.results[0].node.compiled_code)  # type: ignore[union-attr]


def start(local: datetime, grain: str) -> datetime:
    """Wall-clock start of the period that holds the wall-clock time `local`."""
    hour = local.replace(minute=0, second=0, microsecond=0)
    day = hour.replace(hour=0)
    return {
        "hour": hour,
        "day": day,
        "week": day - timedelta(day.weekday()),
        "month": day.replace(day=1),
    }[grain]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kolkata", "America/New_York"])
def test_periods_begin_on_the_wall_clock_of_the_zone(tmp_path: Path, zone: str) -> None:
    # A year of instants, among them the quarter hours around both changes of the clock in Berlin.
    rng = Random(zone)
    first = datetime(2026, 1, 1, tzinfo=UTC)
    instants = [first + timedelta(seconds=rng.randrange(365 * 86_400)) for _ in range(500)]
    for change in (datetime(2026, 3, 29, 0, tzinfo=UTC), datetime(2026, 10, 24, 23, tzinfo=UTC)):
        instants += [change + timedelta(minutes=15 * n) for n in range(16)]
    columns = ", ".join(
        f"{{{{ {macro}('moment', '{grain}', '{zone}') }}}} as {macro}_{grain}"
        for grain in GRAINS
        for macro in ("period_start", "period_start_utc")
    )
    sql = compiled(tmp_path, f"select moment, {columns} from instants")
    con = duckdb.connect()
    con.execute("create table instants (moment timestamp)")
    con.executemany("insert into instants values (?)", [(at.replace(tzinfo=None),) for at in instants])
    rows = con.execute(sql).fetchall()
    assert len(rows) == len(instants)
    for at, *starts in rows:
        local = at.replace(tzinfo=UTC).astimezone(ZoneInfo(zone))
        wall = local.replace(tzinfo=None)
        for number, grain in enumerate(GRAINS):
            assert starts[2 * number] == start(wall, grain), (at, grain)
        assert starts[1] == at - (wall - start(wall, "hour")), at


def test_the_hour_that_comes_twice_is_two_hours_in_utc(tmp_path: Path) -> None:
    # Berlin, 25 October 2026: 00:30 and 01:30 UTC are both 02:30.
    sql = compiled(
        tmp_path,
        "select {{ period_start('moment', 'hour', 'Europe/Berlin') }},"
        " {{ period_start_utc('moment', 'hour', 'Europe/Berlin') }}"
        " from (values (timestamp '2026-10-25 00:30:00'), (timestamp '2026-10-25 01:30:00')) as t(moment)"
        " order by moment",
    )
    local = datetime(2026, 10, 25, 2)
    found = duckdb.connect().execute(sql).fetchall()
    assert found == [(local, datetime(2026, 10, 25, 0)), (local, datetime(2026, 10, 25, 1))]


def test_an_unknown_period_is_refused_with_what_is_allowed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(AssertionError):
        compiled(tmp_path, "select {{ period_start('moment', 'quarter') }}")
    assert "period 'quarter'; allowed: hour, day, week, month" in capsys.readouterr().out
