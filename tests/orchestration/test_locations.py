"""The two code locations."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from orchestration.subjects import ANSWERS, Subject
from serving.rule_numbers import sources

KNOWN_KINDS = {"dbt", "duckdb", "json", "parquet", "polars", "python", "sqlite"}
WORKSPACE = Path(__file__).parents[2] / "workspace.yaml"


def bare_environment() -> dict[str, str]:
    """Ours without anything of Earshot, Dagster or dbt."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("EARSHOT_", "DAGSTER_", "DBT_"))
    }


def test_the_ingest_location_imports_no_dbt() -> None:
    script = (
        "import sys, orchestration.ingest_location as it; it.defs.get_repository_def();"
        "print([name for name in sys.modules if name.split('.')[0] in ('dagster_dbt', 'dbt', 'duckdb')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_both_locations_are_valid_in_a_fresh_clone(tmp_path: Path) -> None:
    """No data folder, no dbt manifest, no settings."""
    done = subprocess.run(
        [sys.executable, "-m", "dagster", "definitions", "validate", "-w", str(WORKSPACE)],
        cwd=tmp_path,
        env=bare_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [".earshot"]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[dg.AssetSpec]:
    os.environ["EARSHOT_DATA"] = str(tmp_path_factory.mktemp("data"))
    try:
        from orchestration import ingest_location, marts_location
    finally:
        del os.environ["EARSHOT_DATA"]
    # Marts first: it holds a stand-in for each asset of ingest that dbt reads.
    locations = (marts_location, ingest_location)
    found = {spec.key: spec for it in locations for spec in it.defs.resolve_all_asset_specs()}
    return list(found.values())


def test_every_asset_has_group_kinds_owners_and_description(both: list[dg.AssetSpec]) -> None:
    assert len(both) >= 10
    for spec in both:
        assert spec.group_name in set(Subject), spec.key
        assert spec.kinds and not spec.kinds - KNOWN_KINDS, spec.key  # those have an icon
        assert spec.owners == ["team:data"], spec.key
        assert len(spec.description or "") > 20, spec.key


def test_what_dbt_reads_is_what_ingest_makes(both: list[dg.AssetSpec]) -> None:
    keys = {spec.key for spec in both}
    upstream = {dep.asset_key for spec in both for dep in spec.deps}
    assert upstream <= keys
    assert {"requests", "rejects", "files", "catalog_episodes"} <= {key.to_user_string() for key in upstream}


def test_publishing_waits_for_every_mart(both: list[dg.AssetSpec]) -> None:
    keys = {spec.key for spec in both}
    published = next(spec for spec in both if spec.key.to_user_string() == "published_marts")
    assert {dep.asset_key for dep in published.deps} == {key for key in keys if key.path[0] == "marts"}


def test_every_subject_has_assets_and_an_answer(both: list[dg.AssetSpec]) -> None:
    assert {spec.group_name for spec in both} == set(Subject) == set(ANSWERS)


def test_every_mart_of_the_guideline_names_its_rules_and_their_section(both: list[dg.AssetSpec]) -> None:
    told = {spec.key.path[-1]: spec.description or "" for spec in both}
    assert f"By the rules {sources(['R26'])}" in told["fct_show_listeners"] and "§6" in sources(["R26"])
    ruled = ("downloads", "audience", "pacing", "attribution")
    plain = ("dim_shows", "dim_networks")  # nothing is counted there
    marts = [spec for spec in both if spec.key.path[0] == "marts" and spec.group_name in ruled]
    unruled = {spec.key.path[-1] for spec in marts if "IAB 2.3" not in told[spec.key.path[-1]]}
    assert len(marts) > 15 and unruled <= set(plain)


def test_every_check_says_what_to_do(both: list[dg.AssetSpec]) -> None:
    from orchestration import ingest_location, marts_location

    found = [
        spec
        for location in (ingest_location, marts_location)
        for definition in location.defs.assets or ()
        for spec in getattr(definition, "check_specs", ())
    ]
    assert len(found) > 100
    silent = [
        spec.name
        for spec in found
        if not re.search(r"If it fails( for a collaboration)?: ", spec.description or "")
    ]
    assert silent == []


def test_an_operators_model_may_name_other_owners_and_another_group() -> None:
    from orchestration.dbt_translator import WarehouseTranslator

    model = {"resource_type": "model", "name": "x", "fqn": ["earshot", "marts", "quality", "x"]}
    translator = WarehouseTranslator()
    assert (translator.get_owners(model), translator.get_group_name(model)) == (["team:data"], "quality")
    own = model | {"meta": {"dagster": {"owners": ["team:ads"], "group": "downloads"}}}
    assert (translator.get_owners(own), translator.get_group_name(own)) == (["team:ads"], "downloads")


def test_jobs_started_by_hand_open_with_settings_and_say_what_they_are_for(both: list[dg.AssetSpec]) -> None:
    from orchestration.by_hand.feeds import refresh_job
    from orchestration.by_hand.logs import rebuild_month_job, restate_job, take_in_job
    from orchestration.by_hand.webhooks import replay_job

    for job in (take_in_job, rebuild_month_job, restate_job, refresh_job, replay_job):
        assert len(job.description or "") > 80 and job.run_config["ops"], job.name
        assert job.tags["earshot/by_hand"] == "yes"
