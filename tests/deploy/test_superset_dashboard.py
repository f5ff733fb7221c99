"""The files of Superset's dashboard fit the marts as they are: DuckDB and PostgreSQL run all of their SQL."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
import pytest
import yaml

from deploy.superset import bundle
from serving.contract import project_dir
from serving.postgres import MartsDatabase
from serving.publish import publish
from tests.postgres import Postgres, postgres
from tests.serving.test_shared import fill

__all__ = ["postgres"]

FILES = bundle.read_files()
DATASETS = {told["table_name"]: told for path, told in FILES.items() if path.startswith("datasets/")}
CHARTS = {Path(path).stem: told for path, told in FILES.items() if path.startswith("charts/")}
(DASHBOARD,) = [told for path, told in FILES.items() if path.startswith("dashboards/")]
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Both:
    """The same marts in a file and in PostgreSQL."""

    file: duckdb.DuckDBPyConnection
    server: Any

    def of_file(self, sql: str) -> list[dict[str, Any]]:
        result = self.file.execute(sql)
        names = [column[0] for column in result.description]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def of_server(self, sql: str) -> list[dict[str, Any]]:
        with self.server.cursor() as cursor:
            cursor.execute(sql)
            names = [column.name for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@pytest.fixture(scope="module")
def both(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("house")
    url = postgres.url(postgres.create_database())
    fill(folder / "warehouse.duckdb")
    with duckdb.connect(str(folder / "warehouse.duckdb")) as con:  # what the made-up values cannot be
        for mart in ("fct_episode_pacing", "fct_show_pacing"):
            con.execute(f"update marts.{mart} set age_days = 1, source_class = 'prefix'")
        con.execute("update marts.fct_episode_pacing set is_complete = true")
    done = publish(folder / "warehouse.duckdb", folder / "published", keep=1, postgres=MartsDatabase(url))
    assert done.postgres_problem is None
    with (
        duckdb.connect(str(done.shared_database), read_only=True) as file,
        closing(psycopg2.connect(url, options="-c search_path=marts")) as server,
    ):
        yield Both(file, server)


def plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: float(value) if isinstance(value, Decimal) else value for name, value in row.items()}


@pytest.mark.parametrize("name", DATASETS)
def test_a_dataset_gives_the_same_rows_and_the_columns_it_lists_in_both_databases(
    both: Both, name: str
) -> None:
    told = DATASETS[name]
    of_file, of_server = both.of_file(told["sql"]), both.of_server(told["sql"])
    assert of_file
    assert list(of_file[0]) == [column["column_name"] for column in told["columns"]]
    assert sorted(map(repr, map(plain, of_server))) == sorted(map(repr, map(plain, of_file)))


@pytest.mark.parametrize("name", DATASETS)
def test_a_dataset_lists_its_columns_with_their_types(both: Both, name: str) -> None:
    told = DATASETS[name]
    found = both.file.sql(told["sql"])
    assert [(column["column_name"], column["type"]) for column in told["columns"]] == [
        (column, str(kind)) for column, kind in zip(found.columns, found.types, strict=True)
    ]


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_names_columns_and_metrics_that_its_dataset_has(name: str) -> None:
    chart = CHARTS[name]
    (dataset,) = [told for told in DATASETS.values() if told["uuid"] == chart["dataset_uuid"]]
    columns = {column["column_name"] for column in dataset["columns"]}
    metrics = {metric["metric_name"] for metric in dataset["metrics"]}
    params = chart["params"]
    used = {params["x_axis"]} if "x_axis" in params else set()
    used |= {*params.get("groupby", ()), *params.get("columns", ()), *params.get("all_columns", ())}
    used |= {clause["subject"] for clause in params["adhoc_filters"]}
    used |= {json.loads(order)[0] for order in params.get("order_by_cols", ())}
    assert used and used <= columns
    assert set(params.get("metrics", ())) | {params.get("x_axis_sort", "downloads")} <= metrics | {
        "downloads"
    }


def test_the_exposure_in_dbt_names_the_marts_that_the_dashboard_reads() -> None:
    read = {mart for told in DATASETS.values() for mart in re.findall(r"\b(?:dim|fct)_\w+", told["sql"])}
    exposures = yaml.safe_load((project_dir() / "models" / "exposures.yml").read_text("utf-8"))["exposures"]
    (ours,) = [exposure for exposure in exposures if exposure["name"] == "superset_dashboard"]
    assert set(re.findall(r"ref\('(\w+)'\)", " ".join(ours["depends_on"]))) == read


def test_the_dashboard_shows_each_chart_once() -> None:
    shown = [
        part["meta"]["uuid"]
        for part in DASHBOARD["position"].values()
        if isinstance(part, dict) and part["type"] == "CHART"
    ]
    assert sorted(shown) == sorted(chart["uuid"] for chart in CHARTS.values())


def test_a_metric_is_null_where_it_would_add_what_must_not_be_added(both: Both) -> None:
    rows = {
        "show_downloads": ("('server_log', 3)", "('prefix', 2)", "(source_class, downloads)"),
        "show_dimensions": ("('app', 3)", "('country', 2)", "(dimension, downloads)"),
    }
    for name, (one, other, head) in rows.items():
        (metric,) = [m["expression"] for m in DATASETS[name]["metrics"] if m["metric_name"] == "downloads"]
        lent = "'server_log' as source_class, " if name == "show_dimensions" else ""
        ask = f"select {metric} as sum from (select {lent}t.* from (values %s) as t {head}) as rows"
        for run in (both.of_file, both.of_server):
            assert plain(run(ask % f"{one}, {one}")[0]) == {"sum": 6}
            assert run(ask % f"{one}, {other}") == [{"sum": None}]
    for name in ("show_listeners", "pacing", "collaborations", "collaboration_intervals"):
        for metric in DATASETS[name]["metrics"]:
            column = metric["metric_name"]
            ask = f"select {metric['expression']} as one from (values %s) as t ({column})"
            for run in (both.of_file, both.of_server):
                assert [run(ask % rows)[0]["one"] for rows in ("(7)", "(7), (7)")] == [7, None]


def test_another_database_gets_files_of_its_own() -> None:
    source = bundle.Source.postgresql("postgresql://reader@there/marts")
    files = bundle.for_source(FILES, source, is_ours=True)
    first, second = (set(UUID.findall(json.dumps(found))) for found in (FILES, files))
    assert len(first) == len(second) and not first & second
    dashboard, database = files["dashboards/Earshot.yaml"], files["databases/Earshot.yaml"]
    assert (dashboard["slug"], dashboard["dashboard_title"]) == ("earshot-postgresql", "Earshot (PostgreSQL)")
    assert database["sqlalchemy_uri"] == source.uri and database["database_name"] == "Earshot (PostgreSQL)"
    assert {told["schema"] for path, told in files.items() if path.startswith("datasets/")} == {"marts"}


def test_the_file_for_a_superset_of_ones_own_holds_the_address_given(tmp_path: Path) -> None:
    source = bundle.Source("duckdb:////there/published/current/shared.duckdb", "main")
    target = tmp_path / "earshot.zip"
    bundle.write_zip(target, bundle.as_contents(bundle.for_source(FILES, source), "Dashboard"))
    with zipfile.ZipFile(target) as archive:
        assert {name.split("/")[0] for name in archive.namelist()} == {"earshot"}
        assert b"type: Dashboard" in archive.read("earshot/metadata.yaml")
        assert source.uri.encode() in archive.read("earshot/databases/Earshot.yaml")
        assert b"is_managed_externally" not in archive.read("earshot/dashboards/Earshot.yaml")
