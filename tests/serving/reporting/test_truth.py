"""The API's figures against the world's own truth, the marts, and `earshot report`."""

from __future__ import annotations

import io
from collections import Counter
from typing import Any

import polars as pl
import pytest

from earshot.made_up import world as worlds
from earshot.report import By, Question, report
from ingest.schema import SourceClass
from ingest.settings import Window
from tests.serving.reporting.conftest import Asked

ALL = {"from": "2026-08-25", "to": "2026-09-10"}
CLASSES = worlds.SERVER_LOG, worlds.PREFIX


def shows(world: worlds.World) -> list[str]:
    return sorted({target.show_id for show in world.shows for target in show if target.show_id})


def test_downloads_of_every_episode_are_the_worlds_truth(of_world: Asked, world: worlds.World) -> None:
    found: Counter[tuple[str, str, str]] = Counter()
    for show in shows(world):
        for episode in of_world.rows(f"/shows/{show}/episodes"):
            name = episode["episode_id"]
            for source_class in CLASSES:
                for window in Window:
                    rows = of_world.rows(
                        f"/episodes/{show}/{name}/downloads", source_class=source_class, window=window, **ALL
                    )
                    found[source_class, name, str(window)] += sum(row["downloads"] for row in rows)
    truth = {
        key: count for key, count in world.truth.downloads.items() if world.truth.show_of[key[1]] is not None
    }
    assert +found == truth
    assert sum(truth.values()) > 500


def test_listeners_of_every_episode_are_the_worlds_truth(of_world: Asked, world: worlds.World) -> None:
    found = {}
    for show in shows(world):
        for episode in of_world.rows(f"/shows/{show}/episodes"):
            for source_class in CLASSES:
                path = f"/episodes/{show}/{episode['episode_id']}/listeners"
                months = of_world.rows(path, period="trailing_28", source_class=source_class, **ALL)
                if months:
                    found[source_class, episode["episode_id"]] = months[-1]["listeners"]
    truth = {
        key: count for key, count in world.truth.listeners.items() if world.truth.show_of[key[1]] is not None
    }
    assert found == truth


def test_every_request_of_a_show_has_its_fate(of_world: Asked, world: worlds.World) -> None:
    for show in shows(world):
        for source_class, requests in ((worlds.SERVER_LOG, world.cdn), (worlds.PREFIX, world.prefix)):
            wanted = Counter(
                worlds.exclusion(request, source_class)
                for request in requests
                if request.target.show_id == show
            )
            rows = of_world.rows(f"/shows/{show}/exclusions", source_class=source_class, **ALL)
            found = Counter({row["reason"]: row["requests"] for row in rows})
            found.pop("redelivered_line", None)
            qualifying = sum(found.pop(reason, 0) for reason in ("download", "duplicate", "below_threshold"))
            assert found + Counter({worlds.QUALIFYING: qualifying}) == wanted
            assert all(row["rule"] and row["words"] for row in rows)
            if rows:
                assert sum(row["share"] for row in rows) == pytest.approx(1, abs=1e-4)


def test_a_shows_downloads_are_those_of_its_episodes(of_world: Asked, world: worlds.World) -> None:
    for show in shows(world):
        truth = sum(
            count
            for (source_class, episode, window), count in world.truth.downloads.items()
            if (source_class, window) == (worlds.SERVER_LOG, "calendar")
            and world.truth.show_of[episode] == show
        )
        for by in ("hour", "day", "week", "month"):
            rows = of_world.rows(f"/shows/{show}/downloads", by=by, **ALL)
            assert sum(row["downloads"] for row in rows) == truth
        for dimension in ("app", "device", "country", "os"):
            rows = of_world.rows(f"/shows/{show}/audience", dimension=dimension, **ALL)
            assert sum(row["downloads"] for row in rows) == truth
        top = of_world.rows(f"/shows/{show}/top-episodes", most=1000, **ALL)
        assert sum(row["downloads"] for row in top) == truth
        assert of_world.rows(f"/shows/{show}/headlines")[0]["downloads_all"] == truth


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
@pytest.mark.parametrize("by", ["hour", "day", "week", "month"])
def test_the_api_and_the_report_command_tell_the_same(
    of_world: Asked, world: worlds.World, zone: str, by: str
) -> None:
    show = shows(world)[0]
    told = report(Question(By(by), show=show, time_zone=zone), of_world.aside)
    rows = of_world.rows(f"/shows/{show}/downloads", by=by, time_zone=zone, **ALL)
    assert [(row["period"], row["downloads"]) for row in rows] == [
        (row[by], row["downloads"]) for row in told.rows
    ]


def test_the_platform_is_the_sum_of_its_shows(of_world: Asked, world: worlds.World) -> None:
    of_shows = {
        show: sum(row["downloads"] for row in of_world.rows(f"/shows/{show}/downloads", **ALL))
        for show in shows(world)
    }
    together = of_world.rows("/overview/downloads", **ALL)
    assert sum(row["downloads"] for row in together) == sum(of_shows.values())
    top = of_world.rows("/overview/top-shows", most=1000, **ALL)
    assert {row["show_id"]: row["downloads"] for row in top} == {k: n for k, n in of_shows.items() if n}
    assert [row["downloads"] for row in top] == sorted((row["downloads"] for row in top), reverse=True)
    best = of_world.rows("/top-episodes", most=1000, **ALL)
    assert sum(row["downloads"] for row in best) == sum(of_shows.values())
    mine = of_world.rows("/overview/downloads", "ann", **ALL)
    assert sum(row["downloads"] for row in mine) == of_shows[shows(world)[0]]


