"""The dashboard before an analyst's eyes: the marts' figures, from both databases, through publications."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from deploy.superset import bundle
from deploy.superset.tests.browser import Analyst, analyst, open_browser
from deploy.superset.tests.conftest import Superset
from deploy.superset.tests.house import House

PUBLICATIONS = 20
SLUGS = ("earshot", "earshot-postgresql")
TOTAL = "select sum(downloads) from fct_show_daily where source_class = 'server_log'"


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with open_browser(chromium) as browser:
        yield browser


@pytest.fixture(scope="module")
def admin(superset: Superset, browser: Browser) -> Analyst:
    return analyst(browser, superset.base, "admin", superset.password)


@pytest.mark.parametrize("slug", SLUGS)
def test_the_dashboard_shows_the_figures_of_the_marts(
    slug: str, admin: Analyst, house: House, pictures: Path
) -> None:
    ask: Callable[[str], list[tuple[Any, ...]]] = house.of_file if slug == "earshot" else house.of_server
    rows = admin.open_dashboard(slug)
    admin.picture(pictures / f"{slug}-downloads.png")
    by_day = "select date, sum(downloads) from fct_show_daily where source_class = 'server_log' group by 1"
    assert sorted(row["server_log"] for row in rows["Downloads by day"]) == sorted(n for _, n in ask(by_day))
    classes = ask(
        "select source_class, sum(downloads), count(distinct show_id) from fct_show_daily group by 1"
    )
    held = rows["What the logs hold"]
    assert sorted((row["source_class"], row["downloads"], row["shows"]) for row in held) == sorted(classes)
    for chart, dimension in (
        ("Apps", "app"),
        ("Kinds of device", "device_category"),
        ("Countries", "country"),
    ):
        top = ask(
            "select value, sum(downloads) as n from fct_show_dimensions_daily where source_class ="
            f" 'server_log' and dimension = '{dimension}' group by 1 order by n desc limit 15"
        )
        assert sorted(row["downloads"] for row in rows[chart]) == sorted(n for _, n in top)
        assert {(row["value"], row["downloads"]) for row in rows[chart]} == {(v, int(n)) for v, n in top}

    rows = admin.open_tab("One show")
    admin.picture(pictures / f"{slug}-show.png")
    ((show_id, downloads),) = ask(
        "select show_id, sum(downloads) as n from fct_show_daily where source_class = 'server_log'"
        " and show_id is not null group by 1 order by n desc limit 1"
    )
    of_show = f"source_class = 'server_log' and show_id = '{show_id}'"
    assert sum(row["server_log"] for row in rows["The show: downloads by day"]) == downloads
    weeks = ask(
        "select coalesce(new_listeners, 0), coalesce(returning_listeners, 0) from fct_show_listeners where"
        f" {of_show} and period = 'week'"
    )
    shown = rows["The show: listeners by week"]
    assert sorted((row["new_listeners"], row["returning_listeners"]) for row in shown) == sorted(weeks)
    medians = ask(f"select age_days, median_downloads from fct_show_pacing where {of_show}")
    paced = {row["age_days"]: row["the show, median"] for row in rows["The show: pacing"]}
    assert paced == dict(medians) and len(rows["The show: pacing"][0]) > 4

    rows = admin.open_tab("Collaborations")
    admin.picture(pictures / f"{slug}-collaborations.png")
    columns = ("new_listeners", "new_listeners_low", "new_listeners_high")
    lifts = ask(f"select {', '.join(columns)} from fct_collaboration_lift")
    listed = [tuple(row[column] for column in columns) for row in rows["Collaborations"]]
    assert lifts and sorted(listed, key=repr) == [pytest.approx(lift) for lift in sorted(lifts, key=repr)]
    (drawn,) = [value for title, value in rows.items() if title.startswith("New listeners by")]
    assert len(drawn) == sum(lift[0] is not None for lift in lifts)
    assert admin.errors == []


def test_twenty_publications_under_an_open_dashboard_bring_no_error_and_the_newest_figures(
    admin: Analyst, house: House
) -> None:
    totals = [int(house.of_file(TOTAL)[0][0])]
    failures: list[BaseException] = []

    def go_on_publishing() -> None:
        try:
            for number in range(1, PUBLICATIONS + 1):
                house.add_downloads(number)
                totals.append(totals[-1] + number)  # before it shows: a look may be the first
                house.publish()
        except BaseException as error:
            failures.append(error)

    publisher = threading.Thread(target=go_on_publishing)
    began, looks = time.monotonic(), dict.fromkeys(SLUGS, 0)
    seen: dict[str, list[int]] = {slug: [totals[0]] for slug in SLUGS}
    publisher.start()
    is_last = False
    while not is_last:
        is_last = not publisher.is_alive()  # once more after the last one
        for slug in SLUGS:
            rows = admin.open_dashboard(slug)
            held = {row["source_class"]: row["downloads"] for row in rows["What the logs hold"]}
            seen[slug].append(int(held["server_log"]))
            looks[slug] += 1
    publisher.join()
    print(f"{sum(looks.values())} looks in {time.monotonic() - began:.0f} s; totals seen: {seen}")
    assert failures == [] and admin.errors == []
    for slug in SLUGS:
        assert set(seen[slug]) <= set(totals)
        assert seen[slug] == sorted(seen[slug])
        assert seen[slug][-1] == totals[-1] and len(set(seen[slug])) > 3
    assert house.of_file(TOTAL) == house.of_server(TOTAL) == [(totals[-1],)]


def test_sql_of_an_analyst_reads_the_marts_and_neither_writes_nor_reaches_a_file(
    admin: Analyst, house: House
) -> None:
    told = admin.ask("get", "/api/v1/database/").json()["result"]
    ids = {database["database_name"]: database["id"] for database in told}

    def run(database: str, schema: str, sql: str) -> Any:
        asked = {"database_id": ids[database], "schema": schema, "sql": sql, "runAsync": False}
        return admin.ask("post", "/api/v1/sqllab/execute/", data=asked)

    for database, schema in (("Earshot", "main"), ("Earshot (PostgreSQL)", "marts")):
        answer = run(database, schema, TOTAL + "\n-- the same figure")
        assert answer.status == 200, answer.text()
        assert [int(*row.values()) for row in answer.json()["data"]] == [int(house.of_file(TOTAL)[0][0])]
        for statement in ("delete from fct_show_daily", "create table mine (i integer)"):
            assert "does not allow" in run(database, schema, statement).text()
    for statement in (
        "select * from read_csv('/etc/passwd')",
        "select * from glob('/etc/*')",
        f"attach '{house.data}/published/current/marts.duckdb' as inside",
        "set enable_external_access = true",
    ):
        answer = run("Earshot", "main", statement)
        assert answer.status >= 400 and "configuration" in answer.text(), answer.text()


def test_a_second_start_prepares_nothing_and_tells_no_password(admin: Analyst, superset: Superset) -> None:
    began = time.monotonic()
    assert "password" not in superset.start_again()
    print(f"{time.monotonic() - began:.1f} s")
    counts = {
        kind: admin.ask("get", f"/api/v1/{kind}/").json()["count"]
        for kind in ("dashboard", "chart", "dataset", "database")
    }
    assert counts == {"dashboard": 2, "chart": 22, "dataset": 12, "database": 2}


def test_the_folder_is_its_owners_alone(house: House, superset: Superset) -> None:
    folder = house.data / "bi"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "secret_key").stat().st_mode & 0o777 == 0o600
    assert superset.password.encode() not in (folder / "superset.db").read_bytes()


def test_an_analyst_with_two_roles_sees_the_dashboard_and_one_without_ours_sees_none(
    admin: Analyst, superset: Superset, browser: Browser
) -> None:
    told = admin.ask("get", "/api/v1/security/roles/?q=(page_size:100)").json()
    roles = dict(zip((role["name"] for role in told["result"]), told["ids"], strict=True))
    for name, given in (("ana", ("Gamma", "Earshot")), ("ben", ("Gamma",))):
        person = {
            "username": name,
            "first_name": name,
            "last_name": name,
            "email": f"{name}@earshot.invalid",
            "active": True,
            "password": f"{name}-and-a-long-secret",
            "roles": [roles[role] for role in given],
        }
        made = admin.ask("post", "/api/v1/security/users/", data=person)
        assert made.status == 201, made.text()
    ana, ben = (analyst(browser, superset.base, name, f"{name}-and-a-long-secret") for name in ("ana", "ben"))
    assert len(ana.open_dashboard("earshot")["Downloads by day"]) > 100
    assert ana.errors == []
    assert ben.ask("get", "/api/v1/dashboard/").json()["count"] == 0
    assert ben.ask("get", "/api/v1/dashboard/earshot").status in (403, 404)


def test_the_file_for_a_superset_of_ones_own_is_imported_by_it(
    admin: Analyst, house: House, tmp_path: Path
) -> None:
    ours = bundle.Source.duckdb(house.data / "published")
    copy = bundle.Source(ours.uri, ours.schema, "copy", " (copy)")  # since ours is there already
    target = tmp_path / "earshot.zip"
    bundle.write_zip(target, bundle.as_contents(bundle.for_source(bundle.read_files(), copy), "Dashboard"))
    file = {"name": target.name, "mimeType": "application/zip", "buffer": target.read_bytes()}
    done = admin.ask("post", "/api/v1/dashboard/import/", multipart={"formData": file, "overwrite": "true"})
    assert done.status == 200, done.text()
    assert len(admin.open_dashboard("earshot-copy")["Downloads by day"]) > 100
    assert admin.errors == []
