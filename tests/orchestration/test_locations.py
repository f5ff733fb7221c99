"""The two code locations."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

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
        assert spec.group_name not in (None, "default"), spec.key
        assert spec.kinds, spec.key
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
