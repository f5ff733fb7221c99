"""Starts runs as forks of their location's process (orchestration/forks.py), else as Dagster does."""

from __future__ import annotations

import os
from typing import Any

import dagster as dg
from dagster._core.launcher import LaunchRunContext
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import ConfigurableClassData, serialize_value

from orchestration.forks import FOLDER, ask


class ForkLauncher(DefaultRunLauncher):
    """`run_launcher` of our dagster.yaml. Under `dagster dev` there is nothing to fork from."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Any) -> ForkLauncher:
        return cls(inst_data=inst_data, **config_value)

    def launch_run(self, context: LaunchRunContext) -> None:
        run, folder = context.dagster_run, os.environ.get(FOLDER)
        if not folder or run.job_code_origin is None:
            return super().launch_run(context)
        arguments = ExecuteRunArgs(
            job_origin=run.job_code_origin, run_id=run.run_id, instance_ref=self._instance.get_ref()
        )
        message = {"do": "start", "run": run.run_id, "arguments": serialize_value(arguments)}
        ask(folder, _location(run), message)
        return None

    def terminate(self, run_id: str) -> bool:
        folder, run = os.environ.get(FOLDER), self._instance.get_run_by_id(run_id)
        if not folder or run is None or run.is_finished:
            return bool(super().terminate(run_id))  # type: ignore[no-untyped-call]
        self._instance.report_run_canceling(run)
        answer = ask(folder, _location(run), {"do": "stop", "run": run_id})
        return answer["pid"] is not None


def _location(run: dg.DagsterRun) -> str:
    origin = run.remote_job_origin
    if origin is None:
        raise dg.DagsterInvariantViolationError(f"run {run.run_id} is of no code location")
    return str(origin.location_name)
