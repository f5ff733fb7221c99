"""The core metrics in dbt's semantic layer: they parse, validate, and ask for columns that are there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from dbt_semantic_interfaces.implementations.semantic_manifest import PydanticSemanticManifest
from dbt_semantic_interfaces.validations.semantic_manifest_validator import SemanticManifestValidator

from ingest.settings import Settings
from orchestration.dbt_manifest import ensure_manifest
from serving.contract import Audience, read_contract


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> PydanticSemanticManifest:
    """As dbt parsed it; dbt itself refuses what does not validate."""
    folder = ensure_manifest(Settings(data=tmp_path_factory.mktemp("data"))).parent
    told = (folder / "parse" / "semantic_manifest.json").read_text("utf-8")
    return PydanticSemanticManifest.parse_raw(told)


@pytest.fixture(scope="module")
def marts() -> Iterator[duckdb.DuckDBPyConnection]:
    """The shared marts, empty, as their contract says."""
    with duckdb.connect() as con:
        for mart in read_contract().values():
            if mart.audience is Audience.SHARED:
                columns = ", ".join(f"{column.name} {column.type}" for column in mart.shared_columns)
                con.execute(f"create table {mart.name} ({columns})")
        yield con


def test_the_core_metrics_are_defined_and_validate(manifest: PydanticSemanticManifest) -> None:
    names = {metric.name for metric in manifest.metrics}
    assert names >= {"downloads", "listeners", "new_listeners", "lift"}
    results = SemanticManifestValidator[PydanticSemanticManifest]().validate_semantic_manifest(manifest)
    assert [issue.as_readable_str() for issue in (*results.errors, *results.warnings)] == []


def test_a_metric_of_something_unknown_does_not_validate(manifest: PydanticSemanticManifest) -> None:
    told = json.loads(manifest.json())
    for model in told["semantic_models"]:
        model["measures"] = [m for m in model["measures"] if m["name"] != "downloads_of_days"]
    broken = PydanticSemanticManifest.parse_obj(told)
    results = SemanticManifestValidator[PydanticSemanticManifest]().validate_semantic_manifest(broken)
    assert any("downloads_of_days" in issue.message for issue in results.errors)


def test_measures_dimensions_and_entities_are_columns_of_their_shared_mart(
    manifest: PydanticSemanticManifest, marts: duckdb.DuckDBPyConnection
) -> None:
    asked = 0
    for model in manifest.semantic_models:
        for element in (*model.measures, *model.dimensions, *model.entities):
            expression = element.expr or element.name
            marts.execute(f"select {expression} from {model.node_relation.alias}")
            asked += 1
    assert asked >= 20


def test_no_metric_adds_up_both_source_classes(manifest: PydanticSemanticManifest) -> None:
    by_class = {
        measure.name
        for model in manifest.semantic_models
        if any(dimension.name == "source_class" for dimension in model.dimensions)
        for measure in model.measures
    }
    for metric in manifest.metrics:
        measure = metric.type_params.measure
        if measure and measure.name in by_class:
            assert metric.filter is not None, metric.name
            assert any("source_class" in each.where_sql_template for each in metric.filter.where_filters)


def test_listeners_are_not_added_up_over_periods(manifest: PydanticSemanticManifest) -> None:
    (measure,) = [
        m for model in manifest.semantic_models for m in model.measures if m.name == "listeners_of_periods"
    ]
    assert measure.non_additive_dimension is not None
    assert measure.non_additive_dimension.name == "period_start"


def test_a_date_of_the_marts_is_a_date_of_the_time_spine() -> None:
    spine = (Path(__file__).parents[2] / "dbt_project/models/semantic/all_dates.sql").read_text("utf-8")
    first, last, days = duckdb.sql(
        f"select min(date_day), max(date_day), count(*) from ({spine})"
    ).fetchall()[0]
    assert (str(first), str(last), days) == ("2010-01-01", "2049-12-31", 14610)