def test_pacing_is_the_marts(of_world: Asked, world: worlds.World) -> None:
    show = shows(world)[0]
    marts = of_world.sql(
        "select episode_id, age_days, downloads, show_median from fct_episode_pacing"
        " where show_id = ? and source_class = 'server_log'",
        show,
    )
    rows = of_world.rows(f"/shows/{show}/pacing", most=100)
    assert {
        (row["episode_id"], row["age_days"], row["downloads"], row["median_downloads"]) for row in rows
    } == {*marts}
    assert marts
    band = {row["age_days"]: row["median_downloads"] for row in of_world.rows(f"/shows/{show}/pacing-band")}
    assert {(age, median) for _, age, _, median in marts} <= set(band.items())
    one = of_world.rows(f"/episodes/{show}/{rows[0]['episode_id']}/pacing")
    assert one == [row for row in rows if row["episode_id"] == rows[0]["episode_id"]]


def test_both_classes_stand_beside_each_other(of_world: Asked, world: worlds.World) -> None:
    columns = "prefix_downloads, server_log_downloads, likely_cause"
    seen = 0
    for show in shows(world):
        marts = of_world.sql(
            f"select {columns} from fct_show_reconciliation_daily where show_id = ? order by date", show
        )
        rows = of_world.rows(f"/shows/{show}/reconciliation", **ALL)
        assert [tuple(row[name] for name in columns.split(", ")) for row in rows] == marts
        assert all(row["words"] != row["likely_cause"] for row in rows)
        by_episode = of_world.rows(f"/shows/{show}/reconciliation", by_episode=True, **ALL)
        assert sum(row["prefix_downloads"] for row in by_episode) == sum(row[0] for row in marts)
        seen += len(rows)
    assert seen


def test_listeners_of_a_show_are_the_marts(of_world: Asked, world: worlds.World) -> None:
    show = shows(world)[0]
    for period in ("day", "week", "month", "trailing_7", "trailing_28"):
        marts = of_world.sql(
            "select cast(period_start as varchar), listeners, new_listeners, returning_listeners"
            " from fct_show_listeners where show_id = ? and period = ? and source_class = 'server_log'"
            " order by period_end",
            show,
            period,
        )
        rows = of_world.rows(f"/shows/{show}/listeners", period=period, **ALL)
        names = ("period_start", "listeners", "new_listeners", "returning_listeners")
        assert [tuple(row[name] for name in names) for row in rows] == marts != []


@pytest.mark.parametrize(
    "path",
    [
        "downloads?by=hour&time_zone=Europe/Berlin",
        "downloads?by=week&dimension=app",
        "audience?dimension=device",
        "listeners?period=day",
        "episodes",
        "top-episodes",
        "pacing",
        "exclusions?by=day",
        "reconciliation",
    ],
)
def test_every_format_holds_the_same_rows(of_world: Asked, world: worlds.World, path: str) -> None:
    path = f"/v1/shows/{shows(world)[0]}/{path}"
    headers = {"authorization": f"Bearer {of_world.keys['operator']}"}

    def content(accept: str) -> bytes:
        answer = of_world.client.get(path, headers={**headers, "accept": accept})
        assert answer.status_code == 200 and answer.headers["earshot-version"] == "1"
        return answer.content

    rows = of_world.client.get(path, headers=headers).json()["data"]
    csv = pl.read_csv(io.BytesIO(content("text/csv")), infer_schema=False)
    parquet = pl.read_parquet(io.BytesIO(content("application/vnd.apache.parquet")))
    assert csv.columns == parquet.columns and csv.height == parquet.height == len(rows)
    for number, row in enumerate(rows):
        assert list(row) == csv.columns
        for name, value in row.items():
            assert _same(value, csv[name][number]), (name, value)
    numbers = [name for name, kind in parquet.schema.items() if kind.is_numeric()]
    for name in numbers:
        assert parquet[name].to_list() == pytest.approx([row[name] for row in rows])


def _same(value: Any, cell: str | None) -> bool:
    if value is None or isinstance(value, bool):
        return cell == (None if value is None else str(value).lower())
    if isinstance(value, int | float):
        return cell is not None and float(cell) == value
    # An instant is written with Z in JSON, as it stands in CSV.
    return str(value).removesuffix("Z") == str(cell).removesuffix("Z")


def test_every_answer_says_what_it_rests_on(of_world: Asked, world: worlds.World) -> None:
    show = shows(world)[0]
    page = of_world.client.get("/v1/methodology", headers={"accept": "text/html"}).text
    for path in ("downloads", "listeners", "exclusions", "pacing", "reconciliation", "episodes", "headlines"):
        told = of_world.get(f"/shows/{show}/{path}")
        assert told["version"] == 1 and told["window"] == "calendar" and told["time_zone"] == "UTC"
        anchor = told["rule"]["link"].partition("#")[2]
        assert f'id="{anchor}"' in page, told["rule"]
        assert told["source_class"] == ("server_log" if path != "reconciliation" else None)
    both = of_world.get(f"/shows/{show}")
    assert {one["source_class"] for one in both["source_classes"]} == set(SourceClass)
    assert any("never sum them" in note for note in of_world.get(f"/shows/{show}/downloads")["notes"])
