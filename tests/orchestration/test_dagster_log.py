"""What of Dagster's own lines is logged."""

from __future__ import annotations

import logging

import pytest

from orchestration.dagster_log import tells_something

SENSORS, PLAN = "dagster.daemon.SensorDaemon", "dagster._core.execution.plan.active"

QUEUE = "dagster.daemon.QueuedRunCoordinatorDaemon"


@pytest.mark.parametrize(
    ("name", "level", "said", "is_logged"),
    [
        (SENSORS, logging.INFO, "Checking for new runs for sensor: landing_sensor", False),
        (SENSORS, logging.INFO, "Sensor landing_sensor skipped: no new log files", False),
        (SENSORS, logging.INFO, "Launching run for landing_sensor", True),
        (SENSORS, logging.ERROR, "Sensor daemon caught an error for sensor run_failures_sensor", True),
        (
            PLAN,
            logging.WARNING,
            "Blocking asset check 'a:b' emitted no result in step 'dbt_models'; …",
            False,
        ),
        (PLAN, logging.WARNING, "something else", True),
        (QUEUE, logging.INFO, "4 runs are currently in progress. Maximum is 4, won't launch more.", False),
        (QUEUE, logging.INFO, "Launched 4 runs.", True),
        ("dagster.builtin", logging.INFO, "marts - 1 - dbt_models - Running dbt command", False),
        ("dagster", logging.INFO, "marts - 1 - dbt_models - Running dbt command", True),
        ("py.warnings", logging.WARNING, "x.py:1: BetaWarning: Parameter `a` is in beta", False),
        ("py.warnings", logging.WARNING, "x.py:1: UserWarning: something", True),
        ("earshot.run", logging.WARNING, "daemon ended with -9 and is started again", True),
    ],
)
def test_a_line_that_comes_whatever_happens_is_left_out(
    name: str, level: int, said: str, is_logged: bool
) -> None:
    record = logging.LogRecord(name, level, "x.py", 1, said, None, None)
    assert tells_something(record) is is_logged
