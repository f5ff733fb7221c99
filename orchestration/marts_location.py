"""Code location `marts`: what we compute and what goes out."""

from __future__ import annotations

import dagster as dg

from orchestration.assets.marts import dbt_models, marts_job, published_marts
from orchestration.dbt_manifest import dbt_executable
from orchestration.dbt_resource import LeanDbt
from orchestration.resources import Installation
from orchestration.sensors.marts_due import marts_due_sensor
from serving.contract import project_dir

defs = dg.Definitions(
    assets=[dbt_models, published_marts],
    jobs=[marts_job],
    sensors=[marts_due_sensor],
    resources={
        "installation": Installation(),
        "dbt": LeanDbt(
            project_dir=str(project_dir()),
            profiles_dir=str(project_dir()),
            dbt_executable=dbt_executable(),
        ),
    },
    executor=dg.in_process_executor,  # a process a step would cost 5.5 CPU-s each
)
