"""The embedded Dagster instance."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.instance.config import dagster_instance_config_schema

from ingest.settings import Settings
from orchestration.instance import DEPLOYED, dagster_yaml, prepare_home


@pytest.fixture
def instance(tmp_path: Path) -> dg.DagsterInstance:
    return dg.DagsterInstance.from_config(str(prepare_home(Settings(data=tmp_path / "it's here"))))


def test_dagster_accepts_the_configuration(instance: dg.DagsterInstance) -> None:
    assert instance.telemetry_enabled is False
    assert instance.run_retries_enabled
    assert instance.run_retries_max_retries == 3
    assert instance.run_monitoring_enabled


def test_dagster_knows_every_key(tmp_path: Path) -> None:
    keys = set(yaml.safe_load(dagster_yaml(Settings(data=tmp_path))))
    assert keys <= set(dagster_instance_config_schema())


def test_runs_and_pools_are_limited_for_two_cores(instance: dg.DagsterInstance) -> None:
    concurrency = instance.get_concurrency_config()
    assert concurrency.run_queue_config is not None
    assert concurrency.run_queue_config.max_concurrent_runs == 4
    assert concurrency.run_queue_config.tag_concurrency_limits == [
        {"key": "earshot/source", "value": {"applyLimitPerUniqueValue": True}, "limit": 1},
        {"key": "earshot/feeds", "limit": 1},
        {"key": "earshot/webhooks", "limit": 1},
    ]
    assert concurrency.pool_config.default_pool_limit == 1
    assert concurrency.pool_config.pool_granularity is not None
    assert concurrency.pool_config.pool_granularity.value == "run"


def test_everything_dagster_writes_lies_below_the_data_folder(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data")
    written = yaml.safe_load(dagster_yaml(settings))
    for folder in (
        written["storage"]["custom"]["config"]["base_dir"],
        written["compute_logs"]["config"]["base_dir"],
        written["local_artifact_storage"]["config"]["base_dir"],
    ):
        assert Path(folder).is_relative_to(settings.data)


def test_preparing_twice_writes_once(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    path = prepare_home(settings) / "dagster.yaml"
    before = path.stat().st_mtime_ns
    prepare_home(settings)
    assert path.stat().st_mtime_ns == before


def test_the_deployed_file_is_what_the_code_writes_for_its_folder() -> None:
    deployed = Path(__file__).parents[2] / "deploy" / "dagster.yaml"
    settings = Settings(data=DEPLOYED, dagster_db="postgresql://earshot@localhost/earshot")
    assert deployed.read_text() == dagster_yaml(settings), "run `make docs`"


def test_embedded_and_deployed_differ_in_their_storage_alone(tmp_path: Path) -> None:
    embedded = yaml.safe_load(dagster_yaml(Settings(data=tmp_path)))
    deployed = yaml.safe_load(dagster_yaml(Settings(data=tmp_path, dagster_db="postgresql://u:secret@h/d")))
    assert embedded.pop("storage") != deployed.pop("storage")
    assert embedded == deployed


def test_no_password_is_in_the_configuration(tmp_path: Path) -> None:
    assert "secret" not in dagster_yaml(Settings(data=tmp_path, dagster_db="postgresql://u:secret@h/d"))
