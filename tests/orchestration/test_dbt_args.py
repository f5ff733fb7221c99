"""How dbt is called."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ingest.settings import Settings
from orchestration.dbt_args import build_args, dbt_environment


def test_a_plain_build_leaves_unit_tests_to_ci_and_exposures_alone() -> None:
    excluded = ["--exclude-resource-type", "unit_test", "--exclude-resource-type", "exposure"]
    assert build_args() == ["build", *excluded]


def test_selections_are_joined_into_one_argument() -> None:
    assert build_args(select=["fct_downloads", "dim_shows+"])[-2:] == ["--select", "fct_downloads dim_shows+"]


def test_a_full_refresh_is_asked_for_by_its_flag() -> None:
    assert build_args(full_refresh=True)[-1] == "--full-refresh"


def test_arguments_never_carry_variables_which_would_force_a_full_parse() -> None:
    assert "--vars" not in build_args(select=["fct_downloads"], full_refresh=True)


def test_all_paths_of_the_environment_are_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    environment = dbt_environment(Settings(data=Path("here")))
    paths = [
        value for name, value in environment.items() if name.endswith(("LAKE", "WAREHOUSE", "PATH", "DIR"))
    ]
    assert len(paths) == 6
    assert all(Path(path).is_absolute() for path in paths)


def test_two_data_folders_share_no_state(tmp_path: Path) -> None:
    one, two = (dbt_environment(Settings(data=tmp_path / name)) for name in ("one", "two"))
    written = ("EARSHOT_LAKE", "EARSHOT_WAREHOUSE", "DBT_TARGET_PATH", "DBT_LOG_PATH")
    assert all(Path(one[name]).is_relative_to(tmp_path / "one") for name in written)
    assert all(Path(two[name]).is_relative_to(tmp_path / "two") for name in written)


def test_the_window_travels_in_the_environment(tmp_path: Path) -> None:
    settings = Settings.from_env({}, data=tmp_path, window="last_touch")
    assert dbt_environment(settings)["EARSHOT_WINDOW"] == "last_touch"


def test_no_usage_statistics_are_sent(tmp_path: Path) -> None:
    assert dbt_environment(Settings(data=tmp_path))["DBT_SEND_ANONYMOUS_USAGE_STATS"] == "false"


def test_the_command_line_can_use_it_without_paying_for_dagster_or_dbt() -> None:
    script = (
        "import sys, orchestration.dbt_args as it; print([m for m in ('dagster', 'dbt') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
