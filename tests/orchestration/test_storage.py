"""Dagster's storage with its connections kept: the same files, the same answers."""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg
import pytest

from ingest.settings import Settings
from orchestration import storage
from orchestration.instance import prepare_home


@dg.asset
def a_table() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"rows": 7})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return prepare_home(Settings(data=tmp_path))


def opened(home: Path, stock: bool = False) -> dg.DagsterInstance:
    if stock:
        path = home / "dagster.yaml"
        text = path.read_text()
        custom = text[text.index("  custom:") : text.index("compute_logs:")]
        path.write_text(text.replace(custom, f"  sqlite:\n    base_dir: '{home / 'storage'}'\n"))
    return dg.DagsterInstance.from_config(str(home))


def is_ours(instance: dg.DagsterInstance) -> bool:
    return isinstance(instance.event_log_storage, storage._Events)


def told(instance: dg.DagsterInstance) -> list[object]:
    """What an instance knows of its runs and the asset."""
    found = instance.fetch_materializations(dg.AssetKey("a_table"), limit=10).records
    runs = instance.get_runs()
    events = [instance.all_logs(run.run_id) for run in runs]
    return [[record.storage_id for record in found], runs, events]


def test_the_instance_uses_it(home: Path) -> None:
    with opened(home) as instance:
        assert is_ours(instance)


def test_what_it_writes_the_stock_storage_reads(home: Path) -> None:
    with opened(home) as instance:
        for _ in range(2):
            assert dg.materialize([a_table], instance=instance).success
        ours = told(instance)
    with opened(home, stock=True) as instance:
        assert not is_ours(instance)
        assert told(instance) == ours
    assert len(ours[0]) == 2  # type: ignore[arg-type]


def test_an_installation_of_the_stock_storage_goes_on_with_it(home: Path) -> None:
    ours = (home / "dagster.yaml").read_text()
    with opened(home, stock=True) as instance:
        assert dg.materialize([a_table], instance=instance).success
        before = told(instance)
    (home / "dagster.yaml").write_text(ours)
    with opened(home) as instance:
        assert is_ours(instance)
        assert told(instance) == before
        assert dg.materialize([a_table], instance=instance).success
        assert len(told(instance)[0]) == 2  # type: ignore[arg-type]


def test_a_forked_process_has_connections_of_its_own(home: Path) -> None:
    with opened(home) as instance:
        assert dg.materialize([a_table], instance=instance).success
        child = os.fork()
        if not child:
            code = 1
            try:
                with dg.DagsterInstance.from_config(str(home)) as mine:
                    code = 0 if dg.materialize([a_table], instance=mine).success else 1
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert len(told(instance)[0]) == 2  # type: ignore[arg-type]


def test_the_log_of_a_run_is_begun_once_and_leaves_nothing_beside(home: Path) -> None:
    with opened(home) as instance:
        events = instance.event_log_storage
        assert isinstance(events, storage._Events)
        log = Path(events.path_for_shard("a-run"))
        events._begin(log)
        first = log.stat().st_ino
        events._begin(log)
        assert log.stat().st_ino == first
        assert events.get_all_run_ids() == ["a-run"]
