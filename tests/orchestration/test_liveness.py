"""Which runs are still alive."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from ingest.settings import Settings
from orchestration import liveness


@dg.op
def nothing() -> None: ...


@dg.job(name="some_job")
def some_job() -> None:
    nothing()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path)


def started_run(instance: dg.DagsterInstance) -> str:
    run = instance.create_run_for_job(some_job, status=dg.DagsterRunStatus.STARTED)
    return run.run_id


def worker(run_id: str, data: Path) -> subprocess.Popen[str]:
    script = (
        "import sys; from pathlib import Path; from ingest.settings import Settings;"
        "from orchestration import liveness;"
        "liveness.hold(sys.argv[1], Settings(data=Path(sys.argv[2]))); print('held', flush=True); input()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, run_id, str(data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_run_whose_process_was_killed_is_reported_and_a_living_one_is_not(settings: Settings) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run_id = started_run(instance)
        process = worker(run_id, settings.data)
        later = time.time() + 3600
        assert liveness.is_held(run_id, settings)
        assert liveness.report_dead_runs(instance, "some_job", settings, now=later) == []

        process.kill()
        process.wait()
        assert liveness.report_dead_runs(instance, "some_job", settings, now=later) == [run_id]
        run = instance.get_run_by_id(run_id)
        assert run is not None
        assert run.status is dg.DagsterRunStatus.FAILURE


def test_a_run_that_has_only_just_started_is_left_alone(settings: Settings) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        started_run(instance)
        assert liveness.report_dead_runs(instance, "some_job", settings) == []


def test_runs_of_other_jobs_are_left_alone(settings: Settings) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        started_run(instance)
        later = time.time() + 3600
        assert liveness.report_dead_runs(instance, "other_job", settings, now=later) == []
